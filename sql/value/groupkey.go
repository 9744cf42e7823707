package value

import (
	"encoding/binary"
	"math"
)

// AppendGroupKey appends bytes that are equal for two values exactly if
// GROUP BY and DISTINCT hold them equal: 1 and 1.0 are, NULL and NULL too, and
// texts by the collation. Keys of several values may be appended one after the
// other. The bytes are for maps in memory, not for disk, and have no order.
func AppendGroupKey(dst []byte, v Value, c Collation) []byte {
	switch v.kind {
	case Int:
		return binary.LittleEndian.AppendUint64(append(dst, 'i'), v.n)
	case Float:
		r := v.Float()
		if r >= math.MinInt64 && r < -math.MinInt64 && r == math.Trunc(r) {
			return binary.LittleEndian.AppendUint64(append(dst, 'i'), uint64(int64(r)))
		}
		return binary.LittleEndian.AppendUint64(append(dst, 'r'), v.n)
	case Text:
		at := len(dst)
		dst = append(dst, 't', 0, 0, 0, 0, 0, 0, 0, 0)
		dst = AppendCollated(dst, v.s, c)
		binary.LittleEndian.PutUint64(dst[at+1:], uint64(len(dst)-at-9))
		return dst
	case Blob:
		dst = binary.LittleEndian.AppendUint64(append(dst, 'b'), uint64(len(v.s)))
		return append(dst, v.s...)
	default:
		return append(dst, 'n')
	}
}
