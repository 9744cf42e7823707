package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/byokdb/byokdb/bench/peers/work"
)

// TestTurns has every engine of this program do all of the work on few rows. A
// turn fails when a row is not what it is made to be.
func TestTurns(t *testing.T) {
	turn := func(t *testing.T, name, part string, works []string) {
		t.Helper()
		s := work.Spec{
			Engine: name, Part: part, Dir: t.TempDir(), Round: 1, Rows: 400,
			Cache: 32 << 20, Time: 4 * time.Millisecond,
		}
		figures, err := work.Run(s, stores, sqls)
		if err != nil {
			t.Fatal(err)
		}
		if len(figures) != len(works) {
			t.Errorf("%s, %s: %d figures, not %d", name, part, len(figures), len(works))
		}
	}
	for _, e := range stores {
		turn(t, e.Name, "kv", work.StoreWorks())
	}
	for _, e := range sqls {
		turn(t, e.Name, "sql", work.SQLWorks())
	}
}

// TestEncrypted looks at the first bytes of a database.
func TestEncrypted(t *testing.T) {
	for _, e := range sqls {
		dir := t.TempDir()
		db, done, err := e.Open(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("CREATE TABLE t (a); PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
		if err := done(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "db.sqlite"))
		if err != nil {
			t.Fatal(err)
		}
		if clear := bytes.HasPrefix(b, []byte("SQLite format 3")); clear == e.Encrypted || len(b) == 0 {
			t.Errorf("%s: %d bytes, in the clear: %v", e.Name, len(b), clear)
		}
	}
}
