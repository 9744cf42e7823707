package record

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/byokdb/byokdb/sql/value"
)

// A residue is what the key form of a tuple does not hold: the kind of a real
// that is an integer, the sign of zero, and text as it was before its collation
// folded it. It is kept in the value of an index entry, so that an index alone
// can answer a query.
//
//	residue: empty, or columns (uvarint, a set of bits) ‖ record of those columns

// residueColumns is how many columns a residue can speak of.
const residueColumns = 63

// AppendResidue appends the residue of a tuple: nothing if DecodeKey gives the
// tuple back exactly. At most 63 columns are looked at; a key of more must not
// be used in place of its row.
func AppendResidue(dst []byte, cols []KeyColumn, row []value.Value) []byte {
	var set uint64
	var lost []value.Value
	for i := range row[:min(len(row), residueColumns)] {
		if !exact(row[i], &cols[i]) {
			set |= 1 << uint(i)
			lost = append(lost, row[i])
		}
	}
	if set == 0 {
		return dst
	}
	return Encode(binary.AppendUvarint(dst, set), lost)
}

// exact reports whether DecodeKey gives v back.
func exact(v value.Value, col *KeyColumn) bool {
	switch v.Kind() {
	case value.Int:
		return !col.Real
	case value.Float:
		r := v.Float()
		if r == 0 && math.Signbit(r) {
			return false
		}
		return col.Real || r != math.Trunc(r) || r < math.MinInt64 || r >= -math.MinInt64
	case value.Text:
		return col.Collation == value.Binary || isCollated(v.Str(), col.Collation)
	default:
		return true
	}
}

// isCollated reports whether folding s changes nothing.
func isCollated(s string, c value.Collation) bool {
	if c == value.RTrim {
		return s == "" || s[len(s)-1] != ' '
	}
	for i := range len(s) {
		if s[i]-'A' < 26 {
			return false
		}
	}
	return true
}

// ApplyResidue puts right, in place, the tuple that DecodeKey returned. The
// errors are ErrCorrupt and ErrTooNew.
func ApplyResidue(row []value.Value, residue []byte) error {
	if len(residue) == 0 {
		return nil
	}
	set, n := binary.Uvarint(residue)
	if n <= 0 {
		return fmt.Errorf("%w: residue", ErrCorrupt)
	}
	lost, err := Decode(residue[n:])
	if err != nil {
		return err
	}
	for i := 0; set != 0; i, set = i+1, set>>1 {
		if set&1 == 0 {
			continue
		}
		if i >= len(row) || len(lost) == 0 {
			return fmt.Errorf("%w: residue", ErrCorrupt)
		}
		row[i], lost = lost[0], lost[1:]
	}
	if len(lost) > 0 {
		return fmt.Errorf("%w: residue", ErrCorrupt)
	}
	return nil
}
