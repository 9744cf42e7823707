package engine

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

var (
	faultEvery = flag.Int64("fault.every", 0, "TestEveryCallFails makes every n-th call fail; 0 = as many as a few seconds allow")
	faultSeed  = flag.Uint64("fault.seed", 0, "seed of the tests with faults; 0 = another one each time")
)

// life is a scripted life of a database on a file system that may fail.
type life struct {
	fs     *memfs.FS
	key    *fakeKey
	opts   *Options
	h      *history
	rng    *rand.Rand
	cause  error  // of the fault that is injected
	failed string // the first step that failed, and how
}

func newLife(t *testing.T, cause error) *life {
	t.Helper()
	fs := memFS(t)
	return &life{
		fs: fs, key: newFakeKey("k"), opts: smallOptions(fs), h: newHistory(), cause: cause,
		rng: rand.New(rand.NewPCG(7, 7)), // the same life each time
	}
}

// expect checks the error of a step. It may only come from the fault.
func (l *life) expect(t *testing.T, step string, err error, sentinel error) {
	t.Helper()
	if err == nil {
		return
	}
	if l.failed == "" {
		l.failed = fmt.Sprintf("%s: %v", step, err)
	}
	if l.cause == nil || !errors.Is(err, l.cause) || errors.Is(err, ErrCorrupt) || sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("%s: %v; it must wrap %v and %v", step, err, l.cause, sentinel)
	}
}

// live makes, fills, flushes, compacts, drops, verifies, closes and opens again,
// and goes on after errors as a program might.
func (l *life) live(t *testing.T) {
	t.Helper()
	for part := range 2 {
		db, err := Open(t.Context(), memDir, l.key, l.opts)
		l.expect(t, "open", err, nil)
		if err != nil {
			continue
		}
		for i := range 7 {
			l.load(t, db, part*7+i)
		}
		awaitCompaction(db)
		l.step(t, db, "drop", func(c *change) error { return c.drop("b") })
		l.step(t, db, "create again", func(c *change) error { return c.put("b", "x", "y") })
		l.expect(t, "bulk load", l.h.bulk(t.Context(), db, l.rng), nil)
		l.expect(t, "rotate", db.RotateKey(t.Context()), nil)
		l.expect(t, "await the rotation", db.AwaitRotation(t.Context()), nil)
		l.expect(t, "compact", db.Compact(t.Context()), nil)
		l.expect(t, "backup", db.Backup(t.Context(), io.Discard), nil)
		l.expect(t, "verify", db.Verify(t.Context()), nil)
		l.read(t, db)
		l.expect(t, "close", db.Close(), nil)
	}
}

// load fills a memtable, so that the next commit begins a segment and a flush.
func (l *life) load(t *testing.T, db *DB, i int) {
	t.Helper()
	defer awaitFlush(db) // writers do not run ahead: the calls come in the same order each time
	l.step(t, db, "load", func(c *change) error {
		for j := range 20 {
			if err := c.put([]string{"a", "b"}[i%2], fmt.Sprintf("key-%03d", (i*7+j)%50), strings.Repeat(fmt.Sprint(i), 900)); err != nil {
				return err
			}
		}
		return c.delete("a", fmt.Sprintf("key-%03d", i))
	})
}

func (l *life) step(t *testing.T, db *DB, what string, fn func(c *change) error) {
	t.Helper()
	err := l.h.update(db, fn, l.rng)
	if err != nil && !errors.Is(err, ErrFailed) { // a read failed in the transaction, perhaps
		l.expect(t, what, err, nil)
		return
	}
	l.expect(t, what, err, ErrFailed)
	if err != nil {
		if why := db.Status().Failed; !strings.Contains(why, l.cause.Error()) {
			t.Errorf("%s failed, and Status.Failed says %q", what, why)
		}
	}
}

// read reads everything. What was acknowledged must be there, and nothing but
// commits as a whole.
func (l *life) read(t *testing.T, db *DB) {
	t.Helper()
	got, err := dump(db)
	l.expect(t, "read", err, nil)
	if err != nil {
		return
	}
	if err := l.h.at(db.Status().Commit).differs(got); err != nil {
		t.Errorf("reads beside a fault (%s): %v", l.failed, err)
	}
	if n := db.Status().Commit; n < l.h.acked {
		t.Errorf("readers see commit %d, acknowledged is %d", n, l.h.acked)
	}
}

// awaitFlush returns when nothing waits for a flush, or there is no room for it, or
// writes failed.
func awaitFlush(db *DB) {
	s := db.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && s.full.flush == nil && len(s.frozen) > 0 {
		s.changed.Wait()
	}
}

// awaitCompaction returns when level 0 was compacted once, or there is no room, or
// writes failed.
func awaitCompaction(db *DB) {
	s := db.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && s.full.why() == nil && len(s.version.all()) == len(s.version.levels[0]) {
		s.changed.Wait()
	}
}

// after opens what the life has left, without faults: on the live file system,
// on what a crash leaves of it, and on what a crash leaves after going on.
func (l *life) after(t *testing.T, rng *rand.Rand) {
	t.Helper()
	l.fs.SetFault(nil)
	l.fs.SetCapacity(0)
	var systems []*memfs.FS
	crash := func() {
		for _, names := range []memfs.Names{memfs.Ordered, memfs.AnyNames} {
			fs, err := l.fs.Crash(rng, names)
			if err != nil {
				t.Fatal(err)
			}
			systems = append(systems, fs)
		}
	}
	crash()
	low, high := l.h.acked, l.h.last()
	for _, fs := range append(systems, l.fs) {
		db := l.reopen(t, fs)
		last := l.h.check(t, db, low, high)
		l.h.rebaseFor(fs == l.fs, last)
		if fs != l.fs {
			l.end(t, db)
			continue
		}
		l.cause = nil
		l.step(t, db, "go on", func(c *change) error { return c.put("c", "x", "y") })
		systems = nil
		crash()
		for _, fs := range systems {
			db := l.reopen(t, fs)
			l.h.check(t, db, l.h.promised(l.opts.Sync), l.h.last())
			l.end(t, db)
		}
		l.end(t, db)
	}
}

// rebaseFor makes the contents after a commit the base, on the file system with
// which the life goes on.
func (h *history) rebaseFor(goesOn bool, number uint64) {
	if goesOn {
		h.rebase(number)
	}
}

func (l *life) reopen(t *testing.T, fs *memfs.FS) *DB {
	t.Helper()
	o := *l.opts
	o.fs = fs
	db, err := Open(t.Context(), memDir, l.key, &o)
	if err != nil {
		t.Fatalf("open again after a fault (%s): %v", l.failed, err)
	}
	return db
}

func (l *life) end(t *testing.T, db *DB) {
	t.Helper()
	if err := errors.Join(db.Verify(t.Context()), db.Close()); err != nil {
		t.Errorf("after a fault (%s): %v", l.failed, err)
	}
}

// TestEveryCallFails lives the same life again and again, with another call
// failing each time, in several ways. Every error is typed; reads of committed
// data go on; opened again, everything that was acknowledged is there.
func TestEveryCallFails(t *testing.T) {
	seed := testSeed(t, *faultSeed)
	rng := rand.New(rand.NewPCG(seed, 0))
	syncs := func(op memfs.Op, _ string) bool { return op.Syncs() }
	for _, way := range []struct {
		name  string
		fault memfs.Fault
	}{
		{"once", memfs.Fault{Err: syscall.EIO}},
		{"for ever", memfs.Fault{Err: syscall.EIO, Always: true}},
		{"disk full", memfs.Fault{Err: syscall.ENOSPC, Short: true}},
		{"short write", memfs.Fault{Err: syscall.EIO, Short: true, Always: true}},
		{"lost sync", memfs.Fault{Err: syscall.EIO, Lose: true, Only: syncs}},
		{"reads", memfs.Fault{Err: syscall.EIO, Reads: true}},
		{"reads for ever", memfs.Fault{Err: syscall.EIO, Reads: true, Always: true}},
	} {
		t.Run(way.name, func(t *testing.T) {
			clean := newLife(t, nil)
			clean.live(t)
			calls := clean.fs.Calls()
			n := calls.Writes()
			switch {
			case way.fault.Reads:
				n = calls.All()
			case way.fault.Only != nil:
				n = calls[memfs.OpSync] + calls[memfs.OpSyncData] + calls[memfs.OpCommit]
			}
			if n < 40 {
				t.Fatalf("the life has %d calls", n)
			}
			every := *faultEvery
			if every == 0 {
				if every = n / 8; testing.Short() {
					every = n / 4
				}
			}
			hits := 0
			for i := rng.Int64N(every); i < n; i += every {
				l := newLife(t, way.fault.Err)
				f := way.fault
				f.After = i
				l.fs.SetFault(&f)
				l.live(t)
				hits += int(min(l.fs.Faults(), 1))
				if rng.IntN(3) == 0 { // what a failed sync has lost shows at once, or after a crash only
					if err := l.fs.DropCaches(); err != nil {
						t.Fatal(err)
					}
				}
				l.after(t, rng)
				if t.Failed() {
					t.Fatalf("%s: call %d of %d: -fault.every %d -fault.seed %d", way.name, i, n, every, seed)
				}
				if err := l.fs.Discard(); err != nil {
					t.Fatal(err)
				}
			}
			if t.Logf("%d calls, %d lives with a fault", n, hits); hits == 0 {
				t.Error("no call failed")
			}
		})
	}
}

// TestDiskFull fills disks of many sizes. Writes fail, reads go on, and with
// more room the database opens whole and takes writes.
func TestDiskFull(t *testing.T) {
	rng := rand.New(rand.NewPCG(testSeed(t, *faultSeed), 0))
	lives := 12
	if testing.Short() {
		lives = 4
	}
	full := 0
	for range lives {
		l := newLife(t, syscall.ENOSPC)
		l.fs.SetCapacity(100<<10 + rng.Int64N(250<<10))
		l.live(t)
		if l.failed != "" {
			full++
		}
		if db, err := Open(t.Context(), memDir, l.key, l.opts); err == nil { // still full
			l.read(t, db)
			l.expect(t, "close", db.Close(), nil)
		} else {
			l.expect(t, "open on a full disk", err, nil)
		}
		l.after(t, rng)
		if t.Failed() {
			t.FailNow()
		}
	}
	if full == 0 {
		t.Error("no disk was full")
	}
}

// TestBackgroundFault: when a flush fails, writes are refused and say why,
// nothing that was acknowledged is lost in any mode, and Close returns.
func TestBackgroundFault(t *testing.T) {
	for _, mode := range []SyncMode{SyncFull, SyncInterval, SyncOff} {
		for _, file := range []string{".run", "catalog.bolt"} {
			l := newLife(t, syscall.EIO)
			l.opts.Sync = mode
			db, err := Open(t.Context(), memDir, l.key, l.opts)
			if err != nil {
				t.Fatal(err)
			}
			l.fs.SetFault(&memfs.Fault{Err: l.cause, Always: true, Only: func(_ memfs.Op, path string) bool {
				return strings.HasSuffix(filepath.Base(path), file)
			}})
			for i := 0; l.failed == ""; i++ {
				l.load(t, db, i)
				if i > 100 {
					t.Fatalf("%s: the flush does not fail", file)
				}
			}
			l.read(t, db)
			l.expect(t, "write", db.Update(func(tx *Tx) error {
				_, err := tx.CreateCollection("new")
				return err
			}), ErrFailed)
			if err := db.Close(); err != nil {
				t.Errorf("mode %d, %s: close: %v", mode, file, err)
			}
			l.after(t, rand.New(rand.NewPCG(testSeed(t, *faultSeed), 0)))
		}
	}
}

// TestFailureOutlivesPause: writes that failed are refused after a pause too,
// and what the undecided manifest names stays on disk.
func TestFailureOutlivesPause(t *testing.T) {
	for _, lose := range []bool{false, true} {
		l := newLife(t, syscall.EIO)
		db, err := Open(t.Context(), memDir, l.key, l.opts)
		if err != nil {
			t.Fatal(err)
		}
		l.fs.SetFault(&memfs.Fault{Err: l.cause, Lose: lose, Only: func(op memfs.Op, _ string) bool { return op == memfs.OpCommit }})
		for i := 0; l.failed == "" && i < 100; i++ {
			l.load(t, db, i)
		}
		db.pause()
		if err := db.resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.read(t, db)
		l.failed = ""
		l.load(t, db, 1)
		if l.failed == "" || db.Status().Failed == "" {
			t.Error("after a pause, writes are taken again")
		}
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		l.after(t, rand.New(rand.NewPCG(testSeed(t, *faultSeed), 0)))
	}
}

// TestEraseFails: an erasure in which a call fails has changed nothing, or left a
// tombstone; then the next opening ends it.
func TestEraseFails(t *testing.T) {
	rng := rand.New(rand.NewPCG(testSeed(t, *faultSeed), 0))
	every := int64(2)
	if testing.Short() {
		every = 6
	}
	erased, whole := 0, 0
	for _, way := range []memfs.Fault{{Err: syscall.EIO}, {Err: syscall.EIO, Always: true}, {Err: syscall.EIO, Lose: true, Short: true}} {
		way.Only = func(op memfs.Op, _ string) bool { return op.Writes() && op != memfs.OpCloseWrite } // of the log: nothing depends on it
		for way.After = 0; ; way.After += 1 + rng.Int64N(2*every) {
			l := newLife(t, syscall.EIO)
			db, err := Open(t.Context(), memDir, l.key, l.opts)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				l.load(t, db, i)
			}
			db.session.stop() // else a flush may meet the fault, which is not the erasure's
			l.fs.SetFault(&way)
			l.expect(t, "erase", db.erase(guard.Record{Message: "denied"}), nil)
			if l.fs.Faults() > 0 && l.failed == "" {
				t.Errorf("call %d failed, and the erasure says that it did not", way.After)
			}
			l.expect(t, "close", db.Close(), nil)
			n := l.fs.Faults()
			l.fs.SetFault(nil)
			db, err = Open(t.Context(), memDir, l.key, l.opts)
			switch {
			case err == nil:
				whole++
				l.h.check(t, db, l.h.acked, l.h.acked)
				l.end(t, db)
			case errors.Is(err, ErrErased):
				erased++
				if files, err := l.fs.Files(memDir); err != nil || len(files) != 1 {
					t.Errorf("after an erasure there are %q, %v", files, err)
				}
			default:
				t.Fatalf("opened after call %d of an erasure failed: %v", way.After, err)
			}
			if err := l.fs.Discard(); err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
	}
	if erased < 6 || whole < 3 { // the first call fails before anything was changed
		t.Errorf("%d were erased, %d whole", erased, whole)
	}
}
