package engine

import (
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// bulkScene is a database in memory with records below and in the memtable, into
// whose collection "c" a load goes.
type bulkScene struct {
	fs          *memfs.FS
	key         *fakeKey
	opts        *Options
	rows        iter.Seq2[[]byte, []byte]
	before, all []string
}

func newBulkScene(t *testing.T) (*bulkScene, *DB) {
	t.Helper()
	s := &bulkScene{fs: memFS(t), key: newFakeKey("k")}
	s.opts = smallOptions(s.fs)
	db, err := Open(t.Context(), memDir, s.key, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, "c", "000100", "flushed")
	flush(t, db)
	put(t, db, "c", "000200", "recent")
	s.before = []string{"000100=flushed", "000200=recent"}
	keys := keysFrom(0, 400)
	value := strings.Repeat("bulk", 100)
	s.rows = rowsOf(value, keys...)
	for _, k := range keys {
		s.all = append(s.all, k+"="+value)
	}
	return s, db
}

// state returns what a database holds: "before", "all" or something else.
func (s *bulkScene) state(t *testing.T, db *DB) string {
	t.Helper()
	state := "neither"
	if err := db.View(func(tx *Tx) error {
		switch got := list(t, tx, "c"); {
		case slices.Equal(got, s.before):
			state = "before"
		case slices.Equal(got, s.all):
			state = "all"
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return state
}

// reopened returns the state of what a file system holds, verified.
func (s *bulkScene) reopened(t *testing.T, f *memfs.FS) string {
	t.Helper()
	o := *s.opts
	o.fs = f
	db, err := Open(t.Context(), memDir, s.key, &o)
	if err != nil {
		t.Fatal(err)
	}
	state := s.state(t, db)
	if err := errors.Join(db.Verify(t.Context()), db.Close(), f.Discard()); err != nil {
		t.Error(err)
	}
	return state
}

// TestBulkCrash crashes in every call of a load that changes something.
func TestBulkCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(testSeed(t, 0), 0))
	s, db := newBulkScene(t)
	type clone struct {
		fs     *memfs.FS
		during memfs.Call
	}
	var (
		mu     sync.Mutex // the load and the background work call at the same time
		clones []clone
	)
	s.fs.OnCall(func(c memfs.Call) {
		mu.Lock()
		defer mu.Unlock()
		f, err := s.fs.Crash(rng, memfs.Names(rng.IntN(2)))
		if err != nil {
			t.Error(err)
			return
		}
		clones = append(clones, clone{f, c})
	})
	if _, err := db.Bulk(t.Context(), "c", s.rows); err != nil {
		t.Fatal(err)
	}
	s.fs.OnCall(nil)
	mu.Lock() // a call may still be under way
	after, err := s.fs.Crash(rng, 0)
	taken := clones
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, c := range taken {
		state := s.reopened(t, c.fs)
		if seen[state]++; state == "neither" {
			t.Errorf("a crash in %s of %s leaves %s", c.during.Op, c.during.Path, state)
		}
	}
	if state := s.reopened(t, after); state != "all" {
		t.Errorf("a crash after the load leaves %s", state)
	}
	if t.Logf("%v", seen); seen["before"] < 5 {
		t.Errorf("only %v were seen", seen)
	}
}

// TestBulkFaults fails every call of a load in turn: what the load returns an
// error for is not there; after reopening it may be when the fault was at the
// switch.
func TestBulkFaults(t *testing.T) {
	boom := errors.New("boom")
	nFailed := 0
	for n := int64(0); ; n++ {
		s, db := newBulkScene(t)
		s.fs.SetFault(&memfs.Fault{After: n, Err: boom, Reads: true})
		_, err := db.Bulk(t.Context(), "c", s.rows)
		hit := s.fs.Faults() > 0
		s.fs.SetFault(nil)
		want := "before"
		if err == nil {
			want = "all" // a fault of what could wait, such as the removal of a file
		} else if !errors.Is(err, boom) {
			t.Errorf("fault %d: %v", n, err)
		}
		if err != nil {
			nFailed++
		}
		if got := s.state(t, db); got != want {
			t.Errorf("fault %d: %s after %v", n, got, err)
		}
		_ = db.Close() // it may report the fault again
		if got := s.reopened(t, s.fs); got != want && (got != "all" || !errors.Is(err, ErrFailed)) {
			t.Errorf("fault %d: %s after reopening, %v", n, got, err)
		}
		if !hit {
			break
		}
	}
	if nFailed < 10 {
		t.Errorf("only %d faults failed the load", nFailed)
	}
}
