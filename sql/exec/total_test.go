package exec

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// Which aggregates are taken as totals, and whether rows are read encoded.
func TestTotalPlans(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c AS (a + 1)); CREATE INDEX tb ON t(b)")
	for _, c := range []struct {
		query          string
		total, encoded bool
	}{
		{"SELECT count(*), sum(a), min(b) FROM t", true, true},
		{"SELECT avg(a + 1) FILTER (WHERE b > 'x') FROM t WHERE a IS NOT NULL", true, true},
		{"SELECT sum(id) FROM t WHERE id > 5", true, true},
		{"SELECT total(c) FROM t", true, false},
		{"SELECT count(b) FROM t WHERE b > 'x'", true, false},
		{"SELECT count(*), sum(x.a) FROM t AS x, t AS y", true, false},
		{"SELECT count(DISTINCT a) FROM t", false, false},
		{"SELECT count(*), a FROM t", false, false},
		{"SELECT group_concat(b) FROM t", false, false},
		{"SELECT max(b) FROM t", false, false}, // the index has it
		{"SELECT count(*) FROM t GROUP BY a", false, false},
		{"SELECT sum((SELECT 1)) FROM t", false, false},
	} {
		st, _, err := s.Prepare(context.Background(), c.query)
		if err != nil {
			t.Fatal(c.query, err)
		}
		n := st.plan.query.node
		if p, ok := n.(*projectNode); ok {
			n = p.in
		}
		total, ok := n.(*totalNode)
		if ok != c.total || ok && (total.scan != nil) != c.encoded {
			t.Errorf("%s: total %v, want %v, encoded %v", c.query, ok, c.total, c.encoded)
		}
	}
}

// A row that was written before a column was added has its default in
// conditions and sums.
func TestTotalOfAddedColumn(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a); INSERT INTO t VALUES (1), (2); ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 7; INSERT INTO t VALUES (3, 10), (4, NULL)")
	for query, want := range map[string]string{
		"SELECT count(*), count(b), sum(b), min(b), max(b), avg(b) FROM t":      "4|3|24|7|10|8.0\n",
		"SELECT sum(a) FROM t WHERE b = 7":                                      "3\n",
		"SELECT sum(a), sum(b + 0) FROM t WHERE b < 8.5":                        "3|14\n",
		"SELECT count(*) FILTER (WHERE b IS NULL), sum(a) FROM t WHERE a > 1.5": "1|9\n",
		"SELECT a, b FROM t WHERE b = 7 AND a <> 1":                             "2|7\n",
	} {
		if got := mustScript(t, s, query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// An operand that cannot be computed is an error of the rows, if there are any.
func TestTotalOperandFails(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a)")
	const query = "SELECT count(*) FROM t WHERE a > abs(?)"
	least := value.NewInt(-1 << 63)
	if got := mustScript(t, s, query, least); got != "0\n" {
		t.Errorf("no rows: %q", got)
	}
	mustScript(t, s, "INSERT INTO t VALUES (1)")
	if _, err := script(s, query, least); err == nil {
		t.Error("no error for a row")
	}
	if got := mustScript(t, s, query, value.NewInt(0)); got != "1\n" {
		t.Errorf("got %q", got)
	}
}

// endingContext is cancelled once it was looked at n times.
type endingContext struct {
	context.Context //nolint:containedctx // it is one
	n               int
}

func (c *endingContext) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

// A scan looks at the context every few hundred rows, whether it reads them or
// counts them.
func TestTotalLooksAtContext(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER)")
	mustScript(t, s, "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 10000) SELECT n, n FROM c")
	for _, query := range []string{"SELECT count(*) FROM t", "SELECT sum(a) FROM t", "SELECT sum(a) FROM t WHERE a < 0", "SELECT max(a + 1) FROM t AS x JOIN (SELECT 1)"} {
		st, _, err := s.Prepare(context.Background(), query)
		if err != nil {
			t.Fatal(query, err)
		}
		for _, looks := range []int{10, 1000} {
			var rows *Rows
			rows, err = s.Query(&endingContext{context.Background(), looks}, st, nil)
			if err == nil {
				err = rows.Next(make([]value.Value, 1))
				_ = rows.Close()
			}
			var typed *sqlerr.Error
			if looks == 10 && (!errors.As(err, &typed) || typed.Code != sqlerr.Interrupt) || looks == 1000 && err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%s, cancelled at look %d: %v", query, looks, err)
			}
		}
	}
}
