package engine

import "github.com/byokdb/byokdb/pager"

// A Record is a record's key and value, in memory that may be wiped under the
// caller's hands; see [Tx.Check].
type Record = pager.Record

// A block is a stretch of records that a cursor has at hand: its current one and
// those that follow in one leaf, before any other source of the merge has a say.
// Only the cursor's owner touches it, never a pause: what it points to may be
// wiped, it itself stays.
type block struct {
	records []Record
	i       int  // the current one
	back    bool // they go toward smaller keys
	streak  int  // how often the same source was the nearest
	source  int  // which one
}

const (
	blockMin    = 8
	blockMax    = 128
	blockStreak = 3 // moves by the same source before the next ones are read ahead
)

// has reports whether the cursor stands in the block.
func (b *block) has() bool { return len(b.records) > 0 }

// more reports whether the block has a record behind the current one.
func (b *block) more(back bool) bool { return b.i+1 < len(b.records) && b.back == back }

// leave empties the block.
func (b *block) leave() { b.records, b.i = b.records[:0], 0 }

// reset is leave before a walk that has nothing to do with the one before.
func (b *block) reset() {
	b.leave()
	b.streak = 0
}

// value returns the current value, which is not nil.
func (b *block) value() []byte {
	if v := b.records[b.i].Value; v != nil {
		return v
	}
	return []byte{}
}

// room gives the block twice the room that it had, up to blockMax.
func (b *block) room() {
	if n := cap(b.records); n < blockMax {
		b.records = make([]Record, 0, min(max(2*n, blockMin), blockMax))
	}
}

// moved notes that the merge moved to its current record, and reads ahead when it
// is worth while.
func (c *Cursor) moved(back bool) {
	b := &c.block
	if b.source != c.m.cur {
		b.source, b.streak = c.m.cur, 0
	}
	if b.streak++; b.streak >= blockStreak {
		c.fill(back)
	}
}

// fill makes a block of the current record and those at hand behind it. The merge
// goes on to the block's last record. It reports false when the current record
// has a large value: that is not read ahead.
func (c *Cursor) fill(back bool) bool {
	if c.m.large() != nil {
		return false
	}
	value, err := c.m.value()
	if err != nil {
		return false // whoever asks for the value will see
	}
	b := &c.block
	b.room()
	b.back = back
	b.records = append(b.records, Record{Key: c.m.key()[collectionIDSize:], Value: value})
	end := bound{key: c.hi}
	if back {
		end = bound{key: c.lo, inclusive: true, back: true}
	}
	b.records = c.m.ahead(b.records, end)
	return true
}

// stay moves to the neighbour of the current record in the direction of back, if
// it is in the block. Else it takes the merge to the current record and reports
// false.
func (c *Cursor) stay(back bool) bool {
	b := &c.block
	switch {
	case b.more(back):
		b.i++
		return true
	case b.back != back && b.i > 0:
		b.i--
		return true
	case b.i+1 < len(b.records): // the merge is at the other end
		key := c.c.internalKey(b.records[b.i].Key)
		c.m.seekGE(key)
	}
	b.leave()
	return false
}

// UnsafeBatch moves past the records that come next, as many as are at hand and at
// least one, and returns them: the cursor stands on the last of them. nil behind
// the last record and on an error. The key's lease is checked once for all of them.
// The slice and the bytes are valid until the cursor moves, and may be wiped under
// the caller's hands; see [Tx.Check].
func (c *Cursor) UnsafeBatch() []Record {
	if !c.enter() {
		return nil
	}
	defer c.c.tx.leave()
	if !c.step(false) {
		return nil
	}
	b := &c.block
	if !b.has() && !c.fill(false) {
		v, ok := c.value()
		if !ok {
			return nil
		}
		b.room()
		b.back = false
		b.records = append(b.records, Record{Key: c.m.key()[collectionIDSize:], Value: v})
	}
	if b.back { // on the way back through what was read ahead toward smaller keys
		return b.records[b.i : b.i+1]
	}
	first := b.i
	b.i = len(b.records) - 1
	return b.records[first:]
}
