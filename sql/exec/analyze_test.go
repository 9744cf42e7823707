package exec

import (
	"context"
	"errors"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

func TestAnalyze(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b INT); CREATE INDEX ta ON t(a); CREATE INDEX tab ON t(a, b DESC); CREATE INDEX tp ON t(b) WHERE a = 0;
		CREATE TABLE w(k TEXT NOT NULL, l INT NOT NULL, PRIMARY KEY(k, l)) WITHOUT ROWID; CREATE TABLE empty(x); CREATE TABLE plain(x);
		WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n < 99) INSERT INTO t(a, b) SELECT n % 5, n % 20 FROM c;
		INSERT INTO w VALUES ('a', 1), ('a', 2), ('b', 1); INSERT INTO plain VALUES (1), (2)`)
	mustScript(t, s, "ANALYZE")
	const all = "plain|NULL|2\nt|ta|100 20\nt|tab|100 20 5\nt|tp|20 5\nw|w|3 2 1\n"
	if got := mustScript(t, s, "SELECT * FROM sqlite_stat1 ORDER BY tbl, idx"); got != all {
		t.Errorf("got\n%s\nwant\n%s", got, all)
	}
	mustScript(t, s, "DELETE FROM t WHERE id > 10")
	mustScript(t, s, "ANALYZE ta; ANALYZE main.w")
	if got := mustScript(t, s, "SELECT stat FROM sqlite_stat1 WHERE idx = 'ta'"); got != "10 2\n" {
		t.Errorf("after a second look: %s", got)
	}
	if _, err := script(s, "ANALYZE nothing"); err == nil {
		t.Error("a table that does not exist is analyzed")
	}
	mustScript(t, s, "DROP INDEX ta; DROP TABLE w")
	if got := mustScript(t, s, "SELECT count(*) FROM sqlite_stat1 WHERE idx = 'ta' OR tbl = 'w'"); got != "0\n" {
		t.Errorf("%s rows about what was dropped", got)
	}
	mustScript(t, s, "BEGIN; DELETE FROM sqlite_stat1; INSERT INTO sqlite_stat1 VALUES ('t', 'tab', 'not a number'), ('none', NULL, '1'), (1, 2, 3), ('t', NULL, '-1'); COMMIT; CREATE TABLE more(x)")
	if got := mustScript(t, s, "SELECT count(*) FROM t WHERE a = 1"); got != "2\n" {
		t.Errorf("with statistics that mean nothing: %s", got)
	}
}

// TestStatisticsChoosePlans: what ANALYZE counts changes plans that exist.
func TestStatisticsChoosePlans(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, flag INT, name TEXT, pad); CREATE INDEX tf ON t(flag); CREATE INDEX tn ON t(name);
		WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n < 999) INSERT INTO t(flag, name) SELECT n % 2, 'n' || n FROM c`)
	q := "SELECT pad FROM t WHERE flag = 1 AND name = 'n7'"
	if got := planOf(t, s, q); got != "SEARCH t USING INDEX tf (flag=?)" {
		t.Errorf("without statistics: %s", got)
	}
	mustScript(t, s, "ANALYZE")
	if got := planOf(t, s, q); got != "SEARCH t USING INDEX tn (name=?)" {
		t.Errorf("with statistics: %s", got)
	}
	if got := planOf(t, s, "SELECT pad FROM t WHERE flag = 1"); got != "SCAN t" {
		t.Errorf("half of the table: %s", got)
	}
}

// TestScanIsCancelled: a scan that finds nothing looks at its context.
func TestScanIsCancelled(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a); WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM c WHERE n < 4999) INSERT INTO t SELECT n FROM c")
	for _, q := range []string{"SELECT a FROM t WHERE a < 0", "SELECT count(*), sum(a) FROM t", "SELECT a FROM t ORDER BY a DESC LIMIT 1"} {
		ctx, cancel := context.WithCancel(context.Background())
		st, _, err := s.Prepare(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		r, err := s.Query(ctx, st, nil)
		if err == nil {
			err = r.Next(make([]value.Value, len(st.Columns())))
			_ = r.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", q, err)
		}
	}
}
