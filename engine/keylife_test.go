package engine

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// steppedClock is a bubble's clock whose wall clock a test sets.
type steppedClock struct {
	clock.Clock
	mu sync.Mutex
	by time.Duration
}

func (c *steppedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Clock.Now().Add(c.by)
}

func (c *steppedClock) step(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by = by
}

// TestClockStepsChangeNothing sets the wall clock while the key is there and while
// it is away: lease and deadline count as if it had not been.
func TestClockStepsChangeNothing(t *testing.T) {
	for _, step := range []time.Duration{-1000 * time.Hour, -time.Hour, time.Hour, 100_000 * time.Hour} {
		timebubble.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			key, clk := newFakeKey("k"), &steppedClock{Clock: clock.Process()}
			db := openTest(t, filepath.Join(t.TempDir(), "k.byok"), key, &Options{clock: clk, scrub: func() error { return nil }})
			put(t, db, "c", "k", "v")
			clk.step(step)
			time.Sleep(10 * time.Minute)
			if err := getErr(db); err != nil {
				t.Errorf("clock set by %v: %v", step, err)
			}
			key.set(crypt.ClassDenied)
			time.Sleep(db.policy.Bound())
			if err := getErr(db); !errors.Is(err, ErrKeyUnavailable) {
				t.Errorf("clock set by %v: after the bound a read returns %v", step, err)
			}
			clk.step(-step)
			time.Sleep(db.policy.Deadline - 2*db.policy.Bound())
			if st := db.Status().Key.State; st != Suspended {
				t.Errorf("clock set by %v: %v before the deadline", step, st)
			}
			time.Sleep(2 * db.policy.Bound())
			if st := db.Status().Key.State; st != Paused {
				t.Errorf("clock set by %v: %v after the deadline", step, st)
			}
			clk.step(0)
			key.set(crypt.ClassNone)
			time.Sleep(time.Minute)
			mustGet(t, db, "c", "k", "v")
		})
	}
}

// TestCloseLeavesNothing closes in every state, also with calls that hang: no call
// of the KMS is made or under way afterwards, and no goroutine is left.
func TestCloseLeavesNothing(t *testing.T) {
	for _, how := range []string{"active", "denied", "probe hangs", "rewrap hangs", "paused"} {
		timebubble.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			key := &hungKey{fakeKey: newFakeKey("k")}
			db := bubble(t, key, Policy{Deadline: 5 * time.Minute}, Options{scrub: func() error { return nil }})
			put(t, db, "c", "k", "v")
			rewrapped := make(chan error, 1)
			switch how {
			case "denied", "paused":
				key.set(crypt.ClassDenied)
				time.Sleep(2 * time.Minute)
				if how == "paused" {
					time.Sleep(5 * time.Minute)
				}
			case "probe hangs":
				key.hung.Store(true)
				time.Sleep(time.Minute + time.Second)
			case "rewrap hangs":
				key.hung.Store(true)
				go func() { rewrapped <- db.Rewrap(context.Background()) }()
				synctest.Wait()
			}
			began := time.Now()
			if err := db.Close(); err != nil {
				t.Fatal(how, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: Close waits for the KMS for %v", how, took)
			}
			if how == "rewrap hangs" {
				if err := <-rewrapped; !errors.Is(err, ErrClosed) {
					t.Errorf("rewrap ends with %v", err)
				}
			}
			calls := key.calls.Load()
			synctest.Wait()
			stacks := make([]byte, 1<<20)
			for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
				ours := strings.Contains(g, "byokdb/crypt/guard.") || strings.Contains(g, "byokdb/engine.(*session)")
				if ours && strings.Contains(g, "TestCloseLeavesNothing") {
					t.Errorf("%s: a goroutine is left:\n%s", how, g)
				}
			}
			key.hung.Store(false)
			time.Sleep(24 * time.Hour)
			if n := key.calls.Load(); n != calls {
				t.Errorf("%s: %d calls of the KMS after Close", how, n-calls)
			}
		}) // which fails if a goroutine of the bubble is left
	}
}

// TestDeadlineSurvivesRestarts opens again and again while the key is denied:
// since when it is unavailable stays, and the journal has the one transition.
func TestDeadlineSurvivesRestarts(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "k.byok")
		o := &Options{clock: clock.Process(), scrub: func() error { return nil }}
		db, err := Open(t.Context(), dir, key, o)
		if err != nil {
			t.Fatal(err)
		}
		put(t, db, "c", "k", "v")
		key.set(crypt.ClassDenied)
		time.Sleep(db.policy.Bound())
		since := db.Status().Key.Since
		if err := db.Close(); err != nil || since.IsZero() {
			t.Fatal(since, err)
		}
		for range 5 {
			time.Sleep(time.Hour)
			_, err := Open(t.Context(), dir, key, o)
			var ke *KeyError
			if !errors.As(err, &ke) || !ke.Since.Equal(since) {
				t.Fatalf("unavailable since %v: %v", since, err)
			}
			if info, err := Stat(dir); err != nil || !info.UnavailableSince.Equal(since) {
				t.Fatalf("unavailable since %v: %+v, %v", since, info, err)
			}
		}
		j, err := ReadJournal(dir)
		if err != nil || j.Holds() != nil || len(j.Entries) != 1 {
			t.Errorf("journal %+v, %v", j, err)
		}
	})
}

// TestJournalOfDirectory reads it without the key, beside the open database, and
// has what an opening was refused for.
func TestJournalOfDirectory(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "k.byok")
	db := openTest(t, dir, key, nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	key.set(crypt.ClassDenied)
	for range 2 {
		if _, err := Open(t.Context(), dir, key, nil); !errors.Is(err, ErrKeyUnavailable) {
			t.Fatal(err)
		}
	}
	key.set(crypt.ClassNone)
	db = openTest(t, dir, key, nil)
	for n := 0; n < 2; { // the event of the opening comes soon
		events, err := db.Journal()
		if err != nil {
			t.Fatal(err)
		}
		n = len(events)
	}
	j, err := ReadJournal(dir)
	if err != nil || j.Holds() != nil || len(j.Entries) != 2 || !strings.Contains(string(j.Entries[0].JSON), `"to":"suspended"`) {
		t.Errorf("journal %+v, %v", j, err)
	}
}

// levels keeps what was logged of the key.
type levels struct {
	slog.Handler
	mu  sync.Mutex
	got []string
}

func (l *levels) Enabled(context.Context, slog.Level) bool { return true }

func (l *levels) Handle(_ context.Context, r slog.Record) error {
	attrs := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Message == "key state" {
		l.got = append(l.got, r.Level.String()+" "+attrs["from"]+" "+attrs["to"]+" "+attrs["class"]+" "+attrs["request_id"])
	}
	return nil
}

func TestTransitionsAreLogged(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key, log := newFakeKey("k"), &levels{}
		db := bubble(t, key, Policy{Deadline: 5 * time.Minute, OnDeadline: Erase}, Options{Logger: slog.New(log), scrub: func() error { return nil }})
		key.set(crypt.ClassDenied)
		time.Sleep(2 * time.Minute)
		key.set(crypt.ClassNone)
		time.Sleep(time.Minute)
		key.set(crypt.ClassDenied)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if st := db.Status().Key.State; st != Erased {
			t.Errorf("state %v", st)
		}
		log.mu.Lock()
		defer log.mu.Unlock()
		want := "WARN active suspended denied req-1; INFO suspended active none ; WARN active suspended denied req-1; " +
			"ERROR suspended paused denied req-1; ERROR paused erased denied req-1"
		if got := strings.Join(log.got, "; "); got != want {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}
