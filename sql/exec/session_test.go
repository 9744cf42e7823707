package exec

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// openSession opens a database that is not durable, which no test here needs.
func openSession(tb testing.TB) *Session {
	tb.Helper()
	return openSessionWith(tb, &engine.Options{Sync: engine.SyncOff})
}

func openSessionWith(tb testing.TB, opts *engine.Options) *Session {
	tb.Helper()
	dir := tb.TempDir()
	key, err := keyuri.Open(context.Background(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		tb.Fatal(err)
	}
	db, err := engine.Open(context.Background(), filepath.Join(dir, "t.byok"), key, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	s := NewDatabase(db).NewSession()
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// script runs statements and returns the rows, one per line.
func script(s *Session, text string, args ...value.Value) (string, error) {
	var b strings.Builder
	for text != "" {
		st, tail, err := s.Prepare(context.Background(), text)
		if err != nil {
			return b.String(), err
		}
		text = tail
		if st == nil {
			continue
		}
		rows, err := s.Query(context.Background(), st, args)
		if err != nil {
			return b.String(), err
		}
		dst := make([]value.Value, len(st.Columns()))
		for len(dst) > 0 {
			err := rows.Next(dst)
			if err != nil {
				if err.Error() == "EOF" {
					break
				}
				_ = rows.Close()
				return b.String(), err
			}
			for i, v := range dst {
				if i > 0 {
					b.WriteByte('|')
				}
				if v.IsNull() {
					b.WriteString("NULL")
				} else {
					b.WriteString(v.AsText())
				}
			}
			b.WriteByte('\n')
		}
		if err := rows.Close(); err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}

// mustScript fails the test on an error.
func mustScript(tb testing.TB, s *Session, text string, args ...value.Value) string {
	tb.Helper()
	out, err := script(s, text, args...)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return out
}

// What is not done says so when it is prepared and names itself.
func TestUnsupportedIsNamed(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a, b)")
	for text, feature := range map[string]string{
		"CREATE VIRTUAL TABLE v USING fts5(a)":            "virtual tables",
		"ATTACH 'x' AS y":                                 "attached databases",
		"EXPLAIN SELECT 1":                                "EXPLAIN other than EXPLAIN QUERY PLAN",
		"PRAGMA no_such_pragma":                           "PRAGMA no_such_pragma",
		"PRAGMA writable_schema = ON":                     "PRAGMA writable_schema",
		"PRAGMA short_column_names = OFF":                 "PRAGMA short_column_names",
		"SELECT 1 FROM t RIGHT JOIN json_each(t.a || '')": "RIGHT and FULL JOIN of a table function whose first argument is no column",
	} {
		_, _, err := s.Prepare(context.Background(), text)
		want := "byokdb does not support " + feature + " yet"
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
}

// The size of a database is read as page_count times page_size.
func TestPageCount(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a); INSERT INTO t VALUES (hex(zeroblob(100000)))")
	got := mustScript(t, s, "SELECT page_count * page_size > 1000, freelist_count >= 0 FROM pragma_page_count, pragma_page_size, pragma_freelist_count")
	if got != "1|1\n" {
		t.Errorf("got %q", got)
	}
	if a, b := mustScript(t, s, "PRAGMA page_count"), mustScript(t, s, "SELECT * FROM pragma_page_count"); a != b {
		t.Errorf("PRAGMA %q, table %q", a, b)
	}
}

func TestParameters(t *testing.T) {
	s := openSession(t)
	st, tail, err := s.Prepare(context.Background(), "SELECT ?, :b, ?1, @c; SELECT 2")
	if err != nil {
		t.Fatal(err)
	}
	if tail != " SELECT 2" || st.NumParams() != 3 || st.ParamName(0) != "?1" || st.ParamName(1) != ":b" || st.ParamName(2) != "@c" {
		t.Errorf("tail %q, %d parameters: %q %q", tail, st.NumParams(), st.ParamName(1), st.ParamName(2))
	}
	got := mustScript(t, s, "SELECT ?, :b, ?1, @c", value.NewInt(1), value.NewText("x"))
	if got != "1|x|1|NULL\n" {
		t.Errorf("got %q", got)
	}
}

// Two parameters are two values, also where texts are compared.
func TestParametersOfWindows(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3), (4), (5), (6)")
	got := mustScript(t, s, "SELECT sum(a) OVER (PARTITION BY a % ?), sum(a) OVER (PARTITION BY a % ?) FROM t ORDER BY a LIMIT 2", value.NewInt(2), value.NewInt(3))
	if got != "9|5\n12|7\n" {
		t.Errorf("got %q", got)
	}
}

func TestColumns(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, at DATETIME)")
	st, _, err := s.Prepare(context.Background(), "SELECT id, at AS moment, id+1 FROM t")
	if err != nil {
		t.Fatal(err)
	}
	want := []ColumnInfo{{"id", "INTEGER", "t", value.AsStored}, {"moment", "DATETIME", "t", value.AsInstant}, {"id+1", "", "", value.AsStored}}
	if got := st.Columns(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !st.ReadOnly() {
		t.Error("a query is not read-only")
	}
}

// A statement keeps the collections of its last run only while they are there.
func TestCollectionsFollowSchema(t *testing.T) {
	s := openSession(t)
	ctx := context.Background()
	other := s.d.NewSession()
	defer func() { _ = other.Close() }()
	mustScript(t, s, "CREATE TABLE x(a INTEGER PRIMARY KEY)")
	in, _, err := s.Prepare(ctx, "INSERT INTO x VALUES (?)")
	if err != nil {
		t.Fatal(err)
	}
	in.Keep()
	defer in.Close()
	out, _, err := s.Prepare(ctx, "SELECT a FROM x WHERE a = ?")
	if err != nil {
		t.Fatal(err)
	}
	out.Keep()
	defer out.Close()
	has := func(a int64) bool {
		rows, err := s.Query(ctx, out, []value.Value{value.NewInt(a)})
		if err != nil {
			t.Fatal(err)
		}
		err = rows.Next(make([]value.Value, 1))
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		return err == nil
	}
	insert := func(a int64) {
		if _, err := s.Exec(ctx, in, []value.Value{value.NewInt(a)}); err != nil {
			t.Fatal(err)
		}
	}
	insert(1)
	for i, change := range []func(){
		func() {},
		func() { mustScript(t, other, "DROP TABLE x; CREATE TABLE x(a INTEGER PRIMARY KEY)") },
		func() { mustScript(t, other, "CREATE TABLE y(a)") },
		func() { mustScript(t, s, "BEGIN; SAVEPOINT p; DROP TABLE x; CREATE TABLE x(a INTEGER PRIMARY KEY)") },
		func() { mustScript(t, s, "ROLLBACK TO p; DROP TABLE x; CREATE TABLE x(a INTEGER PRIMARY KEY)") },
		func() { mustScript(t, s, "ROLLBACK") },
		func() { mustScript(t, s, "BEGIN; DROP TABLE x; CREATE TABLE x(a INTEGER PRIMARY KEY)") },
		func() { mustScript(t, s, "COMMIT") },
	} {
		old, fresh := int64(10*i), int64(10*i+2)
		insert(old)
		if !has(old) {
			t.Errorf("%d: the row is not there", i)
		}
		change()
		insert(fresh)
		if got, want := has(old), mustScript(t, s, fmt.Sprintf("SELECT count(*) FROM x WHERE +a = %d", old)) == "1\n"; got != want {
			t.Errorf("%d: the row before is there: %v, want %v", i, got, want)
		}
		if !has(fresh) || has(fresh+1) {
			t.Errorf("%d: the new row is not there", i)
		}
	}
}

// A plan that was made for one schema is not used for another.
func TestPlanFollowsSchema(t *testing.T) {
	s := openSession(t)
	ctx := context.Background()
	mustScript(t, s, "CREATE TABLE t(a); INSERT INTO t VALUES (1)")
	st, _, err := s.Prepare(ctx, "SELECT * FROM t")
	if err != nil {
		t.Fatal(err)
	}
	other := s.d.NewSession()
	mustScript(t, other, "ALTER TABLE t ADD COLUMN b DEFAULT 'new'")
	rows, err := s.Query(ctx, st, nil)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]value.Value, len(rows.Columns()))
	if err := rows.Next(dst); err != nil || len(dst) != 2 || dst[1].Str() != "new" {
		t.Errorf("row %v, error %v", dst, err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}

func TestContextStopsQuery(t *testing.T) {
	s := openSession(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	st, _, err := s.Prepare(ctx, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT n FROM c")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Query(ctx, st, nil)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]value.Value, 1)
	for n := 0; ; n++ {
		if n == 10 {
			cancel()
		}
		if err = rows.Next(dst); err != nil {
			break
		}
		if n > 10+2*pollInterval {
			t.Fatal("the query goes on")
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}

// After Close nothing of the rows is left in the frame.
func TestCloseDropsRows(t *testing.T) {
	s := openSession(t)
	ctx := context.Background()
	mustScript(t, s, "CREATE TABLE t(a); INSERT INTO t VALUES ('secret'), ('secret2')")
	st, _, err := s.Prepare(ctx, "SELECT a, count(*) FROM t GROUP BY a ORDER BY a DESC")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Query(ctx, st, nil)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]value.Value, 2)
	if err := rows.Next(dst); err != nil || dst[0].Str() != "secret2" {
		t.Fatalf("row %v, error %v", dst, err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	for i, v := range rows.f.regs {
		if !v.IsNull() {
			t.Errorf("register %d still holds a value", i)
		}
	}
	if rows.f.mem != 0 {
		t.Errorf("%d B are still accounted for", rows.f.mem)
	}
}

// TestMemoryLimit: what cannot go to a file is refused.
func TestMemoryLimit(t *testing.T) {
	s := openSession(t)
	s.Configure(Settings{StatementMemory: 1 << 20})
	mustScript(t, s, "CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(2000000))")
	_, err := script(s, "SELECT max(rowid), x FROM t")
	var e *sqlerr.Error
	if !errors.As(err, &e) || e.Code != sqlerr.NoMem || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("error %v", err)
	}
}

// Sessions share plans.
func TestConcurrentSessions(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT); CREATE INDEX ta ON t(a)")
	mustScript(t, s, "INSERT INTO t SELECT column1, column1 % 2 FROM (VALUES (1), (2), (3), (4), (5), (6))")
	texts := map[string]string{
		"SELECT a, count(*), (SELECT max(id) FROM t u WHERE u.a = t.a) FROM t WHERE a < 9 GROUP BY a ORDER BY a": "0|3|6\n1|3|5\n",
		"SELECT id FROM t WHERE a IN (SELECT 1) ORDER BY id LIMIT 2":                                             "1\n3\n",
		"SELECT x.id FROM t x JOIN t y ON x.a = y.id WHERE x.a < 9 ORDER BY x.id":                                "1\n3\n5\n",
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			mine := s.d.NewSession()
			for range 20 {
				for text, want := range texts {
					if got, err := script(mine, text); err != nil || got != want {
						t.Errorf("%s: %q, error %v", text, got, err)
					}
				}
				if _, err := script(mine, "INSERT INTO t(a) VALUES (9); DELETE FROM t WHERE a = 9"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// A join of as many tables as there may be ends, and one more is refused.
func TestManyTables(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, next INT); INSERT INTO t SELECT column1, column1 % 3 + 1 FROM (VALUES (1), (2), (3))")
	var from, where []string
	for i := range sourcesMax {
		from = append(from, fmt.Sprintf("t AS t%d", i))
		if i > 0 {
			where = append(where, fmt.Sprintf("t%d.id = t%d.next", i, i-1))
		}
	}
	text := "SELECT count(*) FROM " + strings.Join(from, ", ") + " WHERE " + strings.Join(where, " AND ")
	if got := mustScript(t, s, text); got != "3\n" {
		t.Errorf("got %q", got)
	}
	if _, err := script(s, strings.Replace(text, " WHERE ", ", t AS more WHERE ", 1)); err == nil {
		t.Error("a join of 65 tables is accepted")
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ text, first, tail string }{
		{"", "", ""},
		{" ;; -- nothing", "", ""},
		{"SELECT ';' ; SELECT 2", "SELECT ';' ", " SELECT 2"},
		{"SELECT \"a;b\", [c;d], `e;f` /* ; */ -- ;\n; x", "SELECT \"a;b\", [c;d], `e;f` /* ; */ -- ;\n", " x"},
		{"SELECT 'it''s; fine';", "SELECT 'it''s; fine'", ""},
		{"SELECT 'open; ", "SELECT 'open; ", ""},
	} {
		if first, tail := split(c.text); first != c.first || tail != c.tail {
			t.Errorf("split(%q) = %q, %q", c.text, first, tail)
		}
	}
}

// TestPrepareAgain: a text whose plan is there is cut as it was the first time.
func TestPrepareAgain(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a)")
	for _, c := range []struct{ text, first, tail string }{
		{"SELECT a FROM t", "SELECT a FROM t", ""},
		{"SELECT a FROM t;", "SELECT a FROM t", ""},
		{"SELECT a FROM t; SELECT 2", "SELECT a FROM t", " SELECT 2"},
		{" ;SELECT a FROM t -- x; y", "SELECT a FROM t -- x; y", ""},
		{"SELECT a FROM t -- x; y", "SELECT a FROM t -- x; y", ""},
		{"SELECT ';'", "SELECT ';'", ""},
		{"BEGIN; COMMIT", "BEGIN", " COMMIT"},
		{"BEGIN", "BEGIN", ""},
		{"CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", ""},
	} {
		for range 2 {
			st, tail, err := s.Prepare(t.Context(), c.text)
			if err != nil {
				t.Fatalf("%s: %v", c.text, err)
			}
			if st.text != c.first || tail != c.tail {
				t.Errorf("Prepare(%q) took %q and left %q", c.text, st.text, tail)
			}
			st.Close()
		}
	}
}
