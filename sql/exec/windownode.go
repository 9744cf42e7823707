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
	n      *windowNode
	f      *frame
	sorted *rowSorter
	ahead  []value.Value   // the first row after those of part, nil behind the last
	rows   [][]value.Value // of part
	mem    int64
	at     int // in rows
	part   *partition
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
	it.sorted = newRowSorter(it.f, func(a, b []value.Value) int {
		if o := it.n.comparePartition(a, b); o != 0 {
			return o
		}
		return it.n.compareOrder(a, b)
	})
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
	for k, s := range it.n.save {
		it.f.regs[s] = it.rows[it.at][k]
	}
	it.at++
	return true, it.f.tick()
}

// nextPartition takes the rows of the next partition, which are in memory
// together.
func (it *windowIter) nextPartition() error {
	it.dropPartition()
	filed := it.sorted.files != nil
	for first := true; it.ahead != nil; first = false {
		if !first && it.n.comparePartition(it.rows[0], it.ahead) != 0 {
			break
		}
		row := it.ahead
		if filed {
			row = slices.Clone(row)
			if err := it.hold(rowSize(row)); err != nil {
				return err
			}
		}
		it.rows = append(it.rows, row)
		var err error
		if it.ahead, err = it.sorted.next(); err != nil {
			return err
		}
	}
	it.part = newPartition(it, it.rows)
	return it.hold(it.part.size())
}

func (it *windowIter) dropPartition() {
	clear(it.rows)
	it.rows, it.part, it.at = it.rows[:0], nil, 0
	it.f.release(it.mem)
	it.mem = 0
}

func (it *windowIter) close() {
	it.dropPartition()
	it.rows, it.ahead = nil, nil
	it.sorted.close()
}

// partition is the rows of one partition in their order.
type partition struct {
	it    *windowIter
	rows  [][]value.Value
	peers []int // for each row the index of its group of peers
	heads []int // the first row of each group; one more for the end
	runs  []windowRun
}

func newPartition(it *windowIter, rows [][]value.Value) *partition {
	p := &partition{it: it, rows: rows, peers: make([]int, len(rows))}
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

func (p *partition) size() int64 { return int64(16*len(p.rows) + 64) }

// group returns the peers of row i: [from, to).
func (p *partition) group(i int) (from, to int) {
	g := p.peers[i]
	return p.heads[g], p.heads[g+1]
}
