package exec

import (
	"github.com/byokdb/byokdb/engine"
)

// Limits of one operation, for which a pause has to wait: records of a cursor,
// and bytes of their values.
const (
	walkMax      = 256
	walkBytesMax = 256 << 10
)

// scanIter walks the ranges of a scan. The visits to records happen inside an
// operation of the transaction, on bytes that it lends.
type scanIter struct {
	n    *scanNode
	f    *frame
	cur  *engine.Cursor
	more spanList   // ranges still to come: IN
	row  *rowReader // of encoded rows; nil: they are read into the registers
	all  *totals    // what the rows are added to, or nil

	visit  func(key, value []byte) bool
	each   func() (bool, error) // of walk, nil in next
	found  bool                 // a row is in the registers
	fetch  bool                 // the row with the key in f.key is to be fetched
	ended  bool                 // each wants no more
	nSteps int
	nBytes int
	err    error
}

func (n *scanNode) open(f *frame) (iter, error) {
	it := &scanIter{n: n, f: f}
	it.visit = it.record
	if len(n.once) > 0 {
		if ok, err := passes(f, n.once); err != nil || !ok {
			return it, err // without ranges there are no rows
		}
	}
	if n.tests != nil {
		it.row = newRowReader(f, n.layout, n.tests)
	}
	list, err := n.ranges(f)
	if err != nil {
		return nil, err
	}
	it.more = list
	return it, nil
}

func (n *scanNode) ranges(f *frame) (spanList, error) {
	if n.a == nil {
		return spanList{list: []bounds{{}}}, nil
	}
	return n.a.spans(f, n.t)
}

func (it *scanIter) next() (bool, error) {
	for {
		ok, err := it.advance()
		if err != nil || !ok {
			return false, err
		}
		if it.fetch {
			if ok, err = it.n.fetch(it.f, it.f.key); err != nil || ok {
				return ok, err
			}
			continue // it did not pass, or this statement deleted it
		}
		if it.found {
			return true, nil
		}
	}
}

// walk calls fn for every row until it returns false. The registers may alias
// what the transaction lends: fn keeps no value without copying it, and must not
// use the transaction.
func (it *scanIter) walk(fn func() (bool, error)) error {
	it.each, it.ended = fn, false
	for !it.ended {
		ok, err := it.advance()
		if err != nil || !ok {
			return err
		}
		if !it.fetch {
			continue
		}
		if ok, err = it.n.fetch(it.f, it.f.key); err != nil {
			return err
		}
		if ok {
			if ok, err = fn(); err != nil || !ok {
				return err
			}
		}
	}
	return nil
}

// advance visits records until one asks for attention, at most walkMax; false:
// there are no more.
func (it *scanIter) advance() (bool, error) {
	it.found, it.fetch = false, false
	if it.cur == nil {
		b, ok, err := it.more.next()
		if err != nil || !ok {
			return false, err
		}
		if err := it.openCursor(b); err != nil {
			return false, err
		}
	}
	it.nSteps, it.nBytes = 0, 0
	values := it.n.index < 0 && len(it.n.layout.cols) > 0 || it.n.index >= 0 && it.n.t.PrimaryKey != nil
	more := it.cur.Walk(walkMax, it.n.a != nil && it.n.a.reverse, values, it.visit)
	if it.err != nil {
		return false, it.err
	}
	if !more {
		err := it.cur.Err()
		it.closeCursor()
		if err != nil {
			return false, err
		}
	}
	return true, it.f.ticked(it.nSteps)
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

// record takes one record and reports whether the next one may be visited. It
// runs inside an operation of the transaction.
func (it *scanIter) record(key, val []byte) bool {
	it.nSteps++
	it.nBytes += len(val)
	return it.take(key, val) && it.nBytes < walkBytesMax
}

// take is record without the limit.
func (it *scanIter) take(key, val []byte) bool {
	switch {
	case it.row != nil:
		return it.takeRow(key, val)
	case it.n.index >= 0:
		return it.takeEntry(key, val)
	}
	if it.err = it.n.layout.borrow(it.f, key, val); it.err != nil {
		return false
	}
	return it.takeRegisters()
}

// takeRow takes an encoded row.
func (it *scanIter) takeRow(key, val []byte) bool {
	r := it.row
	if err := r.locate(key, val); err != nil { // it.err is written where there is one
		it.err = err
		return false
	}
	ok, err := r.passes(val)
	if err != nil || !ok {
		it.err = err
		return err == nil
	}
	if it.all != nil {
		if err := it.all.addRow(r, val); err != nil {
			it.err = err
			return false
		}
		return true
	}
	if it.err = r.load(val, r.rest); it.err != nil {
		return false
	}
	return it.give()
}

// takeEntry takes an entry of an index.
func (it *scanIter) takeEntry(key, val []byte) bool {
	n, f := it.n, it.f
	rowKey := rowKeyOfEntry(n.t, key, val)
	exact := false
	if n.cover != nil {
		if exact, it.err = n.cover.borrow(f, key, rowKey); it.err != nil {
			return false
		}
	}
	if !exact {
		f.key = append(f.key[:0], rowKey...)
		it.fetch = true
		return false
	}
	return it.takeRegisters()
}

// takeRegisters takes the row in the registers if it passes.
func (it *scanIter) takeRegisters() bool {
	if len(it.n.conds) > 0 {
		ok, err := passes(it.f, it.n.conds)
		if err != nil || !ok {
			it.err = err
			return err == nil
		}
	}
	return it.give()
}

// give hands on the row in the registers.
func (it *scanIter) give() bool {
	if it.each != nil {
		more, err := it.each()
		it.err, it.ended = err, !more
		return more && err == nil
	}
	it.n.layout.own(it.f)
	it.found = true
	return false
}

func (it *scanIter) close() {
	it.closeCursor()
	it.more.close(it.f)
}

func (it *scanIter) closeCursor() {
	if it.cur != nil {
		_ = it.cur.Close() // releases memory alone
		it.cur = nil
	}
}

// walker is an iterator that can lend its rows; see scanIter.walk.
type walker interface {
	iter
	walk(fn func() (bool, error)) error
}

// walk calls fn for every row until it returns false. fn copies what it keeps.
// Unless lends, fn may use the transaction.
func walk(f *frame, it iter, lends bool, fn func() (bool, error)) error {
	if w := lender(it); w != nil && lends {
		return w.walk(fn)
	}
	for {
		ok, err := it.next()
		if err != nil || !ok {
			return err
		}
		if err := f.tick(); err != nil {
			return err
		}
		if ok, err = fn(); err != nil || !ok {
			return err
		}
	}
}

// lender returns it as a walker if it can lend rows.
func lender(it iter) walker {
	switch it := it.(type) {
	case *scanIter:
		return it
	case *filterIter:
		if !it.n.subs && lender(it.in) != nil {
			return it
		}
	case *projectIter:
		if !it.n.subs && lender(it.in) != nil {
			return it
		}
	}
	return nil
}

func (it *filterIter) walk(fn func() (bool, error)) error {
	return lender(it.in).walk(func() (bool, error) {
		pass, err := passes(it.f, it.n.conds)
		if err != nil || !pass {
			return true, err
		}
		return fn()
	})
}

func (it *projectIter) walk(fn func() (bool, error)) error {
	return lender(it.in).walk(func() (bool, error) {
		if err := it.n.compute(it.f); err != nil {
			return false, err
		}
		return fn()
	})
}
