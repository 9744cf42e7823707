package exec

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// sortList has rows in memory, and sorts them. What is moved when they are sorted
// is small and holds no pointers.
type sortList struct {
	sortOrder
	rows  [][]value.Value // as they came
	order []sortEntry     // of them
	spare []sortEntry     // of the same size, at most

	// With a limit a row takes the place of one that goes, and these say when the
	// rows came. order is a heap then, with the row on top that sorts last.
	came []int
}

// sortEntry is a row of a sortList.
type sortEntry struct {
	prefix uint64 // of its first key, or of what follows in rows that are alike so far
	row    uint32
}

func (l *sortList) add(row []value.Value) {
	l.order = append(l.order, sortEntry{l.prefix(row), uint32(len(l.rows))})
	l.rows = append(l.rows, row)
}

// get returns the row that sorts as number i.
func (l *sortList) get(i int) []value.Value { return l.rows[l.order[i].row] }

// clear forgets all rows.
func (l *sortList) clear() {
	clear(l.rows)
	l.rows, l.order, l.came = l.rows[:0], l.order[:0], l.came[:0]
}

// release drops the room for rows, too.
func (l *sortList) release() { *l = sortList{sortOrder: l.sortOrder} }

// compareEntries orders rows by their prefixes and by all keys; rows that sort
// alike are in the order in which they came.
func (l *sortList) compareEntries(a, b sortEntry) int {
	if a.prefix != b.prefix {
		return cmp.Compare(a.prefix, b.prefix)
	}
	if o := l.compare(l.rows[a.row], l.rows[b.row]); o != 0 {
		return o
	}
	if len(l.came) > 0 {
		return l.came[a.row] - l.came[b.row]
	}
	return int(a.row) - int(b.row)
}

func (l *sortList) sort() {
	if len(l.came) > 0 {
		slices.SortFunc(l.order, l.compareEntries)
		return
	}
	if len(l.keys) == 0 {
		return
	}
	begin := sortPlace{}
	if l.sameHeads() {
		if next, further := l.differ(l.order, begin); further {
			begin = next
			l.prefixesAt(l.order, begin)
		}
	}
	l.sortPart(l.order, begin)
	l.spare = nil
}

// sameHeads reports whether all prefixes begin alike, so that there may be more
// that tells the rows apart behind what they have in common.
func (l *sortList) sameHeads() bool {
	const head = 10 // bits: the class and a byte of text
	if len(l.order) < radixMin {
		return false
	}
	first := l.order[0].prefix >> (64 - head)
	return !slices.ContainsFunc(l.order, func(e sortEntry) bool { return e.prefix>>(64-head) != first })
}

// sortPlace is where rows begin to differ: a key, and how many bytes of it are
// the same in all of them.
type sortPlace struct{ key, skip, depth int }

const (
	radixMin     = 64 // fewer rows are sorted by comparing them
	sortDepthMax = 8  // how often prefixes are taken anew of rows that are alike so far
)

// sortPart sorts rows whose prefixes are of what stands at a place, and which are
// the same before it.
func (l *sortList) sortPart(part []sortEntry, p sortPlace) {
	if p.key == len(l.keys) {
		return // all alike, and in the order in which they came
	}
	if len(part) < radixMin {
		slices.SortFunc(part, l.compareEntries)
		return
	}
	if len(l.spare) < len(part) {
		l.spare = make([]sortEntry, len(part))
	}
	radixSort(part, l.spare)
	for from := 0; from < len(part); {
		to := from + 1
		for to < len(part) && part[to].prefix == part[from].prefix {
			to++
		}
		if to-from > 1 {
			l.sortAlike(part[from:to], p)
		}
		from = to
	}
}

// sortAlike sorts rows that have the same prefix of what stands at a place.
func (l *sortList) sortAlike(part []sortEntry, p sortPlace) {
	if len(part) < radixMin || p.depth == sortDepthMax {
		slices.SortFunc(part, l.compareEntries)
		return
	}
	next, further := l.differ(part, p)
	if !further {
		slices.SortFunc(part, l.compareEntries)
		return
	}
	l.prefixesAt(part, next)
	l.sortPart(part, next)
}

// prefixesAt takes the prefixes of what stands at a place.
func (l *sortList) prefixesAt(part []sortEntry, p sortPlace) {
	if p.key == len(l.keys) {
		return
	}
	k, at := &l.keys[p.key], l.at[p.key]
	for i := range part {
		part[i].prefix = k.prefixAfter(l.rows[part[i].row][at], p.skip)
	}
}

// differ returns the place where rows begin to differ that are the same before p;
// not further: it is p, as far as that can be told.
func (l *sortList) differ(part []sortEntry, p sortPlace) (next sortPlace, further bool) {
	for next = p; next.key < len(l.keys); next.key, next.skip = next.key+1, 0 {
		same, equal := l.common(part, next)
		if !equal {
			further = next.key > p.key || same > next.skip
			return sortPlace{next.key, same, p.depth + 1}, further
		}
	}
	return next, true
}

// common returns how many bytes the texts or blobs of a key have in common, 0 for
// other values and collations, and whether all values are equal.
func (l *sortList) common(part []sortEntry, p sortPlace) (same int, equal bool) {
	k, at := &l.keys[p.key], l.at[p.key]
	first := l.rows[part[0].row][at]
	text := first.Str()
	bytewise := first.Kind() == value.Blob || first.Kind() == value.Text && k.coll == value.Binary
	same, equal = len(text), true
	for _, e := range part[1:] {
		v := l.rows[e.row][at]
		if !bytewise || v.Kind() != first.Kind() {
			if k.order(v, first) != 0 {
				return 0, false
			}
			continue
		}
		same = commonPrefix(text[:same], v.Str())
		equal = equal && same == len(text) && same == len(v.Str())
		if !equal && same <= p.skip {
			return same, false
		}
	}
	return same, equal
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// radixSort sorts by the prefixes, and leaves rows with the same in their order.
// spare has room for as many.
func radixSort(list, spare []sortEntry) {
	const digits = 8
	var counts [digits][256]uint32
	for i := range list {
		p := list[i].prefix
		for d := range digits {
			counts[d][byte(p>>(8*d))]++
		}
	}
	from, to := list, spare[:len(list)]
	for d := range digits {
		c := &counts[d]
		if c[byte(from[0].prefix>>(8*d))] == uint32(len(from)) {
			continue // all the same
		}
		at := uint32(0)
		for i, n := range c {
			c[i], at = at, at+n
		}
		for _, e := range from {
			digit := byte(e.prefix >> (8 * d))
			to[c[digit]] = e
			c[digit]++
		}
		from, to = to, from
	}
	if &from[0] != &list[0] {
		copy(list, from)
	}
}

// sortHeap has the row that sorts last on top.
type sortHeap sortList

func (h *sortHeap) Len() int { return len(h.order) }
func (h *sortHeap) Less(i, j int) bool {
	return (*sortList)(h).compareEntries(h.order[i], h.order[j]) > 0
}
func (h *sortHeap) Swap(i, j int) { h.order[i], h.order[j] = h.order[j], h.order[i] }
func (h *sortHeap) Push(any)      {}
func (h *sortHeap) Pop() any      { return nil }

// limit begins to replace rows by better ones. All rows have come in their order.
func (l *sortList) limit() {
	l.came = l.came[:0]
	for i := range l.rows {
		l.came = append(l.came, i)
	}
	heap.Init((*sortHeap)(l))
}

// replaced is to be called when the row on top of the heap has been overwritten.
func (l *sortList) replaced(prefix uint64, came int) {
	top := &l.order[0]
	top.prefix, l.came[top.row] = prefix, came
	heap.Fix((*sortHeap)(l), 0)
}
