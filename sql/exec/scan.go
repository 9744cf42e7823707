package exec

import (
	"bytes"
	"errors"
	"slices"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// scanNode reads a stored table.
type scanNode struct {
	t      *schema.Table
	name   string // in the statement, for EXPLAIN QUERY PLAN
	a      *access
	rows   int // collection of the table
	index  int // collection of the index, -1 for none
	layout *rowLayout
}

// rowLayout says which columns to decode into which registers.
type rowLayout struct {
	cols     []int
	slots    []int
	defaults []value.Value // of rows written before the column was added
	rowID    int           // register, -1 for none
	rowIDCol int           // the column that the row id is, -1 for none
	computed []computedColumn
}

func (c *compiler) scan(s *source, a *access) node {
	n := &scanNode{t: s.table, name: s.name, a: a, index: -1, rows: c.collection(schema.TableCollection(s.table.Root))}
	if a != nil && a.index != nil {
		n.index = c.collection(schema.IndexCollection(a.index.Root))
	}
	n.layout = c.layout(s)
	if a != nil && a.index == nil && a.unique {
		return &pointNode{n}
	}
	return n
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

// pointNode reads the one row that a key names.
type pointNode struct{ *scanNode }

type pointIter struct {
	n    *scanNode
	f    *frame
	done bool
}

func (n *pointNode) open(f *frame) (iter, error) { return &pointIter{n: n.scanNode, f: f}, nil }

func (it *pointIter) next() (bool, error) {
	if it.done {
		return false, nil
	}
	it.done = true
	key, ok, err := it.n.pointKey(it.f)
	if err != nil || !ok {
		return false, err
	}
	return it.n.fetch(it.f, key)
}

func (*pointIter) close() {}

func (n *scanNode) pointKey(f *frame) ([]byte, bool, error) {
	key := f.key[:0]
	for i := range n.a.eq {
		v, err := n.a.eq[i].value(f)
		if err != nil || v.IsNull() {
			return nil, false, err
		}
		if n.t.PrimaryKey == nil {
			id, ok := asRowID(v)
			if !ok {
				return nil, false, nil
			}
			key = appendRowID(key, id)
		} else {
			key = appendKeyValue(key, v, n.a.key[i])
		}
	}
	f.key = key
	return key, true, nil
}

// fetch reads the row with this key into the registers.
func (n *scanNode) fetch(f *frame, key []byte) (bool, error) {
	rows, err := f.collection(n.rows)
	if err != nil {
		return false, err
	}
	row, err := rows.UnsafeGet(key)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, n.layout.load(f, key, row)
}

func (l *rowLayout) load(f *frame, key, row []byte) error {
	if l.rowID >= 0 {
		id, err := rowIDOf(key)
		if err != nil {
			return err
		}
		f.regs[l.rowID] = value.NewInt(id)
	}
	if len(l.cols) > 0 {
		if err := decodeColumns(row, l.cols, l.slots, l.defaults, f.regs); err != nil {
			return err
		}
	}
	if l.computed == nil {
		return nil
	}
	return l.compute(f)
}

type scanIter struct {
	n    *scanNode
	f    *frame
	cur  *engine.Cursor
	more []bounds // ranges still to come: IN
}

func (n *scanNode) open(f *frame) (iter, error) {
	it := &scanIter{n: n, f: f}
	switch {
	case n.a == nil:
		it.more = []bounds{{}}
	case n.a.isIn:
		list, err := n.listBounds(f)
		if err != nil {
			return nil, err
		}
		it.more = list
	default:
		b, err := n.a.bounds(f, n.t)
		if err != nil {
			return nil, err
		}
		if !b.empty {
			it.more = []bounds{b}
		}
	}
	return it, nil
}

// listBounds makes one range per value of an IN list, sorted and each once.
func (n *scanNode) listBounds(f *frame) ([]bounds, error) {
	var out []bounds
	for i := range n.a.in {
		one := *n.a
		one.eq = append(slices.Clone(n.a.eq), n.a.in[i])
		one.in, one.isIn = nil, false
		b, err := one.bounds(f, n.t)
		if err != nil {
			return nil, err
		}
		if !b.empty {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b bounds) int { return bytes.Compare(a.lo, b.lo) })
	return slices.CompactFunc(out, func(a, b bounds) bool { return bytes.Equal(a.lo, b.lo) }), nil
}

func (it *scanIter) next() (bool, error) {
	for {
		if it.cur == nil {
			if len(it.more) == 0 {
				return false, nil
			}
			if err := it.openCursor(it.more[0]); err != nil {
				return false, err
			}
			it.more = it.more[1:]
		}
		if !it.step() {
			err := it.cur.Err()
			it.close()
			if err != nil {
				return false, err
			}
			continue
		}
		if err := it.f.tick(); err != nil {
			return false, err
		}
		return it.row()
	}
}

func (it *scanIter) openCursor(b bounds) error {
	i := it.n.rows
	if it.n.index >= 0 {
		i = it.n.index
	}
	c, err := it.f.collection(i)
	if err != nil {
		return err
	}
	it.cur = c.Cursor(b.lo, b.hi)
	return nil
}

func (it *scanIter) step() bool {
	if it.n.a != nil && it.n.a.reverse {
		return it.cur.Prev()
	}
	return it.cur.Next()
}

// row loads the row at the cursor.
func (it *scanIter) row() (bool, error) {
	n, f := it.n, it.f
	if n.index < 0 {
		return true, n.layout.load(f, it.cur.UnsafeKey(), it.cur.UnsafeValue())
	}
	key := rowKeyOfEntry(n.t, it.cur.UnsafeKey(), it.cur.UnsafeValue())
	if len(n.layout.cols) == 0 {
		return true, n.layout.load(f, key, nil)
	}
	f.key = append(f.key[:0], key...)
	ok, err := n.fetch(f, f.key)
	if err == nil && !ok {
		// The fetch looks at the transaction's present state: rows deleted by
		// this statement since the cursor was made are the only ones missing.
		return it.next()
	}
	return ok, err
}

func (it *scanIter) close() {
	if it.cur != nil {
		_ = it.cur.Close() // releases memory alone
		it.cur = nil
	}
}
