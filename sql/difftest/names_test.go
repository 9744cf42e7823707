package difftest

import (
	"context"
	"slices"
	"testing"
)

// named are queries whose columns' names and declared types are compared.
var named = []string{
	"SELECT rowid, oid, _ROWID_, n.oid, main.n.oid, \"rowid\", (oid) FROM n",
	"SELECT rowid, oid, _ROWID_, m.oid, main.m.oid, \"rowid\", (oid) FROM m",
	"SELECT * FROM (SELECT rowid, oid, _ROWID_, m.oid FROM m)",
	"SELECT * FROM (SELECT rowid, oid, _ROWID_, n.oid FROM n LIMIT 5)",
	"SELECT A, n.B, \"a\", [b] FROM n",
	"SELECT * FROM (SELECT A, n.B, \"a\" FROM n)",
	"SELECT * FROM (SELECT a AS x, b AS x, rowid AS x FROM n)",
	"SELECT * FROM (SELECT a AS \"x:1\", b AS \"x:1\", rowid AS \"x:1\" FROM n)",
	"SELECT * FROM (SELECT 1 AS x, 2 AS \"x:1\", 3 AS x)",
	"WITH q(x, x, y) AS (SELECT 1, 2, 3) SELECT * FROM q",
	"WITH q AS (SELECT a, a, b FROM n) SELECT * FROM q, q AS r",
	"SELECT * FROM v", "SELECT v.*, n.* FROM v, n", "SELECT * FROM v2", "SELECT * FROM v3", "SELECT \"a + 1\" FROM v",
	"SELECT 1+1 /* c */, 2 FROM n", "SELECT 1 + 1 /* c */ + 2, ( 3 ) , 'a' /* d */ FROM n", "SELECT max(a) /* c */ , a /* d */ FROM n",
	"SELECT * FROM (SELECT 1+1 /* c */ , 2 /* d */ FROM n)",
	"SELECT (SELECT a FROM n), (SELECT rowid FROM n), (SELECT a + 1 FROM n), (SELECT t FROM n) AS q FROM m",
	"SELECT (SELECT (SELECT t FROM n)), CASE 1 WHEN 1 THEN a END, +a, (a), a COLLATE NOCASE FROM n",
	"SELECT id, a AS z, a z2, 'q', NULL, 1.50, x'41', count(*), COUNT( * ) FROM m",
	"SELECT * FROM n JOIN m USING (a)", "SELECT * FROM n NATURAL JOIN m", "SELECT * FROM n AS x, n AS y", "SELECT x.*, y.a FROM n AS x, n AS y",
	"SELECT a FROM n UNION SELECT id FROM m", "SELECT 1 AS a UNION SELECT 2 AS b", "SELECT * FROM (SELECT 1 AS a UNION SELECT 2 AS b)",
	"SELECT * FROM n, (m AS x JOIN m AS y)", "SELECT y.a, y.*, x.a FROM n, (m AS x, m AS y) AS z", "SELECT * FROM n LEFT JOIN (m AS x JOIN m AS y USING (a) JOIN n AS w USING (a)) ON 1",
	"SELECT * FROM n AS o, (m NATURAL JOIN n)", "SELECT z.a FROM n, (m NATURAL JOIN n AS q) AS z", "SELECT * FROM n JOIN (m AS x JOIN m AS y USING (id)) AS z USING (a)",
	"SELECT * FROM n, (m AS p, (m AS x JOIN m AS y USING (a)) AS z) AS zz", "SELECT * FROM (n JOIN m USING (a)) AS z, n AS o", "SELECT * FROM n FULL JOIN (m JOIN m AS y) ON 1",
	"VALUES (1, 'a')", "VALUES (1, 'a'), (2, 'b')", "SELECT * FROM (VALUES (1, 2))",
	"SELECT row_number() OVER (ORDER BY a), sum(a) OVER () AS s FROM n",
}

// TestColumnNames compares the names and the declared types of result columns.
func TestColumnNames(t *testing.T) {
	b := openBoth(t)
	for _, q := range []string{
		"CREATE TABLE n(a, b INT, t VARCHAR(10))", "CREATE TABLE m(a \"INT\", id INTEGER PRIMARY KEY)",
		"INSERT INTO n VALUES (1, 2, 'x')", "INSERT INTO m VALUES (1, 2)",
		"CREATE VIEW v AS SELECT a, a + 1, (a) , t || 'x' /* c */, count(*) FROM n GROUP BY 1",
		"CREATE VIEW v2 AS SELECT *, 5+5 FROM v", "CREATE VIEW v3 AS SELECT oid, rowid, T FROM n",
	} {
		b.change(q)
	}
	ctx := context.Background()
	for _, q := range named {
		st, _, err := b.s.Prepare(ctx, q)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		var got, want []string
		for _, c := range st.Columns() {
			got = append(got, c.Name+" "+c.DeclType)
		}
		rows, err := b.lite.QueryContext(ctx, q)
		if err != nil {
			t.Errorf("%s: SQLite: %v", q, err)
			continue
		}
		types, err := rows.ColumnTypes()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range types {
			want = append(want, c.Name()+" "+c.DatabaseTypeName())
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\nbyokdb: %q\nSQLite: %q", q, got, want)
		}
	}
}
