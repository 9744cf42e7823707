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
	partition []windowKey
	order     []sortKey
	orderAt   []int // positions of order in a saved row
	calls     []placedCall
}

type windowKey struct {
	at   int // in a saved row
	coll value.Collation
}

// placedCall is a call whose arguments lie in the saved row.
type placedCall struct {
	*windowCall
	args   []int
	filter int // −1: none
}

func newWindowNode(in node, g *windowGroup, placed *projectNode, rows []int) *windowNode {
	slices.Sort(rows)
	n := &windowNode{in: in, save: slices.Compact(rows), order: g.order}
	at := func(x *expr) int { return slices.Index(n.save, placed.slotOf(x)) }
	for _, x := range g.partition {
		n.partition = append(n.partition, windowKey{at(x), x.coll})
	}
	for _, k := range g.order {
		n.orderAt = append(n.orderAt, at(k.x))
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
	n    *windowNode
	f    *frame
	rows [][]value.Value
	mem  int64
	at   int
	part *partition
}

func (n *windowNode) open(f *frame) (iter, error) {
	it := &windowIter{n: n, f: f}
	if err := it.fill(); err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

func (it *windowIter) hold(n int64) error {
	it.mem += n
	return it.f.hold(n)
}

func (it *windowIter) fill() error {
	in, err := it.n.in.open(it.f)
	if err != nil {
		return err
	}
	defer in.close()
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
		it.rows = append(it.rows, row)
		if err := it.hold(rowSize(row)); err != nil {
			return err
		}
	}
	slices.SortStableFunc(it.rows, func(a, b []value.Value) int {
		if o := it.n.comparePartition(a, b); o != 0 {
			return o
		}
		return it.n.compareOrder(a, b)
	})
	return nil
}

func (n *windowNode) comparePartition(a, b []value.Value) int {
	for _, k := range n.partition {
		if o := compare(a[k.at], b[k.at], k.coll); o != 0 {
			return o
		}
	}
	return 0
}

func (n *windowNode) compareOrder(a, b []value.Value) int {
	for i := range n.order {
		if o := n.order[i].order(a[n.orderAt[i]], b[n.orderAt[i]]); o != 0 {
			return o
		}
	}
	return 0
}

func (it *windowIter) next() (bool, error) {
	if it.at >= len(it.rows) {
		return false, nil
	}
	if it.part == nil || it.at >= it.part.end() {
		if err := it.nextPartition(); err != nil {
			return false, err
		}
	}
	p := it.part
	i := it.at - p.first
	for j := range p.runs {
		v, err := p.runs[j].value(i)
		if err != nil {
			return false, err
		}
		it.f.regs[it.n.calls[j].slot] = v
	}
	for k, s := range it.n.save {
		it.f.regs[s] = it.rows[it.at][k]
	}
	it.at++
	return true, it.f.tick()
}

func (it *windowIter) nextPartition() error {
	if it.part != nil {
		n := it.part.size()
		it.mem -= n
		it.f.release(n)
	}
	end := it.at + 1
	for end < len(it.rows) && it.n.comparePartition(it.rows[it.at], it.rows[end]) == 0 {
		end++
	}
	it.part = newPartition(it, it.at, it.rows[it.at:end])
	return it.hold(it.part.size())
}

func (it *windowIter) close() {
	clear(it.rows)
	it.rows, it.part = nil, nil
	it.f.release(it.mem)
	it.mem = 0
}

// partition is the rows of one partition in their order.
type partition struct {
	it    *windowIter
	first int // index of its first row among all
	rows  [][]value.Value
	peers []int // for each row the index of its group of peers
	heads []int // the first row of each group; one more for the end
	runs  []windowRun
}

func newPartition(it *windowIter, first int, rows [][]value.Value) *partition {
	p := &partition{it: it, first: first, rows: rows, peers: make([]int, len(rows))}
	for i := range rows {
		if i == 0 || it.n.compareOrder(rows[i-1], rows[i]) != 0 {
			p.heads = append(p.heads, i)
		}
		p.peers[i] = len(p.heads) - 1
	}
	p.heads = append(p.heads, len(rows))
	for j := range it.n.calls {
		p.runs = append(p.runs, windowRun{p: p, call: &it.n.calls[j]})
	}
	return p
}

func (p *partition) end() int { return p.first + len(p.rows) }

func (p *partition) size() int64 { return int64(16*len(p.rows) + 64) }

// group returns the peers of row i: [from, to).
func (p *partition) group(i int) (from, to int) {
	g := p.peers[i]
	return p.heads[g], p.heads[g+1]
}
