package memtable

import (
	"errors"
	"sync/atomic"

	"github.com/byokdb/byokdb/internal/offheap"
)

// Sizes of the arena's chunks in bytes. A table that is hardly used costs one
// small chunk; the system backs a chunk with memory only where it was written.
const (
	chunkSizeMin = 64 << 10
	chunkSizeMax = 4 << 20

	// ownChunkSize is the size from which a record gets a chunk of its own, so
	// that the rest of the current one is not lost.
	ownChunkSize = chunkSizeMax / 4
)

// A place names bytes in the arena: the chunk's index (28 bits) and the offset
// in it (36 bits).
type place uint64

const placeOffsetBits = 36

// arena is append-only memory outside the Go heap. One goroutine allocates;
// any number read what was allocated before they got the place.
type arena struct {
	chunks atomic.Pointer[[][]byte] // readers load it; the writer publishes a longer one
	open   int                      // index of the chunk that is being filled
	used   int                      // bytes used in that chunk
	next   int                      // size of the next chunk
	size   int64                    // bytes handed out
	wiped  atomic.Bool
}

func (a *arena) init() {
	a.chunks.Store(new([][]byte))
	a.open, a.next = -1, chunkSizeMin
}

// alloc returns n bytes, zeroed, and their place. It fails when the system has
// no memory to give.
func (a *arena) alloc(n int) ([]byte, place, error) {
	chunks := *a.chunks.Load()
	if n >= ownChunkSize {
		c, err := a.grow(n)
		if err != nil {
			return nil, 0, err
		}
		a.size += int64(n)
		return (*a.chunks.Load())[c][:n:n], place(c) << placeOffsetBits, nil
	}
	if a.open < 0 || len(chunks[a.open])-a.used < n {
		for a.next < n {
			a.next *= 2
		}
		c, err := a.grow(a.next)
		if err != nil {
			return nil, 0, err
		}
		a.open, a.used = c, 0
		a.next = min(2*a.next, chunkSizeMax)
		chunks = *a.chunks.Load()
	}
	at := a.used
	a.used += n
	a.size += int64(n)
	return chunks[a.open][at : at+n : at+n], place(a.open)<<placeOffsetBits | place(at), nil
}

// grow adds a chunk and returns its index.
func (a *arena) grow(n int) (int, error) {
	if a.wiped.Load() {
		return 0, ErrWiped
	}
	old := *a.chunks.Load()
	if len(old) >= 1<<(64-placeOffsetBits) {
		return 0, errors.New("memtable: too many chunks")
	}
	b, err := offheap.Alloc(n)
	if err != nil {
		return 0, err
	}
	grown := append(old, b) // readers of old never look beyond its length
	a.chunks.Store(&grown)
	return len(old), nil
}

// at returns n bytes at an offset from a place. It returns fewer, or none, when
// they are not there: after Free, or when n was read from wiped memory.
func (a *arena) at(p place, off, n int) []byte {
	chunks := *a.chunks.Load()
	c := int(p >> placeOffsetBits)
	if c >= len(chunks) {
		return nil
	}
	b := chunks[c]
	from := int(p&(1<<placeOffsetBits-1)) + off
	from = min(from, len(b))
	to := min(from+n, len(b))
	return b[from:to:to]
}

// wipe zeroes every byte; the addresses stay mapped.
func (a *arena) wipe() {
	a.wiped.Store(true)
	for _, b := range *a.chunks.Load() {
		offheap.Discard(b)
	}
	a.size = 0
}

// free wipes and unmaps.
func (a *arena) free() {
	a.wiped.Store(true)
	chunks := *a.chunks.Swap(new([][]byte))
	for _, b := range chunks {
		if err := offheap.Free(b); err != nil {
			continue // wiped all the same; only address space is lost
		}
	}
	a.open, a.size = -1, 0
}
