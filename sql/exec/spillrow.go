package exec

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/value"
)

// The tags of values in temporary files, which nobody else reads: every value
// comes back as it was, with the subtype of JSON, which records forget.
const (
	spillNull byte = iota
	spillInt
	spillFloat
	spillText
	spillJSON
	spillBlob
	spillJSONB
)

// appendSpilled appends the form of a row in a temporary file.
func appendSpilled(dst []byte, row []value.Value) []byte {
	for _, v := range row {
		switch v.Kind() {
		case value.Null:
			dst = append(dst, spillNull)
		case value.Int:
			dst = binary.AppendVarint(append(dst, spillInt), v.Int())
		case value.Float:
			dst = binary.BigEndian.AppendUint64(append(dst, spillFloat), math.Float64bits(v.Float()))
		default:
			tag := spillBlob
			switch {
			case v.IsJSON():
				tag = spillJSON
			case v.IsJSONB():
				tag = spillJSONB
			case v.Kind() == value.Text:
				tag = spillText
			}
			dst = binary.AppendUvarint(append(dst, tag), uint64(len(v.Str())))
			dst = append(dst, v.Str()...)
		}
	}
	return dst
}

// readSpilled reads len(row) values from the beginning of b and returns what
// follows. Text and blobs are copies.
func readSpilled(row []value.Value, b []byte) ([]byte, error) {
	for i := range row {
		if len(b) == 0 {
			return nil, errSpilled
		}
		tag := b[0]
		b = b[1:]
		switch tag {
		case spillNull:
			row[i] = value.Value{}
		case spillInt:
			x, n := binary.Varint(b)
			if n <= 0 {
				return nil, errSpilled
			}
			row[i], b = value.NewInt(x), b[n:]
		case spillFloat:
			if len(b) < 8 {
				return nil, errSpilled
			}
			row[i], b = value.NewFloat(math.Float64frombits(binary.BigEndian.Uint64(b))), b[8:]
		case spillText, spillJSON, spillBlob, spillJSONB:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return nil, errSpilled
			}
			s := string(b[n : n+int(size)])
			b = b[n+int(size):]
			switch tag {
			case spillText:
				row[i] = value.NewText(s)
			case spillJSON:
				row[i] = value.NewJSON(s)
			case spillJSONB:
				row[i] = value.NewJSONB(s)
			default:
				row[i] = value.NewBlob(s)
			}
		default:
			return nil, errSpilled
		}
	}
	return b, nil
}

// firstSpilled returns the bytes of the first value of a row, a text or blob.
func firstSpilled(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0] < spillText {
		return nil, errSpilled
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || size > uint64(len(b)-1-n) {
		return nil, errSpilled
	}
	return b[1+n : 1+n+int(size)], nil
}

// errSpilled cannot be but for a fault of ours or of memory: blocks that
// authenticate are those that were written.
var errSpilled = fmt.Errorf("%w: a temporary file holds something else than was written", engine.ErrCorrupt)
