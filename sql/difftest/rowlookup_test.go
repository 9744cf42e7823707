package difftest

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// rowGen makes conditions on row values and with IS over tables whose keys they
// can be looked up in.
type rowGen struct{ *gen }

var rowTables = []string{
	"CREATE TABLE ra(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c, d REAL)",
	"CREATE TABLE rb(id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b TEXT, c INTEGER, d)",
	"CREATE TABLE rc(a, b, c INT, d TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID",
	"CREATE INDEX ra1 ON ra(a, b)", "CREATE INDEX ra2 ON ra(c DESC, d DESC, a)", "CREATE UNIQUE INDEX ra3 ON ra(d, id)",
	"CREATE INDEX rb1 ON rb(a, c)", "CREATE UNIQUE INDEX rb2 ON rb(b COLLATE NOCASE, id)", "CREATE INDEX rb3 ON rb(c, b DESC)",
	"CREATE INDEX rc1 ON rc(d, c)", "CREATE INDEX rc2 ON rc(c) WHERE d IS NOT NULL",
}

func (g rowGen) value() string {
	return g.pick("NULL", "0", "1", "2", "3", "2.0", "2.5", "'a'", "'A'", "'b'", "'1'", "'2'", "''", "x'61'", "-1")
}

func (g rowGen) columns(n int, table string) []string {
	all := []string{"a", "b", "c", "d"}
	g.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if table != "rc" && g.r.IntN(5) == 0 {
		all[g.r.IntN(n)] = "id"
	}
	for i := range n {
		all[i] = table + "." + all[i]
	}
	return all[:n]
}

func (g rowGen) values(n int) string {
	var out []string
	for range n {
		out = append(out, g.value())
	}
	return strings.Join(out, ", ")
}

// query gives rows of n columns; around is a table whose columns it may read.
func (g rowGen) query(n int, around string) string {
	from := g.pick("ra", "rb", "rc")
	cols := g.columns(n, "s")
	if from == "rc" {
		for i := range cols {
			cols[i] = strings.ReplaceAll(cols[i], ".id", ".a")
		}
	}
	if around != "" && g.r.IntN(3) == 0 {
		cols[g.r.IntN(n)] = around + "." + g.pick("a", "b", "c", "d")
	}
	where := " WHERE 1" // without it SQLite asks an index of the subquery's table, and takes NULL for a value
	if g.r.IntN(2) == 0 {
		where = " WHERE s." + g.pick("a", "c") + g.pick(" > 1", " IS NOT NULL", " = 2", " < 3", " IS 'a'")
	}
	return "SELECT " + strings.Join(cols, ", ") + " FROM " + from + " AS s" + where
}

func (g rowGen) condition(table, around string) string {
	n := 2 + g.r.IntN(2)
	order := "1, 2, 3"[:3*n-2] // total, so that one row is the first
	row := "(" + strings.Join(g.columns(n, table), ", ") + ")"
	switch g.r.IntN(12) {
	case 0:
		return row + " = (" + g.query(n, around) + " ORDER BY " + order + " LIMIT 1)"
	case 1:
		return "(" + g.query(n, around) + " ORDER BY " + order + " LIMIT 1) " + g.pick("=", "<", "<=", ">", ">=", "IS") + " " + row
	case 2, 3, 4:
		return row + g.pick(" ", " ", " NOT ") + "IN (" + g.query(n, around) + ")"
	case 5:
		return row + " IN (VALUES (" + g.values(n) + "), (" + g.values(n) + "), (" + g.values(n) + "))"
	case 6:
		return row + " IN ((" + g.values(n) + "), (" + g.values(n) + "))"
	case 7:
		return row + g.pick(" < ", " <= ", " > ", " >= ") + "(" + g.values(n) + ")"
	case 8:
		return row + " BETWEEN (" + g.values(n) + ") AND (" + g.values(n) + ")"
	case 9:
		return row + g.pick(" IS ", " IS NOT ", " IS NOT DISTINCT FROM ", " = ") + "(" + g.values(n) + ")"
	case 10:
		return g.columns(1, table)[0] + g.pick(" IS ", " IS NOT DISTINCT FROM ", " IS NOT ") + g.value()
	default:
		if around != "" {
			return g.columns(1, table)[0] + " IS " + around + "." + g.pick("a", "b", "c", "d")
		}
		return g.columns(1, table)[0] + " IN (SELECT " + g.pick("a", "b", "c") + " FROM rc)"
	}
}

func (g rowGen) statement() (text string, sorted bool) {
	t := g.pick("ra", "rb", "rc")
	key := map[string]string{"ra": "id", "rb": "id", "rc": "b, a"}[t]
	where := g.condition(t, "")
	for range g.r.IntN(2) {
		where = "(" + where + g.pick(" AND ", " OR ") + g.condition(t, "") + ")"
	}
	switch g.r.IntN(6) {
	case 0, 1:
		return "SELECT * FROM " + t + " WHERE " + where, false
	case 2:
		return "SELECT * FROM " + t + " WHERE " + where + " ORDER BY " + key + g.pick("", " LIMIT 3"), true
	case 3, 4:
		other := g.pick("ra", "rb")
		if other == t {
			other = "rc"
		}
		return "SELECT count(*), " + t + ".a FROM " + t + g.pick(" JOIN ", " LEFT JOIN ", ", ") + other + " " +
			g.pick("WHERE ", "WHERE ") + g.condition(other, t) + " GROUP BY 2", false
	default:
		return "SELECT count(*), count(u.b) FROM " + t + " LEFT JOIN rb AS u ON " + g.condition("u", t) + " WHERE " + where, false
	}
}

// TestGeneratedRowLookups compares conditions on row values, IN with several
// columns and IS, which indexes are asked for.
func TestGeneratedRowLookups(t *testing.T) {
	t.Logf("seed %d", *seed)
	g := rowGen{&gen{r: rand.New(rand.NewPCG(*seed, 11))}}
	searches := 0
	for n := 0; n < *statements/3; {
		b := openBoth(t)
		if n/250%2 == 1 {
			b.spill()
		}
		for _, q := range rowTables {
			b.change(q)
		}
		for range 30 {
			b.change("INSERT INTO ra(a, b, c, d) VALUES (" + g.values(4) + ")")
			b.change("INSERT INTO rb(a, b, c, d) VALUES (" + g.values(4) + ")")
			b.change("INSERT OR IGNORE INTO rc VALUES (" + g.values(4) + ")")
		}
		for range 250 {
			text, sorted := g.statement()
			b.compare(text, sorted)
			if plan, err := b.ours("EXPLAIN QUERY PLAN " + text); err == nil && strings.Contains(strings.Join(plan, "\n"), "SEARCH ") {
				searches++
			}
			n++
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	if searches == 0 {
		t.Error("no statement used a key")
	}
	t.Logf("%d of the statements look something up", searches)
}
