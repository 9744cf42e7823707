package record

import (
	"bytes"
	"fmt"
	"unsafe"

	"github.com/byokdb/byokdb/sql/value"
)

// ReadKeyUnsafe reads the columns that key begins with into the registers in
// slots, those of them that are not negative, and returns what follows. Text and
// blobs alias key where its bytes are those of the value. The columns come back
// as from [DecodeKey]; the error is ErrCorrupt.
func ReadKeyUnsafe(key []byte, cols []KeyColumn, slots []int, regs []value.Value) (rest []byte, err error) {
	for i := range cols {
		if slots[i] < 0 {
			if key, err = skipKeyColumn(key, cols[i].Desc); err != nil {
				return nil, err
			}
			continue
		}
		if v, rest, ok := aliasedKeyColumn(key, &cols[i]); ok {
			regs[slots[i]], key = v, rest
			continue
		}
		if regs[slots[i]], key, err = decodeKeyColumn(key, &cols[i]); err != nil {
			return nil, err
		}
	}
	return key, nil
}

// aliasedKeyColumn reads a text or blob that is in key as it is; ok is false
// for others.
func aliasedKeyColumn(key []byte, col *KeyColumn) (v value.Value, rest []byte, ok bool) {
	if col.Desc || len(key) == 0 || key[0] != tagText && key[0] != tagBlob {
		return value.Value{}, nil, false
	}
	body := key[1:]
	n := bytes.IndexByte(body, endByte)
	if n < 0 || n+1 >= len(body) || body[n+1] != endText {
		return value.Value{}, nil, false
	}
	s := ""
	if n > 0 {
		s = unsafe.String(&body[0], n)
	}
	if key[0] == tagBlob {
		return value.NewBlob(s), body[n+2:], true
	}
	return value.NewText(s), body[n+2:], true
}

// skipKeyColumn returns what follows the first column of key.
func skipKeyColumn(key []byte, desc bool) ([]byte, error) {
	mask := byte(0)
	if desc {
		mask = 0xff
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("%w: the key ends early", ErrCorrupt)
	}
	switch key[0] ^ mask {
	case tagNull:
		return key[1:], nil
	case tagText, tagBlob:
	default:
		_, rest, err := decodeKeyColumn(key, &KeyColumn{Desc: desc})
		return rest, err
	}
	for key = key[1:]; ; {
		i := bytes.IndexByte(key, endByte^mask)
		if i < 0 || i+1 >= len(key) {
			return nil, fmt.Errorf("%w: text without an end", ErrCorrupt)
		}
		next := key[i+1] ^ mask
		key = key[i+2:]
		switch next {
		case endText:
			return key, nil
		case escape:
		default:
			return nil, fmt.Errorf("%w: escape %#x", ErrCorrupt, next)
		}
	}
}

// AppendKeyEnds appends to dst where each of the columns that key begins with
// ends, in bytes from its start. The error is ErrCorrupt.
func AppendKeyEnds(dst []int, key []byte, cols []KeyColumn) ([]int, error) {
	rest := key
	for i := range cols {
		var err error
		if rest, err = skipKeyColumn(rest, cols[i].Desc); err != nil {
			return dst, err
		}
		dst = append(dst, len(key)-len(rest))
	}
	return dst, nil
}
