package difftest

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// faulty makes the same faults in a table on both: rows come in under the loose
// definition of the table on SQLite, and as records here.
func (b *both) faulty(db *engine.DB, loose, strict string, rows [][]value.Value) {
	b.t.Helper()
	name := strings.Fields(strict)[2]
	name, _, _ = strings.Cut(name, "(")
	if _, err := b.ours(strict); err != nil {
		b.t.Fatal(err)
	}
	root := b.root(name)
	err := db.Update(func(tx *engine.Tx) error {
		c, err := tx.Collection(schema.TableCollection(root))
		if err != nil {
			return err
		}
		for i, r := range rows {
			if err := c.Put(record.AppendRowID(nil, int64(i)+1), record.Encode(nil, r)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.lites(loose)
	for _, r := range rows {
		var cells []string
		for _, v := range r {
			cells = append(cells, sqlLiteral(v))
		}
		b.lites("INSERT INTO " + name + " VALUES (" + strings.Join(cells, ", ") + ")")
	}
	b.lites("PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = '"+strings.ReplaceAll(strict, "'", "''")+"' WHERE name = '"+name+"'",
		"PRAGMA writable_schema = RESET")
}

func sqlLiteral(v value.Value) string {
	switch v.Kind() {
	case value.Null:
		return "NULL"
	case value.Text:
		return "'" + v.Str() + "'"
	case value.Blob:
		return "x'" + hex.EncodeToString([]byte(v.AsText())) + "'"
	default:
		return v.AsText()
	}
}

func (b *both) lites(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if _, err := b.theirs(text); err != nil {
			b.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (b *both) root(name string) uint64 {
	b.t.Helper()
	rows, err := b.ours("SELECT rootpage FROM sqlite_schema WHERE name = '" + name + "'")
	if err != nil || len(rows) != 1 {
		b.t.Fatal(rows, err)
	}
	root, err := strconv.ParseUint(strings.TrimPrefix(rows[0], "i"), 10, 64)
	if err != nil {
		b.t.Fatal(err)
	}
	return root
}

// sameFaults compares the checks, whose tables come in any order.
func (b *both) sameFaults(texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		got, err := b.ours(text)
		if err != nil {
			b.t.Fatal(text, err)
		}
		want, err := b.theirs(text)
		if err != nil {
			b.t.Fatal(text, err)
		}
		if !slices.Equal(got, want) || len(want) == 0 {
			b.t.Errorf("%s\nbyokdb: %q\nSQLite: %q", text, got, want)
		}
	}
}

func TestIntegrityOfRows(t *testing.T) {
	i, x, s, null := value.NewInt, value.NewFloat, value.NewText, value.Value{}
	blob := value.NewBlob("\x01")
	rows := [][]value.Value{
		{i(1), s("a"), x(1), blob, s("x")},
		{null, null, null, null, null},
		{s("12"), i(5), s("1.5"), s("t"), i(-1)},
		{x(1.5), x(2.5), s("z"), i(3), i(0)},
		{s("ab"), blob, i(7), x(0.5), x(-2)},
		{blob, s(""), blob, null, null},
	}
	for name, strict := range map[string]string{
		"not null": "CREATE TABLE t(a NOT NULL, b TEXT NOT NULL, c, d, e NOT NULL)",
		"affinity": "CREATE TABLE t(a INTEGER, b TEXT, c REAL, d BLOB, e NUMERIC NOT NULL)",
		"check":    "CREATE TABLE t(a, b, c, d, e CHECK (e > 0), CHECK (a IS NOT 1.5), CONSTRAINT n CHECK (e <> 0))",
		"strict":   "CREATE TABLE t(a INT, b TEXT, c REAL NOT NULL, d BLOB, e ANY) STRICT",
		"integers": "CREATE TABLE t(a INTEGER NOT NULL, b ANY, c INTEGER, d INT CHECK (d < 1), e INTEGER) STRICT",
	} {
		t.Run(name, func(t *testing.T) {
			b, db := openBothWith(t, nil)
			loose := "CREATE TABLE t(a, b, c, d, e)"
			if strings.HasSuffix(strict, "STRICT") {
				loose = "CREATE TABLE t(a ANY, b ANY, c ANY, d ANY, e ANY) STRICT"
			}
			b.faulty(db, loose, strict, rows)
			b.sameFaults("PRAGMA integrity_check", "PRAGMA quick_check", "PRAGMA integrity_check(t)", "PRAGMA integrity_check(2)",
				"PRAGMA quick_check(1)", "PRAGMA quick_check(0)", "SELECT quick_check FROM pragma_quick_check('t')",
				"SELECT count(*), min(integrity_check) FROM pragma_integrity_check")
		})
	}
}

// TestIntegrityOfIndexes writes rows behind the back of indexes, and indexes
// behind that of rows.
func TestIntegrityOfIndexes(t *testing.T) {
	for name, c := range map[string]struct {
		index  string
		behind []string // SQLite: while the index is away
		change func(rows, index *engine.Collection) error
	}{
		"missing": {
			"CREATE INDEX i ON t(a)",
			[]string{"INSERT INTO t VALUES (4, 'd'), (9, 'd')"},
			func(rows, _ *engine.Collection) error { return putRows(rows, putRow{4, "d"}, putRow{9, "d"}) },
		},
		"extra": {
			"CREATE INDEX i ON t(a)",
			[]string{"DELETE FROM t WHERE id = 2"},
			func(rows, _ *engine.Collection) error { return rows.Delete(record.AppendRowID(nil, 2)) },
		},
		"other": {
			"CREATE INDEX i ON t(a DESC)",
			[]string{"UPDATE t SET a = 'z' WHERE id = 2"},
			func(rows, _ *engine.Collection) error { return putRows(rows, putRow{2, "z"}) },
		},
		"partial": {
			"CREATE INDEX i ON t(a) WHERE a > 'b'",
			[]string{"INSERT INTO t VALUES (4, 'a'), (5, 'x')"},
			func(rows, _ *engine.Collection) error { return putRows(rows, putRow{4, "a"}, putRow{5, "x"}) },
		},
		"expression": {
			"CREATE INDEX i ON t(a || '!')",
			[]string{"INSERT INTO t VALUES (5, 'x')"},
			func(rows, _ *engine.Collection) error { return putRows(rows, putRow{5, "x"}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, db := openBothWith(t, nil)
			for _, text := range []string{"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", c.index} {
				b.change(text)
			}
			b.sameFaults("PRAGMA integrity_check")
			table, index := b.root("t"), b.root("i")
			err := db.Update(func(tx *engine.Tx) error {
				rows, err := tx.Collection(schema.TableCollection(table))
				if err != nil {
					return err
				}
				entries, err := tx.Collection(schema.IndexCollection(index))
				if err != nil {
					return err
				}
				return c.change(rows, entries)
			})
			if err != nil {
				t.Fatal(err)
			}
			b.lites("CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'i'", "PRAGMA writable_schema = ON",
				"DELETE FROM sqlite_schema WHERE name = 'i'", "PRAGMA writable_schema = RESET")
			b.lites(c.behind...)
			b.lites("PRAGMA writable_schema = ON", "INSERT INTO sqlite_schema SELECT * FROM kept", "PRAGMA writable_schema = RESET")
			b.sameFaults("PRAGMA integrity_check(t)", "PRAGMA quick_check(t)", "SELECT integrity_check FROM pragma_integrity_check('t')")
		})
	}
}

// putRow is a row of t.
type putRow struct {
	id int64
	a  string
}

// putRows writes rows, and nothing to an index.
func putRows(to *engine.Collection, rows ...putRow) error {
	for _, r := range rows {
		rec := record.Encode(nil, []value.Value{{}, value.NewText(r.a)})
		if err := to.Put(record.AppendRowID(nil, r.id), rec); err != nil {
			return err
		}
	}
	return nil
}
