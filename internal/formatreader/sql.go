package formatreader

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// Object is one entry of the SQL schema, FORMAT.md §6.
type Object struct {
	ID, Root               uint64
	Type, Name, Table, SQL string
}

// Rows returns the collection of a root: the rows of a table, the entries of an index.
func (d *Database) Rows(o Object) ([]Record, error) {
	name := fmt.Sprintf("sql/%s/%08d", o.Type[:1], o.Root)
	for _, c := range d.Collections {
		if c.Name == name {
			return c.Records, nil
		}
	}
	return nil, damaged("%s has no collection", o.Name)
}

// Schema returns the objects of the SQL schema by id; none where SQL was never used.
func (d *Database) Schema() ([]Object, error) {
	var objects []Object
	for _, c := range d.Collections {
		if c.Name != "sql/schema" {
			continue
		}
		for _, r := range c.Records {
			if len(r.Key) == 9 && r.Key[0] == 'o' {
				o, err := DecodeObject(r.Value)
				if err != nil {
					return nil, err
				}
				o.ID = binary.BigEndian.Uint64(r.Key[1:])
				objects = append(objects, o)
			}
		}
	}
	return objects, nil
}

// DecodeObject reads one object; its id is its key's.
func DecodeObject(b []byte) (Object, error) {
	in := input{b: b}
	if v := in.u8(); v > 1 {
		return Object{}, tooNew("schema object of layout %d", v)
	}
	o := Object{Root: in.uvarint()}
	for _, field := range []*string{&o.Type, &o.Name, &o.Table, &o.SQL} {
		n := in.uvarint()
		if n > uint64(len(in.b)) {
			return Object{}, damaged("schema object")
		}
		*field = string(in.take(int(n)))
	}
	switch o.Type {
	case "table", "index", "view", "trigger":
	default:
		return Object{}, damaged("type of a schema object")
	}
	return o, in.done("schema object")
}

// DecodeRowid reads the key of a table whose rows have a rowid.
func DecodeRowid(key []byte) (int64, error) {
	if len(key) != 8 {
		return 0, damaged("a rowid of %d bytes", len(key))
	}
	return int64(binary.BigEndian.Uint64(key) ^ 1<<63), nil
}

// DecodeRecord reads a record: nil, int64, float64, string and []byte for the five storage classes.
func DecodeRecord(b []byte) ([]any, error) {
	in := input{b: b}
	if v := in.u8(); v > 1 {
		return nil, tooNew("record version %d", v)
	} else if v == 0 {
		return nil, damaged("record version")
	}
	n := in.uvarint()
	if n > uint64(len(in.b)) {
		return nil, damaged("header of a record")
	}
	var row []any
	for header := (input{b: in.take(int(n))}); len(header.b) > 0; {
		serial := header.uvarint()
		if header.short {
			return nil, damaged("header of a record")
		}
		v, err := decodeColumn(&in, serial)
		if err != nil {
			return nil, err
		}
		row = append(row, v)
	}
	return row, in.done("record")
}

func decodeColumn(in *input, serial uint64) (any, error) {
	sizes := []int{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 1, 2, 3, 4, 6}
	switch {
	case serial >= 16:
		n := (serial - 16) / 2
		if n > uint64(len(in.b)) {
			return nil, damaged("size of a column")
		}
		body := in.take(int(n))
		if serial%2 == 1 {
			return string(body), nil
		}
		return body, nil
	case serial == 15:
		return nil, damaged("serial type 15")
	case serial == 0:
		return nil, nil
	case serial == 8 || serial == 9:
		return int64(serial - 8), nil
	case serial == 7:
		f := math.Float64frombits(in.u64())
		if math.IsNaN(f) {
			return nil, damaged("a real that is not a number")
		}
		return f, nil
	}
	body := in.take(sizes[serial]) //nolint:gosec // 15 and above were handled
	v := int64(0)
	for i, c := range body {
		if i == 0 {
			v = int64(int8(c))
			continue
		}
		v = v<<8 | int64(c)
	}
	if serial >= 10 {
		return float64(v), nil
	}
	return v, nil
}

// DecodeKey reads n columns of a key form and returns what follows them.
// descending says which columns are inverted; nil for none. Numbers come as
// int64 or uint64 where they have no fraction, else as float64.
func DecodeKey(b []byte, n int, descending []bool) (columns []any, rest []byte, err error) {
	for i := range n {
		work := bytes.Clone(b)
		if i < len(descending) && descending[i] {
			invert(work)
		}
		in := input{b: work}
		v, err := decodeKeyColumn(&in)
		if err != nil {
			return nil, nil, err
		}
		columns, b = append(columns, v), b[len(b)-len(in.b):]
	}
	return columns, b, nil
}

func decodeKeyColumn(in *input) (any, error) {
	tag := in.u8()
	switch {
	case in.short:
		return nil, damaged("key form is cut short")
	case tag == 0x05:
		return nil, nil
	case tag == 0x40 || tag == 0x50:
		return decodeKeyBytes(in, tag == 0x40)
	case tag >= 0x20 && tag <= 0x2a:
		return decodeKeyNumber(in, tag)
	case tag >= 0x16 && tag <= 0x1f: // 0x40 less the tag of the magnitude
		invert(in.b)
		v, err := decodeKeyNumber(in, 0x40-tag)
		invert(in.b)
		switch m := v.(type) {
		case uint64:
			if m == 1<<63 {
				return int64(math.MinInt64), err
			}
			return -float64(m), err
		case int64:
			return -m, err
		case float64:
			return -m, err
		}
		return nil, err
	}
	return nil, damaged("tag %#x of a key form", tag)
}

func decodeKeyNumber(in *input, tag byte) (any, error) {
	if tag == 0x20 {
		return int64(0), nil
	}
	if tag == 0x21 || tag == 0x2a {
		f := math.Float64frombits(in.u64())
		if in.short || math.IsNaN(f) {
			return nil, damaged("number in a key form")
		}
		return f, nil
	}
	whole := uint64(0)
	for _, c := range in.take(int(tag - 0x21)) {
		whole = whole<<8 | uint64(c)
	}
	more := in.u8()
	if in.short || more > 1 {
		return nil, damaged("number in a key form")
	}
	if more == 1 {
		return float64(whole) + math.Ldexp(float64(in.u64()), -64), in.shortErr()
	}
	if whole > math.MaxInt64 {
		return whole, nil
	}
	return int64(whole), nil
}

func decodeKeyBytes(in *input, text bool) (any, error) {
	var out []byte
	for {
		c := in.u8()
		if c == 0 {
			switch in.u8() {
			case 1:
				if text {
					return string(out), in.shortErr()
				}
				return append([]byte{}, out...), in.shortErr()
			case 0xff:
			default:
				return nil, damaged("text or blob in a key form")
			}
		}
		if in.short {
			return nil, damaged("key form is cut short")
		}
		out = append(out, c)
	}
}

func (in *input) shortErr() error {
	if in.short {
		return damaged("key form is cut short")
	}
	return nil
}

func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// Fold folds a text as a collation does: BINARY, NOCASE or RTRIM.
func Fold(s, collation string) string {
	switch collation {
	case "NOCASE":
		b := []byte(s)
		for i, c := range b {
			if c >= 'A' && c <= 'Z' {
				b[i] = c + 'a' - 'A'
			}
		}
		return string(b)
	case "RTRIM":
		return strings.TrimRight(s, " ")
	}
	return s
}
