package record

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/byokdb/byokdb/sql/value"
)

// Cell is where a column lies in a record, and what it is. It holds no bytes of
// the record: those come with every call, and must be the ones that it was
// located in. The zero Cell is one that its record does not have.
type Cell struct {
	typ uint64 // serial type + 1
	off int    // of the body, in the record
}

// Locate finds some columns of a record, ascending by number, and returns how
// many of them the record has; the cells of the others become zero. It reads no
// further than the last of them, and allocates nothing. cells has at least as many
// elements as cols. The errors are those of Parse.
func Locate(b []byte, cols []int, cells []Cell) (int, error) {
	var types []byte
	off := 0
	if len(b) >= 2 && b[0] == version && int(b[1])+2 <= len(b) && b[1]-1 < 0x7f && b[b[1]+1] < 0x80 { // the usual case
		off = int(b[1]) + 2
		types = b[2:off]
	} else {
		r, err := Parse(b)
		if err != nil {
			return 0, err
		}
		types, off = r.types, len(b)-len(r.bodies)
	}
	cells = cells[:len(cols)]
	at := 0
	for i, col := range cols {
		typ, start := uint64(0), 0
		for ; at <= col; at++ {
			if len(types) == 0 {
				clear(cells[i:])
				return i, leftOver(b, off)
			}
			typ, start = uint64(types[0]), off
			if typ < 0x80 {
				off += int(shortSize[typ])
				types = types[1:]
				continue
			}
			var size, n int
			if typ, size, n = longType(types, len(b)); n == 0 {
				return 0, fmt.Errorf("%w: serial type", ErrCorrupt)
			}
			off += size
			types = types[n:]
		}
		if typ == typeNone {
			return 0, fmt.Errorf("%w: serial type %d", ErrCorrupt, typ)
		}
		cells[i] = Cell{typ: typ + 1, off: start}
	}
	if len(types) == 0 || off > len(b) {
		return len(cols), leftOver(b, off)
	}
	return len(cols), nil
}

// leftOver reports bodies of columns that do not end where the record does.
func leftOver(b []byte, off int) error {
	switch {
	case off > len(b):
		return fmt.Errorf("%w: a column ends %d bytes behind the end", ErrCorrupt, off-len(b))
	case off < len(b):
		return fmt.Errorf("%w: %d bytes after the last column", ErrCorrupt, len(b)-off)
	}
	return nil
}

// shortSize is the size of the body in bytes by serial type below 0x80.
var shortSize = func() (sizes [256]uint8) {
	copy(sizes[:], bodySize[:])
	for typ := typeBlob; typ < 0x80; typ++ {
		sizes[typ] = uint8(typ-typeBlob) / 2
	}
	return sizes
}()

// longType reads a serial type of n > 1 bytes and the size of its body. n is 0
// if that is none, or too large for a record of this many bytes.
func longType(types []byte, record int) (typ uint64, size, n int) {
	if len(types) > 1 && types[1] < 0x80 {
		typ, n = uint64(types[0]&0x7f)|uint64(types[1])<<7, 2
	} else if typ, n = binary.Uvarint(types); n <= 0 {
		return 0, 0, 0
	}
	s := (typ - typeBlob) / 2
	if typ < typeBlob { // in more bytes than it needs
		s = uint64(bodySize[typ])
	}
	if s > uint64(record) {
		return typ, 0, 0
	}
	return typ, int(s), n
}

// Missing reports whether the record has no such column.
func (c Cell) Missing() bool { return c.typ == 0 }

// shortKinds are the storage classes by serial type below typeBlob.
var shortKinds = [typeBlob]value.Kind{
	value.Null, value.Int, value.Int, value.Int, value.Int, value.Int, value.Int, value.Float,
	value.Int, value.Int, value.Float, value.Float, value.Float, value.Float, value.Float, value.Null,
}

// Kind returns the storage class of a cell that is not missing.
func (c Cell) Kind() value.Kind {
	typ := c.typ - 1
	if typ < typeBlob {
		return shortKinds[typ]
	}
	return value.Blob - value.Kind(typ&1)
}

// Int returns the integer of an Int.
func (c Cell) Int(b []byte) int64 {
	typ := c.typ - 1
	if typ >= typeZero {
		return int64(typ - typeZero)
	}
	size := int(bodySize[typ])
	if rest := b[c.off:]; len(rest) >= 8 {
		return int64(binary.BigEndian.Uint64(rest)) >> (uint(64-8*size) & 63)
	}
	body := b[:c.off+size]
	if len(body) < 8 {
		return readInt(body[c.off:])
	}
	unused := uint(64-8*size) & 63
	return int64(binary.BigEndian.Uint64(body[len(body)-8:])<<unused) >> unused
}

// Float returns the real of a Float. The error is ErrCorrupt.
func (c Cell) Float(b []byte) (float64, error) {
	if c.typ != typeReal+1 {
		c.typ -= typeReal8 - typeInt8
		return float64(c.Int(b)), nil
	}
	r := math.Float64frombits(binary.BigEndian.Uint64(b[c.off:]))
	if r != r {
		return 0, errNaN
	}
	return r, nil
}

var errNaN = fmt.Errorf("%w: a real that is not a number", ErrCorrupt)

// UnsafeStr returns the bytes of a Text or Blob, aliasing b.
func (c Cell) UnsafeStr(b []byte) string {
	return alias(b[c.off : c.off+int((c.typ-1-typeBlob)/2)])
}

// LoadUnsafe reads a cell that is not missing into dst; text and blobs alias b.
// The error is ErrCorrupt.
func (c Cell) LoadUnsafe(b []byte, dst *value.Value) error {
	switch c.Kind() {
	case value.Null:
		*dst = value.Value{}
	case value.Int:
		*dst = value.NewInt(c.Int(b))
	case value.Float:
		r, err := c.Float(b)
		if err != nil {
			return err
		}
		*dst = value.NewFloat(r)
	case value.Text:
		*dst = value.NewText(c.UnsafeStr(b))
	default:
		*dst = value.NewBlob(c.UnsafeStr(b))
	}
	return nil
}
