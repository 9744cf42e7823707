package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/internal/offheap"
	"github.com/byokdb/byokdb/internal/timebubble"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// Commits that wait for one another when the key goes.

// inflight runs fn on a database in a bubble.
func inflight(t *testing.T, p Policy, opts func(o *Options), fn func(x *inflightRig)) {
	t.Helper()
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) { fn(newInflightRig(t, p, &inflightOp{opts: opts})) })
}

// TestGroupWithoutKey has one committer in a sync and sixteen behind it, who have
// applied their batches, when the key goes. The first is promised; the others are
// refused, and nothing of them is there then or later: not in memory, and not
// after a crash.
func TestGroupWithoutKey(t *testing.T) {
	for _, sync := range []SyncMode{SyncFull, SyncInterval, SyncOff} {
		for _, created := range []bool{false, true} {
			t.Run(fmt.Sprintf("sync %d, created %v", sync, created), func(t *testing.T) {
				inflight(t, Policy{Deadline: time.Hour}, func(o *Options) { o.Sync = sync }, func(x *inflightRig) {
					groupWithoutKey(x, created)
				})
			})
		}
	}
}

func groupWithoutKey(x *inflightRig, created bool) {
	x.must(x.write("first"))
	match := logSync
	if x.opts.Sync != SyncFull {
		match = func(c memfs.Call) bool { return c.Op == memfs.OpWrite && !isRun(c.Path) }
	}
	_, release := x.block(match)
	leader := x.blocked(release, func() error { return x.write("leader", "leader too") })
	var waiting []flight
	for i := range 16 {
		k := fmt.Sprintf("w%02d", i)
		waiting = append(waiting, x.blocked(nil, func() error {
			err := x.db.Update(func(tx *Tx) error {
				if created {
					if _, err := tx.CreateCollection(k); err != nil {
						return err
					}
				}
				c, err := tx.Collection("op")
				if err == nil {
					err = c.Put([]byte(k), []byte("of "+k))
				}
				return err
			})
			x.note(err, k)
			return err
		}))
	}
	heir := x.begin(true) // on top of all of them
	if _, err := x.collection(heir, "op").Get([]byte("w15")); err != nil {
		x.t.Fatalf("the writer does not see what was applied: %v", err)
	}
	x.must(x.collection(heir, "op").Put([]byte("heir"), nil))
	x.key.set(crypt.ClassDenied)
	x.await(Suspended)
	release()
	if err := leader.step(); err != nil {
		x.t.Errorf("the commit that was being written: %v", err)
	}
	for _, f := range waiting {
		x.refused(f, Suspended)
	}
	x.back()
	if err := heir.Commit(); !errors.Is(err, ErrKeyUnavailable) {
		x.t.Errorf("a commit on top of what was undone: %v", err)
	}
	x.check(x.db)
	x.must(x.write("afterwards"))
	x.must(x.db.View(func(tx *Tx) error {
		names, err := tx.Collections()
		if len(names) != 2 {
			x.t.Errorf("collections of refused commits are there: %q", names)
		}
		return err
	}))
	x.serves()
	x.end("crash")
}

func isRun(path string) bool { return newRun(memfs.Call{Op: memfs.OpCreate, Path: path}) }

// TestUndoneAfterFreeze undoes a commit that was applied on top of a memtable which
// was begun after readers took their snapshot.
func TestUndoneAfterFreeze(t *testing.T) {
	inflight(t, Policy{Deadline: time.Hour}, nil, func(x *inflightRig) {
		x.must(x.write("first"))
		reader := x.begin(false) // with it, what readers see is kept
		_, release := x.block(newRun)
		flush := x.blocked(release, func() error { return x.db.flushed(x.t.Context()) })
		tx := x.begin(true)
		x.must(x.collection(tx, "op").Put([]byte("late"), nil))
		s := x.db.session
		tx.mu.Lock()
		batch := tx.encode()
		f, err := s.apply(&batch, tx.writes)
		tx.mu.Unlock()
		x.must(err)
		x.key.hung.Store(true)
		x.await(Suspended) // between the applying and the writing
		if err := s.awaitFate(f, true); !errors.Is(err, ErrKeyUnavailable) {
			x.t.Errorf("a batch that was not written before the key went: %v", err)
		}
		batch.reset()
		x.must(errors.Join(tx.Rollback(), reader.Rollback()))
		x.back()
		release()
		_ = flush.step() // it may have ended without the key
		x.serves()
	})
}

// TestAcknowledgedIsSyncedWithoutKey: what SyncInterval acknowledged needs no key
// to become durable in time, and what SyncOff did needs none at Close.
func TestAcknowledgedIsSyncedWithoutKey(t *testing.T) {
	for _, sync := range []SyncMode{SyncInterval, SyncOff} {
		inflight(t, Policy{Deadline: time.Hour}, func(o *Options) { o.Sync = sync }, func(x *inflightRig) {
			x.key.hung.Store(true)
			time.Sleep(time.Until(x.db.Status().Key.LeaseUntil) - time.Millisecond)
			x.must(x.write("last"))
			x.await(Suspended)
			if sync == SyncOff {
				x.must(x.db.Close())
			}
			crashed, err := x.fs.Crash(rand.New(rand.NewPCG(1, 2)), memfs.AnyNames)
			x.must(err)
			x.key.hung.Store(false)
			x.opts.fs = crashed
			db, err := Open(x.t.Context(), memDir, x.key, x.opts)
			x.must(err)
			x.check(db)
			x.must(db.Close())
		})
	}
}

// TestKeyGoesAmongTombstones interrupts a move over many deleted records, which
// goes on from where it was; and a compaction of nothing but garbage.
func TestKeyGoesAmongTombstones(t *testing.T) {
	const n = 20 * checkEvery
	inflight(t, Policy{Deadline: time.Hour}, func(o *Options) { o.MemtableSize = 4 << 20 }, func(x *inflightRig) {
		fill := func(fn func(c *Collection, key []byte) error) {
			x.must(x.db.Update(func(tx *Tx) error {
				c := x.collection(tx, "op")
				for i := range n {
					if err := fn(c, fmt.Appendf(nil, "gone-%06d", i)); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		fill(func(c *Collection, key []byte) error { return c.Put(key, key) })
		x.must(x.db.flushed(x.t.Context()))
		fill(func(c *Collection, key []byte) error { return c.Delete(key) })
		x.must(x.write("a", "z"))
		for _, forward := range []bool{true, false} {
			tx := x.begin(false)
			cur := x.collection(tx, "op").Cursor(nil, nil)
			move, last := cur.Next, "z"
			if !forward {
				move, last = cur.Prev, "a"
			}
			if !move() {
				x.t.Fatal(cur.Err())
			}
			// The key goes in the middle of the move: the clock jumps when it has
			// been read so often.
			x.clock.jumpAfter(5, x.db.policy.Bound())
			if move() || !errors.Is(cur.Err(), ErrKeyUnavailable) || cur.Key() != nil || cur.Value() != nil {
				x.t.Errorf("forward %v: it moved to %q, %v", forward, cur.Key(), cur.Err())
			}
			x.clock.back()
			if !move() || string(cur.Key()) != last || cur.Err() != nil {
				x.t.Errorf("forward %v: it went on to %q, %v", forward, cur.Key(), cur.Err())
			}
			x.must(tx.Rollback())
		}
		s := x.db.session
		w := &runWriter{s: s, ctx: x.t.Context()}
		for i := range checkEvery - 1 {
			if err := w.look(0); err != nil {
				x.t.Fatal(i, err)
			}
		}
		x.clock.jumpAfter(0, x.db.policy.Bound())
		if err := w.look(0); !errors.Is(err, ErrKeyUnavailable) {
			x.t.Errorf("a merge of %d dead entries never looks at the key: %v", checkEvery, err)
		}
		x.clock.back()
		x.serves()
	})
}

// TestStagesOfCommits has one commit in a sync, another that waits for it, and a
// writer on top of both: it sees them, by key and by cursor and also after they
// moved to the memtable under its hands, while readers see a commit only once it
// is durable.
func TestStagesOfCommits(t *testing.T) {
	inflight(t, Policy{Deadline: time.Hour}, nil, func(x *inflightRig) {
		x.must(x.write("a", "b"))
		_, release := x.block(logSync)
		first := x.blocked(release, func() error { return x.write("c") })
		second := x.blocked(nil, func() error { return x.write("b2", "d") })
		writer := x.begin(true)
		c := x.collection(writer, "op")
		all := []string{"a", "b", "b2", "c", "d"}
		x.sees(writer, all...)
		x.must(c.Put([]byte("e"), nil))
		cur := c.Cursor(nil, nil)
		early := x.begin(false)
		x.sees(early, "a", "b")
		release()
		x.must(first.step())
		x.must(second.step())
		x.sees(writer, append(all, "e")...)
		if n := countKeys(cur); n != len(all)+1 {
			x.t.Errorf("a cursor from before sees %d records, want %d", n, len(all)+1)
		}
		late := x.begin(false)
		x.sees(late, all...)
		x.must(writer.Commit())
		x.sees(early, "a", "b")
		x.sees(late, all...)
		x.must(errors.Join(early.Rollback(), late.Rollback()))
		now := x.begin(false)
		x.sees(now, append(all, "e")...)
		x.must(now.Rollback())
	})
}

// TestNoMemoryToSettle: when there is no memory for a group that is durable to
// move to the memtable, part of it has moved. It is visible as a whole, to cursors
// too, snapshots from before go on, writes are refused, and opening the database
// anew shows all of it.
func TestNoMemoryToSettle(t *testing.T) {
	for _, n := range []int{2 * settleSoonMax, settleSoonMax, 4} { // in the background, by the committer
		inflight(t, Policy{Deadline: time.Hour}, nil, func(x *inflightRig) {
			var short atomic.Bool
			x.db.session.mem.Table = memtable.NewIn(func(n int) ([]byte, error) {
				if short.Load() {
					return nil, syscall.ENOMEM
				}
				return offheap.Alloc(n)
			})
			x.must(x.write("a", "gone 0", "gone 1", "z"))
			reader := x.begin(false)
			short.Store(true)
			want := []string{"a", "z"}
			x.must(x.db.Update(func(tx *Tx) error {
				c := x.collection(tx, "op")
				err := errors.Join(c.Delete([]byte("gone 0")), c.Delete([]byte("gone 1")), c.Put([]byte("a"), []byte("new")))
				for i := range n - 3 {
					want = append(want, fmt.Sprintf("b%02d", i))
					err = errors.Join(err, c.Put([]byte(want[i+2]), make([]byte, 2<<14))) // larger than a table's first memory
				}
				return err
			}))
			synctest.Wait()
			if x.db.session.landed == nil {
				x.t.Fatal("the group has moved without memory")
			}
			slices.Sort(want)
			x.sees(reader, "a", "gone 0", "gone 1", "z")
			x.must(reader.Rollback())
			later := x.begin(false)
			x.sees(later, want...)
			if v, err := x.collection(later, "op").Get([]byte("a")); err != nil || string(v) != "new" {
				x.t.Errorf("what has moved reads as %q, %v", v, err)
			}
			x.must(later.Rollback())
			if err := x.write("d"); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.ENOMEM) {
				x.t.Errorf("a writer afterwards: %v", err)
			}
			_ = x.db.Close()
			db, err := Open(x.t.Context(), memDir, x.key, x.opts)
			x.must(err)
			x.db = db
			again := x.begin(false)
			x.sees(again, want...)
			x.must(again.Rollback())
		})
	}
}

// TestFailedCommitIsNotSeen: what a commit wrote whose sync failed is seen by no
// transaction that begins afterwards, a writable one included.
func TestFailedCommitIsNotSeen(t *testing.T) {
	inflight(t, Policy{Deadline: time.Hour}, nil, func(x *inflightRig) {
		x.must(x.write("a"))
		x.fs.SetFault(&memfs.Fault{Err: syscall.EIO, Only: func(op memfs.Op, _ string) bool { return op == memfs.OpSyncData }})
		if err := x.write("b"); !errors.Is(err, ErrFailed) {
			x.t.Errorf("the commit: %v", err)
		}
		x.fs.SetFault(nil)
		if _, err := x.db.Begin(true); !errors.Is(err, ErrFailed) {
			x.t.Errorf("a writer afterwards: %v", err)
		}
		reader := x.begin(false)
		x.sees(reader, "a")
		x.must(reader.Rollback())
		_ = x.db.Close()
	})
}

// sees compares the keys of a transaction's collection with what they ought to be,
// by cursor in both directions and one by one.
func (x *inflightRig) sees(tx *Tx, want ...string) {
	x.t.Helper()
	c := x.collection(tx, "op")
	var got []string
	cur := c.Cursor(nil, nil)
	for cur.Next() {
		got = append(got, string(cur.Key()))
	}
	x.must(errors.Join(cur.Err(), cur.Close()))
	if !slices.Equal(got, want) {
		x.t.Errorf("it sees %q, want %q", got, want)
	}
	for _, k := range want {
		if _, err := c.Get([]byte(k)); err != nil {
			x.t.Errorf("get %q: %v", k, err)
		}
	}
}

func countKeys(cur *Cursor) (n int) {
	for cur.Next() {
		n++
	}
	return n
}
