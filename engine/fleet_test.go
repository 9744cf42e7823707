package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// testFleet makes a fleet that is closed at the end of the test, after its
// databases.
func testFleet(tb testing.TB, o *FleetOptions) *Fleet {
	tb.Helper()
	f, err := NewFleet(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil && !errors.Is(err, ErrClosed) {
			tb.Errorf("Close: %v", err)
		}
	})
	return f
}

// TestFleetUnderOneKey takes one key away from three databases: the first one
// that is denied speaks for all, and all of them come back.
func TestFleetUnderOneKey(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		fleet := testFleet(t, &FleetOptions{CacheSize: 4 << 20, clock: clock.Process()})
		key := newFakeKey("k")
		var dbs []*DB
		for i := range 3 {
			db := openTest(t, filepath.Join(t.TempDir(), "f.byok"), key, &Options{Fleet: fleet})
			put(t, db, "c", "k", fmt.Sprint(i))
			dbs = append(dbs, db)
		}
		time.Sleep(10 * time.Minute)
		key.mu.Lock()
		key.err = &crypt.ProviderError{Class: crypt.ClassDenied, Code: "DisabledException", WholeKey: true}
		key.mu.Unlock()
		for getErr(dbs[0]) == nil {
			time.Sleep(time.Second)
		}
		synctest.Wait()
		shared := uint64(0)
		for _, db := range dbs {
			var ke *KeyError
			if err := getErr(db); !errors.As(err, &ke) || ke.State != Suspended || ke.Class != crypt.ClassDenied {
				t.Errorf("a read returns %v", err)
			}
			shared += db.Status().Key.Counters.SharedDenials
		}
		if shared != 2 {
			t.Errorf("%d databases heard of the denial, want 2", shared)
		}
		time.Sleep(5 * time.Hour)
		for _, db := range dbs {
			if st := db.Status(); st.Key.State != Paused || st.LastWipe == nil || !st.LastWipe.HeapScrubbed {
				t.Errorf("after the deadline: %v, wipe %+v", st.Key.State, st.LastWipe)
			}
		}
		key.set(crypt.ClassNone)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for i, db := range dbs {
			mustGet(t, db, "c", "k", fmt.Sprint(i))
		}
	})
}

// TestFleetEnds closes databases and fleet, in the wrong order first, and looks
// for what they leave behind.
func TestFleetEnds(t *testing.T) {
	fleet := testFleet(t, nil)
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "f.byok")
	db := openTest(t, dir, key, &Options{Fleet: fleet})
	put(t, db, "c", "k", "v")
	if db.Status().CacheBudget != DefaultCacheSize || db.cache != fleet.cache {
		t.Error("the database has a cache of its own")
	}
	if err := fleet.Close(); err == nil || errors.Is(err, ErrClosed) {
		t.Fatalf("the fleet closes under an open database: %v", err)
	}
	mustGet(t, db, "c", "k", "v")
	key.set(crypt.ClassDenied)
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "g.byok"), key, &Options{Fleet: fleet}); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("Open: %v", err)
	}
	key.set(crypt.ClassNone)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fleet.Close(); err != nil {
		t.Errorf("Close after the databases: %v", err)
	}
	if _, err := Open(t.Context(), dir, key, &Options{Fleet: fleet}); !errors.Is(err, ErrClosed) {
		t.Errorf("Open in a closed fleet: %v", err)
	}
	stacks := make([]byte, 1<<20)
	for range 1000 {
		text := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(text, "byokdb/crypt/guard.") && strings.Count(text, "byokdb/engine.(*session)") == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("goroutines are left:\n%s", stacks)
}
