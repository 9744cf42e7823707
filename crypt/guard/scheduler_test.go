package guard

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
)

// fakeKMS is one that answers many databases, and counts.
type fakeKMS struct {
	mu      sync.Mutex
	latency time.Duration
	class   crypt.Class
	whole   bool              // a denial is one of the key as a whole
	hangs   func(db int) bool // nil: no call hangs
	sent    []time.Time       // of every call
	running int               // calls under way that do not hang
	peak    int
}

func (k *fakeKMS) set(fn func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn()
}

func (k *fakeKMS) answer(class crypt.Class, whole bool) {
	k.set(func() { k.class, k.whole = class, whole })
}

func (k *fakeKMS) probe(ctx context.Context, db int) (crypt.Receipt, error) {
	k.mu.Lock()
	k.sent = append(k.sent, time.Now())
	latency, hangs := k.latency, k.hangs != nil && k.hangs(db)
	if !hangs {
		k.running++
		k.peak = max(k.peak, k.running)
	}
	k.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return crypt.Receipt{}, ctx.Err()
	}
	time.Sleep(latency)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running--
	if k.class == crypt.ClassNone {
		return crypt.Receipt{}, nil
	}
	return crypt.Receipt{}, &crypt.ProviderError{Class: k.class, Code: "Test", RequestID: fmt.Sprintf("req-%d", db), WholeKey: k.whole && k.class == crypt.ClassDenied}
}

// atOnce returns the most calls that were under way at the same time.
func (k *fakeKMS) atOnce() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.peak
}

// calls returns how many calls were sent since a moment, and the most in any
// second of that time.
func (k *fakeKMS) calls(since time.Time) (n, perSecond int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	slices.SortFunc(k.sent, time.Time.Compare)
	first := 0
	for i, at := range k.sent {
		if at.Before(since) {
			first = i + 1
			continue
		}
		n++
		for k.sent[first].Before(at.Add(-time.Second)) {
			first++
		}
		perSecond = max(perSecond, i-first+1)
	}
	return n, perSecond
}

// fleet starts n guards on one scheduler, all at the same moment. They end with
// the test, and so does the scheduler.
func fleet(t *testing.T, n int, k *fakeKMS, edit func(i int, c *Config)) []*Guard {
	t.Helper()
	s, err := NewScheduler(SchedulerOptions{Clock: clock.Process()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	guards := make([]*Guard, n)
	for i := range guards {
		cfg := Config{
			Policy: testPolicy, KeyID: "test-key", Scheduler: s, KEK: "test:key",
			Probe: func(ctx context.Context) (crypt.Receipt, error) { return k.probe(ctx, i) },
		}
		if edit != nil {
			edit(i, &cfg)
		}
		guards[i], err = Start(cfg, Record{}, s.Now())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(guards[i].Close)
	}
	return guards
}

func ownKeys(i int, c *Config) { c.KEK = fmt.Sprintf("test:key-%d", i) }

// serving returns how many of the guards let operations pass.
func serving(guards []*Guard) (n int) {
	for _, g := range guards {
		if g.Check() == nil {
			n++
		}
	}
	return n
}

// until waits until fn holds, and returns how long that took.
func until(t *testing.T, limit time.Duration, fn func() bool) time.Duration {
	t.Helper()
	from := time.Now()
	for !fn() {
		if time.Since(from) > limit {
			t.Fatalf("not so after %v", limit)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(from)
}

func TestThousandAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKMS{latency: 50 * time.Millisecond}
		guards := fleet(t, 1000, k, ownKeys)
		from := time.Now()
		for range 600 {
			time.Sleep(time.Second)
			if n := serving(guards); n != len(guards) {
				t.Fatalf("%d serve", n)
			}
		}
		n, perSecond := k.calls(from)
		t.Logf("active: %d calls in ten minutes, at most %d in a second, %d at once", n, perSecond, k.atOnce())
		if n < 9000 || n > 11500 || perSecond > 60 || k.atOnce() > DefaultProbesMax {
			t.Errorf("%d calls in ten minutes, up to %d in a second, %d at once", n, perSecond, k.atOnce())
		}
		for _, g := range guards {
			if c := g.Status().Counters; c.Suspensions != 0 || c.Active < 10*time.Minute {
				t.Fatalf("counters %+v", c)
			}
		}
	})
}

// TestBurstKeepsLeases has a thousand guards whose probes are all due at once.
func TestBurstKeepsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKMS{latency: 50 * time.Millisecond}
		guards := fleet(t, 1000, k, ownKeys)
		time.Sleep(time.Minute - time.Second)
		for _, g := range guards {
			g.locked(func() { g.m.nextProbe = g.now(); g.step() })
		}
		from := time.Now()
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			if n := serving(guards); n != len(guards) {
				t.Fatalf("%d serve", n)
			}
		}
		n, perSecond := k.calls(from)
		t.Logf("%d calls, at most %d in a second, %d at once", n, perSecond, k.atOnce())
		if n < 990 || k.atOnce() > DefaultProbesMax {
			t.Errorf("%d calls, %d at once", n, k.atOnce())
		}
	})
}

// TestHungCallsStarveNobody has KMSs of which some answer and some hang, at a
// moment when every probe is due.
func TestHungCallsStarveNobody(t *testing.T) {
	for _, nHang := range []int{32, 500, 968} {
		t.Run(fmt.Sprint(nHang), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKMS{latency: 50 * time.Millisecond, hangs: func(db int) bool { return db < nHang }}
				guards := fleet(t, 1000, k, ownKeys)
				time.Sleep(2 * time.Second)
				for _, g := range guards {
					g.locked(func() { g.m.nextProbe = g.now(); g.step() })
				}
				healthy := guards[nHang:]
				for range 3000 {
					time.Sleep(100 * time.Millisecond)
					if n := serving(healthy); n != len(healthy) {
						t.Fatalf("%d of %d serve whose KMS answers", n, len(healthy))
					}
				}
				synctest.Wait()
				if n := serving(guards[:nHang]); n != 0 {
					t.Errorf("%d serve whose KMS hangs", n)
				}
				k.set(func() { k.hangs = nil })
				took := until(t, 30*time.Second, func() bool { return serving(guards) == len(guards) })
				t.Logf("%d hang: all serve again after %v", nHang, took)
			})
		})
	}
}

// TestThousandUnderOneKey takes one key away from all, in each way, and gives
// it back.
func TestThousandUnderOneKey(t *testing.T) {
	for i, c := range []struct {
		class    crypt.Class
		whole    bool
		refusal  time.Duration // of the last database
		callsMax int           // a minute while suspended
	}{
		{crypt.ClassDenied, true, 2 * time.Second, 1400},
		{crypt.ClassDenied, false, time.Minute, 15_000}, // each asks for itself
		{crypt.ClassUnreachable, false, testPolicy.Bound(), 1400},
		{crypt.ClassCredentials, false, testPolicy.Bound(), 1400},
	} {
		if testing.Short() && i > 0 {
			break
		}
		t.Run(fmt.Sprintf("%v %v", c.class, c.whole), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKMS{latency: 50 * time.Millisecond}
				guards := fleet(t, 1000, k, func(_ int, c *Config) { c.Policy.Deadline = 10 * time.Minute })
				time.Sleep(2 * time.Minute)
				k.answer(c.class, c.whole)
				first := until(t, 2*time.Minute, func() bool { return serving(guards) < len(guards) })
				all := until(t, 2*time.Minute, func() bool { return serving(guards) == 0 })
				time.Sleep(2 * time.Minute)
				minute := time.Now()
				time.Sleep(time.Minute)
				suspended, perSecond := k.calls(minute)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				for _, g := range guards {
					if s := g.Status().State; s != Paused {
						t.Fatalf("%v after the deadline", s)
					}
				}
				minute = time.Now()
				time.Sleep(time.Minute)
				paused, _ := k.calls(minute)
				k.answer(crypt.ClassNone, false)
				back := until(t, 30*time.Second, func() bool { return serving(guards) > 0 })
				allBack := until(t, 30*time.Second, func() bool { return serving(guards) == len(guards) })
				t.Logf("refused: first %v, last %v later; calls a minute: suspended %d (at most %d a second), paused %d; back: first %v, last %v later; at most %d calls at once",
					first, all, suspended, perSecond, paused, back, allBack, k.atOnce())
				if all > c.refusal || suspended > c.callsMax || paused > c.callsMax || back > 6*time.Second || allBack > 6*time.Second || k.atOnce() > 40 {
					t.Error("that is too much")
				}
			})
		})
	}
}

// TestNoGoroutineIsLeft closes guards in every state, in real time.
func TestNoGoroutineIsLeft(t *testing.T) {
	k := &fakeKMS{latency: time.Millisecond}
	s, err := NewScheduler(SchedulerOptions{ProbesMax: 2})
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{ProbeInterval: 10 * time.Millisecond, ProbeTimeout: 50 * time.Millisecond, Deadline: time.Second}
	var guards []*Guard
	for i := range 64 {
		cfg := Config{Policy: p, Scheduler: s, KEK: "k", Probe: func(ctx context.Context) (crypt.Receipt, error) { return k.probe(ctx, i) }}
		if i%8 == 0 {
			cfg.Scheduler = nil
		}
		last := NoUnwrap
		if i%2 == 0 {
			last = s.Now()
		}
		g, err := Start(cfg, Record{}, last)
		if err != nil {
			t.Fatal(err)
		}
		guards = append(guards, g)
	}
	for nCalls := 0; nCalls < 500; nCalls, _ = k.calls(time.Time{}) {
		runtime.Gosched()
	}
	k.set(func() { k.hangs = func(int) bool { return true } })
	for _, g := range guards {
		g.Close()
	}
	s.Close()
	stacks := make([]byte, 1<<20)
	for range 1000 { // a timer's last call may still be ending
		text := string(stacks[:runtime.Stack(stacks, true)])
		if n := strings.Count(text, "crypt/guard.") - strings.Count(text, "guard.TestNoGoroutineIsLeft"); n == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
}
