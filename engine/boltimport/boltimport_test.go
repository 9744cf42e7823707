package boltimport_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/engine/boltimport"
)

func open(t *testing.T) *engine.DB {
	t.Helper()
	dir := t.TempDir()
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := engine.Open(t.Context(), filepath.Join(dir, "d.byok"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(db.Verify(context.Background()), db.Close(), key.Close()); err != nil {
			t.Error(err)
		}
	})
	return db
}

// source makes a bbolt file and opens it again for reading.
func source(t *testing.T, fill func(tx *bolt.Tx) error) *bolt.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "src.bolt")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fill), db.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err = bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// nested fills buckets in buckets, with n records in the largest.
func nested(n int) func(tx *bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		a, err := tx.CreateBucket([]byte("a"))
		if err != nil {
			return err
		}
		var errs []error
		put := func(b *bolt.Bucket, k, v string) { errs = append(errs, b.Put([]byte(k), []byte(v))) }
		sub := func(b *bolt.Bucket, name string) *bolt.Bucket {
			s, err := b.CreateBucket([]byte(name))
			errs = append(errs, err)
			return s
		}
		for i := range n {
			put(a, fmt.Sprintf("k%06d", i), strings.Repeat("v", i%50))
		}
		put(sub(a, "b"), "x", "1")
		put(a.Bucket([]byte("b")), "y", "")
		put(sub(a.Bucket([]byte("b")), "deep/er"), "z", "2")
		errs = append(errs, a.SetSequence(77), a.Bucket([]byte("b")).SetSequence(1<<40))
		empty, err := tx.CreateBucket([]byte("empty 100%"))
		errs = append(errs, err)
		sub(empty, "\x00\xff")
		return errors.Join(errs...)
	}
}

func wantNested(n int) map[string]string {
	want := map[string]string{
		"a/b\x00x": "1", "a/b\x00y": "", "a/b/deep%2Fer\x00z": "2",
		boltimport.Sequences + "\x00a":   string(binary.BigEndian.AppendUint64(nil, 77)),
		boltimport.Sequences + "\x00a/b": string(binary.BigEndian.AppendUint64(nil, 1<<40)),
	}
	for i := range n {
		want[fmt.Sprintf("a\x00k%06d", i)] = strings.Repeat("v", i%50)
	}
	return want
}

var collections = []string{"a", "a/b", "a/b/deep%2Fer", boltimport.Sequences, "empty 100%25", "empty 100%25/\x00\xff"}

// contents returns the names of the collections, and every record.
func contents(t *testing.T, db *engine.DB) (names []string, records map[string]string) {
	t.Helper()
	records = map[string]string{}
	err := db.View(func(tx *engine.Tx) (err error) {
		if names, err = tx.Collections(); err != nil {
			return err
		}
		for _, n := range names {
			c, err := tx.Collection(n)
			if err != nil {
				return err
			}
			cur := c.Cursor(nil, nil)
			for cur.Next() {
				records[n+"\x00"+string(cur.Key())] = string(cur.Value())
			}
			if err := errors.Join(cur.Err(), cur.Close()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names, records
}

func verify(t *testing.T, db *engine.DB, n int) {
	t.Helper()
	names, records := contents(t, db)
	if !slices.Equal(names, collections) {
		t.Errorf("collections %q, want %q", names, collections)
	}
	if want := wantNested(n); !maps.Equal(records, want) {
		t.Errorf("%d records, want %d, or their values differ", len(records), len(want))
	}
}

func TestImport(t *testing.T) {
	const n = 1000
	for _, batch := range []int64{0, 1, 100, 5000} {
		db, src := open(t), source(t, nested(n))
		var steps int
		res, err := boltimport.Import(t.Context(), db, src, boltimport.Options{BatchSize: batch, Progress: func(int64) { steps++ }})
		if err != nil || res != (boltimport.Result{Buckets: 5, Records: n + 3}) {
			t.Fatalf("batch %d: %+v, %v", batch, res, err)
		}
		if batch == 0 && steps != 1 || batch != 0 && steps < 5 {
			t.Errorf("batch %d: %d transactions", batch, steps)
		}
		verify(t, db, n)
	}
}

// TestGoingOn is interrupted behind every transaction: nothing is there, or the
// next call completes it.
func TestGoingOn(t *testing.T) {
	const n = 60
	src := source(t, nested(n))
	for stop := range 20 {
		db := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		res, err := boltimport.Import(ctx, db, src, boltimport.Options{BatchSize: 200, Progress: func(int64) {
			if steps++; steps > stop {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			if stop == 0 {
				t.Fatal("one transaction is all there is")
			}
			break
		}
		if !errors.Is(err, context.Canceled) || res.Records == 0 {
			t.Fatalf("stop %d: %+v, %v", stop, res, err)
		}
		other := source(t, nested(n+1))
		if _, err := boltimport.Import(t.Context(), db, other, boltimport.Options{}); !errors.Is(err, boltimport.ErrOtherFile) {
			t.Fatalf("another file: %v", err)
		}
		again, err := boltimport.Import(t.Context(), db, src, boltimport.Options{BatchSize: 300})
		if err != nil || again.Records != n+3 || again.Resumed != res.Records || again.Buckets != 5 {
			t.Fatalf("stop %d: %+v, %v", stop, again, err)
		}
		verify(t, db, n)
	}
}

func TestRefusals(t *testing.T) {
	one := func(names ...string) func(tx *bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			first, err := tx.CreateBucket([]byte("0 first"))
			if err != nil {
				return err
			}
			b, err := tx.CreateBucket([]byte(names[0]))
			for _, n := range names[1:] {
				if err == nil {
					b, err = b.CreateBucket([]byte(n))
				}
			}
			return errors.Join(err, first.Put([]byte("k"), []byte("v")))
		}
	}
	for name, c := range map[string]struct {
		fill func(tx *bolt.Tx) error
		want error
	}{
		"SQL's":          {one("sql", "schema"), boltimport.ErrName},
		"a state's":      {one("bolt", "import"), boltimport.ErrName},
		"the sequences'": {one("bolt", "sequences"), boltimport.ErrName},
		"a long name":    {one("a", strings.Repeat("n", 1024)), boltimport.ErrName},
		"taken":          {one("there"), boltimport.ErrTaken},
		"a value so large": {func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("b"))
			return errors.Join(err, b.Put([]byte("k"), bytes.Repeat([]byte("v"), engine.ValueSizeMax+1)))
		}, boltimport.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			if err := db.Update(func(tx *engine.Tx) error { _, err := tx.CreateCollection("there"); return err }); err != nil {
				t.Fatal(err)
			}
			if _, err := boltimport.Import(t.Context(), db, source(t, c.fill), boltimport.Options{}); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if names, _ := contents(t, db); !slices.Equal(names, []string{"there"}) {
				t.Errorf("left: %q", names)
			}
		})
	}
}
