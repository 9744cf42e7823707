package exec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// TestRecall joins rows with those of a table that they name by its key: some name
// the same, some none, some one that is not there.
func TestRecall(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE c(id INTEGER PRIMARY KEY, name TEXT, big INT); CREATE TABLE w(a TEXT, b INT, name TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID;
		CREATE TABLE o(id INTEGER PRIMARY KEY, c INT, a TEXT);
		WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r WHERE i < 50) INSERT INTO c SELECT i, 'c' || i, i * 10 FROM r;
		INSERT INTO w SELECT 'a' || (id % 10), id, 'w' || id FROM c;
		WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r WHERE i < 1000)
			INSERT INTO o SELECT i, CASE WHEN i % 7 = 0 THEN NULL ELSE i * i % 60 END, 'a' || (i * i % 60 % 10) FROM r`)
	for _, on := range []string{"c.id = o.c", "c.id = o.c AND c.big > 100", "c.id = o.c AND c.big > o.id"} {
		for _, join := range []string{"JOIN", "LEFT JOIN"} {
			// What makes the key no key is left to conditions.
			got := mustScript(t, s, fmt.Sprintf("SELECT o.id, c.id, c.name FROM o %s c ON %s ORDER BY o.id", join, on))
			slow := strings.ReplaceAll(on, "c.id =", "+c.id =")
			want := mustScript(t, s, fmt.Sprintf("SELECT o.id, c.id, c.name FROM o %s c ON %s ORDER BY o.id", join, slow))
			if got != want || strings.Count(got, "\n") < 100 {
				t.Errorf("%s %s: %d rows, want %d", join, on, strings.Count(got, "\n"), strings.Count(want, "\n"))
			}
		}
	}
	got := mustScript(t, s, "SELECT o.id, w.name FROM o JOIN w ON w.a = o.a AND w.b = o.c ORDER BY o.id")
	want := mustScript(t, s, "SELECT o.id, w.name FROM o JOIN w ON +w.a = o.a AND +w.b = o.c ORDER BY o.id")
	if got != want || strings.Count(got, "\n") < 100 {
		t.Errorf("by a key of two columns: %d rows, want %d", strings.Count(got, "\n"), strings.Count(want, "\n"))
	}
	noSpills(t, s)
}

// TestRecallOfChanges: a statement that changes the table which it joins finds
// rows as they are.
func TestRecallOfChanges(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE c(id INTEGER PRIMARY KEY, n INT); INSERT INTO c VALUES (1, 0);
		CREATE TABLE o(id INTEGER PRIMARY KEY, c INT);
		WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM r WHERE i < 300) INSERT INTO o SELECT i, 1 FROM r;
		CREATE TABLE log(n INT); CREATE TRIGGER lg AFTER INSERT ON log BEGIN UPDATE c SET n = n + 1; END;
		INSERT INTO log SELECT c.n FROM o CROSS JOIN c ON c.id = o.c`)
	if got := mustScript(t, s, "SELECT n FROM c"); got != "300\n" {
		t.Errorf("the trigger ran %s", got)
	}
}

// TestRecallGivesUp: rows of keys that do not come again are dropped, and no more
// are taken than there is memory for.
func TestRecallGivesUp(t *testing.T) {
	s := openSession(t)
	f := &frame{run: run{s: s}, regs: make([]value.Value, 1)}
	r := &recall{f: f, slots: []int{0}, window: recallWindow}
	size := 8
	look := func(i int) bool {
		key := fmt.Appendf(nil, "%0*d", size, i)
		f.regs[0] = value.Value{}
		known, _ := r.find(key)
		if !known {
			f.regs[0] = value.NewInt(int64(i))
			r.keep(key, true)
		}
		if f.regs[0] != value.NewInt(int64(i)) {
			t.Fatalf("%d: %v", i, f.regs[0])
		}
		return known
	}
	for _, size = range []int{8, 9} {
		r = &recall{f: f, slots: []int{0}, window: recallWindow}
		for i := range 1000 {
			if look(i) {
				t.Fatalf("%d was never looked up", i)
			}
		}
		if n := r.n(); n == 0 || n > 1000-recallAfter+1 {
			t.Errorf("%d of 1000 rows are kept", n)
		}
		if !look(999) || f.mem == 0 {
			t.Errorf("the last row is not known; memory %d", f.mem)
		}
		for i := range recallWindow {
			look(1000 + i)
		}
		if r.n() != 0 || r.vals != nil || f.mem != 0 {
			t.Errorf("%d rows are kept, of which none came again; memory %d", r.n(), f.mem)
		}

		r = &recall{f: f, slots: []int{0}, window: recallWindow}
		for i := 0; f.mem < s.memory/8-1000; i++ {
			for range 3 {
				look(i)
			}
		}
		n := r.n()
		for i := range 1000 {
			look(-1 - i)
			look(i + 100)
		}
		if more := r.n() - n; !r.full || more > 20 || f.mem > s.memory/8+1000 {
			t.Errorf("%d rows were taken beyond the limit; %d bytes of %d", more, f.mem, s.memory/8)
		}
		if r.close(); f.mem != 0 {
			t.Errorf("%d bytes are not given back", f.mem)
		}
	}
	f.giveBack()
}
