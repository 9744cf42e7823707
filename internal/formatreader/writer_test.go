package formatreader

import (
	"bytes"
	"context"
	stdsql "database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// TestWritersNeverRepeat follows a database through many states and looks for
// what a writer must never use twice: salts of manifests (C13), of runs (R11)
// and of segments (W2), numbers of runs and ids of collections (C18). The
// catalog never stores its free list (C3).
func TestWritersNeverRepeat(t *testing.T) {
	base := t.TempDir()
	dir, key := filepath.Join(base, "d.byok"), filepath.Join(base, "dev.key")
	salts, names := map[string]string{}, map[uint32]string{}
	once := func(salt []byte, where string) {
		if have, ok := salts[string(salt)]; ok && have != where {
			t.Errorf("%s has the salt of %s", where, have)
		}
		salts[string(salt)] = where
	}
	for round := range 12 {
		db := openEngine(t, dir, key, &engine.Options{MemtableSize: 32 << 10, PageSize: 4096})
		name := fmt.Sprintf("c%d", round%3)
		update(t, db, name, func(c *engine.Collection) error {
			return c.Put(fmt.Append(nil, round), bytes.Repeat([]byte{1, 2, 3, byte(round)}, 16<<10))
		})
		if round%2 == 1 {
			err := db.Update(func(tx *engine.Tx) error { return tx.DropCollection(name) })
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		files := readTree(t, dir)
		checkFreeList(t, files["catalog.bolt"])
		for path, b := range files {
			switch filepath.Ext(path) {
			case ".run":
				once(b[48:80], "run "+path)
			case ".wal":
				once(b[48:80], fmt.Sprintf("segment %s from frame %d", path, binary.BigEndian.Uint64(b[80:])))
			}
		}
		buckets, err := readBuckets(filepath.Join(dir, "catalog.bolt"))
		if err != nil {
			t.Fatal(err)
		}
		m := buckets["byokdb"]["manifest"]
		once(m[38:70], fmt.Sprintf("manifest of generation %d", binary.BigEndian.Uint64(m[30:])))
		got, err := Open(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got.Collections {
			if have, ok := names[c.ID]; ok && have != c.Name {
				t.Errorf("collection id %d was %s's and is %s's", c.ID, have, c.Name)
			}
			names[c.ID] = c.Name
		}
	}
	runs := map[string]bool{}
	for _, where := range salts {
		if strings.HasPrefix(where, "run ") && runs[where] {
			t.Errorf("%s was written twice", where)
		}
		runs[where] = true
	}
	if len(salts) < 30 || len(names) < 6 {
		t.Errorf("only %d salts and %d collections were seen", len(salts), len(names))
	}
}

// checkFreeList checks that the newer meta page of a bbolt file names no page
// of free pages.
func checkFreeList(t *testing.T, b []byte) {
	t.Helper()
	if at := binary.LittleEndian.Uint64(b[newerMeta(b)+32:]); at != 1<<64-1 {
		t.Errorf("the catalog's free list is stored in page %d", at)
	}
}

// A lyingKey rewraps to something that does not unwrap.
type lyingKey struct{ crypt.Provider }

func (k lyingKey) Rewrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (crypt.Wrapped, crypt.Receipt, error) {
	w, r, err := k.Provider.Rewrap(ctx, w, c)
	w.Bytes = bytes.Clone(w.Bytes)
	w.Bytes[len(w.Bytes)-1] ^= 1
	return w, r, err
}

// TestRewrapIsSeenToUnwrap: an envelope is replaced only by one that unwraps (C10).
func TestRewrapIsSeenToUnwrap(t *testing.T) {
	base := t.TempDir()
	dir, file := filepath.Join(base, "d.byok"), filepath.Join(base, "dev.key")
	key, err := keyuri.Open(t.Context(), "local:"+file)
	if err != nil {
		t.Fatal(err)
	}
	envelope := func() string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "catalog.bolt") // the engine holds the lock of the other
		b, err := os.ReadFile(filepath.Join(dir, "catalog.bolt"))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, b)
		buckets, err := readBuckets(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(buckets["envelopes"][string(be32(1))])
	}
	for _, k := range []struct {
		key     crypt.Provider
		changes bool
	}{{lyingKey{key}, false}, {key, true}} {
		db, err := engine.Open(t.Context(), dir, k.key, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := envelope()
		err = db.Rewrap(t.Context())
		if (err == nil) != k.changes || (envelope() != before) != k.changes {
			t.Errorf("%T: rewrapped: %v; the envelope changed: %t", k.key, err, envelope() != before)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, file); err != nil {
			t.Error(err)
		}
	}
}

// TestSchemaNumbersAreNotUsedTwice makes and drops tables and indexes, and
// follows ids, roots (S1) and the version (S2).
func TestSchemaNumbersAreNotUsedTwice(t *testing.T) {
	base := t.TempDir()
	dir, key := filepath.Join(base, "d.byok"), filepath.Join(base, "dev.key")
	owner := map[uint64]string{}
	high, low := uint64(0), map[uint64]bool{}
	for round := range 6 {
		db := openEngine(t, dir, key, nil)
		statements := []string{`create table t (a integer primary key, b unique)`, `create index x on t (b)`, `create view v as select * from t`}
		if round%2 == 1 {
			statements = []string{`drop view v`, `drop table t`}
		}
		for _, s := range statements {
			execSQL(t, db, s)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := Open(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := got.Schema()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			for _, n := range []uint64{o.ID, o.Root} {
				who := fmt.Sprintf("%s of round %d", o.Name, round)
				if have, ok := owner[n]; ok && have != who {
					t.Errorf("number %d is %s's and was %s's", n, who, have)
				}
				if n > 0 {
					owner[n] = who
				}
			}
		}
		version := schemaVersion(t, got)
		if version>>32 != high+uint64(len(statements)) {
			t.Errorf("after %d statements the schema's version went from %d to %d", len(statements), high, version>>32)
		}
		high = version >> 32
		low[version&0xffffffff] = true
	}
	if len(owner) < 9 || len(low) < 6 {
		t.Errorf("only %d numbers, %d low halves", len(owner), len(low))
	}
}

func schemaVersion(t *testing.T, db *Database) uint64 {
	t.Helper()
	for _, c := range db.Collections {
		for _, r := range c.Records {
			if c.Name == "sql/schema" && string(r.Key) == "v" {
				return binary.BigEndian.Uint64(r.Value)
			}
		}
	}
	t.Fatal("the schema has no version")
	return 0
}

// TestTemporaryObjects reads what a connection has while it lasts, and nothing of
// it after the next opening (S5).
func TestTemporaryObjects(t *testing.T) {
	base := t.TempDir()
	dir, key := filepath.Join(base, "d.byok"), filepath.Join(base, "dev.key")
	place := regexp.MustCompile(`^sql/tmp/[0-9a-f]{16}/[0-9a-f]{16}/(schema|[ti]/[0-9]{10})$`)
	db := openEngine(t, dir, key, nil)
	pool := stdsql.OpenDB(bsql.NewConnector(db))
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.ExecContext(t.Context(), `create table t (a); create temp table x (a integer primary key autoincrement, b unique);
		insert into x (b) values ('temp'); create temp trigger g after insert on t begin insert into x (b) values (new.a); end`)
	if err != nil {
		t.Fatal(err)
	}
	for opening, want := range []map[string]int{{"schema": 5, "t": 1, "i": 1}, {}} { // objects, the version and a sequence
		if opening > 0 {
			db = openEngine(t, dir, key, nil)
			execSQL(t, db, `insert into t values (1)`)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := Open(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]int{}
		for _, c := range got.Collections {
			if !strings.HasPrefix(c.Name, "sql/tmp/") {
				continue
			}
			m := place.FindStringSubmatch(c.Name)
			if m == nil {
				t.Fatalf("a temporary collection is named %q", c.Name)
			}
			kind, _, _ := strings.Cut(m[1], "/")
			have[kind] += len(c.Records)
			for _, r := range c.Records {
				if m[1] == "schema" && r.Key[0] == 'o' {
					checkTemporary(t, r)
				}
			}
		}
		if !maps.Equal(have, want) {
			t.Errorf("opening %d: %v, want %v", opening, have, want)
		}
		objects, err := got.Schema()
		if err != nil || len(objects) != 1 {
			t.Errorf("the schema is %v, %v", objects, err)
		}
	}
	if err := errors.Join(conn.Close(), pool.Close()); err != nil {
		t.Error(err)
	}
}

func checkTemporary(t *testing.T, r Record) {
	t.Helper()
	o, err := DecodeObject(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	id := binary.BigEndian.Uint64(r.Key[1:])
	root := id
	if o.Type == "trigger" {
		root = 1 // it is on a table of main
	}
	if id <= 1<<32 || o.Root != root {
		t.Errorf("%s %s has the id %d and the root %d", o.Type, o.Name, id, o.Root)
	}
}
