package pager

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/offheap"
)

// Cache keeps opened, decompressed pages outside the Go heap within a fixed
// budget, for any number of runs of any number of databases. Safe for
// concurrent use.
//
// A page in use is pinned. When so much is pinned that a new page finds no room,
// the page is read into memory of its own that is given back as soon as it is no
// longer used: the budget is passed for that long, and progress is made.
type Cache struct {
	budget    int64
	shards    []*shard
	shift     uint // of a rehash, to an index of shards
	nextFile  atomic.Uint32
	nextOwner atomic.Uint32

	mu        sync.Mutex
	loose     map[*loose]struct{}
	looseSize int64
	scratches []*scratch
	owners    map[*CacheOwner]struct{}
	closed    bool
}

// CacheBudgetMin is the smallest budget of a cache, in bytes.
const CacheBudgetMin = 1 << 20

const (
	shardRegionsMin = 16 // 4 MiB
	shardsMax       = 16
	scratchesMax    = 4

	// regionCost is what a region of pages takes with all that describes it.
	regionCost = regionSize + (regionSize>>granuleLog)*80
)

// NewCache returns a cache that uses at most budget bytes, CacheBudgetMin or
// more. The memory is taken from the system as pages come in.
func NewCache(budget int64) (*Cache, error) {
	if budget < CacheBudgetMin {
		return nil, fmt.Errorf("a page cache of %d bytes is below the minimum of %d", budget, CacheBudgetMin)
	}
	regions := int(budget / regionCost)
	n, log := 1, uint(0)
	for n < shardsMax && regions/(2*n) >= shardRegionsMin {
		n, log = 2*n, log+1
	}
	c := &Cache{
		budget: budget, shift: 64 - log,
		loose: make(map[*loose]struct{}), owners: make(map[*CacheOwner]struct{}),
	}
	for range n {
		s, err := newShard(regions / n)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.shards = append(c.shards, s)
	}
	return c, nil
}

// CacheStats counts what a cache holds and did. Sizes are in bytes.
type CacheStats struct {
	Budget    int64
	Bytes     int64 // in use for pages, Overflow included
	Pinned    int64 // of Bytes, in use by readers
	Overflow  int64 // of Bytes, beyond the budget: see Cache; values of iterators too
	Hits      uint64
	Misses    uint64
	Evictions uint64
}

// Stats returns the counters. It visits every page: not for a hot path.
func (c *Cache) Stats() CacheStats {
	st := CacheStats{Budget: c.budget}
	for _, s := range c.shards {
		s.mu.Lock()
		st.Bytes += s.alloc.used
		st.Pinned += s.pinned()
		st.Hits += s.hits.Load()
		st.Misses += s.misses
		st.Evictions += s.evictions
		s.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Overflow = c.looseSize
	st.Bytes += c.looseSize
	st.Pinned += c.looseSize
	return st
}

// Close wipes all pages and gives the memory back. Runs and iterators that are
// still open return crypt.ErrWiped from then on; while any of them pins a page,
// the addresses stay valid and read as zeros. No read may be under way.
func (c *Cache) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	owners := c.owners
	c.owners = nil
	c.mu.Unlock()
	for o := range owners {
		o.Wipe()
	}
	var errs []error
	for _, s := range c.shards {
		s.mu.Lock()
		if s.alloc.used == 0 {
			errs = append(errs, offheap.FreeZero(s.alloc.mem)) // free memory is always zero
		} else {
			offheap.Discard(s.alloc.mem)
		}
		s.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.scratches {
		errs = append(errs, w.free())
	}
	c.scratches = nil
	return errors.Join(errs...)
}

// CacheOwner is one database's share in a cache. Its runs' pages can be wiped
// in one step. Safe for concurrent use, but see Wipe.
type CacheOwner struct {
	c  *Cache
	id uint32

	// era is even while the owner is live and odd while it is wiped. A run
	// works only in the era in which it was opened.
	era atomic.Uint64
}

// NewOwner returns a new, live owner.
func (c *Cache) NewOwner() *CacheOwner {
	o := &CacheOwner{c: c, id: c.nextOwner.Add(1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		o.era.Store(1)
		return o
	}
	c.owners[o] = struct{}{}
	return o
}

// Wipe zeroes all pages and value buffers of the owner. Its runs and iterators
// return crypt.ErrWiped from then on, for good; OpenRun does so until Reset. No
// read of this owner's runs may be under way; iterators may be open, and what
// they returned last reads as zeros.
func (o *CacheOwner) Wipe() {
	for {
		era := o.era.Load()
		if era%2 == 1 || o.era.CompareAndSwap(era, era+1) {
			break
		}
	}
	for _, s := range o.c.shards {
		s.drop(func(_ uint64, owner uint32) bool { return owner == o.id })
	}
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	for l := range o.c.loose {
		if l.owner == o.id {
			clear(l.mem)
		}
	}
	for _, w := range o.c.scratches {
		clear(w.plain)
		w.zstd = nil // its history is on the Go heap, for the garbage collector
	}
}

// Reset makes a wiped owner live again for runs that are opened from now on.
func (o *CacheOwner) Reset() {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	_, open := o.c.owners[o]
	if era := o.era.Load(); era%2 == 1 && open {
		o.era.CompareAndSwap(era, era+1)
	}
}

// Close is Wipe; the owner cannot be reset afterwards.
func (o *CacheOwner) Close() {
	o.Wipe()
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	delete(o.c.owners, o)
}

// page is a pinned page: its bytes stay as they are until release, unless the
// owner is wiped. The zero page holds nothing.
type page struct {
	data  []byte
	s     *shard
	l     *loose
	frame uint32
}

func (p *page) release() {
	switch {
	case p.s != nil:
		p.s.unpin(p.frame)
	case p.l != nil:
		p.l.free()
	}
	*p = page{}
}

// get returns a page of a run, pinned, from memory or from the file.
func (c *Cache) get(r *Run, at ref, kind pageKind) (page, error) {
	key := r.pageKey(at)
	hash := hashPage(key)
	s := c.shardOf(hash)
	if f := s.lookupKind(key, hash, kind); f != 0 {
		return c.hit(r, s, f, at, kind)
	}
	for {
		s.mu.Lock()
		if f := s.lookup(key, hash); f != 0 {
			s.mu.Unlock()
			return c.hit(r, s, f, at, kind)
		}
		if l := s.inflight[key]; l != nil {
			s.mu.Unlock()
			<-l.done
			continue
		}
		l := &load{done: make(chan struct{})}
		s.inflight[key] = l
		s.misses++
		s.mu.Unlock()
		p, err := c.fill(r, s, key, at, kind)
		s.mu.Lock()
		delete(s.inflight, key)
		s.mu.Unlock()
		close(l.done)
		return p, err
	}
}

// peek returns a page of a run, pinned, if it is in memory.
func (c *Cache) peek(r *Run, at ref, kind pageKind) (page, bool, error) {
	key := r.pageKey(at)
	hash := hashPage(key)
	s := c.shardOf(hash)
	f := s.lookupKind(key, hash, kind)
	if f == 0 {
		return page{}, false, nil
	}
	p, err := c.hit(r, s, f, at, kind)
	return p, err == nil, err
}

// peekNear is peek for a page whose beginning is in the processor's cache.
func (c *Cache) peekNear(r *Run, at ref, kind pageKind) (page, bool, error) {
	key := r.pageKey(at)
	hash := hashPage(key)
	s := c.shardOf(hash)
	f := s.lookup(key, hash)
	if f == 0 {
		return page{}, false, nil
	}
	p, err := c.hit(r, s, f, at, kind)
	return p, err == nil, err
}

// pageKey is the key of a page in the cache.
func (r *Run) pageKey(at ref) uint64 { return uint64(r.fileNo)<<32 | at.off>>pageKeyShift }

// shardOf returns the shard of a page by the hash of its key.
func (c *Cache) shardOf(hash uint64) *shard { return c.shards[(hash<<32)>>c.shift] }

// pageKeyShift takes an offset to 32 bits: no two pages are that near.
const pageKeyShift = 5

const (
	_ = uint(pageSealedSizeMin - 1<<pageKeyShift)
	_ = uint(1<<32 - FileSizeMax>>pageKeyShift)
)

// hit returns a page that was found. A damaged file can name one page as two
// kinds, or with two sizes.
func (c *Cache) hit(r *Run, s *shard, f uint32, at ref, kind pageKind) (page, error) {
	s.hits.Add(1)
	fr := &s.frames[f]
	if fr.kind != kind || fr.sealed != at.size {
		s.unpin(f)
		return page{}, r.src.fail("read "+kind.String(), at.off, corrupt("two pages at one place"))
	}
	return page{data: s.bytes(f), s: s, frame: f}, nil
}

// fill reads a page into the cache.
func (c *Cache) fill(r *Run, s *shard, key uint64, at ref, kind pageKind) (page, error) {
	w := c.getScratch()
	defer c.putScratch(w)
	in, err := r.src.readSealed(w, at, kind)
	if err != nil {
		return page{}, err
	}
	f := s.allocate(in.size)
	if f == 0 {
		l, err := c.allocLoose(in.size, r.owner.id)
		if err != nil {
			return page{}, err
		}
		if err := decodePage(in, l.mem, at, kind); err != nil {
			l.free()
			return page{}, r.src.fail("decode "+kind.String(), at.off, err)
		}
		return page{data: l.mem, l: l}, nil
	}
	mem := s.bytes(f)
	if err := decodePage(in, mem, at, kind); err != nil {
		s.discard(f)
		return page{}, r.src.fail("decode "+kind.String(), at.off, err)
	}
	fr := &s.frames[f]
	fr.sealed, fr.kind = at.size, kind
	s.publish(f, key, r.owner.id)
	return page{data: mem, s: s, frame: f}, nil
}

// decodePage decodes a page and checks its structure.
func decodePage(in content, dst []byte, at ref, kind pageKind) error {
	if err := in.decode(dst); err != nil {
		return err
	}
	switch kind {
	case kindLeaf, kindInner:
		return checkNode(dst, kind)
	case kindFilter:
		return checkFilter(dst, at)
	default:
		return nil
	}
}

// dropFile forgets the pages of a run.
func (c *Cache) dropFile(fileNo uint32) {
	for _, s := range c.shards {
		s.drop(func(key uint64, _ uint32) bool { return uint32(key>>32) == fileNo })
	}
}

// newFile returns a number for a run that no other run in this cache has.
func (c *Cache) newFile() (uint32, error) {
	n := c.nextFile.Add(1)
	if n == 0 {
		c.nextFile.Store(1<<32 - 1) // stays used up
		return 0, errors.New("page cache: 2³² runs were opened; make a new cache")
	}
	return n, nil
}

// loose is memory beside the cache: a page that found no room, or a value.
type loose struct {
	c     *Cache
	mem   []byte // the size that was asked for
	all   []byte
	owner uint32
}

func (c *Cache) allocLoose(n int, owner uint32) (*loose, error) {
	mem, err := offheap.Alloc(n)
	if err != nil {
		return nil, err
	}
	l := &loose{c: c, mem: mem[:n:n], all: mem, owner: owner}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loose[l] = struct{}{}
	c.looseSize += int64(n)
	return l, nil
}

// free wipes the memory and gives it back.
func (l *loose) free() {
	l.c.mu.Lock()
	delete(l.c.loose, l)
	l.c.looseSize -= int64(len(l.mem))
	l.c.mu.Unlock()
	if err := offheap.Free(l.all); err != nil {
		clear(l.all) // zeroed all the same; address space is lost, nothing else
	}
}

func (c *Cache) getScratch() *scratch {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.scratches)
	if n == 0 {
		return &scratch{}
	}
	w := c.scratches[n-1]
	c.scratches = c.scratches[:n-1]
	return w
}

func (c *Cache) putScratch(w *scratch) {
	w.wipe()
	c.mu.Lock()
	if len(w.sealed) <= scratchKeepMax && len(c.scratches) < scratchesMax && !c.closed {
		c.scratches = append(c.scratches, w)
		w = nil
	}
	c.mu.Unlock()
	if w != nil {
		_ = w.free() // wiped above; address space is lost, nothing else
	}
}

// errWiped is what runs and iterators of a wiped owner return.
var errWiped = fmt.Errorf("page cache: %w", crypt.ErrWiped)
