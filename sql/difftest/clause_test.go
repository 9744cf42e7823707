package difftest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// clauseSuites are kinds of the same three tables, whose columns share names for
// NATURAL and USING. Where k3 is WITHOUT ROWID its key has the widest collation
// that it is joined by: SQLite's automatic indexes lose rows that differ by it.
var clauseSuites = []struct {
	name  string
	ddl   []string
	spill bool
}{
	{name: "plain", ddl: []string{
		"CREATE TABLE k1(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c, u INT UNIQUE)",
		"CREATE TABLE k2(id INTEGER PRIMARY KEY, a NUMERIC, b TEXT, d REAL, u INT UNIQUE)",
		"CREATE TABLE k3(a INTEGER NOT NULL, b TEXT NOT NULL, e, PRIMARY KEY(a, b))",
	}},
	// A key that begins with DESC is not used for (a, b) IN (SELECT a, b FROM k3):
	// SQLite, where a or b is NULL, looks at the last row of such an index alone.
	{name: "without row ids", ddl: []string{
		"CREATE TABLE k1(id INT NOT NULL PRIMARY KEY, a INTEGER, b TEXT COLLATE RTRIM, c BLOB, u INT UNIQUE) WITHOUT ROWID",
		"CREATE TABLE k2(id INT PRIMARY KEY DESC, a TEXT, b TEXT COLLATE NOCASE, d REAL, u INT UNIQUE) WITHOUT ROWID",
		"CREATE TABLE k3(a INTEGER, b TEXT COLLATE NOCASE, e, PRIMARY KEY(b, a DESC)) WITHOUT ROWID",
	}},
	{name: "indexes", ddl: []string{
		"CREATE TABLE k1(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c, u INT)",
		"CREATE TABLE k2(id INTEGER PRIMARY KEY, a NUMERIC, b TEXT, d REAL, u INT)",
		"CREATE TABLE k3(a INTEGER NOT NULL, b TEXT COLLATE NOCASE NOT NULL, e, PRIMARY KEY(a, b)) WITHOUT ROWID",
		"CREATE UNIQUE INDEX k1u ON k1(u)", "CREATE UNIQUE INDEX k2u ON k2(u) WHERE u > 2", "CREATE INDEX k1a ON k1(a, b)", "CREATE INDEX k1b ON k1(b DESC, c)", "CREATE INDEX k1p ON k1(c) WHERE a > 1",
		"CREATE INDEX k1e ON k1(a + 1)", "CREATE INDEX k2a ON k2(a)", "CREATE INDEX k2b ON k2(b, a)", "CREATE INDEX k2l ON k2(lower(b)) WHERE d IS NOT NULL", "CREATE INDEX k3e ON k3(e)",
	}},
	{name: "strict", ddl: []string{
		"CREATE TABLE k1(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c ANY, u INT UNIQUE) STRICT",
		"CREATE TABLE k2(id INTEGER PRIMARY KEY, a INT, b TEXT, d REAL, u INT UNIQUE) STRICT",
		"CREATE TABLE k3(a INTEGER, b TEXT COLLATE NOCASE, e ANY, PRIMARY KEY(a, b)) STRICT, WITHOUT ROWID",
	}},
	{name: "computed", spill: true, ddl: []string{
		"CREATE TABLE k1(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c AS (a || b), u INT UNIQUE)",
		"CREATE TABLE k2(id INTEGER PRIMARY KEY, a NUMERIC, b TEXT, d REAL AS (a + 0.5) STORED, u INT UNIQUE)",
		"CREATE TABLE k3(a INTEGER NOT NULL, b TEXT NOT NULL, e AS (a * 2), PRIMARY KEY(a, b))",
		"CREATE INDEX k1c ON k1(c)", "CREATE INDEX k2d ON k2(d DESC, a)",
	}},
	{name: "temporary", ddl: []string{
		"CREATE TABLE k1(x, y)", "INSERT INTO k1 VALUES (1, 2)",
		"CREATE TEMP TABLE k1(id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c, u INT UNIQUE)",
		"CREATE TABLE k2(id INTEGER PRIMARY KEY, a NUMERIC, b TEXT, d REAL, u INT UNIQUE)",
		"CREATE TEMP TABLE k3(a INTEGER, b TEXT COLLATE NOCASE, e, PRIMARY KEY(a, b)) WITHOUT ROWID",
		"CREATE INDEX k1a ON k1(a, b)", "CREATE INDEX temp.k1b ON k1(b DESC, c)", "CREATE INDEX k1p ON k1(c) WHERE a > 1", "CREATE INDEX k2a ON k2(a)", "CREATE INDEX k3e ON k3(e)",
		"CREATE TEMP TRIGGER k2g AFTER DELETE ON k2 WHEN old.a > 2 BEGIN UPDATE k1 SET c = old.d WHERE a = old.a; END",
		"CREATE TRIGGER k1g BEFORE INSERT ON k1 WHEN new.c IS NULL BEGIN UPDATE k3 SET e = new.a WHERE a = new.a; END",
	}},
}

// clauseGen makes statements with the clauses that gen lacks.
type clauseGen struct {
	*gen
	computed bool // c, d and e are generated columns
	strict   bool // values fit their columns: SQLite may find a row in the way before one that does not
}

func (g *clauseGen) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *clauseGen) maybe(percent int, text string) string {
	if g.chance(percent) {
		return text
	}
	return ""
}

// from is a FROM clause, the aliases in it and the columns that need no table.
type from struct {
	text    string
	aliases []string
	bare    []string
}

func (g *clauseGen) from() from {
	join := func() string { return g.pick(" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ", " JOIN ") }
	switch g.r.IntN(12) {
	case 8:
		return from{"k1" + join() + "(k2" + join() + "k3 ON " + g.pick("k2.a = k3.a", "k3.b = k2.b", "k2.id > k3.a", "1") + ") ON " + g.pick("k1.id = k2.id", "k1.a = k3.a", "k3.b = k1.b AND k2.id < 5", "k2.id IS NULL OR k1.a = k2.a"), []string{"k1", "k2", "k3"}, []string{"c", "d", "e"}}
	case 9:
		return from{g.pick("k1", "(k1)") + join() + "(k2" + join() + "k3 USING (" + g.pick("a", "a, b", "b") + ")) USING (" + g.pick("a", "b", "a, b") + ")", []string{"k1", "k2", "k3"}, []string{"c", "d", "e", "a", "b"}}
	case 10:
		return from{"(k3" + join() + "k2 ON k3.a = k2.a)" + join() + "(k1" + join() + "k1 AS k1x ON k1x.a = k1." + g.pick("a", "id") + ") ON " + g.pick("k1.a = k3.a", "k1x.id = k2.id", "k1.b = k2.b"), []string{"k1", "k2", "k3", "k1x"}, []string{"d", "e"}}
	case 11:
		return from{"k1" + join() + "k2 ON " + g.pick("k1.id = k2.id", "k1.a = k2.a") + join() + "k3 ON " + g.pick("k3.a = k1.a", "k3.a = k2.a", "k3.b = k2.b OR k3.a = k1.id") + join() + "k2 AS k2x ON " + g.pick("k2x.id = k1.a", "k2x.a = k3.a", "k2x.id = k2.a"), []string{"k1", "k2", "k3", "k2x"}, []string{"c", "e"}}
	case 0:
		return from{"k1" + join() + "k2 USING (" + g.pick("a", "b", "id", "a, b", "id, b") + ")", []string{"k1", "k2"}, []string{"c", "d"}}
	case 1:
		return from{"k1 NATURAL" + join() + "k2", []string{"k1", "k2"}, []string{"id", "a", "b", "c", "d"}}
	case 2:
		return from{"k1 NATURAL" + join() + "k3", []string{"k1", "k3"}, []string{"id", "a", "b", "c", "e"}}
	case 3:
		return from{"k1" + join() + "k2 USING (id)" + join() + "k3 USING (" + g.pick("a", "b", "a, b") + ")", []string{"k1", "k2", "k3"}, []string{"id", "c", "d", "e"}}
	case 4:
		return from{"k3" + join() + "k2 USING (a)" + g.pick(" JOIN ", " LEFT JOIN ") + "k1 USING (a)", []string{"k1", "k2", "k3"}, []string{"a", "c", "d", "e"}}
	case 5:
		return from{"k1" + g.pick(" JOIN ", " LEFT JOIN ") + "k2 ON k1.id = k2.id" + g.pick(" JOIN ", " LEFT JOIN ", ", ") + "k3", []string{"k1", "k2", "k3"}, nil}
	case 6:
		return from{"k1 AS k1x" + join() + "k1 ON k1x.a = k1." + g.pick("a", "id", "c"), []string{"k1x", "k1"}, nil}
	default:
		t := g.pick("k1", "k2", "k3")
		return from{t, []string{t}, columns[t]}
	}
}

// with runs fn while the columns of f may go without their table.
func (g *clauseGen) with(f from, fn func() string) string {
	g.bare = f.bare
	defer func() { g.bare = nil }()
	return fn()
}

func (g *clauseGen) where(f from, percent int) string {
	if !g.chance(percent) {
		return ""
	}
	return " WHERE " + g.with(f, func() string { return g.expr(f.aliases, 2) })
}

// order is an ORDER BY that leaves no ties.
func (g *clauseGen) order(f from, first ...string) string {
	terms := first
	for _, a := range f.aliases {
		for _, k := range key(a) {
			terms = append(terms, k+g.pick("", " DESC", " NULLS LAST"))
		}
	}
	return " ORDER BY " + strings.Join(terms, ", ")
}

func (g *clauseGen) limit() string {
	return g.pick("", " LIMIT 3", " LIMIT 5 OFFSET 2", " LIMIT -1 OFFSET 1", " LIMIT (SELECT count(*) FROM k3) / 2")
}

// arm is one SELECT of two columns for a compound.
func (g *clauseGen) arm() string {
	t := g.pick("k1", "k2", "k3")
	switch g.r.IntN(6) {
	case 0:
		row := func() string { // a column of another select may make a real of a large integer
			return strings.ReplaceAll("("+g.literal()+", "+g.literal()+")", "9223372036854775807", "77")
		}
		return "VALUES " + row() + ", " + row()
	case 1:
		return "SELECT a, " + g.pick("count(*)", "max(b)", "min(a)") + " FROM " + t + " GROUP BY a"
	case 2:
		return "SELECT DISTINCT a, b FROM " + t
	default:
		return "SELECT " + g.pick(columns[t]...) + ", " + g.expr([]string{t}, 1) + " FROM " + t + g.where(from{aliases: []string{t}}, 50)
	}
}

func (g *clauseGen) compound() string {
	text := g.arm()
	for range 1 + g.r.IntN(3) {
		text += g.pick(" UNION ", " UNION ALL ", " INTERSECT ", " EXCEPT ", " UNION ALL ") + g.arm()
	}
	return text
}

// ctes defines c1 and c2, the second one of the first, and returns how columns
// of them are compared. Which affinity and collation a column of a compound has is open
// where those of its selects differ: then they are compared without. Which one of
// equal values a group has is open, too.
func (g *clauseGen) ctes() (text string, equal func(a, b string) string) {
	hint := func() string { return g.pick("", "", "MATERIALIZED ", "NOT MATERIALIZED ") }
	equal = func(a, b string) string { return "+" + a + " COLLATE BINARY = +" + b }
	first := "c1(p, q) AS " + hint() + "(" + g.compound() + ")"
	grouped := func(a, b string) string {
		return "(+" + a + " COLLATE NOCASE = +" + b + " OR rtrim(" + a + ") COLLATE NOCASE = rtrim(" + b + "))"
	}
	if g.chance(40) {
		grouped = nil
		first = "c1(p, q) AS " + hint() + "(" + g.arm() + ")"
		equal = func(a, b string) string { return a + " = " + b }
	}
	folded := "CASE typeof(p) WHEN 'text' THEN rtrim(lower(p)) ELSE p END AS p"
	second := g.pick(
		"SELECT "+folded+", count(*) AS q FROM c1 GROUP BY c1.p",
		"SELECT q AS p, p AS q FROM c1 WHERE "+g.expr([]string{"c1"}, 1),
		"SELECT c1.p, k1.b AS q FROM c1 JOIN k1 ON "+equal("k1.a", "c1.p"),
		"SELECT c1.p, x.q FROM c1, c1 AS x WHERE "+equal("x.p", "c1.q"),
		"WITH c1(p, q) AS (SELECT id, a FROM k2) SELECT p, q FROM c1",
		"SELECT DISTINCT "+folded+", 1 AS q FROM c1")
	if grouped != nil && (strings.HasSuffix(second, "GROUP BY c1.p") || strings.HasPrefix(second, "SELECT DISTINCT")) {
		equal = grouped
	}
	return "WITH " + first + ", c2 AS " + hint() + "(" + second + ") ", equal
}

func (g *clauseGen) recursive() string {
	union := g.pick(" UNION ", " UNION ALL ")
	step := g.pick(
		"SELECT p + 1, q FROM c1 WHERE p < 6", "SELECT p + 1, p * 2 FROM c1 WHERE p < 5 AND q IS NOT NULL",
		"SELECT c1.p + 1, k2.b FROM c1 JOIN k2 ON k2.id = c1.p + 1 WHERE c1.p < 7", "SELECT k1.id, k1.b FROM k1, c1 WHERE k1.id = c1.p + 2",
		"SELECT p + 1, q || 'x' FROM c1 WHERE p < (SELECT max(id) FROM k1 WHERE id < 7)")
	order := g.pick("", "", " ORDER BY 1, 2", " ORDER BY 2 DESC, 1", " ORDER BY 1, 2 LIMIT 7")
	use := g.pick("SELECT p, q FROM c1", "SELECT count(*), sum(p) FROM c1", "SELECT p, count(*) FROM c1 GROUP BY p", "SELECT k1.id, c1.q FROM k1 LEFT JOIN c1 ON c1.p = k1.id", "SELECT id FROM k1 WHERE id IN (SELECT p FROM c1)")
	return "WITH RECURSIVE c1(p, q) AS (SELECT id, " + g.pick("a", "b") + " FROM " + g.pick("k1", "k2") + " WHERE id < 5" + union + step + order + ") " + use
}

// inner is a subquery that reads the table alias around it.
func (g *clauseGen) inner(alias string) string {
	outer := alias + "." + g.pick(columns[alias[:2]]...)
	return "(" + g.pick(
		"SELECT count(*) FROM k2 AS i WHERE i.a = "+outer,
		"SELECT max(i.b) FROM k1 AS i WHERE i.id <= "+outer,
		"SELECT "+g.pick("count(*)", "sum(i.a)", "group_concat(i.id ORDER BY i.id)", "max(i.b)")+" FROM k2 AS i WHERE i."+g.pick("b", "d", "a")+" = "+outer+g.pick("", " AND i.id > 3", " AND i.b IS NOT NULL", " AND i.a < "+outer),
		"SELECT i.c FROM k1 AS i LEFT JOIN k3 AS j ON j.a = i.a WHERE i.b = "+outer+" ORDER BY i.id, j.b LIMIT 1",
		"SELECT count(*) FROM k1 AS i JOIN k2 AS j ON i.b = j.b WHERE j.d = "+outer,
		"SELECT n FROM (SELECT b, count(*) AS n FROM k1 GROUP BY b) AS i WHERE i.b = "+outer+" ORDER BY 1 LIMIT 1",
		"SELECT i.e FROM k3 AS i WHERE i.a = "+outer+" ORDER BY i.a, i.b LIMIT 1",
		"SELECT sum(i.a + "+outer+") FROM k3 AS i",
		"SELECT count(*) FROM (SELECT a FROM k1 UNION SELECT a FROM k2 WHERE b = "+outer+")",
		"WITH w(x) AS (SELECT i.a FROM k2 AS i WHERE i.b = "+outer+") SELECT total(x) FROM w",
		"SELECT count(i.a) FILTER (WHERE i.a > "+outer+") FROM k1 AS i",
		"SELECT min(i.id) FROM k1 AS i JOIN k2 AS j USING (id) WHERE j.b >= "+outer) + ")"
}

func (g *clauseGen) rowValue(alias string) string {
	col := func() string { return alias + "." + g.pick(columns[alias[:2]]...) }
	pair := "(" + col() + ", " + col() + ")"
	return g.pick(
		pair+g.pick(" IN ", " NOT IN ")+"(SELECT "+g.pick("a, b", "b, a", "e, a")+" FROM k3)",
		pair+" IN (VALUES ("+g.literal()+", "+g.literal()+"), (1, 'a'))",
		pair+g.pick(" = ", " <> ", " < ", " >= ")+"("+g.literal()+", "+g.literal()+")",
		"EXISTS ("+g.compound()+")",
		g.pick("", "NOT ")+"EXISTS (SELECT 1 FROM k2 AS i WHERE i."+g.pick("b", "d", "u")+" = "+col()+g.pick("", " AND i.id > 4", " AND i.a = "+col())+")",
		col()+g.pick(" IN ", " NOT IN ")+"(SELECT i.a FROM k1 AS i WHERE i."+g.pick("b", "c")+" = "+col()+")",
		col()+g.pick(" IN ", " NOT IN ")+"(SELECT a FROM k1 "+g.pick("UNION ", "EXCEPT ", "INTERSECT ")+"SELECT a FROM k2)",
		col()+" IS "+g.pick("", "NOT ")+g.pick("TRUE", "FALSE", "NULL", col()),
		"iif("+col()+" > "+g.literal()+", "+col()+", "+col()+")")
}

func (g *clauseGen) query() (text string, sorted bool) {
	f := g.from()
	alias := g.pick(f.aliases...)
	switch g.r.IntN(14) {
	case 0, 1, 2:
		cols := g.with(f, func() string { return g.expr(f.aliases, 2) + ", " + g.column(f.aliases) })
		return "SELECT " + g.pick("*", cols, cols, alias+".*") + " FROM " + f.text + g.where(f, 60) + g.order(f) + g.limit(), true
	case 3:
		return g.compound() + " ORDER BY " + g.pick("1, 2", "2 DESC, 1", "1 NULLS LAST, 2") + g.limit(), false
	case 4:
		t := g.pick("c1", "c2")
		with, equal := g.ctes()
		return with + "SELECT " + g.expr([]string{t}, 1) + ", " + t + ".p FROM " + g.pick(t, "c1 JOIN c2 ON "+equal("c1.p", "c2.p"), "c1 LEFT JOIN c2 ON "+equal("c2.p", "c1.p"), "c2 JOIN c1 ON "+equal("c1.q", "c2.q"), "c1, c2") + g.maybe(50, " WHERE "+g.expr([]string{t}, 1)), false
	case 5:
		return g.recursive(), false
	case 6: // subqueries in every clause
		return "SELECT " + g.inner(alias) + ", " + g.inner(alias) + " FROM " + f.text + " WHERE " + g.inner(alias) + g.pick(" > 0", " IS NOT NULL", " = "+g.inner(alias)) + g.order(f, g.inner(alias)) + g.limit(), true
	case 7:
		return "SELECT " + g.inner(alias) + " AS s, count(*) FROM " + f.text + g.where(f, 30) + " GROUP BY s HAVING " + g.pick("count(*) > 1", "s IS NOT NULL", "max("+alias+".a) >= (SELECT min(a) FROM k2)"), false
	case 8:
		col := g.column(f.aliases)
		return "SELECT " + col + ", " + g.aggregate(f) + ", " + g.aggregate(f) + " FROM " + f.text + g.where(f, 40) + " GROUP BY " + col + g.maybe(30, ", coalesce("+g.expr(f.aliases, 1)+", 'none')") + g.maybe(30, " HAVING "+g.aggregate(f)+" > 1"), false
	case 9:
		return "SELECT " + g.aggregate(f) + ", " + g.aggregate(f) + " FROM " + f.text + g.where(f, 60), false
	case 10:
		return "SELECT " + alias + ".a FROM " + f.text + " WHERE " + g.rowValue(alias) + g.maybe(50, g.pick(" AND ", " OR ")+g.rowValue(alias)) + g.order(f), true
	case 11:
		return g.windowed(f), false
	case 12:
		return "SELECT s.p, s.q, " + g.column(f.aliases) + " FROM " + f.text + g.pick(" JOIN ", " LEFT JOIN ") + "(SELECT a AS p, " + g.pick("count(*)", "max(b)", "sum(a)") + " AS q FROM " + g.pick("k1", "k2", "k3") +
			" GROUP BY a" + g.maybe(30, " ORDER BY 1 LIMIT 4") + ") AS s ON s.p = " + alias + "." + g.pick("a", "b"), false
	default:
		each := "json_each(json_array(" + g.pick("1, 'x', NULL", alias+".a, 2.5", alias+".a, 'b'") + ")) AS j"
		parts := []string{f.text, each}
		if strings.HasPrefix(f.text, "k") && !strings.Contains(f.text, "JOIN") && g.chance(50) {
			parts = []string{each, f.text}
		}
		return "SELECT j.key, j.value, " + alias + ".a FROM " + strings.Join(parts, ", ") + " WHERE " + g.pick("j.key > 0", "j.value = "+alias+".a", "j.type <> 'null'", "1"), false
	}
}

func (g *clauseGen) aggregate(f from) string {
	alias := g.pick(f.aliases...)
	col := alias + "." + g.pick("a", "b", "a")
	call := g.pick("count("+col+")", "count(DISTINCT "+col+")", "sum("+alias+".a)", "total("+alias+".a)", "min("+col+")", "max("+col+")", "sum(DISTINCT "+alias+".a)", "avg("+alias+".a)",
		"group_concat("+alias+".a, '-'"+g.order(f)+")", "json_group_array("+alias+".a"+g.order(f)+")", "count(*)")
	return call + g.maybe(30, " FILTER (WHERE "+g.expr(f.aliases, 1)+")")
}

// windowed is a query with several windows, of one name or of groups.
func (g *clauseGen) windowed(f from) string {
	if g.chance(30) {
		t := g.pick("k1", "k2", "k3")
		return "SELECT a, count(*), " + g.pick("rank() OVER (ORDER BY count(*))", "sum(count(*)) OVER (ORDER BY a)", "row_number() OVER (ORDER BY a)", "max(sum(a)) OVER ()", "lag(count(*)) OVER (ORDER BY a DESC)") +
			" FROM " + t + " GROUP BY a" + g.maybe(30, " HAVING count(*) > 1")
	}
	part := g.maybe(50, "PARTITION BY "+g.column(f.aliases))
	frame := g.pick("", "", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " GROUPS 1 PRECEDING EXCLUDE TIES", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW EXCLUDE GROUP", " RANGE UNBOUNDED PRECEDING EXCLUDE CURRENT ROW")
	call := func() string {
		alias := g.pick(f.aliases...)
		return g.pick("row_number()", "rank()", "dense_rank()", "ntile(3)", "count(*)", "total("+alias+".a)", "sum("+g.column(f.aliases)+")", "avg("+alias+".a)", "max("+alias+".b)", "first_value("+alias+".a)", "nth_value("+alias+".b, 2)", "lag("+alias+".a, 1, 'none')", "group_concat("+alias+".a)")
	}
	// A chained window may not be referred to with a frame of its own there.
	return "SELECT " + call() + " OVER w, " + call() + " OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), " + call() + " OVER v FROM " + f.text + g.where(f, 30) +
		" WINDOW w AS (" + part + g.order(f) + "), v AS (" + g.maybe(50, "PARTITION BY "+g.column(f.aliases)+" ") + strings.TrimSpace(g.order(f)) + frame + ")"
}

func (g *clauseGen) id() string { return strconv.Itoa(g.r.IntN(14)) }

func (g *clauseGen) small() string { return g.pick("NULL", "1", "2", "3", "4", "5", "2.5", "'3'") }

func (g *clauseGen) integer() string {
	if g.strict {
		return g.pick("NULL", "1", "2", "3.0", "'4'")
	}
	return g.small()
}

func (g *clauseGen) word() string {
	return g.pick("NULL", "'a'", "'A'", "'b'", "'B '", "'abc'", "''", "'3'", "3")
}

// insert returns the columns and the values of n rows, without the words
// INSERT INTO.
func (g *clauseGen) insert(table string, n int) string {
	cols := []string{"id", "a", "b", "u", "c"}
	switch table {
	case "k2":
		cols[4] = "d"
	case "k3":
		cols = []string{"a", "b", "e"}
	}
	if g.computed {
		cols = cols[:len(cols)-1]
	}
	var rows []string
	for range n {
		var vals []string
		for _, c := range cols {
			switch c {
			case "id":
				vals = append(vals, g.id())
			case "b":
				vals = append(vals, g.word())
			case "c", "e":
				vals = append(vals, g.literal())
			case "d":
				vals = append(vals, g.pick("1", "2.5", "NULL", "'7'", "1e3"))
			default:
				vals = append(vals, g.integer())
			}
		}
		rows = append(rows, "("+strings.Join(vals, ", ")+")")
	}
	return table + "(" + strings.Join(cols, ", ") + ") VALUES " + strings.Join(rows, ", ")
}

func (g *clauseGen) returning(table string) string {
	return g.pick("", "", " RETURNING *", " RETURNING a, b || 'x' AS x", " RETURNING "+g.pick(columns[table]...)+", (SELECT count(*) FROM "+map[string]string{"k1": "k2", "k2": "k3", "k3": "k1"}[table]+")")
}

// intoK3 is the rest of a statement that copies c1. SQLite keeps rows of a
// statement that a value of another type fails under OR IGNORE.
func (g *clauseGen) intoK3() string {
	if g.strict {
		return "DELETE FROM k3 WHERE b IN (SELECT q FROM c1)"
	}
	return "INSERT OR IGNORE INTO k3(a, b) SELECT p, q FROM c1 WHERE true"
}

// change changes one table. What it does must not depend on the order of rows.
func (g *clauseGen) change() string {
	or := g.pick("", "", "OR IGNORE ", "OR REPLACE ", "OR FAIL ", "OR ROLLBACK ")
	t := g.pick("k1", "k2", "k3")
	set := func() string { return g.pick("a = "+g.small(), "b = "+g.word(), "a = a + 1", "b = b || 'z'") }
	switch g.r.IntN(14) {
	case 0, 1:
		return "INSERT " + or + "INTO " + g.insert(t, 1+g.r.IntN(3)) + g.returning(t)
	case 2, 3:
		t = g.pick("k1", "k2")
		target := "ON CONFLICT(u) "
		if t == "k2" && g.chance(50) {
			target = "ON CONFLICT(u) WHERE u > 2 "
		}
		return "INSERT INTO " + g.insert(t, 1+g.r.IntN(2)) + " ON CONFLICT(id) DO " + g.pick("NOTHING", "UPDATE SET a = excluded.a, b = "+t+".b || excluded.b", "UPDATE SET a = excluded.a WHERE excluded.a > "+t+".a") +
			" " + target + "DO " + g.pick("NOTHING", "UPDATE SET b = excluded.b", "UPDATE SET (a, b) = (excluded.a, excluded.u)") + g.maybe(30, " ON CONFLICT DO "+g.pick("NOTHING", "UPDATE SET a = 9")) + g.returning(t)
	case 4:
		return "INSERT INTO " + g.insert("k3", 2) + " ON CONFLICT(" + g.pick("a, b", "b, a") + ") DO UPDATE SET a = k3.a + 20 WHERE " + g.pick("k3.a < 20", "excluded.b = k3.b", "0") + g.returning("k3")
	case 5:
		return "UPDATE k1 SET " + g.pick("a = k2.id", "a = k2.a, b = k2.b", "b = k2.d", "(a, b) = (k2.u, k1.b)") + " FROM k2 WHERE k2.id = k1." + g.pick("id", "a", "u") + g.maybe(50, " AND "+g.expr([]string{"k1", "k2"}, 1)) + g.returning("k1")
	case 6:
		return "UPDATE k2 SET " + g.pick("a = s.n", "b = s.m") + " FROM (SELECT a, count(*) AS n, max(b) AS m FROM k1 GROUP BY a) AS s WHERE s.a = k2." + g.pick("id", "a", "u") + g.returning("k2")
	case 7:
		return "UPDATE k1 SET (a, b) = (SELECT " + g.pick("k2.a, k2.b", "count(*), max(b)", "k2.id, k2.d") + " FROM k2 WHERE k2.id = k1." + g.pick("id", "a") + ")" + g.where(from{aliases: []string{"k1"}}, 50) + g.returning("k1")
	case 8:
		return "UPDATE " + or + g.pick("k1", "k2") + " SET " + g.pick("u = "+g.small(), "id = "+g.id(), set()) + " WHERE id = " + g.id()
	case 9:
		return "DELETE FROM " + t + " WHERE " + g.expr([]string{t}, 2) + " AND " + g.pick("a = "+g.small(), "b = "+g.word()) + g.returning(t)
	case 10:
		return "WITH c1(p, q) AS (" + g.arm() + ") " + g.pick("DELETE FROM k3 WHERE a IN (SELECT p FROM c1) AND a < 3", "UPDATE k1 SET a = 3 WHERE b IN (SELECT q FROM c1)", g.intoK3(), "DELETE FROM k2 WHERE (a, b) IN (SELECT p, q FROM c1)")
	case 11:
		return g.pick("SAVEPOINT s", "SAVEPOINT r", "ROLLBACK TO s", "RELEASE s", "ROLLBACK TO r", "RELEASE r", "BEGIN", "COMMIT", "ROLLBACK")
	case 12:
		from := g.pick("k1 AS o LEFT JOIN k2 ON k2.id = o.a", "k1 AS o JOIN k2 USING (id)", "k2 RIGHT JOIN k1 AS o ON k2.id = o.u", "k2 FULL JOIN k1 AS o ON k2.id = o.id AND k2.a < o.a", "k1 AS o, k2", "k1 AS o NATURAL JOIN k2", "k1 AS o JOIN k2 ON k2.id = k1.id", "(k2 RIGHT JOIN k1 AS o ON k2.u = o.u), (SELECT 1 AS n)")
		return "UPDATE k1 SET " + g.pick("a = o.a", "a = k2.a, b = o.b", "b = b", "(a, b) = (k2.u, o.b)") + " FROM " + from + " WHERE o.id = k1.id AND " + g.pick("k2.id = k1.id", "k2.id IS NULL", "k2.id = o.id") + g.returning("k1")
	default:
		return "UPDATE " + g.pick("k1", "k2") + " SET " + set() + ", " + set() + " WHERE " + g.pick("id > "+g.id(), "a = "+g.small(), "b = "+g.word())
	}
}

// TestGeneratedClauses compares joins by names, compounds, common table
// expressions, subqueries in every clause, windows, and changes that return rows.
func TestGeneratedClauses(t *testing.T) {
	s := seeded(t)
	for i, suite := range clauseSuites {
		t.Run(suite.name, func(t *testing.T) {
			g := &clauseGen{gen: &gen{r: rand.New(rand.NewPCG(s, 20+uint64(i))), bases: []string{"k1", "k2", "k3"}}, computed: suite.name == "computed", strict: suite.name == "strict"}
			for n := 0; n < *statements/len(clauseSuites); {
				b := openBoth(t)
				if suite.spill {
					b.spill()
				}
				for _, q := range suite.ddl {
					b.change(q)
				}
				for range 8 {
					for _, table := range []string{"k1", "k2", "k3"} {
						b.change("INSERT OR IGNORE INTO " + g.insert(table, 1))
					}
				}
				if g.chance(50) { // plans and their changes of mind depend on how many rows there are
					b.change("ANALYZE")
				}
				for range 120 {
					q, sorted := g.query()
					b.compare(g.finish(q), sorted)
					if g.chance(40) {
						b.change(g.finish(g.change()))
						for _, table := range []string{"k1", "k2", "k3"} {
							b.compare(fmt.Sprintf("SELECT * FROM %s ORDER BY 1, 2", table), false)
						}
					}
					n++
				}
				if t.Failed() {
					t.FailNow()
				}
				if b.compared < 100 || b.rows < 100 {
					t.Fatalf("%d statements gave %d rows: that compares little", b.compared, b.rows)
				}
			}
		})
	}
}
