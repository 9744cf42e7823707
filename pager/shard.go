package pager

import (
	"sync"
	"sync/atomic"
)

// shard is one part of a Cache: a stretch of memory, the pages in it, a hash
// table to find them, and the two queues of S3-FIFO to forget them.
//
// Lookups take no lock: they walk a chain of the hash table, pin the frame that
// bears the key, and look again whether it still does. A walk that meets a
// change beside it may miss a page that is there; every miss is looked up
// again under the lock. All else happens under the lock.
//
// S3-FIFO (Yang et al., SOSP 2023): a new page enters the small queue, a tenth
// of the memory. What was used at least twice by the end of it moves to the main
// queue, the rest is dropped, so that a scan passes through the small queue
// alone. Keys of what was dropped are remembered for a while: what comes back
// soon goes to the main queue at once.
type shard struct {
	frames []frame // by first granule, as in buddy.blocks; 0 is "none"
	table  []atomic.Uint32
	shift  uint // of a hash, to an index of table

	hits atomic.Uint64
	_    [48]byte // the lock in a cache line of its own

	mu       sync.Mutex
	alloc    *buddy
	small    queue
	main     queue
	ghosts   []uint32 // fingerprints of dropped keys, by hash
	inflight map[uint64]*load

	misses, evictions uint64
}

// frame is a page in the cache, or nothing.
type frame struct {
	key   atomic.Uint64 // 0 when it is nothing
	state atomic.Uint32 // pins, stateLive, stateDoomed
	freq  atomic.Uint32 // uses since it was last considered, up to freqMax
	next  atomic.Uint32 // in the chain of the hash table

	// Written before the frame is published, read by those who pinned it.
	size   uint32 // of the decoded page, in bytes
	sealed uint32 // size of the sealed page, in bytes
	kind   pageKind

	// Under the shard's lock.
	inMain       bool
	owner        uint32
	qprev, qnext uint32
}

// States of a frame besides its pins.
const (
	stateLive   uint32 = 1 << 31 // else there is nothing to be had here
	stateDoomed uint32 = 1 << 30 // live, but dropped while pinned; the last pin frees it
	statePins          = stateDoomed - 1
)

const (
	freqMax  = 3
	chainMax = 64 // steps of a walk without the lock
)

// queue is a list of frames: pushed at the head, popped at the tail.
type queue struct {
	head, tail uint32
	bytes      int64 // of the blocks
	n          int
}

// load is a page that is being read.
type load struct{ done chan struct{} }

func newShard(regions int) (*shard, error) {
	alloc, err := newBuddy(regions * regionSize)
	if err != nil {
		return nil, err
	}
	n := len(alloc.blocks)
	size, log := 1, uint(0)
	for size < n {
		size, log = size<<1, log+1
	}
	s := &shard{
		frames: make([]frame, n), table: make([]atomic.Uint32, size), shift: 64 - log,
		alloc: alloc, ghosts: make([]uint32, size), inflight: make(map[uint64]*load),
	}
	return s, nil
}

// lookup pins the page of a key and returns its frame, or 0.
func (s *shard) lookup(key, hash uint64) uint32 {
	at := s.table[hash>>s.shift].Load()
	for range chainMax {
		if at == 0 {
			return 0
		}
		f := &s.frames[at]
		if f.key.Load() != key {
			at = f.next.Load()
			continue
		}
		if f.state.Add(1)&^statePins == stateLive && f.key.Load() == key {
			if f.freq.Load() < freqMax {
				f.freq.Add(1) // may pass the limit by the number of readers; no harm
			}
			return at
		}
		s.unpin(at)
		return 0
	}
	return 0
}

// lookupLeaf is lookup for a page that is probably in memory and not in the
// processor's cache. The atomic operations of lookup are barriers: what is
// needed next would be fetched one miss after the other. So header and slots are
// touched first.
func (s *shard) lookupLeaf(key, hash uint64) uint32 {
	if at := s.table[hash>>s.shift].Load(); at != 0 && !s.touch(at) {
		return 0
	}
	return s.lookup(key, hash)
}

// touch loads the header and the slots of a leaf, unpinned and for nothing but
// having been touched. It returns true.
func (s *shard) touch(at uint32) bool {
	p := (*[leafTouched]byte)(s.alloc.mem[int(at-1)<<granuleLog:])
	sum := uint32(0)
	for i := 0; i < leafTouched; i += 64 {
		sum += uint32(p[i])
	}
	return sum != ^uint32(0) // always; the loads must have a use
}

func (s *shard) lookupKind(key, hash uint64, kind pageKind) uint32 {
	if kind == kindLeaf {
		return s.lookupLeaf(key, hash)
	}
	return s.lookup(key, hash)
}

// leafTouched is about where the slots of a leaf end, in bytes.
const leafTouched = 1 << 10

const _ = uint(granuleSize - leafTouched)

// unpin ends the use of a frame.
func (s *shard) unpin(at uint32) {
	f := &s.frames[at]
	if f.state.Add(^uint32(0)) != stateLive|stateDoomed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.state.CompareAndSwap(stateLive|stateDoomed, 0) {
		s.reclaim(at)
	}
}

// bytes returns the memory of a frame that the caller has pinned or allocated.
func (s *shard) bytes(at uint32) []byte {
	start := int(at-1) << granuleLog
	end := start + int(s.frames[at].size)
	return s.alloc.mem[start:end:end]
}

// allocate returns a dead frame with room for size bytes, for publish or
// reclaim, or 0 when everything is pinned.
func (s *shard) allocate(size int) uint32 {
	order := orderOf(size)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.alloc.alloc(order)
	for tries := (freqMax+3)*(s.small.n+s.main.n) + 1; at == 0 && tries > 0; tries-- {
		if s.evict(tries <= s.small.n) {
			at = s.alloc.alloc(order)
		}
	}
	if at != 0 {
		s.frames[at].size = uint32(size)
	}
	return at
}

// evict considers one page and reports whether it dropped it. smallOnly makes
// it one of the small queue, when all of the main queue turned out to be pinned.
func (s *shard) evict(smallOnly bool) bool {
	q := &s.main
	if smallOnly || s.main.n == 0 || s.small.bytes*10 > int64(len(s.alloc.mem)) {
		q = &s.small
	}
	at := q.tail
	if at == 0 {
		return false
	}
	f := &s.frames[at]
	s.dequeue(at)
	freq := f.freq.Load()
	switch {
	case q == &s.small && freq > 1:
		f.freq.Store(0)
		s.enqueue(at, true)
		return false
	case q == &s.main && freq > 0:
		f.freq.Store(min(freq, freqMax) - 1)
		s.enqueue(at, true)
		return false
	case !f.state.CompareAndSwap(stateLive, 0): // pinned
		s.enqueue(at, f.inMain)
		return false
	}
	key := f.key.Load()
	if q == &s.small {
		hash := hashPage(key)
		s.ghosts[hash>>s.shift] = fingerprint(hash)
	}
	s.evictions++
	s.unlink(at, key)
	s.reclaim(at)
	return true
}

// publish makes a frame with a loaded page visible, pinned once.
func (s *shard) publish(at uint32, key uint64, owner uint32) {
	hash := hashPage(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.frames[at]
	f.owner = owner
	f.freq.Store(0)
	f.key.Store(key)
	slot := &s.table[hash>>s.shift]
	f.next.Store(slot.Load())
	ghost := &s.ghosts[hash>>s.shift]
	known := *ghost == fingerprint(hash)
	if known {
		*ghost = 0
	}
	s.enqueue(at, known)
	f.state.Add(stateLive + 1) // passing readers may have pinned it for a moment: add, not store
	slot.Store(at)
}

// discard gives back a frame that was allocated and not published.
func (s *shard) discard(at uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reclaim(at)
}

// drop forgets the pages that match, wiping them at once. Pinned ones read as
// zeros from then on; their memory is reused when the last pin goes.
func (s *shard) drop(match func(key uint64, owner uint32) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.frames[:s.alloc.fresh+1] {
		f, at := &s.frames[i], uint32(i)
		key := f.key.Load()
		if key == 0 || !match(key, f.owner) {
			continue
		}
		s.dequeue(at)
		if f.state.CompareAndSwap(stateLive, 0) {
			s.unlink(at, key)
			s.reclaim(at)
			continue
		}
		s.unlink(at, key)
		clear(s.bytes(at))
		if f.state.Add(stateDoomed) == stateLive|stateDoomed && f.state.CompareAndSwap(stateLive|stateDoomed, 0) {
			s.reclaim(at) // the last pin went in the meantime
		}
	}
}

// unlink takes a frame out of the hash table.
func (s *shard) unlink(at uint32, key uint64) {
	f := &s.frames[at]
	link := &s.table[hashPage(key)>>s.shift]
	for link.Load() != at {
		invariant(link.Load() != 0, "a cached page is not in its chain")
		link = &s.frames[link.Load()].next
	}
	link.Store(f.next.Load())
	f.key.Store(0)
}

// reclaim zeroes a dead frame and frees its memory.
func (s *shard) reclaim(at uint32) {
	clear(s.bytes(at))
	s.alloc.release(at)
}

func (s *shard) queueOf(inMain bool) *queue {
	if inMain {
		return &s.main
	}
	return &s.small
}

func (s *shard) enqueue(at uint32, inMain bool) {
	q, f := s.queueOf(inMain), &s.frames[at]
	f.inMain, f.qprev, f.qnext = inMain, 0, q.head
	if q.head != 0 {
		s.frames[q.head].qprev = at
	} else {
		q.tail = at
	}
	q.head = at
	q.n++
	q.bytes += granuleSize << s.alloc.blocks[at].order
}

func (s *shard) dequeue(at uint32) {
	f := &s.frames[at]
	q := s.queueOf(f.inMain)
	if f.qprev != 0 {
		s.frames[f.qprev].qnext = f.qnext
	} else {
		q.head = f.qnext
	}
	if f.qnext != 0 {
		s.frames[f.qnext].qprev = f.qprev
	} else {
		q.tail = f.qprev
	}
	q.n--
	q.bytes -= granuleSize << s.alloc.blocks[at].order
}

// pinned returns the bytes of pages that are pinned.
func (s *shard) pinned() (n int64) {
	for i := range s.frames[:s.alloc.fresh+1] {
		if st := s.frames[i].state.Load(); st&stateLive != 0 && st&statePins > 0 {
			n += granuleSize << s.alloc.blocks[i].order
		}
	}
	return n
}

// hashPage spreads page keys over shards and buckets: the upper bits count.
func hashPage(key uint64) uint64 {
	key ^= key >> 32
	return key * 0x9E3779B97F4A7C15
}

// fingerprint is never 0.
func fingerprint(hash uint64) uint32 { return uint32(hash>>8) | 1 }
