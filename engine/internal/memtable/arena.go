package memtable

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/byokdb/byokdb/internal/offheap"
)

// An entry is the address of an encoded entry in memory that does not move:
//
//	size of key (4 B) ‖ size of value (4 B) ‖ kind (4 B) ‖ key ‖ value
//
// An address and not a position, so that readers need no table of chunks, which
// grows beside them. Wiped memory reads as an entry with an empty key and value.
type entry uintptr

const entryHeaderSize = 12

func (e entry) bytes(off, n int) []byte {
	// Read as a pointer, not converted: the memory is not the garbage collector's.
	p := *(*unsafe.Pointer)(unsafe.Pointer(&e))
	return unsafe.Slice((*byte)(unsafe.Add(p, off)), n)
}

func (e entry) keySize() int { return int(binary.LittleEndian.Uint32(e.bytes(0, 4))) }
func (e entry) key() []byte  { return e.bytes(entryHeaderSize, e.keySize()) }
func (e entry) kind() Kind   { return Kind(binary.LittleEndian.Uint32(e.bytes(8, 4))) }

func (e entry) value() []byte {
	n := int(binary.LittleEndian.Uint32(e.bytes(4, 4)))
	return e.bytes(entryHeaderSize+e.keySize(), n)
}

// first and last read the entry's first and last byte.
func (e entry) first() byte { return e.bytes(0, 1)[0] }

func (e entry) last() byte {
	n := int(binary.LittleEndian.Uint32(e.bytes(4, 4)))
	return e.bytes(entryHeaderSize+e.keySize()+n-1, 1)[0]
}

// putHead writes an entry but for its value.
func putHead(b, key []byte, kind Kind, valueSize int) {
	binary.LittleEndian.PutUint32(b, uint32(len(key)))
	binary.LittleEndian.PutUint32(b[4:], uint32(valueSize))
	binary.LittleEndian.PutUint32(b[8:], uint32(kind))
	copy(b[entryHeaderSize:], key)
}

// Sizes of the arena's chunks, in bytes: a table that stays small stays cheap.
// An entry of largeMin gets memory of its own, so that it wastes no chunk's end.
const (
	chunkMin = 16 << 10
	chunkMax = 4 << 20
	largeMin = 1 << 20
)

// An arena hands out memory from chunks outside the Go heap. One writer.
type arena struct {
	take   func(n int) ([]byte, error) // as offheap.Alloc
	chunks [][]byte
	large  [][]byte // one entry each
	zero   [][]byte // of both kinds, wiped, and read by those who are late
	free   []byte   // what is left of the last chunk
	first  int      // how large the first chunk is to be
	used   int64    // bytes of entries
	probes sync.Pool
	wiped  atomic.Bool // until reset: what views say means nothing
}

// add copies an entry into the arena.
func (a *arena) add(key []byte, kind Kind, value []byte) (entry, error) {
	b, err := a.alloc(key, len(value))
	if err != nil {
		return 0, err
	}
	putHead(b, key, kind, len(value))
	copy(b[entryHeaderSize+len(key):], value)
	return entryOf(b), nil
}

func entryOf(b []byte) entry { return entry(unsafe.Pointer(unsafe.SliceData(b))) }

// alloc returns zeroed memory for an entry.
func (a *arena) alloc(key []byte, valueSize int) ([]byte, error) {
	n := entryHeaderSize + len(key) + valueSize
	if n > math.MaxUint32 {
		panic("memtable: an entry of more than 4 GiB")
	}
	if n >= largeMin {
		b, err := a.take(n)
		if err != nil {
			return nil, err
		}
		a.large = append(a.large, b)
		a.used += int64(n)
		return b, nil
	}
	if n > len(a.free) {
		if err := a.grow(n); err != nil {
			return nil, err
		}
	}
	b := a.free[:n]
	a.free = a.free[n:]
	a.used += int64(n)
	return b, nil
}

// drop wipes the memory of an entry that nobody knows, and gives it back if it
// is the entry's own.
func (a *arena) drop(b []byte) {
	i := slices.IndexFunc(a.large, func(l []byte) bool { return unsafe.SliceData(l) == unsafe.SliceData(b) })
	if i < 0 {
		clear(b)
		return
	}
	a.large = slices.Delete(a.large, i, i+1)
	a.used -= int64(len(b))
	release(b)
}

// grow adds a chunk of at least n bytes.
func (a *arena) grow(n int) error {
	size := max(chunkMin, a.first)
	if len(a.chunks) > 0 {
		size = min(2*len(a.chunks[len(a.chunks)-1]), chunkMax)
	}
	chunk, err := a.take(max(size, n))
	if err != nil {
		return err
	}
	a.chunks = append(a.chunks, chunk)
	a.free = chunk
	return nil
}

// reset wipes all memory. It keeps the first chunk, if that has the size that the
// entries would have needed, up to keep bytes; else the next first one will have.
func (a *arena) reset(keep int) {
	a.wiped.Store(false)
	for _, b := range a.large {
		release(b)
	}
	a.large, a.used = nil, 0
	a.releaseZero()
	if len(a.chunks) == 0 {
		return
	}
	n := -len(a.free)
	for _, c := range a.chunks {
		n += len(c)
	}
	a.first = chunkMin
	for a.first < n && a.first < keep {
		a.first *= 2
	}
	chunks := a.chunks
	a.chunks, a.free = a.chunks[:0], nil
	if first := chunks[0]; len(first) >= a.first && len(first) <= max(chunkMin, min(keep, wasteMax*a.first)) {
		clear(first[:min(n, len(first))])
		a.chunks, a.free = chunks[:1], first
		chunks = chunks[1:]
	}
	for _, c := range chunks {
		release(c)
	}
}

// wasteMax is how many times larger than needed a chunk may be that is kept.
const wasteMax = 4

func (a *arena) wipe() {
	a.wiped.Store(true)
	for _, b := range slices.Concat(a.chunks, a.large) {
		offheap.Discard(b)
		a.zero = append(a.zero, b)
	}
	a.chunks, a.large, a.free = nil, nil, nil
}

func (a *arena) close() {
	a.wiped.Store(true)
	for _, b := range slices.Concat(a.chunks, a.large) {
		release(b)
	}
	a.releaseZero()
	a.chunks, a.large, a.free, a.used = nil, nil, nil, 0
}

// releaseZero gives back what wipe left mapped, without touching it.
func (a *arena) releaseZero() {
	for _, b := range a.zero {
		_ = offheap.FreeZero(b) // only address space is lost
	}
	a.zero = nil
}

// release returns a chunk. A failure leaks zeroed address space, nothing else.
func release(chunk []byte) { _ = offheap.Free(chunk) }

// A probe is a key that is searched for, encoded as an entry on the Go heap,
// where it stays in place and alive while it is in use.
type probe struct{ b []byte }

func (p *probe) entry() entry { return entryOf(p.b) }

func (a *arena) probe(key []byte) *probe {
	p, ok := a.probes.Get().(*probe)
	if !ok {
		p = &probe{b: make([]byte, 128)}
	}
	if n := entryHeaderSize + len(key); n > len(p.b) {
		p.b = make([]byte, n)
	}
	putHead(p.b, key, Put, 0)
	return p
}

// release wipes a probe's key and keeps it for later.
func (a *arena) release(p *probe) {
	clear(p.b)
	a.probes.Put(p)
}
