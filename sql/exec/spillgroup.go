package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// What GROUP BY does when its groups do not fit into memory: those that are
// there stay and take their rows; rows of others are put aside, with all that
// the calls need, and sorted by their keys. In the end both kinds of groups are
// merged, in the order of their keys.

// asideRows are the rows of groups that are not in memory.
type asideRows struct {
	full   bool // no more groups are made in memory
	spill  bool // rows is to be spilled
	rows   *rowSorter
	row    []value.Value // the first one of the next group, nil behind the last
	next   *group        // the next one, nil if it was not made yet
	mem    int64         // of next
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
	for i := range row {
		if !row[i].IsJSON() {
			row[i] = record.Own(row[i])
		} else { // a function made it: it aliases nothing, and stays JSON
			row[i] = value.NewJSON(strings.Clone(row[i].Str()))
		}
	}
	if it.aside.rows == nil {
		it.aside.rows = newRowSorter(f, func(a, b []value.Value) int { return it.n.orderKeys(a, b) })
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
	if a.next == nil && a.row != nil {
		mem := it.mem
		if err := it.gatherAside(); err != nil {
			return false, err
		}
		a.mem = it.mem - mem
	}
	if it.at < len(it.groups) && (a.next == nil || it.n.orderKeys(it.groups[it.at].keys, a.next.keys) < 0) {
		it.at++
		return true, it.result(it.groups[it.at-1])
	}
	if a.next == nil {
		return false, nil
	}
	g := a.next
	a.next, a.before = nil, a.mem
	return true, it.result(g)
}

// gatherAside makes the group of the next rows that were put aside.
func (it *aggregateIter) gatherAside() error {
	a := &it.aside
	g, err := it.newGroup(ownRow(a.row[:len(it.n.by)]))
	if err != nil {
		return err
	}
	for a.row != nil && it.n.orderKeys(a.row, g.keys) == 0 {
		if err := it.stepAside(g, a.row[len(it.n.by):]); err != nil {
			return err
		}
		if a.row, err = a.rows.next(); err != nil {
			return err
		}
	}
	a.next = g
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
		again, err := it.again(g, i, args)
		if err != nil {
			return err
		}
		if again {
			continue
		}
		if len(call.order) > 0 {
			if err := it.keepOrdered(g, i, ownRow(all)); err != nil {
				return err
			}
			continue
		}
		took, err := g.accs[i].step(args)
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
