package difftest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// plannerTables hold more rows than the plans of TestGeneratedStatements meet,
// with many that share values.
var plannerTables = []string{
	"CREATE TABLE p(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, n TEXT, m TEXT COLLATE NOCASE, r REAL, x, gone TEXT)",
	"CREATE TABLE q(id INTEGER PRIMARY KEY, p_id INTEGER, a NUMERIC, k TEXT, v)",
	"CREATE TABLE w(k TEXT NOT NULL, l INTEGER NOT NULL, a INTEGER, v TEXT, PRIMARY KEY(k, l)) WITHOUT ROWID",
	"CREATE VIEW vp AS SELECT id, a + b AS s, n COLLATE NOCASE AS n, a AS alpha, x FROM p WHERE gone IS NULL",
	"CREATE VIEW vq(pid, k, t) AS SELECT p.id, q.k, p.n || q.k FROM p JOIN q ON q.p_id = p.id",
	"CREATE VIEW vv AS SELECT vp.id AS i, vp.alpha, s, 7 AS seven FROM vp, w WHERE w.a = vp.alpha AND alpha > 1",
}

// plannerIndexes are without names of their own in any query: they change no
// result.
var plannerIndexes = []string{
	"CREATE INDEX pa ON p(a, b)", "CREATE INDEX pb ON p(b DESC, n)", "CREATE INDEX pn ON p(n)", "CREATE INDEX pnn ON p(n COLLATE NOCASE, a)",
	"CREATE INDEX pm ON p(m, r DESC)", "CREATE INDEX pr ON p(r)", "CREATE INDEX px ON p(x, a)",
	"CREATE INDEX pga ON p(a) WHERE gone IS NULL", "CREATE INDEX pgb ON p(b, r) WHERE b IS NOT NULL", "CREATE INDEX pgx ON p(x) WHERE a = 3 AND gone IS NOT NULL",
	"CREATE INDEX pe ON p(a + b)", "CREATE INDEX pl ON p(lower(n), a)", "CREATE INDEX pz ON p(abs(a) DESC) WHERE a + b > 3",
	"CREATE INDEX qp ON q(p_id)", "CREATE INDEX qk ON q(k, a)", "CREATE INDEX qa ON q(a DESC)", "CREATE INDEX qv ON q(v)",
	"CREATE INDEX wa ON w(a)", "CREATE INDEX wv ON w(v, a DESC)",
}

func (g *gen) small() string {
	return g.pick("NULL", "0", "1", "2", "3", "3", "4", "5", "-1", "2.5", "3.0", "'3'", "7")
}

func (g *gen) word() string {
	return g.pick("NULL", "'abc'", "'ABC'", "'abd'", "'Abcd'", "'ab'", "'b'", "'B c'", "'a%c'", "''", "'3'", "x'616263'", "'zé'")
}

func (g *gen) plannerRow(table string) string {
	i := func() string { return strconv.Itoa(g.r.IntN(8)) }
	switch table {
	case "p":
		return "INSERT INTO p(a, b, n, m, r, x, gone) VALUES (" + g.small() + ", " + g.small() + ", " + g.word() + ", " + g.word() + ", " +
			g.pick(g.small(), "0.5", "-0.0", "1e3") + ", " + g.pick(g.small(), g.word()) + ", " + g.pick("NULL", "NULL", "'yes'") + ")"
	case "q":
		return "INSERT INTO q(p_id, a, k, v) VALUES (" + g.pick(i()+i(), i(), "NULL") + ", " + g.small() + ", " + g.word() + ", " + g.pick(g.small(), g.word()) + ")"
	default:
		return "INSERT OR REPLACE INTO w VALUES (" + g.pick("'a'", "'b'", "'abc'", "'A'", "'3'") + ", " + i() + ", " + g.small() + ", " + g.word() + ")"
	}
}

// term is one condition on p under an alias.
func (g *gen) term(p string) string {
	col := p + "." + g.pick("a", "b", "r", "x", "id", "a", "b")
	txt := p + "." + g.pick("n", "m", "x", "n", "m")
	switch g.r.IntN(20) {
	case 0, 1, 2:
		return col + g.pick(" = ", " = ", " < ", " > ", " <= ", " >= ", " <> ", " IS ") + g.small()
	case 3:
		return g.small() + g.pick(" = ", " < ", " >= ") + col
	case 4, 5:
		return txt + g.pick(" = ", " = ", " < ", " >= ", " > ") + g.word()
	case 6:
		return col + " IN (" + g.small() + ", " + g.small() + ", " + g.small() + ")"
	case 7:
		return txt + " IN (" + g.word() + ", " + g.word() + ")"
	case 8:
		return col + g.pick(" IN ", " IN ", " NOT IN ") + "(SELECT " + g.pick("p_id", "a", "v", "id") + " FROM q WHERE " + g.pick("k = "+g.word(), "a > "+g.small(), "a = "+p+".b") + ")"
	case 9:
		return txt + " LIKE " + g.pick("'a%'", "'ab%'", "'AB%'", "'abc'", "'a\\%%'", "'%c'", "''", "'a_c'", "'3%'", "NULL")
	case 10:
		return txt + " GLOB " + g.pick("'a*'", "'ab*'", "'A*'", "'abc'", "'a?c'", "'*c'", "''", "'[a]*'")
	case 11:
		return p + ".gone IS NULL"
	case 12:
		return p + ".gone IS NOT NULL AND " + p + ".a = 3"
	case 13:
		return p + ".a + " + p + ".b" + g.pick(" = ", " > ", " < ") + g.small()
	case 14:
		return "lower(" + p + ".n) = " + g.word()
	case 15:
		return "abs(" + p + ".a) = " + g.small() + " AND " + p + ".a + " + p + ".b > 3"
	case 16:
		return col + " BETWEEN " + g.small() + " AND " + g.small()
	case 17:
		return col + g.pick(" IS NULL", " IS NOT NULL", " ISNULL")
	case 18:
		return txt + " = " + g.word() + " COLLATE " + g.pick("NOCASE", "BINARY", "RTRIM")
	default:
		return g.pick("", "NOT ") + "EXISTS (SELECT 1 FROM q WHERE q." + g.pick("p_id", "a", "k", "v") + " = " + p + "." + g.pick("id", "a", "n", "x", "m") + g.pick("", " AND q.a > 1") + ")"
	}
}

func (g *gen) terms(p string) string {
	t := g.term(p)
	for range g.r.IntN(3) {
		t += " AND " + g.term(p)
	}
	if g.r.IntN(3) == 0 {
		t = "(" + t + " OR " + g.term(p)
		if g.r.IntN(3) == 0 {
			t += " AND " + g.term(p) + " OR " + g.term(p)
		}
		t += ")"
		if g.r.IntN(2) == 0 {
			t += " AND " + g.term(p)
		}
	}
	return t
}

func (g *gen) plannerQuery() (text string, sorted bool) {
	where := g.pick("", " WHERE "+g.terms("p"), " WHERE "+g.terms("p"), " WHERE "+g.terms("p"))
	dir := func() string { return g.pick("", "", " DESC") }
	switch g.r.IntN(19) {
	case 0: // the rows, in an order of their own
		return "SELECT " + g.pick("*", "id", "a, b, id", "n, id", "x, m", "r, a", "a + b, lower(n)") + " FROM p" + where, false
	case 1, 2:
		key := g.pick("a", "b", "n", "m", "r", "x", "a"+dir()+", b", "b"+dir()+", n", "m"+dir()+", r", "a + b", "lower(n), a", "n COLLATE NOCASE, a", "abs(a)", "gone, a")
		return "SELECT " + g.pick("*", "id", "a, b, id", "m, r", "n") + ", id FROM p" + where + " ORDER BY " + key + dir() + g.pick("", " NULLS LAST") + ", id" + dir() +
			g.pick("", " LIMIT 3", " LIMIT 5 OFFSET 2", " LIMIT 0", " LIMIT -1 OFFSET 3"), true
	case 3, 4:
		by := g.pick("a", "b", "n", "m", "r", "x", "a, b", "b, n", "m, r", "a + b", "lower(n), a", "n COLLATE NOCASE")
		return "SELECT " + by + ", count(*), " + g.pick("sum(a)", "min(r)", "max(n)", "count(DISTINCT b)", "total(id)", "avg(r)") + " FROM p" + where + " GROUP BY " + by +
			g.pick("", " HAVING count(*) > 1") + g.pick("", "", " ORDER BY "+g.pick("1", "1 DESC", "count(*), 1")+", min(id)"), false
	case 5:
		return "SELECT DISTINCT " + g.pick("a", "b", "a, b", "b, n", "r", "x", "lower(n)", "a, id", "gone") + " FROM p" + where, false
	case 6:
		return "SELECT " + g.pick("min", "max") + "(" + g.pick("a", "b", "r", "n", "id", "a + b") + ") FROM p" + where, true
	case 7:
		return "SELECT count(*), count(a), sum(b), avg(r), min(id), max(n) FROM p" + where, true
	case 8, 9:
		on := g.pick("q.p_id = p.id", "q.a = p.a", "q.k = p.n", "q.k = p.m", "q.v = p.x", "q.p_id = p.a AND q.k = p.n", "q.p_id = p.id AND q.a > p.b", "p.id IN (q.p_id, q.a)", "q.p_id = p.id OR q.a = p.b")
		return "SELECT p.id, q.id, q.k FROM " + g.pick("p JOIN q ON ", "q JOIN p ON ", "p LEFT JOIN q ON ", "q LEFT JOIN p ON ", "p CROSS JOIN q ON ") + on + where +
			g.pick("", " ORDER BY p.id, q.id", " ORDER BY q.id, p.id LIMIT 7"), false
	case 10:
		return "SELECT p.id, q.id, w.l FROM p, q, w WHERE q.p_id = p.id AND w.a = q.a AND " + g.terms("p") + g.pick("", " AND w.k = 'a'", " AND w.k = q.k"), false
	case 11:
		cond := g.pick("k = 'a'", "k IN ('a', 'b') AND l > 2", "a = 3", "v = 'abc' AND a > 1", "k > 'A' AND l = 3", "k LIKE 'a%'", "a = 1 OR v = 'abc' OR k = 'b' AND l = 2")
		return "SELECT * FROM w WHERE " + cond + " ORDER BY " + g.pick("k, l", "k DESC, l DESC", "a, k, l", "v, a DESC, k, l") + g.pick("", " LIMIT 4"), true
	case 13:
		by := g.pick("p.id", "p.a", "q.k", "p.a, p.b", "p.n", "q.p_id", "p.id, q.a")
		return "SELECT " + by + ", count(*), max(q.a), sum(p.b) FROM " + g.pick("p JOIN q ON q.p_id = p.id", "p LEFT JOIN q ON q.k = p.n", "q JOIN p ON p.a = q.a") + where + " GROUP BY " + by + g.pick("", " HAVING count(*) > 1"), false
	case 14:
		return "SELECT " + g.pick("*", "id, s", "count(*), max(s)", "alpha, x") + " FROM vp WHERE " + g.pick("id = 3", "s = 4", "alpha = "+g.small(), "n = "+g.word(), "n LIKE 'ab%'", "alpha IN (1, 3) AND x > 0", "s > 2 OR n = 'abc'"), false
	case 15:
		return "SELECT " + g.pick("*", "pid, t", "count(*)", "DISTINCT k") + " FROM vq" + g.pick("", " WHERE pid = 4", " WHERE k = 'abc'", " WHERE t LIKE 'a%' AND pid > 2", " JOIN p ON p.id = vq.pid WHERE p.a = 3", " LEFT JOIN w ON w.k = vq.k WHERE w.l IS NULL"), false
	case 16:
		return "SELECT " + g.pick("*", "i, seven + s", "count(*), sum(seven)", "max(i), seven") + " FROM vv" + g.pick("", " WHERE i < 9", " WHERE seven = 7 AND alpha = 3", " WHERE s + seven > 9"), false
	case 18:
		return "SELECT alpha, seven, count(*), sum(s + seven) FROM vv GROUP BY alpha, seven" + g.pick("", " HAVING sum(i) > 9", " ORDER BY alpha DESC"), false
	case 17:
		return "SELECT o.u, o.n2 FROM (SELECT a AS u, n AS n2, id FROM (SELECT * FROM p WHERE b > 0) WHERE u IS NOT NULL) AS o, q WHERE q.p_id = o.id AND " + g.pick("o.u = 3", "o.n2 = q.k", "o.u + q.a > 4", "EXISTS (SELECT 1 FROM vp WHERE vp.id = o.id)"), false
	case 12:
		return "SELECT id, (SELECT " + g.pick("count(*)", "max(q.a)", "min(q.id)") + " FROM q WHERE q." + g.pick("p_id = p.id", "k = p.n", "a = p.a AND q.p_id > p.b") + ") FROM p" + where, false
	default:
		return "SELECT s.a, s.n FROM (SELECT id, a, n FROM p" + where + g.pick("", " ORDER BY id LIMIT 6") + ") AS s JOIN q ON q.p_id = s.id WHERE s.a > " + g.small(), false
	}
}

// plannerSuites run the same statements under different circumstances.
var plannerSuites = []struct {
	name    string
	indexes bool
	tiny    bool // pages, cache and memtable
	inTx    bool
	analyze bool
	compact bool // rows are flushed and compacted half way
	spill   bool
}{
	{name: "plain"},
	{name: "indexes", indexes: true},
	{name: "analyzed", indexes: true, analyze: true},
	{name: "tiny pages, compacted", indexes: true, tiny: true, compact: true},
	{name: "in a transaction", indexes: true, inTx: true},
	{name: "plain, tiny pages, analyzed", tiny: true, analyze: true, compact: true},
	{name: "spilled", spill: true},
}

func TestPlans(t *testing.T) {
	s := seeded(t)
	for _, suite := range plannerSuites {
		t.Run(suite.name, func(t *testing.T) {
			g := &gen{r: rand.New(rand.NewPCG(s, 7))}
			for n := 0; n < *statements/len(plannerSuites); {
				var o *engine.Options
				if suite.tiny {
					o = &engine.Options{PageSize: 4 << 10, CacheSize: 1 << 20, MemtableSize: 1 << 20}
				}
				b, _ := openBothWith(t, o)
				if suite.spill {
					b.spill()
				}
				ddl := plannerTables
				if suite.indexes {
					ddl = slices.Concat(ddl, plannerIndexes)
				}
				for _, q := range ddl {
					b.change(q)
				}
				if suite.inTx {
					b.change("BEGIN")
				}
				for range 40 {
					for _, table := range []string{"p", "q", "w"} {
						b.change(g.plannerRow(table))
					}
				}
				for i := range 150 {
					switch {
					case i == 20 && suite.analyze:
						b.change("ANALYZE")
					case i%50 == 30 && suite.compact:
						b.compact()
					}
					q, sorted := g.plannerQuery()
					b.compare(q, sorted)
					if g.r.IntN(5) == 0 {
						b.change(g.pick(g.plannerRow("p"), g.plannerRow("q"), "DELETE FROM p WHERE "+g.terms("p"), "UPDATE p SET a = "+g.small()+", n = "+g.word()+" WHERE "+g.terms("p"),
							"UPDATE q SET p_id = "+g.small()+" WHERE id % 7 = 1", "DELETE FROM w WHERE a = "+g.small()))
						b.change(g.plannerRow("p"))
						b.change(g.plannerRow("p"))
					}
					n++
				}
				if t.Failed() {
					return
				}
				if b.compared < 200 || b.rows < 200 {
					t.Fatalf("%d statements gave %d rows: that compares little", b.compared, b.rows)
				}
				t.Logf("%d statements, %d rows", b.compared, b.rows)
			}
		})
	}
}

// collectQueries are aggregates that collect their arguments.
var collectQueries = []string{
	"SELECT count(DISTINCT b), sum(DISTINCT a), total(DISTINCT r), min(DISTINCT n), group_concat(DISTINCT b) FROM p",
	"SELECT json_group_array(DISTINCT b), json_group_array(DISTINCT a) FILTER (WHERE id % 3 > 0) FROM p",
	"SELECT group_concat(n, '-' ORDER BY b DESC, id), string_agg(id, '' ORDER BY n COLLATE NOCASE, id DESC) FROM p",
	"SELECT json_group_array(json_array(b, id) ORDER BY a, id DESC), json_group_array(DISTINCT json_array(b)) FROM p",
	"SELECT b, count(DISTINCT a), group_concat(id ORDER BY n, id), json_group_array(DISTINCT a ORDER BY a) FROM p GROUP BY b",
	"SELECT a, max(r), group_concat(DISTINCT n ORDER BY n), group_concat(DISTINCT b ORDER BY b DESC) FROM p GROUP BY a",
	"SELECT a, b, count(DISTINCT n) FROM p GROUP BY a, b HAVING count(DISTINCT id) > 1",
}

// TestCollect compares them, from memory and from files.
func TestCollect(t *testing.T) {
	for _, spill := range []bool{false, true} {
		for _, indexes := range []bool{false, true} {
			b, _ := openBothWith(t, nil)
			if spill {
				b.spill()
			}
			ddl := plannerTables
			if indexes {
				ddl = slices.Concat(ddl, plannerIndexes)
			}
			for _, q := range ddl {
				b.change(q)
			}
			g := &gen{r: rand.New(rand.NewPCG(1, 11))}
			for range 150 {
				b.change(g.plannerRow("p"))
			}
			for _, q := range collectQueries {
				b.compare(q, false)
			}
			if b.compared < len(collectQueries) || b.rows < 2*len(collectQueries) {
				t.Errorf("%d statements gave %d rows", b.compared, b.rows)
			}
		}
	}
}
