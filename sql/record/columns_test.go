package record_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

func TestReadUnsafe(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 5000 {
		row := randomRow(rnd, edges(), rnd.IntN(9))
		b := record.Encode(nil, row)
		var cols, slots []int
		for col := range 12 {
			if rnd.IntN(2) == 0 {
				cols, slots = append(cols, col), append(slots, 19-col)
			}
		}
		regs := make([]value.Value, 20)
		n, err := record.ReadUnsafe(b, cols, slots, regs)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for i, col := range cols {
			if col < len(row) {
				want++
				if !same(regs[slots[i]], row[col]) {
					t.Fatalf("column %d is %v, want %v", col, regs[slots[i]].Go(), row[col].Go())
				}
			}
		}
		if n != want {
			t.Fatalf("%d of %v, want %d, of %d columns", n, cols, want, len(row))
		}
	}
}

// TestReadUnsafeOfDamage: whatever the bytes, ReadUnsafe accepts no column that
// UnsafeColumn refuses.
func TestReadUnsafeOfDamage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	cols, slots := []int{0, 2, 3}, []int{0, 1, 2}
	nBad := 0
	for range 20000 {
		b := record.Encode(nil, randomRow(rnd, edges(), 4))
		b = b[:rnd.IntN(len(b)+1)]
		b = slices.Clone(b)
		if len(b) > 0 {
			b[rnd.IntN(len(b))] ^= byte(1 << rnd.IntN(8))
		}
		regs := make([]value.Value, 3)
		n, err := record.ReadUnsafe(b, cols, slots, regs)
		r, perr := record.Parse(b)
		if perr != nil {
			if err == nil {
				t.Fatalf("%x is read", b)
			}
			nBad++
			continue
		}
		for i := range cols[:min(n, len(cols))] {
			v, cerr := r.UnsafeColumn(cols[i])
			if err == nil && (cerr != nil || !same(v, regs[i])) {
				t.Fatalf("%x: column %d is %v, want %v, %v", b, cols[i], regs[i].Go(), v.Go(), cerr)
			}
		}
	}
	if nBad == 0 {
		t.Fatal("nothing was damaged")
	}
}
