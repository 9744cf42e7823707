package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// aheadRows are rows whose number a statement reads in every way that it can.
const aheadRows = 300

func openAhead(t *testing.T) *Session {
	t.Helper()
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, g INT, n TEXT COLLATE NOCASE, x ANY, w TEXT);
		CREATE INDEX tg ON t(g); CREATE INDEX tn ON t(n);
		CREATE TABLE k(a TEXT PRIMARY KEY, g INT, x INT) WITHOUT ROWID; CREATE INDEX kg ON k(g)`)
	mustScript(t, s, fmt.Sprintf(`WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r WHERE i < %d)
		INSERT INTO t SELECT i, i %% 3, CASE WHEN i %% 5 = 0 THEN 'aB' ELSE 'AB' END || i, i, 'w' || i FROM r`, aheadRows))
	mustScript(t, s, "INSERT INTO k SELECT 'k' || id, g, x FROM t")
	return s
}

// TestRowsAhead reads rows of tables and indexes of which several are read at once:
// all of them, in order, and up to where the reader stops.
func TestRowsAhead(t *testing.T) {
	s := openAhead(t)
	for _, c := range []struct {
		text string
		row  func(i int) string // "": the row does not pass
	}{
		{"SELECT id, w FROM t", func(i int) string { return fmt.Sprintf("%d|w%d", i, i) }},
		{"SELECT x FROM t WHERE w <> 'w7'", func(i int) string { return map[bool]string{true: "", false: fmt.Sprint(i)}[i == 7] }},
		{"SELECT w, id FROM t INDEXED BY tg WHERE g = 1", func(i int) string { return map[bool]string{i%3 == 1: fmt.Sprintf("w%d|%d", i, i)}[true] }},
		{"SELECT w FROM t INDEXED BY tg WHERE g = 1 AND x > 100", func(i int) string { return map[bool]string{i%3 == 1 && i > 100: fmt.Sprintf("w%d", i)}[true] }},
		{"SELECT x FROM k INDEXED BY kg WHERE g = 2 ORDER BY x", func(i int) string { return map[bool]string{i%3 == 2: fmt.Sprint(i)}[true] }},
	} {
		var want []string
		for i := 1; i <= aheadRows; i++ {
			if r := c.row(i); r != "" {
				want = append(want, r+"\n")
			}
		}
		if got := mustScript(t, s, c.text); got != strings.Join(want, "") {
			t.Errorf("%s: %d rows, want %d", c.text, strings.Count(got, "\n"), len(want))
		}
		for _, n := range []int{0, 1, 2, 16, 17, 18, 80, 81, 82} {
			if got := mustScript(t, s, fmt.Sprintf("%s LIMIT %d", c.text, n)); got != strings.Join(want[:min(n, len(want))], "") {
				t.Errorf("%s LIMIT %d: %q", c.text, n, got)
			}
		}
	}
}

// TestRowsAheadInexact reads rows from an index that tells some of them exactly,
// and not the others: they keep their order.
func TestRowsAheadInexact(t *testing.T) {
	s := openAhead(t)
	const text = "SELECT n FROM t INDEXED BY tn WHERE n >= 'ab' ORDER BY n"
	if plan := mustScript(t, s, "EXPLAIN QUERY PLAN "+text); !strings.Contains(plan, "COVERING INDEX tn") {
		t.Fatal(plan)
	}
	want := mustScript(t, s, "SELECT n FROM t NOT INDEXED ORDER BY n")
	if got := mustScript(t, s, text); got != want {
		t.Errorf("%s", got)
	}
	if got := mustScript(t, s, "SELECT DISTINCT n, length(n) FROM t INDEXED BY tn WHERE n >= 'ab' ORDER BY n"); strings.Count(got, "\n") != aheadRows {
		t.Errorf("%s", got)
	}
}

// TestRowsBeforeAnError: rows that come before one that fails are given.
func TestRowsBeforeAnError(t *testing.T) {
	s := openAhead(t)
	mustScript(t, s, "UPDATE t SET x = -9223372036854775808 WHERE id = 40")
	for _, text := range []string{
		"SELECT id FROM t WHERE abs(x) > 0",
		"SELECT id FROM t INDEXED BY tg WHERE g = 1 AND abs(x) > 0",
	} {
		st, _, err := s.Prepare(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.Query(context.Background(), st, nil)
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]value.Value, 1)
		last := int64(0)
		for err = rows.Next(dst); err == nil; err = rows.Next(dst) {
			last = dst[0].Int()
		}
		if errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "integer overflow") {
			t.Errorf("%s: %v", text, err)
		}
		if want := map[bool]int64{true: 37, false: 39}[strings.Contains(text, "INDEXED")]; last != want {
			t.Errorf("%s: the last row is %d, want %d", text, last, want)
		}
		if err := rows.Next(dst); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: after the error: %v", text, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRowsAheadLarge: rows that are read ahead are few where they are large.
func TestRowsAheadLarge(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE b(id INTEGER PRIMARY KEY, g INT, x BLOB); CREATE INDEX bg ON b(g);
		WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r WHERE i < 60) INSERT INTO b SELECT i, 1, zeroblob(9000 + i) FROM r`)
	for _, text := range []string{"SELECT x FROM b", "SELECT x FROM b INDEXED BY bg WHERE g = 1"} {
		st, _, err := s.Prepare(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.Query(context.Background(), st, nil)
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]value.Value, 1)
		for i := 1; i <= 60; i++ {
			if err := rows.Next(dst); err != nil || len(dst[0].Str()) != 9000+i {
				t.Fatalf("%s: row %d has %d bytes, %v", text, i, len(dst[0].Str()), err)
			}
			if a := scanOf(rows.it).ahead; a.bytes > aheadBytesMax+10_000 {
				t.Fatalf("%s: %d bytes were read ahead", text, a.bytes)
			}
		}
		if err := rows.Next(dst); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", text, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
		f := st.plan.idle.Load()
		if f == nil {
			t.Fatalf("%s: the frame is gone", text)
		}
		for _, v := range f.spare[:cap(f.spare)] {
			if !v.IsNull() {
				t.Fatalf("%s: a row stays in the frame", text)
			}
		}
		if k := f.spareKeys; k != nil && strings.Trim(string(k.bytes[:cap(k.bytes)]), "\x00") != "" {
			t.Fatalf("%s: a key stays in the frame", text)
		}
	}
}

func scanOf(it iter) *scanIter {
	s, _ := it.(*scanIter)
	return s
}
