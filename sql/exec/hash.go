package exec

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// appendKey appends bytes that are the same for two values exactly when they
// compare equal under the collation; NULL equals NULL.
func appendKey(dst []byte, v value.Value, coll value.Collation) []byte {
	switch v.Kind() {
	case value.Null:
		return append(dst, 0)
	case value.Int:
		return binary.BigEndian.AppendUint64(append(dst, 1), uint64(v.Int()))
	case value.Float:
		x := v.Float()
		if x == math.Trunc(x) && x >= -(1<<63) && x < 1<<63 {
			return binary.BigEndian.AppendUint64(append(dst, 1), uint64(int64(x)))
		}
		return binary.BigEndian.AppendUint64(append(dst, 2), math.Float64bits(x))
	case value.Text:
		s := v.Str()
		switch coll {
		case value.NoCase:
			s = asciiLower(s)
		case value.RTrim:
			s = strings.TrimRight(s, " ")
		default:
		}
		return append(binary.AppendUvarint(append(dst, 3), uint64(len(s))), s...)
	default:
		s := v.Str()
		return append(binary.AppendUvarint(append(dst, 4), uint64(len(s))), s...)
	}
}

func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func rowKey(dst []byte, regs []value.Value, slots []int, colls []value.Collation) []byte {
	for i, s := range slots {
		dst = appendKey(dst, regs[s], colls[i])
	}
	return dst
}
