package difftest

import (
	"flag"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// valueSeed makes one run of the compared values like another.
var valueSeed = flag.Uint64("value.seed", 2, "seed of the compared values; 0 for a random one")

func newRand(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *valueSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-value.seed %d", seed)
	return rand.New(rand.NewPCG(seed, 7))
}

// inOrder yields a map's entries in the order of their keys, so that each draws
// the same random values in every run.
func inOrder[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// numbers are integers and reals at every border.
func numbers() []value.Value {
	var vs []value.Value
	for _, i := range []int64{
		0, 1, -1, 2, -2, 3, 7, 10, 63, 64, 65, -63, -64, -65, 100, 127, 128, 255, 256, 999, 1000,
		math.MaxInt32, math.MinInt32, 1 << 32, 1<<51 - 1, 1 << 51, -1 << 51, 1<<53 - 1, 1 << 53, 1<<53 + 1, -1<<53 - 1,
		3037000500, -3037000500, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1,
	} {
		vs = append(vs, value.NewInt(i))
	}
	for _, r := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 0.1, 0.2, 0.3, 49.47, 1.0 / 3, 2.0 / 3, math.Pi, -math.E,
		0.045, 0.1 + 0.2, 9.999999999999999, 99999999999999.99, 123456789.123456789, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e-5, 1e-4, 1e-6, 1e21, 1e22, 1e23,
		1e100, -1e100, 1e300, 1e-300, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 0x1p-1022, 0x1p-1030,
		1 << 51, 1 << 52, 1<<52 + 0.5, 1 << 53, 1 << 62, 1 << 63, -1 << 63, 0x1.fffffffffffffp62, -0x1.0000000000001p63, 0x1p64,
		math.Inf(1), math.Inf(-1), 4503599627370496.5, 2147483648.5, 100, 1000000, 123456.75,
	} {
		vs = append(vs, value.NewFloat(r))
	}
	return vs
}

// texts are texts that look like numbers, and others.
func texts() []string {
	return []string{
		"", " ", "0", "1", "-1", "+1", "12", " 12", "12 ", " 12 ", "\t12\n", "\v12\f", "12abc", "abc", "1.0", "1.", ".5", ".", "-", "+", "- 1",
		"1e3", "1E3", "1e+3", "1e-3", "1e", "1e+", "1.5e2x", "1e400", "-1e400", "1e-400", "0x10", "0X1F", "1_000", "--1", "1-1", "1 2", "0.0", "-0.0", "-0", "00012",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999999",
		"9223372036854775807.0", "9007199254740993", "9007199254740993.0", "2251799813685248", "2251799813685247.0", "3500000000000000.2500001",
		"123456789012345678901234567890", "0.1234567890123456789012345", "1.7976931348623157e308", "1.7976931348623159e308", "4.9e-324", "2e-324", "inf", "Infinity", "nan", "NULL", "true",
		"a", "A", "b", "B", "aB", "Ab", "ab", "AB", "abc", "ABC", "aBc", "a ", "a  ", " a", "abc def", "Zebra", "zebra", "é", "É", "日本語", "🎉x", "a_b", "a%b", "%", "_", "\\", "[a]", "it's", "say \"hi\"",
		"a\x00b", "\x00", "1\x002", "\x80\x81", "\xff", "a\xc3", "\xe6\x97", "tab\there", "line\nbreak", "2024-02-29", "12:34:56", "x'41'", "hello world hello",
	}
}

func pool() []value.Value {
	vs := append([]value.Value{{}}, numbers()...)
	for _, s := range texts() {
		vs = append(vs, value.NewText(s))
	}
	for _, s := range []string{"", "\x00", "a", "A", "12", "1.5e1", " 7 ", "abc", "\xff\xfe", "12abc", "9223372036854775808", "é", "hello"} {
		vs = append(vs, value.NewBlob(s))
	}
	return vs
}

// random returns a random value, often from the pool.
func random(rnd *rand.Rand, from []value.Value) value.Value {
	switch rnd.IntN(8) {
	case 0:
		return value.NewInt(int64(rnd.Uint64()) >> rnd.IntN(64))
	case 1:
		return value.NewFloat(math.Float64frombits(rnd.Uint64()))
	case 2:
		return value.NewFloat(math.Round(rnd.NormFloat64()*1e6) / math.Pow(10, float64(rnd.IntN(7))))
	case 3:
		return value.NewText(randomNumeral(rnd))
	case 4:
		return value.NewText(randomText(rnd, rnd.IntN(12)))
	default:
		return from[rnd.IntN(len(from))]
	}
}

// randomNumeral returns text that is a number, nearly.
func randomNumeral(rnd *rand.Rand) string {
	digits := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte(byte('0' + rnd.IntN(10)))
		}
		return b.String()
	}
	s := []string{"", "-", "+", " ", " -"}[rnd.IntN(5)] + digits(rnd.IntN(22))
	if rnd.IntN(2) == 0 {
		s += "." + digits(rnd.IntN(22))
	}
	if rnd.IntN(3) == 0 {
		s += "e" + strconv.Itoa(rnd.IntN(700)-350)
	}
	return s + []string{"", "", " ", "x"}[rnd.IntN(4)]
}

const alphabet = "aAbBcC xyzXYZ01289.-+%_[]^*?\\'\"é日"

func randomText(rnd *rand.Rand, n int) string {
	letters := []rune(alphabet)
	var b strings.Builder
	for range n {
		b.WriteRune(letters[rnd.IntN(len(letters))])
	}
	return b.String()
}
