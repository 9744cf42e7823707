package exec

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// manyTables makes n tables of ten rows, and returns joins of all of them: a
// chain, a star, and one in which no table has a key.
func manyTables(tb testing.TB, s *Session, n int) []string {
	tb.Helper()
	var from, chain, star, keyless []string
	mustScript(tb, s, "BEGIN")
	for i := range n {
		mustScript(tb, s, fmt.Sprintf("CREATE TABLE j%d(id INTEGER PRIMARY KEY, next INT, v INT)", i))
		mustScript(tb, s, fmt.Sprintf("INSERT INTO j%d(next, v) VALUES (2,1),(3,2),(4,3),(5,4),(6,5),(7,6),(8,7),(9,8),(10,9),(1,10)", i))
		from = append(from, fmt.Sprintf("j%d", i))
		if i > 0 {
			chain = append(chain, fmt.Sprintf("j%d.id = j%d.next", i, i-1))
			star = append(star, fmt.Sprintf("j%d.id = j0.next", i))
			keyless = append(keyless, fmt.Sprintf("j%d.v = j%d.v", i, i-1))
		}
	}
	mustScript(tb, s, "COMMIT")
	q := "SELECT count(*), sum(j0.v) FROM " + strings.Join(from, ", ") + " WHERE "
	return []string{q + strings.Join(chain, " AND "), q + strings.Join(star, " AND "), q + strings.Join(keyless, " AND ")}
}

func TestJoinsOfAllShapes(t *testing.T) {
	s := openSession(t)
	for _, q := range manyTables(t, s, sourcesMax) {
		if got := mustScript(t, s, q); got != "10|55\n" {
			t.Errorf("%.60s…: %s", q, got)
		}
	}
}

func BenchmarkManyTables(b *testing.B) {
	s := openSession(b)
	qs := manyTables(b, s, sourcesMax)
	for i, name := range []string{"chain", "star", "keyless"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.d.forget() // the plan is made anew
				st, _, err := s.Prepare(context.Background(), qs[i])
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Exec(context.Background(), st, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestOrderLooksAhead gives estimates by which the cheapest next table leads to
// the most expensive join.
func TestOrderLooksAhead(t *testing.T) {
	a, b, c := uint64(1), uint64(2), uint64(4)
	o := &orderer{cares: []uint64{7, 7, 7}, known: map[reach]reached{
		{0, 0}: {rows: 1, cost: 1}, {0, b}: {rows: 1, cost: 3}, {0, c}: {rows: 1, cost: 3}, {0, b | c}: {rows: 1, cost: 3},
		{1, 0}: {rows: 1000, cost: 1000}, {1, a}: {rows: 10, cost: 10}, {1, c}: {rows: 10, cost: 10}, {1, a | c}: {rows: 10, cost: 10},
		{2, 0}: {rows: 1000, cost: 1000}, {2, a}: {rows: 0.1, cost: 60}, {2, b}: {rows: 0.1, cost: 60}, {2, a | b}: {rows: 0.1, cost: 60},
	}}
	for i := range 3 {
		o.sources = append(o.sources, &source{index: i})
	}
	var got []int
	for _, s := range o.order() {
		got = append(got, s.index)
	}
	if fmt.Sprint(got) != "[0 2 1]" {
		t.Errorf("order %v", got)
	}
}

// BenchmarkPlanJoin plans joins anew each time.
func BenchmarkPlanJoin(b *testing.B) {
	for _, n := range []int{2, 4, 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := openSession(b)
			q := manyTables(b, s, n)[0]
			for b.Loop() {
				s.d.forget()
				if _, _, err := s.Prepare(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
