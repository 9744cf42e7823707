package record

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// KeyColumn says how one column of a key sorts.
type KeyColumn struct {
	Collation value.Collation
	Desc      bool
	Real      bool // the column has real affinity: integers decode as reals
}

// The tags that begin a column of a key. They are on disk, and so is their
// order. A column with Desc has all its bytes inverted, the tag too; no tag and
// no inverted tag is 0x00 or 0xff.
//
// A positive number of 1 or more is its integer part, in as few bytes as it
// needs, and its fraction; a negative number is the inverse of its magnitude.
const (
	tagNull     = 0x05
	tagZero     = 0x20
	tagFraction = 0x21 // below 1: IEEE 754, 8 bytes, big-endian
	tagInt      = 0x21 // 0x22 to 0x29: tagInt + n, an integer part of n bytes, big-endian,
	//                    and 0x00, or 0x01 and the fraction * 2^64, 8 bytes, big-endian
	tagLarge = 0x2a // 2^64 and above, infinity too: IEEE 754, 8 bytes, big-endian
	tagText  = 0x40
	tagBlob  = 0x50
)

// Text and blobs end in endByte endText; a zero byte in them is endByte escape.
const (
	endByte = 0x00
	endText = 0x01
	escape  = 0xff
)

// AppendKey appends the order-preserving form of a tuple to dst: bytes compare
// as the tuples do in SQL, column by column, and are equal exactly if the
// tuples are. The form of a tuple is never a prefix of that of another with as
// many columns; a tuple of fewer columns is a prefix of those that it begins.
//
// 1 and 1.0 are equal, and so are texts that a collation holds equal: what
// DecodeKey cannot tell back is in the residue (AppendResidue).
//
// len(row) must be at most len(cols).
func AppendKey(dst []byte, cols []KeyColumn, row []value.Value) []byte {
	for i := range row {
		start := len(dst)
		dst = appendKeyColumn(dst, row[i], cols[i].Collation)
		if cols[i].Desc {
			invert(dst[start:])
		}
	}
	return dst
}

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

func appendKeyColumn(dst []byte, v value.Value, c value.Collation) []byte {
	switch v.Kind() {
	case value.Int:
		i := v.Int()
		if i < 0 {
			start := len(dst)
			dst = appendIntPart(dst, -uint64(i), 0)
			invertNumber(dst[start:])
			return dst
		}
		return appendIntPart(dst, uint64(i), 0)
	case value.Float:
		return appendReal(dst, v.Float())
	case value.Text:
		s := v.Str()
		dst = append(dst, tagText)
		start := len(dst)
		if c != value.Binary {
			dst = value.AppendCollated(dst, s, c)
			if bytes.IndexByte(dst[start:], endByte) < 0 {
				return append(dst, endByte, endText)
			}
			s = string(dst[start:])
			dst = dst[:start]
		}
		return appendEscaped(dst, s)
	case value.Blob:
		return appendEscaped(append(dst, tagBlob), v.Str())
	default:
		return append(dst, tagNull)
	}
}

func appendEscaped(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, endByte)
		if i < 0 {
			break
		}
		dst = append(dst, s[:i]...)
		dst = append(dst, endByte, escape)
		s = s[i+1:]
	}
	dst = append(dst, s...)
	return append(dst, endByte, endText)
}

// appendIntPart appends a magnitude with integer part u and a fraction of
// fraction/2^64; u is 0 only with no fraction.
func appendIntPart(dst []byte, u, fraction uint64) []byte {
	if u == 0 {
		return append(dst, tagZero)
	}
	n := 1
	for u>>(8*uint(n)) != 0 && n < 8 {
		n++
	}
	dst = append(dst, byte(tagInt+n))
	for shift := 8 * (n - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(u>>uint(shift)))
	}
	if fraction == 0 {
		return append(dst, 0)
	}
	return binary.BigEndian.AppendUint64(append(dst, 1), fraction)
}

// invertNumber turns a positive number into its negative.
func invertNumber(b []byte) {
	b[0] = 2*tagZero - b[0]
	invert(b[1:])
}

func appendReal(dst []byte, r float64) []byte {
	start := len(dst)
	m := math.Abs(r)
	switch {
	case m == 0:
		return append(dst, tagZero)
	case m < 1:
		dst = binary.BigEndian.AppendUint64(append(dst, tagFraction), math.Float64bits(m))
	case m < 1<<64:
		whole := math.Trunc(m)
		dst = appendIntPart(dst, uint64(whole), uint64((m-whole)*(1<<64)))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, tagLarge), math.Float64bits(m))
	}
	if r < 0 {
		invertNumber(dst[start:])
	}
	return dst
}

// DecodeKey appends to dst the tuple of len(cols) columns that key begins with,
// copied, and returns what follows it.
//
// A real that is an integer comes back as an integer unless its column is Real,
// and text as its collation folds it, unless ApplyResidue puts that right. The
// error is ErrCorrupt.
func DecodeKey(dst []value.Value, cols []KeyColumn, key []byte) (row []value.Value, rest []byte, err error) {
	for i := range cols {
		var v value.Value
		v, key, err = decodeKeyColumn(key, &cols[i])
		if err != nil {
			return dst, nil, fmt.Errorf("key column %d: %w", i, err)
		}
		dst = append(dst, v)
	}
	return dst, key, nil
}

func decodeKeyColumn(key []byte, col *KeyColumn) (v value.Value, rest []byte, err error) {
	if len(key) == 0 {
		return value.Value{}, nil, fmt.Errorf("%w: the key ends early", ErrCorrupt)
	}
	mask := byte(0)
	if col.Desc {
		mask = 0xff
	}
	switch tag := key[0] ^ mask; {
	case tag == tagNull:
		return value.Value{}, key[1:], nil
	case tag == tagText || tag == tagBlob:
		s, rest, err := decodeEscaped(key[1:], mask)
		if err != nil {
			return value.Value{}, nil, err
		}
		if tag == tagBlob {
			return value.NewBlob(s), rest, nil
		}
		return value.NewText(s), rest, nil
	case tag >= 2*tagZero-tagLarge && tag <= tagLarge:
		v, rest, err = decodeNumber(key, mask)
		if err == nil && col.Real && v.Kind() == value.Int {
			v = value.NewFloat(float64(v.Int()))
		}
		return v, rest, err
	}
	return value.Value{}, nil, fmt.Errorf("%w: tag %#x", ErrCorrupt, key[0])
}

func decodeEscaped(key []byte, mask byte) (s string, rest []byte, err error) {
	var buf []byte
	for {
		i := bytes.IndexByte(key, endByte^mask)
		if i < 0 || i+1 >= len(key) {
			return "", nil, fmt.Errorf("%w: text without an end", ErrCorrupt)
		}
		start := len(buf)
		buf = append(buf, key[:i]...)
		if mask != 0 {
			invert(buf[start:])
		}
		next := key[i+1] ^ mask
		key = key[i+2:]
		switch next {
		case endText:
			return string(buf), key, nil
		case escape:
			buf = append(buf, endByte)
		default:
			return "", nil, fmt.Errorf("%w: escape %#x", ErrCorrupt, next)
		}
	}
}

// decodeNumber decodes a column whose tag is one of the numbers'.
func decodeNumber(key []byte, mask byte) (v value.Value, rest []byte, err error) {
	tag := key[0] ^ mask
	neg := tag < tagZero
	if neg {
		tag = 2*tagZero - tag
		mask = ^mask
	}
	if tag == tagZero {
		return value.NewInt(0), key[1:], nil
	}
	if tag == tagFraction || tag == tagLarge {
		u, rest, err := takeUint(key[1:], 8, mask)
		r := math.Float64frombits(u)
		if err != nil || math.IsNaN(r) || r <= 0 || (r < 1) != (tag == tagFraction) || r >= 1 && r < 1<<64 {
			return value.Value{}, nil, fmt.Errorf("%w: number", ErrCorrupt)
		}
		return signed(r, neg), rest, nil
	}
	n := int(tag - tagInt)
	u, rest, err := takeUint(key[1:], n, mask)
	if err != nil || u>>(8*uint(n-1)) == 0 || len(rest) == 0 {
		return value.Value{}, nil, fmt.Errorf("%w: number", ErrCorrupt)
	}
	marker := rest[0] ^ mask
	rest = rest[1:]
	switch {
	case marker == 1 && u < 1<<53:
		f, rest, err := takeUint(rest, 8, mask)
		r := float64(u) + float64(f)/(1<<64)
		whole := math.Trunc(r)
		if err != nil || f == 0 || uint64(whole) != u || uint64((r-whole)*(1<<64)) != f {
			return value.Value{}, nil, fmt.Errorf("%w: fraction", ErrCorrupt)
		}
		return signed(r, neg), rest, nil
	case marker != 0:
		return value.Value{}, nil, fmt.Errorf("%w: number", ErrCorrupt)
	case neg && u <= 1<<63:
		return value.NewInt(-int64(u)), rest, nil
	case !neg && u < 1<<63:
		return value.NewInt(int64(u)), rest, nil
	}
	r := float64(u)
	if r >= 1<<64 || uint64(r) != u {
		return value.Value{}, nil, fmt.Errorf("%w: number", ErrCorrupt)
	}
	return signed(r, neg), rest, nil
}

func signed(r float64, neg bool) value.Value {
	if neg {
		r = -r
	}
	return value.NewFloat(r)
}

// takeUint reads n bytes, big-endian, each XORed with mask.
func takeUint(b []byte, n int, mask byte) (u uint64, rest []byte, err error) {
	if len(b) < n {
		return 0, nil, ErrCorrupt
	}
	for _, c := range b[:n] {
		u = u<<8 | uint64(c^mask)
	}
	return u, b[n:], nil
}
