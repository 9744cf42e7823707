package exec

import (
	"container/heap"

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
	waiting waitingRows
	seq     int
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
	it := &orderedIter{n: n, recursiveIter: recursiveIter{n: n.recursiveNode, f: f, seen: map[string]struct{}{}, stays: true}}
	it.waiting.n = n
	return it, nil
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
	if it.current = len(it.waiting.rows) > 0; !it.current {
		return false, nil
	}
	w, _ := heap.Pop(&it.waiting).(waitingRow)
	for i, s := range it.n.rec.slots {
		it.f.regs[s] = w.row[i]
		it.f.regs[it.n.out[i]] = w.row[i]
	}
	size := rowSize(w.row)
	it.mem -= size
	it.f.release(size)
	return true, it.f.tick()
}

// take puts all rows of a query into the queue.
func (it *orderedIter) take(q *query) error {
	it.from = q.out
	return q.each(it.f, func() error {
		if _, err := it.enqueue(); err != nil {
			return err
		}
		for _, row := range it.queue {
			it.seq++
			heap.Push(&it.waiting, waitingRow{row, it.seq})
		}
		it.queue = it.queue[:0]
		return it.f.tick()
	})
}

func (it *orderedIter) close() {
	clear(it.waiting.rows)
	it.waiting.rows = nil
	it.recursiveIter.close()
}

type waitingRow struct {
	row []value.Value
	seq int
}

// waitingRows is a heap.
type waitingRows struct {
	n    *orderedNode
	rows []waitingRow
}

func (w *waitingRows) Len() int      { return len(w.rows) }
func (w *waitingRows) Swap(i, j int) { w.rows[i], w.rows[j] = w.rows[j], w.rows[i] }

func (w *waitingRows) Push(x any) {
	if r, ok := x.(waitingRow); ok { // nothing else is pushed
		w.rows = append(w.rows, r)
	}
}

func (w *waitingRows) Pop() any {
	last := len(w.rows) - 1
	x := w.rows[last]
	w.rows[last] = waitingRow{}
	w.rows = w.rows[:last]
	return x
}

func (w *waitingRows) Less(i, j int) bool {
	a, b := &w.rows[i], &w.rows[j]
	for k := range w.n.keys {
		at := w.n.keyPos[k]
		if o := w.n.keys[k].order(a.row[at], b.row[at]); o != 0 {
			return o < 0
		}
	}
	return a.seq < b.seq
}
