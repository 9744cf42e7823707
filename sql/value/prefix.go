package value

import (
	"encoding/binary"
	"math"
)

// classBits is where Prefix has the class of a value: NULL, number, text, blob.
const classBits = 62

// Prefix returns the beginning of a value as a number: of two values with
// different prefixes the one with the smaller prefix sorts first, as Compare has
// it, and values that are equal have the same prefix. A sort that compares
// prefixes first rarely has to look at the values.
func Prefix(v Value, c Collation) uint64 {
	switch v.kind {
	case Null:
		return 0
	case Int:
		return numberPrefix(float64(v.Int())) // rounding keeps the order, if not all differences
	case Float:
		return numberPrefix(v.Float())
	case Text:
		return 2<<classBits | textPrefix(v.s, c)>>(64-classBits)
	default:
		return 3<<classBits | textPrefix(v.s, Binary)>>(64-classBits)
	}
}

func numberPrefix(x float64) uint64 {
	bits := math.Float64bits(x)
	switch {
	case x == 0: // there are two zeros
		bits = 1 << 63
	case x < 0:
		bits = ^bits
	default:
		bits |= 1 << 63
	}
	return 1<<classBits | bits>>(64-classBits)
}

// textPrefix returns the first eight bytes that a collation compares, with zeros
// behind what is shorter.
func textPrefix(s string, c Collation) uint64 {
	if c == RTrim {
		s = trimSpaces(s)
	}
	var first [8]byte
	n := copy(first[:], s)
	if c == NoCase {
		for i := range n {
			first[i] = fold(first[i])
		}
	}
	return binary.BigEndian.Uint64(first[:])
}
