package pager

import (
	"fmt"
	"math/bits"

	"github.com/byokdb/byokdb/internal/offheap"
)

// Memory of a shard is cut into granules; blocks are 2ⁿ granules and lie at
// multiples of their size within regions of regionSize.
const (
	granuleLog  = 11
	granuleSize = 1 << granuleLog
	orderMax    = 7
	regionSize  = granuleSize << orderMax

	_ = uint(regionSize - contentSizeMax) // every page that is cached fits
)

// buddy is a buddy allocator over a fixed stretch of memory outside the Go
// heap. Free blocks are zero. It is not safe for concurrent use.
type buddy struct {
	mem    []byte
	blocks []block              // by granule, from 1; 0 is "none"
	free   [orderMax + 1]uint32 // heads of the lists of free blocks
	fresh  int                  // the first granule that was never handed out, counted from 0
	used   int64                // bytes in blocks that are handed out
}

// block describes the block that begins at a granule.
type block struct {
	prev, next uint32 // in the list of free blocks
	order      uint8
	free       bool
}

// newBuddy returns an allocator over size bytes, a multiple of regionSize.
func newBuddy(size int) (*buddy, error) {
	invariant(size > 0 && size%regionSize == 0, "a buddy allocator over part of a region")
	mem, err := offheap.Alloc(size)
	if err != nil {
		return nil, fmt.Errorf("page cache: %w", err)
	}
	return &buddy{mem: mem, blocks: make([]block, size>>granuleLog+1)}, nil
}

// orderOf returns the order of the smallest block that holds n bytes.
func orderOf(n int) uint8 {
	return uint8(bits.Len(uint((n+granuleSize-1)>>granuleLog - 1)))
}

// alloc returns a block of an order, 0 when there is none.
func (b *buddy) alloc(order uint8) uint32 {
	from := order
	for from <= orderMax && b.free[from] == 0 {
		from++
	}
	if from > orderMax {
		if from = orderMax; !b.grow() {
			return 0
		}
	}
	at := b.free[from]
	b.remove(at)
	for from > order {
		from--
		b.push(at+1<<from, from)
	}
	b.blocks[at].order = order
	b.used += granuleSize << order
	return at
}

// grow adds a region that was never handed out. So what describes regions is not
// touched before they are.
func (b *buddy) grow() bool {
	if b.fresh == len(b.blocks)-1 {
		return false
	}
	b.push(uint32(b.fresh)+1, orderMax)
	b.fresh += 1 << orderMax
	return true
}

// release takes a block back. Its memory must be zero.
func (b *buddy) release(at uint32) {
	order := b.blocks[at].order
	b.used -= granuleSize << order
	for order < orderMax {
		other := ((at - 1) ^ (1 << order)) + 1
		if o := &b.blocks[other]; !o.free || o.order != order {
			break
		}
		b.remove(other)
		at = min(at, other)
		order++
	}
	b.push(at, order)
}

// bytes returns the memory of a block.
func (b *buddy) bytes(at uint32) []byte {
	start := int(at-1) << granuleLog
	end := start + granuleSize<<b.blocks[at].order
	return b.mem[start:end:end]
}

func (b *buddy) push(at uint32, order uint8) {
	head := b.free[order]
	b.blocks[at] = block{next: head, order: order, free: true}
	if head != 0 {
		b.blocks[head].prev = at
	}
	b.free[order] = at
}

func (b *buddy) remove(at uint32) {
	k := &b.blocks[at]
	if k.prev != 0 {
		b.blocks[k.prev].next = k.next
	} else {
		b.free[k.order] = k.next
	}
	if k.next != 0 {
		b.blocks[k.next].prev = k.prev
	}
	k.free, k.prev, k.next = false, 0, 0
}
