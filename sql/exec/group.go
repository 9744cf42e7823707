package exec

import (
	"bytes"

	"github.com/byokdb/byokdb/sql/value"
)

type aggregateIter struct {
	n      *aggregateNode
	f      *frame
	index  map[string]*group
	groups []*group
	at     int
	mem    int64
	aside  asideRows // of groups that do not fit into memory

	collected int64  // bytes of what all groups have collected
	spill     *group // whose collections are to be spilled

	// When the rows come sorted: groups are made one at a time.
	in      iter
	key     []byte // of current
	current *group
	ended   bool // in has
}

func (n *aggregateNode) open(f *frame) (iter, error) {
	it := &aggregateIter{n: n, f: f}
	in, err := n.in.open(f)
	if err != nil {
		return nil, err
	}
	if n.sorted {
		it.in = in
		return it, nil
	}
	err = it.fill(in)
	in.close()
	if err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

func (it *aggregateIter) hold(n int) error {
	it.mem += int64(n)
	if it.alone() {
		return it.f.hold(int64(n))
	}
	it.aside.full = it.f.keep(int64(n), it.mem+it.collected)
	return nil
}

func (it *aggregateIter) fill(in iter) error {
	it.index = map[string]*group{}
	if len(it.n.by) == 0 {
		g, err := it.newGroup(nil)
		if err != nil {
			return err
		}
		it.groups = append(it.groups, g)
	}
	for more := true; more; {
		err := walk(it.f, in, !it.n.subs, func() (bool, error) {
			g, err := it.groupOf()
			if err != nil {
				return false, err
			}
			if g == nil {
				return !it.aside.spill, nil
			}
			decided, err := it.step(g)
			if decided && it.n.first {
				it.spill = nil // the last row: nothing else is collected
				return false, err
			}
			return it.spill == nil, err
		})
		if err != nil {
			return err
		}
		aside, err := it.spillAside()
		if err != nil {
			return err
		}
		collected, err := it.spillCollected()
		if err != nil {
			return err
		}
		more = aside || collected
	}
	clear(it.index)
	it.sortGroups()
	return it.sortAside()
}

// gather reads the rows of the next group, up to the first one of the group
// after it; nil: there is none.
func (it *aggregateIter) gather() (*group, error) {
	var done *group
	if !it.ended {
		if it.current != nil { // the registers of the row it began with: a join below goes on from them
			for i, s := range it.n.bare {
				it.f.regs[s] = it.current.bare[i]
			}
		}
		for more := true; more && done == nil; {
			var err error
			if done, err = it.gatherOn(); err == nil {
				more, err = it.spillCollected()
			}
			if err != nil {
				it.drop(done)
				return nil, err
			}
		}
	}
	if done == nil {
		done, it.current = it.current, nil
	}
	return done, nil
}

// gatherOn reads rows up to the first one of another group, and returns the
// group before it; nil: there are no more rows, or something is to be spilled.
func (it *aggregateIter) gatherOn() (done *group, err error) {
	it.ended = true // unless a row of another group comes
	err = walk(it.f, it.in, !it.n.subs, func() (bool, error) {
		if it.current != nil && it.continues() {
			_, err := it.step(it.current)
			return it.spill == nil, err
		}
		keys, err := it.keysOf()
		if err != nil {
			return false, err
		}
		if it.current == nil || !bytes.Equal(it.key, it.f.key) {
			done = it.current
			it.key = append(it.key[:0], it.f.key...)
			if it.current, err = it.newGroup(ownRow(keys)); err != nil {
				return false, err
			}
		}
		if _, err := it.step(it.current); err != nil {
			return false, err
		}
		it.ended = done == nil
		return done == nil && it.spill == nil, nil
	})
	return done, err
}

// continues reports whether the row in the registers is surely one more of the
// current group.
func (it *aggregateIter) continues() bool {
	for i, x := range it.n.by {
		if x.slot < 0 || compare(it.f.regs[x.slot], it.current.keys[i], x.coll) != 0 {
			return false
		}
	}
	return true
}

// keysOf evaluates the keys of the row in the registers, and encodes them into
// the frame's scratch. They are valid until the next call.
func (it *aggregateIter) keysOf() ([]value.Value, error) {
	f := it.f
	base := len(f.stack)
	defer func() { f.stack = f.stack[:base] }()
	for _, x := range it.n.by {
		v, err := x.eval(f)
		if err != nil {
			return nil, err
		}
		f.stack = append(f.stack, v)
	}
	keys := f.stack[base:]
	f.key = f.key[:0]
	for i, x := range it.n.by {
		f.key = appendKey(f.key, keys[i], x.coll)
	}
	return keys, nil
}

// groupOf finds the group of the row in the registers, or makes it; nil: the row
// was put aside.
func (it *aggregateIter) groupOf() (*group, error) {
	if len(it.n.by) == 0 {
		return it.groups[0], nil
	}
	keys, err := it.keysOf()
	if err != nil {
		return nil, err
	}
	g := it.index[string(it.f.key)]
	if g != nil && (!it.aside.full || !it.n.collects) {
		return g, nil
	}
	if it.aside.full { // a group that collects goes on when it is given
		return nil, it.putAside(keys)
	}
	if g, err = it.newGroup(ownRow(keys)); err != nil {
		return nil, err
	}
	it.index[string(it.f.key)] = g
	it.groups = append(it.groups, g)
	return g, it.hold(len(it.f.key) + 96)
}
