package engine

import (
	"bytes"
	"io"
	"slices"

	"github.com/byokdb/byokdb/pager"
)

// Cursor walks the records with lo ≤ key < hi as they are when it is made:
// later writes of the same transaction do not show. Close must be called, or
// the transaction ended.
type Cursor struct {
	c      *Collection
	lo, hi []byte // internal keys
	m      *merge
	place  place
	block  block
	err    error
}

// place tells where a cursor stands.
type place uint8

const (
	fresh  place = iota // before the first and behind the last record at once
	within              // on a record
	before              // before the first
	behind              // behind the last
	amidst              // on a tombstone: the key went before the next record was found
)

// Cursor returns a cursor over [lo, hi); nil is no bound. It stands before the
// first and behind the last record at once: Next goes to the first, Prev to the
// last. An error shows in Err.
func (c *Collection) Cursor(lo, hi []byte) *Cursor {
	cur := &Cursor{c: c}
	tx := c.tx
	if cur.err = tx.enter(); cur.err != nil {
		return cur
	}
	defer tx.leave()
	prefix := collectionPrefix(c.id)
	cur.lo = append(slices.Clone(prefix), lo...)
	if hi == nil {
		cur.hi = collectionPrefix(c.id + 1)
	} else {
		cur.hi = append(prefix, hi...)
	}
	sources := tx.view().sources(cur.lo, cur.hi)
	if tx.writes != nil && tx.nWrites > 0 {
		own := memSource{tx.writes.Snapshot().NewIter()}
		sources = append([]source{own}, sources...)
	}
	cur.m = newMerge(sources)
	if tx.cursors == nil {
		tx.cursors = make(map[*Cursor]struct{})
	}
	tx.cursors[cur] = struct{}{}
	return cur
}

// Next moves to the next larger key. It returns false behind the last record,
// from where Prev goes back to it, and on an error.
func (c *Cursor) Next() bool {
	if c.block.more(false) && c.err == nil && c.c.tx.serves() {
		c.block.i++
		return true
	}
	return c.move(false)
}

// Prev moves to the next smaller key, as Next does to the larger.
func (c *Cursor) Prev() bool {
	if c.block.more(true) && c.err == nil && c.c.tx.serves() {
		c.block.i++
		return true
	}
	return c.move(true)
}

func (c *Cursor) move(back bool) bool {
	if !c.enter() {
		return false
	}
	defer c.c.tx.leave()
	return c.step(back)
}

// step moves to the neighbour of the current record. tx.mu is held.
func (c *Cursor) step(back bool) bool {
	if c.block.has() && c.stay(back) {
		return true
	}
	var ok bool
	switch {
	case c.m.err != nil:
	case c.place == within || c.place == amidst:
		ok = c.m.step(back)
	case c.place == before && back || c.place == behind && !back:
		return false
	default:
		ok = c.ends(back)
	}
	if !c.settle(ok, !back) {
		return false
	}
	c.moved(back)
	return true
}

// ends moves to the first or the last record of the range.
func (c *Cursor) ends(last bool) bool {
	if last {
		return c.m.seekLT(c.hi)
	}
	return c.m.seekGE(c.lo)
}

// Seek moves to the first record with a key ≥ key within the bounds.
func (c *Cursor) Seek(key []byte) bool {
	if !c.enter() {
		return false
	}
	defer c.c.tx.leave()
	k := append(collectionPrefix(c.c.id), key...)
	if bytes.Compare(k, c.lo) < 0 {
		k = c.lo
	}
	c.block.reset()
	return c.settle(c.m.seekGE(k), true)
}

// enter begins an operation; an error of the key stays in Err only as long as
// it lasts.
func (c *Cursor) enter() bool {
	if err := c.c.tx.enter(); err != nil {
		c.err = err
		return false
	}
	switch {
	case c.m == nil:
		if c.err == nil {
			c.err = c.c.tx.ended()
		}
	case c.m.err != nil:
		c.err = translate(c.m.err)
	default:
		c.err = nil
		return true
	}
	c.c.tx.leave()
	return false
}

// look begins a look at the current record. The key's lease was checked when
// the cursor moved here; a wipe since then has ended the transaction, and one
// under way waits.
func (c *Cursor) look() bool {
	tx := c.c.tx
	tx.mu.Lock()
	if tx.err == nil && c.place == within {
		return true
	}
	if tx.err != nil {
		c.err = tx.err
	}
	tx.mu.Unlock()
	return false
}

// settle skips tombstones, stops at the bounds and notes errors. It looks at the
// key every checkEvery tombstones.
func (c *Cursor) settle(ok, forward bool) bool {
	for n := 1; ok; n++ {
		key := c.m.key()
		if forward && bytes.Compare(key, c.hi) >= 0 || !forward && bytes.Compare(key, c.lo) < 0 {
			break
		}
		if !c.m.tombstone() {
			c.place = within
			return true
		}
		if n%checkEvery == 0 {
			if c.err = c.c.tx.db.guard.Check(); c.err != nil {
				c.place = amidst
				return false
			}
		}
		ok = c.m.step(!forward)
	}
	c.err = translate(c.m.err)
	c.place = before
	if forward {
		c.place = behind
	}
	return false
}

// Key returns the record's key, valid until the transaction ends; nil when the
// cursor is not on a record.
func (c *Cursor) Key() []byte {
	if !c.look() {
		return nil
	}
	defer c.c.tx.leave()
	return c.c.tx.kept.keep(c.key())
}

// Value returns the record's value, valid until the transaction ends; nil when
// the cursor is not on a record, or when reading failed, which Err tells.
func (c *Cursor) Value() []byte {
	if !c.look() {
		return nil
	}
	defer c.c.tx.leave()
	if it := c.large(); it != nil && it.Size() > keepMax {
		return c.largeValue(it)
	}
	v, ok := c.value()
	if !ok {
		return nil
	}
	return c.c.tx.kept.keep(v)
}

// largeValue reads a large value into memory of the transaction's own. tx.mu is
// held.
func (c *Cursor) largeValue(it *pager.Iter) []byte {
	if c.err = c.c.tx.db.guard.Check(); c.err != nil {
		return nil // it is read from the disk only now
	}
	v := make([]byte, it.Size())
	if _, err := io.ReadFull(it.Stream(), v); err != nil {
		clear(v)
		c.m.fail(err)
		c.err = translate(err)
		return nil
	}
	c.c.tx.kept.adopt(v)
	return v
}

// ValueReader returns a reader of the record's value, which need not be held
// whole. It stays as it is when the cursor moves, and is to be closed, or the
// transaction ended. Errors: ErrNotFound when the cursor is not on a record, or
// what Err tells.
func (c *Cursor) ValueReader() (*ValueReader, error) {
	if !c.look() {
		if c.err != nil {
			return nil, c.err
		}
		return nil, ErrNotFound
	}
	tx := c.c.tx
	defer tx.leave()
	if it := c.large(); it != nil && it.Size() > keepMax {
		if err := tx.db.guard.Check(); err != nil {
			return nil, err
		}
		return tx.newReader(nil, it.ValueReader()), nil
	}
	v, ok := c.value()
	if !ok {
		return nil, c.err
	}
	if c.block.has() || !c.m.inMemory() {
		v = tx.kept.keep(v)
	}
	return tx.newReader(v, nil), nil
}

// UnsafeKey is Key without the copy: valid until the cursor moves, and it may
// be wiped under the caller's hands; see [Tx.Check].
func (c *Cursor) UnsafeKey() []byte {
	if c.block.has() && !c.c.tx.over.Load() {
		return c.block.records[c.block.i].Key
	}
	if !c.look() {
		return nil
	}
	defer c.c.tx.leave()
	return c.key()
}

// UnsafeValue is Value without the copy, on the terms of UnsafeKey.
func (c *Cursor) UnsafeValue() []byte {
	if c.block.has() && !c.c.tx.over.Load() {
		return c.block.value()
	}
	if !c.look() {
		return nil
	}
	defer c.c.tx.leave()
	v, _ := c.value()
	return v
}

// key returns the current key. tx.mu is held.
func (c *Cursor) key() []byte {
	if c.block.has() {
		return c.block.records[c.block.i].Key
	}
	return c.m.key()[collectionIDSize:]
}

// large returns the iterator that stands on the current value, if it is a large
// one in a run. tx.mu is held.
func (c *Cursor) large() *pager.Iter {
	if c.block.has() {
		return nil
	}
	return c.m.large()
}

// value reads the current value; it is never nil when ok. tx.mu is held.
func (c *Cursor) value() (v []byte, ok bool) {
	if c.block.has() {
		return c.block.value(), true
	}
	if c.m.large() != nil { // it is read from the disk only now
		if c.err = c.c.tx.db.guard.Check(); c.err != nil {
			return nil, false
		}
	}
	v, err := c.m.value()
	if err != nil {
		c.m.fail(err)
		c.err = translate(err)
		return nil, false
	}
	if v == nil {
		v = []byte{}
	}
	return v, true
}

// Err returns why the cursor stopped, nil at the end of the range.
func (c *Cursor) Err() error { return c.err }

// Close releases the cursor. Later calls do nothing.
func (c *Cursor) Close() error {
	tx := c.c.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if c.m == nil {
		return nil
	}
	delete(tx.cursors, c)
	c.block.free()
	return c.release()
}

// release closes the sources. tx.mu is held.
func (c *Cursor) release() error {
	err := translate(c.m.close())
	c.m, c.place = nil, behind
	clear(c.lo)
	clear(c.hi)
	return err
}
