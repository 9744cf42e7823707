package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// rowLayout says which columns to decode into which registers.
type rowLayout struct {
	cols     []int // ascending
	slots    []int
	defaults []value.Value // of rows written before the column was added
	rowID    int           // register, -1 for none
	rowIDCol int           // the column that the row id is, -1 for none
	computed []computedColumn
}

func (c *compiler) layout(s *source) *rowLayout {
	l := &rowLayout{rowID: s.rowID, rowIDCol: s.table.RowID}
	for i, used := range s.used {
		if col := &s.table.Columns[i]; !used || i == s.table.RowID || col.Generated != nil && !col.Stored {
			continue
		}
		l.cols = append(l.cols, i)
		l.slots = append(l.slots, s.slots[i])
		l.defaults = append(l.defaults, c.defaultValue(s.table, i))
	}
	for _, g := range s.generated {
		if s.used[g.col] && !g.stored {
			l.computed = append(l.computed, computedColumn{s.slots[g.col], g.x, s.table.Columns[g.col].Affinity})
		}
	}
	return l
}

// registers returns the registers that a row fills.
func (l *rowLayout) registers() []int {
	out := slices.Clone(l.slots)
	if l.rowID >= 0 {
		out = append(out, l.rowID)
	}
	for i := range l.computed {
		out = append(out, l.computed[i].slot)
	}
	return out
}

// load reads a row into the registers, text and blobs copied.
func (l *rowLayout) load(f *frame, key, row []byte) error {
	if err := l.borrow(f, key, row); err != nil {
		return err
	}
	l.own(f)
	return nil
}

// borrow is load without the copies: text and blobs alias row.
func (l *rowLayout) borrow(f *frame, key, row []byte) error {
	if l.rowID >= 0 {
		id, err := rowIDOf(key)
		if err != nil {
			return err
		}
		f.regs[l.rowID] = value.NewInt(id)
	}
	if len(l.cols) > 0 {
		if len(f.cells) < len(l.cols) {
			f.cells = make([]record.Cell, len(l.cols))
		}
		n, err := record.Locate(row, l.cols, f.cells)
		if err != nil {
			return err
		}
		for i, c := range f.cells[:n] {
			if err := c.LoadUnsafe(row, &f.regs[l.slots[i]]); err != nil {
				return err
			}
		}
		for ; n < len(l.cols); n++ {
			f.regs[l.slots[n]] = l.defaults[n]
		}
	}
	if l.computed == nil {
		return nil
	}
	return l.compute(f)
}

// own copies what borrow left aliased.
func (l *rowLayout) own(f *frame) {
	for _, s := range l.slots {
		if v := &f.regs[s]; v.Kind() >= value.Text {
			*v = record.Own(*v)
		}
	}
	for i := range l.computed {
		v := &f.regs[l.computed[i].slot]
		*v = record.Own(*v)
	}
}
