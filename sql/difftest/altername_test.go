package difftest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func (g *nameGen) base() *nameTable {
	for {
		if t := g.tables[g.r.IntN(len(g.tables))]; !t.view && (g.temp || !t.temp) {
			return t
		}
	}
}

// step is one statement of a trigger.
func (g *nameGen) step(rows *nameScope) string {
	t := g.base()
	name := g.written(t.name)
	if t.temp && g.temp {
		name = g.pick("", "temp.") + name
	}
	own := &nameScope{items: []nameTable{*t}, outer: rows}
	col := func() string { return g.written(g.pick(t.cols...)) }
	switch g.r.IntN(6) {
	case 0:
		q, _ := g.view(rows)
		return q
	case 1:
		return "DELETE FROM " + name + " WHERE " + g.expr(own, 1) + " AND " + g.column(own) + " = 3"
	case 2, 3:
		set := col() + " = " + g.expr(own, 1)
		if g.chance(20) {
			set = "(" + col() + ", " + col() + ") = (" + g.column(own) + ", " + g.expr(own, 2) + ")"
		}
		if g.chance(30) {
			item, it := g.source(rows, nil)
			both := &nameScope{items: []nameTable{*t, it}, outer: rows}
			return "UPDATE " + name + " SET " + col() + " = " + g.column(both) + " FROM " + item + " WHERE " + g.column(both) + " = " + g.column(both)
		}
		return "UPDATE " + name + " SET " + set + " WHERE " + g.expr(own, 1)
	case 4:
		from, in := g.from(rows, 1)
		return "INSERT INTO " + name + "(" + col() + ") SELECT " + g.expr(in, 1) + from
	default:
		c := g.pick(t.cols...)
		text := " INTO " + name + "(" + g.written(t.cols[0]) + ", " + g.written(t.cols[len(t.cols)-1]) + ") VALUES (" + g.expr(rows, 1) + ", " + g.column(rows) + ")"
		if t.cols[0] == "id" || g.chance(30) {
			set := g.expr(own, 1)
			if !g.renames {
				set = g.pick("excluded.", "EXCLUDED.", `"excluded".`) + g.written(g.pick(t.cols...)) + " || " + set
			}
			return "INSERT" + text + " ON CONFLICT (" + g.written(t.cols[0]) + ") DO UPDATE SET " + g.written(c) + " = " + set + g.pick("", " WHERE "+g.expr(own, 1))
		}
		return "INSERT" + text
	}
}

func (g *nameGen) trigger() string {
	g.n++
	var t *nameTable
	for t == nil || t.temp && !g.temp {
		t = g.tables[g.r.IntN(len(g.tables))]
	}
	rows := &nameScope{}
	event := g.pick("INSERT", "UPDATE", "DELETE")
	if event != "DELETE" {
		rows.items = append(rows.items, nameTable{name: "new", cols: t.cols})
	}
	if event != "INSERT" {
		rows.items = append(rows.items, nameTable{name: "old", cols: t.cols})
	}
	if event == "UPDATE" && g.chance(60) && len(t.cols) > 0 {
		event += " OF " + g.written(g.pick(t.cols...)) + g.pick("", ", "+g.written(g.pick(t.cols...)))
	}
	when := g.pick("AFTER ", "BEFORE ", "")
	if t.view {
		when = "INSTEAD OF "
	}
	text := "CREATE " + map[bool]string{true: "TEMP "}[g.temp] + fmt.Sprintf("TRIGGER g%d ", g.n) + when + event + " ON " + g.written(t.name)
	if g.chance(30) {
		text += " WHEN " + g.expr(rows, 1)
	}
	text += " BEGIN "
	for range 1 + g.r.IntN(2) {
		text += g.step(rows) + "; "
	}
	return finished(text + "END")
}

// make returns a CREATE VIEW, CREATE TRIGGER or CREATE INDEX.
func (g *nameGen) make() string {
	g.temp = g.chance(15)
	defer func() { g.temp = false }()
	g.n++
	switch g.r.IntN(7) {
	case 0, 1, 2:
		q, cols := g.view(nil)
		v := &nameTable{name: fmt.Sprintf("v%d", g.n), cols: cols, view: true, temp: g.temp}
		text := "CREATE " + map[bool]string{true: "TEMP "}[g.temp] + "VIEW " + v.name + " AS " + finished(q)
		g.tables = append(g.tables, v)
		return text
	case 3:
		t := g.base()
		c := &nameScope{items: []nameTable{{name: t.name, cols: t.cols}}}
		for t.temp {
			t = g.base()
			c.items[0] = nameTable{name: t.name, cols: t.cols}
		}
		where := g.pick("", " WHERE "+g.column(c)+" IS NOT NULL", " WHERE "+g.column(c)+" <> \"text\"")
		key := func() string { return g.written(g.pick(t.cols...)) }
		return fmt.Sprintf("CREATE INDEX i%d ON %s(%s)%s", g.n, g.written(t.name), g.pick(key(), "lower("+key()+"), "+key()+" DESC", key()+" || \"text\""), where)
	}
	return g.trigger()
}

// alter is an ALTER TABLE of one of the tables.
func (g *nameGen) alter() string {
	g.temp = true
	t := g.base()
	g.temp = false
	table := "ALTER TABLE " + g.pick("", "", map[bool]string{true: "temp.", false: "main."}[t.temp]) + g.written(t.name)
	g.n++
	fresh := fmt.Sprintf("n%d", g.n)
	switch k := g.r.IntN(10); {
	case k < 5 && !t.temp:
		to := g.pick(fresh, fresh, fresh, "a", "b", "c", "d", "id", "x", "t1", "text", "new name", "rowid")
		to = g.pick(g.written(to), `"`+to+`"`)
		return table + " RENAME " + g.pick("COLUMN ", "") + g.written(g.pick(t.cols...)) + " TO " + to
	case k < 7:
		return table + " DROP COLUMN " + g.written(g.pick(t.cols...))
	case k < 8 || !g.renames:
		return table + " ADD COLUMN " + g.pick(fresh, "a", "b", "c", "d")
	default:
		if t.temp { // SQLite takes a temporary table for one of main that a trigger of main is on
			return table + " RENAME TO " + g.pick("p1", "p2", "P3", "p"+fresh)
		}
		return table + " RENAME TO " + g.written(g.pick(fresh, fresh, "x", "w1", "t1", "t2", "t3", "new t", "s1"))
	}
}

// refresh reads the names of tables and views and of their columns from byokdb.
func (g *nameGen) refresh(b *both) {
	b.t.Helper()
	g.tables = g.tables[:0]
	for _, in := range []string{"main", "temp"} {
		rows, err := b.ours("SELECT name, type = 'view' FROM " + in + ".sqlite_master WHERE type IN ('table', 'view')")
		if err != nil {
			b.t.Fatal(err)
		}
		for _, row := range rows {
			name, view, _ := strings.Cut(row, "|")
			t := &nameTable{name: strings.Trim(name, `"`), view: view == "i1", temp: in == "temp"}
			cols, err := b.ours("SELECT name FROM pragma_table_info('" + t.name + "')")
			if err != nil { // a view that means nothing
				cols = nil
			}
			for _, c := range cols {
				if c = strings.Trim(c, `"`); !strings.Contains(c, `\`) && !strings.Contains(c, `'`) {
					t.cols = append(t.cols, c)
				}
			}
			if len(t.cols) == 0 {
				t.cols = []string{"a", "b"}
			}
			g.tables = append(g.tables, t)
		}
	}
}

// setUp makes the tables.
func (g *nameGen) setUp(b *both) {
	b.t.Helper()
	for _, q := range []string{
		"CREATE TABLE t1(id INTEGER PRIMARY KEY, a, b, c CHECK (c <> \"text\" OR \"a\" IS NULL), g AS (a || \"text\"))",
		"CREATE TABLE t2(a UNIQUE, [b], `d`, FOREIGN KEY (b) REFERENCES t1(\"a\"), CHECK (t2.d IS NOT 'no'))",
		"CREATE TABLE t3(b PRIMARY KEY, \"a\", e REFERENCES t2(a)) WITHOUT ROWID",
		"CREATE TEMP TABLE p1(a, b, c)",
		"INSERT INTO t1(id, a, b, c) VALUES (1, 1, 2, 3), (2, 'x', 'y', 'z'), (3, NULL, 2, 1)",
		"INSERT INTO t2 VALUES (1, 2, 3), ('x', 'text', 2), (3, 3, 3)",
		"INSERT INTO t3 VALUES (1, 2, 3), (2, 1, 'x')",
		"INSERT INTO p1 VALUES (1, 1, 1), ('x', 2, 3)",
	} {
		b.change(q)
	}
	g.refresh(b)
}

// schemaTexts are the texts of the objects of a database.
func schemaTexts(in string) string {
	return "SELECT type, name, lower(tbl_name), sql FROM " + in + ".sqlite_master WHERE name NOT LIKE 'sqlite%'"
}

// altered runs an ALTER TABLE on both: errors must have the same text. It drops
// what is at fault.
func (g *nameGen) altered(b *both, text string) {
	b.t.Helper()
	b.verbatim = true
	kind, what := b.difference(text, true)
	failed := b.last
	if kind == otherError && strings.HasSuffix(failed.Error(), "should this be a string literal in single-quotes?") && strings.Count(what, " after drop column: ") == 2 {
		kind = same // of two faults SQLite reports an index whose key is in double quotes last
	}
	if kind != same {
		b.fail(text, true, kind, what)
		b.t.FailNow()
	}
	b.verbatim = false
	b.log = append(b.log, text)
	b.compare(schemaTexts("main"), false)
	b.compare(schemaTexts("temp"), false)
	if b.t.Failed() {
		b.t.FailNow()
	}
	if failed == nil {
		return
	}
	var kindOf, name string
	if n, _ := fmt.Sscanf(failed.Error(), "error in %s %s", &kindOf, &name); n == 2 && (kindOf == "view" || kindOf == "trigger") {
		b.change("DROP " + strings.ToUpper(kindOf) + " " + strings.TrimSuffix(name, ":"))
	}
}

// wordsOfQueries are of errors for which the compiler of queries is to blame, where
// SQLite takes what it means differently: aliases in ON, columns that a subquery
// has twice, aggregates over the rows around one, stars under ORDER BY.
var wordsOfQueries = regexp.MustCompile(`error: (ambiguous column name|no such column|misuse of aggregate|\w+ ORDER BY term does not match)`)

// faultsOfRows are two errors of rows: of those that a step of a trigger visits, which
// one comes first follows from the plan.
var faultsOfRows = regexp.MustCompile(`^byokdb error: .* \((20|275|787|1299|1555|1811|2067|2579|3091)\)\nSQLite error: .* \((20|275|787|1299|1555|1811|2067|2579|3091)\)$`)

// runs compares whether a statement succeeds, but where the query is at fault. Its
// rows are not compared: they may be those of any plan.
func (g *nameGen) runs(b *both, text string) {
	b.t.Helper()
	kind, what := b.difference(text, false)
	if kind == same || kind == otherRows || wordsOfQueries.MatchString(what) || kind == otherError && faultsOfRows.MatchString(what) {
		return
	}
	b.fail(text, false, kind, what)
}

// use runs what the views and triggers are for.
func (g *nameGen) use(b *both) {
	b.t.Helper()
	for _, t := range g.tables {
		g.runs(b, fmt.Sprintf("SELECT * FROM \"%s\"", t.name))
	}
	t := g.base()
	c := g.pick(t.cols...)
	for _, q := range []string{
		fmt.Sprintf("INSERT INTO \"%s\"(\"%s\") VALUES (7)", t.name, c),
		fmt.Sprintf("UPDATE \"%s\" SET \"%s\" = 8 WHERE \"%s\" = 1", t.name, g.pick(t.cols...), c),
		fmt.Sprintf("DELETE FROM \"%s\" WHERE \"%s\" = 7", t.name, c),
	} {
		b.change("SAVEPOINT used")
		g.runs(b, q) // what it leaves depends on which rows it visits first
		b.change("ROLLBACK TO used")
		b.change("RELEASE used")
	}
}

// TestAlterNames compares what ALTER TABLE makes of views and triggers, and whether
// they work then.
func TestAlterNames(t *testing.T) {
	s := seeded(t)
	n := *statements / 30
	if testing.Short() {
		n /= 8
	}
	changed, failed := 0, 0
	for i := range uint64(max(n/40, 2)) {
		b := openBoth(t)
		g := &nameGen{gen: &gen{r: rand.New(rand.NewPCG(s, 41<<32+i))}, renames: i%2 == 0}
		g.setUp(b)
		for range 40 {
			for range 2 {
				b.change(g.make())
				g.refresh(b)
			}
			g.altered(b, g.alter())
			if b.last == nil {
				changed++
			} else {
				failed++
			}
			g.refresh(b)
			g.use(b)
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	if changed == 0 {
		t.Error("no table was altered")
	}
	t.Logf("%d tables were altered, %d were not", changed, failed)
}
