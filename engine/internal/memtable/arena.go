package memtable

import (
	"encoding/binary"
	"math"
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

func putEntry(b, key []byte, kind Kind, value []byte) {
	binary.LittleEndian.PutUint32(b, uint32(len(key)))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(value)))
	binary.LittleEndian.PutUint32(b[8:], uint32(kind))
	copy(b[entryHeaderSize:], key)
	copy(b[entryHeaderSize+len(key):], value)
}

// Sizes of the arena's chunks, in bytes: a table that stays small stays cheap.
const (
	chunkMin = 64 << 10
	chunkMax = 4 << 20
)

// An arena hands out memory from chunks outside the Go heap. One writer.
type arena struct {
	chunks [][]byte
	free   []byte // what is left of the last chunk
	used   int64  // bytes of entries
	probes sync.Pool
	wiped  atomic.Bool // until reset: what views say means nothing
}

// add copies an entry into the arena.
func (a *arena) add(key []byte, kind Kind, value []byte) (entry, error) {
	n := entryHeaderSize + len(key) + len(value)
	if n > math.MaxUint32 {
		panic("memtable: an entry of more than 4 GiB")
	}
	if n > len(a.free) {
		if err := a.grow(n); err != nil {
			return 0, err
		}
	}
	b := a.free[:n]
	a.free = a.free[n:]
	a.used += int64(n)
	putEntry(b, key, kind, value)
	return entry(unsafe.Pointer(unsafe.SliceData(b))), nil
}

// grow adds a chunk of at least n bytes.
func (a *arena) grow(n int) error {
	size := chunkMin
	if len(a.chunks) > 0 {
		size = min(2*len(a.chunks[len(a.chunks)-1]), chunkMax)
	}
	chunk, err := offheap.Alloc(max(size, n))
	if err != nil {
		return err
	}
	a.chunks = append(a.chunks, chunk)
	a.free = chunk
	return nil
}

// reset wipes all memory and keeps the first chunk.
func (a *arena) reset() {
	a.wiped.Store(false)
	if len(a.chunks) == 0 {
		return
	}
	first := a.chunks[0]
	if len(a.chunks) == 1 {
		clear(first[:len(first)-len(a.free)])
	} else {
		clear(first)
	}
	for _, c := range a.chunks[1:] {
		release(c)
	}
	a.chunks, a.free, a.used = a.chunks[:1], first, 0
}

func (a *arena) wipe() {
	a.wiped.Store(true)
	for _, c := range a.chunks {
		offheap.Discard(c)
	}
	a.free = nil
}

func (a *arena) close() {
	for _, c := range a.chunks {
		release(c)
	}
	a.chunks, a.free, a.used = nil, nil, 0
}

// release returns a chunk. A failure leaks zeroed address space, nothing else.
func release(chunk []byte) { _ = offheap.Free(chunk) }

// A probe is a key that is searched for, encoded as an entry on the Go heap,
// where it stays in place and alive while it is in use.
type probe struct{ b []byte }

func (p *probe) entry() entry { return entry(unsafe.Pointer(unsafe.SliceData(p.b))) }

func (a *arena) probe(key []byte) *probe {
	p, ok := a.probes.Get().(*probe)
	if !ok {
		p = &probe{b: make([]byte, 128)}
	}
	if n := entryHeaderSize + len(key); n > len(p.b) {
		p.b = make([]byte, n)
	}
	putEntry(p.b, key, Put, nil)
	return p
}

// release wipes a probe's key and keeps it for later.
func (a *arena) release(p *probe) {
	clear(p.b)
	a.probes.Put(p)
}
