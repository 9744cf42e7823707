package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
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
	rows [][]value.Value
	mem  int64
	at   int
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
	keyAt := it.keyPositions()
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
		n := rowSize(row)
		it.mem += n
		if err := it.f.hold(n); err != nil {
			return err
		}
		if keep >= 0 && int64(len(it.rows)) > 2*keep+1024 {
			it.sort(keyAt)
			it.drop(int(keep))
		}
	}
	it.sort(keyAt)
	return nil
}

func rowSize(row []value.Value) int64 {
	n := int64(len(row)*valueSize + 24)
	for _, v := range row {
		n += int64(len(v.Str()))
	}
	return n
}

func (it *sortIter) drop(keep int) {
	for i := keep; i < len(it.rows); i++ {
		n := rowSize(it.rows[i])
		it.mem -= n
		it.f.release(n)
		it.rows[i] = nil
	}
	it.rows = it.rows[:keep]
}

// keyPositions maps the sort keys to positions in a saved row.
func (it *sortIter) keyPositions() []int {
	at := make([]int, len(it.n.keys))
	for i := range it.n.keys {
		at[i] = slices.Index(it.n.save, it.n.keys[i].slot)
	}
	return at
}

func (it *sortIter) sort(at []int) {
	slices.SortStableFunc(it.rows, func(a, b []value.Value) int {
		for i := range it.n.keys {
			if o := it.n.keys[i].order(a[at[i]], b[at[i]]); o != 0 {
				return o
			}
		}
		return 0
	})
}

func (it *sortIter) next() (bool, error) {
	if it.at >= len(it.rows) {
		return false, nil
	}
	for i, s := range it.n.save {
		it.f.regs[s] = it.rows[it.at][i]
	}
	it.at++
	return true, it.f.tick()
}

func (it *sortIter) close() {
	clear(it.rows)
	it.rows = nil
	it.f.release(it.mem)
	it.mem = 0
}
