package exec

import (
	"strings"
	"testing"
)

// planOf returns what EXPLAIN QUERY PLAN says, nested lines in braces.
func planOf(tb testing.TB, s *Session, text string) string {
	tb.Helper()
	children := map[string][]string{}
	detail := map[string]string{}
	for line := range strings.Lines(mustScript(tb, s, "EXPLAIN QUERY PLAN "+text)) {
		parts := strings.SplitN(strings.TrimSpace(line), "|", 4)
		children[parts[1]] = append(children[parts[1]], parts[0])
		detail[parts[0]] = parts[3]
	}
	var render func(id string) string
	render = func(id string) string {
		var out []string
		for _, child := range children[id] {
			line := detail[child]
			if sub := render(child); sub != "" {
				line += " {" + sub + "}"
			}
			out = append(out, line)
		}
		return strings.Join(out, ", ")
	}
	return render("0")
}

func TestQueryPlans(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c);
		CREATE INDEX ta ON t(a, b); CREATE UNIQUE INDEX tb ON t(b); CREATE TABLE u(x, y);
		CREATE TABLE p(id INTEGER PRIMARY KEY, a INT, b INT, n TEXT, gone TEXT);
		CREATE INDEX pa ON p(a) WHERE gone IS NULL; CREATE INDEX pb ON p(b) WHERE b IS NOT NULL;
		CREATE INDEX pn ON p(n COLLATE NOCASE); CREATE INDEX pe ON p(a + b); CREATE INDEX pl ON p(lower(n));
		CREATE TABLE w(k TEXT NOT NULL, l INT NOT NULL, v, PRIMARY KEY(k, l)) WITHOUT ROWID; CREATE INDEX wv ON w(v);
		CREATE VIEW tv AS SELECT id AS i, a + 1 AS a1, b FROM t WHERE c > 0; CREATE VIEW agg AS SELECT a, count(*) AS n FROM t GROUP BY a`)
	for _, c := range []struct{ text, want string }{
		{"SELECT * FROM t WHERE id = 5", "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
		{"SELECT * FROM t WHERE id > 5 AND id < 9", "SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{"SELECT * FROM t WHERE a = 1 AND b > 'x'", "SEARCH t USING INDEX ta (a=? AND b>?)"},
		{"SELECT * FROM t WHERE b = 'x'", "SEARCH t USING INDEX tb (b=?)"},
		{"SELECT * FROM t WHERE a IN (1, 2)", "SEARCH t USING INDEX ta (a=?)"},
		{"SELECT * FROM t WHERE a IN (1, 2) AND b = 'x' AND id > 0", "SEARCH t USING INDEX tb (b=?)"},
		{"SELECT * FROM t ORDER BY id DESC", "SCAN t"},
		{"SELECT * FROM t WHERE a = 1 ORDER BY b DESC", "SEARCH t USING INDEX ta (a=?)"},
		{"SELECT * FROM t WHERE a = 1 ORDER BY a, b, id", "SEARCH t USING INDEX ta (a=?)"},
		{"SELECT * FROM t WHERE a = 1 ORDER BY b DESC, id", "SEARCH t USING INDEX ta (a=?), USE TEMP B-TREE FOR ORDER BY"},
		{"SELECT * FROM t ORDER BY a LIMIT 1", "SCAN t USING INDEX ta"},
		{"SELECT * FROM t ORDER BY a", "SCAN t, USE TEMP B-TREE FOR ORDER BY"},
		{"SELECT max(a) FROM t", "SCAN t USING COVERING INDEX ta"},
		{"SELECT a, id FROM t ORDER BY a", "SCAN t USING COVERING INDEX ta"},
		{"SELECT a, b, id FROM t WHERE a = 1", "SEARCH t USING COVERING INDEX ta (a=?)"},
		{"SELECT a, count(*) FROM t GROUP BY a", "SCAN t USING COVERING INDEX ta"},
		{"SELECT a, sum(c) FROM t GROUP BY a", "SCAN t, USE TEMP B-TREE FOR GROUP BY"},
		{"SELECT a, count(*) FROM t GROUP BY a ORDER BY a DESC", "SCAN t USING COVERING INDEX ta"},
		{"SELECT a, sum(c) FROM t GROUP BY a ORDER BY 2", "SCAN t, USE TEMP B-TREE FOR GROUP BY, USE TEMP B-TREE FOR ORDER BY"},
		{"SELECT DISTINCT a FROM t", "SCAN t USING COVERING INDEX ta"},
		{"SELECT DISTINCT c FROM t", "SCAN t, USE TEMP B-TREE FOR DISTINCT"},
		{"SELECT count(*) FROM t", "SCAN t USING COVERING INDEX ta"},
		{"SELECT * FROM t WHERE a = 1 OR b = 'x' OR id = 3", "MULTI-INDEX OR {INDEX 1 {SEARCH t USING INDEX ta (a=?)}, INDEX 2 {SEARCH t USING INDEX tb (b=?)}, INDEX 3 {SEARCH t USING INTEGER PRIMARY KEY (rowid=?)}}"},
		{"SELECT * FROM t WHERE a = 1 OR c = 2", "SCAN t"},
		{"SELECT * FROM t NOT INDEXED WHERE a = 1", "SCAN t"},
		{"SELECT * FROM t INDEXED BY ta WHERE a = 1 AND b = 'x'", "SEARCH t USING INDEX ta (a=? AND b=?)"},
		{"SELECT * FROM t INDEXED BY ta WHERE id = 3", "SCAN t USING INDEX ta"},
		{"SELECT * FROM t INDEXED BY ta", "SCAN t USING INDEX ta"},
		{"SELECT * FROM t WHERE (c, a) = (1, 2)", "SEARCH t USING INDEX ta (a=?)"},
		{"DELETE FROM t INDEXED BY ta WHERE b = 'x'", "SCAN t USING INDEX ta"},
		{"UPDATE t NOT INDEXED SET c = 1 WHERE a = 1", "SCAN t"},
		{"SELECT * FROM t WHERE a IN (SELECT x FROM u)", "SEARCH t USING INDEX ta (a=?), LIST SUBQUERY 1 {SCAN u}"},
		{"SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE x = t.a)", "SCAN t, CORRELATED SCALAR SUBQUERY 1 {SEARCH u USING AUTOMATIC COVERING INDEX (x=?)}"},
		{"SELECT (SELECT max(x) FROM u) FROM t WHERE id = 1", "SEARCH t USING INTEGER PRIMARY KEY (rowid=?), SCALAR SUBQUERY 1 {SCAN u}"},
		{"SELECT * FROM t WHERE a IS NULL", "SEARCH t USING INDEX ta (a=?)"},
		{"SELECT * FROM p WHERE a = 1", "SCAN p"},
		{"SELECT * FROM p WHERE a = 1 AND gone IS NULL", "SEARCH p USING INDEX pa (a=?)"},
		{"SELECT * FROM p q WHERE q.gone IS NULL AND q.a > 1", "SEARCH q USING INDEX pa (a>?)"},
		{"SELECT * FROM p WHERE b = 1", "SEARCH p USING INDEX pb (b=?)"},
		{"SELECT * FROM p WHERE b < 1", "SEARCH p USING INDEX pb (b<?)"},
		{"SELECT * FROM p WHERE a + b = 7", "SEARCH p USING INDEX pe (<expr>=?)"},
		{"SELECT * FROM p WHERE b + a = 7", "SCAN p"},
		{"SELECT * FROM p ORDER BY a + b LIMIT 3", "SCAN p USING INDEX pe"},
		{"SELECT * FROM p WHERE lower(n) = 'x'", "SEARCH p USING INDEX pl (<expr>=?)"},
		{"SELECT * FROM p WHERE n LIKE 'abc%'", "SEARCH p USING INDEX pn (n>? AND n<?)"},
		{"SELECT * FROM p WHERE n GLOB 'abc*'", "SCAN p"},
		{"SELECT * FROM t WHERE b GLOB 'abc*'", "SEARCH t USING INDEX tb (b>? AND b<?)"},
		{"SELECT * FROM w WHERE k = 'a' AND l > 1", "SEARCH w USING PRIMARY KEY (k=? AND l>?)"},
		{"SELECT * FROM w WHERE k = 'a' ORDER BY l DESC", "SEARCH w USING PRIMARY KEY (k=?)"},
		{"SELECT * FROM u, t WHERE t.id = u.x", "SCAN u, SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
		{"SELECT * FROM u, u v WHERE u.x = v.y", "SCAN u, HASH JOIN {SCAN v}"},
		{"SELECT * FROM t WHERE a + 0 = 1", "SCAN t"},
		{"SELECT * FROM t WHERE b = 'x' COLLATE NOCASE", "SCAN t"},
		{"SELECT * FROM u LEFT JOIN t ON t.b = CAST(x AS TEXT)", "SCAN u, SEARCH t USING INDEX tb (b=?)"},
		{"SELECT x FROM u UNION ALL SELECT a FROM t WHERE id = 1", "COMPOUND QUERY {LEFT-MOST SUBQUERY {SCAN u}, UNION ALL {SEARCH t USING INTEGER PRIMARY KEY (rowid=?)}}"},
		{"SELECT x FROM u UNION SELECT a FROM t UNION ALL SELECT 1", "COMPOUND QUERY {LEFT-MOST SUBQUERY {COMPOUND QUERY {LEFT-MOST SUBQUERY {SCAN u}, UNION USING TEMP B-TREE {SCAN t USING COVERING INDEX ta}}, USE TEMP B-TREE FOR ORDER BY}, UNION ALL {SCAN CONSTANT ROW}}"},
		{"SELECT x FROM u UNION SELECT a FROM t UNION SELECT 1 LIMIT 2", "COMPOUND QUERY {LEFT-MOST SUBQUERY {SCAN u}, UNION USING TEMP B-TREE {SCAN t USING COVERING INDEX ta}, UNION USING TEMP B-TREE {SCAN CONSTANT ROW}}"},
		{"SELECT x FROM u EXCEPT SELECT a FROM t", "COMPOUND QUERY {LEFT-MOST SUBQUERY {SCAN u}, EXCEPT USING TEMP B-TREE {SCAN t USING COVERING INDEX ta}}, USE TEMP B-TREE FOR ORDER BY"},
		{"SELECT * FROM tv WHERE i = 5", "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
		{"SELECT a1 FROM tv WHERE b = 'x' ORDER BY i", "SEARCH t USING INDEX tb (b=?)"},
		{"SELECT * FROM (SELECT a AS q FROM t) WHERE q = 1", "SEARCH t USING COVERING INDEX ta (a=?)"},
		{"SELECT x FROM u, tv WHERE tv.i = u.x", "SCAN u, SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
		{"SELECT x FROM u LEFT JOIN tv ON tv.i = u.x", "SCAN u, HASH JOIN {CO-ROUTINE tv {SCAN t}, SCAN tv}"},
		{"SELECT * FROM agg WHERE n > 1", "CO-ROUTINE agg {SCAN t USING COVERING INDEX ta}, SCAN agg"},
		{"SELECT * FROM t WHERE (b, a) = (SELECT y, x FROM u)", "SEARCH t USING INDEX tb (b=?), SCALAR SUBQUERY 1 {SCAN u}"},
		{"SELECT * FROM t WHERE (a, c) = (SELECT y, x FROM u)", "SEARCH t USING INDEX ta (a=?), SCALAR SUBQUERY 1 {SCAN u}"},
		{"SELECT * FROM t WHERE (c, a) IN (SELECT y, x FROM u)", "SEARCH t USING INDEX ta (a=?), LIST SUBQUERY 1 {SCAN u}"},
		{"SELECT * FROM w WHERE (l, k) IN (VALUES (1, 'a'), (2, 'b'))", "SEARCH w USING PRIMARY KEY (k=? AND l=?), LIST SUBQUERY 1 {SCAN 2 CONSTANT ROWS}"},
		{"SELECT * FROM w WHERE (l, k) IN ((1, 'a'), (2, 'b'))", "MULTI-INDEX OR {INDEX 1 {SEARCH w USING PRIMARY KEY (k=? AND l=?)}, INDEX 2 {SEARCH w USING PRIMARY KEY (k=? AND l=?)}}"},
		{"SELECT * FROM w WHERE (k, l) > ('a', 1) ORDER BY k, l", "SEARCH w USING PRIMARY KEY ((k,l)>(?,?))"},
		{"SELECT * FROM t WHERE (a, b) BETWEEN (1, 'a') AND (1, 'c')", "SEARCH t USING INDEX ta ((a,b)>(?,?) AND (a,b)<(?,?))"},
		{"SELECT * FROM t WHERE (a, c) >= (1, 'a') AND a < 3", "SEARCH t USING INDEX ta (a>? AND a<?)"},
		{"SELECT * FROM t WHERE (a, b) < (1, 'a') ORDER BY a, b LIMIT 5", "SEARCH t USING INDEX ta ((a,b)<(?,?))"},
		{"SELECT * FROM t WHERE a IS 1 AND b IS NOT DISTINCT FROM NULL", "SEARCH t USING INDEX ta (a=? AND b=?)"},
		{"SELECT * FROM t WHERE b IS 'x'", "SEARCH t USING INDEX tb (b=?)"},
		{"SELECT * FROM u LEFT JOIN t ON t.a IS u.x", "SCAN u, SEARCH t USING INDEX ta (a=?)"},
		{"DELETE FROM t WHERE a = 1", "SEARCH t USING INDEX ta (a=?)"},
		{"UPDATE t SET c = 1 WHERE id = 1", "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
	} {
		if got := planOf(t, s, c.text); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

// TestGroupsOfAJoin: what a group gives must not disturb the join that the next
// group's rows come from.
func TestGroupsOfAJoin(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT); CREATE TABLE u(x); INSERT INTO t(a) VALUES (1), (2), (3); INSERT INTO u VALUES (1), (2)")
	if got, want := mustScript(t, s, "SELECT t.id, count(*), max(t.a) FROM t, u GROUP BY t.id"), "1|2|1\n2|2|2\n3|2|3\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
