package exec

import (
	"bytes"
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// spanList is the ranges of keys that a scan visits: in memory, or those of an IN
// (SELECT …) that are too many in a sorter.
type spanList struct {
	list     []bounds
	nCounted int   // how many of them are accounted for
	mem      int64 // that they take

	sorter *rowSorter // of rows lo ‖ hi
	last   string     // the last lo of the sorter
	any    bool       // there was one
}

// exact reports whether all rows of the ranges pass the conditions that these were
// made of.
func (l *spanList) exact() bool { return l.sorter == nil && len(l.list) == 1 && l.list[0].exact }

const boundsSize = 80 // bytes beside the two keys

// limit accounts for the ranges that were added to list, and moves the list to
// the sorter when it is long. They count twice: the sorter needs as much.
func (l *spanList) limit(f *frame) error {
	n := int64(0)
	for _, b := range l.list[l.nCounted:] {
		n += int64(len(b.lo) + len(b.hi) + boundsSize)
	}
	l.nCounted, l.mem = len(l.list), l.mem+n
	if !f.keep(n, 2*l.mem) {
		return nil
	}
	return l.spill(f)
}

// spill moves the list to the sorter.
func (l *spanList) spill(f *frame) error {
	if l.sorter == nil {
		l.sorter = newRowSorter(f, ascending(0))
	}
	for i, b := range l.list {
		l.list[i] = bounds{}
		row := []value.Value{value.NewBlob(string(b.lo)), {}}
		if b.hi != nil {
			row[1] = value.NewBlob(string(b.hi))
		}
		l.sorter.put(row)
	}
	l.drop(f)
	return l.sorter.spill()
}

func (l *spanList) drop(f *frame) {
	clear(l.list)
	l.list, l.nCounted = l.list[:0], 0
	f.shrink(l.mem)
	l.mem = 0
}

// sort ends the adding: next gives the ranges in order, each once.
func (l *spanList) sort(f *frame) error {
	if l.sorter == nil {
		slices.SortFunc(l.list, func(a, b bounds) int { return bytes.Compare(a.lo, b.lo) })
		l.list = slices.CompactFunc(l.list, func(a, b bounds) bool { return bytes.Equal(a.lo, b.lo) })
		return nil
	}
	if err := l.spill(f); err != nil {
		return err
	}
	return l.sorter.sort()
}

// next returns the next range; false: there are no more.
func (l *spanList) next() (b bounds, ok bool, err error) {
	if l.sorter != nil {
		return l.nextSorted()
	}
	if len(l.list) == 0 {
		return b, false, nil
	}
	b = l.list[0]
	l.list = l.list[1:]
	return b, true, nil
}

func (l *spanList) nextSorted() (b bounds, ok bool, err error) {
	for {
		row, err := l.sorter.next()
		if err != nil || row == nil {
			return b, false, err
		}
		if l.any && row[0].Str() == l.last {
			continue
		}
		l.last, l.any = row[0].Str(), true
		b.lo = []byte(l.last)
		if !row[1].IsNull() {
			b.hi = []byte(row[1].Str())
		}
		return b, true, nil
	}
}

func (l *spanList) close(f *frame) {
	if l.sorter == nil && l.mem == 0 {
		return
	}
	l.drop(f)
	l.sorter.close()
	l.sorter, l.list = nil, nil
}
