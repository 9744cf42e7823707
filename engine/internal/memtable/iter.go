package memtable

import "github.com/google/btree"

// Sizes of an iterator's batches of items: google/btree can only call back, so
// the iterator fetches ahead, little at first.
const (
	batchMin = 4
	batchMax = 64
)

// Iter walks a snapshot in both directions. Keys and values alias the arena.
type Iter struct {
	view  *View
	batch []item // in the direction of travel
	i     int    // the current item
	back  bool
	size  int // of the next batch

	loaded byte // without meaning: a use of what load reads
}

// NewIter returns an iterator that is not yet on an entry.
func (v *View) NewIter() *Iter {
	if v.table != nil {
		v = v.table.Snapshot()
	}
	return &Iter{view: v, size: batchMin}
}

// First moves to the smallest key.
func (it *Iter) First() bool {
	it.begin(false)
	it.view.tree.Ascend(it.collect)
	it.load()
	return it.Valid()
}

// Last moves to the largest key.
func (it *Iter) Last() bool {
	it.begin(true)
	it.view.tree.Descend(it.collect)
	it.load()
	return it.Valid()
}

// SeekGE moves to the smallest key ≥ key.
func (it *Iter) SeekGE(key []byte) bool {
	it.begin(false)
	p := it.view.arena.probe(key)
	it.view.tree.AscendGreaterOrEqual(newItem(key, p.entry()), it.collect)
	it.view.arena.release(p)
	it.load()
	return it.Valid()
}

// SeekLT moves to the largest key < key.
func (it *Iter) SeekLT(key []byte) bool {
	it.begin(true)
	p := it.view.arena.probe(key)
	pivot := newItem(key, p.entry())
	it.view.tree.DescendLessOrEqual(pivot, it.after(pivot))
	it.view.arena.release(p)
	it.load()
	return it.Valid()
}

// Next moves to the next larger key. The iterator must be valid.
func (it *Iter) Next() bool { return it.step(false) }

// Prev moves to the next smaller key. The iterator must be valid.
func (it *Iter) Prev() bool { return it.step(true) }

func (it *Iter) step(back bool) bool {
	if !it.Valid() {
		return false
	}
	if it.back == back {
		if it.i++; it.i < len(it.batch) {
			return true
		}
		it.i--
	}
	if it.view.arena.wiped.Load() { // keys read as equal now: a walk by them need not end
		return it.end()
	}
	pivot := it.batch[it.i]
	size := min(2*it.size, batchMax)
	if it.back != back {
		size = batchMin
	}
	it.begin(back)
	it.size = size
	if back {
		it.view.tree.DescendLessOrEqual(pivot, it.after(pivot))
	} else {
		it.view.tree.AscendGreaterOrEqual(pivot, it.after(pivot))
	}
	it.load()
	return it.Valid()
}

// end drops the batch: Valid is false from here on.
func (it *Iter) end() bool {
	it.batch, it.i = it.batch[:0], 0
	return false
}

func (it *Iter) begin(back bool) {
	it.batch, it.i, it.back, it.size = it.batch[:0], 0, back, batchMin
}

// load brings the entries of a batch into the processor's cache: they lie where
// they were written, and their misses overlap here, as they would not one by one.
func (it *Iter) load() {
	var sum byte
	for _, x := range it.batch {
		sum += x.entry.first()
	}
	for _, x := range it.batch {
		sum += x.entry.last()
	}
	it.loaded = sum
}

// collect takes one item of a batch and tells whether more are wanted.
func (it *Iter) collect(x item) bool {
	it.batch = append(it.batch, x)
	return len(it.batch) < it.size
}

// after is collect without the pivot itself, which comes first if at all.
func (it *Iter) after(pivot item) btree.ItemIteratorG[item] {
	fresh := true
	return func(x item) bool {
		if fresh {
			fresh = false
			if !less(x, pivot) && !less(pivot, x) {
				return true
			}
		}
		return it.collect(x)
	}
}

// Following returns the n-th entry behind the current one in the direction of
// back, the nearest being number 0. ok is false when it is not at hand or is a
// tombstone, which says nothing about whether there is one.
func (it *Iter) Following(n int, back bool) (key, value []byte, ok bool) {
	at := it.i + 1 + n
	if it.back != back || at >= len(it.batch) || it.view.arena.wiped.Load() {
		return nil, nil, false
	}
	e := it.batch[at].entry
	return e.key(), e.value(), e.kind() == Put
}

// Reach returns the key of the last entry at hand in the direction of back: the
// current one where the iterator has moved the other way.
func (it *Iter) Reach(back bool) []byte {
	if it.back != back {
		return it.Key()
	}
	return it.batch[len(it.batch)-1].entry.key()
}

// Skip moves past n entries that Following returned.
func (it *Iter) Skip(n int) { it.i += n }

// Valid reports whether the iterator is on an entry.
func (it *Iter) Valid() bool { return it.i < len(it.batch) }

// Key returns the current key.
func (it *Iter) Key() []byte { return it.batch[it.i].entry.key() }

// Kind returns what the current entry says.
func (it *Iter) Kind() Kind { return it.batch[it.i].entry.kind() }

// Value returns the current value. The error is always nil: it is there for
// the other sources of a merge; see Err.
func (it *Iter) Value() ([]byte, error) { return it.batch[it.i].entry.value(), nil }

// Err returns ErrWiped once the table was wiped: what the iterator gave since
// then are zeros.
func (it *Iter) Err() error {
	if it.view.arena.wiped.Load() {
		return ErrWiped
	}
	return nil
}

// Close drops the iterator's items.
func (it *Iter) Close() error {
	it.batch, it.i = nil, 0
	return nil
}
