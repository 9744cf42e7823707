package exec

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// TestSortList sorts rows of values that have much in common, beside a sort that
// compares whole rows.
func TestSortList(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	stems := []string{"", "a", "A", "a\x00", "a ", "the same ", "the same text ", "THE SAME TEXT ", "\x00\x00\x00\x00\x00\x00\x00\x00\x00", strings.Repeat("long", 50)}
	text := func() string {
		s := stems[r.IntN(len(stems))]
		for range r.IntN(4) {
			s += stems[r.IntN(6)] + string(rune('a'+r.IntN(3)))
		}
		return s
	}
	kinds := []func() value.Value{
		func() value.Value { return value.NewInt(r.Int64N(50)) },
		func() value.Value { return value.NewInt(1<<60 + r.Int64N(3000)) }, // alike to a prefix
		func() value.Value { return value.NewFloat(float64(r.IntN(20)) / 4) },
		func() value.Value { return value.NewText(text()) },
		func() value.Value { return value.NewBlob(text()) },
		func() value.Value { return value.Value{} },
		func() value.Value { return value.NewText("always the same") },
	}
	for round := range 300 {
		n, width := r.IntN(3000), 1+r.IntN(3)
		l := &sortList{}
		var columns [][]func() value.Value
		for i := range width {
			l.sortOrder.add(sortKey{coll: value.Collation(r.IntN(3)), desc: r.IntN(3) == 0, nullsLast: r.IntN(2) == 0}, i)
			columns = append(columns, nil)
			for range 1 + r.IntN(2) {
				columns[i] = append(columns[i], kinds[r.IntN(len(kinds))])
			}
		}
		var want [][]value.Value
		for i := range n {
			row := make([]value.Value, width, width+1)
			for c := range row {
				row[c] = columns[c][r.IntN(len(columns[c]))]()
			}
			row = append(row, value.NewInt(int64(i))) // no key
			want = append(want, row)
			l.add(row)
		}
		slices.SortStableFunc(want, l.compare)
		l.sort()
		for i := range want {
			if got := l.get(i); &got[0] != &want[i][0] {
				t.Fatalf("seed %d, round %d: row %d of %d by %+v is %v, want %v", seed, round, i, n, l.keys, got, want[i])
			}
		}
	}
}
