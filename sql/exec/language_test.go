package exec

import (
	"context"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// drained runs a statement to its end and returns its frame, which holds
// nothing then.
func drained(t *testing.T, s *Session, text string) *frame {
	t.Helper()
	ctx := context.Background()
	st, _, err := s.Prepare(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.Query(ctx, st, nil)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]value.Value, len(st.Columns()))
	for range 2 { // not to the end
		if err := rows.Next(dst); err != nil {
			break
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	return rows.f
}

func TestNewOperatorsHoldNothing(t *testing.T) {
	s := openSession(t)
	s.SetForeignKeys(true)
	mustScript(t, s, `CREATE TABLE p(id INTEGER PRIMARY KEY, v TEXT)`)
	mustScript(t, s, `CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE, g AS (id || 'g'))`)
	mustScript(t, s, `CREATE TABLE log(x)`)
	mustScript(t, s, `CREATE TRIGGER ci AFTER INSERT ON c BEGIN INSERT INTO log SELECT v FROM p WHERE id = NEW.p; END`)
	mustScript(t, s, `CREATE TRIGGER cd BEFORE DELETE ON c BEGIN INSERT INTO log VALUES (OLD.g); END`)
	mustScript(t, s, `INSERT INTO p VALUES (1, 'secret1'), (2, 'secret2'), (3, 'secret3')`)
	for _, text := range []string{
		`INSERT INTO c(p) VALUES (1), (2), (3) RETURNING g, p`,
		`SELECT v, sum(id) OVER (PARTITION BY v ORDER BY id ROWS 1 PRECEDING), lag(v) OVER (ORDER BY id), group_concat(v) OVER () FROM p`,
		`WITH RECURSIVE r(n, s) AS (SELECT 1, 'secret' UNION ALL SELECT n + 1, s || n FROM r WHERE n < 9 ORDER BY 1 DESC) SELECT n, s FROM r`,
		`DELETE FROM p WHERE id > 1 RETURNING v, id`,
	} {
		f := drained(t, s, text)
		for i, v := range f.regs {
			if !v.IsNull() {
				t.Errorf("%s: register %d still holds a value", text, i)
			}
		}
		if f.mem != 0 || f.idle != nil || f.firing != nil {
			t.Errorf("%s: %d B, idle frames %v", text, f.mem, f.idle)
		}
	}
	if got := mustScript(t, s, "SELECT count(*) FROM log"); got != "5\n" {
		t.Errorf("the triggers ran %s times", got)
	}
}

// A partition of large values is as large as files are.
func TestWindowsOfLargeValues(t *testing.T) {
	s := openSession(t)
	s.Configure(Settings{StatementMemory: 4 << 20})
	got := mustScript(t, s, `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 30)
		SELECT n, length(lag(z, 20) OVER (ORDER BY z)), length(first_value(z) OVER (ORDER BY z DESC)) FROM (SELECT n, zeroblob(1000000+n) AS z FROM c) ORDER BY n DESC LIMIT 2`)
	if got != "30|1000010|1000030\n29|1000009|1000030\n" {
		t.Errorf("got %q", got)
	}
	noSpills(t, s)
}

// What was compiled without foreign keys is not used with them.
func TestForeignKeysAreOfTheSession(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE p(id INTEGER PRIMARY KEY)")
	mustScript(t, s, "CREATE TABLE c(p REFERENCES p)")
	ctx := context.Background()
	st, _, err := s.Prepare(ctx, "INSERT INTO c VALUES (7)")
	if err != nil {
		t.Fatal(err)
	}
	other := s.d.NewSession()
	defer func() { _ = other.Close() }()
	other.SetForeignKeys(true)
	for _, c := range []struct {
		on   bool
		fail bool
	}{{false, false}, {true, true}, {false, false}} {
		s.SetForeignKeys(c.on)
		if _, err := s.Exec(ctx, st, nil); (err != nil) != c.fail {
			t.Errorf("foreign keys %v: %v", c.on, err)
		}
		if _, err := script(other, "INSERT INTO c VALUES (7)"); err == nil {
			t.Error("the other session has lost its setting")
		}
	}
	mustScript(t, s, "BEGIN")
	s.SetForeignKeys(true)
	if got := mustScript(t, s, "PRAGMA foreign_keys"); got != "0\n" {
		t.Errorf("changed inside a transaction: %s", got)
	}
}

// A text with a trigger goes on behind its END.
func TestPrepareBehindATrigger(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a)")
	_, tail, err := s.Prepare(context.Background(), "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; SELECT 3")
	if err != nil || tail != "SELECT 3" {
		t.Errorf("tail %q, %v", tail, err)
	}
}
