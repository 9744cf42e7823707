package record

import (
	"encoding/binary"
	"fmt"
)

// rowIDSize is the size of a row id in a key, in bytes.
const rowIDSize = 8

// AppendRowID appends a row id so that bytes sort as row ids do: big-endian
// with the sign flipped.
func AppendRowID(dst []byte, id int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(id)^1<<63)
}

// RowID returns the row id that b is. The error is ErrCorrupt.
func RowID(b []byte) (int64, error) {
	if len(b) != rowIDSize {
		return 0, fmt.Errorf("%w: a row id of %d bytes", ErrCorrupt, len(b))
	}
	return int64(binary.BigEndian.Uint64(b) ^ 1<<63), nil
}

// PrefixEnd appends to dst the least bytes that sort after all that begin with
// prefix; ok is false if there are none, since prefix is all 0xff. The keys
// that begin with prefix are those from prefix up to, not including, its end.
func PrefixEnd(dst, prefix []byte) (end []byte, ok bool) {
	n := len(prefix)
	for n > 0 && prefix[n-1] == 0xff {
		n--
	}
	if n == 0 {
		return dst, false
	}
	dst = append(dst, prefix[:n]...)
	dst[len(dst)-1]++
	return dst, true
}

// AppendNotNull appends the bound between NULL and all other values of a
// column: after a key of the columns before it, it is the lower bound, included,
// of what is not NULL in ascending order, and the upper one, not included, in
// descending order.
func AppendNotNull(dst []byte, col KeyColumn) []byte {
	if col.Desc {
		return append(dst, ^byte(tagNull))
	}
	return append(dst, tagNull+1)
}
