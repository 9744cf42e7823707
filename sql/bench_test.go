package sql_test

import (
	stdsql "database/sql"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/byokdb/byokdb/crypt/localkey"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// benchRows is how many rows the table of the benchmarks has.
const benchRows = 200_000

// filled returns a database with a table of orders, as bench/peers has it, in
// runs on disk.
func filled(b *testing.B) *stdsql.DB {
	b.Helper()
	dir := b.TempDir()
	key, err := localkey.Open(b.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		b.Fatal(err)
	}
	eng, err := engine.Open(b.Context(), filepath.Join(dir, "d.byok"), key, nil)
	if err != nil {
		b.Fatal(err)
	}
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	b.Cleanup(func() {
		_ = db.Close()
		_ = eng.Close()
	})
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		"CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, amount INTEGER NOT NULL, status TEXT NOT NULL, note TEXT NOT NULL)",
		"INSERT INTO orders WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < " + strconv.Itoa(benchRows) + ")" +
			" SELECT n, n * 7919 % 20000, n * 104729 % 100000, 'paid', hex(randomblob(20)) FROM c",
	} {
		if _, err := db.Exec(q); err != nil {
			b.Fatal(err)
		}
	}
	if err := eng.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkLookup reads rows by their key: with a prepared statement, with a
// text that has the key in it, another one each time, and with the same text.
func BenchmarkLookup(b *testing.B) {
	db := filled(b)
	const byID = "SELECT customer, amount, note FROM orders WHERE id = "
	st, err := db.Prepare(byID + "?")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	for _, w := range []struct {
		name string
		row  func(id int) *stdsql.Row
	}{
		{"prepared", func(id int) *stdsql.Row { return st.QueryRow(id) }},
		{"text", func(id int) *stdsql.Row { return db.QueryRow(byID + strconv.Itoa(id)) }},
		{"same-text", func(int) *stdsql.Row { return db.QueryRow(byID + "77") }},
		{"arg-text", func(id int) *stdsql.Row { return db.QueryRow(byID+"?", id) }},
	} {
		b.Run(w.name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				var customer, amount int64
				var note string
				if err := w.row(n*7919%benchRows+1).Scan(&customer, &amount, &note); err != nil || len(note) != 40 {
					b.Fatal(note, err)
				}
			}
		})
	}
}
