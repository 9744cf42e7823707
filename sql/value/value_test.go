package value_test

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/byokdb/byokdb/sql/value"
)

// What SQLite answers to all of these is compared in sql/difftest, over many
// more; here are the borders, for whoever changes this package without SQLite.

func in(i int64) value.Value    { return value.NewInt(i) }
func fl(r float64) value.Value  { return value.NewFloat(r) }
func tx(s string) value.Value   { return value.NewText(s) }
func bl(s string) value.Value   { return value.NewBlob(s) }
func show(v value.Value) string { return v.Kind().String() + " " + strconv.Quote(v.AsText()) }

var null value.Value

func TestRealText(t *testing.T) {
	for r, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1: "-1.0", 0.1: "0.1", 0.3: "0.3", 0.30000000000000004: "0.30000000000000004", 49.47: "49.47", 1e15: "1000000000000000.0", 1e16: "10000000000000000.0",
		1e17: "1.0e+17", 1e20: "1.0e+20", 1e-4: "0.0001", 1e-5: "1.0e-05", 1e100: "1.0e+100", 1.0 / 3: "0.33333333333333332", math.MaxFloat64: "1.7976931348623157e+308",
		math.SmallestNonzeroFloat64: "4.9406564584124654e-324", math.Inf(1): "Inf", math.Inf(-1): "-Inf", 123456789.123: "123456789.123",
	} {
		if got := fl(r).AsText(); got != want {
			t.Errorf("%v is %q, want %q", r, got, want)
		}
		if got := tx(want).AsFloat(); !math.IsInf(r, 0) && got != r {
			t.Errorf("%q is %v, want %v", want, got, r)
		}
	}
	if got := fl(math.Copysign(0, -1)).AsText(); got != "0.0" {
		t.Errorf("-0.0 is %q", got)
	}
	if !fl(math.NaN()).IsNull() {
		t.Error("NaN is not NULL")
	}
}

func TestParseNumber(t *testing.T) {
	for s, want := range map[string]value.Value{
		"0": in(0), "-0": in(0), "12": in(12), " 12\n": in(12), "+5": in(5), "007": in(7), "9223372036854775807": in(math.MaxInt64), "-9223372036854775808": in(math.MinInt64),
		"9223372036854775808": fl(1 << 63), "1.0": fl(1), "1.": fl(1), ".5": fl(0.5), "1e3": fl(1000), "1E-3": fl(0.001), "1e400": fl(math.Inf(1)), "1e-400": fl(0),
		"": null, " ": null, "-": null, ".": null, "1e": null, "12abc": null, "0x10": null, "1 2": null, "--1": null, "inf": null, "1_0": null,
	} {
		got, ok := value.ParseNumber(s)
		if ok == want.IsNull() || got != want {
			t.Errorf("%q is %s (%v), want %s", s, show(got), ok, show(want))
		}
	}
}

func TestPrefixes(t *testing.T) {
	for s, want := range map[string]struct {
		i int64
		r float64
		n value.Value
	}{
		"12abc": {12, 12, in(12)}, "abc": {0, 0, in(0)}, "": {0, 0, in(0)}, "-3.9x": {-3, -3.9, fl(-3.9)}, "1e3": {1, 1000, fl(1000)}, " 7": {7, 7, in(7)},
		"99999999999999999999": {math.MaxInt64, 1e20, fl(1e20)}, "-99999999999999999999": {math.MinInt64, -1e20, fl(-1e20)}, "0x10": {0, 0, in(0)},
	} {
		for _, v := range []value.Value{tx(s), bl(s)} {
			if v.AsInt() != want.i || v.AsFloat() != want.r || v.Numeric() != want.n {
				t.Errorf("%s is %d, %v, %s", show(v), v.AsInt(), v.AsFloat(), show(v.Numeric()))
			}
		}
	}
	if fl(1e30).AsInt() != math.MaxInt64 || fl(-1e30).AsInt() != math.MinInt64 || fl(-2.9).AsInt() != -2 {
		t.Error("reals do not truncate and saturate")
	}
}

func TestAffinity(t *testing.T) {
	for name, want := range map[string]value.Affinity{
		"": value.AffinityBlob, "INT": value.AffinityInteger, "bigint": value.AffinityInteger, "POINT": value.AffinityInteger, "VARCHAR(10)": value.AffinityText, "clob": value.AffinityText,
		"BLOB": value.AffinityBlob, "REAL": value.AffinityReal, "double": value.AffinityReal, "DECIMAL(10,5)": value.AffinityNumeric, "DATETIME": value.AffinityNumeric, "STRING": value.AffinityNumeric,
	} {
		if got := value.AffinityOf(name); got != want {
			t.Errorf("%q is %d, want %d", name, got, want)
		}
	}
	for _, c := range []struct {
		v    value.Value
		a    value.Affinity
		want value.Value
	}{
		{tx("12"), value.AffinityInteger, in(12)},
		{tx("1.0"), value.AffinityNumeric, in(1)},
		{tx("1.5"), value.AffinityInteger, fl(1.5)},
		{tx("x"), value.AffinityInteger, tx("x")},
		{fl(2), value.AffinityInteger, in(2)},
		{fl(1 << 63), value.AffinityInteger, fl(1 << 63)},
		{in(2), value.AffinityReal, fl(2)},
		{tx("3"), value.AffinityReal, fl(3)},
		{in(2), value.AffinityText, tx("2")},
		{fl(2), value.AffinityText, tx("2.0")},
		{bl("2"), value.AffinityText, bl("2")},
		{bl("2"), value.AffinityInteger, bl("2")},
		{null, value.AffinityText, null},
		{tx("2"), value.AffinityBlob, tx("2")},
	} {
		if got := value.Apply(c.v, c.a); got != c.want {
			t.Errorf("%s under %d is %s, want %s", show(c.v), c.a, show(got), show(c.want))
		}
	}
}

func TestCompareExactly(t *testing.T) {
	sorted := []value.Value{
		null, fl(math.Inf(-1)), fl(-0x1.0000000000001p63), in(math.MinInt64), in(math.MinInt64 + 1), fl(-1.5), in(-1), in(0), fl(0.5), in(1),
		in(1<<53 - 1), in(1 << 53), in(1<<53 + 1), fl(1<<53 + 2), in(math.MaxInt64 - 1), in(math.MaxInt64), fl(1 << 63), fl(math.Inf(1)), tx(""), tx("A"), tx("a"), tx("a "), tx("b"), bl(""), bl("A"), bl("a"),
	}
	for i, a := range sorted {
		for j, b := range sorted {
			d := value.Compare(a, b, value.Binary)
			if (d < 0) != (i < j) || (d > 0) != (i > j) {
				t.Errorf("%s against %s: %d", show(a), show(b), d)
			}
		}
	}
	if value.Compare(in(1), fl(1), value.Binary) != 0 || value.Compare(fl(1<<53), in(1<<53), value.Binary) != 0 {
		t.Error("equal numbers are not equal")
	}
	for _, c := range []struct {
		a, b string
		c    value.Collation
		eq   bool
	}{{"abC", "ABc", value.NoCase, true}, {"é", "É", value.NoCase, false}, {"a", "a  ", value.RTrim, true}, {"a", " a", value.RTrim, false}, {"a", "A", value.RTrim, false}, {"a", "a ", value.NoCase, false}} {
		if eq := value.CompareText(c.a, c.b, c.c) == 0; eq != c.eq {
			t.Errorf("%q and %q under %s: equal %v", c.a, c.b, c.c, eq)
		}
	}
}

func TestArithmeticBorders(t *testing.T) {
	for _, c := range []struct {
		name string
		got  value.Value
		want value.Value
	}{
		{"max + 1", value.Add(in(math.MaxInt64), in(1)), fl(1 << 63)},
		{"min - 1", value.Sub(in(math.MinInt64), in(1)), fl(-1 << 63)},
		{"min * -1", value.Mul(in(math.MinInt64), in(-1)), fl(1 << 63)},
		{"min * 1", value.Mul(in(math.MinInt64), in(1)), in(math.MinInt64)},
		{"2^32 * 2^31", value.Mul(in(1<<32), in(1<<31)), fl(1 << 63)},
		{"-2^32 * 2^31", value.Mul(in(-1<<32), in(1<<31)), in(math.MinInt64)},
		{"min / -1", value.Div(in(math.MinInt64), in(-1)), fl(1 << 63)},
		{"-7 / 2", value.Div(in(-7), in(2)), in(-3)},
		{"7 / 0", value.Div(in(7), in(0)), null},
		{"7.0 / 0", value.Div(fl(7), in(0)), null},
		{"-7 % 3", value.Rem(in(-7), in(3)), in(-1)},
		{"7.5 % 2", value.Rem(fl(7.5), in(2)), fl(1)},
		{"min % -1", value.Rem(in(math.MinInt64), in(-1)), in(0)},
		{"5 % 0", value.Rem(in(5), in(0)), null},
		{"-min", value.Neg(in(math.MinInt64)), fl(1 << 63)},
		{"-'12abc'", value.Neg(tx("12abc")), in(-12)},
		{"1 + NULL", value.Add(in(1), null), null},
		{"'5' + '6.0'", value.Add(tx("5"), tx("6.0")), fl(11)},
		{"1 << 63", value.ShiftLeft(in(1), in(63)), in(math.MinInt64)},
		{"1 << 64", value.ShiftLeft(in(1), in(64)), in(0)},
		{"1 << -1", value.ShiftLeft(in(1), in(-1)), in(0)},
		{"-1 >> 100", value.ShiftRight(in(-1), in(100)), in(-1)},
		{"1 >> -3", value.ShiftRight(in(1), in(-3)), in(8)},
		{"1 >> min", value.ShiftRight(in(1), in(math.MinInt64)), in(0)},
		{"~0", value.BitNot(in(0)), in(-1)},
		{"1 || 2.0", value.Concat(in(1), fl(2)), tx("12.0")},
		{"x'61' || NULL", value.Concat(bl("a"), null), null},
	} {
		if c.got != c.want {
			t.Errorf("%s is %s, want %s", c.name, show(c.got), show(c.want))
		}
	}
}

func TestTruthTable(t *testing.T) {
	values := []value.Truth{value.Unknown, value.False, value.True}
	and := [3][3]value.Truth{{value.Unknown, value.False, value.Unknown}, {value.False, value.False, value.False}, {value.Unknown, value.False, value.True}}
	for i, a := range values {
		for j, b := range values {
			if got := a.And(b); got != and[i][j] {
				t.Errorf("%d AND %d is %d", a, b, got)
			}
			if got, want := a.Or(b), a.Not().And(b.Not()).Not(); got != want {
				t.Errorf("%d OR %d is %d, want %d", a, b, got, want)
			}
		}
	}
	for _, c := range []struct {
		v    value.Value
		want value.Truth
	}{{null, value.Unknown}, {in(0), value.False}, {in(-1), value.True}, {fl(0.1), value.True}, {tx("0.0"), value.False}, {tx("1x"), value.True}, {tx("x"), value.False}, {bl("1"), value.True}} {
		if got := value.TruthOf(c.v); got != c.want {
			t.Errorf("%s is %d", show(c.v), got)
		}
	}
}

func TestGoValues(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 30, 0, 500_000_000, time.FixedZone("", 2*3600))
	for _, c := range []struct {
		x    any
		want value.Value
	}{
		{nil, null}, {int64(-5), in(-5)}, {1.5, fl(1.5)}, {true, in(1)}, {false, in(0)}, {[]byte("ab"), bl("ab")}, {[]byte{}, bl("")}, {[]byte(nil), null}, {"ab", tx("ab")}, {at, tx("2026-11-23 10:30:00.5+02:00")},
	} {
		got, err := value.FromGo(c.x)
		if err != nil || got != c.want {
			t.Errorf("%v is %s, %v", c.x, show(got), err)
		}
	}
	if _, err := value.FromGo(struct{}{}); err == nil {
		t.Error("a struct is taken")
	}
	if b, ok := bl("").Go().([]byte); !ok || b == nil {
		t.Error("an empty blob is not an empty slice")
	}
}

func TestJSONMark(t *testing.T) {
	v := value.NewJSON("[1]")
	if !v.IsJSON() || v.Kind() != value.Text || v.Str() != "[1]" || tx("[1]").IsJSON() {
		t.Error("JSON text is not marked, or other text is")
	}
	if value.Compare(v, tx("[1]"), value.Binary) != 0 || value.Cast(v, value.AffinityText).IsJSON() {
		t.Error("the mark is more than a mark")
	}
}

func BenchmarkCompareInts(b *testing.B) {
	x, y := in(5), in(7)
	for b.Loop() {
		if value.Compare(x, y, value.Binary) >= 0 {
			b.Fatal("5 >= 7")
		}
	}
}

func BenchmarkCompareTexts(b *testing.B) {
	x, y := tx("a text of some length 1"), tx("a text of some length 2")
	b.ReportAllocs()
	for b.Loop() {
		if value.Compare(x, y, value.Binary) >= 0 {
			b.Fatal("1 >= 2")
		}
	}
}

func BenchmarkRealToText(b *testing.B) {
	var buf []byte
	v := fl(1234.5678)
	b.ReportAllocs()
	for b.Loop() {
		buf = v.AppendText(buf[:0])
	}
}

func BenchmarkGroupKey(b *testing.B) {
	var buf []byte
	v := tx("some group")
	b.ReportAllocs()
	for b.Loop() {
		buf = value.AppendGroupKey(buf[:0], v, value.NoCase)
	}
}
