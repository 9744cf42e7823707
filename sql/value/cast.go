package value

import "math"

const (
	minInt = math.MinInt64
	maxInt = math.MaxInt64
)

// Cast returns v as CAST(v AS type) does, given the affinity of the type name
// (AffinityOf). Text and blobs are read as far as they are a number.
func Cast(v Value, a Affinity) Value {
	if v.kind == Null {
		return v
	}
	switch a {
	case AffinityText:
		return NewText(v.AsText())
	case AffinityInteger:
		return NewInt(v.AsInt())
	case AffinityReal:
		return NewFloat(v.AsFloat())
	case AffinityNumeric:
		if v.kind != Text && v.kind != Blob {
			return v
		}
		r, _, integer := parseReal(v.s)
		if n, fits, _ := parseInt(v.s); integer && fits {
			return NewInt(n)
		}
		if i := floatToInt(r); floatIsInt(r, i) {
			return NewInt(i)
		}
		return NewFloat(r)
	default:
		return NewBlob(v.AsText())
	}
}
