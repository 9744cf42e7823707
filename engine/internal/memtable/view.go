package memtable

import (
	"slices"

	"github.com/google/btree"
)

// View is the table at the moment of [Table.Snapshot]. Safe for concurrent use,
// also beside later writes to the table.
type View struct {
	tree   *btree.BTreeG[item]
	shared *shared
	len    int
}

// Len returns the number of keys, tombstones included.
func (v *View) Len() int { return v.len }

// Get returns the newest entry of a key. The value aliases the arena: it is
// valid until the table is freed, and reads as zeros after a wipe. A wiped
// table has no keys.
func (v *View) Get(key []byte) (value []byte, kind Kind, found bool) {
	if len(key) < CollectionSize || len(key) > KeySizeMax || v.shared.arena.wiped.Load() {
		return nil, 0, false
	}
	pivot := v.shared.pivots.take(key)
	it, found := v.tree.Get(pivot)
	v.shared.pivots.give(pivot)
	if !found || v.shared.arena.wiped.Load() {
		return nil, 0, false
	}
	return v.shared.value(it), it.kind, true
}

// NewIter returns an iterator that stands nowhere yet.
func (v *View) NewIter() *Iter {
	i := &Iter{view: v}
	i.window = i.small[:0]
	i.collect = func(it item) bool {
		if i.skip != nil && it == *i.skip {
			return true
		}
		i.window = append(i.window, it)
		return len(i.window) < cap(i.window)
	}
	return i
}

// Sizes of the window in items. A short scan pays for few.
const (
	windowSizeMin = 4
	windowSizeMax = 64
)

// Iter walks a view in key order, both ways. google/btree calls back and has no
// cursor, so items are fetched in windows that grow as a scan goes on. Not safe
// for concurrent use.
type Iter struct {
	view    *View
	window  []item // consecutive, ascending
	at      int    // index in the window
	valid   bool
	err     error
	size    int // of the next window, in items
	skip    *item
	last    item // skip points to it
	collect func(item) bool
	small   [windowSizeMin]item
}

// First moves to the first entry and reports whether there is one.
func (i *Iter) First() bool {
	return i.fetch(true, func() { i.view.tree.Ascend(i.collect) })
}

// Last moves to the last entry and reports whether there is one.
func (i *Iter) Last() bool {
	return i.fetch(false, func() { i.view.tree.Descend(i.collect) })
}

// SeekGE moves to the first entry at or above an internal key and reports
// whether there is one.
func (i *Iter) SeekGE(key []byte) bool {
	pivot := i.view.shared.pivots.take(key)
	defer i.view.shared.pivots.give(pivot)
	return i.fetch(true, func() { i.view.tree.AscendGreaterOrEqual(pivot, i.collect) })
}

// SeekLT moves to the last entry below an internal key and reports whether
// there is one.
func (i *Iter) SeekLT(key []byte) bool {
	pivot := i.view.shared.pivots.take(key)
	defer i.view.shared.pivots.give(pivot)
	if at, found := i.view.tree.Get(pivot); found {
		i.last, i.skip = at, &i.last
	}
	return i.fetch(false, func() { i.view.tree.DescendLessOrEqual(pivot, i.collect) })
}

// Next moves to the next entry and reports whether there is one. An iterator
// that is not valid stays so.
func (i *Iter) Next() bool {
	if !i.valid {
		return false
	}
	if i.at+1 < len(i.window) {
		i.at++
		return true
	}
	i.last, i.skip = i.window[i.at], &i.last
	i.grow()
	return i.refetch(true, func() { i.view.tree.AscendGreaterOrEqual(i.last, i.collect) })
}

// Prev moves to the entry before and reports whether there is one. An iterator
// that is not valid stays so.
func (i *Iter) Prev() bool {
	if !i.valid {
		return false
	}
	if i.at > 0 {
		i.at--
		return true
	}
	i.last, i.skip = i.window[0], &i.last
	i.grow()
	return i.refetch(false, func() { i.view.tree.DescendLessOrEqual(i.last, i.collect) })
}

// Valid reports whether the iterator stands on an entry.
func (i *Iter) Valid() bool { return i.valid }

// Key returns the internal key; it aliases the arena. nil when not valid.
func (i *Iter) Key() []byte {
	if !i.valid {
		return nil
	}
	return i.view.shared.key(i.window[i.at])
}

// Kind returns the entry's kind, 0 when not valid.
func (i *Iter) Kind() Kind {
	if !i.valid {
		return 0
	}
	return i.window[i.at].kind
}

// Value returns the entry's value; it aliases the arena. The error is ErrWiped
// after a wipe.
func (i *Iter) Value() ([]byte, error) {
	if !i.valid {
		return nil, i.err
	}
	v := i.view.shared.value(i.window[i.at])
	if i.view.shared.arena.wiped.Load() {
		return nil, ErrWiped
	}
	return v, nil
}

// Err returns ErrWiped when the table was wiped below the iterator.
func (i *Iter) Err() error { return i.err }

// Close drops what the iterator holds. It is not valid afterwards.
func (i *Iter) Close() error {
	clear(i.window)
	i.window, i.valid, i.last = nil, false, item{}
	return i.err
}

// fetch fills the window anew for a seek, beginning small.
func (i *Iter) fetch(ascending bool, walk func()) bool {
	i.size = windowSizeMin
	i.window = i.small[:0]
	return i.refetch(ascending, walk)
}

// grow makes the next window four times as large. The old one is reused when it
// has its full size.
func (i *Iter) grow() {
	i.size = min(4*i.size, windowSizeMax)
	if cap(i.window) < i.size {
		i.window = make([]item, 0, i.size)
	}
}

// refetch fills the window by one walk of the tree. After a wipe the order of
// the tree means nothing any more: then it ends the iteration.
func (i *Iter) refetch(ascending bool, walk func()) bool {
	i.window = i.window[:0]
	i.valid = false
	arena := &i.view.shared.arena
	if !arena.wiped.Load() {
		walk()
	}
	i.skip = nil
	if arena.wiped.Load() {
		i.err = ErrWiped
		return false
	}
	if len(i.window) == 0 {
		return false
	}
	i.at = 0
	if !ascending {
		slices.Reverse(i.window)
		i.at = len(i.window) - 1
	}
	i.valid = true
	return true
}
