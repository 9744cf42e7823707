package value

import "strings"

// Affinity is the kind of value that a column prefers.
type Affinity uint8

// The affinities. Their order matters: those from Numeric on are numeric.
const (
	AffinityNone    Affinity = iota // an expression that is not a column
	AffinityBlob                    // a column that takes everything as it is
	AffinityText                    // numbers become text
	AffinityNumeric                 // text that is a number becomes one, integers preferred
	AffinityInteger                 // as Numeric; CAST differs
	AffinityReal                    // as Numeric, but integers become reals
)

// AffinityOf returns the affinity of a column by its declared type, which may
// be empty.
//
// Source: https://sqlite.org/datatype3.html §3.1.
func AffinityOf(declared string) Affinity {
	if declared == "" {
		return AffinityBlob
	}
	s := strings.ToUpper(declared)
	switch {
	case strings.Contains(s, "INT"):
		return AffinityInteger
	case strings.Contains(s, "CHAR"), strings.Contains(s, "CLOB"), strings.Contains(s, "TEXT"):
		return AffinityText
	case strings.Contains(s, "BLOB"):
		return AffinityBlob
	case strings.Contains(s, "REAL"), strings.Contains(s, "FLOA"), strings.Contains(s, "DOUB"):
		return AffinityReal
	}
	return AffinityNumeric
}

// Apply returns v as a column of affinity a stores it.
func Apply(v Value, a Affinity) Value {
	switch a {
	case AffinityText:
		if v.kind == Int || v.kind == Float {
			return NewText(v.AsText())
		}
	case AffinityNumeric, AffinityInteger, AffinityReal:
		if v.kind == Text {
			n, ok := ParseNumber(v.s)
			if !ok {
				return v
			}
			v = n
		}
		switch {
		case a == AffinityReal && v.kind == Int:
			return NewFloat(float64(v.Int()))
		case a != AffinityReal && v.kind == Float:
			return preferInt(v)
		}
	case AffinityNone, AffinityBlob: // as it is
	}
	return v
}

// preferInt returns a real that is an integer, other than the two extremes, as
// an integer.
func preferInt(v Value) Value {
	r := v.Float()
	i := floatToInt(r)
	if r == float64(i) && i > minInt && i < maxInt {
		return NewInt(i)
	}
	return v
}

// CompareAffinity returns the affinity that a comparison of two operands
// applies to both, given their own; AffinityNone for an operand that is not a
// column (or a CAST, which has the affinity of its type).
func CompareAffinity(left, right Affinity) Affinity {
	if left > AffinityNone && right > AffinityNone {
		if left >= AffinityNumeric || right >= AffinityNumeric {
			return AffinityNumeric
		}
		return AffinityBlob
	}
	return max(left, right)
}

// ForComparison returns two operands as a comparison of affinity a sees them.
// Unlike Apply it never loses digits: numbers stay what they are unless they
// meet text under text affinity.
func ForComparison(left, right Value, a Affinity) (Value, Value) {
	if left.kind != Text && right.kind != Text {
		return left, right
	}
	switch {
	case a >= AffinityNumeric:
		return left.NumericArg(), right.NumericArg()
	case a == AffinityText:
		return Apply(left, a), Apply(right, a)
	}
	return left, right
}
