package pager

import (
	"encoding/binary"
	"fmt"
)

// Iter walks the entries of a run in the order of their keys, both ways. It
// pins a page of every level of the tree until it is closed. What Key and Value
// return is valid until the iterator moves or is closed. Not safe for
// concurrent use.
type Iter struct {
	r       *Run
	leaf    node   // the page of path's last step; nil when there is none
	i, n    int    // position in leaf, entries of leaf
	entry   []byte // at i, as it is in the leaf
	path    []step
	value   page // of the current entry, when it is large
	scan    *scan
	streams bool // scan.stream is in use
	err     error
	ok      bool // on an entry
	done    bool // closed

	room [4]step // for path: enough for most trees
}

// step is a node on the way from the root to the current leaf.
type step struct {
	p page
	i int // the entry that was taken; of the leaf, unused
}

// NewIter returns an iterator that is on no entry. It must be closed, before the
// run is.
func (r *Run) NewIter() *Iter {
	it := &Iter{r: r}
	it.path = it.room[:0]
	return it
}

// NewScan is NewIter for a reader that goes through the run once, as a merge
// does: pages that are not in the cache are read past it, into memory of the
// iterator's own, so that nothing that others use is pushed out.
func (r *Run) NewScan() *Iter {
	it := r.NewIter()
	it.scan = &scan{past: true}
	return it
}

// First moves to the first entry and reports whether there is one.
func (it *Iter) First() bool { return it.start() && it.walk(it.r.t.root, true) }

// Last moves to the last entry and reports whether there is one.
func (it *Iter) Last() bool { return it.start() && it.walk(it.r.t.root, false) }

// SeekGE moves to the first entry whose key is at least key and reports whether
// there is one.
func (it *Iter) SeekGE(key []byte) bool {
	if !it.seek(key) {
		return false
	}
	if it.i == it.n {
		return it.leave(true)
	}
	it.place(it.i)
	return true
}

// SeekLT moves to the last entry whose key is less than key and reports whether
// there is one.
func (it *Iter) SeekLT(key []byte) bool {
	if !it.seek(key) {
		return false
	}
	if it.i == 0 {
		return it.leave(false)
	}
	it.place(it.i - 1)
	return true
}

// Next moves to the next entry and reports whether there is one. On no entry,
// it does nothing and returns false.
func (it *Iter) Next() bool {
	if !it.ok || !it.alive() {
		return false
	}
	it.dropValue()
	if it.i+1 < it.n {
		it.place(it.i + 1)
		return true
	}
	return it.leave(true)
}

// Prev moves to the entry before and reports whether there is one. On no entry,
// it does nothing and returns false.
func (it *Iter) Prev() bool {
	if !it.ok || !it.alive() {
		return false
	}
	it.dropValue()
	if it.i > 0 {
		it.place(it.i - 1)
		return true
	}
	return it.leave(false)
}

// Valid reports whether the iterator is on an entry.
func (it *Iter) Valid() bool { return it.ok && it.alive() }

// Key returns the current entry's key, nil on no entry. It must not be changed.
func (it *Iter) Key() []byte {
	if !it.ok || !it.alive() {
		return nil
	}
	k := entryHeaderSize + int(binary.BigEndian.Uint16(it.entry[1:]))
	return it.entry[entryHeaderSize:k:k]
}

// Kind returns the current entry's kind, 0 on no entry.
func (it *Iter) Kind() EntryKind {
	if !it.ok || !it.alive() {
		return 0
	}
	return EntryKind(it.entry[0] & entryKindMask)
}

// Size returns the size of the current entry's value in bytes, without reading
// a large value; 0 on no entry.
func (it *Iter) Size() int {
	if !it.ok || !it.alive() {
		return 0
	}
	v := it.stored()
	if it.entry[0]&entryLarge != 0 {
		return largeSize(v)
	}
	return len(v)
}

// Value returns the current entry's value, nil on no entry. It must not be
// changed. A large value is read from the file now, into memory outside the Go
// heap; an error of that ends the iteration.
func (it *Iter) Value() ([]byte, error) {
	if !it.ok || !it.alive() {
		return nil, it.err
	}
	v := it.stored()
	if it.entry[0]&entryLarge == 0 {
		return v, nil
	}
	if it.value.data == nil {
		if err := it.loadValue(v); err != nil {
			it.fail(err)
			return nil, err
		}
	}
	return it.value.data, nil
}

// loadValue reads a large value: one page of it is pinned, more are put
// together in memory of the iterator's own.
func (it *Iter) loadValue(v []byte) error {
	c := it.r.owner.c
	if at, size := largeChunk(v, 0); largeChunks(largeSize(v)) == 1 && at.size <= valueCachedMax {
		p, err := c.get(it.r, at, kindValue)
		if err != nil {
			return err
		}
		if len(p.data) != size {
			p.release()
			return it.r.src.fail("decode value", at.off, corrupt("the value's size does not match"))
		}
		it.value = p
		return nil
	}
	l, err := c.allocLoose(largeSize(v), it.r.owner.id)
	if err != nil {
		return err
	}
	if err := it.r.readLarge(l.mem, v); err != nil {
		l.free()
		return err
	}
	it.value = page{data: l.mem, l: l}
	return nil
}

// Large reports whether the current entry's value is in pages of its own, so
// that Stream reads it without holding it whole.
func (it *Iter) Large() bool { return it.ok && it.alive() && it.entry[0]&entryLarge != 0 }

// Stream returns a reader of the current entry's large value. It is valid until
// the iterator moves, and need not be closed.
func (it *Iter) Stream() *ValueReader {
	invariant(it.Large(), "stream a value that is in its leaf")
	if it.scan == nil {
		it.scan = &scan{}
	}
	it.streams = true
	it.scan.stream.begin(it.r, it.stored(), &it.scan.w)
	return &it.scan.stream
}

// ValueReader returns a reader of the current entry's large value that is
// independent of the iterator. It must be closed, before the run is.
func (it *Iter) ValueReader() *ValueReader {
	invariant(it.Large(), "stream a value that is in its leaf")
	return it.r.newValueReader(it.stored())
}

// Err returns the error that ended the iteration, nil when it merely reached
// an end. A new move from a fixed point (First, Last, SeekGE, SeekLT) tries
// again, unless the run is wiped or closed.
func (it *Iter) Err() error { return it.err }

// Close releases the pages and returns what Err would. Closing again does
// nothing.
func (it *Iter) Close() error {
	if !it.done {
		it.done = true
		it.reset()
		if it.scan != nil {
			it.scan.free()
		}
	}
	return it.err
}

// stored returns what the leaf holds as the current entry's value.
func (it *Iter) stored() []byte {
	return it.entry[entryHeaderSize+int(binary.BigEndian.Uint16(it.entry[1:])):]
}

// place moves to entry i of the leaf.
func (it *Iter) place(i int) {
	start, end := it.leaf.bounds(i, it.n)
	it.entry = it.leaf[start:end:end]
	it.i, it.ok = i, true
}

// alive reports whether the run can still be read. If not, the position is gone.
func (it *Iter) alive() bool {
	return it.r.era.Load() == it.r.owner.era.Load() || it.bury()
}

// bury ends the iteration of a run that was wiped or closed. It is apart from
// alive, which is inlined.
//
//go:noinline
func (it *Iter) bury() bool {
	it.fail(it.r.live())
	return false
}

// fail ends the iteration with an error.
func (it *Iter) fail(err error) {
	it.reset()
	it.err = err
}

// reset releases all pages and leaves the iterator on no entry.
func (it *Iter) reset() {
	it.dropValue()
	for i := range it.path {
		it.path[i].p.release()
	}
	it.path = it.path[:0]
	it.leaf, it.entry, it.ok = nil, nil, false
}

func (it *Iter) dropValue() {
	if it.value.data != nil || it.streams {
		it.dropLarge()
	}
}

func (it *Iter) dropLarge() {
	it.value.release()
	if it.streams {
		it.scan.stream.end()
		it.streams = false
	}
}

// start prepares a move from a fixed point and reports whether there are
// entries at all.
func (it *Iter) start() bool {
	it.reset()
	it.err = nil
	if it.done {
		it.err = fmt.Errorf("iterator: %w", ErrClosed)
		return false
	}
	return it.alive() && it.r.t.entries > 0
}

// push pins a node below the path and returns it.
func (it *Iter) push(at ref) (node, bool) {
	kind := kindInner
	if len(it.path) == int(it.r.t.depth) {
		kind = kindLeaf
	}
	p, err := it.page(at, kind)
	if err != nil {
		it.fail(err)
		return nil, false
	}
	if kind == kindInner && len(it.path) == 0 && !it.r.prefetched.Load() {
		it.r.prefetch(p.data)
	}
	it.path = append(it.path, step{p: p})
	if kind == kindLeaf {
		it.leaf = p.data
		it.n = it.leaf.len()
	}
	return p.data, true
}

// page returns a node, pinned.
func (it *Iter) page(at ref, kind pageKind) (page, error) {
	if it.scan == nil || !it.scan.past {
		return it.r.owner.c.get(it.r, at, kind)
	}
	p, ok, err := it.r.owner.c.peek(it.r, at, kind)
	if ok || err != nil {
		return p, err
	}
	return it.scan.read(it.r, len(it.path), at, kind)
}

// walk goes down from a node to the first or the last entry below it.
func (it *Iter) walk(at ref, first bool) bool {
	for {
		n, ok := it.push(at)
		if !ok {
			return false
		}
		i := 0
		if !first {
			i = n.len() - 1
		}
		if it.leaf != nil {
			it.place(i)
			return true
		}
		it.path[len(it.path)-1].i = i
		at = n.child(i)
	}
}

// seek goes down to the leaf where key is or would be, and to the first entry
// there that is not less; i is n when all are.
func (it *Iter) seek(key []byte) bool {
	if !it.start() {
		return false
	}
	at := it.r.t.root
	for {
		n, ok := it.push(at)
		if !ok {
			return false
		}
		if it.leaf != nil {
			it.i, _ = n.search(key)
			return true
		}
		i := n.descend(key)
		it.path[len(it.path)-1].i = i
		at = n.child(i)
	}
}

// leave goes from the current leaf to the next or the previous one.
func (it *Iter) leave(forward bool) bool {
	it.leaf, it.entry, it.ok = nil, nil, false
	for len(it.path) > 0 {
		last := len(it.path) - 1
		it.path[last].p.release()
		it.path = it.path[:last]
		if last == 0 {
			break
		}
		up := &it.path[last-1]
		n := node(up.p.data)
		if forward && up.i+1 < n.len() {
			up.i++
			return it.walk(n.child(up.i), true) && it.touch()
		}
		if !forward && up.i > 0 {
			up.i--
			return it.walk(n.child(up.i), false) && it.touch()
		}
	}
	return false
}

// touch loads a leaf that was entered from its neighbour into the processor's
// cache: a scan will read it whole, and loads that depend on nothing overlap.
func (it *Iter) touch() bool {
	sum := byte(1)
	for i := 0; i < len(it.leaf); i += 64 {
		sum |= it.leaf[i]
	}
	return sum != 0 // always; the loads must have a use
}
