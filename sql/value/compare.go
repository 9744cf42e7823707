package value

import (
	"math"
	"strings"
)

// Collation says how text compares.
type Collation uint8

// The collations.
const (
	Binary Collation = iota // byte by byte
	NoCase                  // as Binary, with A to Z folded to a to z
	RTrim                   // as Binary, without trailing spaces
)

// CollationByName returns the collation of a name in any case, as in COLLATE.
func CollationByName(name string) (c Collation, ok bool) {
	switch {
	case strings.EqualFold(name, "BINARY"):
		return Binary, true
	case strings.EqualFold(name, "NOCASE"):
		return NoCase, true
	case strings.EqualFold(name, "RTRIM"):
		return RTrim, true
	}
	return Binary, false
}

// String returns the name as COLLATE has it.
func (c Collation) String() string {
	switch c {
	case NoCase:
		return "NOCASE"
	case RTrim:
		return "RTRIM"
	default:
		return "BINARY"
	}
}

// Compare returns a negative number, zero or a positive number as a sorts
// before, with or after b: NULL, then numbers by their exact value, then text
// by the collation, then blobs byte by byte. NULL equals NULL here; the SQL
// comparison operators have to look for it first.
func Compare(a, b Value, c Collation) int {
	switch {
	case a.kind == Int && b.kind == Int:
		return order(a.Int(), b.Int())
	case a.kind == Text && b.kind == Text:
		return CompareText(a.s, b.s, c)
	case a.class() != b.class():
		return int(a.class()) - int(b.class())
	}
	switch a.kind {
	case Int:
		return compareIntFloat(a.Int(), b.Float())
	case Float:
		if b.kind == Int {
			return -compareIntFloat(b.Int(), a.Float())
		}
		return order(a.Float(), b.Float())
	case Blob:
		return strings.Compare(a.s, b.s)
	default:
		return 0
	}
}

// class returns the kind, integers and reals being one.
func (v Value) class() Kind {
	if v.kind == Int {
		return Float
	}
	return v.kind
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// compareIntFloat compares by exact value; r is not NaN.
func compareIntFloat(i int64, r float64) int {
	if r < math.MinInt64 {
		return 1
	}
	if r >= -math.MinInt64 {
		return -1
	}
	if d := order(i, int64(r)); d != 0 {
		return d
	}
	return order(float64(i), r)
}

// CompareText compares two texts by a collation, as Compare does.
func CompareText(a, b string, c Collation) int {
	switch c {
	case NoCase:
		n := min(len(a), len(b))
		for i := range n {
			if x, y := a[i], b[i]; x != y {
				if d := int(fold(x)) - int(fold(y)); d != 0 {
					return d
				}
			}
		}
		return len(a) - len(b)
	case RTrim:
		return strings.Compare(trimSpaces(a), trimSpaces(b))
	default:
		return strings.Compare(a, b)
	}
}

// fold returns c in lower case if it is one of A to Z.
func fold(c byte) byte {
	if c-'A' < 26 {
		return c + 32
	}
	return c
}

func trimSpaces(s string) string { return strings.TrimRight(s, " ") }

// AppendCollated appends to dst the bytes of s that the collation compares:
// two texts are equal in it exactly if these are, and sort as these do.
func AppendCollated(dst []byte, s string, c Collation) []byte {
	switch c {
	case NoCase:
		n := len(dst)
		dst = append(dst, s...)
		for i := n; i < len(dst); i++ {
			dst[i] = fold(dst[i])
		}
		return dst
	case RTrim:
		return append(dst, trimSpaces(s)...)
	default:
		return append(dst, s...)
	}
}
