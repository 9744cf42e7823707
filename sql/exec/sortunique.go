package exec

import "slices"

// crowdedMin is how many rows a sort that keeps unique rows takes before it drops
// those that are not. Later it does so whenever their number has doubled, so that
// it holds no more than twice as many as stay.
const crowdedMin = 2 * distinctFew

// dropAlike has the sort drop the rows that are alike, when it compares what a
// node below compares, which does it for a few from then on.
func (s *sortNode) dropAlike() {
	d, ok := s.in.(*distinctNode)
	if !ok || d.sorted || s.limit != nil {
		return
	}
	if slices.ContainsFunc(s.keys, func(k sortKey) bool { return !slices.Contains(d.slots, k.slot) }) {
		return
	}
	for i, slot := range d.slots {
		of := func(k sortKey) bool { return k.slot == slot }
		other := func(k sortKey) bool { return of(k) && k.coll != d.colls[i] }
		if !slices.ContainsFunc(s.keys, of) || slices.ContainsFunc(s.keys, other) {
			return
		}
	}
	d.few, s.unique = true, true
}

// unify drops the rows in memory, which are sorted, that sort like one before. The
// others lie in their order afterwards.
func (it *sortIter) unify() {
	l := &it.list
	rows, freed := it.others[:0], int64(0)
	for i := range l.order {
		row := l.get(i)
		if n := len(rows); n > 0 && l.order[i-1].prefix == l.order[i].prefix && l.compare(rows[n-1], row) == 0 {
			freed += rowSize(row)
			clear(row)
			it.spare = append(it.spare, row)
			continue
		}
		rows = append(rows, row)
	}
	clear(l.rows)
	l.rows, it.others = rows, l.rows
	l.order = l.order[:0]
	for i, row := range rows {
		l.order = append(l.order, sortEntry{l.prefix(row), uint32(i)})
	}
	it.mem -= freed
	it.f.shrink(freed)
}
