package formatreader

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// openEngine opens the database in dir with a key file. The test closes it.
func openEngine(tb testing.TB, dir, keyFile string, o *engine.Options) *engine.DB {
	tb.Helper()
	db, err := tryEngine(dir, keyFile, o)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

func tryEngine(dir, keyFile string, o *engine.Options) (*engine.DB, error) {
	key, err := keyuri.Open(context.Background(), "local:"+keyFile)
	if err != nil {
		return nil, err
	}
	return engine.Open(context.Background(), dir, key, o)
}

// update runs fn on a collection that it makes if need be.
func update(tb testing.TB, db *engine.DB, name string, fn func(c *engine.Collection) error) {
	tb.Helper()
	err := db.Update(func(tx *engine.Tx) error {
		c, err := tx.CreateCollectionIfNotExists(name)
		if err != nil {
			return err
		}
		return fn(c)
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// listEngine lists a database through the engine's own cursors, by collection name.
func listEngine(tb testing.TB, db *engine.DB) map[string][]Record {
	tb.Helper()
	out := map[string][]Record{}
	err := db.View(func(tx *engine.Tx) error {
		names, err := tx.Collections()
		if err != nil {
			return err
		}
		for _, name := range names {
			c, err := tx.Collection(name)
			if err != nil {
				return err
			}
			records := []Record{}
			cur := c.Cursor(nil, nil)
			for cur.Next() {
				records = append(records, Record{Key: bytes.Clone(cur.Key()), Value: bytes.Clone(cur.Value())})
			}
			if err := errors.Join(cur.Err(), cur.Close()); err != nil {
				return err
			}
			out[name] = records
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// compare compares what both readers list, and returns the number of records.
func compare(tb testing.TB, got *Database, want map[string][]Record) (nRecords int) {
	tb.Helper()
	if len(got.Collections) != len(want) {
		tb.Errorf("%d collections, the engine lists %d", len(got.Collections), len(want))
	}
	for _, c := range got.Collections {
		records, ok := want[c.Name]
		if !ok || len(records) != len(c.Records) {
			tb.Errorf("%q: %d records, the engine lists %d (there: %t)", c.Name, len(c.Records), len(records), ok)
			continue
		}
		for i, r := range c.Records {
			if !bytes.Equal(r.Key, records[i].Key) || !bytes.Equal(r.Value, records[i].Value) {
				tb.Errorf("%q: record %d differs", c.Name, i)
				break
			}
			nRecords++
		}
	}
	return nRecords
}

// copyOpen copies the directory of an open database as a crash of the process
// leaves it: again, if the manifest changed meanwhile.
func copyOpen(tb testing.TB, dir string) string {
	tb.Helper()
	catalogFile := filepath.Join(dir, "catalog.bolt")
	for range 100 {
		to := filepath.Join(tb.TempDir(), "copy.byok")
		before, err := os.ReadFile(catalogFile)
		if err != nil {
			tb.Fatal(err)
		}
		err = os.CopyFS(to, os.DirFS(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			tb.Fatal(err)
		}
		after, rerr := os.ReadFile(catalogFile)
		if rerr != nil {
			tb.Fatal(rerr)
		}
		if err == nil && bytes.Equal(before, after) {
			return to
		}
	}
	tb.Fatal("the database does not come to rest")
	return ""
}
