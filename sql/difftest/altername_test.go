package difftest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// nameGen makes views and triggers whose names mean something by their scope
// alone: tables, aliases and columns have the same few names.
type nameGen struct {
	*gen
	tables  []*nameTable // views among them
	n       int
	deep    int      // how many selects are around
	hidden  []string // tables whose names are those of common table expressions
	inWith  bool
	renames bool // tables get other names, which SQLite puts in the place of excluded, and does not behind IN
	temp    bool // what is made is temporary
}

type nameTable struct {
	name string
	cols []string
	view bool
	temp bool
}

// nameScope is what a name may stand for.
type nameScope struct {
	items []nameTable // by their aliases
	outer *nameScope
}

func (g *nameGen) chance(percent int) bool { return g.r.IntN(100) < percent }

// written writes a name in one of the ways there are.
func (g *nameGen) written(name string) string {
	if strings.ContainsAny(name, " -") || name == "select" {
		return `"` + name + `"`
	}
	return g.pick(name, name, name, name, name, name, `"`+name+`"`, "["+name+"]", "`"+name+"`", strings.ToUpper(name[:1])+name[1:])
}

// column is a name in scope, or now and then not.
func (g *nameGen) column(sc *nameScope) string {
	if sc == nil || g.chance(1) {
		return g.written(g.pick("a", "b", "c", "d", "zz"))
	}
	for sc.outer != nil && g.chance(25) {
		sc = sc.outer
	}
	if len(sc.items) == 0 {
		return g.pick("1", "'x'", "NULL")
	}
	it := sc.items[g.r.IntN(len(sc.items))]
	if len(it.cols) == 0 {
		return "1"
	}
	col := g.written(g.pick(it.cols...))
	if it.name == "new" || it.name == "old" || g.chance(60) {
		return g.written(it.name) + g.pick(".", ".", " . ", "/* c */.") + col
	}
	return col
}

func (g *nameGen) expr(sc *nameScope, depth int) string {
	e := func() string { return g.expr(sc, depth+1) }
	if depth > 2 {
		return g.column(sc)
	}
	switch g.r.IntN(16) {
	case 0, 1, 2, 3, 4, 5:
		return g.column(sc)
	case 6:
		return e() + g.pick(" + ", " || ", "||", " = ", " < ", " IS ", " AND ", " OR ") + e()
	case 7:
		return "coalesce(" + e() + ", " + e() + ")"
	case 8:
		return "(" + e() + ")"
	case 9:
		return "CASE " + g.pick("", e()) + " WHEN " + e() + " THEN " + e() + g.pick("", " ELSE "+e()) + " END"
	case 10:
		return g.pick("'text'", `"text"`, `"another"`, "1", "NULL", "TRUE", "'it''s'", `"it's"`)
	case 11:
		if g.deep < 3 {
			return "(SELECT " + g.pick("max", "min", "count") + "(" + g.few(sc, func(q *nameScope) string { return g.expr(q, depth+1) }) + ")"
		}
		return g.column(sc)
	case 12:
		if g.deep < 3 {
			return g.pick("EXISTS (", "NOT EXISTS (") + g.query(sc) + ")"
		}
		return g.column(sc) + " IS NOT NULL"
	case 13:
		if g.deep < 3 {
			return e() + g.pick(" IN (", " NOT IN (") + "SELECT " + g.few(sc, func(q *nameScope) string { return g.column(q) }) + ")"
		}
		return e() + " IN (" + e() + ", " + e() + ")"
	case 14:
		return g.pick("abs(", "NOT (", "-(", "lower(") + g.column(sc) + ")"
	default:
		return e() + g.pick(" BETWEEN 1 AND ", " LIKE ", " COLLATE NOCASE = ") + e()
	}
}

// few is what comes behind SELECT: something over tables of its own. In the
// place of f( the caller has a call that is still open.
func (g *nameGen) few(outer *nameScope, what func(sc *nameScope) string) string {
	g.deep++
	defer func() { g.deep-- }()
	from, sc := g.from(outer, 1+g.r.IntN(2))
	text := what(sc)
	where := ""
	if g.chance(50) {
		where = " WHERE " + g.expr(sc, 1)
	}
	return text + "\x00" + from + where
}

// source is one item of a FROM clause.
func (g *nameGen) source(outer *nameScope, ctes []nameTable) (text string, it nameTable) {
	switch k := g.r.IntN(10); {
	case k < 2 && len(ctes) > 0:
		it = ctes[g.r.IntN(len(ctes))]
		text = g.written(it.name)
	case k < 4 && g.deep < 3:
		q, cols := g.selectOf(&nameScope{outer: outer}, nil)
		it = nameTable{name: g.pick("s1", "s2", "t1", "t2"), cols: cols}
		return "(" + q + ")" + g.pick(" AS ", " ") + g.written(it.name), it
	default:
		for {
			it = *g.tables[g.r.IntN(len(g.tables))]
			if (g.temp || !it.temp) && !slices.Contains(g.hidden, it.name) {
				break
			}
		}
		text = g.pick("", "", "", map[bool]string{true: "temp.", false: "main."}[it.temp]) + g.written(it.name)
	}
	if g.chance(40) {
		it.name = g.pick("x", "y", "t1", "t2", "t3")
		text += g.pick(" AS ", " ") + g.written(it.name)
	}
	return text, it
}

// from returns a FROM clause and what it has.
func (g *nameGen) from(outer *nameScope, n int, ctes ...nameTable) (string, *nameScope) {
	sc := &nameScope{outer: outer}
	text := " FROM "
	for i := range n {
		item, it := g.source(outer, ctes)
		if i == 0 {
			text += item
			sc.items = append(sc.items, it)
			continue
		}
		common := ""
		for _, c := range it.cols {
			for _, d := range sc.items[0].cols {
				if c == d {
					common = c
				}
			}
		}
		sc.items = append(sc.items, it)
		switch k := g.r.IntN(8); {
		case k == 0:
			text += ", " + item
		case k == 1:
			text += g.pick(" NATURAL JOIN ", " NATURAL LEFT JOIN ") + item
		case k < 4 && common != "":
			text += g.pick(" JOIN ", " LEFT JOIN ", " JOIN ", " FULL JOIN ", " RIGHT JOIN ") + item + " USING (" + g.written(common) + ")"
		default:
			text += g.pick(" JOIN ", " LEFT JOIN ", " JOIN ") + item + " ON " + g.column(sc) + " = " + g.column(sc)
		}
	}
	return text, sc
}

// selectOf returns a SELECT and the names of its columns.
func (g *nameGen) selectOf(outer *nameScope, ctes []nameTable) (string, []string) {
	g.deep++
	defer func() { g.deep-- }()
	from, sc := g.from(outer.outer, 1+g.r.IntN(2), ctes...)
	var list, cols []string
	for range 1 + g.r.IntN(3) {
		switch k := g.r.IntN(8); {
		case k == 0:
			list = append(list, "*")
			for _, it := range sc.items {
				cols = append(cols, it.cols...)
			}
		case k == 1:
			it := sc.items[g.r.IntN(len(sc.items))]
			list = append(list, g.written(it.name)+".*")
			cols = append(cols, it.cols...)
		case k < 5:
			it := sc.items[g.r.IntN(len(sc.items))]
			if len(it.cols) == 0 {
				continue
			}
			c := g.pick(it.cols...)
			list, cols = append(list, g.written(it.name)+"."+g.written(c)), append(cols, c)
		default:
			g.n++
			alias := g.pick("a", "b", "c", fmt.Sprintf("k%d", g.n), fmt.Sprintf("k%d", g.n))
			list, cols = append(list, g.expr(sc, 1)+g.pick(" AS ", " ")+g.written(alias)), append(cols, alias)
		}
	}
	if len(list) == 0 {
		list, cols = []string{"1 AS one"}, []string{"one"}
	}
	text := "SELECT " + g.pick("", "", "", "DISTINCT ") + strings.Join(list, ", ") + from
	if g.chance(50) {
		text += " WHERE " + g.expr(sc, 0)
	}
	if g.chance(20) {
		text += " ORDER BY " + g.pick(g.column(sc), "1", g.written(g.pick(cols...)), g.expr(sc, 2)) + g.pick("", " DESC", " COLLATE NOCASE")
	}
	return text, cols
}

// query is a SELECT of one of the kinds there are, in an expression.
func (g *nameGen) query(outer *nameScope) string {
	text, _ := g.view(outer)
	return text
}

// view is a query and the names of its columns.
func (g *nameGen) view(outer *nameScope) (string, []string) {
	g.deep++
	defer func() { g.deep-- }()
	sc := &nameScope{outer: outer}
	switch k := g.r.IntN(10); {
	case k == 0: // groups
		from, in := g.from(outer, 1)
		c := g.column(in)
		return "SELECT " + c + " AS k, count(*) AS n, max(" + g.column(in) + ") AS m" + from + " GROUP BY " + c + g.pick("", " HAVING count("+g.column(in)+") > 0"), []string{"k", "n", "m"}
	case k == 1: // a window
		from, in := g.from(outer, 1)
		over := "PARTITION BY " + g.column(in) + " ORDER BY " + g.column(in)
		if g.chance(50) {
			return "SELECT count(" + g.column(in) + ") OVER (" + over + ") AS w, " + g.column(in) + " AS v" + from, []string{"w", "v"}
		}
		return "SELECT max(" + g.column(in) + ") OVER win AS w" + from + " WINDOW win AS (" + over + ")", []string{"w"}
	case k == 2: // a compound
		from, in := g.from(outer, 1)
		from2, in2 := g.from(outer, 1)
		c := g.column(in)
		text := "SELECT " + c + ", " + g.column(in) + " AS q" + from + g.pick(" UNION ", " UNION ALL ", " EXCEPT ", " INTERSECT ") + "SELECT " + g.column(in2) + ", " + g.column(in2) + from2
		return text + g.pick("", "", " ORDER BY "+g.pick(c, "q", "1")), []string{"q"}
	case k < 5 && !g.inWith: // WITH
		return g.with()
	case k == 5 && !g.inWith: // WITH RECURSIVE
		g.inWith = true
		defer func() { g.inWith = false }()
		from, in := g.from(outer, 1)
		r := nameTable{name: "r", cols: []string{"n", "m"}}
		q, cols := g.selectOf(sc, []nameTable{r})
		return "WITH RECURSIVE r(n, m) AS (SELECT 1, " + g.column(in) + from + " UNION SELECT n + 1, m FROM r WHERE n < 3) " + g.counted(r, cols) + q, cols
	}
	return g.selectOf(sc, nil)
}

// with is a query with common table expressions. It reads all of them, and they
// nothing around it: what is not read, and what is, SQLite confuses with tables.
func (g *nameGen) with() (string, []string) {
	g.inWith = true
	defer func() { g.hidden, g.inWith = nil, false }()
	var ctes []nameTable
	text := "WITH "
	for i := range 1 + g.r.IntN(2) {
		q, cols := g.selectOf(&nameScope{}, ctes)
		name := g.pick("w1", "t1", "t3")
		if i > 0 {
			text += ", "
			name = g.pick("w2", "t2", "t4")
		}
		if text += g.written(name); g.chance(40) {
			cols = []string{"p"}
			text += "(p)"
			in, c := g.from(nil, 1, ctes...)
			q = "SELECT " + g.column(c) + in
		}
		text += " AS (" + q + ")"
		ctes = append(ctes, nameTable{name: name, cols: cols})
		g.hidden = append(g.hidden, name)
	}
	q, cols := g.selectOf(&nameScope{}, ctes)
	for _, e := range ctes {
		q = g.counted(e, cols) + q
	}
	return text + " " + q, cols
}

// counted is the first part of a compound, that reads a table.
func (g *nameGen) counted(t nameTable, cols []string) string {
	counts := make([]string, len(cols))
	for i, c := range cols {
		counts[i] = "count(*) AS " + g.written(c)
	}
	return "SELECT " + strings.Join(counts, ", ") + " FROM " + g.written(t.name) + " UNION ALL "
}

// finished puts together what few left open.
func finished(text string) string {
	for {
		i := strings.IndexByte(text, 0)
		if i < 0 {
			return text
		}
		text = text[:i] + ")" + text[i+1:]
	}
}

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

// runs compares whether a statement succeeds, but where the query is at fault. Its
// rows are not compared: they may be those of any plan.
func (g *nameGen) runs(b *both, text string) {
	b.t.Helper()
	kind, what := b.difference(text, false)
	if kind == same || kind == otherRows || wordsOfQueries.MatchString(what) {
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
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
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
