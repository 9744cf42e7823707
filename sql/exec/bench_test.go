package exec

import (
	"context"
	"fmt"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

func filled(b *testing.B) *Session {
	b.Helper()
	s := openSession(b)
	mustScript(b, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
	mustScript(b, s, "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 10000) SELECT n, 'row ' || n FROM c")
	return s
}

func BenchmarkPointSelect(b *testing.B) {
	s := filled(b)
	ctx := context.Background()
	mustScript(b, s, "BEGIN")
	st, _, err := s.Prepare(ctx, "SELECT a FROM t WHERE id = ?")
	if err != nil {
		b.Fatal(err)
	}
	args := make([]value.Value, 1)
	dst := make([]value.Value, 1)
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		n++
		args[0] = value.NewInt(n%10000 + 1)
		rows, err := s.Query(ctx, st, args)
		if err != nil {
			b.Fatal(err)
		}
		if err := rows.Next(dst); err != nil {
			b.Fatal(err)
		}
		if err := rows.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	s := openSession(b)
	ctx := context.Background()
	mustScript(b, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT); CREATE INDEX tb ON t(b)")
	mustScript(b, s, "BEGIN")
	st, _, err := s.Prepare(ctx, "INSERT INTO t(a, b) VALUES (?, ?)")
	if err != nil {
		b.Fatal(err)
	}
	args := []value.Value{value.NewText("some text of a row"), value.NewInt(7)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Exec(ctx, st, args); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAutoIncrement inserts 100,000 rows into a table without and with AUTOINCREMENT.
func BenchmarkAutoIncrement(b *testing.B) {
	for _, how := range []string{"", " AUTOINCREMENT"} {
		b.Run("PRIMARY KEY"+how, func(b *testing.B) {
			s := openSession(b)
			mustScript(b, s, "CREATE TABLE t(id INTEGER PRIMARY KEY"+how+", a)")
			for b.Loop() {
				mustScript(b, s, "INSERT INTO t(a) WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 100000) SELECT n FROM r")
			}
		})
	}
}

// BenchmarkUpdate changes a column of 10,000 rows that no index of the table has.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{0, 1, 4} {
		b.Run(fmt.Sprintf("%d unique indexes", n), func(b *testing.B) {
			s := openSession(b)
			mustScript(b, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d, e)")
			for i := range n {
				mustScript(b, s, fmt.Sprintf("CREATE UNIQUE INDEX i%d ON t(%c)", i, 'a'+i))
			}
			mustScript(b, s, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10000) INSERT INTO t(a, b, c, d, e) SELECT n, n, n, n, n FROM r")
			for b.Loop() {
				mustScript(b, s, "UPDATE t SET e = e + 1")
			}
		})
	}
}

func BenchmarkScanCount(b *testing.B) {
	s := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		if got := mustScript(b, s, "SELECT count(*) FROM t WHERE a LIKE '%9'"); got != "1000\n" {
			b.Fatal(got)
		}
	}
}

func BenchmarkTotals(b *testing.B) {
	s := filled(b)
	for _, query := range []string{
		"SELECT count(*) FROM t",
		"SELECT count(*), sum(id), max(length(a)) FROM t",
		"SELECT count(*), min(a) FROM t WHERE a > 'row 5'",
	} {
		b.Run(query, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustScript(b, s, query)
			}
		})
	}
}

// BenchmarkConstantCalls scans 20,000 rows with a condition that calls functions
// of literals alone beside a column.
func BenchmarkConstantCalls(b *testing.B) {
	s := openSession(b)
	mustScript(b, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
	mustScript(b, s, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 20000) INSERT INTO t SELECT n, date('2020-01-01', n || ' days') FROM r")
	for name, text := range map[string]string{
		"lower": "SELECT count(*) FROM t WHERE lower(a) = lower('X')",
		"date":  "SELECT count(*) FROM t WHERE substr(a, 1, 10) >= date('2020-01-01', '-7 days')",
		"none":  "SELECT count(*) FROM t WHERE substr(a, 1, 10) >= '2019-12-25'",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				mustScript(b, s, text)
			}
		})
	}
}

// BenchmarkCorrelated runs subqueries for each of 2,000 rows on 4,000 rows
// without an index.
func BenchmarkCorrelated(b *testing.B) {
	s := openSession(b)
	mustScript(b, s, `CREATE TABLE p(id INTEGER PRIMARY KEY, a INT); CREATE TABLE c(pid INT, x INT);
		WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 2000) INSERT INTO p SELECT i, i % 7 FROM g;
		WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 4000) INSERT INTO c SELECT i * 7 % 2500, i FROM g`)
	for _, c := range []struct{ name, text string }{
		{"sum", "SELECT sum((SELECT sum(x) FROM c WHERE c.pid = p.id)) FROM p"},
		{"exists", "SELECT count(*) FROM p WHERE EXISTS (SELECT 1 FROM c WHERE c.pid = p.id AND x > 10)"},
		{"not exists", "SELECT count(*) FROM p WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.pid = p.id)"},
		{"in", "SELECT count(*) FROM p WHERE id IN (SELECT x FROM c WHERE c.pid = p.id)"},
		{"one row", "SELECT (SELECT sum(x) FROM c WHERE c.pid = p.id) FROM p WHERE id = 77"},
		{"recursion", "WITH RECURSIVE up(x) AS (SELECT 1 UNION SELECT c.x FROM c JOIN up ON c.pid = up.x) SELECT count(*) FROM up"},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				mustScript(b, s, c.text)
			}
		})
	}
}
