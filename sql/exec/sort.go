package exec

import (
	"container/heap"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// sortKey is one term of ORDER BY.
type sortKey struct {
	x         *expr
	slot      int
	coll      value.Collation
	desc      bool
	nullsLast bool
}

func newSortKey(x *expr, t *ast.OrderingTerm) sortKey {
	x.missing.need()
	k := sortKey{x: x, coll: x.coll, desc: t.Order == ast.SortDesc}
	k.nullsLast = k.desc // NULLs are the smallest values
	switch t.Nulls {
	case ast.NullsFirst:
		k.nullsLast = false
	case ast.NullsLast:
		k.nullsLast = true
	default:
	}
	return k
}

func (k *sortKey) order(a, b value.Value) int {
	if a.IsNull() || b.IsNull() {
		o := 0
		switch {
		case !b.IsNull():
			o = -1
		case !a.IsNull():
			o = 1
		}
		if k.nullsLast {
			return -o
		}
		return o
	}
	o := compare(a, b, k.coll)
	if k.desc {
		return -o
	}
	return o
}

// sortNode sorts the rows of in, which lie in the registers save. With a limit
// it keeps no more rows than that.
type sortNode struct {
	in    node
	keys  []sortKey
	save  []int
	limit *limitNode
}

type sortIter struct {
	n    *sortNode
	f    *frame
	keys []int // positions of the sort keys in a saved row
	rows []sortRow
	seq  int
	mem  int64
	at   int

	files *merger // of the rows that did not fit into memory, or nil
}

// sortRow is a row with its place among rows that sort alike.
type sortRow struct {
	vals []value.Value
	seq  int
}

func (n *sortNode) open(f *frame) (iter, error) {
	it := &sortIter{n: n, f: f}
	err := it.fill()
	if err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

func (it *sortIter) fill() error {
	keep := int64(-1)
	if it.n.limit != nil {
		count, offset, err := it.n.limit.bounds(it.f)
		if err != nil {
			return err
		}
		if count >= 0 && count+offset >= 0 {
			keep = count + offset
		}
	}
	in, err := it.n.in.open(it.f)
	if err != nil {
		return err
	}
	defer in.close()
	it.keys = it.keyPositions()
	it.topOf(in, keep)
	for full := true; full; {
		full = false
		err = walk(it.f, in, true, func() (bool, error) {
			it.seq++
			if keep >= 0 && int64(len(it.rows)) >= keep {
				full = it.replace()
				return keep > 0 && !full, nil
			}
			full = it.add()
			if int64(len(it.rows)) == keep {
				heap.Init((*sortHeap)(it))
			}
			return !full, nil
		})
		if err == nil && full { // the walk has ended for that: in it, nothing can be written
			err = it.spill()
		}
		if err != nil {
			return err
		}
	}
	if it.files == nil {
		slices.SortFunc(it.rows, it.order)
		return nil
	}
	if err := it.spill(); err != nil {
		return err
	}
	return it.files.merge()
}

// add keeps the row in the registers. full: the rows are to be spilled.
func (it *sortIter) add() (full bool) {
	row := make([]value.Value, len(it.n.save))
	for i, s := range it.n.save {
		row[i] = record.Own(it.f.regs[s])
	}
	it.rows = append(it.rows, sortRow{row, it.seq})
	n := rowSize(row)
	it.mem += n
	return it.f.keep(n, it.mem)
}

// replace puts the row in the registers in the place of the last one of the
// heap, if it sorts before it. full: the rows are to be spilled.
func (it *sortIter) replace() (full bool) {
	if len(it.rows) == 0 {
		return false
	}
	last := it.rows[0].vals
	o := 0
	for i := range it.n.keys {
		if o = it.n.keys[i].order(it.f.regs[it.n.keys[i].slot], last[it.keys[i]]); o != 0 {
			break
		}
	}
	if o >= 0 { // rows that sort alike stay in their order
		return false
	}
	n := -rowSize(last)
	for i, s := range it.n.save {
		last[i] = record.Own(it.f.regs[s])
	}
	it.rows[0].seq = it.seq
	n += rowSize(last)
	heap.Fix((*sortHeap)(it), 0)
	it.mem += n
	return it.f.keep(n, it.mem)
}

// sortHeap has the row that sorts last on top.
type sortHeap sortIter

func (h *sortHeap) Len() int           { return len(h.rows) }
func (h *sortHeap) Less(i, j int) bool { return (*sortIter)(h).order(h.rows[i], h.rows[j]) > 0 }
func (h *sortHeap) Swap(i, j int)      { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *sortHeap) Push(any)           {}
func (h *sortHeap) Pop() any           { return nil }

// rowSize estimates the bytes that a row takes in a list of rows.
func rowSize(row []value.Value) int64 {
	n := int64(len(row)*valueSize + 48)
	for _, v := range row {
		n += int64(len(v.Str()))
	}
	return n
}

// keyPositions maps the sort keys to positions in a saved row.
func (it *sortIter) keyPositions() []int {
	at := make([]int, len(it.n.keys))
	for i := range it.n.keys {
		at[i] = slices.Index(it.n.save, it.n.keys[i].slot)
	}
	return at
}

func (it *sortIter) order(a, b sortRow) int {
	for i := range it.n.keys {
		if o := it.n.keys[i].order(a.vals[it.keys[i]], b.vals[it.keys[i]]); o != 0 {
			return o
		}
	}
	return a.seq - b.seq
}

func (it *sortIter) next() (bool, error) {
	if it.files != nil {
		return it.nextMerged()
	}
	if it.at >= len(it.rows) {
		return false, nil
	}
	for i, s := range it.n.save {
		it.f.regs[s] = it.rows[it.at].vals[i]
	}
	it.at++
	return true, it.f.tick()
}

func (it *sortIter) close() {
	it.files.close()
	clear(it.rows)
	it.rows = nil
	it.f.release(it.mem)
	it.mem = 0
}
