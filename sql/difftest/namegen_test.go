package difftest

import (
	"fmt"
	"slices"
	"strings"
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

// changing is the scope of new and old alone, nil if there is none: SQLite does not
// rename what a common table expression in a subquery reads of the tables around.
func (sc *nameScope) changing() *nameScope {
	for sc != nil && (len(sc.items) == 0 || sc.items[0].name != "new" && sc.items[0].name != "old") {
		sc = sc.outer
	}
	return sc
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
		if g.inWith { // a, of a table around, would be a column
			return g.written("zz")
		}
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
		text := `"text"`
		if g.inWith { // tables around may have a column of that name
			text = `"other"`
		}
		return g.pick("'text'", text, `"another"`, "1", "NULL", "TRUE", "'it''s'", `"it's"`)
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
		from, in := g.from(outer.changing(), 1)
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
