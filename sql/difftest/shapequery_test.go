package difftest

import (
	"slices"
	"strings"
	"testing"
)

// source is a FROM clause over generated tables and the aliases in it.
type source struct {
	text    string
	aliases []string
	bare    []string // columns that need no table
}

// common are the columns that two tables share.
func common(a, b *shape) (out []string) {
	for _, c := range a.names() {
		if b.has(c) {
			out = append(out, c)
		}
	}
	return out
}

func (g *shapeGen) source() source {
	a, b := g.any(), g.any()
	x, y := a.name, b.name
	if a == b {
		y += "y"
	}
	right := b.name
	if y != b.name {
		right += " AS " + y
	}
	both := []string{x, y}
	join := func() string { return g.pick(" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ", " JOIN ") }
	switch g.r.IntN(8) {
	case 0:
		return source{x + ", " + right, both, nil}
	case 1:
		return source{x + join() + right + " ON " + g.column([]string{x}) + g.pick(" = ", " = ", " IS ", " < ") + g.column([]string{y}), both, nil}
	case 2:
		return source{x + join() + right + " ON " + g.expr(both, 2), both, nil}
	case 3:
		cols := common(a, b)
		use := g.pick(cols...)
		if g.chance(30) {
			use = "id"
		}
		if other := g.pick(cols...); other != use && g.chance(30) {
			use += ", " + other
		}
		return source{x + join() + right + " USING (" + use + ")", both, strings.Split(use, ", ")}
	case 4:
		return source{x + " NATURAL" + join() + right, both, common(a, b)}
	case 5:
		return source{x + " JOIN " + right + " ON " + x + ".id = " + y + ".id" + join() + "m1 AS m1z ON " + g.column([]string{"m1z"}) + " = " + g.column(both), append(both, "m1z"), nil}
	default:
		return source{x, []string{x}, a.names()}
	}
}

func (g *shapeGen) where(f source, percent int) string {
	if !g.chance(percent) {
		return ""
	}
	g.bare = f.bare
	defer func() { g.bare = nil }()
	switch g.r.IntN(3) {
	case 0:
		return " WHERE " + g.collated(f.aliases)
	case 1:
		return " WHERE " + g.collated(f.aliases) + g.pick(" AND ", " OR ") + g.expr(f.aliases, 1)
	}
	return " WHERE " + g.expr(f.aliases, 2)
}

// order is an ORDER BY that leaves no ties.
func (g *shapeGen) order(f source) string {
	var terms []string
	for range g.r.IntN(3) {
		terms = append(terms, g.column(f.aliases)+g.maybe(40, " COLLATE "+g.collation())+g.pick("", "", " DESC", " NULLS LAST", " DESC NULLS FIRST"))
	}
	for _, a := range f.aliases {
		terms = append(terms, a+".id"+g.pick("", " DESC"))
	}
	return " ORDER BY " + strings.Join(terms, ", ")
}

func (g *shapeGen) limit() string {
	return g.pick("", "", " LIMIT 4", " LIMIT 5 OFFSET 2", " LIMIT -1 OFFSET 3")
}

// collated compares columns that may have collations of their own.
func (g *shapeGen) collated(aliases []string) string {
	col := func() string { return g.column(aliases) }
	as := func() string { return g.maybe(40, " COLLATE "+g.collation()) }
	op := func() string { return g.pick(" = ", " <> ", " < ", " >= ", " IS ", " IS NOT ", " > ", " <= ") }
	val := func() string { return g.pick(g.word(), g.word(), g.small(), "x'61'") }
	kind := g.r.IntN(14)
	if g.flat && (kind == 6 || kind >= 12) {
		kind = 0
	}
	switch kind {
	case 0, 1:
		return col() + as() + op() + col() + as()
	case 2, 3:
		return col() + as() + op() + val() + as()
	case 4:
		return val() + as() + op() + col() + as()
	case 5:
		return col() + as() + g.pick(" IN ", " NOT IN ") + "(" + val() + ", " + val() + as() + ", " + col() + as() + ")"
	case 6:
		s := g.any()
		left, right := col()+as(), g.pick(s.names()...)
		if g.chance(40) { // with an index of the left column SQLite compares by its collation instead
			left, right = "+"+left, right+" COLLATE "+g.collation()
		}
		return left + g.pick(" IN ", " NOT IN ") + "(SELECT " + right + " FROM " + s.name + ")"
	case 7:
		return col() + as() + g.pick(" BETWEEN ", " NOT BETWEEN ") + val() + as() + " AND " + g.pick(val(), col()) + as()
	case 8:
		return "(" + col() + as() + ", " + col() + ")" + g.pick(" = ", " < ", " >= ", " <> ", " IS ") + "(" + g.pick(val(), col()) + as() + ", " + g.pick(val(), col()) + as() + ")"
	case 9:
		return "CASE " + col() + as() + " WHEN " + val() + as() + " THEN 1 WHEN " + col() + as() + " THEN 0 ELSE NULL END"
	case 10:
		return g.pick("min", "max", "nullif", "coalesce") + "(" + col() + as() + ", " + val() + as() + ")" + op() + g.pick(val(), col()) + as()
	case 11:
		return "(" + col() + " || " + g.pick("''", "'a'") + as() + ")" + as() + op() + val()
	case 12:
		return "(SELECT " + g.pick("min", "max") + "(y) FROM (SELECT " + col() + as() + " AS y UNION ALL SELECT " + col() + "))" + as() + op() + val() + as()
	default:
		s := g.any()
		return g.pick("", "NOT ") + "EXISTS (SELECT 1 FROM " + s.name + " AS " + s.name + "q WHERE " + s.name + "q." + g.pick(s.names()...) + as() + op() + col() + as() + ")"
	}
}

func (g *shapeGen) aggregate(f source) string {
	col := g.column(f.aliases)
	return g.pick("count("+col+")", "count(DISTINCT "+col+g.maybe(40, " COLLATE "+g.collation())+")", "total("+col+")", "min("+col+")", "max("+col+g.maybe(30, " COLLATE "+g.collation())+")", "count(*)",
		"group_concat("+f.aliases[0]+".id, '-'"+g.order(f)+")") + g.maybe(20, " FILTER (WHERE "+g.expr(f.aliases, 1)+")")
}

func (g *shapeGen) query() (text string, sorted bool) {
	f := g.source()
	col := func() string { return g.column(f.aliases) }
	switch g.r.IntN(11) {
	case 0, 1, 2:
		cols := col() + ", " + g.expr(f.aliases, 2)
		return "SELECT " + g.pick("*", cols, cols, f.aliases[0]+".*, "+col()) + " FROM " + f.text + g.where(f, 70) + g.order(f) + g.limit(), true
	case 3:
		by := col() + g.maybe(40, " COLLATE "+g.collation())
		return "SELECT " + g.aggregate(f) + ", " + g.aggregate(f) + ", count(*) FROM " + f.text + g.where(f, 50) + " GROUP BY " + by + g.maybe(30, ", "+col()) + g.maybe(30, " HAVING count(*) > 1"), false
	case 4:
		return "SELECT DISTINCT " + col() + g.maybe(40, " COLLATE "+g.collation()) + g.maybe(40, ", "+col()) + " FROM " + f.text + g.where(f, 50), false
	case 5:
		one, two := g.any(), g.any()
		arm := func(s *shape) string {
			return "SELECT " + g.pick(s.names()...) + g.maybe(30, " COLLATE "+g.collation()) + " FROM " + s.name + g.maybe(40, " WHERE "+g.collated([]string{s.name}))
		}
		return arm(one) + g.pick(" UNION ", " UNION ALL ", " INTERSECT ", " EXCEPT ") + arm(two) + g.pick("", " ORDER BY 1", " ORDER BY 1 COLLATE "+g.collation()), false
	case 6:
		return "SELECT " + g.collated(f.aliases) + ", " + g.collated(f.aliases) + " FROM " + f.text + g.where(f, 30) + g.order(f), true
	case 7:
		return "SELECT " + g.aggregate(f) + ", " + g.aggregate(f) + " FROM " + f.text + g.where(f, 60), false
	case 8:
		order := g.order(f)
		return "SELECT " + g.pick("row_number()", "rank()", "count(*)", "total("+f.aliases[0]+".id)", "first_value("+col()+")", "lag("+col()+")") + " OVER (" +
			g.maybe(60, "PARTITION BY "+col()+g.maybe(40, " COLLATE "+g.collation())) + order + g.pick("", " ROWS 2 PRECEDING", " GROUPS 1 PRECEDING EXCLUDE TIES") + ") FROM " + f.text + g.where(f, 30) + g.order(f), true
	case 9:
		s := g.any()
		return "WITH w AS (SELECT id, " + g.pick(s.names()...) + " AS p FROM " + s.name + g.maybe(40, " WHERE "+g.collated([]string{s.name})) + ") SELECT w.id, " + col() + " FROM w, " + f.text +
			" WHERE w.p" + g.pick(" = ", " > ", " IS ") + col() + g.maybe(30, " AND "+g.collated(f.aliases)), false
	default:
		return "SELECT " + g.pick(f.aliases...) + ".id FROM " + f.text + " WHERE " + g.collated(f.aliases) + g.pick(" AND ", " AND ", " OR ") + g.collated(f.aliases) + g.order(f), true
	}
}

// TestShapes compares queries over generated tables, which change meanwhile.
func TestShapes(t *testing.T) {
	onShapes(t, 30, 3, nil, func(*shapeGen, *both) {}, func(g *shapeGen, b *both) {
		if g.chance(20) {
			b.change(g.finish(g.plainChange()))
			g.look(b)
		}
		q, sorted := g.query()
		b.compare(g.finish(q), sorted)
	})
}

// TestCollations compares them with texts that differ by case and blanks alone,
// by columns, keys and indexes of different collations.
func TestCollations(t *testing.T) {
	before := func(g *shapeGen, b *both) {
		for _, s := range g.shapes {
			for _, c := range []string{"s", "t", "x"} {
				if g.chance(50) {
					b.change("CREATE INDEX " + s.name + c + " ON " + s.name + "(" + c + " COLLATE " + g.collation() + g.pick("", " DESC") + g.pick("", ", id", ", x COLLATE NOCASE") + ")" + g.maybe(20, " WHERE "+c+" > 'A' COLLATE "+g.collation()))
				}
			}
		}
		if g.chance(40) {
			b.change("ANALYZE")
		}
	}
	onShapes(t, 31, 3, []string{"s", "t", "x"}, before, func(g *shapeGen, b *both) {
		if g.chance(15) {
			b.change(g.finish(g.plainChange()))
			g.look(b)
		}
		f := g.source()
		var q string
		switch g.r.IntN(6) {
		case 0:
			q = "SELECT " + g.collated(f.aliases) + ", " + g.collated(f.aliases) + " FROM " + f.text + g.where(f, 30) + g.order(f)
		case 1:
			g.bare = f.bare
			q = "SELECT " + g.column(f.aliases) + " FROM " + f.text + " WHERE " + g.collated(f.aliases) + g.order(f) + g.limit()
			g.bare = nil
		case 2:
			q = "SELECT s, count(*), min(id), group_concat(id, ',' ORDER BY id) FROM " + g.any().name + g.maybe(50, " WHERE s"+g.pick(" = ", " > ")+g.word()) + " GROUP BY s" + g.maybe(50, " COLLATE "+g.collation()) + " ORDER BY 3"
		case 3:
			c := g.pick("s", "t", "x")
			q = "SELECT a." + c + ", b." + c + " FROM m1 AS a" + g.pick(" JOIN ", " LEFT JOIN ", " FULL JOIN ") + "m2 AS b ON a." + c + g.pick(" = ", " IS ") + "b." + c + g.maybe(40, " COLLATE "+g.collation()) + " ORDER BY a.id, b.id"
		case 4:
			c := g.pick("s", "t", "x")
			q = "SELECT id FROM m1 WHERE " + c + g.maybe(30, " COLLATE "+g.collation()) + " IN (SELECT " + g.pick("s", "t", "x") + " FROM m2" + g.maybe(40, " WHERE m2."+c+" >= m1."+c) + ") ORDER BY " + c + g.maybe(30, " COLLATE "+g.collation()) + ", id"
		default:
			q = "SELECT DISTINCT lower(" + g.pick("s", "t") + ") FROM " + g.any().name + " ORDER BY 1"
		}
		b.compare(g.finish(q), strings.Contains(q, "ORDER BY"))
	})
}

// plainChange changes one table in a way that does not depend on the order of rows.
func (g *shapeGen) plainChange() string {
	s := g.any()
	c := s.stored()[g.r.IntN(len(s.stored()))].name
	switch g.r.IntN(5) {
	case 0:
		return "DELETE FROM " + s.name + " WHERE " + g.collated([]string{s.name}) + " AND id % 3 = " + g.pick("0", "1", "2")
	case 1, 2:
		if slices.Contains(s.unique, c) {
			return "UPDATE " + g.pick("", "OR IGNORE ", "OR REPLACE ") + s.name + " SET " + c + " = " + g.value(s, c) + " WHERE id = " + g.id()
		}
		return "UPDATE " + s.name + " SET " + c + " = " + g.value(s, c) + " WHERE " + g.pick("id > "+g.id(), g.collated([]string{s.name}))
	default:
		return "INSERT " + g.pick("", "OR IGNORE ", "OR REPLACE ") + "INTO " + g.values(s, 1+g.r.IntN(2))
	}
}
