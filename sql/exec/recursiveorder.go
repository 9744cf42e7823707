package exec

import (
	stdcmp "cmp"

	"github.com/byokdb/byokdb/sql/value"
)

// orderedNode is a recursive common table expression with ORDER BY: the queue
// gives the least of its rows next, the oldest among equals.
type orderedNode struct {
	*recursiveNode
	keys   []sortKey
	keyPos []int // of the keys in a row
}

type orderedIter struct {
	recursiveIter
	n       *orderedNode
	waiting *rowQueue // of rows with their numbers behind them
	seq     int64
	filled  bool
	current bool // a row was given that the step has not seen
}

func newOrderedNode(n *recursiveNode, keys []sortKey) *orderedNode {
	o := &orderedNode{recursiveNode: n, keys: keys}
	for _, k := range keys {
		for i, slot := range n.out {
			if slot == k.slot {
				o.keyPos = append(o.keyPos, i)
				break
			}
		}
	}
	return o
}

func (n *orderedNode) open(f *frame) (iter, error) {
	it := &orderedIter{n: n, recursiveIter: recursiveIter{n: n.recursiveNode, f: f, seen: newKeySet(f)}}
	it.waiting = newRowQueue(f, n.order)
	return it, nil
}

// order orders the rows of the queue, those that are alike by their numbers.
func (n *orderedNode) order(a, b []value.Value) int {
	for k, at := range n.keyPos {
		if o := n.keys[k].order(a[at], b[at]); o != 0 {
			return o
		}
	}
	return stdcmp.Compare(a[len(a)-1].Int(), b[len(b)-1].Int())
}

func (it *orderedIter) next() (bool, error) {
	if !it.filled {
		it.filled = true
		if err := it.take(it.n.base); err != nil {
			return false, err
		}
	} else if it.current {
		if err := it.take(it.n.step); err != nil {
			return false, err
		}
	}
	row, err := it.waiting.pop()
	if it.current = row != nil; err != nil || !it.current {
		return false, err
	}
	for i, s := range it.n.rec.slots {
		it.f.regs[s] = row[i]
		it.f.regs[it.n.out[i]] = row[i]
	}
	return true, it.f.tick()
}

// take puts all rows of a query into the queue.
func (it *orderedIter) take(q *query) error {
	it.from = q.out
	return q.each(it.f, func() error {
		if fresh, err := it.fresh(); err != nil || !fresh {
			return err
		}
		it.seq++
		row := make([]value.Value, 0, len(it.from)+1)
		for _, s := range it.from {
			row = append(row, it.f.regs[s])
		}
		if err := it.waiting.push(append(row, value.NewInt(it.seq))); err != nil {
			return err
		}
		return it.f.tick()
	})
}

func (it *orderedIter) close() {
	it.waiting.close()
	it.recursiveIter.close()
}
