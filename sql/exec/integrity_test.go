package exec

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// changeIndex changes the records of an index behind its table's back.
func changeIndex(t *testing.T, s *Session, index string, change func(c *engine.Collection) error) {
	t.Helper()
	err := s.d.db.Update(func(tx *engine.Tx) error {
		sc, err := s.d.schemaOf(tx)
		if err != nil {
			return err
		}
		c, err := tx.Collection(schema.IndexCollection(sc.Index(index).Root))
		if err != nil {
			return err
		}
		return change(c)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// emptied deletes all entries of an index.
func emptied(t *testing.T, s *Session, index string) {
	t.Helper()
	changeIndex(t, s, index, func(c *engine.Collection) error {
		var keys [][]byte
		cur := c.Cursor(nil, nil)
		for cur.Next() {
			keys = append(keys, append([]byte(nil), cur.Key()...))
		}
		for _, k := range keys {
			if err := c.Delete(k); err != nil {
				return err
			}
		}
		return errors.Join(cur.Err(), cur.Close())
	})
}

// TestIntegrityCheckOfStoredKeys: tables without a row id, whose index entries
// name the row. sql/difftest compares what SQLite has too.
func TestIntegrityCheckOfStoredKeys(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE w(k TEXT PRIMARY KEY, v INT UNIQUE, x) WITHOUT ROWID; CREATE INDEX wx ON w(x) WHERE x > 0; CREATE VIEW vw AS SELECT * FROM w")
	mustScript(t, s, "INSERT INTO w VALUES ('a', 1, 1), ('b', 2, -1), ('c', NULL, 2), ('d', NULL, 3)")
	if got := mustScript(t, s, "PRAGMA integrity_check"); got != "ok\n" {
		t.Fatal(got)
	}
	emptied(t, s, "wx")
	if got, want := mustScript(t, s, "PRAGMA integrity_check"), "row 1 missing from index wx\nrow 3 missing from index wx\nrow 4 missing from index wx\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := mustScript(t, s, "PRAGMA integrity_check(2)"), "row 1 missing from index wx\nrow 3 missing from index wx\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	mustScript(t, s, "DROP INDEX wx; CREATE INDEX wx ON w(x) WHERE x > 0")
	emptied(t, s, "sqlite_autoindex_w_2")
	want := "wrong # of entries in index sqlite_autoindex_w_2\n"
	if got := mustScript(t, s, "PRAGMA quick_check"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	mustScript(t, s, "INSERT INTO w VALUES ('e', 1, 0)") // the index does not know of the other 1
	want += "row 1 missing from index sqlite_autoindex_w_2\nrow 2 missing from index sqlite_autoindex_w_2\n" +
		"row 3 missing from index sqlite_autoindex_w_2\nrow 4 missing from index sqlite_autoindex_w_2\n"
	if got := mustScript(t, s, "PRAGMA integrity_check(w)"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := mustScript(t, s, "PRAGMA integrity_check(vw)"); got != "ok\n" {
		t.Errorf("of a view: %s", got)
	}
}

// TestIntegrityCheckFindsRowsThatAreAlike: both rows are in a unique index.
func TestIntegrityCheckFindsRowsThatAreAlike(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX ta ON t(a); INSERT INTO t VALUES (1, 'x'), (2, 'y')")
	err := s.d.db.Update(func(tx *engine.Tx) error {
		sc, err := s.d.schemaOf(tx)
		if err != nil {
			return err
		}
		rows, err := tx.Collection(schema.TableCollection(sc.Table("t").Root))
		if err != nil {
			return err
		}
		entries, err := tx.Collection(schema.IndexCollection(sc.Index("ta").Root))
		if err != nil {
			return err
		}
		entry := appendRowID(appendKeyValue(nil, text("x"), keyColumn{col: 1}), 3)
		return errors.Join(rows.Put(appendRowID(nil, 3), encodeRow([]value.Value{{}, text("x")})), entries.Put(entry, nil))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mustScript(t, s, "PRAGMA integrity_check"), "non-unique entry in index ta\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIntegrityCheckEndsWithItsContext(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a); CREATE INDEX ta ON t(a)")
	mustScript(t, s, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3000) INSERT INTO t SELECT n FROM r")
	st, _, err := s.Prepare(context.Background(), "PRAGMA integrity_check")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rows, err := s.Query(ctx, st, nil)
	if err == nil {
		err = rows.Next(nil)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestIntegrityCheckHoldsNoRows: texts of faults name places, not values.
func TestIntegrityCheckHoldsNoRows(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a); CREATE INDEX ta ON t(a); INSERT INTO t VALUES ('secret'), ('secret2')")
	emptied(t, s, "ta")
	if got := mustScript(t, s, "PRAGMA integrity_check"); strings.Contains(got, "secret") {
		t.Error(got)
	}
	f := drained(t, s, "PRAGMA integrity_check")
	if f.mem != 0 || f.granted != 0 {
		t.Errorf("%d B are held after the statement", f.mem)
	}
}
