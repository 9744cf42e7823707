package guard

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
)

var (
	propertyRuns = flag.Int("guard.runs", 40, "random timelines of TestPromises")
	propertySeed = flag.Uint64("guard.seed", 0, "repeat this one")
)

// TestPromises lets KMSs answer at random: late, never, one thing and then
// another; the machine sleeps, the wall clock is set, databases are closed and
// opened with the record that was saved. The guards are held to what is promised:
//
//   - no operation succeeds later than the last good probe of its own database was
//     sent, plus interval and timeout; plus the grace, if an outage was seen and
//     since that probe nothing else;
//   - none succeeds once the key was denied after that probe;
//   - memory is not wiped before the deadline, and is at the deadline, which counts
//     from the Resume that brought it back when that ended later;
//   - nothing is erased without denials of its own over the whole deadline;
//   - after Close nothing is called; and the key's return brings back everybody.
func TestPromises(t *testing.T) {
	n := *propertyRuns
	if testing.Short() {
		n = (n + 2) / 3
	}
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = rand.Uint64()
	}
	if *propertySeed != 0 {
		seeds = []uint64{*propertySeed}
	}
	var seen coverage
	for _, seed := range seeds {
		synctest.Test(t, func(t *testing.T) { // which ends the test when it fails
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("repeat with -guard.seed %d", seed)
				}
			})
			newWorld(t, seed).run(&seen)
		})
	}
	t.Logf("%+v", seen)
	if *propertySeed == 0 && (seen.Pauses == 0 || seen.Erasures == 0 || seen.Grace == 0 || seen.Shared == 0 || seen.Restarts == 0 || seen.Late == 0) {
		t.Errorf("something never happened: %+v", seen)
	}
}

// coverage counts what the timelines came to.
type coverage struct {
	Served, Refused, Pauses, Erasures, Grace, Shared, Restarts, Late, Sleeps int
}

// A world is some databases on one scheduler, some of them under one key.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	clk   *fakeClock
	sched *Scheduler
	base  time.Time
	seen  *coverage

	mu    sync.Mutex
	dbs   []*database
	lives *rand.Rand // how Resumes go
}

// A database is what a guard guards, and the truth about it. world.mu guards it.
type database struct {
	w      *world
	policy Policy
	kek    string
	g      *Guard
	closed bool
	ending bool   // it is being closed, or is
	record Record // saved last

	// How its KMS answers.
	class   crypt.Class
	whole   bool
	latency time.Duration // neverAgain: until the call's context ends
	deaf    bool          // it takes its time even when the context has ended

	// Times are the machine's, its sleeps included.
	lastGood  time.Duration // when the last good probe was sent
	failedAt  time.Duration // first failure since then, noAnswer if none
	sentAt    time.Duration // first probe since then, noAnswer if none
	denied    bool          // since then, or by a denial of the whole key
	outage    bool          // since then
	other     bool          // credentials or tampered since then
	heard     time.Duration // sending of the youngest denial heard of
	inMemory  bool
	resumedAt time.Duration // since when, if a Resume brought it back
	deniedSum time.Duration // over stretches of denials of its own
	stretch   bool          // the last answer was a denial
	reached   time.Duration // up to where the stretch is counted
	erased    bool
}

const noAnswer = neverAgain

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 2)), clk: &fakeClock{Clock: clock.Process()}, base: time.Now()}
	w.lives = rand.New(rand.NewPCG(seed, 3))
	var err error
	if w.sched, err = NewScheduler(SchedulerOptions{Clock: w.clk}); err != nil {
		t.Fatal(err)
	}
	for i := range 1 + w.rng.IntN(4) {
		d := &database{w: w, kek: fmt.Sprintf("key-%d", w.rng.IntN(2)), heard: -1}
		if w.rng.IntN(6) == 0 {
			d.kek = ""
		}
		d.policy = Policy{
			ProbeInterval: time.Duration(1+w.rng.IntN(120)) * time.Second,
			ProbeTimeout:  time.Duration(1+w.rng.IntN(20)) * time.Second,
			Deadline:      time.Duration(1+w.rng.IntN(1800)) * time.Second,
			OnDeadline:    OnDeadline(w.rng.IntN(2)),
		}
		if w.rng.IntN(2) == 0 {
			d.policy.UnreachableGrace = time.Duration(w.rng.IntN(1800)) * time.Second
		}
		w.dbs = append(w.dbs, d)
		w.mu.Lock()
		d.open(i%3 != 2)
		w.mu.Unlock()
	}
	return w
}

// now is the machine's time, its sleeps included, whether anybody has seen them
// or not.
func (w *world) now() time.Duration { return time.Since(w.base) + time.Duration(w.clk.slept.Load()) }

// open starts a guard with the saved record. unwrapped says that the KMS has
// just unwrapped the DEK. w.mu is held.
func (d *database) open(unwrapped bool) {
	w := d.w
	cfg := Config{
		Policy: d.policy, KeyID: "test-key", Scheduler: w.sched, KEK: d.kek,
		Probe: d.probe, Pause: d.pause, Resume: d.resume, Erase: d.erase,
		Save: func(r Record) error { w.do(func() { d.record = r }); return nil },
	}
	last := NoUnwrap
	d.closed, d.ending, d.inMemory, d.stretch = false, false, false, false
	d.failedAt, d.sentAt, d.lastGood = noAnswer, noAnswer, -noAnswer
	d.deniedSum = d.record.DeniedFor // which lags behind what was seen
	if unwrapped {
		last = w.sched.Now()
		d.good(w.now())
		d.inMemory = true
	}
	g, err := Start(cfg, d.record, last)
	if err != nil {
		w.t.Fatal(err)
	}
	d.g = g
}

func (w *world) do(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
}

// good notes a good probe.
func (d *database) good(sent time.Duration) {
	d.lastGood, d.failedAt, d.sentAt = sent, noAnswer, noAnswer
	d.denied, d.outage, d.other = false, false, false
}

// probe is the KMS.
func (d *database) probe(ctx context.Context) (crypt.Receipt, error) {
	w := d.w
	w.mu.Lock()
	if d.closed {
		w.t.Error("probed after Close")
	}
	sent, began := w.now(), time.Now()
	d.sentAt = min(d.sentAt, sent)
	latency, deaf := d.latency, d.deaf
	w.mu.Unlock()
	if deaf {
		time.Sleep(latency)
	} else {
		_ = sleep(ctx, latency) // ctx is looked at below
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(began) >= d.policy.ProbeTimeout {
		d.stretch = false // the probe's time was up: that counted as an outage
		w.seen.Late++
	}
	if ctx.Err() != nil && !deaf {
		d.note(crypt.ClassUnreachable, sent)
		return crypt.Receipt{}, ctx.Err()
	}
	class, whole := d.class, d.whole && d.class == crypt.ClassDenied
	d.note(class, sent)
	if class == crypt.ClassNone {
		return crypt.Receipt{}, nil
	}
	if whole && !d.ending { // a guard that is closed tells nobody
		w.tell(d, sent)
	}
	return crypt.Receipt{}, &crypt.ProviderError{Class: class, Code: "Test", WholeKey: whole}
}

// sleep waits until ctx ends at most, and returns its error then. It does without
// a timer's channel: under the race detector go1.26 crashes now and then in a
// select on one that has just fired in a bubble (runtime.(*timer).maybeRunChan).
func sleep(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	t := time.AfterFunc(d, func() { close(over) })
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-over:
	}
	return ctx.Err()
}

// note keeps the truth about an answer. w.mu is held.
func (d *database) note(class crypt.Class, sent time.Duration) {
	now := d.w.now()
	if class == crypt.ClassNone {
		d.deniedSum, d.stretch = 0, false
		if sent > d.heard && sent+d.policy.Bound() > now { // later it is no answer
			d.good(sent)
		}
		return
	}
	d.failedAt = min(d.failedAt, now)
	switch class {
	case crypt.ClassDenied:
		d.denied = true
		if d.stretch {
			d.deniedSum += max(0, sent-d.reached)
			d.reached = max(d.reached, sent)
		} else {
			d.stretch, d.reached = true, now
		}
		return
	case crypt.ClassUnreachable:
		d.outage = true
	default:
		d.other = true
	}
	d.stretch = false
}

// tell spreads a denial of the whole key: who serves must stop, unless a probe of
// its own that was sent later was good. w.mu is held.
func (w *world) tell(from *database, sent time.Duration) {
	for _, d := range w.dbs {
		if d == from || d.closed || d.kek == "" || d.kek != from.kek || d.g.Status().State != Active || d.lastGood > sent {
			continue
		}
		d.denied, d.heard = true, sent
		d.failedAt = min(d.failedAt, w.now())
		w.seen.Shared++
	}
}

func (d *database) pause() {
	d.w.do(func() {
		now := d.w.now()
		unavailable := min(d.failedAt, d.lastGood+d.policy.Bound())
		if d.sentAt != noAnswer {
			unavailable = min(unavailable, d.sentAt+d.policy.ProbeTimeout)
		}
		if now < unavailable+d.policy.Deadline-sleepMin { // as much may have been slept unseen before the probe
			d.w.t.Errorf("wiped %v after the key became unavailable, the deadline is %v", now-unavailable, d.policy.Deadline)
		}
		if d.closed || !d.inMemory {
			d.w.t.Errorf("wiped twice or after Close (closed %v)", d.closed)
		}
		d.inMemory = false
		d.w.seen.Pauses++
	})
}

func (d *database) resume(ctx context.Context) error {
	d.w.mu.Lock()
	slow, fails := time.Duration(d.w.lives.IntN(5000))*time.Millisecond, d.w.lives.IntN(5) == 0
	d.w.mu.Unlock()
	if sleep(ctx, slow) != nil {
		return ctx.Err()
	}
	if fails {
		return fmt.Errorf("the disk is on fire")
	}
	d.w.do(func() {
		if d.closed || d.inMemory {
			d.w.t.Errorf("resumed twice or after Close (closed %v)", d.closed)
		}
		d.inMemory, d.resumedAt = true, d.w.now()
	})
	return nil
}

func (d *database) erase(Record) error {
	d.w.do(func() {
		if d.closed || d.inMemory || d.policy.OnDeadline != Erase || !d.stretch || d.deniedSum < d.policy.Deadline {
			d.w.t.Errorf("erased after denials over %v, the deadline is %v; in memory: %v, last answer a denial: %v",
				d.deniedSum, d.policy.Deadline, d.inMemory, d.stretch)
		}
		d.erased = true
		d.w.seen.Erasures++
	})
	return nil
}

// check holds a database to what is promised now.
func (d *database) check() {
	w := d.w
	err := d.g.Check()
	w.mu.Lock()
	defer w.mu.Unlock()
	if d.closed {
		if err == nil {
			w.t.Error("Check succeeds after Close")
		}
		return
	}
	if err != nil {
		w.seen.Refused++
		unavailable := max(d.lastGood+d.policy.Bound()+d.policy.UnreachableGrace, d.resumedAt) // the machine may sleep in a Resume
		if d.inMemory && w.now() > unavailable+d.policy.Deadline+5*time.Second {               // a Resume may just have ended
			w.t.Errorf("not wiped %v after the last good probe", w.now()-d.lastGood)
		}
		return
	}
	w.seen.Served++
	age := w.now() - d.lastGood
	switch {
	case !d.inMemory:
		w.t.Error("Check succeeds with wiped memory")
	case d.erased:
		w.t.Error("Check succeeds after the erasure")
	case d.denied:
		w.t.Errorf("Check succeeds after a denial, %v after the last good probe", age)
	case age >= d.policy.Bound()+d.policy.UnreachableGrace:
		w.t.Errorf("Check succeeds %v after the last good probe, grace %v", age, d.policy.UnreachableGrace)
	case age >= d.policy.Bound():
		w.seen.Grace++
		if !d.outage && d.sentAt == noAnswer {
			w.t.Errorf("Check succeeds %v after the last good probe, without an outage", age)
		}
	}
}
