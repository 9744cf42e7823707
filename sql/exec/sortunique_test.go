package exec

import "testing"

// TestUnionSorted: what a compound gives without ORDER BY, and with one, are the
// distinct rows in order, in memory and through files.
func TestUnionSorted(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, bigTable)
	small := s.d.NewSession()
	t.Cleanup(func() { _ = small.Close() })
	small.Configure(Settings{StatementMemory: StatementMemoryMin})
	for _, q := range [][2]string{
		{"SELECT s, k FROM r UNION SELECT s, k % 250 FROM r UNION SELECT s, k FROM r WHERE k < 250", "SELECT DISTINCT s, k FROM (SELECT s, k FROM r UNION ALL SELECT s, k % 250 FROM r) ORDER BY +s, +k"},
		{"SELECT s, k FROM r UNION SELECT s, k % 250 FROM r ORDER BY 2 DESC", "SELECT DISTINCT s, k FROM (SELECT s, k FROM r UNION ALL SELECT s, k % 250 FROM r) ORDER BY -k, +s"},
		{"SELECT s, k FROM r INTERSECT SELECT s, k % 250 FROM r", "SELECT DISTINCT s, k FROM r WHERE k < 250 ORDER BY +s, +k"},
		{"SELECT s, k FROM r EXCEPT SELECT s, k % 250 FROM r", "SELECT DISTINCT s, k FROM r WHERE k >= 250 ORDER BY +s, +k"},
		{"SELECT upper(s) COLLATE NOCASE FROM r UNION SELECT s FROM r", "SELECT DISTINCT s FROM r ORDER BY +s"},
		{"SELECT s COLLATE NOCASE FROM r UNION SELECT upper(s) FROM r ORDER BY 1 COLLATE BINARY", "SELECT DISTINCT upper(s) AS s FROM r ORDER BY +s"},
	} {
		t.Run(q[0], func(t *testing.T) {
			want := mustScript(t, s, q[1])
			diffLines(t, mustScript(t, s, q[0]), want)
			before := s.d.nSpills.Load()
			diffLines(t, mustScript(t, small, q[0]), want)
			if s.d.nSpills.Load() == before {
				t.Error("nothing was spilled")
			}
			noSpills(t, small)
		})
	}
}

// TestUnionOfFew: rows that are dropped take no room.
func TestUnionOfFew(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, bigTable)
	s.Configure(Settings{StatementMemory: StatementMemoryMin})
	before := s.d.nSpills.Load()
	got := mustScript(t, s, "SELECT count(*), sum(k) FROM (SELECT k, 'a longer text' FROM r, (VALUES (1), (2), (3), (4), (5)) UNION SELECT k + 100, 'a longer text' FROM r)")
	diffLines(t, got, mustScript(t, s, "SELECT 600, 599 * 300"))
	if n := s.d.nSpills.Load() - before; n != 0 {
		t.Errorf("%d files for 600 rows", n)
	}
}
