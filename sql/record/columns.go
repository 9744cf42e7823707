package record

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/byokdb/byokdb/sql/value"
)

// ReadUnsafe reads some columns of a record, ascending by number, into the
// registers of the same positions in slots, as [Row.UnsafeColumn] does: text and
// blobs alias b. It reads no further than the last of them, allocates nothing,
// and returns how many of cols the record has; the registers of the others stay
// as they are. The errors are those of Parse.
func ReadUnsafe(b []byte, cols, slots []int, regs []value.Value) (int, error) {
	r, err := Parse(b)
	if err != nil {
		return 0, err
	}
	it := iterator(r)
	at := 0
	for i, col := range cols {
		for ; at < col; at++ {
			if len(it.types) == 0 {
				return i, it.done()
			}
			if err := it.pass(); err != nil {
				return 0, err
			}
		}
		if len(it.types) == 0 {
			return i, it.done()
		}
		if err := it.read(&regs[slots[i]]); err != nil {
			return 0, err
		}
		at++
	}
	if len(it.types) == 0 {
		return len(cols), it.done()
	}
	return len(cols), nil
}

// done reports bytes that are left over after the last column.
func (it *iterator) done() error {
	if len(it.bodies) > 0 {
		return fmt.Errorf("%w: %d bytes after the last column", ErrCorrupt, len(it.bodies))
	}
	return nil
}

// pass is skip, quick for the types of one byte.
func (it *iterator) pass() error {
	typ := it.types[0]
	if typ >= 0x80 {
		return it.skip()
	}
	size := int(typ-typeBlob) / 2
	if typ < typeBlob {
		size = int(bodySize[typ])
	}
	if size > len(it.bodies) {
		return it.skip() // which says what is wrong
	}
	it.types, it.bodies = it.types[1:], it.bodies[size:]
	return nil
}

// read is next, quick for numbers.
func (it *iterator) read(dst *value.Value) error {
	typ := it.types[0]
	if typ >= typeBlob || int(bodySize[typ]) > len(it.bodies) {
		v, err := it.next()
		*dst = v
		return err
	}
	body := it.bodies[:bodySize[typ]]
	it.types, it.bodies = it.types[1:], it.bodies[bodySize[typ]:]
	switch {
	case typ == typeNull:
		*dst = value.Value{}
	case typ <= typeInt64:
		*dst = value.NewInt(readInt(body))
	case typ == typeReal:
		r := math.Float64frombits(binary.BigEndian.Uint64(body))
		if math.IsNaN(r) {
			return fmt.Errorf("%w: a real that is not a number", ErrCorrupt)
		}
		*dst = value.NewFloat(r)
	case typ <= typeOne:
		*dst = value.NewInt(int64(typ - typeZero))
	case typ <= typeReal48:
		*dst = value.NewFloat(float64(readInt(body)))
	default:
		return fmt.Errorf("%w: serial type %d", ErrCorrupt, typ)
	}
	return nil
}
