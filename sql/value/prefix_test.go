package value

import (
	"math"
	"testing"
)

// TestPrefixOrders compares every two of many values, as Compare and by their
// prefixes.
func TestPrefixOrders(t *testing.T) {
	values := []Value{
		{},
		NewText(""), NewText("a"), NewText("a\x00"), NewText("A"), NewText("a "), NewText("a  b"), NewText("B"), NewText("["), NewText("abcdefgh"),
		NewText("ABCDEFGH"), NewText("abcdefgi"), NewText("abcdefghi"), NewText("abcdefg       "), NewText("\xff\xff\xff\xff\xff\xff\xff\xff\xff"), NewText("é"), NewText("        "),
		NewBlob(""), NewBlob("a"), NewBlob("\x00"), NewBlob("\x00\x00\x00\x00\x00\x00\x00\x00"), NewBlob("\xff\xff\xff\xff\xff\xff\xff\xff"), NewBlob("abcdefgh"), NewBlob("abcdefgi"),
	}
	for _, i := range []int64{0, 1, 2, 3, 255, 256, 1 << 31, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1 << 62, math.MaxInt64 - 1, math.MaxInt64} {
		for _, i := range []int64{i, -i, ^i} {
			values = append(values, NewInt(i), NewFloat(float64(i)), NewFloat(math.Nextafter(float64(i), 1e300)), NewFloat(math.Nextafter(float64(i), -1e300)))
		}
	}
	for _, x := range []float64{math.Copysign(0, -1), math.SmallestNonzeroFloat64, 0.1, 1e-300, 1e19, math.MaxFloat64, math.Inf(1)} {
		values = append(values, NewFloat(x), NewFloat(-x))
	}
	told := 0
	for _, c := range []Collation{Binary, NoCase, RTrim} {
		for _, a := range values {
			for _, b := range values {
				x, y, o := Prefix(a, c), Prefix(b, c), Compare(a, b, c)
				if x < y && o >= 0 || x > y && o <= 0 {
					t.Errorf("%s: %v and %v: prefixes %#x and %#x, Compare gives %d", c, a, b, x, y, o)
				}
				if x != y {
					told++
				}
			}
		}
	}
	if all := 3 * len(values) * len(values); told < all*8/10 {
		t.Errorf("prefixes tell %d of %d pairs apart", told, all)
	}
}
