package exec

import "github.com/byokdb/byokdb/sql/value"

// What GROUP BY does when its groups do not fit into memory: those that are
// there stay and take their rows, unless they collect them (spillcollect.go);
// rows of others are put aside, with all that
// the calls need, and sorted by their keys. In the end both kinds of groups are
// merged, in the order of their keys.

// asideRows are the rows of groups that are not in memory.
type asideRows struct {
	full   bool // no more groups are made in memory
	spill  bool // rows is to be spilled
	rows   *rowSorter
	row    []value.Value // the first one of the next group, nil behind the last
	before int64         // of the group that was given last
}

// putAside keeps the row in the registers, whose keys were evaluated:
//
//	keys ‖ bare columns ‖ for each call: 1 if it takes the row ‖ arguments ‖ what they are ordered by
func (it *aggregateIter) putAside(keys []value.Value) error {
	f := it.f
	row := make([]value.Value, 0, it.n.asideWidth())
	row = append(row, keys...)
	for _, s := range it.n.bare {
		row = append(row, f.regs[s])
	}
	for _, call := range it.n.calls {
		takes := true
		if call.filter != nil {
			var err error
			if takes, err = passes(f, []*expr{call.filter}); err != nil {
				return err
			}
		}
		row = append(row, value.NewBool(takes))
		if !takes {
			row = append(row, make([]value.Value, len(call.args)+len(call.order))...)
			continue
		}
		for _, x := range call.args {
			v, err := x.eval(f)
			if err != nil {
				return err
			}
			row = append(row, v)
		}
		for k := range call.order {
			v, err := call.order[k].x.eval(f)
			if err != nil {
				return err
			}
			row = append(row, v)
		}
	}
	row = ownSpilled(row)
	if it.aside.rows == nil {
		it.aside.rows = newRowSorter(f, it.n.order)
	}
	it.aside.spill = it.aside.rows.put(row)
	return nil
}

func (n *aggregateNode) asideWidth() int {
	width := len(n.by) + len(n.bare)
	for _, call := range n.calls {
		width += 1 + len(call.args) + len(call.order)
	}
	return width
}

// spillAside writes the rows to a file if there are enough, and reports whether
// there were.
func (it *aggregateIter) spillAside() (bool, error) {
	if !it.aside.spill {
		return false, nil
	}
	it.aside.spill = false
	return true, it.aside.rows.spill()
}

func (it *aggregateIter) sortAside() (err error) {
	if it.aside.rows == nil {
		return nil
	}
	if err = it.aside.rows.sort(); err != nil {
		return err
	}
	it.aside.row, err = it.aside.rows.next()
	return err
}

// nextAside is next when rows were put aside.
func (it *aggregateIter) nextAside() (bool, error) {
	a := &it.aside
	it.f.release(a.before)
	it.mem -= a.before
	a.before = 0
	inMemory := it.at < len(it.groups)
	o := 1 // the next group: -1 is in memory, 1 was put aside, 0 was begun in memory
	switch {
	case !inMemory && a.row == nil:
		return false, nil
	case a.row == nil:
		o = -1
	case inMemory:
		o = it.n.order.compare(it.groups[it.at].keys, a.row)
	}
	if o <= 0 {
		g := it.groups[it.at]
		it.at++
		if o == 0 {
			if err := it.gatherAside(g); err != nil {
				return false, err
			}
		}
		return true, it.result(g)
	}
	mem := it.mem
	g, err := it.newGroup(ownRow(a.row[:len(it.n.by)]))
	if err != nil {
		return false, err
	}
	if err := it.gatherAside(g); err != nil {
		it.drop(g)
		return false, err
	}
	a.before = it.mem - mem
	return true, it.result(g)
}

// gatherAside gives a group its rows that were put aside, which are the next.
func (it *aggregateIter) gatherAside(g *group) error {
	a := &it.aside
	var err error
	for a.row != nil && it.n.order.compare(a.row, g.keys) == 0 {
		if err := it.stepAside(g, a.row[len(it.n.by):]); err != nil {
			return err
		}
		if _, err := it.spillCollected(); err != nil {
			return err
		}
		if a.row, err = a.rows.next(); err != nil {
			return err
		}
	}
	return nil
}

// stepAside is step for a row that was put aside; row begins with the bare
// columns.
func (it *aggregateIter) stepAside(g *group, row []value.Value) error {
	for i, s := range it.n.bare {
		it.f.regs[s] = row[i]
	}
	row = row[len(it.n.bare):]
	if g.bare == nil {
		if err := it.saveBare(g); err != nil {
			return err
		}
	}
	for i, call := range it.n.calls {
		nArgs := len(call.args)
		takes, args, all := row[0].Int() == 1, row[1:1+nArgs], row[1:1+nArgs+len(call.order)]
		row = row[1+len(all):]
		if !takes {
			continue
		}
		took, err := it.feed(g, i, args, func() ([]value.Value, error) { return all, nil })
		if err != nil {
			return err
		}
		if took && i == it.n.decide {
			if err := it.saveBare(g); err != nil {
				return err
			}
		}
	}
	return nil
}
