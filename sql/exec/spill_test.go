package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/value"
)

// spillSizes force every operator that can to use temporary files: after every
// row, and after a few.
var spillSizes = []int64{1, 700}

// TestCorpusSpilled runs the corpus with all sorts, groups and joins in
// temporary files: it gives the same rows in the same order.
func TestCorpusSpilled(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for i, file := range files {
		for _, size := range spillSizes {
			if size != spillSizes[0] && i%3 != 0 {
				continue // a part of them is enough
			}
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(file), size), func(t *testing.T) {
				s := openSession(t)
				s.Configure(Settings{SpillAfter: size})
				got := runCorpusIn(t, s, file, false)
				want, err := os.ReadFile(strings.TrimSuffix(file, ".sql") + ".want")
				if err != nil {
					t.Fatal(err)
				}
				diffLines(t, got, string(want))
				noSpills(t, s)
			})
		}
	}
}

// spillFiles returns the temporary files of a session's database.
func spillFiles(tb testing.TB, s *Session) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(s.d.db.Status().Dir, "tmp", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

// noSpills fails if a statement that has ended left a file or memory behind.
func noSpills(tb testing.TB, s *Session) {
	tb.Helper()
	if names := spillFiles(tb, s); len(names) > 0 {
		tb.Errorf("files are left: %v", names)
	}
	if n := s.d.held.Load(); n != 0 {
		tb.Errorf("%d bytes of memory are not given back", n)
	}
}

// spillQueries have every operator that uses files. ordered ones have but one
// right order; the others are still to come in that of the plan in memory.
var spillQueries = map[string]string{
	"sort":               "SELECT a, b, c, d FROM t ORDER BY c, a DESC",
	"sort, alike":        "SELECT id FROM t ORDER BY a",
	"sort, nulls":        "SELECT a, b, id FROM t ORDER BY b DESC NULLS FIRST, a NULLS LAST",
	"sort, nocase":       "SELECT c FROM t ORDER BY c COLLATE NOCASE DESC, id",
	"sort, limit":        "SELECT id, a FROM t ORDER BY a, c LIMIT 37 OFFSET 11",
	"sort, all limit":    "SELECT id, a FROM t ORDER BY a, c LIMIT 5000",
	"sort, none":         "SELECT id FROM t ORDER BY a LIMIT 0",
	"sort, json":         "SELECT json_array(j) FROM (SELECT json_object('a', a) AS j FROM t ORDER BY c)",
	"sort, blobs":        "SELECT d FROM t ORDER BY d, id",
	"distinct":           "SELECT DISTINCT a, c FROM t",
	"distinct, order":    "SELECT DISTINCT b FROM t ORDER BY b + a, b",
	"distinct, limit":    "SELECT DISTINCT c FROM t LIMIT 20 OFFSET 3",
	"group":              "SELECT a, count(*), sum(b), min(c), max(d) FROM t GROUP BY a",
	"group, nocase":      "SELECT c, count(*) FROM t GROUP BY c COLLATE NOCASE",
	"group, desc":        "SELECT a, c, total(b) FROM t GROUP BY a, c ORDER BY a DESC, c DESC",
	"group, concat":      "SELECT c, group_concat(id), group_concat(DISTINCT b), group_concat(a, '-' ORDER BY b, id DESC) FROM t GROUP BY c",
	"group, filter":      "SELECT c, count(*) FILTER (WHERE a > 3), sum(DISTINCT b) FILTER (WHERE a < 8) FROM t GROUP BY c HAVING count(*) > 1",
	"group, bare":        "SELECT c, max(b), id, d FROM t GROUP BY c",
	"group, bare min":    "SELECT c, min(b), id, count(b) FROM t GROUP BY c ORDER BY 4, 1",
	"group, expr":        "SELECT a % 3, substr(c, 1, 2), avg(b), json_group_array(json_array(a)) FROM t GROUP BY 1, 2",
	"group, subquery":    "SELECT c, (SELECT count(*) FROM u WHERE u.x = t.a), sum(b) FROM t GROUP BY c, 2",
	"collect, all":       "SELECT count(DISTINCT c), sum(DISTINCT b), group_concat(DISTINCT a), group_concat(c, '-' ORDER BY b DESC, a), min(DISTINCT c), max(b) FROM t",
	"collect, both":      "SELECT group_concat(DISTINCT c ORDER BY length(c) DESC, c COLLATE NOCASE), json_group_array(DISTINCT b ORDER BY a) FROM t",
	"collect, alike":     "SELECT group_concat(id ORDER BY a), json_group_array(json_array(b) ORDER BY c), json_group_array(DISTINCT json_array(a)) FROM t",
	"collect, nulls":     "SELECT json_group_array(DISTINCT b), json_group_array(DISTINCT d) FILTER (WHERE a > 3) FROM (SELECT a, b, hex(d) AS d FROM t)",
	"collect, group":     "SELECT a, count(DISTINCT c), group_concat(DISTINCT c), group_concat(id ORDER BY c DESC), id, max(b) FROM t GROUP BY a",
	"collect, sorted":    "SELECT x, group_concat(DISTINCT y), group_concat(id ORDER BY y DESC) FROM v INDEXED BY vx GROUP BY x",
	"collect, sub":       "SELECT a, group_concat(DISTINCT (SELECT max(y) FROM u WHERE u.x = t.id % 30)), string_agg(c, '' ORDER BY (SELECT count(*) FROM u WHERE u.x = t.a), id) FROM t GROUP BY a",
	"collect, having":    "SELECT c FROM t GROUP BY c HAVING count(DISTINCT a) > 9 ORDER BY sum(DISTINCT a), c",
	"union":              "SELECT a, c FROM t UNION SELECT x, y FROM u",
	"except":             "SELECT a, c FROM t EXCEPT SELECT x, y FROM u",
	"intersect":          "SELECT a FROM t INTERSECT SELECT x FROM u",
	"compound, order":    "SELECT a, c FROM t UNION ALL SELECT x, y FROM u EXCEPT SELECT 3, 'Word 3' ORDER BY 2 DESC, 1",
	"join":               "SELECT t.id, u.id FROM t JOIN u ON t.b = u.x AND t.c = u.y COLLATE NOCASE",
	"join, left":         "SELECT t.id, u.id, u.y FROM t LEFT JOIN u ON t.b = u.x AND u.y > 'w' WHERE t.id % 5 = 1",
	"join, full":         "SELECT t.id, u.id FROM (SELECT * FROM t WHERE id < 40) t FULL JOIN (SELECT * FROM u WHERE id < 60) u ON t.a < u.x AND t.b = u.id",
	"join, subqueries":   "SELECT count(*), sum(p.n * q.n) FROM (SELECT a, count(*) AS n FROM t GROUP BY a) p JOIN (SELECT x, count(*) AS n FROM u GROUP BY x) q ON p.a < q.x",
	"join, cte":          "WITH m AS MATERIALIZED (SELECT x, y FROM u ORDER BY y), k(i) AS (VALUES (1), (2), (3)) SELECT i, x, y FROM k, m WHERE (x + i) % 4 = 0",
	"window":             "SELECT id, row_number() OVER (PARTITION BY a ORDER BY c), sum(b) OVER (PARTITION BY c ORDER BY id ROWS 3 PRECEDING), lag(d) OVER (ORDER BY c, id) FROM t",
	"window, rows":       "SELECT id, sum(b) OVER w, group_concat(id) OVER w, max(a) OVER w, first_value(c) OVER w, last_value(id) OVER w, nth_value(d, 2) OVER w, count(*) FILTER (WHERE a > 4) OVER w FROM t WINDOW w AS (ORDER BY c, id ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING)",
	"window, ranges":     "SELECT id, sum(a) OVER (ORDER BY b RANGE BETWEEN 3 PRECEDING AND 2.5 FOLLOWING), count(*) OVER (ORDER BY b DESC NULLS FIRST RANGE BETWEEN 5 PRECEDING AND 1 PRECEDING), min(id) OVER (ORDER BY b RANGE BETWEEN 2 FOLLOWING AND UNBOUNDED FOLLOWING), total(id) OVER (ORDER BY b RANGE BETWEEN 1 FOLLOWING AND 40 FOLLOWING) FROM t",
	"window, groups":     "SELECT id, sum(id) OVER (ORDER BY a GROUPS BETWEEN 2 PRECEDING AND 1 FOLLOWING), count(*) OVER (ORDER BY a, c GROUPS BETWEEN 1 FOLLOWING AND 3 FOLLOWING), dense_rank() OVER (ORDER BY c), cume_dist() OVER (ORDER BY a), percent_rank() OVER (ORDER BY a DESC) FROM t",
	"window, exclude":    "SELECT id, sum(id) OVER (ORDER BY a ROWS BETWEEN 20 PRECEDING AND CURRENT ROW EXCLUDE GROUP), count(*) OVER (ORDER BY a ROWS BETWEEN 20 PRECEDING AND 20 FOLLOWING EXCLUDE TIES), last_value(id) OVER (ORDER BY a, id ROWS BETWEEN 9 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW), nth_value(id, 3) OVER (ORDER BY a ROWS BETWEEN 9 PRECEDING AND 80 FOLLOWING EXCLUDE GROUP) FROM t",
	"window, far":        "SELECT id, lag(c, 500, 'none') OVER w, lead(id, (id * 7919) % 690) OVER w, lag(d, -id) OVER w, ntile(13) OVER w, nth_value(c, 1 + id * 31 % 701) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM t WINDOW w AS (ORDER BY id)",
	"window, parts":      "SELECT id, a, rank() OVER w, lead(b) OVER w, group_concat(id) OVER (PARTITION BY a ORDER BY c) FROM t WINDOW w AS (PARTITION BY a % 2 ORDER BY c COLLATE NOCASE DESC)",
	"window, group":      "SELECT a, rank() OVER (ORDER BY count(*) DESC), count(*) FROM t GROUP BY a",
	"recursive":          "WITH RECURSIVE r(i, s) AS (SELECT id, c FROM t WHERE id < 30 UNION ALL SELECT i + 30, s || '+' FROM r WHERE i < 170) SELECT i, s FROM r",
	"recursive, union":   "WITH RECURSIVE r(i) AS (SELECT a FROM t UNION SELECT (i * 7 + 1) % 301 FROM r) SELECT i FROM r",
	"in":                 "SELECT id FROM t WHERE c IN (SELECT y FROM u) OR b IN (SELECT a || '' FROM t) OR b IN (SELECT x + 0.0 FROM u)",
	"in, nulls":          "SELECT id, b IN (SELECT b FROM t WHERE id % 3 = 0), b NOT IN (SELECT b FROM t WHERE b IS NOT NULL), c COLLATE NOCASE IN (SELECT y FROM u) FROM t",
	"in, index":          "SELECT id, x FROM v WHERE x IN (SELECT a * 2 FROM t) ORDER BY x DESC, id",
	"in, index and":      "SELECT v.id, t.id FROM t, v WHERE v.x IN (SELECT i FROM (SELECT a AS i FROM t UNION ALL SELECT x FROM u)) AND t.id = v.id % 5 + 1",
	"in, rowid":          "SELECT id, a FROM t WHERE id IN (SELECT x * 3 FROM u) AND a > 2",
	"in, correlated":     "SELECT id FROM t WHERE id < 60 AND a IN (SELECT x FROM u WHERE u.id < t.id)",
	"in, function":       "SELECT value FROM json_each WHERE json IN (SELECT json_array(x, y) FROM u UNION ALL SELECT json_array(x, y) FROM u)",
	"in, rows":           "SELECT id FROM t WHERE (a, c) IN (SELECT x, y FROM u) OR (b, id) NOT IN (SELECT b, id + 1 FROM t)",
	"recursive, order":   "WITH RECURSIVE r(i, s) AS (SELECT id, c FROM t WHERE id < 60 UNION ALL SELECT i * 5 % 701, s || '+' FROM r WHERE length(s) < 12 ORDER BY 2 DESC, 1) SELECT i, s FROM r",
	"recursive, deepest": "WITH RECURSIVE r(i, n) AS (SELECT 1, 0 UNION ALL SELECT id, n + 1 FROM t JOIN r ON t.id BETWEEN i * 2 AND i * 2 + 1 ORDER BY 2 DESC) SELECT i, n FROM r",
	"recursive, both":    "WITH RECURSIVE r(i) AS (SELECT a FROM t UNION SELECT (i * 7 + 1) % 301 FROM r ORDER BY 1 DESC LIMIT 200) SELECT i FROM r",
	"recursive, none":    "WITH RECURSIVE r(i) AS (SELECT 1 UNION SELECT (i * 31) % 1009 FROM r) SELECT count(*), sum(i) FROM r",
	"or":                 "SELECT id, x, y FROM w WHERE x > 20 OR y = 'word 5' OR x IN (SELECT a FROM t) OR id = 7",
	"or, without rowid":  "SELECT p, q FROM z WHERE q > 20 OR p < 'word 3' OR q IN (1, 2, 3)",
	"update, or":         "UPDATE w SET x = x + 1 WHERE x > 7 OR y < 'word 2' RETURNING id, x",
	"update, from many":  "UPDATE w SET x = t.a * 100 FROM t WHERE t.c = w.y RETURNING id, x",
	"update, from":       "UPDATE t SET b = s.n FROM (SELECT x, count(*) AS n FROM u GROUP BY x) s WHERE s.x = t.a RETURNING id, b",
	"insert, select":     "INSERT INTO t(a, b, c, d) SELECT a + 1, b, c, d FROM t ORDER BY c, id RETURNING id, a, c",
	"create as":          "CREATE TABLE n AS SELECT a, c, d FROM t ORDER BY c, id; SELECT rowid, * FROM n; DROP TABLE n",
	"delete":             "DELETE FROM t WHERE a IN (SELECT DISTINCT x FROM u ORDER BY y LIMIT 4) RETURNING id",
}

// spillTables fills t and u with rows that share values.
const spillTables = `CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b, c TEXT, d BLOB); CREATE TABLE u(id INTEGER PRIMARY KEY, x INT, y TEXT);
	INSERT INTO t(a, b, c, d) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 700)
		SELECT i * 37 % 11, CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN i * 1.5 WHEN 2 THEN 'text ' || (i % 5) ELSE i % 50 END,
			CASE i % 3 WHEN 0 THEN 'Word ' WHEN 1 THEN 'word ' ELSE 'wort' END || (i * 31 % 23), CASE i % 4 WHEN 0 THEN NULL ELSE zeroblob(i % 40) END FROM n;
	INSERT INTO u(x, y) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i * 13 % 29, 'word ' || (i % 23) FROM n;
	CREATE TABLE v(id INTEGER PRIMARY KEY, x INT, y TEXT); INSERT INTO v SELECT * FROM u; CREATE INDEX vx ON v(x);
	CREATE TABLE w(id INTEGER PRIMARY KEY, x INT, y TEXT); INSERT INTO w SELECT * FROM u; CREATE INDEX wx ON w(x); CREATE INDEX wy ON w(y);
	CREATE TABLE z(p TEXT, q INT, PRIMARY KEY (p, q)) WITHOUT ROWID; INSERT OR IGNORE INTO z SELECT y, x FROM u; CREATE INDEX zq ON z(q);`

// TestSpilledEqual: files change no row and no order.
func TestSpilledEqual(t *testing.T) {
	want := map[string]string{}
	for _, size := range []int64{0, 1, 2000, 20000} {
		s := openSession(t)
		mustScript(t, s, spillTables)
		s.Configure(Settings{SpillAfter: size})
		for name, query := range spillQueries {
			before := s.d.nSpills.Load()
			mustScript(t, s, "BEGIN")
			got := mustScript(t, s, query)
			mustScript(t, s, "ROLLBACK")
			n := s.d.nSpills.Load() - before
			if size == 0 {
				want[name] = got
			}
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				diffLines(t, got, want[name])
				if (size == 0) != (n == 0) && size <= 1 && name != "sort, none" {
					t.Errorf("%d files", n)
				}
				noSpills(t, s)
			})
		}
	}
}

// spillRows makes so many rows that a sort of them is larger than the least
// memory that a statement can have.
const spillRows = 60000

// bigQuery sorts them by something that is not their order, with a mark in each.
const bigQuery = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) SELECT 'MARK-of-a-spilled-row ' || i, i FROM n ORDER BY i * 7919 % 60000"

func bigSession(tb testing.TB) *Session {
	tb.Helper()
	s := openSession(tb)
	s.Configure(Settings{StatementMemory: StatementMemoryMin})
	return s
}

// openBig runs bigQuery to its first row.
func openBig(tb testing.TB, ctx context.Context, s *Session) (*Rows, []value.Value) {
	tb.Helper()
	st, _, err := s.Prepare(ctx, bigQuery)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := s.Query(ctx, st, nil)
	if err != nil {
		tb.Fatal(err)
	}
	dst := make([]value.Value, 2)
	if err := rows.Next(dst); err != nil {
		tb.Fatal(err)
	}
	if len(spillFiles(tb, s)) == 0 {
		tb.Fatal("nothing was spilled")
	}
	return rows, dst
}

// TestSpillMarker: no row is in a file in the clear, and all come back.
func TestSpillMarker(t *testing.T) {
	s := bigSession(t)
	rows, dst := openBig(t, t.Context(), s)
	size := 0
	for _, name := range spillFiles(t, s) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		size += len(data)
		if bytes.Contains(data, []byte("MARK-of")) || bytes.Contains(data, []byte("spilled-row")) {
			t.Errorf("%s: plaintext", name)
		}
	}
	if size < spillRows*8 { // compressed
		t.Errorf("%d bytes in files", size)
	}
	n := 1
	for ; ; n++ {
		i := dst[1].Int()
		if i*7919%spillRows < int64(n)-1 || dst[0].Str() != fmt.Sprint("MARK-of-a-spilled-row ", i) {
			t.Fatalf("row %d is %v", n, dst)
		}
		if err := rows.Next(dst); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n != spillRows {
		t.Errorf("%d rows", n)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	noSpills(t, s)
}

// TestSpillTampered: a file that was changed ends the statement.
func TestSpillTampered(t *testing.T) {
	s := bigSession(t)
	rows, dst := openBig(t, t.Context(), s)
	for _, name := range spillFiles(t, s) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range data {
			data[i] ^= 1
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	n := 0
	for ; err == nil; n++ {
		err = rows.Next(dst)
	}
	if !errors.Is(err, engine.ErrCorrupt) || n >= spillRows-1 {
		t.Errorf("after %d rows: %v", n, err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	noSpills(t, s)
	if got := mustScript(t, s, "SELECT 1"); got != "1\n" {
		t.Errorf("the next statement: %q", got)
	}
}

// TestSpillCancelled: a statement whose context ends leaves nothing, and neither
// do rows that are never closed, once their transaction is over.
func TestSpillCancelled(t *testing.T) {
	s := bigSession(t)
	ctx, cancel := context.WithCancel(t.Context())
	rows, dst := openBig(t, ctx, s)
	cancel()
	var err error
	for range 2 * pollInterval {
		if err = rows.Next(dst); err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	noSpills(t, s)
	ctx, cancel = context.WithCancel(t.Context())
	st, _, err := s.Prepare(ctx, bigQuery+", 2")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for s.d.nSpills.Load() < 2 { // the second statement's first file
			runtime.Gosched()
		}
		cancel()
	}()
	if rows, err := s.Query(ctx, st, nil); err == nil {
		t.Error("a statement that was cancelled while it sorted has rows")
		_ = rows.Close()
	}
	noSpills(t, s)
	mustScript(t, s, "BEGIN")
	openBig(t, t.Context(), s)
	mustScript(t, s, "ROLLBACK")
	if names := spillFiles(t, s); len(names) > 0 {
		t.Errorf("files after the transaction: %v", names)
	}
}

// TestSpillMemory measures what a statement holds: no more than it may, however
// much it sorts, groups, joins and compares.
func TestSpillMemory(t *testing.T) {
	const limit, rows = 8 << 20, 120000 // some 40 MiB in memory
	loaded := openSession(t)
	mustScript(t, loaded, "CREATE TABLE r(i INTEGER PRIMARY KEY, s TEXT)")
	mustScript(t, loaded, fmt.Sprintf("INSERT INTO r WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i, 'a text of some length that differs ' || (i * 7919 %% %d) || ' in each of the rows, and goes on for a while after that' FROM n", rows, rows+1))
	mustScript(t, loaded, "CREATE TABLE later(x)") // whose commit waits until the memtable has all rows
	for name, query := range map[string]string{
		"sort":        "SELECT i, s FROM r ORDER BY s",
		"distinct":    "SELECT DISTINCT s FROM r",
		"group":       "SELECT s, count(*), max(i) FROM r GROUP BY s",
		"collect":     "SELECT count(DISTINCT s), total(i ORDER BY s) FROM r",
		"collect, by": "SELECT i % 3, count(DISTINCT s ORDER BY i), count(DISTINCT s || 'y') FROM r GROUP BY 1",
		"except":      "SELECT s FROM r EXCEPT SELECT s || 'x' FROM r",
		"join":        "SELECT p.i FROM (SELECT i, s FROM r LIMIT -1) p JOIN (SELECT i, s FROM r LIMIT -1) q ON p.s = q.s",
		"window":      "SELECT i, lag(i) OVER (PARTITION BY s ORDER BY i) FROM r",
		"partition":   "SELECT i, lag(s, 5) OVER (ORDER BY s), count(*) OVER (ORDER BY i ROWS 1000 PRECEDING) FROM r",
		"in":          "SELECT i FROM r WHERE s IN (SELECT s FROM r)",
		"in, rows":    "SELECT i FROM r WHERE (s, i) IN (SELECT s, i FROM r)",
		"in, rowid":   "SELECT i FROM r WHERE i IN (SELECT i * 1 FROM r)",
		"union":       "WITH RECURSIVE n(i, s) AS (SELECT i, s FROM r WHERE i = 1 UNION SELECT r.i, r.s FROM n JOIN r ON r.i = n.i + 1) SELECT i FROM n",
		"queue":       "WITH RECURSIVE n(i, s) AS (SELECT i, s FROM r UNION ALL SELECT i, s FROM n WHERE i < 0 ORDER BY 2) SELECT i FROM n",
	} {
		t.Run(name, func(t *testing.T) {
			s := loaded.d.NewSession()
			defer s.Close() //nolint:errcheck // of nothing but the session's own
			s.Configure(Settings{StatementMemory: limit})
			spills := s.d.nSpills.Load()
			st, _, err := s.Prepare(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			n, base := 0, liveHeap()
			ctx := &measuringContext{Context: t.Context()}
			res, err := s.Query(ctx, st, nil)
			if err != nil {
				t.Fatal(err)
			}
			dst := make([]value.Value, len(st.Columns()))
			for ; ; n++ {
				if err = res.Next(dst); err != nil {
					break
				}
			}
			want := rows
			switch name {
			case "collect":
				want = 1
			case "collect, by":
				want = 3
			}
			if !errors.Is(err, io.EOF) || n != want {
				t.Fatalf("%d rows, %v", n, err)
			}
			if s.d.nSpills.Load() == spills {
				t.Error("nothing was spilled")
			}
			if err := res.Close(); err != nil {
				t.Fatal(err)
			}
			most := ctx.most - base
			t.Logf("at most %.1f MiB were held", float64(most)/(1<<20))
			if most > limit {
				t.Errorf("%d bytes were held, %d are allowed", most, limit)
			}
			noSpills(t, s)
		})
	}
}

// measuringContext measures the heap where a statement looks at its context: so
// nothing is allocated meanwhile.
type measuringContext struct {
	context.Context
	n    int
	most int64
}

func (c *measuringContext) Err() error {
	if c.n++; c.n%30 == 0 {
		c.most = max(c.most, liveHeap())
	}
	return c.Context.Err()
}

// liveHeap returns the bytes of live objects.
func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryOfAll: what all statements hold together makes each go to files
// earlier, and none fails.
func TestMemoryOfAll(t *testing.T) {
	s := openSession(t)
	s.Configure(Settings{StatementMemory: 64 << 20})
	s.d.memoryTotal = 4 << 20
	rows, _ := openBig(t, t.Context(), s)
	if held := s.d.held.Load(); held > 8<<20 {
		t.Errorf("%d bytes are held", held)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	noSpills(t, s)
}

// BenchmarkSort sorts a million rows, in memory and in files.
func BenchmarkSort(b *testing.B) {
	for _, memory := range []int64{1 << 30, 32 << 20} {
		b.Run(fmt.Sprintf("memory=%dMiB", memory>>20), func(b *testing.B) {
			s := openSession(b)
			s.Configure(Settings{StatementMemory: memory})
			mustScript(b, s, "CREATE TABLE r(i INTEGER PRIMARY KEY, s TEXT)")
			mustScript(b, s, "INSERT INTO r WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT i, 'a text of some length ' || (i * 7919 % 1000003) FROM n")
			st, _, err := s.Prepare(b.Context(), "SELECT i, s FROM r ORDER BY s")
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]value.Value, 2)
			b.ReportAllocs()
			for b.Loop() {
				rows, err := s.Query(b.Context(), st, nil)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for ; err == nil; n++ {
					err = rows.Next(dst)
				}
				if n != 1000001 || !errors.Is(err, io.EOF) {
					b.Fatal(n, err)
				}
				if err := rows.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.d.nSpills.Load())/float64(b.N), "files/op")
		})
	}
}
