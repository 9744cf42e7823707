package exec

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestTopOfScan: a sort with a limit gives the first rows of the same sort without
// one, whatever its keys hold, and of rows that sort alike the first.
func TestTopOfScan(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, a ANY, n INT NOT NULL, x TEXT COLLATE NOCASE, r REAL);
		WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM g WHERE i < 500)
		INSERT INTO t SELECT i, CASE i * 7919 % 6 WHEN 0 THEN NULL WHEN 1 THEN i * 31 % 97 WHEN 2 THEN i * 31 % 97 / 2.0 WHEN 3 THEN 'x' || (i % 50) WHEN 4 THEN x'00ff' ELSE -i END,
			i * 31 % 97, CASE WHEN i % 2 THEN 'Ab' ELSE 'aB' END || (i % 20), i * 17 % 101 / 4.0 FROM g;
		ALTER TABLE t ADD COLUMN late INT DEFAULT 50;
		UPDATE t SET late = id % 60 WHERE id % 3 = 0`)
	for _, order := range []string{
		"n", "n DESC", "a", "a DESC", "a NULLS LAST", "a DESC NULLS FIRST", "x", "x DESC", "x COLLATE BINARY", "r", "r DESC",
		"late", "late DESC", "n, id DESC", "n DESC, a", "a, x DESC", "x, r",
	} {
		for _, where := range []string{"", "WHERE n > 20", "WHERE x <> 'ab3' AND r > 3"} {
			all := strings.SplitAfter(mustScript(t, s, fmt.Sprintf("SELECT id, n, x FROM t %s ORDER BY %s", where, order)), "\n")
			for _, limit := range []int{0, 1, 2, 10, 100, 499, 500, 501} {
				got := mustScript(t, s, fmt.Sprintf("SELECT id, n, x FROM t %s ORDER BY %s LIMIT %d", where, order, limit))
				if want := strings.Join(all[:min(limit, len(all))], ""); got != want {
					t.Errorf("%s ORDER BY %s LIMIT %d:\n%s\nwant\n%s", where, order, limit, got, want)
				}
				got = mustScript(t, s, fmt.Sprintf("SELECT id, n, x FROM t %s ORDER BY %s LIMIT %d OFFSET 3", where, order, limit))
				if want := strings.Join(all[min(3, len(all)):min(limit+3, len(all))], ""); got != want {
					t.Errorf("%s ORDER BY %s LIMIT %d OFFSET 3:\n%s\nwant\n%s", where, order, limit, got, want)
				}
			}
		}
	}
}

// TestTopLeavesOut: rows that sort behind those that are kept are left out before
// the sort sees them.
func TestTopLeavesOut(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, n INT);
		WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM g WHERE i < 1000) INSERT INTO t SELECT i, i FROM g`)
	for text, most := range map[string]int{"ORDER BY n LIMIT 10": 10, "ORDER BY n DESC LIMIT 10": 1000} {
		st, _, err := s.Prepare(context.Background(), "SELECT id, n FROM t "+text)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.Query(context.Background(), st, nil)
		if err != nil {
			t.Fatal(err)
		}
		if it, ok := rows.it.(*limitIter).in.(*sortIter); !ok || it.seq != most {
			t.Errorf("%s: the sort saw %d rows, want %d", text, it.seq, most)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
}
