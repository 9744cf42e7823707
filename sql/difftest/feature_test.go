package difftest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var schemas = flag.Int("schemas", 25, "how many generated schemas with keys, triggers and generated columns to compare")

// schemaGen makes tables that refer to each other, with triggers, generated
// columns and indexes on expressions.
type schemaGen struct {
	*gen
	tables []*genTable
	// deferral is the same for all keys of a table: SQLite keeps the count of
	// deferred ones when an immediate one fails a statement of one row.
	deferral string
}

type genTable struct {
	name    string
	rowID   bool // has a row id: id is INTEGER PRIMARY KEY
	columns []string
}

func (g *schemaGen) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *schemaGen) action() string {
	return g.pick("", "", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON DELETE SET DEFAULT", " ON DELETE RESTRICT", " ON DELETE NO ACTION") +
		g.pick("", "", " ON UPDATE CASCADE", " ON UPDATE SET NULL", " ON UPDATE SET DEFAULT", " ON UPDATE RESTRICT") + g.deferral
}

// reference is a REFERENCES clause to one of the tables made so far, or to the
// table itself, whose column u has the type typeOfU. SQLite lets a row that is its
// own parent take a key of another type, which a column without affinity has.
func (g *schemaGen) reference(self, typeOfU string) string {
	parents := []string{self}
	for _, t := range g.tables {
		parents = append(parents, t.name)
	}
	parent, action := g.pick(parents...), g.action()
	if parent == self { // SQLite forgets to look for the parent when REPLACE compiles this action
		action = strings.ReplaceAll(action, "SET NULL", "CASCADE")
	}
	keys := []string{"", "(id)", "(u)"}
	if parent == self && typeOfU == "" {
		keys = keys[:2]
	}
	return " REFERENCES " + parent + g.pick(keys...) + action
}

// table returns the statements that make a table. Every one has the columns
// id, u (unique), v and two foreign keys, f and h.
func (g *schemaGen) table(name string) []string {
	g.deferral = g.pick("", "", "", " DEFERRABLE INITIALLY DEFERRED", " NOT DEFERRABLE")
	t := &genTable{name: name, rowID: g.chance(75), columns: []string{"id", "u", "v", "f", "h"}}
	key := "id INTEGER PRIMARY KEY"
	if !t.rowID {
		key = "id INT PRIMARY KEY"
	}
	u := g.pick("INT", "TEXT", "TEXT COLLATE NOCASE", "")
	cols := []string{
		key, "u " + u + " UNIQUE", "v " + g.pick("INT", "TEXT", "REAL") + g.pick("", " DEFAULT 1", " CHECK (v <> 9)"),
		"f INT" + g.pick("", " DEFAULT 1") + g.reference(name, u), "h " + g.pick("INT", "TEXT") + g.reference(name, u),
	}
	if g.chance(50) {
		cols = append(cols, "g1 "+g.pick("INT", "TEXT", "")+" AS ("+g.pick("v + 1", "v || u", "coalesce(u, f)", "f * 2")+")"+g.pick("", " STORED", " VIRTUAL"))
		t.columns = append(t.columns, "g1")
		if g.chance(50) {
			cols = append(cols, "g2 AS ("+g.pick("g1 || 'x'", "g1 + v", "typeof(g1)")+")"+g.pick("", " STORED"))
			t.columns = append(t.columns, "g2")
		}
	}
	end := ")"
	if !t.rowID {
		end = ") WITHOUT ROWID"
	}
	g.tables = append(g.tables, t)
	out := []string{"CREATE TABLE " + name + "(" + strings.Join(cols, ", ") + end}
	for i, key := range []string{"f", "v + 1", "lower(u)", "v, u", "f WHERE v > 2", t.columns[len(t.columns)-1]} {
		if g.chance(30) {
			cols, where, _ := strings.Cut(key, " WHERE ")
			if where != "" {
				where = " WHERE " + where
			}
			out = append(out, fmt.Sprintf("CREATE INDEX %s_i%d ON %s(%s)%s", name, i, name, cols, where))
		}
	}
	return out
}

// trigger writes what it sees to the log, or counts. What it does must not
// depend on the order of rows.
func (g *schemaGen) trigger(i int) string {
	t := g.tables[g.r.IntN(len(g.tables))]
	event := g.pick("INSERT", "UPDATE", "UPDATE OF v", "UPDATE OF f, u", "DELETE")
	row := "NEW"
	if event == "DELETE" || strings.HasPrefix(event, "UPDATE") && g.chance(50) {
		row = "OLD"
	}
	time := g.pick("BEFORE", "AFTER")
	when := ""
	if g.chance(40) {
		when = " WHEN " + row + g.pick(".v > 2", ".u IS NOT NULL", ".f = 1", ".v + 1 < 6")
	}
	col := g.pick(t.columns[1:]...)
	if time == "BEFORE" && row == "NEW" {
		col = g.pick(t.columns[1:5]...) // SQLite computes generated columns of what it has loaded
	}
	bodies := []string{
		fmt.Sprintf("INSERT INTO log(what, a, b) VALUES ('t%d', %s.%s, changes() * 0);", i, row, col),
		fmt.Sprintf("UPDATE acc SET n = n + 1 WHERE k = '%s';", t.name),
		fmt.Sprintf("INSERT INTO acc VALUES ('%s', 1) ON CONFLICT(k) DO UPDATE SET n = n + 10;", t.name),
		fmt.Sprintf("INSERT INTO log(what, a, b) SELECT 'acc', k, %s.v FROM acc WHERE k = '%s';", row, t.name),
	}
	if time == "BEFORE" {
		bodies = append(bodies, "SELECT RAISE(IGNORE) WHERE "+row+".v = 4;", "SELECT RAISE(ABORT, 'no') WHERE "+row+".v = 7;")
	}
	body := g.pick(bodies...)
	if g.chance(30) {
		body += " " + g.pick(bodies...)
	}
	return fmt.Sprintf("CREATE TRIGGER tr%d %s %s ON %s%s BEGIN %s END", i, time, event, t.name, when, body)
}

func (g *schemaGen) small() string { return g.pick("1", "2", "3", "4", "5", "6", "NULL", "'2'") }

func (g *schemaGen) id() string { return strconv.Itoa(1 + g.r.IntN(8)) }

func (g *schemaGen) rows(n int) string {
	var out []string
	for range n {
		out = append(out, "("+g.id()+", "+g.pick(g.small(), g.small(), "'a'", "'A'")+", "+g.pick(g.small(), "7", "9")+", "+g.small()+", "+g.small()+")")
	}
	return strings.Join(out, ", ")
}

// where names rows by their key alone, so that both visit them in one order.
func (g *schemaGen) where() string {
	return " WHERE " + g.pick("id = "+g.id(), "id > "+g.id(), "id <= "+g.id(), "id % 2 = 0", "id IN ("+g.id()+", "+g.id()+")")
}

func (g *schemaGen) statement() string {
	t := g.tables[g.r.IntN(len(g.tables))].name
	set := func() string {
		return g.pick("f = "+g.small(), "h = "+g.small(), "v = "+g.small(), "v = v + 1", "u = "+g.small(), "id = id + "+g.id(), "f = id, v = 3", "u = u || 'z'")
	}
	switch g.r.IntN(16) {
	case 0, 1, 2, 3:
		return "INSERT INTO " + t + "(id, u, v, f, h) VALUES " + g.rows(1+g.r.IntN(2))
	case 4:
		return "INSERT OR IGNORE INTO " + t + "(id, u, v, f, h) VALUES " + g.rows(2)
	case 5:
		return "REPLACE INTO " + t + "(id, u, v, f, h) VALUES " + g.rows(1)
	case 6:
		return "INSERT INTO " + t + "(id, u, v, f, h) VALUES " + g.rows(1) + " ON CONFLICT(id) DO UPDATE SET " + g.pick("v = excluded.v", "f = excluded.f", "u = excluded.u, h = NULL")
	case 7:
		return "INSERT INTO " + t + "(u, v, f) SELECT u || 's', v, f FROM " + t + " WHERE id = " + g.id()
	case 8, 9:
		return "UPDATE " + t + " SET " + set() + g.where()
	case 10:
		return "UPDATE OR " + g.pick("IGNORE ", "REPLACE ") + t + " SET " + set() + " WHERE id = " + g.id()
	case 11, 12:
		return "DELETE FROM " + t + g.where()
	case 13:
		return g.pick("BEGIN", "COMMIT", "COMMIT", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "ROLLBACK")
	case 14:
		return g.pick("PRAGMA defer_foreign_keys = ON", "PRAGMA recursive_triggers = ON", "PRAGMA recursive_triggers = OFF", "PRAGMA foreign_keys = ON")
	default:
		return "DELETE FROM log"
	}
}

func TestGeneratedSchemas(t *testing.T) {
	s := seeded(t)
	nStatements := 0
	for i := range *schemas {
		b := openBoth(t)
		if i%3 == 1 {
			b.spill()
		}
		g := &schemaGen{gen: &gen{r: rand.New(rand.NewPCG(s, uint64(i)))}}
		ddl := []string{"CREATE TABLE log(what, a, b)", "CREATE TABLE acc(k PRIMARY KEY, n INT)"}
		for _, name := range []string{"p", "q", "r"}[:1+g.r.IntN(3)] {
			ddl = append(ddl, g.table(name)...)
		}
		for j := range g.r.IntN(6) {
			ddl = append(ddl, g.trigger(j))
		}
		if g.chance(85) {
			ddl = append(ddl, "PRAGMA foreign_keys = ON")
		}
		for _, q := range ddl {
			b.change(q)
		}
		for range 80 {
			b.change(g.statement())
			for _, table := range g.tables {
				b.compare("SELECT * FROM "+table.name, false)
			}
			b.compare("SELECT * FROM log", false)
			b.compare("SELECT * FROM acc", false)
			b.compare("SELECT changes(), total_changes(), last_insert_rowid()", false)
			nStatements++
			if t.Failed() {
				t.FailNow()
			}
		}
		for _, table := range g.tables {
			b.compare("PRAGMA foreign_key_check("+table.name+")", false)
			b.compare("SELECT count(*), "+table.columns[len(table.columns)-1]+" FROM "+table.name+" GROUP BY 2", false)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if nStatements == 0 {
		t.Error("no statement was compared")
	}
	t.Logf("%d statements", nStatements)
}

// window returns a call of a window function. Its order is total, so that
// ties have no order of their own.
func (g *gen) window(table string) string {
	col := func() string { return g.pick(columns[table]...) }
	order := g.pick("id", col()+", id", col()+" DESC, id DESC", col()+" NULLS LAST, id", "a + 1, id")
	bound := func() string { return g.pick("1 ", "2 ", "0 ", "5 ") }
	frame := ""
	switch g.r.IntN(6) {
	case 0:
	case 1:
		frame = " " + g.pick("ROWS ", "GROUPS ", "RANGE ") + g.pick("UNBOUNDED PRECEDING", "CURRENT ROW", "BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING")
	case 2:
		frame = " RANGE BETWEEN " + bound() + "PRECEDING AND " + bound() + g.pick("PRECEDING", "FOLLOWING")
		order = g.pick("id", "id DESC")
	default:
		frame = " " + g.pick("ROWS ", "GROUPS ") + "BETWEEN " + g.pick(bound()+"PRECEDING AND "+bound()+"PRECEDING", bound()+"PRECEDING AND "+bound()+"FOLLOWING", bound()+"FOLLOWING AND "+bound()+"FOLLOWING")
	}
	if frame != "" {
		frame += g.pick("", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS")
	}
	name := g.pick("row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile("+g.pick("1", "2", "3", "7")+")",
		"lag("+col()+")", "lead("+col()+", 2, 'none')", "first_value("+col()+")", "last_value("+col()+")", "nth_value("+col()+", 2)",
		"count(*)", "count("+col()+")", "total(id)", "sum(id)", "avg(id)", "min(id)", "max(id)", "group_concat(id)", "sum("+col()+")", "total("+col()+")", "avg("+col()+")")
	filter := ""
	if slices.Contains([]string{"count(*)", "total(id)", "sum(id)", "max(id)", "group_concat(id)"}, name) && g.r.IntN(3) == 0 {
		filter = " FILTER (WHERE " + g.expr([]string{table}, 1) + ")"
	}
	partition := ""
	if g.r.IntN(2) == 0 {
		partition = "PARTITION BY " + col() + " "
	}
	return name + filter + " OVER (" + partition + "ORDER BY " + order + frame + ")"
}

func TestGeneratedWindows(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := &gen{r: rand.New(rand.NewPCG(*seed, 3)), flat: true}
	for n := 0; n < *statements/2; {
		b := openBoth(t)
		if n/150%2 == 1 {
			b.spill()
		}
		for _, q := range append(slices.Clone(tables), indexes...) {
			b.change(q)
		}
		for range 25 {
			b.change("INSERT INTO t1(a, b, c, d) VALUES " + g.row(4))
			b.change("INSERT INTO t2(a, e, f) VALUES " + g.row(3))
		}
		for range 150 {
			table := g.pick("t1", "t2")
			where := ""
			if g.r.IntN(2) == 0 {
				where = " WHERE " + g.expr([]string{table}, 2)
			}
			b.compare("SELECT id, "+g.window(table)+", "+g.window(table)+" FROM "+table+where+" ORDER BY id", true)
			n++
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// TestFunctionList compares what PRAGMA function_list says of the functions that
// both have.
func TestFunctionList(t *testing.T) {
	b := openBoth(t)
	const list = "SELECT name, builtin, type, enc, narg, flags FROM pragma_function_list"
	ours, err := b.ours(list)
	if err != nil || len(ours) < 100 {
		t.Fatalf("%d functions, error %v", len(ours), err)
	}
	theirs, err := b.theirs(list)
	if err != nil {
		t.Fatal(err)
	}
	name := func(row string) string { return row[:strings.IndexByte(row, '|')] }
	known := map[string]bool{}
	for _, row := range ours {
		known[name(row)] = true
		if !slices.Contains(theirs, row) {
			t.Errorf("SQLite has no %s", row)
		}
	}
	for _, row := range theirs {
		if known[name(row)] && !slices.Contains(ours, row) {
			t.Errorf("byokdb has no %s", row)
		}
	}
}
