package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// bigRows is how many rows table r of bigTable has: no operator has room for them
// in the least memory that a statement can have.
const bigRows = 20000

const bigTable = `CREATE TABLE r(i INTEGER PRIMARY KEY, s TEXT, k INT REFERENCES nobody); INSERT INTO r WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
	SELECT i, 'a text of a row ' || (i * 7919 % 20011), i % 500 FROM n; CREATE INDEX rs ON r(s); CREATE INDEX rk ON r(k)`

// bigOperators are queries each of which has one operator that goes to files.
var bigOperators = map[string]string{
	"in":          "SELECT i, s IN (SELECT s || '' FROM r WHERE i % 2 = 0) FROM r",
	"in, nulls":   "SELECT i, s NOT IN (SELECT CASE WHEN i % 2 = 0 THEN s || '' WHEN i = 999 THEN NULL END FROM r WHERE i % 3 <> 0) FROM r",
	"in, rows":    "SELECT i FROM r WHERE (s, k) IN (SELECT s || '', (i + i % 2) % 500 FROM r)",
	"in, index":   "SELECT i, s FROM r WHERE s IN (SELECT s || '' FROM r UNION ALL SELECT s || '' FROM r WHERE i < 5000)",
	"in, rowid":   "SELECT i FROM r WHERE i IN (SELECT i * 2 FROM r) OR i > 100000",
	"partition":   "SELECT i, lag(s, 9000) OVER w, sum(k) OVER (w ROWS 50 PRECEDING), count(*) OVER (w RANGE BETWEEN 30 PRECEDING AND 20 FOLLOWING), dense_rank() OVER w FROM r WINDOW w AS (ORDER BY k)",
	"partitions":  "SELECT i, first_value(s) OVER w, last_value(i) OVER (w GROUPS BETWEEN 1 PRECEDING AND 2 FOLLOWING EXCLUDE TIES) FROM r WINDOW w AS (PARTITION BY k % 2 ORDER BY k / 8)",
	"union":       "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT (i * 3 + column1) % 20000 FROM n, (VALUES (0), (1))) SELECT i FROM n",
	"queue":       "WITH RECURSIVE n(i, s) AS (SELECT i, s FROM r UNION ALL SELECT i - 15000, substr(s, 3) FROM n WHERE i > 15000 ORDER BY 2 DESC) SELECT i, s FROM n",
	"or":          "SELECT i, s FROM r WHERE s = 'a text of a row 2' OR k IN (SELECT DISTINCT k FROM r WHERE i < 400)",
	"returning":   "UPDATE r SET k = k + 1 WHERE i > 0 RETURNING i, k, s",
	"from":        "UPDATE r SET k = o.k FROM (SELECT i, k FROM r UNION ALL SELECT i, 7 FROM r) o WHERE o.i = r.i; SELECT sum(k), max(k) FROM r",
	"orphans":     "PRAGMA foreign_key_check",
	"orphans, of": "SELECT rowid, parent FROM pragma_foreign_key_check('r')",
	"full":        "SELECT r.i, o.i FROM (SELECT 7 AS i UNION ALL SELECT 8) o FULL JOIN r ON o.i = r.i",
}

// TestSpilledOperators: files change no row and no order, and none are left.
func TestSpilledOperators(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, bigTable)
	small := s.d.NewSession()
	t.Cleanup(func() { _ = small.Close() })
	small.Configure(Settings{StatementMemory: StatementMemoryMin})
	for name, query := range bigOperators {
		t.Run(name, func(t *testing.T) {
			mustScript(t, s, "BEGIN")
			want := mustScript(t, s, query)
			mustScript(t, s, "ROLLBACK")
			before := s.d.nSpills.Load()
			mustScript(t, small, "BEGIN")
			got := mustScript(t, small, query)
			mustScript(t, small, "ROLLBACK")
			diffLines(t, got, want)
			if s.d.nSpills.Load() == before {
				t.Error("nothing was spilled")
			}
			noSpills(t, small)
		})
	}
}

// openOperator runs a query to its first row.
func openOperator(tb testing.TB, ctx context.Context, s *Session, query string) (*Rows, []value.Value) {
	tb.Helper()
	st, _, err := s.Prepare(ctx, query)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := s.Query(ctx, st, nil)
	if err != nil {
		tb.Fatal(err)
	}
	dst := make([]value.Value, len(rows.Columns()))
	if err := rows.Next(dst); err != nil {
		tb.Fatal(err)
	}
	return rows, dst
}

// restOf reads the rows that are left.
func restOf(rows *Rows, dst []value.Value) (n int, err error) {
	for ; err == nil; n++ {
		err = rows.Next(dst)
	}
	return n - 1, err
}

func flipFiles(tb testing.TB, s *Session) (n int) {
	tb.Helper()
	for _, name := range spillFiles(tb, s) {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		for i := range data {
			data[i] ^= 1
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			tb.Fatal(err)
		}
		n++
	}
	return n
}

// opensLate are the operators that have no file yet, or need none of it any more,
// when the first row is there.
var opensLate = map[string]bool{"union": true, "or": true, "from": true}

// TestSpilledOperatorsTampered: a file that was changed ends the statement.
func TestSpilledOperatorsTampered(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, bigTable)
	s.Configure(Settings{StatementMemory: StatementMemoryMin})
	for name, query := range bigOperators {
		if opensLate[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			rows, dst := openOperator(t, t.Context(), s, query)
			if flipFiles(t, s) == 0 {
				t.Fatal("nothing was spilled")
			}
			if n, err := restOf(rows, dst); !errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("after %d rows: %v", n, err)
			}
			if err := rows.Close(); err != nil {
				t.Fatal(err)
			}
			noSpills(t, s)
		})
	}
}

// TestSpilledOperatorsCancelled: a statement whose context ends leaves nothing.
func TestSpilledOperatorsCancelled(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, bigTable)
	s.Configure(Settings{StatementMemory: StatementMemoryMin})
	for name, query := range bigOperators {
		t.Run(name, func(t *testing.T) {
			for _, looks := range []int{2, 9, 40} { // that the context still lives
				st, _, err := s.Prepare(t.Context(), query)
				if err != nil {
					t.Fatal(err)
				}
				ctx := &endingContext{t.Context(), looks}
				rows, err := s.Query(ctx, st, nil)
				if err == nil {
					_, err = restOf(rows, make([]value.Value, len(rows.Columns())))
					if closing := rows.Close(); closing != nil {
						t.Fatal(closing)
					}
				}
				if !errors.Is(err, context.Canceled) && (!errors.Is(err, io.EOF) || name != "full") {
					t.Errorf("after %d looks: %v", looks, err)
				}
				noSpills(t, s)
			}
		})
	}
}

// TestSpillMax: no more than Options.SpillMax is put into files; what needs more is
// undone, and its transaction goes on.
func TestSpillMax(t *testing.T) {
	s := openSessionWith(t, &engine.Options{SpillMax: 40000})
	mustScript(t, s, bigTable)
	s.Configure(Settings{StatementMemory: StatementMemoryMin})
	for name, query := range bigOperators {
		t.Run(name, func(t *testing.T) {
			mustScript(t, s, "BEGIN; DELETE FROM r WHERE i = 1")
			_, err := script(s, query)
			var e *sqlerr.Error
			if !errors.Is(err, engine.ErrSpill) || !errors.Is(err, engine.ErrSpillFull) || errors.As(err, &e) {
				t.Errorf("error %v", err)
			}
			if got, want := mustScript(t, s, "SELECT count(*), sum(k) FROM r"), fmt.Sprintf("%d|%d\n", bigRows-1, 40*499*250-1); got != want {
				t.Errorf("rows %q, want %q", got, want)
			}
			mustScript(t, s, "ROLLBACK")
			noSpills(t, s)
		})
	}
}

// TestReturningOutlives: rows of RETURNING that are in a file are there after the
// commit, and until they are closed; other statements go on beside them.
func TestReturningOutlives(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, bigTable)
	s.Configure(Settings{StatementMemory: StatementMemoryMin})
	rows, dst := openOperator(t, t.Context(), s, "UPDATE r SET s = s || '.' RETURNING i, s")
	if len(spillFiles(t, s)) == 0 {
		t.Fatal("nothing was spilled")
	}
	mustScript(t, s, "UPDATE r SET s = 'later'; CREATE TABLE o(x); INSERT INTO o SELECT s FROM r ORDER BY s, i; DROP TABLE o")
	n := int64(1)
	for ; ; n++ {
		if want := fmt.Sprintf("a text of a row %d.", n*7919%20011); dst[0].Int() != n || dst[1].Str() != want {
			t.Fatalf("row %d is %v, want %q", n, dst, want)
		}
		if err := rows.Next(dst); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n != bigRows {
		t.Errorf("%d rows", n)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	noSpills(t, s)
	// Rows of a transaction that was rolled back are gone.
	mustScript(t, s, "BEGIN")
	rows, dst = openOperator(t, t.Context(), s, "UPDATE r SET s = s || '.' RETURNING i, s")
	mustScript(t, s, "ROLLBACK")
	if err := rows.Next(dst); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("after the rollback: %v", err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	noSpills(t, s)
	// A statement that cannot commit leaves nothing.
	mustScript(t, s, "PRAGMA foreign_keys = ON; CREATE TABLE p(x INTEGER PRIMARY KEY); CREATE TABLE c(x REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
	if _, err := script(s, "INSERT INTO c SELECT i FROM r RETURNING x, 'a text that takes some room ' || x"); err == nil {
		t.Error("a violation was committed")
	}
	noSpills(t, s)
}
