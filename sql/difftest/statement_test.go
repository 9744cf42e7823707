package difftest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// gen makes statements.
type gen struct {
	r     *rand.Rand
	flat  bool                // no subqueries
	bases []string            // tables that subqueries read; t1 and t2 when empty
	bare  []string            // columns that may go without their table
	own   map[string][]string // columns of tables that were generated, by name
}

func (g *gen) pick(list ...string) string { return list[g.r.IntN(len(list))] }

func (g *gen) literal() string {
	return g.pick("NULL", "0", "1", "2", "3", "-1", "10", "1.0", "2.5", "-0.5", "'a'", "'B'", "'b'", "'1'", "'2'", "'1.0'", "'10'", "''", "'abc'", "x'61'", "x''", "9223372036854775807", "1e3")
}

// columns of the tables, by the first two letters of their alias.
var columns = map[string][]string{
	"t1": {"id", "a", "b", "c", "d"}, // columns of every affinity
	"t2": {"id", "a", "e", "f"},
	"k1": {"id", "a", "b", "c"}, // see clauseSuites
	"k2": {"id", "a", "b", "d"},
	"k3": {"a", "b", "e"},
	"c1": {"p", "q"}, // common table expressions
	"c2": {"p", "q"},
}

func (g *gen) column(tables []string) string {
	if len(g.bare) > 0 && g.r.IntN(3) == 0 {
		return g.pick(g.bare...)
	}
	t := tables[g.r.IntN(len(tables))]
	return t + "." + g.pick(g.columnsOf(t)...)
}

// columnsOf returns the columns of the table that an alias begins with.
func (g *gen) columnsOf(alias string) []string {
	if cols := g.own[alias[:2]]; cols != nil {
		return cols
	}
	return columns[alias[:2]]
}

func (g *gen) expr(tables []string, depth int) string {
	if depth <= 0 || g.r.IntN(4) == 0 {
		if len(tables) == 0 || g.r.IntN(3) == 0 {
			return g.literal()
		}
		return g.column(tables)
	}
	e := func() string { return g.expr(tables, depth-1) }
	switch g.r.IntN(24) {
	case 0, 1:
		return "(" + e() + g.pick(" + ", " - ", " * ", " / ", " % ") + e() + ")"
	case 2, 3, 4, 5:
		return "(" + e() + g.pick(" = ", " <> ", " < ", " <= ", " > ", " >= ") + e() + ")"
	case 6:
		return "(" + e() + g.pick(" AND ", " OR ") + e() + ")"
	case 7:
		return "(NOT " + e() + ")"
	case 8:
		return "(" + e() + g.pick(" IS ", " IS NOT ", " IS DISTINCT FROM ", " IS NOT DISTINCT FROM ") + e() + ")"
	case 9:
		return "(" + e() + g.pick(" IS NULL", " NOTNULL", " ISNULL") + ")"
	case 10:
		return "(" + e() + g.pick(" ", " NOT ") + "BETWEEN " + e() + " AND " + e() + ")"
	case 11:
		return "(" + e() + g.pick(" ", " NOT ") + "IN (" + e() + ", " + e() + ", " + g.literal() + "))"
	case 12:
		return "(CASE WHEN " + e() + " THEN " + e() + " ELSE " + e() + " END)"
	case 13:
		return "(CASE " + e() + " WHEN " + e() + " THEN " + e() + " END)"
	case 14:
		return "CAST(" + e() + " AS " + g.pick("INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB") + ")"
	case 15:
		return "(" + e() + " || " + e() + ")"
	case 16:
		return g.pick("coalesce", "ifnull", "nullif", "min", "max") + "(" + e() + ", " + e() + ")"
	case 17:
		return g.pick("typeof", "length", "abs", "upper", "hex", "quote") + "(" + g.column2(tables) + ")"
	case 18:
		return "(" + e() + " COLLATE " + g.pick("NOCASE", "BINARY", "RTRIM") + " " + g.pick("=", "<", ">") + " " + e() + ")"
	case 19:
		return g.pick("-", "+", "~") + "(" + e() + ")"
	case 20:
		return "(" + e() + g.pick(" ", " NOT ") + g.pick("LIKE", "GLOB") + " " + g.pick("'a%'", "'%1%'", "'_'", "'[a-b]*'", "'*'") + ")"
	case 21:
		if g.flat {
			return g.literal()
		}
		return g.subquery(tables, depth-1)
	case 22:
		return "(" + e() + ", " + e() + ")" + g.pick(" = ", " < ", " >= ", " <> ") + "(" + e() + ", " + e() + ")"
	default:
		return "(" + e() + g.pick(" & ", " | ", " << ", " >> ") + e() + ")"
	}
}

func (g *gen) column2(tables []string) string {
	if len(tables) == 0 {
		return g.literal()
	}
	return g.column(tables)
}

func (g *gen) subquery(outer []string, depth int) string {
	bases := g.bases
	if len(bases) == 0 {
		bases = []string{"t1", "t2"}
	}
	t := g.pick(bases...)
	alias := t + "s" + strconv.Itoa(g.r.IntN(1000))
	in := append(slices.Clone(outer), alias)
	where := " WHERE " + g.expr(in, depth)
	from := " FROM " + t + " AS " + alias
	switch g.r.IntN(4) {
	case 0:
		return "(" + g.pick("", "NOT ") + "EXISTS (SELECT 1" + from + where + "))"
	case 1:
		return "(" + g.expr(outer, depth) + g.pick(" ", " NOT ") + "IN (SELECT " + g.column([]string{alias}) + from + where + "))"
	case 2:
		return "(SELECT " + g.pick("count(*)", "sum(", "max(", "min(", "count(", "total(") + "§" + from + where + ")"
	default:
		return "(SELECT " + g.expr([]string{alias}, depth) + from + where + " ORDER BY " + strings.Join(key(alias), ", ") + " LIMIT 1)"
	}
}

// key returns the columns that tell the rows of a table apart.
func key(alias string) []string {
	if strings.HasPrefix(alias, "k3") {
		return []string{alias + ".a", alias + ".b"}
	}
	return []string{alias + ".id"}
}

// finish puts arguments into the aggregates that subquery left open.
func (g *gen) finish(s string) string {
	s = strings.ReplaceAll(s, "count(*)§", "count(*)")
	for strings.Contains(s, "§") {
		i := strings.Index(s, "§")
		rest := s[i+len("§"):]
		j := strings.Index(rest, " AS ") + len(" AS ")
		alias := rest[j:]
		alias = alias[:strings.IndexAny(alias, " )")]
		s = s[:i] + g.column([]string{alias}) + ")" + rest
	}
	return s
}

// query returns a SELECT and whether its rows come in a fixed order.
func (g *gen) query() (string, bool) {
	var from string
	var tables []string
	switch g.r.IntN(8) {
	case 0, 1:
		from, tables = "t1", []string{"t1"}
	case 2:
		from, tables = "t2", []string{"t2"}
	case 3:
		from, tables = "t1, t2", []string{"t1", "t2"}
	case 4:
		tables = []string{"t1", "t2"}
		from = "t1 " + g.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN") + " t2 ON " + g.expr(tables, 2)
	case 5:
		tables = []string{"t1", "t2"}
		from = "t1 " + g.pick("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN") + " t2 ON " + g.column([]string{"t1"}) + " = " + g.column([]string{"t2"})
	case 6:
		tables = []string{"t1", "t2", "t1x"}
		from = "t1 " + g.pick("JOIN", "LEFT JOIN") + " t2 ON " + g.column([]string{"t1"}) + " = " + g.column([]string{"t2"}) +
			g.pick(" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ") + "t1 AS t1x ON " + g.column([]string{"t1", "t2"}) + " = " + g.column([]string{"t1x"})
	default:
		tables = []string{"t1", "t2"}
		from = "(SELECT * FROM t1 WHERE " + g.expr([]string{"t1"}, 1) + ") AS t1 " + g.pick("JOIN", "LEFT JOIN") + " t2 ON " + g.expr(tables, 1)
	}
	where := ""
	if g.r.IntN(5) > 0 {
		where = " WHERE " + g.expr(tables, 3)
		if g.r.IntN(2) == 0 {
			where += " AND " + g.column(tables) + g.pick(" = ", " < ", " >= ", " IN ") + "(" + g.literal() + ")"
		}
	}
	switch g.r.IntN(5) {
	case 0:
		col := g.column(tables)
		having := ""
		if g.r.IntN(2) == 0 {
			having = " HAVING count(*) " + g.pick(">", "<", "=") + " 1"
		}
		agg := g.pick("count(*)", "sum", "min", "max", "avg", "total", "count(DISTINCT ", "group_concat")
		if agg != "count(*)" {
			if !strings.HasSuffix(agg, " ") {
				agg += "("
			}
			if strings.HasPrefix(agg, "group") {
				return "SELECT count(*) FROM " + from + where, true
			}
			agg += g.expr(tables, 1) + ")"
			if g.r.IntN(3) == 0 {
				agg += " FILTER (WHERE " + g.expr(tables, 1) + ")"
			}
		}
		return "SELECT " + col + ", count(*), " + agg + " FROM " + from + where + " GROUP BY " + col + having, false
	case 1:
		return "SELECT count(*), " + g.pick("min", "max", "sum", "count", "avg") + "(" + g.column(tables) + "), " + g.pick("min", "max") + "(" + g.expr(tables, 1) + ") FROM " + from + where, true
	case 2:
		col, op := g.column(tables), g.pick("UNION", "UNION ALL", "INTERSECT", "EXCEPT")
		return "SELECT " + col + " FROM " + from + where + " " + op + " SELECT " + g.pick("a", "id", "f") + " FROM t2", false
	case 3:
		return "SELECT DISTINCT " + g.expr(tables, 2) + " FROM " + from + where, false
	}
	cols := g.expr(tables, 3) + ", " + g.column(tables)
	order := ""
	sorted := false
	if g.r.IntN(2) == 0 {
		order = " ORDER BY " + g.column(tables) + g.pick("", " DESC", " COLLATE NOCASE", " NULLS LAST")
		for _, t := range tables {
			order += ", " + t + ".id" + g.pick("", " DESC")
		}
		sorted = true
		if g.r.IntN(2) == 0 {
			order += " LIMIT " + g.pick("0", "1", "3", "5") + g.pick("", " OFFSET 1", " OFFSET 2")
		}
	}
	return "SELECT " + cols + " FROM " + from + where + order, sorted
}

func (g *gen) row(n int) string {
	var cells []string
	for range n {
		cells = append(cells, g.literal())
	}
	return "(" + strings.Join(cells, ", ") + ")"
}

// assigned is an expression for SET. In SQLite a subquery there sees the rows
// that the same UPDATE has changed already, in byokdb it does not.
func (g *gen) assigned(table string, depth int) string {
	g.flat = true
	defer func() { g.flat = false }()
	return g.expr([]string{table}, depth)
}

func (g *gen) change() string {
	switch g.r.IntN(8) {
	case 0:
		return "UPDATE " + g.pick("", "OR IGNORE ", "OR REPLACE ") + "t1 SET " + g.pick("a", "b", "c", "d") + " = " + g.assigned("t1", 2) + " WHERE " + g.expr([]string{"t1"}, 2)
	case 1:
		return "UPDATE t2 SET e = " + g.assigned("t2", 1) + ", f = e WHERE " + g.expr([]string{"t2"}, 2)
	case 2:
		return "DELETE FROM t1 WHERE " + g.expr([]string{"t1"}, 3)
	case 3:
		return "DELETE FROM t2 WHERE " + g.expr([]string{"t2"}, 3)
	case 4:
		return "INSERT " + g.pick("", "OR IGNORE ", "OR REPLACE ") + "INTO t1(a, b, c, d) VALUES " + g.row(4) + ", " + g.row(4)
	case 5:
		return "INSERT INTO t2(a, e, f) VALUES " + g.row(3) + " ON CONFLICT DO NOTHING"
	case 6:
		return "INSERT INTO t2(id, a, e, f) VALUES (" + strconv.Itoa(g.r.IntN(12)) + ", " + g.literal() + ", " + g.literal() + ", " + g.literal() + ") ON CONFLICT(id) DO UPDATE SET a = excluded.a, e = t2.e || excluded.e"
	default:
		return "INSERT INTO t1(a, b, c, d) SELECT a, e, f, a FROM t2 WHERE " + g.expr([]string{"t2"}, 2) + " ORDER BY id LIMIT 3"
	}
}

var tables = []string{
	"CREATE TABLE t1(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL, d)",
	"CREATE TABLE t2(id INTEGER PRIMARY KEY, a NUMERIC, e TEXT COLLATE NOCASE, f BLOB)",
}

// uniqueTables make most changes meet a row in their way.
var uniqueTables = []string{
	"CREATE TABLE t1(id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT, c REAL NOT NULL DEFAULT 4, d, UNIQUE(b, d))",
	"CREATE TABLE t2(id INTEGER PRIMARY KEY, a NUMERIC CHECK (a <> 3), e TEXT COLLATE NOCASE UNIQUE, f BLOB)",
}

var indexes = []string{
	"CREATE INDEX t1a ON t1(a)", "CREATE INDEX t1bc ON t1(b, c DESC)", "CREATE INDEX t1d ON t1(d)", "CREATE INDEX t1c ON t1(c)",
	"CREATE INDEX t2a ON t2(a DESC)", "CREATE INDEX t2e ON t2(e)", "CREATE INDEX t2f ON t2(f, a)",
}

func TestGeneratedStatements(t *testing.T) {
	s := seeded(t)
	for name, ddl := range inOrder(map[string][]string{"plain": tables, "indexes": append(slices.Clone(tables), indexes...), "unique": uniqueTables}) {
		t.Run(name, func(t *testing.T) {
			g := &gen{r: rand.New(rand.NewPCG(s, 1))}
			nFailed := 0
			for n := 0; n < *statements/3; {
				b := openBoth(t)
				if n/120%2 == 1 {
					b.spill()
				}
				for _, q := range ddl {
					b.change(q)
				}
				for range 6 {
					b.change("INSERT INTO t1(a, b, c, d) VALUES " + g.row(4))
					b.change("INSERT INTO t2(a, e, f) VALUES " + g.row(3))
				}
				for range 120 {
					q, sorted := g.query()
					b.compare(g.finish(q), sorted)
					if g.r.IntN(4) == 0 {
						b.change(g.finish(g.change()))
						b.compare("SELECT * FROM t1 ORDER BY id", true)
						b.compare("SELECT * FROM t2 ORDER BY id", true)
					}
					n++
				}
				if t.Failed() {
					if nFailed++; nFailed >= 5 {
						t.FailNow()
					}
				}
			}
		})
	}
}
