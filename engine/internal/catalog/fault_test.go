package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// memCatalog makes a catalog in memory and opens it.
func memCatalog(tb testing.TB) (*memfs.FS, *Catalog) {
	tb.Helper()
	f := memfs.New(tb.TempDir())
	mustDo(tb, f.MkdirAll("/d"))
	mustDo(tb, f.SyncDir("/"))
	mustDo(tb, Create(f, "/d", testClear(), testEnvelope(tb, 1), testManifest, []byte("guard 0")))
	c, err := Open(f, "/d")
	mustDo(tb, err)
	return f, c
}

func testRand(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed := rand.Uint64()
	tb.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// guardAfterCrash opens what a crash leaves and returns its guard record.
func guardAfterCrash(tb testing.TB, f *memfs.FS, rng *rand.Rand) string {
	tb.Helper()
	after, err := f.Crash(rng, memfs.AnyNames)
	mustDo(tb, err)
	c, err := Open(after, "/d")
	mustDo(tb, err)
	got := string(c.Contents().Guard)
	mustDo(tb, errors.Join(c.PutGuard([]byte("goes on")), c.Close(), after.Discard()))
	return got
}

// TestCrash: in the middle of an update a crash leaves the state before it or
// after it, after it the new one.
func TestCrash(t *testing.T) {
	rng := testRand(t)
	f, c := memCatalog(t)
	states := map[string]int{}
	for i := 1; i <= 20; i++ {
		var clones []*memfs.FS
		f.OnCall(func(memfs.Call) {
			clone, err := f.Crash(rng, memfs.Ordered)
			if err != nil {
				t.Error(err)
				return
			}
			clones = append(clones, clone)
		})
		before, after := fmt.Sprint("guard ", i-1), fmt.Sprint("guard ", i)
		mustDo(t, c.PutGuard([]byte(after)))
		f.OnCall(nil)
		for _, clone := range clones {
			switch got := guardAfterCrash(t, clone, rng); got {
			case before, after:
				states[got[:1]+fmt.Sprint(got == after)]++
			default:
				t.Errorf("in update %d a crash leaves %q", i, got)
			}
			mustDo(t, clone.Discard())
		}
		if got := guardAfterCrash(t, f, rng); got != after {
			t.Errorf("after update %d a crash leaves %q", i, got)
		}
		mustDo(t, c.PutManifest(bytes.Repeat([]byte{byte(i)}, 1000*i)))
	}
	if len(states) != 2 {
		t.Errorf("states seen: %v", states)
	}
	mustDo(t, c.Close())
}

// TestCrashInCreate leaves no catalog, or all of it: C5.
func TestCrashInCreate(t *testing.T) {
	rng := testRand(t)
	f := memfs.New(t.TempDir())
	mustDo(t, f.MkdirAll("/d"))
	mustDo(t, f.SyncDir("/"))
	var clones []*memfs.FS
	f.OnCall(func(memfs.Call) {
		for _, names := range []memfs.Names{memfs.Ordered, memfs.AnyNames} {
			clone, err := f.Crash(rng, names)
			if err != nil {
				t.Error(err)
				return
			}
			clones = append(clones, clone)
		}
	})
	mustDo(t, Create(f, "/d", testClear(), testEnvelope(t, 1), testManifest, []byte("guard")))
	f.OnCall(nil)
	none := 0
	for _, clone := range append(clones, f) {
		_, err := Read(clone, "/d")
		if errors.Is(err, ErrNotExist) {
			none++
			err = Create(clone, "/d", testClear(), testEnvelope(t, 1), testManifest, []byte("guard"))
		}
		mustDo(t, err)
		c, err := Open(clone, "/d")
		mustDo(t, err)
		mustDo(t, c.Close())
	}
	if none == 0 || none == len(clones)+1 {
		t.Errorf("%d of %d crashes left no catalog", none, len(clones))
	}
}

// TestFailureIsSticky: after an update that failed there are no more, whatever
// became of it; the next opening finds the state before or after it: C20.
func TestFailureIsSticky(t *testing.T) {
	rng := testRand(t)
	for _, c := range []struct {
		fault memfs.Fault
		want  string // on the live file system
	}{
		{memfs.Fault{Err: syscall.EIO}, "guard 0"},
		{memfs.Fault{Err: syscall.EIO, After: 1}, "guard 1"},
		{memfs.Fault{Err: syscall.EIO, After: 1, Lose: true}, "guard 1"},
	} {
		f, cat := memCatalog(t)
		f.SetFault(&c.fault)
		if err := cat.PutGuard([]byte("guard 1")); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("%+v: %v", c.fault, err)
		}
		calls := f.Calls().Writes()
		for what, err := range map[string]error{
			"guard": cat.PutGuard([]byte("x")), "journal": cat.AppendJournal([]byte("x")), "manifest": cat.PutManifest([]byte("x")),
			"envelope": cat.PutEnvelope(testEnvelope(t, 2)), "erase": cat.Erase(Tombstone{}), "failed": cat.Failed(),
		} {
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Errorf("%+v: %s after it: %v", c.fault, what, err)
			}
		}
		if n := f.Calls().Writes() - calls; n != 0 {
			t.Errorf("%+v: %d calls were made after the failure", c.fault, n)
		}
		if !bytes.Equal(cat.Manifest(), testManifest) {
			t.Error("the manifest is not the one before")
		}
		if got := guardAfterCrash(t, f, rng); got != "guard 0" && got != "guard 1" {
			t.Errorf("%+v: a crash leaves %q", c.fault, got)
		}
		mustDo(t, cat.Close())
		again, err := Open(f, "/d")
		mustDo(t, err)
		if got := string(again.Contents().Guard); got != c.want {
			t.Errorf("%+v: opened again it has %q", c.fault, got)
		}
		mustDo(t, errors.Join(again.PutGuard([]byte("guard 2")), again.Close()))
	}
}

// TestOwnErrorIsNotSticky: an update that its own callback gave up has changed
// nothing.
func TestOwnErrorIsNotSticky(t *testing.T) {
	_, c := memCatalog(t)
	boom := errors.New("boom")
	if err := c.update(func(*bbolt.Tx) error { return boom }); !errors.Is(err, boom) || errors.Is(err, ErrFailed) {
		t.Errorf("%v", err)
	}
	mustDo(t, errors.Join(c.Failed(), c.PutGuard([]byte("x")), c.Close()))
}

// TestOpenSettlesMeta: a process met a failed sync of the meta page, so that the
// disk has the state before, and the system's cache the one after. The next
// process believes the cache; a crash in its first commit must leave a state
// that is whole: C20.
func TestOpenSettlesMeta(t *testing.T) {
	rng := testRand(t)
	for range 12 {
		f, c := memCatalog(t)
		for i := range 5 {
			mustDo(t, c.PutManifest(bytes.Repeat([]byte{byte(i)}, 1+rng.IntN(20000))))
		}
		f.SetFault(&memfs.Fault{Err: syscall.EIO, After: 1, Lose: true})
		if err := c.PutManifest(bytes.Repeat([]byte("lost"), 1+rng.IntN(5000))); !errors.Is(err, ErrFailed) {
			t.Fatal(err)
		}
		mustDo(t, c.Close())
		c, err := Open(f, "/d")
		mustDo(t, err)
		f.OnCall(func(call memfs.Call) {
			if call.Op == memfs.OpCommit {
				f.OnCall(nil)
				guardAfterCrash(t, f, rng)
			}
		})
		mustDo(t, c.PutManifest(bytes.Repeat([]byte("next"), 1+rng.IntN(5000))))
		guardAfterCrash(t, f, rng)
		mustDo(t, errors.Join(c.Close(), f.Discard()))
	}
}

// TestNoRoomIsNotSticky: a manifest for which the disk has no room is refused before
// anything happens; the guard's record is tried at any rate.
func TestNoRoomIsNotSticky(t *testing.T) {
	f, c := memCatalog(t)
	f.SetCapacity(f.Used() + roomMin - 1)
	for _, err := range []error{c.PutManifest([]byte("next")), c.PutEnvelope(testEnvelope(t, 2)), c.PutClear(testClear())} {
		if !errors.Is(err, ErrNoRoom) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
			t.Errorf("on a full disk: %v", err)
		}
	}
	if !bytes.Equal(c.Manifest(), testManifest) {
		t.Error("the manifest is not the one before")
	}
	mustDo(t, c.PutGuard([]byte("guard 1")))
	f.SetCapacity(0)
	mustDo(t, errors.Join(c.PutManifest([]byte("next")), c.Failed(), c.Close()))
}
