package record_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

func compareRows(cols []record.KeyColumn, a, b []value.Value) int {
	for i := range min(len(a), len(b)) {
		d := value.Compare(a[i], b[i], cols[i].Collation)
		if cols[i].Desc {
			d = -d
		}
		if d != 0 {
			return d
		}
	}
	return 0
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestKeyOrderOfEdges(t *testing.T) {
	vs := edges()
	for _, col := range []record.KeyColumn{{}, {Desc: true}, {Collation: value.NoCase}, {Collation: value.NoCase, Desc: true}, {Collation: value.RTrim}} {
		cols := []record.KeyColumn{col}
		for _, a := range vs {
			ka := record.AppendKey(nil, cols, []value.Value{a})
			for _, b := range vs {
				kb := record.AppendKey(nil, cols, []value.Value{b})
				want := sign(compareRows(cols, []value.Value{a}, []value.Value{b}))
				if got := bytes.Compare(ka, kb); got != want {
					t.Fatalf("%+v: %v (%v) against %v (%v): bytes say %d, SQL says %d\n%x\n%x", col, a.Go(), a.Kind(), b.Go(), b.Kind(), got, want, ka, kb)
				}
				if want != 0 && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
					t.Fatalf("%+v: the key of %v is a prefix of that of %v or the other way round", col, a.Go(), b.Go())
				}
			}
		}
	}
}

func TestKeyOrderOfRandomTuples(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	pool := edges()
	cols := make([]record.KeyColumn, 3)
	for range 20000 {
		for i := range cols {
			cols[i] = record.KeyColumn{Collation: value.Collation(rnd.IntN(3)), Desc: rnd.IntN(2) == 1}
		}
		a, b := randomRow(rnd, pool, 3), randomRow(rnd, pool, 3)
		copy(b, a[:rnd.IntN(3)]) // share a prefix often
		ka, kb := record.AppendKey(nil, cols, a), record.AppendKey(nil, cols, b)
		if got, want := bytes.Compare(ka, kb), sign(compareRows(cols, a, b)); got != want {
			t.Fatalf("bytes say %d, SQL says %d\n%v\n%v\n%+v", got, want, a, b, cols)
		}
		tail := []byte{0xff, 0x00, byte(rnd.Uint32())}
		row, rest, err := record.DecodeKey(nil, cols, append(ka, tail...))
		if err != nil || !bytes.Equal(rest, tail) {
			t.Fatalf("%v: rest %x, %v", a, rest, err)
		}
		if err := record.ApplyResidue(row, record.AppendResidue(nil, cols, a)); err != nil {
			t.Fatal(err)
		}
		for i := range a {
			if !same(a[i], row[i]) {
				t.Fatalf("column %d (%+v) is %v (%v), want %v (%v)", i, cols[i], row[i].Go(), row[i].Kind(), a[i].Go(), a[i].Kind())
			}
		}
	}
}

func TestKeyOfRealColumn(t *testing.T) {
	cols := []record.KeyColumn{{Real: true}}
	for _, r := range []float64{0, 1, -7, 1 << 53, -1 << 63, 2.5, 1e300} {
		key := record.AppendKey(nil, cols, []value.Value{value.NewFloat(r)})
		row, _, err := record.DecodeKey(nil, cols, key)
		if err != nil || !same(row[0], value.NewFloat(r)) {
			t.Errorf("%v comes back as %v (%v), %v", r, row[0].Go(), row[0].Kind(), err)
		}
		if res := record.AppendResidue(nil, cols, []value.Value{value.NewFloat(r)}); len(res) > 0 {
			t.Errorf("%v leaves a residue of %d bytes", r, len(res))
		}
	}
}

// The layout is on disk.
func TestKeyVectors(t *testing.T) {
	for _, c := range []struct {
		v    value.Value
		desc bool
		want []byte
	}{
		{value.Value{}, false, []byte{0x05}},
		{value.Value{}, true, []byte{0xfa}},
		{value.NewInt(0), false, []byte{0x20}},
		{value.NewInt(5), false, []byte{0x22, 5, 0}},
		{value.NewInt(-5), false, []byte{0x1e, 0xfa, 0xff}},
		{value.NewInt(5), true, []byte{0xdd, 0xfa, 0xff}},
		{value.NewInt(0x1234), false, []byte{0x23, 0x12, 0x34, 0}},
		{value.NewFloat(2.5), false, []byte{0x22, 2, 1, 0x80, 0, 0, 0, 0, 0, 0, 0}},
		{value.NewFloat(0.5), false, []byte{0x21, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0}},
		{value.NewFloat(0x1p70), false, []byte{0x2a, 0x44, 0x50, 0, 0, 0, 0, 0, 0}},
		{value.NewText("a\x00b"), false, []byte{0x40, 'a', 0, 0xff, 'b', 0, 1}},
		{value.NewBlob("z"), false, []byte{0x50, 'z', 0, 1}},
	} {
		got := record.AppendKey(nil, []record.KeyColumn{{Desc: c.desc}}, []value.Value{c.v})
		if !bytes.Equal(got, c.want) {
			t.Errorf("%v (desc %v) is %x, want %x", c.v.Go(), c.desc, got, c.want)
		}
	}
}

func TestRowIDOrder(t *testing.T) {
	ids := []int64{math.MinInt64, -2, -1, 0, 1, 255, 256, math.MaxInt64}
	for i, id := range ids {
		b := record.AppendRowID(nil, id)
		if got, err := record.RowID(b); err != nil || got != id {
			t.Errorf("%d comes back as %d, %v", id, got, err)
		}
		if i > 0 && bytes.Compare(record.AppendRowID(nil, ids[i-1]), b) >= 0 {
			t.Errorf("%d does not sort after %d", id, ids[i-1])
		}
	}
	if _, err := record.RowID(make([]byte, 7)); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("7 bytes: %v, want ErrCorrupt", err)
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []struct{ prefix, end []byte }{
		{[]byte{1, 2}, []byte{1, 3}}, {[]byte{1, 0xff}, []byte{2}}, {[]byte{0xff, 0xff}, nil}, {nil, nil},
	} {
		end, ok := record.PrefixEnd(nil, c.prefix)
		if ok != (c.end != nil) || !bytes.Equal(end, c.end) {
			t.Errorf("end of %x is %x, %v", c.prefix, end, ok)
		}
	}
	for _, desc := range []bool{false, true} {
		col := record.KeyColumn{Desc: desc}
		bound := record.AppendNotNull(nil, col)
		for _, v := range edges() {
			key := record.AppendKey(nil, []record.KeyColumn{col}, []value.Value{v})
			after := bytes.Compare(key, bound) >= 0
			if after == (v.IsNull() != desc) {
				t.Errorf("desc %v: %v is on the wrong side of the bound", desc, v.Go())
			}
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	for _, v := range edges() {
		f.Add(record.AppendKey(nil, []record.KeyColumn{{}}, []value.Value{v}), false)
		f.Add(record.AppendKey(nil, []record.KeyColumn{{Desc: true}}, []value.Value{v}), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, desc bool) {
		cols := []record.KeyColumn{{Desc: desc}}
		row, rest, err := record.DecodeKey(nil, cols, b)
		if err != nil {
			if !errors.Is(err, record.ErrCorrupt) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if again := record.AppendKey(nil, cols, row); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x decodes to %v, which is %x", b, row[0].Go(), again)
		}
	})
}

func FuzzResidue(f *testing.F) {
	f.Add(record.AppendResidue(nil, []record.KeyColumn{{Collation: value.NoCase}}, []value.Value{value.NewText("A")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := record.ApplyResidue(make([]value.Value, 3), b)
		if err != nil && !errors.Is(err, record.ErrCorrupt) && !errors.Is(err, record.ErrTooNew) {
			t.Fatalf("untyped error %v", err)
		}
	})
}

func BenchmarkAppendKey(b *testing.B) {
	cols := []record.KeyColumn{{}, {}}
	row := []value.Value{value.NewInt(123456), value.NewText("a name of some length")}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = record.AppendKey(dst[:0], cols, row)
	}
}
