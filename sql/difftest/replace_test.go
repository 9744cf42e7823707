package difftest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// replaceGen makes a table with several unique keys, whose triggers and foreign keys
// write to the table itself: what REPLACE deletes may put another row in the way, or
// change the row that is being changed. All statements concern one row, so that no
// order of rows shows.
type replaceGen struct {
	*gen
	withoutRowID bool
	child        bool // there is a table c, whose rows refer to those of t
}

func (g *replaceGen) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *replaceGen) small() string { return g.pick("1", "2", "3", "4", "5", "6") }

func (g *replaceGen) any() string {
	return g.pick(g.small(), g.small(), g.small(), "NULL", "'2'", "11", "12", "13")
}

// tables returns the statements that make the table t, whose columns are id, u, v, w
// and f. No action is SET NULL: where REPLACE compiles one, SQLite forgets to look for
// parents.
func (g *replaceGen) tables() []string {
	onConflict := func() string {
		return g.pick("", "", "", " ON CONFLICT REPLACE", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE", " ON CONFLICT FAIL")
	}
	key := "id INTEGER PRIMARY KEY" + onConflict()
	end := ""
	switch g.r.IntN(4) {
	case 0:
		g.withoutRowID = true
		key, end = "id INT PRIMARY KEY"+onConflict(), " WITHOUT ROWID"
	case 1:
		key = "id INT PRIMARY KEY" + onConflict()
	}
	foreign := ""
	if g.chance(50) {
		foreign = " REFERENCES t(" + g.pick("id", "u") + ")" +
			g.pick("", " ON DELETE CASCADE", " ON DELETE CASCADE", " ON DELETE SET DEFAULT", " ON DELETE RESTRICT") +
			g.pick("", " ON UPDATE CASCADE", " ON UPDATE SET DEFAULT") + g.pick("", "", " DEFERRABLE INITIALLY DEFERRED")
	}
	unique := func(c string) string {
		return c + g.pick(" INT", " INT", " TEXT", "") + g.pick(" UNIQUE"+onConflict(), " UNIQUE"+onConflict(), "")
	}
	out := []string{
		"CREATE TABLE t(" + key + ", u INT UNIQUE" + onConflict() + ", " + unique("v") + ", w INT" + g.pick("", " DEFAULT 5", " CHECK (w <> 6)") +
			", f INT" + g.pick("", " DEFAULT 1") + " UNIQUE" + onConflict() + foreign + ")" + end,
		"CREATE TABLE log(n INTEGER PRIMARY KEY, what, a, b)",
	}
	if g.child = g.chance(40); g.child {
		out = append(out, "CREATE TABLE c(id INTEGER PRIMARY KEY, p INT"+g.pick("", " DEFAULT 1", " DEFAULT 2")+" UNIQUE"+onConflict()+" REFERENCES t("+g.pick("id", "u")+")"+
			g.pick("", " ON DELETE CASCADE", " ON DELETE SET DEFAULT")+g.pick("", " ON UPDATE CASCADE", " ON UPDATE SET DEFAULT")+
			g.pick("", " DEFERRABLE INITIALLY DEFERRED")+", x)")
	}
	for i, on := range []string{"w", "w, v", "w WHERE v > 2", "w + u", "v"} {
		if g.chance(25) {
			columns, where, _ := strings.Cut(on, " WHERE ")
			if where != "" {
				where = " WHERE " + where
			}
			out = append(out, fmt.Sprintf("CREATE %sINDEX t_i%d ON t(%s)%s", g.pick("UNIQUE ", "UNIQUE ", ""), i, columns, where))
		}
	}
	return out
}

// step is one statement of a trigger, for the row OLD or NEW.
func (g *replaceGen) step(row string, before bool) string {
	column := g.pick("u", "v", "w", "f")
	switch g.r.IntN(10) {
	case 0, 1:
		return "INSERT INTO log(what, a, b) SELECT 'see', " + row + ".id, max(" + column + ") FROM t;"
	case 2:
		return "UPDATE t SET " + column + " = " + g.pick(row+"."+column, g.any(), column+" + 10", "coalesce("+column+", 1) + 1") + " WHERE id = " + g.pick(row+".id", row+".id + 1", g.small()) + ";"
	case 3:
		return "INSERT " + g.pick("", "OR IGNORE ", "OR REPLACE ") + "INTO t(id, u, v, w, f) VALUES (" + row + ".id, " + row + ".u, " + row + "." + g.pick("v", "w") + ", " + g.any() + ", " + g.pick("NULL", row+".f") + ");"
	case 4:
		return "INSERT " + g.pick("", "OR IGNORE ", "OR REPLACE ") + "INTO t(id, u, v, w) VALUES (" + row + ".id + 10, " + g.any() + ", " + row + ".v, " + g.any() + ");"
	case 5:
		return "DELETE FROM t WHERE id = " + g.pick(row+".id", row+".id + 1", g.small()) + ";"
	case 6:
		if before {
			return "SELECT RAISE(IGNORE) WHERE " + row + g.pick(".w > 2", ".v = 2", ".u < 4", ".id % 2") + ";"
		}
		return "UPDATE t SET id = " + row + ".id WHERE id = " + g.small() + ";"
	case 7:
		return "SELECT RAISE(" + g.pick("ABORT", "FAIL") + ", 'no') WHERE " + row + g.pick(".w = 4", ".v = 5", ".u = 6") + ";"
	default:
		return "INSERT INTO log(what, a, b) VALUES ('" + g.pick("x", "y") + "', " + row + ".id, " + row + "." + column + ");"
	}
}

func (g *replaceGen) trigger(i int) string {
	table, event := "t", g.pick("DELETE", "DELETE", "DELETE", "INSERT", "UPDATE", "UPDATE OF u, w")
	row := "OLD"
	if event != "DELETE" {
		row = "NEW"
	}
	time := g.pick("BEFORE", "AFTER", "AFTER")
	body := ""
	for range 1 + g.r.IntN(3) {
		body += " " + g.step(row, time == "BEFORE")
	}
	// What is in the log ends what triggers set off.
	when := " WHEN (SELECT count(*) FROM log) < " + g.pick("6", "10", "14")
	body = " INSERT INTO log(what) VALUES ('g" + fmt.Sprint(i) + "');" + body
	if g.child && g.chance(40) { // its rows have other columns
		table, event = "c", g.pick("DELETE", "UPDATE", "INSERT")
		if event == "INSERT" {
			body = strings.ReplaceAll(body, "OLD.", "NEW.")
		}
		if event == "DELETE" {
			body = strings.ReplaceAll(body, "NEW.", "OLD.")
		}
		body = ofChild.Replace(body)
	}
	return fmt.Sprintf("CREATE TRIGGER g%d %s %s ON %s%s BEGIN%s END", i, time, event, table, when, body)
}

// ofChild puts columns of c in the place of those of t.
var ofChild = strings.NewReplacer("OLD.u", "OLD.p", "OLD.f", "OLD.p", "OLD.v", "OLD.x", "OLD.w", "OLD.x", "NEW.u", "NEW.p", "NEW.f", "NEW.p", "NEW.v", "NEW.x", "NEW.w", "NEW.x")

func (g *replaceGen) statement() string {
	if g.child && g.chance(25) {
		return g.pick(
			"INSERT "+g.pick("", "OR REPLACE ", "OR IGNORE ")+"INTO c(id, p, x) VALUES ("+g.small()+", "+g.any()+", "+g.small()+")",
			"INSERT "+g.pick("", "OR REPLACE ", "OR IGNORE ")+"INTO c(id, p, x) VALUES ("+g.small()+", "+g.small()+", "+g.small()+")",
			"UPDATE "+g.pick("", "OR REPLACE ")+"c SET p = "+g.small()+" WHERE id = "+g.small(),
			"DELETE FROM c WHERE id = "+g.small())
	}
	or := g.pick("", "OR REPLACE ", "OR REPLACE ", "OR REPLACE ", "OR IGNORE ", "OR FAIL ", "OR ABORT ")
	row := "(" + g.small() + ", " + g.any() + ", " + g.any() + ", " + g.any() + ", " + g.pick("NULL", g.small()) + ")"
	set := g.pick("u", "v", "w", "f", "id") + " = " + g.small()
	if g.chance(50) {
		set += ", " + g.pick("u", "v", "w", "f", "id") + " = " + g.any()
	}
	switch g.r.IntN(9) {
	case 0, 1, 2:
		return "INSERT " + or + "INTO t(id, u, v, w, f) VALUES " + row
	case 3:
		if g.withoutRowID {
			return "INSERT " + or + "INTO t(id, u, v, w) VALUES (" + g.small() + ", " + g.any() + ", " + g.any() + ", " + g.any() + ")"
		}
		return "INSERT " + or + "INTO t(u, v, w) VALUES (" + g.any() + ", " + g.any() + ", " + g.any() + ")"
	case 4:
		return "INSERT " + or + "INTO t(id, u, v, w, f) VALUES " + row + " ON CONFLICT(" + g.pick("id", "u") + ") DO " + g.pick("NOTHING", "UPDATE SET w = excluded.w", "UPDATE SET v = excluded.v, u = excluded.u")
	case 5:
		return "DELETE FROM t WHERE id = " + g.small()
	default:
		return "UPDATE " + or + "t SET " + set + " WHERE id = " + g.small()
	}
}

// TestReplace compares what REPLACE leaves where the rows that it deletes set off
// changes of the same table.
func TestReplace(t *testing.T) {
	s := seeded(t)
	n := *statements / 25
	if testing.Short() {
		n /= 4
	}
	for i := range uint64(n) {
		g := &replaceGen{gen: &gen{r: rand.New(rand.NewPCG(s, 53<<32+i))}}
		if !t.Run(strconv.FormatUint(i, 10), g.life) {
			return
		}
	}
}

// life compares the statements on one table.
func (g *replaceGen) life(t *testing.T) {
	b := openBoth(t)
	for _, q := range g.tables() {
		b.change(q)
	}
	b.change("PRAGMA foreign_keys = " + g.pick("ON", "OFF"))
	for range 5 {
		b.change("INSERT OR IGNORE INTO t(id, u, v, w) VALUES (" + g.small() + ", " + g.any() + ", " + g.any() + ", " + g.any() + ")")
	}
	for i := range 1 + g.r.IntN(3) {
		b.change(g.trigger(i))
	}
	b.change("PRAGMA recursive_triggers = " + g.pick("ON", "ON", "ON", "OFF"))
	for range 25 {
		b.change(g.statement())
		if broken, err := b.theirs("PRAGMA integrity_check"); err != nil || broken[0] != `"ok"` {
			break // SQLite writes a row that the action of a foreign key has changed meanwhile beside its old index records
		}
		b.compare("SELECT * FROM t", false)
		b.compare("SELECT * FROM log", false)
		if g.child {
			b.compare("SELECT * FROM c", false)
		}
		b.compare("SELECT changes(), total_changes()", false)
		b.compare("PRAGMA integrity_check", false)
		if t.Failed() {
			return
		}
		b.change("DELETE FROM log")
	}
	if sound, err := b.ours("PRAGMA integrity_check"); err != nil || sound[0] != `"ok"` {
		t.Error(sound, err)
	}
}
