package exec

import (
	"cmp"
	"math"
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

// prefix returns the value's value.Prefix as the key orders it: NULLs where they
// belong, descending the other way round.
func (k *sortKey) prefix(v value.Value) uint64 {
	switch {
	case v.IsNull() && k.nullsLast:
		return math.MaxUint64
	case v.IsNull():
		return 0
	case k.desc:
		return ^value.Prefix(v, k.coll)
	}
	return value.Prefix(v, k.coll)
}

// prefixAfter is prefix of a text or blob without its first bytes.
func (k *sortKey) prefixAfter(v value.Value, skip int) uint64 {
	switch {
	case skip == 0:
	case v.Kind() == value.Text:
		v = value.NewText(v.Str()[skip:])
	default:
		v = value.NewBlob(v.Str()[skip:])
	}
	return k.prefix(v)
}

// sortNode sorts the rows of in, which lie in the registers save. With a limit
// it keeps no more rows than that.
type sortNode struct {
	in     node
	keys   []sortKey
	save   []int
	limit  *limitNode
	unique bool // of rows that sort alike the first stays; there is no limit
}

type sortIter struct {
	n    *sortNode
	f    *frame
	list sortList
	seq  int // rows that have come
	mem  int64
	at   int // the next one to give

	slab []value.Value // room for the next rows

	// Where rows are unique:
	crowdedAt int             // before more rows come these many are made so
	spare     [][]value.Value // room of rows that went
	others    [][]value.Value // what list.rows was before
	last      []value.Value   // that was given

	files *merger // of the rows that did not fit into memory, or nil
}

func (n *sortNode) open(f *frame) (iter, error) {
	it := &sortIter{n: n, f: f, crowdedAt: crowdedMin}
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
	it.list.sortOrder = it.n.order()
	it.topOf(in, keep)
	for crowded := true; crowded; {
		crowded = false
		err = walk(it.f, in, true, func() (bool, error) {
			it.seq++
			if keep >= 0 && int64(len(it.list.rows)) >= keep {
				crowded = it.replace()
				return keep > 0 && !crowded, nil
			}
			crowded = it.add()
			if int64(len(it.list.rows)) == keep {
				it.list.limit()
			}
			return !crowded, nil
		})
		if err == nil && crowded { // the walk has ended for that: in it, nothing can be written
			err = it.makeRoom()
		}
		if err != nil {
			return err
		}
	}
	if it.files == nil {
		it.sort()
		return nil
	}
	if err := it.spill(); err != nil {
		return err
	}
	return it.files.merge()
}

// sort sorts the rows in memory.
func (it *sortIter) sort() {
	it.list.sort()
	if it.n.unique {
		it.unify()
	}
}

// makeRoom drops rows that are alike, or spills all.
func (it *sortIter) makeRoom() error {
	full := it.f.keep(0, it.mem)
	if it.n.unique {
		n := len(it.list.rows)
		it.sort()
		it.crowdedAt = max(crowdedMin, 2*len(it.list.rows))
		if !full || len(it.list.rows) <= n/2 {
			return nil
		}
	}
	return it.spill()
}

// add keeps the row in the registers. crowded: room is to be made.
func (it *sortIter) add() (crowded bool) {
	row := it.room()
	for i, s := range it.n.save {
		row[i] = record.Own(it.f.regs[s])
	}
	it.list.add(row)
	n := rowSize(row)
	it.mem += n
	full := it.f.keep(n, it.mem)
	return full || it.n.unique && len(it.list.rows) >= it.crowdedAt
}

// slabRows is for how many rows room is made at once, at most.
const slabRows = 64

// room returns room for a row.
func (it *sortIter) room() []value.Value {
	if last := len(it.spare) - 1; last >= 0 {
		row := it.spare[last]
		it.spare = it.spare[:last]
		return row
	}
	width := len(it.n.save)
	if len(it.slab) < width {
		it.slab = make([]value.Value, width*min(len(it.list.rows)+1, slabRows))
	}
	row := it.slab[:width:width]
	it.slab = it.slab[width:]
	return row
}

// prefix returns that of the row in the registers.
func (it *sortIter) prefix() uint64 {
	first := &it.n.keys[0]
	return first.prefix(it.f.regs[first.slot])
}

// replace puts the row in the registers in the place of the last one of the
// heap, if it sorts before it. crowded: room is to be made.
func (it *sortIter) replace() (crowded bool) {
	if len(it.list.rows) == 0 {
		return false
	}
	prefix, last := it.prefix(), it.list.get(0)
	o := cmp.Compare(prefix, it.list.order[0].prefix)
	for i := 0; i < len(it.n.keys) && o == 0; i++ {
		o = it.n.keys[i].order(it.f.regs[it.n.keys[i].slot], last[it.list.at[i]])
	}
	if o >= 0 { // rows that sort alike stay in their order
		return false
	}
	n := -rowSize(last)
	for i, s := range it.n.save {
		last[i] = record.Own(it.f.regs[s])
	}
	n += rowSize(last)
	it.list.replaced(prefix, it.seq)
	it.mem += n
	return it.f.keep(n, it.mem)
}

// rowSize estimates the bytes that a row takes in a list of rows.
func rowSize(row []value.Value) int64 {
	n := int64(len(row)*valueSize + 48)
	for _, v := range row {
		n += int64(len(v.Str()))
	}
	return n
}

// order is that of saved rows.
func (n *sortNode) order() (o sortOrder) {
	for _, k := range n.keys {
		o.add(k, slices.Index(n.save, k.slot))
	}
	return o
}

func (it *sortIter) next() (bool, error) {
	if it.files != nil {
		return it.nextMerged()
	}
	if it.at >= len(it.list.rows) {
		return false, nil
	}
	row := it.list.get(it.at)
	for i, s := range it.n.save {
		it.f.regs[s] = row[i]
	}
	it.at++
	return true, it.f.tick()
}

func (it *sortIter) close() {
	it.files.close()
	it.list.clear()
	it.list.release()
	it.slab, it.spare, it.others, it.last = nil, nil, nil, nil
	it.f.release(it.mem)
	it.mem = 0
}
