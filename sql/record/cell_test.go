package record_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// read locates columns and loads them into the registers in slots.
func read(b []byte, cols, slots []int, regs []value.Value) (int, error) {
	cells := make([]record.Cell, len(cols))
	n, err := record.Locate(b, cols, cells)
	if err != nil {
		return 0, err
	}
	for i, c := range cells {
		if c.Missing() != (i >= n) {
			return 0, fmt.Errorf("%d of %d columns, but column %d is missing: %v", n, len(cols), i, c.Missing())
		}
		if c.Missing() {
			continue
		}
		v := &regs[slots[i]]
		if err := c.LoadUnsafe(b, v); err != nil {
			return 0, err
		}
		if c.Kind() != v.Kind() {
			return 0, fmt.Errorf("a cell of kind %v has the value %v", c.Kind(), v.Go())
		}
	}
	return n, nil
}

func TestLocate(t *testing.T) {
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
		n, err := read(b, cols, slots, regs)
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

// TestLocateInDamage: whatever the bytes, Locate and LoadUnsafe accept no column that
// UnsafeColumn refuses.
func TestLocateInDamage(t *testing.T) {
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
		n, err := read(b, cols, slots, regs)
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

func TestReadKeyUnsafe(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	pool := append(edges(), value.NewText("a\x00\x01b"), value.NewBlob("\x00\xff\x00"))
	for range 20000 {
		cols := make([]record.KeyColumn, 3)
		slots := make([]int, 3)
		for i := range cols {
			cols[i] = record.KeyColumn{Collation: value.Collation(rnd.IntN(3)), Desc: rnd.IntN(2) == 1, Real: rnd.IntN(4) == 0}
			slots[i] = rnd.IntN(5) - 1
			for j := range i {
				if slots[j] == slots[i] {
					slots[i] = -1
				}
			}
		}
		key := append(record.AppendKey(nil, cols, randomRow(rnd, pool, 3)), "tail"...)
		if rnd.IntN(4) == 0 {
			key = key[:rnd.IntN(len(key))]
			key = append(key, byte(rnd.Uint32()))
		}
		want, wantRest, wantErr := record.DecodeKey(nil, cols, key)
		regs := make([]value.Value, 4)
		rest, err := record.ReadKeyUnsafe(key, cols, slots, regs)
		if (err == nil) != (wantErr == nil) || string(rest) != string(wantRest) {
			t.Fatalf("%x: rest %x, want %x; %v, want %v", key, rest, wantRest, err, wantErr)
		}
		if err != nil {
			continue
		}
		for i, s := range slots {
			if s >= 0 && !same(regs[s], want[i]) {
				t.Fatalf("%x: column %d is %v, want %v", key, i, regs[s].Go(), want[i].Go())
			}
		}
	}
}
