package catalog

import (
	"encoding/binary"
	"fmt"
	"math"
)

// An encoder appends fields in the one way that this package has: integers
// big-endian, byte strings behind their size (4 B).
type encoder struct{ b []byte }

func (e *encoder) u8(v uint8)   { e.b = append(e.b, v) }
func (e *encoder) u16(v uint16) { e.b = binary.BigEndian.AppendUint16(e.b, v) }
func (e *encoder) u32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64) { e.b = binary.BigEndian.AppendUint64(e.b, v) }
func (e *encoder) raw(v []byte) { e.b = append(e.b, v...) }

func (e *encoder) bytes(v []byte) {
	e.u32(uint32(len(v)))
	e.raw(v)
}

// A decoder reads the same fields. After the first fault it yields zeros, and
// done returns the fault.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) u8() uint8 {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// i64 reads a size or time that must not be negative.
func (d *decoder) i64() int64 {
	v := d.u64()
	if v > math.MaxInt64 {
		d.bad = true
		return 0
	}
	return int64(v)
}

func (d *decoder) raw(dst []byte) { copy(dst, d.take(uint64(len(dst)))) }

// bytes returns a copy.
func (d *decoder) bytes() []byte {
	return append([]byte(nil), d.take(uint64(d.u32()))...)
}

// count reads a number of things of at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.u32()
	if d.bad || uint64(n)*uint64(size) > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) done(what string) error {
	if d.bad || len(d.b) != 0 {
		return fmt.Errorf("%s does not parse: %w", what, ErrCorrupt)
	}
	return nil
}
