package difftest

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tempGen makes statements about objects of the same few names in main and in
// temp.
type tempGen struct{ r *rand.Rand }

func (g *tempGen) pick(list ...string) string { return list[g.r.IntN(len(list))] }
func (g *tempGen) name() string               { return g.pick("n1", "n2", "n3") }
func (g *tempGen) qualified(name string) string {
	return g.pick("", "", "", "main.", "temp.", "nosuch.") + name
}

func (g *tempGen) known(name string) string { return g.pick("", "", "main.", "temp.") + name }

func (g *tempGen) source() string {
	return g.known(g.pick("n1", "n2", "n3", "n1", "n2", "n3", "v1", "v2"))
}

func (g *tempGen) value() string { return g.pick("1", "2", "'a'", "'b'", "NULL") }

func (g *tempGen) create() string {
	temp, exists := g.pick("", "TEMP ", "TEMP "), g.pick("", "", "IF NOT EXISTS ")
	switch g.r.IntN(9) {
	case 0, 1, 2:
		return "CREATE " + temp + "TABLE " + exists + g.qualified(g.name()) + g.pick("(x, y)", "(x INTEGER PRIMARY KEY, y)", "(x UNIQUE, y)", "(x, y PRIMARY KEY) WITHOUT ROWID")
	case 3:
		return "CREATE " + temp + "TABLE " + exists + g.known(g.name()) + " AS SELECT x, y FROM " + g.source()
	case 4, 5:
		return "CREATE " + temp + "VIEW " + exists + g.qualified(g.pick("v1", "v2", "n3")) + " AS SELECT x, y FROM " + g.pick("", "", "main.", "temp.") + g.pick("n1", "n2", "n3")
	case 6:
		return "CREATE INDEX " + exists + g.qualified(g.pick("i1", "i2")) + " ON " + g.name() + "(" + g.pick("x", "y") + ")"
	default:
		return "CREATE " + temp + "TRIGGER " + exists + g.pick("", "", "", "main.", "temp.") + g.pick("g1", "g2", "g3") + " AFTER " + g.pick("INSERT", "DELETE") + " ON " + g.known(g.name()) +
			" BEGIN INSERT INTO " + g.pick("", "", "main.") + "log SELECT " + g.pick("'g1'", "'g2'", "'g3'") + ", count(*) FROM " + g.pick("", "", "main.") + g.name() + "; END"
	}
}

func (g *tempGen) statement() string {
	exists := g.pick("", "IF EXISTS ")
	switch g.r.IntN(16) {
	case 0, 1, 2, 3:
		return g.create()
	case 4:
		return "DROP TABLE " + exists + g.qualified(g.name())
	case 5:
		return "DROP " + g.pick("VIEW "+exists+g.qualified(g.pick("v1", "v2", "n3")), "INDEX "+exists+g.qualified(g.pick("i1", "i2")), "TRIGGER "+exists+g.qualified(g.pick("g1", "g2", "g3")))
	case 6, 7, 8:
		return g.pick("INSERT", "INSERT OR IGNORE") + " INTO " + g.known(g.name()) + " VALUES (" + g.value() + ", " + g.value() + ")"
	case 9:
		return "UPDATE " + g.known(g.name()) + " SET y = " + g.value() + " WHERE x = " + g.value()
	case 10:
		return "DELETE FROM " + g.known(g.name()) + " WHERE x = " + g.value()
	case 11:
		return "INSERT INTO " + g.known(g.name()) + " SELECT * FROM " + g.source() + " WHERE y > 1 ORDER BY x, y"
	case 12:
		return g.pick("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "SAVEPOINT s", "ROLLBACK TO s", "ROLLBACK TO s", "RELEASE s")
	default:
		a, b := g.source(), g.source()
		return g.pick("SELECT * FROM "+a, "SELECT "+a+".x FROM "+a, "SELECT main.n1.x, temp.n1.y FROM "+a+", "+b,
			"SELECT count(*) FROM "+a+" WHERE x IN (SELECT y FROM "+b+")", "SELECT q.y FROM "+a+" AS q JOIN "+b+" AS r USING (x)")
	}
}

var objects = regexp.MustCompile(`\b[nvig][1-3]\b`)

// looks are what is compared after every change.
var looks = []string{
	"SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite%'",
	"SELECT type, name, tbl_name FROM temp.sqlite_master WHERE name NOT LIKE 'sqlite%'",
	"SELECT * FROM main.log", "SELECT * FROM log", "SELECT * FROM n1", "SELECT * FROM main.n2", "SELECT * FROM temp.n3", "SELECT * FROM v1", "SELECT * FROM v2",
	"SELECT name, pk FROM pragma_table_info('n1')", "PRAGMA main.index_list(n1)", "PRAGMA temp.index_list(n2)",
	"SELECT schema, name, type FROM pragma_table_list WHERE name IN ('n1', 'n2', 'n3')",
}

// TestTemporaryObjects makes, uses and drops objects of the same names in main
// and in temp, inside and outside of transactions, on both.
func TestTemporaryObjects(t *testing.T) {
	s := seeded(t)
	g := &tempGen{rand.New(rand.NewPCG(s, 77))}
	worked := 0
	for range max(*statements/200, 1) {
		b := openBoth(t)
		var log []string
		same := func(q string) {
			t.Helper()
			got, gotErr := b.ours(q)
			want, wantErr := b.theirs(q)
			slices.Sort(got)
			slices.Sort(want)
			differ := (gotErr == nil) != (wantErr == nil) || !slices.Equal(got, want)
			if gotErr != nil && wantErr != nil && len(objects.FindAllString(q, -1)) == 1 { // of two faults either may be reported
				differ = errorText(gotErr) != errorText(wantErr) && !strings.Contains(gotErr.Error(), "because it is a view")
			}
			if differ {
				t.Fatalf("%s\nbyokdb: %q %v\nSQLite: %q %v\nafter\n%s", q, got, gotErr, want, wantErr, strings.Join(log, ";\n"))
			}
			if gotErr == nil {
				worked++
			}
		}
		for _, q := range []string{"CREATE TABLE log(a, b)", "CREATE TEMP TABLE n1(x, y)", "CREATE TABLE n1(x, y)", "CREATE TABLE n2(x, y)", "INSERT INTO main.n1 VALUES (1, 'main')", "INSERT INTO n1 VALUES (1, 'temp')"} {
			log = append(log, q)
			same(q)
		}
		for range 200 {
			q := g.statement()
			log = append(log, q)
			same(q)
			if !strings.HasPrefix(q, "SELECT") {
				same(looks[g.r.IntN(len(looks))])
			}
		}
	}
	if worked < *statements/4 {
		t.Errorf("only %d statements worked", worked)
	}
}
