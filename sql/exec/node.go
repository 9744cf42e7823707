package exec

import (
	"bytes"

	"github.com/byokdb/byokdb/sql/value"
)

// node is one operator of a plan. Nodes are immutable and shared by all
// sessions; what changes is in the iterator and in the frame.
type node interface {
	open(f *frame) (iter, error)
}

// iter produces rows into the registers of its frame.
type iter interface {
	next() (bool, error)
	close()
}

func setNull(f *frame, slots []int) {
	for _, s := range slots {
		f.regs[s] = value.Value{}
	}
}

// passes reports whether every condition is true.
func passes(f *frame, conds []*expr) (bool, error) {
	for _, x := range conds {
		if ok, err := isTrue(f, x); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func isTrue(f *frame, x *expr) (bool, error) {
	if x.test != nil {
		return x.test(f)
	}
	v, err := x.eval(f)
	if err != nil {
		return false, err
	}
	t, known := truth(v)
	return known && t, nil
}

// singleNode is a SELECT without FROM: one row of nothing.
type singleNode struct{}

type singleIter struct{ done bool }

func (*singleNode) open(*frame) (iter, error) { return &singleIter{}, nil }

func (it *singleIter) next() (bool, error) {
	more := !it.done
	it.done = true
	return more, nil
}

func (*singleIter) close() {}

// valuesNode is a VALUES clause.
type valuesNode struct {
	rows [][]*expr
	out  []int
}

type valuesIter struct {
	n *valuesNode
	f *frame
	i int
}

func (n *valuesNode) open(f *frame) (iter, error) { return &valuesIter{n: n, f: f}, nil }

func (it *valuesIter) next() (bool, error) {
	if it.i >= len(it.n.rows) {
		return false, nil
	}
	if err := it.f.tick(); err != nil {
		return false, err
	}
	for j, x := range it.n.rows[it.i] {
		v, err := x.eval(it.f)
		if err != nil {
			return false, err
		}
		it.f.regs[it.n.out[j]] = v
	}
	it.i++
	return true, nil
}

func (*valuesIter) close() {}

// rowsNode produces rows that a function makes when the node is opened: the
// schema table, pragmas.
type rowsNode struct {
	out  []int
	rows func(f *frame) ([][]value.Value, error)
}

type rowsIter struct {
	n    *rowsNode
	f    *frame
	rows [][]value.Value
}

func (n *rowsNode) open(f *frame) (iter, error) {
	rows, err := n.rows(f)
	return &rowsIter{n: n, f: f, rows: rows}, err
}

func (it *rowsIter) next() (bool, error) {
	if len(it.rows) == 0 {
		return false, nil
	}
	for i, s := range it.n.out {
		it.f.regs[s] = it.rows[0][i]
	}
	it.rows = it.rows[1:]
	return true, it.f.tick()
}

func (*rowsIter) close() {}

// addFn takes a row whose values are copies.
type addFn func(row []value.Value) error

// filledNode is a rowsNode of rows that may be too many for memory.
type filledNode struct {
	out  []int
	fill func(f *frame, add addFn) error
}

type filledIter struct {
	f    *frame
	rows buffer
	at   int
}

func (n *filledNode) open(f *frame) (iter, error) {
	it := &filledIter{f: f, rows: buffer{slots: n.out}}
	err := n.fill(f, func(row []value.Value) error { return it.rows.saveRow(f, row) })
	if err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

func (it *filledIter) next() (bool, error) {
	if it.at >= it.rows.n {
		return false, nil
	}
	if err := it.rows.load(it.f, it.at); err != nil {
		return false, err
	}
	it.at++
	return true, it.f.tick()
}

func (it *filledIter) close() { it.rows.close(it.f) }

type filterNode struct {
	in    node
	once  []*expr // are tested before the first row
	conds []*expr
	subs  bool // some condition runs a subquery
}

type filterIter struct {
	n  *filterNode
	f  *frame
	in iter
}

func (n *filterNode) open(f *frame) (iter, error) {
	if ok, err := passes(f, n.once); err != nil || !ok {
		return noIter{}, err
	}
	in, err := n.in.open(f)
	if err != nil {
		return nil, err
	}
	return &filterIter{n: n, f: f, in: in}, nil
}

func (it *filterIter) next() (bool, error) {
	for {
		ok, err := it.in.next()
		if err != nil || !ok {
			return false, err
		}
		pass, err := passes(it.f, it.n.conds)
		if err != nil || pass {
			return pass, err
		}
	}
}

func (it *filterIter) close() { it.in.close() }

// projectNode computes expressions into registers of their own.
type projectNode struct {
	in    node
	evals []evalFn
	slots []int
	subs  bool // some expression runs a subquery

	placed map[*expr]int
}

// place returns the register in which x is found after the node; a plain
// column stays where it is.
func (n *projectNode) place(c *compiler, x *expr) int {
	if x.slot >= 0 {
		return x.slot
	}
	slot := c.regs(1)[0]
	n.evals, n.slots = append(n.evals, x.eval), append(n.slots, slot)
	n.subs = n.subs || x.subs
	if n.placed == nil {
		n.placed = map[*expr]int{}
	}
	n.placed[x] = slot
	return slot
}

// slotOf returns what place returned for x.
func (n *projectNode) slotOf(x *expr) int {
	if x.slot >= 0 {
		return x.slot
	}
	return n.placed[x]
}

type projectIter struct {
	n  *projectNode
	f  *frame
	in iter
}

func (n *projectNode) open(f *frame) (iter, error) {
	in, err := n.in.open(f)
	if err != nil {
		return nil, err
	}
	return &projectIter{n: n, f: f, in: in}, nil
}

func (it *projectIter) next() (bool, error) {
	ok, err := it.in.next()
	if err != nil || !ok {
		return false, err
	}
	return true, it.n.compute(it.f)
}

func (n *projectNode) compute(f *frame) error {
	for i, ev := range n.evals {
		v, err := ev(f)
		if err != nil {
			return err
		}
		f.regs[n.slots[i]] = v
	}
	return nil
}

func (it *projectIter) close() { it.in.close() }

// distinctNode drops rows that came before.
type distinctNode struct {
	in    node
	slots []int
	save  []int // slots, and what is read after the node beside them
	colls []value.Collation
	// sorted: rows that are alike come one after the other.
	sorted bool
	// few: the rows are worth looking for among others as long as these are few; a
	// sort drops them in any case.
	few bool
}

// distinctFew is how many rows are few.
const distinctFew = 8192

type distinctIter struct {
	n    *distinctNode
	f    *frame
	in   iter
	seen map[string]struct{}
	last []byte // key of the row before, when sorted
	any  bool   // there was one
	mem  int64

	many bool       // nothing is looked for any more
	full bool       // seen takes no more
	rest *rowSorter // the rows after those, or nil
}

func (n *distinctNode) open(f *frame) (iter, error) {
	in, err := n.in.open(f)
	if err != nil {
		return nil, err
	}
	return &distinctIter{n: n, f: f, in: in, seen: map[string]struct{}{}}, nil
}

func (it *distinctIter) next() (bool, error) {
	if it.full {
		return it.nextSpilled()
	}
	if it.n.few && !it.many && len(it.seen) == distinctFew {
		it.many = true
		it.forget()
	}
	if it.many {
		return it.in.next()
	}
	for {
		ok, err := it.in.next()
		if err != nil || !ok {
			return false, err
		}
		it.f.key = rowKey(it.f.key[:0], it.f.regs, it.n.slots, it.n.colls)
		if it.n.sorted {
			if it.any && bytes.Equal(it.f.key, it.last) {
				continue
			}
			it.last, it.any = append(it.last[:0], it.f.key...), true
			return true, nil
		}
		if _, ok := it.seen[string(it.f.key)]; ok {
			continue
		}
		it.seen[string(it.f.key)] = struct{}{}
		n := int64(len(it.f.key) + 64)
		it.mem += n
		it.full = it.f.keep(n, it.mem)
		return true, nil
	}
}

// forget drops the rows that have been seen.
func (it *distinctIter) forget() {
	clear(it.seen)
	it.seen = nil
	it.f.shrink(it.mem)
	it.mem = 0
}

func (it *distinctIter) close() {
	it.in.close()
	it.rest.close()
	clear(it.last[:cap(it.last)])
	clear(it.seen)
	it.f.release(it.mem)
	it.mem = 0
}

// limitNode is LIMIT and OFFSET.
type limitNode struct {
	in            node
	count, offset *expr
}

type limitIter struct {
	in   iter
	left int64 // negative: no limit
	skip int64
}

// bounds evaluates LIMIT and OFFSET; a negative count is none.
func (n *limitNode) bounds(f *frame) (count, offset int64, err error) {
	if count, err = limitValue(f, n.count); err != nil {
		return 0, 0, err
	}
	if n.offset != nil {
		offset, err = limitValue(f, n.offset)
	}
	return count, max(offset, 0), err
}

func limitValue(f *frame, x *expr) (int64, error) {
	v, err := x.eval(f)
	if err != nil {
		return 0, err
	}
	v = applyAffinity(v, value.AffinityInteger)
	if v.Kind() != value.Int {
		return 0, mismatch()
	}
	return v.Int(), nil
}

func (n *limitNode) open(f *frame) (iter, error) {
	count, offset, err := n.bounds(f)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return &singleIter{done: true}, nil
	}
	in, err := n.in.open(f)
	if err != nil {
		return nil, err
	}
	return &limitIter{in: in, left: count, skip: offset}, nil
}

func (it *limitIter) next() (bool, error) {
	if it.left == 0 {
		return false, nil
	}
	for ; it.skip > 0; it.skip-- {
		if ok, err := it.in.next(); err != nil || !ok {
			return false, err
		}
	}
	if it.left > 0 {
		it.left--
	}
	return it.in.next()
}

func (it *limitIter) close() { it.in.close() }
