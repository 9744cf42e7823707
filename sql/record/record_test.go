package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// edges are values at the borders of every encoding.
func edges() []value.Value {
	vs := []value.Value{{}}
	for _, i := range []int64{
		0, 1, 2, -1, -2, 127, 128, -128, -129, 255, 256, 1<<15 - 1, 1 << 15, -1 << 15, -1<<15 - 1,
		1<<23 - 1, 1 << 23, -1 << 23, 1<<31 - 1, 1 << 31, -1 << 31, 1<<47 - 1, 1 << 47, -1 << 47, -1<<47 - 1,
		1 << 52, 1<<53 - 1, 1 << 53, 1<<53 + 1, -1<<53 - 1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1,
	} {
		vs = append(vs, value.NewInt(i))
	}
	for _, r := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 1.5, -1.5, 255.5, 256.25, math.Pi, -math.E, 1e-300, -1e-300,
		math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 0x1p-1022, 1 - 0x1p-53, 1 + 0x1p-52,
		1<<47 - 1, 1 << 47, 1<<52 + 0.5, 1<<53 - 1, 1 << 53, 1 << 62, 1 << 63, -1 << 63, 0x1.8p63, 0x1.fffffffffffffp63, 1 << 64, -1 << 64, 1e20, -1e20, 1e300,
		math.MaxFloat64, -math.MaxFloat64, math.Inf(1), math.Inf(-1),
	} {
		vs = append(vs, value.NewFloat(r))
	}
	for _, s := range []string{"", "a", "A", "b", "ab", "a ", "a  ", " ", "\x00", "a\x00", "a\x00b", "\x00\x01", "\x00\xff", "\x01", "\xff", "\xff\xff", "Zebra", "zebra", "é", strings.Repeat("x", 55), strings.Repeat("x", 56), strings.Repeat("y", 20000)} {
		vs = append(vs, value.NewText(s), value.NewBlob(s))
	}
	return vs
}

func same(a, b value.Value) bool {
	if a.Kind() == value.Float && b.Kind() == value.Float {
		return math.Float64bits(a.Float()) == math.Float64bits(b.Float())
	}
	return a == b
}

func TestRecordKeepsEveryValue(t *testing.T) {
	row := edges()
	b := record.Encode([]byte("before"), row)
	b = b[len("before"):]
	r, err := record.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Columns() != len(row) {
		t.Fatalf("%d columns, want %d", r.Columns(), len(row))
	}
	for k, want := range row {
		for name, get := range map[string]func(int) (value.Value, error){"Column": r.Column, "UnsafeColumn": r.UnsafeColumn} {
			got, err := get(k)
			if err != nil || !same(got, want) {
				t.Errorf("%s(%d) = %v, %v; want %v", name, k, got.Go(), err, want.Go())
			}
		}
	}
	if _, err := r.Column(len(row)); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("a column past the end: %v, want ErrCorrupt", err)
	}
	all, err := record.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b) // what was decoded must not alias the record
	for k, want := range row {
		if !same(all[k], want) {
			t.Errorf("Decode: column %d is %v, want %v", k, all[k].Go(), want.Go())
		}
	}
}

func TestRecordWithoutColumns(t *testing.T) {
	row, err := record.Decode(record.Encode(nil, nil))
	if err != nil || len(row) != 0 {
		t.Fatalf("%v, %v", row, err)
	}
}

func TestRecordDefects(t *testing.T) {
	good := record.Encode(nil, []value.Value{value.NewInt(300), value.NewText("abc"), value.NewFloat(1.5)})
	for n := range good {
		if _, err := record.Decode(good[:n]); !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("truncated to %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
	if _, err := record.Decode(append(bytes.Clone(good), 0)); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("a byte too many: %v, want ErrCorrupt", err)
	}
	newer := bytes.Clone(good)
	newer[0] = 2
	if _, err := record.Parse(newer); !errors.Is(err, record.ErrTooNew) {
		t.Errorf("version 2: %v, want ErrTooNew", err)
	}
	for name, b := range map[string][]byte{
		"version 0":      {0, 0},
		"reserved type":  {1, 1, 15},
		"cut varint":     {1, 1, 0x80},
		"NaN":            {1, 1, 7, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0},
		"huge text":      {1, 10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"too long a one": {1, 11, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if _, err := record.Decode(b); !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

// The layout is on disk: a change of it needs a new version.
func TestRecordVector(t *testing.T) {
	row := []value.Value{{}, value.NewInt(0), value.NewInt(1), value.NewInt(-2), value.NewInt(1 << 40), value.NewFloat(2), value.NewFloat(0.5), value.NewText("hi"), value.NewBlob("\x00")}
	want := []byte{
		1, 9, 0, 8, 9, 1, 5, 10, 7, 21, 18,
		0xfe, 1, 0, 0, 0, 0, 0, 2, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0, 'h', 'i', 0,
	}
	if got := record.Encode(nil, row); !bytes.Equal(got, want) {
		t.Errorf("record is\n%x, want\n%x", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(record.Encode(nil, edges()[:40]))
	f.Add([]byte{1, 1, 15})
	f.Fuzz(func(t *testing.T, b []byte) {
		row, err := record.Decode(b)
		if err != nil {
			if !errors.Is(err, record.ErrCorrupt) && !errors.Is(err, record.ErrTooNew) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := record.Decode(record.Encode(nil, row))
		if err != nil || len(again) != len(row) {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
		for i := range row {
			if !same(row[i], again[i]) {
				t.Fatalf("column %d: %v, then %v", i, row[i].Go(), again[i].Go())
			}
		}
	})
}

func randomRow(rnd *rand.Rand, pool []value.Value, n int) []value.Value {
	row := make([]value.Value, n)
	for i := range row {
		switch rnd.IntN(6) {
		case 0:
			row[i] = value.NewFloat(math.Float64frombits(rnd.Uint64()))
		case 1:
			row[i] = value.NewInt(int64(rnd.Uint64()) >> rnd.IntN(64))
		case 2:
			row[i] = value.NewFloat(float64(int64(rnd.Uint64()) >> rnd.IntN(64)))
		default:
			row[i] = pool[rnd.IntN(len(pool))]
		}
	}
	return row
}

func BenchmarkEncode(b *testing.B) {
	row := []value.Value{value.NewInt(123456), value.NewText("a name of some length"), value.NewFloat(3.25), {}, value.NewInt(1)}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = record.Encode(dst[:0], row)
	}
}

func BenchmarkUnsafeColumn(b *testing.B) {
	enc := record.Encode(nil, []value.Value{value.NewInt(123456), value.NewText("a name of some length"), value.NewFloat(3.25), {}, value.NewInt(7)})
	b.ReportAllocs()
	for b.Loop() {
		r, err := record.Parse(enc)
		if err != nil {
			b.Fatal(err)
		}
		if v, err := r.UnsafeColumn(4); err != nil || v.Int() != 7 {
			b.Fatal(v, err)
		}
	}
}

func BenchmarkLocate(b *testing.B) {
	row := []value.Value{
		{},
		value.NewInt(12345), value.NewInt(98765), value.NewFloat(1 / 3.0), value.NewText("delivered"), value.NewText("0123456789012345678901234567890123456789"),
		value.NewText("some text that is longer than fifty-five bytes, which is what one byte can say"),
	}
	rec := record.Encode(nil, row)
	regs, cells := make([]value.Value, len(row)), make([]record.Cell, len(row))
	for _, cols := range [][]int{{2}, {1, 2, 3}, {2, 5}, {1, 2, 3, 4, 5, 6}} {
		b.Run(fmt.Sprint(cols), func(b *testing.B) {
			for b.Loop() {
				n, err := record.Locate(rec, cols, cells)
				if err != nil {
					b.Fatal(err)
				}
				for i, c := range cells[:n] {
					if err := c.LoadUnsafe(rec, &regs[cols[i]]); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
