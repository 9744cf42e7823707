package exec

import (
	"math"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// cover reads rows out of the entries of an index that holds all the columns
// that the statement reads. A key does not tell 1 from 1.0 or, where a collation
// folds text, 'a' from 'A': where a value's column leaves that open, the row is
// fetched after all.
type cover struct {
	entry, row keyPart // the entry's own columns, and those of the row's key
	rowID      int     // register of the row id, -1 for none
}

// keyPart is how the columns of a key are read.
type keyPart struct {
	cols  []record.KeyColumn
	slots []int // -1: not needed
	affs  []value.Affinity
}

// covering returns how an index answers for the columns of l; nil: it cannot.
func covering(s *source, ix *schema.Index, l *rowLayout) *cover {
	if l.computed != nil {
		return nil
	}
	t := s.table
	open := map[int]bool{}
	for _, slot := range l.slots {
		open[slot] = true
	}
	cv := &cover{rowID: l.rowID}
	for _, ic := range ix.Columns {
		cv.entry.add(s, open, ic.Column, ic.Collation, ic.Desc)
	}
	for i, col := range t.PrimaryKey {
		cv.row.add(s, open, col, t.PKCollations[i], false)
	}
	if len(open) > 0 {
		return nil
	}
	cv.entry.trim()
	cv.row.trim()
	return cv
}

// add appends a column; open loses the register that it fills, unless what it
// holds is never sure to be told.
func (p *keyPart) add(s *source, open map[int]bool, col int, coll value.Collation, desc bool) {
	if col < 0 {
		p.cols, p.slots, p.affs = append(p.cols, record.KeyColumn{Desc: desc}), append(p.slots, -1), append(p.affs, value.AffinityBlob)
		return
	}
	aff, slot := s.table.Columns[col].Affinity, s.slots[col]
	if !open[slot] || coll == value.RTrim || aff < value.AffinityText {
		slot = -1
	} else {
		delete(open, slot)
	}
	p.cols = append(p.cols, record.KeyColumn{Collation: coll, Desc: desc, Real: aff == value.AffinityReal})
	p.slots = append(p.slots, slot)
	p.affs = append(p.affs, aff)
}

// trim drops the columns after the last one that is needed.
func (p *keyPart) trim() {
	n := len(p.slots)
	for n > 0 && p.slots[n-1] < 0 {
		n--
	}
	p.cols, p.slots, p.affs = p.cols[:n], p.slots[:n], p.affs[:n]
}

// borrow reads an entry into the registers, text and blobs aliasing it; exact is
// false if the row has to be fetched.
func (cv *cover) borrow(f *frame, entry, rowKey []byte) (exact bool, err error) {
	if cv.rowID >= 0 {
		id, err := rowIDOf(rowKey)
		if err != nil {
			return false, err
		}
		f.regs[cv.rowID] = value.NewInt(id)
	}
	if exact, err := cv.entry.borrow(f, entry); err != nil || !exact {
		return false, err
	}
	return cv.row.borrow(f, rowKey)
}

func (p *keyPart) borrow(f *frame, key []byte) (exact bool, err error) {
	if _, err := record.ReadKeyUnsafe(key, p.cols, p.slots, f.regs); err != nil {
		return false, err
	}
	for i, s := range p.slots {
		if s >= 0 && !told(f.regs[s], p.affs[i], p.cols[i].Collation) {
			return false, nil
		}
	}
	return true, nil
}

// told reports whether a value read from a key is the one that the column of
// this affinity holds.
func told(v value.Value, aff value.Affinity, coll value.Collation) bool {
	switch v.Kind() {
	case value.Int: // a real is stored as an integer where it is one, but for the smallest
		return (aff == value.AffinityInteger || aff == value.AffinityNumeric) && v.Int() != math.MinInt64
	case value.Float: // zero has a sign
		return aff != value.AffinityReal || v.Float() != 0
	case value.Text:
		if coll == value.NoCase {
			s := v.Str()
			for i := range len(s) {
				if s[i]-'a' < 26 {
					return false
				}
			}
		}
		return true
	default:
		return true
	}
}
