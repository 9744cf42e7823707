package difftest

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"testing"

	"github.com/byokdb/byokdb/crypt/localkey"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// benchRows is how many rows the tables of the benchmarks have.
const benchRows = 100_000

var benchSchema = []string{
	"CREATE TABLE t(id INTEGER PRIMARY KEY, g INTEGER, x INTEGER, y REAL, name TEXT, pad TEXT)",
	"CREATE INDEX tg ON t(g)",
	"CREATE INDEX tname ON t(name)",
	"CREATE TABLE u(id INTEGER PRIMARY KEY, label TEXT)",
	"CREATE TABLE k(id TEXT PRIMARY KEY NOT NULL, v TEXT) WITHOUT ROWID",
	"CREATE TABLE w(id INTEGER PRIMARY KEY, a TEXT, b INTEGER)",
	"CREATE INDEX wb ON w(b)",
	"INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < " + fmt.Sprint(benchRows) + ")" +
		" SELECT n, n % 1000, n * 7919 % 100003, n / 3.0, 'name ' || (n * 7919 % 100003), 'some padding that makes the row about as long as rows are' FROM c",
	"INSERT INTO u WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n < 999) SELECT n, 'label ' || n FROM c",
	"INSERT INTO k SELECT 'key ' || id, pad FROM t WHERE id <= 10000",
}

type peer struct {
	name string
	open func(b *testing.B) *stdsql.DB
}

var peers = []peer{
	{"byokdb", openByokdb},
	{"sqlite-memory", func(b *testing.B) *stdsql.DB {
		b.Helper()
		return openLite(b, ":memory:")
	}},
	{"sqlite-file", func(b *testing.B) *stdsql.DB {
		b.Helper()
		return openLite(b, "file:"+b.TempDir()+"/lite.db?_journal_mode=WAL&_synchronous=FULL")
	}},
}

func openByokdb(b *testing.B) *stdsql.DB {
	b.Helper()
	ctx := context.Background()
	key, err := localkey.Open(ctx, "local:"+b.TempDir()+"/dev.key")
	if err != nil {
		b.Fatal(err)
	}
	eng, err := engine.Open(ctx, b.TempDir()+"/db", key, nil)
	if err != nil {
		b.Fatal(err)
	}
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	b.Cleanup(func() {
		_ = db.Close()
		_ = eng.Close()
	})
	return db
}

func openLite(b *testing.B, dsn string) *stdsql.DB {
	b.Helper()
	db, err := stdsql.Open("sqlite3", dsn)
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// work is one benchmark: a query that is prepared, or a text that is not, with
// arguments made of the round's number.
type work struct {
	name  string
	query string
	adHoc bool
	args  func(n int) []any
}

func id(n int) []any { return []any{n*7919%benchRows + 1} }

var works = []work{
	{name: "point", query: "SELECT name FROM t WHERE id = ?", args: id},
	{name: "point-adhoc", query: "SELECT name FROM t WHERE id = ?", adHoc: true, args: id},
	{name: "point-text-key", query: "SELECT v FROM k WHERE id = ?", args: func(n int) []any { return []any{fmt.Sprint("key ", n%10000+1)} }},
	{name: "index-one", query: "SELECT x FROM t WHERE name = ?", args: func(n int) []any { return []any{fmt.Sprint("name ", n*7919%benchRows)} }},
	{name: "index-hundred", query: "SELECT x FROM t WHERE g = ?", args: func(n int) []any { return []any{n % 1000} }},
	{name: "covering-hundred", query: "SELECT id FROM t WHERE g = ?", args: func(n int) []any { return []any{n % 1000} }},
	{name: "range-hundred", query: "SELECT id, name FROM t WHERE id BETWEEN ?1 AND ?1 + 99", args: id},
	{name: "in-list", query: "SELECT name FROM t WHERE id IN (?1, ?1 + 500, ?1 + 900, ?1 - 7, 3)", args: id},
	{name: "count", query: "SELECT count(*) FROM t"},
	{name: "aggregate", query: "SELECT count(*), sum(x), avg(y) FROM t"},
	{name: "aggregate-length", query: "SELECT count(*), sum(x) + max(length(pad)) FROM t"},
	{name: "aggregate-where", query: "SELECT count(*), sum(x), avg(y) FROM t WHERE x > ?", args: func(n int) []any { return []any{n % 1000} }},
	{name: "aggregate-filter", query: "SELECT count(*) FILTER (WHERE x > 50000), sum(y) FILTER (WHERE g IS NOT NULL), min(x), max(x) FROM t"},
	{name: "aggregate-expression", query: "SELECT sum(x * 2 + 1), total(y / 2) FROM t WHERE x % 7 = 3"},
	{name: "reject-number", query: "SELECT count(*), sum(y) FROM t WHERE x = ?", args: id},
	{name: "reject-text", query: "SELECT count(*), max(x) FROM t WHERE pad > 'some padding that makes the row longer'"},
	{name: "filter", query: "SELECT count(*) FROM t WHERE x < 1000 AND name LIKE '%9'"},
	{name: "scan", query: "SELECT id, name FROM t"},
	{name: "group", query: "SELECT x % 100, count(*), sum(y) FROM t GROUP BY x % 100"},
	{name: "group-indexed", query: "SELECT g, count(*) FROM t GROUP BY g"},
	{name: "join", query: "SELECT count(*) FROM t JOIN u ON u.id = t.g WHERE t.id <= 10000"},
	{name: "join-hash", query: "SELECT count(*) FROM t a JOIN k ON k.v = a.pad WHERE a.id <= 3 AND k.id < 'key 2'"},
	{name: "order-limit", query: "SELECT id, x FROM t ORDER BY x, id LIMIT 10"},
	{name: "order-all", query: "SELECT id, x FROM t WHERE id <= 20000 ORDER BY x, id"},
	{name: "order-text", query: "SELECT id, name FROM t ORDER BY +name"},
	{name: "order-nothing", query: "SELECT x, pad FROM t ORDER BY pad, x"},
	{name: "union", query: "SELECT x FROM t UNION SELECT id + 50000 FROM t"},
	{name: "union-text", query: "SELECT name, pad FROM t UNION SELECT name || 'x', g FROM t"},
	{name: "union-few", query: "SELECT g FROM t UNION SELECT x % 100 FROM t"},
	{name: "except", query: "SELECT x FROM t EXCEPT SELECT id + 50000 FROM t"},
	{name: "window-order", query: "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY x) AS n FROM t)"},
	{name: "window-partition", query: "SELECT max(n) FROM (SELECT sum(x) OVER (PARTITION BY g ORDER BY pad, name) AS n FROM t)"},
	{name: "order-indexed-limit", query: "SELECT id FROM t ORDER BY name DESC LIMIT 10"},
	{name: "max-indexed", query: "SELECT max(name) FROM t"},
}

func BenchmarkQueries(b *testing.B) {
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			db := p.open(b)
			for _, q := range benchSchema {
				if _, err := db.Exec(q); err != nil {
					b.Fatal(q, err)
				}
			}
			for _, w := range works {
				b.Run(w.name, func(b *testing.B) { w.run(b, db) })
			}
		})
	}
}

func (w *work) run(b *testing.B, db *stdsql.DB) {
	b.Helper()
	st, err := db.Prepare(w.query)
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close() //nolint:errcheck // closed with its database at the latest
	var args []any
	n, nRows := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		if w.args != nil {
			args = w.args(n)
		}
		var rows *stdsql.Rows
		if w.adHoc {
			rows, err = db.Query(w.query, args...)
		} else {
			rows, err = st.Query(args...)
		}
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
			nRows++
		}
		if err := rows.Close(); err != nil {
			b.Fatal(err)
		}
	}
	if nRows == 0 {
		b.Fatal("no rows")
	}
}

func BenchmarkInserts(b *testing.B) {
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			db := p.open(b)
			for _, q := range benchSchema[:7] {
				if _, err := db.Exec(q); err != nil {
					b.Fatal(q, err)
				}
			}
			b.Run("per-transaction", func(b *testing.B) {
				for n := 0; b.Loop(); n++ {
					if _, err := db.Exec("INSERT INTO w(a, b) VALUES (?, ?)", "some text of a row", n%1000); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("bulk-1000", func(b *testing.B) {
				for b.Loop() {
					insertMany(b, db)
				}
			})
		})
	}
}

func insertMany(b *testing.B, db *stdsql.DB) {
	b.Helper()
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	st, err := tx.Prepare("INSERT INTO w(a, b) VALUES (?, ?)")
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		if _, err := st.Exec("some text of a row", i); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
