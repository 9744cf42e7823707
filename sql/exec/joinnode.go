package exec

import "github.com/byokdb/byokdb/sql/value"

// loopNode runs inner once for each row of outer. An inner side that costs
// more than a cursor is run once and its rows are kept.
type loopNode struct {
	outer, inner node
	on           []*expr
	left         bool
	keep         bool
	slots        []int // of inner

	point  *scanNode // inner, if it is the one row that a key names
	stable bool      // then: its table stays as it is
}

type loopIter struct {
	n       *loopNode
	f       *frame
	outer   iter
	inner   iter
	kept    *buffer
	filled  bool
	at      int
	inRow   bool // the outer registers hold a row
	matched bool
	looked  bool // the row that the key names was looked up
	recall  *recall
}

func (n *loopNode) open(f *frame) (iter, error) {
	outer, err := n.outer.open(f)
	if err != nil {
		return nil, err
	}
	it := &loopIter{n: n, f: f, outer: outer}
	if n.point != nil && n.stable && !f.plan.volatile {
		it.recall = &recall{f: f, slots: n.point.layout.slots, window: recallWindow}
	}
	return it, nil
}

func (it *loopIter) next() (bool, error) {
	for {
		if !it.inRow {
			ok, err := it.outer.next()
			if err != nil || !ok {
				return false, err
			}
			if err := it.start(); err != nil {
				return false, err
			}
		}
		ok, err := it.nextInner()
		if err != nil {
			return false, err
		}
		if ok {
			if err := it.f.tick(); err != nil {
				return false, err
			}
			pass, err := passes(it.f, it.n.on)
			if err != nil {
				return false, err
			}
			if pass {
				it.matched = true
				return true, nil
			}
			continue
		}
		it.inRow = false
		if it.n.left && !it.matched {
			setNull(it.f, it.n.slots)
			return true, nil
		}
	}
}

func (it *loopIter) start() error {
	it.inRow, it.matched, it.at, it.looked = true, false, 0, false
	if it.filled || it.n.point != nil {
		return nil
	}
	inner, err := it.n.inner.open(it.f)
	if err != nil {
		return err
	}
	it.inner = inner
	if !it.n.keep {
		return nil
	}
	it.kept = &buffer{slots: it.n.slots}
	for {
		ok, err := inner.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := it.kept.save(it.f); err != nil {
			return err
		}
	}
	it.filled = true
	it.closeInner()
	return nil
}

func (it *loopIter) nextInner() (bool, error) {
	switch {
	case it.looked:
		return false, nil
	case it.n.point != nil:
		it.looked = true
		return it.lookUp()
	case it.filled:
		if it.at >= it.kept.n {
			return false, nil
		}
		it.at++
		return true, it.kept.load(it.f, it.at-1)
	}
	ok, err := it.inner.next()
	if !ok {
		it.closeInner()
	}
	return ok, err
}

// lookUp reads the row of inner that the key names.
func (it *loopIter) lookUp() (bool, error) {
	n, f := it.n.point, it.f
	if it.recall == nil {
		return n.point(f)
	}
	key, ok, err := n.pointKey(f)
	if err != nil || !ok {
		return false, err
	}
	known, there := it.recall.find(key)
	if there && n.layout.rowID >= 0 {
		id, err := rowIDOf(key)
		if err != nil {
			return false, err
		}
		f.regs[n.layout.rowID] = value.NewInt(id)
	}
	if !known {
		if there, err = n.load(f, key); err != nil {
			return false, err
		}
		it.recall.keep(key, there)
	}
	if !there {
		return false, nil
	}
	return passes(f, n.conds)
}

func (it *loopIter) closeInner() {
	if it.inner != nil {
		it.inner.close()
		it.inner = nil
	}
}

func (it *loopIter) close() {
	it.closeInner()
	it.outer.close()
	it.recall.close()
	if it.kept != nil {
		it.kept.close(it.f)
	}
}

// fullNode is a RIGHT or FULL join: after the pairs come the rows of inner
// that matched nothing.
type fullNode struct {
	outer, inner node
	on           []*expr
	left         bool
	slots        []int // of inner
	outerSlots   []int
}

type fullIter struct {
	n       *fullNode
	f       *frame
	outer   iter
	rows    *buffer
	hit     []uint64 // a bit for each row of inner
	at      int
	inRow   bool
	matched bool
	rest    bool // the outer side has ended
}

func (n *fullNode) open(f *frame) (iter, error) {
	it := &fullIter{n: n, f: f, rows: &buffer{slots: n.slots}}
	inner, err := n.inner.open(f)
	if err != nil {
		return nil, err
	}
	defer inner.close()
	for {
		ok, err := inner.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if err := it.rows.save(f); err != nil {
			return nil, err
		}
	}
	it.hit = make([]uint64, it.rows.n/64+1)
	f.keep(int64(8*len(it.hit)), 0)
	it.outer, err = n.outer.open(f)
	return it, err
}

func (it *fullIter) next() (bool, error) {
	for !it.rest {
		if !it.inRow {
			ok, err := it.outer.next()
			if err != nil {
				return false, err
			}
			if !ok {
				it.rest, it.at = true, 0
				break
			}
			it.inRow, it.matched, it.at = true, false, 0
		}
		for it.at < it.rows.n {
			if err := it.rows.load(it.f, it.at); err != nil {
				return false, err
			}
			it.at++
			if err := it.f.tick(); err != nil {
				return false, err
			}
			pass, err := passes(it.f, it.n.on)
			if err != nil {
				return false, err
			}
			if pass {
				it.hit[(it.at-1)/64] |= 1 << ((it.at - 1) % 64)
				it.matched = true
				return true, nil
			}
		}
		it.inRow = false
		if it.n.left && !it.matched {
			setNull(it.f, it.n.slots)
			return true, nil
		}
	}
	for it.at < it.rows.n {
		it.at++
		if it.hit[(it.at-1)/64]>>((it.at-1)%64)&1 == 1 {
			continue
		}
		setNull(it.f, it.n.outerSlots)
		return true, it.rows.load(it.f, it.at-1)
	}
	return false, nil
}

func (it *fullIter) close() {
	if it.outer != nil {
		it.outer.close()
	}
	it.f.release(int64(8 * len(it.hit)))
	it.rows.close(it.f)
}
