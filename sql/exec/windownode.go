package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// windowNode sorts its rows by partition and order, and gives them with the
// results of the functions of one windowGroup.
type windowNode struct {
	in        node
	save      []int // registers of a row
	partition sortOrder
	order     sortOrder // within a partition
	both      sortOrder
	calls     []placedCall
}

// placedCall is a call whose arguments lie in the saved row.
type placedCall struct {
	*windowCall
	args   []int
	filter int // −1: none
}

func newWindowNode(in node, g *windowGroup, placed *projectNode, rows []int) *windowNode {
	slices.Sort(rows)
	n := &windowNode{in: in, save: slices.Compact(rows)}
	at := func(x *expr) int { return slices.Index(n.save, placed.slotOf(x)) }
	for _, x := range g.partition {
		n.partition.add(sortKey{coll: x.coll}, at(x))
		n.both.add(sortKey{coll: x.coll}, at(x))
	}
	for _, k := range g.order {
		n.order.add(k, at(k.x))
		n.both.add(k, at(k.x))
	}
	for _, call := range g.calls {
		p := placedCall{windowCall: call, filter: -1}
		for _, x := range call.args {
			p.args = append(p.args, at(x))
		}
		if call.filter != nil {
			p.filter = at(call.filter)
		}
		n.calls = append(n.calls, p)
	}
	return n
}

type windowIter struct {
	n      *windowNode
	f      *frame
	sorted *rowSorter
	ahead  []value.Value // the first row after those of part, nil behind the last
	at     int           // in part
	part   *partition    // nil before the first
}

func (n *windowNode) open(f *frame) (iter, error) {
	it := &windowIter{n: n, f: f}
	if err := it.fill(); err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

func (it *windowIter) fill() error {
	in, err := it.n.in.open(it.f)
	if err != nil {
		return err
	}
	defer in.close()
	it.sorted = newRowSorter(it.f, it.n.both)
	for {
		ok, err := in.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := it.f.tick(); err != nil {
			return err
		}
		row := make([]value.Value, len(it.n.save))
		for i, s := range it.n.save {
			row[i] = it.f.regs[s]
		}
		if err := it.sorted.add(row); err != nil {
			return err
		}
	}
	if err := it.sorted.sort(); err != nil {
		return err
	}
	it.ahead, err = it.sorted.next()
	return err
}

func (it *windowIter) next() (bool, error) {
	if it.part == nil || it.at >= it.part.n {
		if it.ahead == nil {
			return false, nil
		}
		if err := it.nextPartition(); err != nil {
			return false, err
		}
	}
	for j := range it.part.runs {
		v, err := it.part.runs[j].value(it.at)
		if err != nil {
			return false, err
		}
		it.f.regs[it.n.calls[j].slot] = v
	}
	row, err := it.part.row(it.at)
	if err != nil {
		return false, err
	}
	for k, s := range it.n.save {
		it.f.regs[s] = row[k]
	}
	it.at++
	return true, it.f.tick()
}

// nextPartition takes the rows of the next partition.
func (it *windowIter) nextPartition() error {
	it.part.close()
	p := newPartition(it, it.part)
	it.part, it.at = p, 0
	var first []value.Value
	for it.ahead != nil {
		row := it.ahead
		if first != nil && it.n.partition.compare(first, row) != 0 {
			break
		}
		if p.own {
			row = slices.Clone(row)
		}
		if first == nil {
			first = row
		}
		if err := p.add(row); err != nil {
			return err
		}
		var err error
		if it.ahead, err = it.sorted.next(); err != nil {
			return err
		}
	}
	return p.end()
}

func (it *windowIter) close() {
	it.part.close()
	it.part, it.ahead = nil, nil
	it.sorted.close()
}
