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
	top  *topTest   // leaves out rows, or nil

	reads  bool // rows before they are asked for
	ahead  rowsAhead
	keys   *entryKeys // of rows that are to be fetched; nil before the first
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
	it.reads = f.root == nil && !f.plan.write // else what one row sets off may show in the next
	it.ahead.slots, it.ahead.all = n.slots, n.all
	list, err := n.ranges(f)
	if err != nil {
		return nil, err
	}
	it.more = list
	switch {
	case n.fewer != nil && list.exact():
		it.row = newRowReader(f, n.layout, n.fewer)
	case n.tests != nil:
		it.row = newRowReader(f, n.layout, n.tests)
	}
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
		if it.ahead.give(it.f) {
			return true, nil
		}
		if it.ahead.err != nil {
			return false, it.ahead.err
		}
		if it.fetch {
			it.fetch = false
			if ok, err := it.n.fetch(it.f, it.f.key); err != nil || ok {
				return ok, err
			}
			continue // it did not pass, or this statement deleted it
		}
		it.ahead.grow(it.reads)
		ok, err := it.read()
		switch {
		case it.found && err == nil:
			it.found = false
			return true, nil
		case err != nil:
			it.ahead.err = err
		case !ok:
			return false, nil
		}
	}
}

// walk calls fn for every row until it returns false. The registers may alias
// what the transaction lends: fn keeps no value without copying it, and must not
// use the transaction.
func (it *scanIter) walk(fn func() (bool, error)) error {
	it.each, it.ended = fn, false
	for it.ahead.give(it.f) {
		if ok, err := fn(); err != nil || !ok {
			return err
		}
	}
	for !it.ended {
		it.ahead.grow(it.reads)
		ok, err := it.read()
		if err != nil || !ok {
			return err
		}
		if !it.fetch {
			continue
		}
		it.fetch = false
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

// read visits records until one asks for attention, or fetches rows that entries
// visited before have named; false: there are no more.
func (it *scanIter) read() (bool, error) {
	if !it.keys.waiting() {
		ok, err := it.advance()
		if err != nil || !ok || !it.keys.waiting() || it.ahead.n > 0 {
			return ok, err
		}
	}
	return true, it.fetchAll()
}

// advance visits records until one asks for attention, at most walkMax; false:
// there are no more.
func (it *scanIter) advance() (bool, error) {
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
	if len(r.tests) > 0 {
		if ok, err := r.passes(val); err != nil || !ok {
			it.err = err
			return err == nil
		}
	}
	if it.all != nil {
		if err := it.all.addRow(r, val); err != nil {
			it.err = err
			return false
		}
		return true
	}
	if it.top != nil {
		last, err := it.top.last(r, val)
		if err == nil && !last && r.noID {
			err = r.readID(key)
		}
		if err != nil || last {
			it.err = err
			return err == nil
		}
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
	switch {
	case exact:
		return it.takeRegisters()
	case it.reads:
		if it.keys == nil {
			it.keys = f.takeKeys(it)
		}
		it.keys.add(rowKey)
		return n.cover == nil && len(it.keys.ends) < it.ahead.size
	}
	f.key = append(f.key[:0], rowKey...)
	it.fetch = true
	return false
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
	if it.ahead.size == 1 {
		it.found = true
		return false
	}
	return it.ahead.save(it.f)
}

// fetchAll fetches the rows whose keys were read.
func (it *scanIter) fetchAll() error {
	rows, err := it.f.collection(it.n.rows)
	if err != nil {
		return err
	}
	it.nBytes = 0
	if err := rows.Visit(it.keys.rest(), it.keys.visit); err != nil {
		return err
	}
	it.keys.done()
	return it.err
}

// fetched takes the row that the next key names; a nil value is none. It runs
// inside an operation of the transaction.
func (it *scanIter) fetched(val []byte) bool {
	key := it.keys.next()
	if val == nil {
		return true
	}
	it.nBytes += len(val)
	if it.err = it.n.layout.borrow(it.f, key, val); it.err != nil {
		return false
	}
	return it.takeRegisters() && it.nBytes < walkBytesMax
}

func (it *scanIter) close() {
	it.closeCursor()
	it.more.close(it.f)
	it.ahead.close(it.f)
	it.f.giveKeys(it.keys)
	it.keys = nil
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
