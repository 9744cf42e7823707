package difftest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// savepointGen makes changes of rows and of the schema in transactions and
// savepoints, and takes them back.
type savepointGen struct {
	*gen
}

func (g *savepointGen) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *savepointGen) table() string { return g.pick("t1", "t1", "t2", "t2", "t3", "temp.t3") }

func (g *savepointGen) column() string { return g.pick("id", "a", "a", "b", "b", "c") }

func (g *savepointGen) value() string {
	return g.pick("1", "2", "3", "4", "NULL", "'x'", "'y'", "2.5")
}

// control begins and ends transactions and savepoints, often ones that are not there.
func (g *savepointGen) control() string {
	return g.pick("BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT s", "SAVEPOINT r", "SAVEPOINT s", "ROLLBACK TO s", "ROLLBACK TO r", "ROLLBACK TO s", "RELEASE s", "RELEASE r")
}

// schema changes the schema.
func (g *savepointGen) schema() string {
	plain := g.pick("t1", "t2", "t3")
	switch g.r.IntN(13) {
	case 0, 1, 2:
		temp := g.pick("", "", "", "TEMP ")
		if temp != "" {
			plain = "t3"
		}
		if g.chance(15) {
			return "CREATE " + temp + "TABLE " + g.pick("", "IF NOT EXISTS ") + plain + " AS SELECT id, a, b FROM " + g.table()
		}
		return "CREATE " + temp + "TABLE " + g.pick("", "IF NOT EXISTS ") + plain + "(id INTEGER PRIMARY KEY" + g.pick("", " AUTOINCREMENT") + ", a" + g.pick("", " UNIQUE", " UNIQUE ON CONFLICT REPLACE", " UNIQUE ON CONFLICT ROLLBACK", " CHECK (a <> 4)") +
			", b" + g.pick("", " DEFAULT 7", " NOT NULL", " REFERENCES t1", " REFERENCES t2 ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED") + ")"
	case 3:
		return "DROP TABLE " + g.pick("", "IF EXISTS ") + g.table()
	case 4, 5:
		return "CREATE " + g.pick("", "UNIQUE ") + "INDEX " + g.pick("", "IF NOT EXISTS ") + g.pick("i1", "i2", "i3") + " ON " + plain + "(" + g.column() + g.pick("", ", "+g.column(), " || 'x'") + ")" + g.pick("", "", " WHERE a > 1")
	case 6:
		return "DROP INDEX " + g.pick("", "IF EXISTS ") + g.pick("i1", "i2", "i3")
	case 7:
		return "CREATE VIEW " + g.pick("", "IF NOT EXISTS ") + g.pick("v1", "v2") + " AS SELECT id, a, b FROM " + plain
	case 8:
		return "DROP VIEW " + g.pick("", "IF EXISTS ") + g.pick("v1", "v2")
	case 9:
		return "CREATE TRIGGER " + g.pick("", "IF NOT EXISTS ") + g.pick("g1", "g2") + " AFTER " + g.pick("INSERT", "UPDATE", "DELETE") + " ON " + plain + " BEGIN INSERT INTO log VALUES ('" + plain + "', (SELECT count(*) FROM log)); END"
	case 10:
		return "DROP TRIGGER " + g.pick("", "IF EXISTS ") + g.pick("g1", "g2")
	default:
		return "ALTER TABLE " + g.table() + g.pick(" ADD COLUMN c", " ADD COLUMN c DEFAULT 'new'", " RENAME COLUMN b TO c", " RENAME c TO b", " DROP COLUMN c", " DROP COLUMN b", " RENAME TO t2", " RENAME TO t1", " RENAME TO t1") // SQLite takes a temporary t3 for one of main that an index is on
	}
}

// rows changes rows, but not OR FAIL: ids that it has given out before it fails are
// kept here, and not in SQLite's sqlite_sequence.
func (g *savepointGen) rows() string {
	or := g.pick("", "", "", "OR REPLACE ", "OR IGNORE ", "OR ROLLBACK ", "OR ABORT ")
	t := g.table()
	switch g.r.IntN(8) {
	case 0, 1, 2:
		return "INSERT " + or + "INTO " + t + "(a, b) VALUES (" + g.value() + ", " + g.value() + "), (" + g.value() + ", " + g.value() + ")"
	case 3:
		return "INSERT " + or + "INTO " + t + "(id, a, b) VALUES (" + strconv.Itoa(1+g.r.IntN(30)) + ", " + g.value() + ", " + g.value() + ")"
	case 4:
		return "INSERT " + or + "INTO " + t + "(a, b) SELECT a, b FROM " + g.table() + " ORDER BY id LIMIT 5"
	case 5, 6:
		return "UPDATE " + or + t + " SET " + g.column() + " = " + g.value() + " WHERE id = " + strconv.Itoa(1+g.r.IntN(10))
	default:
		return "DELETE FROM " + t + " WHERE id" + g.pick(" = ", " > ") + strconv.Itoa(1+g.r.IntN(10))
	}
}

// savepointLooks are compared now and then.
var savepointLooks = []string{
	"SELECT type, name, tbl_name, sql FROM main.sqlite_master", "SELECT type, name, tbl_name, sql FROM temp.sqlite_master",
	"SELECT * FROM t1", "SELECT * FROM t2", "SELECT * FROM main.t3", "SELECT * FROM temp.t3", "SELECT * FROM v1", "SELECT * FROM v2",
	"SELECT * FROM log", "SELECT * FROM main.sqlite_sequence", "SELECT * FROM temp.sqlite_sequence",
	"SELECT id FROM t1 WHERE a = 2", "SELECT id FROM t2 WHERE a || 'x' = '2x'", "SELECT id, a FROM t3 WHERE a > 1",
	"SELECT changes(), total_changes(), last_insert_rowid()", "PRAGMA foreign_key_check",
}

// TestSavepoints compares what transactions and savepoints leave of changes of rows
// and of the schema.
func TestSavepoints(t *testing.T) {
	s := seeded(t)
	n := *statements / 300
	if testing.Short() {
		n /= 4
	}
	for i := range uint64(max(n, 2)) {
		g := &savepointGen{gen: &gen{r: rand.New(rand.NewPCG(s, 59<<32+i))}}
		if !t.Run(fmt.Sprint(i), g.life) {
			return
		}
	}
}

// life is one database.
func (g *savepointGen) life(t *testing.T) {
	b := openBoth(t)
	b.change("CREATE TABLE log(what, n)")
	b.change("CREATE TABLE kept(id INTEGER PRIMARY KEY AUTOINCREMENT)") // here sqlite_sequence goes with the last of them
	b.change("CREATE TEMP TABLE keptt(id INTEGER PRIMARY KEY AUTOINCREMENT)")
	b.change("PRAGMA foreign_keys = " + g.pick("ON", "OFF"))
	done := 0
	for range 120 {
		switch k := g.r.IntN(10); {
		case k < 3:
			b.change(g.control())
		case k < 6:
			b.change(g.schema())
		default:
			b.change(g.rows())
		}
		if b.last == nil {
			done++
		}
		if g.chance(30) {
			for _, q := range savepointLooks {
				b.compare(q, false)
			}
		}
		if t.Failed() {
			return
		}
	}
	b.compare("PRAGMA integrity_check", false)
	if done == 0 {
		t.Error("no statement was done")
	}
	t.Logf("%d statements were done", done)
}
