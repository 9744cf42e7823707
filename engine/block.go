package engine

import (
	"sync"

	"github.com/byokdb/byokdb/pager"
)

// A block is a stretch of records that a cursor has at hand: its current one and
// those that follow before a source of the merge must leave its leaf.
// Only the cursor's owner touches it, never a pause: what it points to may be
// wiped, it itself stays.
type block struct {
	records []pager.Record
	memory  *[blockMax]pager.Record // of records; nil before the first
	size    int                     // how many records to read ahead at once, doubled each time
	i       int                     // the current one
	back    bool                    // they go toward smaller keys
	streak  int                     // moves in that direction, one behind the other
	wanted  int                     // how many records a walk still wants, the current one included; 0: unknown
}

const (
	blockMin    = 8
	blockMax    = 128
	blockStreak = 3 // moves in one direction before the next records are read ahead
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

// blockMemory is where blocks keep their records. It holds no bytes of rows.
var blockMemory = sync.Pool{New: func() any { return new([blockMax]pager.Record) }}

// room gives the block twice the room that it had, up to blockMax, and no more
// than is wanted.
func (b *block) room() {
	if b.memory == nil {
		b.memory, _ = blockMemory.Get().(*[blockMax]pager.Record) // New makes nothing else
	}
	b.size = min(max(2*b.size, blockMin), blockMax)
	n := b.size
	if b.wanted > 0 {
		n = min(n, b.wanted)
	}
	b.records = b.memory[:0:n]
}

// free gives the block's memory back.
func (b *block) free() {
	if b.memory != nil {
		blockMemory.Put(b.memory)
	}
	*b = block{}
}

// moved notes that the merge moved to its current record, and reads ahead when it
// is worth while.
func (c *Cursor) moved(back bool) {
	b := &c.block
	if b.back != back {
		b.back, b.streak = back, 0
	}
	if b.streak++; b.streak >= blockStreak {
		c.fill(back)
	}
}

// fill makes a block of the current record and those at hand behind it. The merge
// goes on to the block's last record. A large value is not read ahead.
func (c *Cursor) fill(back bool) {
	if c.m.large() != nil {
		return
	}
	value, err := c.m.value()
	if err != nil {
		return // whoever asks for the value will see
	}
	b := &c.block
	b.room()
	b.records = append(b.records, pager.Record{Key: c.m.key()[collectionIDSize:], Value: value})
	end := bound{key: c.hi}
	if back {
		end = bound{key: c.lo, inclusive: true, back: true}
	}
	b.records = c.m.ahead(b.records, end)
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
