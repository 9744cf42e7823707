package exec

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// visited runs a query to its end and returns how many rows its loops looked at.
func visited(t *testing.T, s *Session, text string, args ...value.Value) int {
	t.Helper()
	ctx := context.Background()
	st, _, err := s.Prepare(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Query(ctx, st, args)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // a query has nothing to lose
	dst := make([]value.Value, len(st.Columns()))
	for {
		if err := rows.Next(dst); errors.Is(err, io.EOF) {
			return rows.f.ticks
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestConstantConditionsEndScans: what no row decides is tested before the first.
func TestConstantConditionsEndScans(t *testing.T) {
	const n = 1000
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT)")
	mustScript(t, s, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000) INSERT INTO t SELECT n, n % 7, 'b' || n FROM r")
	for _, text := range []string{
		"SELECT * FROM t WHERE 1 = ?", "SELECT * FROM t WHERE ? IS NULL AND a > 3", "SELECT count(*) FROM t WHERE ? = 5",
		"SELECT * FROM t WHERE lower('A') = ? AND b LIKE '%9%'", "SELECT a, count(*) FROM t WHERE NULL AND ?1 GROUP BY a",
		"SELECT * FROM (SELECT DISTINCT a FROM t) WHERE ? > 1", "SELECT t.id FROM t JOIN t AS u ON u.a = t.a AND ? > 1",
		"SELECT sum(x.id) FROM t AS x WHERE x.a = 3 AND ? < 0",
	} {
		if got := visited(t, s, text, value.NewInt(0)); got > 10 {
			t.Errorf("%s looked at %d rows", text, got)
		}
	}
	if got := visited(t, s, "SELECT * FROM t WHERE 0 = ? AND b LIKE '%x'", value.NewInt(0)); got < n {
		t.Errorf("a condition that holds: %d rows of %d", got, n)
	}
	if got := visited(t, s, "SELECT t.id, u.id FROM t LEFT JOIN t AS u ON t.id = 5 AND u.b <> 'x'"); got > 6*n {
		t.Errorf("a condition on the left row alone: the right table was read %d times", got/n)
	}
}

// TestConstantCallsAreOfOneRun: what a function gave for parameters is not that of
// the next run, nor is it held when the statement has ended.
func TestConstantCallsAreOfOneRun(t *testing.T) {
	ctx := context.Background()
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a); INSERT INTO t VALUES ('A'), ('B'), ('B')")
	st, _, err := s.Prepare(ctx, "SELECT count(*), upper(?1), upper(?1) || date(?2) FROM t WHERE a || '' = upper(?1)")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		arg   string
		count int64
		want  string
	}{{"a", 1, "A"}, {"b", 2, "B"}, {"c", 0, "C"}, {"a", 1, "A"}} {
		rows, err := s.Query(ctx, st, []value.Value{value.NewText(c.arg), value.NewText("2020-02-03")})
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]value.Value, 3)
		if err := rows.Next(dst); err != nil {
			t.Fatal(err)
		}
		if dst[0].Int() != c.count || dst[1].Str() != c.want || dst[2].Str() != c.want+"2020-02-03" {
			t.Errorf("%s: %v", c.arg, dst)
		}
		f := rows.f
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		for i, v := range f.regs {
			if !v.IsNull() {
				t.Errorf("register %d still holds a value", i)
			}
		}
	}
}
