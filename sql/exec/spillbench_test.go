package exec

import (
	"errors"
	"io"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// BenchmarkKept runs queries that keep rows or keys, in memory and in files.
func BenchmarkKept(b *testing.B) {
	const table = `CREATE TABLE r(i INTEGER PRIMARY KEY, s TEXT, k INT); INSERT INTO r WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
		SELECT i, 'a text of a row ' || (i * 7919 % 20011), i % 500 FROM n; CREATE INDEX rs ON r(s); CREATE INDEX rk ON r(k)`
	for _, c := range []struct{ name, query string }{
		{"in", "SELECT count(*) FROM r WHERE s || '' IN (SELECT s || '' FROM r WHERE i % 2 = 0)"},
		{"in, index", "SELECT count(k) FROM r WHERE s IN (SELECT s || '' FROM r)"},
		{"in, each", "SELECT count(*) FROM r WHERE 7 IN (SELECT k FROM r o WHERE o.i BETWEEN r.i AND r.i + 9)"},
		{"rows", "SELECT i, sum(k) OVER (ORDER BY i ROWS 50 PRECEDING), lag(s) OVER (ORDER BY i) FROM r"},
		{"range", "SELECT i, sum(i) OVER (ORDER BY k RANGE BETWEEN 3 PRECEDING AND 2 FOLLOWING), rank() OVER (ORDER BY k) FROM r"},
		{"partitions", "SELECT i, row_number() OVER (PARTITION BY i / 4 ORDER BY s), sum(k) OVER (PARTITION BY i / 4 ORDER BY s) FROM r"},
		{"union", "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT (i * 3 + column1) % 20000 FROM n, (VALUES (0), (1))) SELECT count(*) FROM n"},
		{"queue", "WITH RECURSIVE n(i, s) AS (SELECT i, s FROM r UNION ALL SELECT i - 15000, substr(s, 3) FROM n WHERE i > 15000 ORDER BY 2 DESC) SELECT count(*) FROM n"},
		{"or", "SELECT count(s) FROM r WHERE s = 'x' OR k IN (SELECT DISTINCT k FROM r WHERE i < 400)"},
		{"few", "SELECT count(s) FROM r WHERE s = 'x' OR k = 7"},
	} {
		for _, memory := range []int64{0, StatementMemoryMin} {
			name := c.name + "/memory"
			if memory > 0 {
				name = c.name + "/files"
			}
			b.Run(name, func(b *testing.B) {
				s := openSession(b)
				s.Configure(Settings{StatementMemory: memory})
				mustScript(b, s, table)
				st, _, err := s.Prepare(b.Context(), c.query)
				if err != nil {
					b.Fatal(err)
				}
				dst := make([]value.Value, len(st.Columns()))
				b.ReportAllocs()
				for b.Loop() {
					rows, err := s.Query(b.Context(), st, nil)
					for err == nil {
						err = rows.Next(dst)
					}
					if !errors.Is(err, io.EOF) {
						b.Fatal(err)
					}
					if err := rows.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
