// Package record is how rows, index keys and row ids of SQL tables are laid out
// in the values and keys of engine collections.
package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/byokdb/byokdb/sql/value"
)

// ErrCorrupt means that bytes are no record or key of this package. Since
// pages are authenticated, it is a fault of whoever wrote them; retrying does
// not help.
var ErrCorrupt = errors.New("sql record is corrupt")

// ErrTooNew means that a record has a version that this program does not know.
var ErrTooNew = errors.New("sql record was written by a newer version of byokdb")

// version is the first byte of a record.
const version = 1

// The serial types of a record: what a column is and the size of its body.
// They are on disk. From typeBlob on, even types are blobs of (t-16)/2 bytes and
// odd ones texts of (t-17)/2 bytes.
const (
	typeNull   = 0
	typeInt8   = 1 // 1 to 6: integers of 1, 2, 3, 4, 6 and 8 bytes, big-endian
	typeInt64  = 6
	typeReal   = 7  // IEEE 754, 8 bytes, big-endian; no NaN
	typeZero   = 8  // the integer 0, no body
	typeOne    = 9  // the integer 1, no body
	typeReal8  = 10 // 10 to 14: a real that is an integer of 1, 2, 3, 4, 6 bytes
	typeReal48 = 14
	typeNone   = 15 // not in use
	typeBlob   = 16
	typeText   = 17
)

// bodySize is the size of the body in bytes by serial type below typeBlob.
var bodySize = [typeBlob]uint8{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 1, 2, 3, 4, 6, 0}

// Encode appends the record of a row to dst and returns the extended slice.
//
//	record: version (1 B) ‖ header size (uvarint) ‖ header ‖ bodies
//	header: one serial type (uvarint) per column
//
// Every value is kept exactly, the kind and the sign of zero included.
func Encode(dst []byte, row []value.Value) []byte {
	header := 0
	for i := range row {
		header += uvarintLen(serialType(&row[i]))
	}
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(header))
	for i := range row {
		dst = binary.AppendUvarint(dst, serialType(&row[i]))
	}
	for i := range row {
		dst = appendBody(dst, &row[i])
	}
	return dst
}

// serialType returns the serial type of v.
func serialType(v *value.Value) uint64 {
	switch v.Kind() {
	case value.Int:
		i := v.Int()
		if i == 0 || i == 1 {
			return typeZero + uint64(i)
		}
		return intType(i)
	case value.Float:
		if i, ok := compactReal(v.Float()); ok {
			return intType(i) + typeReal8 - typeInt8
		}
		return typeReal
	case value.Text:
		return typeText + 2*uint64(len(v.Str()))
	case value.Blob:
		return typeBlob + 2*uint64(len(v.Str()))
	default:
		return typeNull
	}
}

// intType returns the smallest of the integer types that holds i.
func intType(i int64) uint64 {
	u := uint64(i ^ i>>63)
	switch {
	case u < 1<<7:
		return 1
	case u < 1<<15:
		return 2
	case u < 1<<23:
		return 3
	case u < 1<<31:
		return 4
	case u < 1<<47:
		return 5
	}
	return typeInt64
}

// compactReal returns r as an integer of at most 6 bytes if it is one.
func compactReal(r float64) (i int64, ok bool) {
	if r < -1<<47 || r >= 1<<47 {
		return 0, false
	}
	i = int64(r)
	return i, math.Float64bits(float64(i)) == math.Float64bits(r) // -0.0 is not 0
}

func appendBody(dst []byte, v *value.Value) []byte {
	switch v.Kind() {
	case value.Int:
		if i := v.Int(); i != 0 && i != 1 {
			return appendInt(dst, i, int(bodySize[intType(i)]))
		}
		return dst
	case value.Float:
		if i, ok := compactReal(v.Float()); ok {
			return appendInt(dst, i, int(bodySize[intType(i)]))
		}
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v.Float()))
	default:
		return append(dst, v.Str()...)
	}
}

// appendInt appends the low size bytes of i.
func appendInt(dst []byte, i int64, size int) []byte {
	for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(i>>uint(shift)))
	}
	return dst
}

func uvarintLen(u uint64) int {
	n := 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// Row is a record whose columns are read one by one. It aliases the bytes it
// was parsed from. The zero Row has no columns.
type Row struct {
	types  []byte // the header
	bodies []byte
}

// Parse returns a view of a record without reading its columns. The errors are
// ErrCorrupt and ErrTooNew.
func Parse(b []byte) (Row, error) {
	if len(b) < 2 {
		return Row{}, fmt.Errorf("%w: %d bytes are too few", ErrCorrupt, len(b))
	}
	if b[0] != version {
		if b[0] > version {
			return Row{}, ErrTooNew
		}
		return Row{}, fmt.Errorf("%w: version %d", ErrCorrupt, b[0])
	}
	size, n := uint64(b[1]), 1
	if size >= 0x80 {
		size, n = binary.Uvarint(b[1:])
		if n <= 0 {
			return Row{}, fmt.Errorf("%w: header size", ErrCorrupt)
		}
	}
	rest := b[1+n:]
	if size > uint64(len(rest)) || size > 0 && rest[size-1] >= 0x80 {
		return Row{}, fmt.Errorf("%w: header of %d bytes", ErrCorrupt, size)
	}
	return Row{types: rest[:size:size], bodies: rest[size:]}, nil
}

// Columns returns the number of columns. A row that was written before a column
// was added to its table has fewer than the table.
func (r Row) Columns() int {
	n := 0
	for _, c := range r.types {
		if c < 0x80 {
			n++
		}
	}
	return n
}

// Column returns column k, from 0, with text and blobs copied. k must be less
// than Columns; the error is ErrCorrupt.
func (r Row) Column(k int) (value.Value, error) {
	v, err := r.UnsafeColumn(k)
	return Own(v), err
}

// UnsafeColumn returns column k as Column does, but text and blobs alias the
// bytes that the row was parsed from: the value must not be used after those
// change or are wiped.
func (r Row) UnsafeColumn(k int) (value.Value, error) {
	it := iterator(r)
	for ; k > 0; k-- {
		if err := it.skip(); err != nil {
			return value.Value{}, err
		}
	}
	return it.next()
}

// AppendUnsafe appends all columns to dst, as UnsafeColumn returns them. Bytes
// left over after the last column are ErrCorrupt.
func (r Row) AppendUnsafe(dst []value.Value) ([]value.Value, error) {
	it := iterator(r)
	for len(it.types) > 0 {
		v, err := it.next()
		if err != nil {
			return dst, err
		}
		dst = append(dst, v)
	}
	return dst, it.done()
}

// Decode returns all columns of a record, copied. The errors are those of Parse.
func Decode(b []byte) ([]value.Value, error) {
	r, err := Parse(b)
	if err != nil {
		return nil, err
	}
	row, err := r.AppendUnsafe(make([]value.Value, 0, r.Columns()))
	if err != nil {
		return nil, err
	}
	for i := range row {
		row[i] = Own(row[i])
	}
	return row, nil
}

// Own returns v with text and blobs copied, so that it aliases nothing.
func Own(v value.Value) value.Value {
	switch v.Kind() {
	case value.Text:
		return value.NewText(string([]byte(v.Str())))
	case value.Blob:
		return value.NewBlob(string([]byte(v.Str())))
	default:
		return v
	}
}

// iterator reads the columns of a record in order.
type iterator struct{ types, bodies []byte }

// take returns the next serial type and its body.
func (it *iterator) take() (typ uint64, body []byte, err error) {
	if len(it.types) == 0 {
		return 0, nil, fmt.Errorf("%w: no such column", ErrCorrupt)
	}
	typ = uint64(it.types[0])
	n := 1
	if typ >= 0x80 {
		typ, n = binary.Uvarint(it.types)
		if n <= 0 {
			return 0, nil, fmt.Errorf("%w: serial type", ErrCorrupt)
		}
	}
	it.types = it.types[n:]
	size := (typ - typeBlob) / 2
	if typ < typeBlob {
		size = uint64(bodySize[typ])
	}
	if size > uint64(len(it.bodies)) {
		return 0, nil, fmt.Errorf("%w: a column of %d bytes where %d are left", ErrCorrupt, size, len(it.bodies))
	}
	body, it.bodies = it.bodies[:size], it.bodies[size:]
	return typ, body, nil
}

func (it *iterator) skip() error {
	_, _, err := it.take()
	return err
}

// next returns the next column, aliasing the record.
func (it *iterator) next() (value.Value, error) {
	typ, body, err := it.take()
	if err != nil {
		return value.Value{}, err
	}
	switch {
	case typ >= typeBlob && typ%2 == 0:
		return value.NewBlob(alias(body)), nil
	case typ >= typeBlob:
		return value.NewText(alias(body)), nil
	case typ == typeNull:
		return value.Value{}, nil
	case typ <= typeInt64:
		return value.NewInt(readInt(body)), nil
	case typ == typeReal:
		r := math.Float64frombits(binary.BigEndian.Uint64(body))
		if math.IsNaN(r) {
			return value.Value{}, fmt.Errorf("%w: a real that is not a number", ErrCorrupt)
		}
		return value.NewFloat(r), nil
	case typ <= typeOne:
		return value.NewInt(int64(typ - typeZero)), nil
	case typ <= typeReal48:
		return value.NewFloat(float64(readInt(body))), nil
	}
	return value.Value{}, fmt.Errorf("%w: serial type %d", ErrCorrupt, typ)
}

// done reports bytes that are left over after the last column.
func (it *iterator) done() error {
	if len(it.bodies) > 0 {
		return fmt.Errorf("%w: %d bytes after the last column", ErrCorrupt, len(it.bodies))
	}
	return nil
}

// readInt returns the big-endian two's complement integer of 1 to 8 bytes.
func readInt(b []byte) int64 {
	i := int64(int8(b[0]))
	for _, c := range b[1:] {
		i = i<<8 | int64(c)
	}
	return i
}

// alias returns b as a string without copying.
func alias(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}
