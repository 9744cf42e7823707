package engine

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

var (
	crashFor  = flag.Duration("crash.for", 0, "how long TestCrash runs; 0 = a few seconds")
	crashSeed = flag.Uint64("crash.seed", 0, "seed of TestCrash; 0 = another one each time")
)

// TestCrash runs random transactions against a history and crashes in the
// middle of calls. What the crash leaves must be the state after one commit:
// with SyncFull not before the last one that was acknowledged, otherwise not
// before the last point at which everything was made durable. Then it goes on
// with what the crash has left.
func TestCrash(t *testing.T) {
	seed, sets, until := testSeed(t, *crashSeed), uint64(6), time.Now().Add(*crashFor)
	if testing.Short() {
		sets = 2
	}
	total := 0
	for i := uint64(0); i < sets || time.Now().Before(until); i++ {
		ok := t.Run(fmt.Sprint(i), func(t *testing.T) {
			r := newCrashRun(t, seed+i)
			for r.round = range 7 {
				r.run(t)
			}
			r.end(t)
			total += r.nChecked
		})
		if !ok {
			t.Fatalf("to see it again: -crash.seed %d", seed+i)
		}
	}
	if t.Logf("%d crashes", total); total < int(sets)*6 {
		t.Errorf("%d crashes were checked", total)
	}
}

// crashRun is one database through many crashes.
type crashRun struct {
	rng      *rand.Rand
	key      *fakeKey
	opts     *Options
	db       *DB
	fs       *memfs.FS
	h        *history
	round    int
	nWriters int
	nChecked int
	names    memfs.Names

	mu      sync.Mutex // of what the hook uses
	hookRng *rand.Rand
	clones  []crashClone
	hookErr error
}

// crashClone is what a crash left, and which commits it may have as its last.
type crashClone struct {
	fs        *memfs.FS
	low, high uint64
	least     Position
	during    memfs.Call
}

func newCrashRun(t *testing.T, seed uint64) *crashRun {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	fs := memFS(t)
	r := &crashRun{
		rng: rng, key: newFakeKey("k"), fs: fs, h: newHistory(), opts: smallOptions(fs),
		nWriters: 1 + rng.IntN(3)*rng.IntN(2), hookRng: rand.New(rand.NewPCG(seed, 1)), names: memfs.Names(rng.IntN(2)),
	}
	r.opts.MemtableSize = 16 << 10 << rng.IntN(6)
	r.opts.PageSize = 4 << 10 << rng.IntN(5)
	r.opts.CacheSize = 1 << 20 << rng.IntN(3)
	r.opts.Sync = SyncMode(rng.IntN(3))
	r.opts.segmentSize = 64 << 10 << rng.IntN(5)
	t.Logf("seed %d: memtable %d, pages %d, cache %d, sync %d, segments %d, writers %d, names %d", seed,
		r.opts.MemtableSize, r.opts.PageSize, r.opts.CacheSize, r.opts.Sync, r.opts.segmentSize, r.nWriters, r.names)
	r.arm(fs, 2) // in the middle of the creation
	r.db = r.open(t, fs, Position{})
	r.checkClones(t)
	return r
}

func (r *crashRun) open(t *testing.T, fs *memfs.FS, least Position) *DB {
	t.Helper()
	o := *r.opts
	o.fs, o.MinPosition = fs, least
	db, err := Open(t.Context(), memDir, r.key, &o)
	if err != nil {
		t.Fatalf("round %d: open: %v", r.round, err)
	}
	return db
}

// arm makes the next calls crash, n times, in clones.
func (r *crashRun) arm(fs *memfs.FS, n int) {
	next := fs.Calls().Writes() + 1 + int64(r.rng.IntN(40))
	fs.OnCall(func(c memfs.Call) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if n == 0 || c.N < next {
			return
		}
		n--
		next = c.N + 1 + int64(r.hookRng.IntN(80))
		low, least := r.h.promised(r.opts.Sync), r.h.position()
		clone, err := fs.Crash(r.hookRng, r.names)
		if err != nil {
			r.hookErr = err
			return
		}
		r.clones = append(r.clones, crashClone{fs: clone, low: low, high: r.h.last(), least: least, during: c})
	})
}

// run is one round: commits with crashes among them, and then something else.
func (r *crashRun) run(t *testing.T) {
	t.Helper()
	r.arm(r.fs, 1+r.rng.IntN(4))
	var wg sync.WaitGroup
	for range r.nWriters {
		rng := rand.New(rand.NewPCG(r.rng.Uint64(), 0))
		wg.Go(func() {
			for range 10 + rng.IntN(30) {
				if err := r.h.commit(r.db, rng); err != nil && !errors.Is(err, ErrKeyUnavailable) {
					t.Errorf("round %d: %v", r.round, err)
					return
				}
			}
		})
	}
	if r.rng.IntN(4) == 0 {
		r.keyGoesAndComes(t)
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	r.fs.OnCall(nil)
	r.h.check(t, r.db, r.h.acked, r.h.last())
	r.checkClones(t)
	switch r.rng.IntN(8) {
	case 0:
		r.reopen(t)
	case 1, 2:
		r.goOnFromCrash(t)
	case 3:
		if err := r.db.Verify(t.Context()); err != nil {
			t.Fatalf("round %d: %v", r.round, err)
		}
		r.h.settle() // it syncs the log, to read it
	case 4:
		r.bulk(t)
	case 5:
		r.rotate(t)
	}
}

// rotate makes a new data key, with crashes in that and in what follows.
func (r *crashRun) rotate(t *testing.T) {
	t.Helper()
	r.arm(r.fs, 4)
	if err := r.db.RotateKey(t.Context()); err != nil && !errors.Is(err, ErrRotating) {
		t.Fatalf("round %d: rotate: %v", r.round, err)
	}
	if r.rng.IntN(2) == 0 {
		awaitRotation(t, r.db)
		r.fs.OnCall(nil)
	}
	r.checkClones(t)
}

// keyGoesAndComes takes the key away beside the writers, and sometimes wipes the
// memory meanwhile.
func (r *crashRun) keyGoesAndComes(t *testing.T) {
	t.Helper()
	r.key.set(crypt.ClassDenied)
	if err := r.db.ProbeKey(t.Context()); err == nil {
		t.Error("a denied key answers")
	}
	if r.rng.IntN(2) == 0 {
		r.db.pause()
		r.key.set(crypt.ClassNone)
		if err := r.db.resume(t.Context()); err != nil {
			t.Errorf("round %d: resume: %v", r.round, err)
		}
	}
	r.key.set(crypt.ClassNone)
	if err := r.db.ProbeKey(t.Context()); err != nil {
		t.Errorf("probe: %v", err)
	}
}

// bulk loads in bulk, with crashes in it.
func (r *crashRun) bulk(t *testing.T) {
	t.Helper()
	r.arm(r.fs, 3)
	if err := r.h.bulk(t.Context(), r.db, r.rng); err != nil {
		t.Fatalf("round %d: bulk load: %v", r.round, err)
	}
	r.fs.OnCall(nil)
	r.h.check(t, r.db, r.h.acked, r.h.last())
	r.checkClones(t)
}

// reopen closes and opens, with crashes in both.
func (r *crashRun) reopen(t *testing.T) {
	t.Helper()
	r.arm(r.fs, 3)
	if err := r.db.Close(); err != nil {
		t.Fatalf("round %d: close: %v", r.round, err)
	}
	r.h.settle()
	r.db = r.open(t, r.fs, r.h.position())
	r.fs.OnCall(nil)
	r.h.check(t, r.db, r.h.acked, r.h.last())
	r.checkClones(t)
}

// goOnFromCrash leaves the database as it is and goes on with what a crash
// would make of it.
func (r *crashRun) goOnFromCrash(t *testing.T) {
	t.Helper()
	c := crashClone{low: r.h.promised(r.opts.Sync), high: r.h.last(), least: r.h.position()}
	var err error
	if c.fs, err = r.fs.Crash(r.rng, r.names); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Close(); err != nil {
		t.Fatalf("round %d: close: %v", r.round, err)
	}
	if err := r.fs.Discard(); err != nil {
		t.Fatal(err)
	}
	db, last := r.check(t, c)
	r.db, r.fs = db, c.fs
	r.h.rebase(last)
}

// checkClones opens and checks what crashes have left.
func (r *crashRun) checkClones(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	clones, err := r.clones, r.hookErr
	r.clones = nil
	r.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range clones {
		again := r.crashInRecovery(c.fs)
		db, last := r.check(t, c)
		if fs := again(t); fs != nil { // the first crash has left nothing that is not durable
			db2, _ := r.check(t, crashClone{fs: fs, low: last, high: last, least: c.least, during: c.during})
			r.closeClone(t, db2, fs)
		}
		r.closeClone(t, db, c.fs)
	}
}

// crashInRecovery makes a call while the database is opened crash in a clone,
// which the function returned gives, nil if there was no such call.
func (r *crashRun) crashInRecovery(fs *memfs.FS) func(t *testing.T) *memfs.FS {
	var again *memfs.FS
	var err error
	n := int64(r.rng.IntN(25))
	fs.OnCall(func(c memfs.Call) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if again == nil && c.N > n {
			again, err = fs.Crash(r.hookRng, r.names)
		}
	})
	return func(t *testing.T) *memfs.FS {
		t.Helper()
		fs.OnCall(nil)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
}

func (r *crashRun) closeClone(t *testing.T, db *DB, fs *memfs.FS) {
	t.Helper()
	if err := errors.Join(db.Close(), fs.Discard()); err != nil {
		t.Fatalf("round %d: close after a crash: %v", r.round, err)
	}
}

// check opens what a crash has left and checks all of it.
func (r *crashRun) check(t *testing.T, c crashClone) (db *DB, last uint64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("round %d: the crash was before %s of %s", r.round, c.during.Op, c.during.Path)
		}
	}()
	db = r.open(t, c.fs, c.least)
	last = r.h.check(t, db, c.low, c.high)
	if err := db.Verify(t.Context()); err != nil {
		t.Fatalf("verify after a crash: %v", err)
	}
	r.nChecked++
	return db, last
}

func (r *crashRun) end(t *testing.T) {
	t.Helper()
	if err := r.db.Verify(t.Context()); err != nil {
		t.Errorf("verify: %v", err)
	}
	r.h.check(t, r.db, r.h.acked, r.h.last())
	if err := r.db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// TestCrashInErase: a crash in the middle of an erasure leaves everything, or a
// tombstone; then the next opening ends the erasure.
func TestCrashInErase(t *testing.T) {
	rng := rand.New(rand.NewPCG(testSeed(t, *crashSeed), 0))
	l := newLife(t, nil)
	db, err := Open(t.Context(), memDir, l.key, l.opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		l.load(t, db, i)
	}
	var clones []*memfs.FS
	l.fs.OnCall(func(memfs.Call) {
		clone, err := l.fs.Crash(rng, memfs.AnyNames)
		if err != nil {
			t.Error(err)
			return
		}
		clones = append(clones, clone)
	})
	if err := db.erase(guard.Record{Message: "denied"}); err != nil {
		t.Fatal(err)
	}
	l.fs.OnCall(nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	erased := 0
	for _, fs := range append(clones, l.fs) {
		o := *l.opts
		o.fs = fs
		db, err := Open(t.Context(), memDir, l.key, &o)
		if err == nil {
			l.h.check(t, db, l.h.acked, l.h.acked)
			l.end(t, db)
			continue
		}
		if !errors.Is(err, ErrErased) {
			t.Fatalf("after a crash: %v", err)
		}
		erased++
		if files, err := fs.Files(memDir); err != nil || len(files) != 1 {
			t.Errorf("after an erasure there are %q, %v", files, err)
		}
	}
	if erased == 0 || erased > len(clones) {
		t.Errorf("%d of %d crashes left an erased database", erased, len(clones))
	}
}

// TestSyncIntervalAfterACrash: what was committed is durable after the period, without a
// further commit.
func TestSyncIntervalAfterACrash(t *testing.T) {
	fs := memFS(t)
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		o := smallOptions(fs)
		o.Sync, o.clock = SyncInterval, clock.Process()
		key := newFakeKey("k")
		db, err := Open(t.Context(), memDir, key, o)
		if err != nil {
			t.Fatal(err)
		}
		put(t, db, "c", "k", "v")
		time.Sleep(2 * SyncPeriod)
		o.fs, err = fs.Crash(lossRand{}, memfs.Ordered)
		if err != nil {
			t.Fatal(err)
		}
		after, err := Open(t.Context(), memDir, key, o)
		if err != nil {
			t.Fatal(err)
		}
		mustGet(t, after, "c", "k", "v")
		if err := errors.Join(db.Close(), after.Close()); err != nil {
			t.Error(err)
		}
	})
}

// lossRand decides that a crash keeps nothing of what was not synced.
type lossRand struct{}

func (lossRand) IntN(int) int     { return 0 }
func (lossRand) Float64() float64 { return 0.5 }
