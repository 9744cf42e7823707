package difftest

import "testing"

// correlateGen makes aggregates in subqueries of every clause, some of which
// belong to the query around them. Columns are those of generated tables that all
// have i, n and s: o is the outer table, v the inner one, w the one inside of that.
type correlateGen struct{ *shapeGen }

func (g *correlateGen) col(alias string) string { return alias + "." + g.pick("i", "n", "s", "id") }

// call is an aggregate of one argument.
func (g *correlateGen) call(arg string) string {
	return g.pick("count("+arg+")", "sum("+arg+")", "total("+arg+")", "min("+arg+")", "max("+arg+")", "avg("+arg+")", "count(DISTINCT "+arg+")", "group_concat("+arg+" ORDER BY "+arg+" COLLATE BINARY, typeof("+arg+"))")
}

func (g *correlateGen) filter(alias string) string {
	return g.maybe(25, " FILTER (WHERE "+g.col(alias)+g.pick(" > ", " <> ")+g.small()+")")
}

// inner is a table under the alias v, w or u.
func (g *correlateGen) table(alias string) string { return g.any().name + " AS " + alias }

func (g *correlateGen) tie(inner, outer string) string {
	return g.col(inner) + g.pick(" = ", " = ", " < ", " >= ", " IS ") + g.col(outer)
}

// plain is a subquery whose aggregate is its own.
func (g *correlateGen) plain(outer string) string {
	switch g.r.IntN(8) {
	case 0:
		return "(SELECT " + g.call(g.col("v")) + g.filter("v") + " FROM " + g.table("v") + ")"
	case 1:
		return "(SELECT " + g.call(g.pick("v.i + "+outer+".i", "v.n || "+outer+".s", "coalesce(v.i, "+outer+".n)", "iif(v.i > "+outer+".i, v.n, NULL)")) + " FROM " + g.table("v") + ")"
	case 2:
		return "(SELECT " + g.call(g.col("v")) + " FROM " + g.table("v") + " WHERE " + g.tie("v", outer) + " GROUP BY " + g.pick("v.i", "v.s") + " ORDER BY 1 LIMIT 1)"
	case 3:
		return "(SELECT " + g.call(g.col("v")) + " FROM " + g.table("v") + " WHERE " + g.tie("v", outer) + " HAVING count(*) > " + g.pick("0", "1", outer+".i") + ")"
	case 4:
		return "(SELECT " + g.call(g.col("v")) + " FROM " + g.table("v") + " WHERE v.id IN (SELECT " + g.call(g.col("w")) + " FROM " + g.table("w") + " WHERE " + g.tie("w", "v") + g.maybe(50, " AND "+g.tie("w", outer)) + "))"
	case 5:
		return "(SELECT " + g.call("(SELECT "+g.call(g.col("w"))+" FROM "+g.table("w")+" WHERE "+g.tie("w", "v")+")") + " FROM " + g.table("v") + " WHERE " + g.tie("v", outer) + ")"
	case 6:
		return "(SELECT " + g.call("q.m") + " FROM (SELECT i, " + g.call("v.n") + " AS m FROM " + g.table("v") + " GROUP BY i) AS q WHERE q.i" + g.pick(" = ", " > ") + g.col(outer) + ")"
	default:
		return "(SELECT " + g.call(g.col("v")) + g.filter(g.pick("v", outer)) + " FROM " + g.table("v") + " WHERE " + g.tie("v", outer) + ")"
	}
}

// owned is a subquery with an aggregate of the query around it, which has
// groups by column.
func (g *correlateGen) owned(outer, column string) string {
	mine := g.call(g.col(outer))
	return g.pick(
		"(SELECT "+mine+")",
		"(SELECT "+mine+g.filter(outer)+")",
		"(SELECT "+mine+" FROM "+g.table("v")+" WHERE v.id = "+g.id()+")",
		"(SELECT "+mine+" + count(v.i) FROM "+g.table("v")+")",
		"(SELECT count(v.i) FROM "+g.table("v")+" WHERE v.i < "+mine+")",
		"(SELECT "+g.call("v.n")+" FROM "+g.table("v")+" WHERE v.n = "+outer+"."+column+")",
		"(SELECT max(v.n) FROM "+g.table("v")+" GROUP BY v.i HAVING count(*) >= "+mine+" ORDER BY 1 LIMIT 1)",
		"(SELECT v.n FROM "+g.table("v")+" ORDER BY v.n = "+mine+", v.id LIMIT 1)",
		"("+mine+" IN (SELECT v.n FROM "+g.table("v")+"))",
		"EXISTS (SELECT 1 FROM "+g.table("v")+" WHERE v.n > "+mine+" AND v.i IS NOT "+outer+"."+column+")",
		"(SELECT (SELECT "+mine+" FROM "+g.table("w")+" WHERE w.id = v.id) FROM "+g.table("v")+" ORDER BY v.id LIMIT 1)",
		"(WITH c(x) AS (SELECT "+mine+") SELECT x FROM c)",
		"(SELECT x FROM (SELECT "+mine+" AS x))",
		"(SELECT "+mine+" UNION SELECT v.i FROM "+g.table("v")+" ORDER BY 1 DESC LIMIT 1)")
}

func (g *correlateGen) query() (text string, sorted bool) {
	o := g.table("o")
	by := g.pick("i", "n", "s", "id")
	switch g.r.IntN(18) {
	case 0, 1, 2:
		return "SELECT o.id, " + g.plain("o") + ", " + g.plain("o") + " FROM " + o + " ORDER BY o.id", true
	case 3:
		return "SELECT o.id FROM " + o + " WHERE " + g.plain("o") + g.pick(" > ", " = ", " IS NOT ", " < ") + g.pick(g.col("o"), g.small(), g.plain("o")) + " ORDER BY o.id", true
	case 4:
		return "SELECT o." + by + ", " + g.owned("o", by) + ", " + g.owned("o", by) + " FROM " + o + " GROUP BY o." + by, false
	case 5:
		return "SELECT " + g.owned("o", "id") + " FROM " + o + " GROUP BY o.id HAVING " + g.owned("o", "id") + g.pick(" > 1", " IS NOT NULL", " < 4"), false
	case 6:
		return "SELECT o." + by + ", count(*) FROM " + o + " GROUP BY o." + by + " HAVING " + g.owned("o", by) + g.pick(" > 1", " IS NOT NULL", " = count(*)"), false
	case 7:
		return "SELECT o.id FROM " + o + " ORDER BY " + g.plain("o") + g.pick("", " DESC") + ", o.id", true
	case 8:
		return "SELECT o.id, count(*) FROM " + o + " GROUP BY o.id ORDER BY " + g.owned("o", "id") + ", o.id", true
	case 9:
		return "SELECT " + g.call(g.plain("o")) + ", " + g.call(g.plain("o")) + g.filter("o") + " FROM " + o, false
	case 10:
		return "SELECT " + g.plain("o") + " AS k, count(*), " + g.call("o.id") + " FROM " + o + " GROUP BY k", false
	case 11:
		return "SELECT o.id, p.id FROM " + o + g.pick(" JOIN ", " LEFT JOIN ", " FULL JOIN ") + g.table("p") + " ON p.id" + g.pick(" = ", " < ") + g.plain("o"), false
	case 12:
		return "SELECT o.id FROM " + o + " ORDER BY o.id LIMIT (SELECT " + g.call("v.i") + " FROM " + g.table("v") + ") % 7 + 0 OFFSET (SELECT count(*) FROM " + g.table("v") + ") % 3", true
	case 13:
		return "SELECT " + g.call("o.i") + ", (SELECT " + g.call("o.n") + "), (SELECT " + g.call("v.i") + " FROM " + g.table("v") + ") FROM " + o, false
	case 14: // faults
		return "SELECT o.id FROM " + o + " WHERE " + g.pick("(SELECT sum(o.i)) > 1", "sum(o.i) > 1", "o.i IN (SELECT max(o.n) FROM "+g.table("v")+")", "(SELECT sum(v.i + sum(o.i)) FROM "+g.table("v")+") > 0",
			"EXISTS (SELECT 1 FROM "+g.table("v")+" GROUP BY v.i HAVING max(o.i) > 0)", "(SELECT count(max(v.i)) FROM "+g.table("v")+") > 0"), false
	case 15:
		return "SELECT o.id, sum((SELECT " + g.call(g.col("v")) + " FROM " + g.table("v") + " WHERE " + g.tie("v", "o") + ")) OVER (ORDER BY o.id), max(o.id) OVER (PARTITION BY " + g.plain("o") + ") FROM " + o + " ORDER BY o.id", true
	case 16:
		return "SELECT o." + by + ", rank() OVER (ORDER BY " + g.owned("o", by) + ") FROM " + o + " GROUP BY o." + by, false
	default:
		return "SELECT o.id, (SELECT count(*) FROM (SELECT v.i, " + g.call("v.n") + " AS m FROM " + g.table("v") + " WHERE " + g.tie("v", "o") + " GROUP BY v.i HAVING count(*) " + g.pick(">", "<=") + " o.i)) FROM " + o + " ORDER BY o.id", true
	}
}

// change has aggregates in the subqueries of a change.
func (g *correlateGen) change() string {
	s := g.any()
	t, other := s.name, g.any().name
	if t == other { // in SET it would see rows that the statement has changed
		return "DELETE FROM " + t + " WHERE id = (SELECT " + g.pick("min(v.i)", "max(v.id)", "count(*)") + " FROM " + t + " AS v)"
	}
	in := other + " AS v"
	switch g.r.IntN(4) {
	case 0:
		return "UPDATE " + t + " SET i = (SELECT " + g.pick("count(v.i)", "min(v.i)", "count(*)") + " FROM " + in + " WHERE v." + g.pick("i", "n", "id") + " = " + t + ".id) WHERE id = " + g.id()
	case 1:
		return "DELETE FROM " + t + " WHERE (SELECT " + g.pick("count(*)", "sum(v.n)") + " FROM " + in + " WHERE " + g.tie("v", t) + ") = " + g.small() + " AND id % 3 = 1"
	case 2:
		return "INSERT OR IGNORE INTO " + t + "(id, i) SELECT v.id + 3, (SELECT count(*) FROM " + other + " AS w WHERE w.i = v.i) FROM " + in + " GROUP BY v.id, v.i HAVING count(*) > (SELECT min(w.i) FROM " + t + " AS w) ORDER BY 1 LIMIT 3"
	default:
		return "UPDATE " + t + " SET n = v.m FROM (SELECT id, (SELECT count(*) FROM " + other + " AS w WHERE w.i >= q.i) AS m FROM " + other + " AS q) AS v WHERE v.id = " + t + ".id AND " + t + ".id = " + g.id()
	}
}

// TestCorrelated compares aggregates in subqueries of every clause.
func TestCorrelated(t *testing.T) {
	onShapes(t, 33, 3, []string{"i", "n", "s"}, func(g *shapeGen, b *both) {
		if g.chance(40) {
			b.change("ANALYZE")
		}
	}, func(sg *shapeGen, b *both) {
		g := &correlateGen{sg}
		if g.chance(10) {
			b.change(g.change())
			g.look(b)
		}
		q, sorted := g.query()
		b.compare(q, sorted)
	})
}
