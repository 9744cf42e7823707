package pager

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// countingFS counts the calls of ReadAt.
type countingFS struct {
	vfs.FS
	reads atomic.Int64
}

func (c *countingFS) Open(path string) (vfs.File, error) {
	f, err := c.FS.Open(path)
	if err != nil {
		return nil, err
	}
	return countingFile{f, c}, nil
}

type countingFile struct {
	vfs.File
	fs *countingFS
}

func (c countingFile) ReadAt(p []byte, off int64) (int, error) {
	c.fs.reads.Add(1)
	return c.File.ReadAt(p, off)
}

// openCounted is open through a file system that counts reads.
func (f *fixture) openCounted(tb testing.TB, path string, info Info) (*Run, *atomic.Int64) {
	tb.Helper()
	fs := &countingFS{FS: vfs.OS()}
	cfg := f.runConfig(path, info)
	cfg.FS = fs
	r, err := OpenRun(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r, &fs.reads
}

func mustGet(tb testing.TB, r *Run, e *entry) {
	tb.Helper()
	v, kind, found, err := r.Get(nil, e.key)
	if err != nil || !found || kind != e.kind || !bytes.Equal(v, e.value) {
		tb.Errorf("get: found %v, kind %v, %d bytes, %v", found, kind, len(v), err)
	}
}

func TestCacheBudget(t *testing.T) {
	if _, err := NewCache(CacheBudgetMin - 1); err == nil {
		t.Fatal("a budget below the minimum was taken")
	}
	rnd := newRand(t)
	for _, budget := range []int64{CacheBudgetMin, CacheBudgetMin + 12345, 9 << 20, 40 << 20} {
		f := newFixture(t, budget)
		mem := int64(0)
		for _, s := range f.cache.shards {
			mem += int64(len(s.alloc.mem)) + int64(len(s.frames))*(48+12) + int64(len(s.table)+len(s.ghosts))*4
		}
		if mem > budget || mem < budget*3/4-regionSize {
			t.Errorf("a budget of %d takes %d", budget, mem)
		}
		entries := numbered(30_000, func(int) []byte { return fill(rnd, make([]byte, 100)) })
		r := f.newRun(t, PageSizeMin+rnd.IntN(PageSizeMax-PageSizeMin), S2, entries)
		for range 5000 {
			mustGet(t, r, &entries[rnd.IntN(len(entries))])
		}
		st := f.cache.Stats()
		if st.Bytes > budget || st.Overflow != 0 || st.Pinned != 0 || st.Hits == 0 || st.Misses == 0 {
			t.Errorf("%+v", st)
		}
		if budget == CacheBudgetMin && st.Evictions == 0 {
			t.Errorf("nothing was evicted: %+v", st)
		}
	}
}

// When everything is pinned, readers go on beyond the budget, and what they took
// comes back.
func TestCacheAllPinned(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	rnd := newRand(t)
	entries := numbered(40_000, func(int) []byte { return fill(rnd, make([]byte, 100)) })
	r := f.newRun(t, 0, None, entries)
	var iters []*Iter
	for i := 0; i < len(entries); i += 200 {
		it := r.NewIter()
		checkAt(t, it, it.SeekGE(entries[i].key), &entries[i])
		iters = append(iters, it)
	}
	st := f.cache.Stats()
	if st.Overflow == 0 || st.Pinned < int64(len(iters))*(PageSizeDefault/2) {
		t.Fatalf("%d iterators: %+v", len(iters), st)
	}
	for i, it := range iters {
		checkAt(t, it, it.Valid(), &entries[200*i])
		checkAt(t, it, it.Next(), &entries[200*i+1])
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if st := f.cache.Stats(); st.Overflow != 0 || st.Pinned != 0 || st.Bytes > CacheBudgetMin {
		t.Fatalf("afterwards: %+v", st)
	}
}

// What is read often stays while a scan of far more than the budget goes by.
func TestCacheScanResistance(t *testing.T) {
	f := newFixture(t, 2<<20)
	rnd := newRand(t)
	cfg := f.config(0, None)
	entries := numbered(100_000, func(int) []byte { return fill(rnd, make([]byte, 100)) })
	r, reads := f.openCounted(t, cfg.Path, f.build(t, cfg, entries))
	hot := func() int64 {
		before := reads.Load()
		for i := range 5000 {
			mustGet(t, r, &entries[i])
		}
		return reads.Load() - before
	}
	for range 3 {
		hot()
	}
	if n := hot(); n != 0 {
		t.Fatalf("%d reads before the scan", n)
	}
	it := r.NewIter()
	for ok := it.First(); ok; ok = it.Next() {
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	pagesHot := int64(5000 * 120 / PageSizeDefault)
	if n := hot(); n > pagesHot/4 {
		t.Fatalf("%d of about %d hot pages were gone after the scan", n, pagesHot)
	}
}

// Readers that miss the same page at once read it once.
func TestCacheLoadsOnce(t *testing.T) {
	f := newFixture(t, 8<<20)
	rnd := newRand(t)
	cfg := f.config(0, None)
	entries := numbered(1000, func(int) []byte { return fill(rnd, make([]byte, 100)) })
	r, reads := f.openCounted(t, cfg.Path, f.build(t, cfg, entries))
	opened := reads.Load()
	st, err := r.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := reads.Load()
	if before == opened {
		t.Fatal("verify reads past the cache and counted nothing")
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range entries {
				mustGet(t, r, &entries[i])
			}
		})
	}
	wg.Wait()
	if n, want := reads.Load()-before, st.Leaves+st.Inner+st.Filter; n != want {
		t.Fatalf("%d reads of %d pages", n, want)
	}
}

// Many readers of several runs in a cache far too small, while runs come and go
// and another owner is wiped.
func TestCacheConcurrent(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	rnd := newRand(t)
	var runs []*Run
	var data [][]entry
	for range 3 {
		entries := randomEntries(rnd, 1500, PageSizeMin)
		data = append(data, entries)
		runs = append(runs, f.newRun(t, PageSizeMin, S2, entries))
	}
	cfg := f.config(0, S2)
	passing := numbered(5000, func(int) []byte { return make([]byte, 50) })
	info := f.build(t, cfg, passing)
	var wg sync.WaitGroup
	for i := range 6 {
		rnd := rand.New(rand.NewPCG(rnd.Uint64(), uint64(i)))
		wg.Go(func() {
			r, entries := runs[i%3], data[i%3]
			for range 1500 {
				mustGet(t, r, &entries[rnd.IntN(len(entries))])
			}
			it := r.NewIter()
			n := 0
			for ok := it.First(); ok; ok = it.Next() {
				v, err := it.Value()
				if err != nil || !bytes.Equal(it.Key(), entries[n].key) || !bytes.Equal(v, entries[n].value) {
					t.Errorf("entry %d: %v", n, err)
				}
				n++
			}
			if err := it.Close(); err != nil || n != len(entries) {
				t.Errorf("%d entries of %d, %v", n, len(entries), err)
			}
		})
	}
	wg.Go(func() {
		other := f.cache.NewOwner()
		for range 30 {
			cfg := f.runConfig(cfg.Path, info)
			cfg.Cache = other
			r, err := OpenRun(cfg)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 500 {
				mustGet(t, r, &passing[10*i])
			}
			other.Wipe()
			other.Reset()
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		other.Close()
	})
	wg.Wait()
}

// residue reports whether any byte of the cache's memory is not zero.
func residue(c *Cache) bool {
	for _, s := range c.shards {
		for _, b := range s.alloc.mem {
			if b != 0 {
				return true
			}
		}
	}
	for l := range c.loose {
		for _, b := range l.all {
			if b != 0 {
				return true
			}
		}
	}
	for _, w := range c.scratches {
		for _, b := range w.plain {
			if b != 0 {
				return true
			}
		}
	}
	return false
}

func TestWipe(t *testing.T) {
	f := newFixture(t, 4<<20)
	rnd := newRand(t)
	entries := numbered(20_000, func(i int) []byte { return fill(rnd, make([]byte, 100)) })
	entries[0].value = fill(rnd, make([]byte, 300<<10))
	entries[1].value = fill(rnd, make([]byte, 5<<10))
	cfg := f.config(0, S2)
	info := f.build(t, cfg, entries)
	r := f.open(t, cfg.Path, info)
	for range 2000 {
		mustGet(t, r, &entries[rnd.IntN(len(entries))])
	}
	var stale []*Iter
	for i := range 3 {
		it := r.NewIter()
		checkAt(t, it, it.SeekGE(entries[i].key), &entries[i])
		stale = append(stale, it)
	}
	if !residue(f.cache) {
		t.Fatal("the check sees nothing before the wipe")
	}
	f.owner.Wipe()
	f.owner.Wipe() // again does nothing
	if residue(f.cache) {
		t.Fatal("bytes are left after the wipe")
	}
	moves := []func(it *Iter) bool{
		func(it *Iter) bool { return it.Next() },
		func(it *Iter) bool { return it.SeekGE(entries[5].key) },
		func(it *Iter) bool { v, err := it.Value(); return v != nil || err == nil },
	}
	for i, it := range stale {
		if moves[i](it) || it.Valid() || it.Key() != nil || it.Kind() != 0 || !errors.Is(it.Err(), crypt.ErrWiped) {
			t.Fatalf("iterator %d: key %x, %v", i, it.Key(), it.Err())
		}
		if err := it.Close(); !errors.Is(err, crypt.ErrWiped) {
			t.Fatal(err)
		}
	}
	check := func(want error) {
		t.Helper()
		if _, _, _, err := r.Get(nil, entries[0].key); !errors.Is(err, want) {
			t.Fatal(err)
		}
		if _, err := r.Verify(t.Context(), nil); !errors.Is(err, want) {
			t.Fatal(err)
		}
		it := r.NewIter()
		if it.First() || !errors.Is(it.Close(), want) {
			t.Fatal(it.Err())
		}
	}
	check(crypt.ErrWiped)
	if _, err := OpenRun(f.runConfig(cfg.Path, info)); !errors.Is(err, crypt.ErrWiped) {
		t.Fatal(err)
	}
	f.owner.Reset()
	check(crypt.ErrWiped) // a run of before stays wiped
	again := f.open(t, cfg.Path, info)
	mustGet(t, again, &entries[7])
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	check(ErrClosed)
	if st := f.cache.Stats(); st.Pinned != 0 || st.Overflow != 0 {
		t.Fatalf("%+v", st)
	}
}

// One owner's wipe leaves the other's pages, and closing a run drops its own.
func TestWipeIsApart(t *testing.T) {
	f := newFixture(t, 4<<20)
	cfg := f.config(0, S2)
	entries := numbered(2000, func(int) []byte { return make([]byte, 100) })
	info := f.build(t, cfg, entries)
	mine, reads := f.openCounted(t, cfg.Path, info)
	other := f.cache.NewOwner()
	theirs := f.runConfig(cfg.Path, info)
	theirs.Cache = other
	r, err := OpenRun(theirs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		mustGet(t, mine, &entries[i])
		mustGet(t, r, &entries[i])
	}
	both, before := f.cache.Stats().Bytes, reads.Load()
	other.Wipe()
	half := f.cache.Stats().Bytes
	for i := range entries {
		mustGet(t, mine, &entries[i])
	}
	if reads.Load() != before || half*2 != both {
		t.Fatalf("%d reads, %d bytes of %d", reads.Load()-before, half, both)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mine.Close(); err != nil {
		t.Fatal(err)
	}
	if st := f.cache.Stats(); st.Bytes != 0 || residue(f.cache) {
		t.Fatalf("closed runs left %+v", st)
	}
	other.Close()
	other.Reset()
	if _, err := OpenRun(theirs); !errors.Is(err, crypt.ErrWiped) {
		t.Fatal(err)
	}
}

// A cache that is closed under an open iterator neither faults nor answers.
func TestCacheClosedUnderIterator(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	c, err := NewCache(CacheBudgetMin)
	if err != nil {
		t.Fatal(err)
	}
	f.owner = c.NewOwner()
	entries := numbered(1000, func(int) []byte { return make([]byte, 100) })
	r := f.newRun(t, 0, S2, entries)
	it := r.NewIter()
	checkAt(t, it, it.First(), &entries[0])
	key := it.Key()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key, make([]byte, len(key))) {
		t.Fatal("a key outlives the cache")
	}
	if it.Next() || !errors.Is(it.Close(), crypt.ErrWiped) {
		t.Fatal(it.Err())
	}
	if _, err := OpenRun(f.runConfig(r.Path(), r.Info())); !errors.Is(err, crypt.ErrWiped) {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// Blocks do not overlap, and all come back as whole regions.
func TestBuddy(t *testing.T) {
	rnd := newRand(t)
	b, err := newBuddy(3 * regionSize)
	if err != nil {
		t.Fatal(err)
	}
	type held struct {
		at  uint32
		tag byte
	}
	var blocks []held
	full := 0
	for step := range 20_000 {
		if len(blocks) > 0 && rnd.IntN(2) == 0 {
			i := rnd.IntN(len(blocks))
			h := blocks[i]
			for _, c := range b.bytes(h.at) {
				if c != h.tag {
					t.Fatalf("step %d: a block was written by another", step)
				}
			}
			clear(b.bytes(h.at))
			b.release(h.at)
			blocks[i] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			continue
		}
		n := 1 + rnd.IntN(regionSize>>rnd.IntN(orderMax+2))
		at := b.alloc(orderOf(n))
		if at == 0 {
			full++
			continue
		}
		mem := b.bytes(at)
		if len(mem) < n || len(mem) >= 2*max(n, granuleSize) {
			t.Fatalf("%d bytes for %d", len(mem), n)
		}
		h := held{at, byte(1 + step%255)}
		for i := range mem {
			if mem[i] != 0 {
				t.Fatal("a free block is not zero")
			}
			mem[i] = h.tag
		}
		blocks = append(blocks, h)
	}
	if full == 0 {
		t.Error("the memory was never full")
	}
	for _, h := range blocks {
		b.release(h.at)
	}
	if b.used != 0 {
		t.Errorf("%d bytes are lost", b.used)
	}
	for range 3 {
		if b.alloc(orderMax) == 0 {
			t.Error("the blocks did not grow together again")
		}
	}
}
