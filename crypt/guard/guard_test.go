package guard

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
)

func TestDeniedThenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		r.pass(time.Hour)
		r.want(Active)
		if n := r.nSent(); n != 60 {
			t.Errorf("%d probes in an hour, want 60", n)
		}
		r.set(crypt.ClassDenied)
		r.pass(time.Minute)
		ke := r.refused(Suspended)
		if ke.Class != crypt.ClassDenied || ke.RequestID != "req-1" || ke.Message != "Test: so it is" {
			t.Errorf("refusal is %+v", ke)
		}
		if got := ke.WipeAt.Sub(ke.Since); got != testPolicy.Deadline {
			t.Errorf("wipe %v after the failure", got)
		}
		r.set(crypt.ClassNone)
		r.pass(5 * time.Second)
		r.want(Active)
		r.counts(0, 0, 0)
		if len(r.told()) != 2 || r.told()[0].To != Suspended || r.told()[1].To != Active || r.told()[1].Sequence != 2 {
			t.Errorf("events %+v", r.told())
		}
		if last := r.last(); last.State != Active || !last.UnavailableSince.IsZero() {
			t.Errorf("saved %+v", last)
		}
	})
}

func TestBound(t *testing.T) {
	for _, class := range []crypt.Class{crypt.ClassDenied, crypt.ClassUnreachable, crypt.ClassCredentials, crypt.ClassTampered} {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, testPolicy).start()
				r.pass(time.Minute) // a good probe just went out
				r.set(class)
				from := time.Now()
				for r.g.Check() == nil {
					time.Sleep(100 * time.Millisecond)
				}
				took := time.Since(from)
				if took > testPolicy.Bound() {
					t.Errorf("refused after %v, the bound is %v", took, testPolicy.Bound())
				}
				if at := time.Minute + time.Second; class == crypt.ClassDenied && took > at {
					t.Errorf("a denial suspended only after %v", took)
				}
				synctest.Wait()
				if ke := r.refused(Suspended); ke.Class != class {
					t.Errorf("class %v", ke.Class)
				}
			})
		})
	}
}

// TestLeaseCountsFromSending has answers that take nine seconds to come.
func TestLeaseCountsFromSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy)
		inner := r.cfg.Probe
		r.cfg.Probe = func(ctx context.Context) (crypt.Receipt, error) {
			time.Sleep(9 * time.Second)
			return inner(ctx)
		}
		r.start()
		r.pass(69 * time.Second)
		if got := time.Duration(r.g.lease.Load()); got != time.Minute+testPolicy.Bound() {
			t.Errorf("a probe sent after a minute grants a lease until %v", got)
		}
	})
}

// TestSlowGood has a Good that takes longer than a probe may.
func TestSlowGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy)
		calls := 0
		r.cfg.Good = func(rec crypt.Receipt) {
			if rec.RequestID != "req-0" {
				t.Errorf("receipt %+v", rec)
			}
			r.do(func() { calls++ })
			time.Sleep(90 * time.Second)
		}
		r.start()
		for range 120 {
			r.pass(30 * time.Second)
			r.want(Active)
		}
		r.do(func() {
			if calls < 25 || calls > 31 {
				t.Errorf("Good was called %d times in an hour", calls)
			}
		})
		r.g.Close()
	})
}

func TestRetryWithinProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		r.set(crypt.ClassUnreachable)
		r.pass(time.Minute + 5*time.Second)
		r.want(Active)
		r.set(crypt.ClassNone)
		r.pass(2 * time.Second)
		r.want(Active)
		r.pass(time.Hour)
		if c := r.g.Status().Counters; c.Suspensions != 0 || c.Failures != 0 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestPausedAndBack(t *testing.T) {
	for _, class := range []crypt.Class{crypt.ClassDenied, crypt.ClassUnreachable, crypt.ClassTampered} {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := testPolicy
				p.OnDeadline = Erase
				if class == crypt.ClassDenied {
					p.OnDeadline = Pause
				}
				r := newRig(t, p).start()
				r.set(class)
				r.pass(70 * time.Second)
				since := r.refused(Suspended).Since
				r.pass(time.Until(since.Add(p.Deadline - time.Second)))
				r.want(Suspended)
				r.counts(0, 0, 0)
				r.pass(time.Second)
				ke := r.refused(Paused)
				if got := ke.WipeAt.Sub(since); got != p.Deadline {
					t.Errorf("wiped %v after the failure", got)
				}
				r.pass(24 * time.Hour)
				r.counts(1, 0, 0)
				r.do(func() { r.resume = errors.New("disk on fire") })
				r.set(crypt.ClassNone)
				r.pass(10 * time.Second)
				r.want(Paused)
				r.do(func() { r.resume = nil })
				if err := r.g.ProbeNow(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.want(Active)
				r.counts(1, 1, 0)
			})
		})
	}
}

func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		for range 20 {
			r.set(crypt.ClassDenied)
			r.pass(time.Minute)
			r.want(Suspended)
			r.set(crypt.ClassNone)
			r.pass(5 * time.Second)
			r.want(Active)
		}
		if len(r.told()) != 40 {
			t.Errorf("%d events, want 40", len(r.told()))
		}
	})
}

func TestGrace(t *testing.T) {
	p := testPolicy
	p.UnreachableGrace = time.Hour
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, p).start()
		r.do(func() { r.hang = true })
		r.pass(time.Minute + 20*time.Second)
		r.want(Active)
		r.pass(p.Bound() + p.UnreachableGrace - 80*time.Second - time.Millisecond)
		r.want(Active)
		r.pass(2 * time.Millisecond)
		if ke := r.refused(Suspended); ke.Class != crypt.ClassUnreachable {
			t.Errorf("class %v", ke.Class)
		}
	})
	synctest.Test(t, func(t *testing.T) { // nobody is refused between the lease and the grace
		r := newRig(t, p).start()
		r.do(func() { r.hang = true })
		r.pass(p.Bound() - 3*time.Millisecond)
		for range 6000 {
			if err := r.g.Check(); err != nil { // before any other goroutine of this moment, perhaps
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		r.want(Active)
	})
	synctest.Test(t, func(t *testing.T) { // a late denial ends it too
		r := newRig(t, p).start()
		release := make(chan struct{})
		r.do(func() { r.answer, r.deaf = crypt.ClassDenied, release })
		r.pass(p.Bound() - time.Second)
		r.want(Active)
		close(release)
		r.pass(time.Millisecond)
		r.want(Suspended)
	})
	synctest.Test(t, func(t *testing.T) { // a denial ends the grace
		r := newRig(t, p).start()
		r.set(crypt.ClassUnreachable)
		r.pass(10 * time.Minute)
		r.want(Active)
		r.set(crypt.ClassDenied)
		r.pass(10 * time.Second)
		r.want(Suspended)
		r.set(crypt.ClassUnreachable) // and an outage does not give it back
		r.pass(10 * time.Second)
		r.want(Suspended)
	})
}

func TestHungProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		deaf := make(chan struct{})
		r.do(func() { r.deaf = deaf })
		r.pass(testPolicy.Bound() - time.Millisecond)
		r.want(Active)
		r.pass(time.Millisecond)
		r.want(Suspended)
		r.pass(5 * time.Hour)
		r.want(Paused)
		r.counts(1, 0, 0)
		if n := r.nSent(); n != 1 {
			t.Errorf("%d probes under way", n)
		}
		r.do(func() { r.deaf = nil })
		close(deaf)
		r.pass(10 * time.Second)
		r.want(Active)
		r.counts(1, 1, 0)
	})
}

func TestStuckSaveHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		block := make(chan struct{})
		r.do(func() { r.block = block })
		r.set(crypt.ClassDenied)
		r.pass(time.Minute)
		r.want(Suspended)
		r.pass(testPolicy.Deadline)
		r.want(Paused)
		r.counts(1, 0, 0)
		r.do(func() { r.block = nil })
		close(block)
		r.pass(time.Second)
		if last := r.last(); last.State != Paused {
			t.Errorf("saved %+v", last)
		}
	})
}

// TestLeaseNeedsNobody stops the loop altogether, by holding its lock.
func TestLeaseNeedsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		until := r.g.lease.Load()
		if got := time.Duration(until); got != testPolicy.Bound() {
			t.Fatalf("lease until %v", got)
		}
		r.do(func() { r.hang = true })
		time.Sleep(testPolicy.Bound() - 1)
		if err := r.g.Check(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Nanosecond)
		if ke, ok := errors.AsType[*KeyError](r.g.Check()); !ok || ke.State != Suspended || ke.Since.IsZero() || ke.WipeAt.IsZero() {
			t.Fatalf("Check returned %+v", ke)
		}
	})
}

func TestSlowResumeNeedsAnotherProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy)
		r.cfg.Resume = func(context.Context) error {
			time.Sleep(10 * time.Minute)
			r.set(crypt.ClassDenied)
			return nil
		}
		r.startWith(Record{}, NoUnwrap)
		r.pass(11 * time.Minute)
		if ke := r.refused(Suspended); ke.Class != crypt.ClassDenied {
			t.Errorf("class %v", ke.Class)
		}
		r.counts(0, 0, 0)
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the key is still denied
		r := newRig(t, testPolicy)
		r.set(crypt.ClassDenied)
		since := time.Now().Add(-3 * time.Hour).UTC()
		r.startWith(Record{State: Suspended, Class: crypt.ClassDenied, UnavailableSince: since, Sequence: 7, Message: "before"}, NoUnwrap)
		r.pass(time.Second)
		if ke := r.refused(Paused); !ke.Since.Equal(since) || !ke.WipeAt.IsZero() {
			t.Errorf("refusal %+v", ke)
		}
		if r.told()[0].Sequence != 8 {
			t.Errorf("events %+v", r.told())
		}
		r.set(crypt.ClassNone)
		r.pass(5 * time.Second)
		r.want(Active)
		r.counts(0, 1, 0)
	})
	synctest.Test(t, func(t *testing.T) { // a wall clock that was set back
		r := newRig(t, testPolicy)
		r.set(crypt.ClassDenied)
		r.startWith(Record{State: Paused, Class: crypt.ClassDenied, UnavailableSince: time.Now().Add(time.Hour)}, NoUnwrap)
		r.pass(time.Second)
		if ke := r.refused(Paused); time.Since(ke.Since) > 2*time.Second || time.Since(ke.Since) < 0 {
			t.Errorf("unavailable since %v", ke.Since)
		}
	})
	synctest.Test(t, func(t *testing.T) { // the opening unwrap was good
		r := newRig(t, testPolicy)
		r.startWith(Record{State: Paused, DeniedFor: time.Hour}, r.cfg.Clock.Monotonic())
		r.pass(time.Second)
		r.want(Active)
		if last := r.last(); last.State != Active || last.DeniedFor != 0 {
			t.Errorf("saved %+v", last)
		}
	})
}

func TestErase(t *testing.T) {
	p := testPolicy
	p.OnDeadline = Erase
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, p).start()
		r.do(func() { r.erase = errors.New("not yet") })
		r.set(crypt.ClassDenied)
		r.pass(p.Deadline + time.Minute - time.Second)
		r.counts(0, 0, 0)
		r.pass(20 * time.Second)
		r.want(Erased)
		r.set(crypt.ClassNone) // too late
		r.pass(time.Minute)
		r.do(func() { r.erase = nil })
		r.pass(10 * time.Second)
		var n int
		r.do(func() { n = r.erases })
		r.pass(time.Hour)
		r.want(Erased)
		r.counts(1, 0, n)
		if n < 3 {
			t.Errorf("%d erases", n)
		}
		if err := r.g.ProbeNow(t.Context()); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("ProbeNow: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // neither do denials of a replica
		r := newRig(t, p).start()
		r.do(func() { r.answer, r.keyID = crypt.ClassDenied, "a replica" })
		r.pass(2 * p.Deadline)
		r.want(Paused)
		if d := r.g.Status().DeniedFor; d != 0 {
			t.Errorf("denied for %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) { // an outage in between does not count
		r := newRig(t, p).start()
		for range 20 {
			r.set(crypt.ClassDenied)
			r.pass(10 * time.Minute)
			r.set(crypt.ClassUnreachable)
			r.pass(time.Hour)
		}
		r.want(Paused)
		r.counts(1, 0, 0)
		if d := r.g.Status().DeniedFor; d < 3*time.Hour || d > 20*10*time.Minute {
			t.Errorf("denied for %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) { // nor does the time between two processes
		r := newRig(t, p)
		r.set(crypt.ClassDenied)
		r.startWith(Record{State: Paused, UnavailableSince: time.Now().Add(-1000 * time.Hour), DeniedFor: 3 * time.Hour}, NoUnwrap)
		r.pass(59 * time.Minute)
		r.want(Paused)
		if last := r.last(); last.DeniedFor < 3*time.Hour+57*time.Minute {
			t.Errorf("saved %v of denials", last.DeniedFor)
		}
		r.pass(2 * time.Minute)
		r.want(Erased)
		r.counts(0, 0, 1)
	})
	synctest.Test(t, func(t *testing.T) { // an erasure that a crash interrupted
		r := newRig(t, p).startWith(Record{State: Erased, Class: crypt.ClassDenied}, NoUnwrap)
		r.pass(time.Minute)
		r.want(Erased)
		r.counts(0, 0, 1)
		if r.nSent() != 0 {
			t.Error("it probed")
		}
	})
}

// fakeClock is the process's, with sleeps of the machine added to boot time,
// and a wall clock that can be set.
type fakeClock struct {
	clock.Clock
	slept, step atomic.Int64
}

func (f *fakeClock) Boot() time.Duration { return f.Clock.Boot() + time.Duration(f.slept.Load()) }
func (f *fakeClock) Now() time.Time      { return f.Clock.Now().Add(time.Duration(f.step.Load())) }

func TestMachineSlept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy)
		clk := &fakeClock{Clock: clock.Process()}
		r.cfg.Clock = clk
		r.start()
		r.pass(time.Second)
		r.set(crypt.ClassDenied)
		clk.slept.Add(int64(30 * time.Second))
		r.pass(time.Second)
		if got := time.Duration(r.g.lease.Load() - r.g.slept.Load()); got != testPolicy.Bound()-30*time.Second {
			t.Errorf("lease until %v on the monotonic clock", got)
		}
		clk.slept.Add(int64(2 * time.Minute))
		r.pass(time.Second)
		r.want(Suspended)
		r.set(crypt.ClassNone)
		r.pass(5 * time.Second)
		r.want(Active)
		r.counts(0, 0, 0)
		r.set(crypt.ClassDenied)
		clk.slept.Add(int64(5 * time.Hour)) // the deadline passed asleep
		r.pass(time.Second)
		r.want(Paused)
		r.counts(1, 0, 0)
	})
}

// TestMachineSleptBeforeStart sleeps between the unwrap that opens a database and
// the start of its guard.
func TestMachineSleptBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy)
		clk := &fakeClock{Clock: clock.Process()}
		s, err := NewScheduler(SchedulerOptions{Clock: clk})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		r.cfg.Scheduler = s
		sent := s.Now()
		clk.slept.Add(int64(time.Hour))
		r.set(crypt.ClassDenied)
		r.startWith(Record{}, sent)
		synctest.Wait()
		r.want(Suspended)
	})
}

func TestWallClockSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy)
		clk := &fakeClock{Clock: clock.Process()}
		r.cfg.Clock = clk
		r.start()
		clk.step.Store(int64(1000 * time.Hour))
		r.pass(time.Hour)
		r.want(Active)
		r.set(crypt.ClassDenied)
		r.pass(time.Minute)
		r.want(Suspended)
		clk.step.Store(int64(-1000 * time.Hour))
		r.pass(time.Hour)
		r.want(Suspended)
		clk.step.Store(int64(1000 * time.Hour))
		r.pass(2 * time.Hour)
		r.want(Suspended)
		r.pass(time.Hour)
		r.want(Paused)
	})
}

func TestSaveIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		r.do(func() { r.saveErr = errors.New("disk full") })
		r.set(crypt.ClassDenied)
		r.pass(time.Minute)
		if !r.g.Status().SaveFailing {
			t.Error("status does not show that the record is behind")
		}
		r.do(func() { r.saveErr = nil })
		r.pass(10 * time.Second)
		if r.g.Status().SaveFailing {
			t.Error("not saved again")
		}
	})
}

// TestClose relies on the bubble: it fails when a goroutine or timer is left.
func TestClose(t *testing.T) {
	for s := Active; s <= Erased; s++ {
		t.Run(s.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := testPolicy
				p.OnDeadline = Erase
				r := newRig(t, p)
				switch s {
				case Active:
					r.start().do(func() { r.hang = true })
					r.pass(65 * time.Second) // a probe is under way
				case Suspended:
					r.start().set(crypt.ClassDenied)
					r.pass(time.Hour)
				case Paused:
					r.do(func() { r.hang = true })
					r.startWith(Record{State: Paused}, NoUnwrap)
					r.pass(time.Second)
				case Erased:
					r.startWith(Record{State: Erased}, NoUnwrap)
					r.pass(time.Second)
				}
				r.want(s)
				r.g.Close()
				r.g.Close()
				n := r.nSent()
				r.pass(24 * time.Hour)
				if r.nSent() != n {
					t.Error("probed after Close")
				}
				if r.g.Check() == nil {
					t.Error("Check succeeds after Close")
				}
				if s != Erased && !errors.Is(r.g.ProbeNow(t.Context()), ErrClosed) {
					t.Error("ProbeNow after Close")
				}
			})
		})
	}
}

func TestStartRefuses(t *testing.T) {
	ok := newRig(t, testPolicy).cfg
	for name, edit := range map[string]func(*Config, *Record){
		"policy":   func(c *Config, _ *Record) { c.Policy = Policy{} },
		"no probe": func(c *Config, _ *Record) { c.Probe = nil },
		"no erase": func(c *Config, _ *Record) { c.Policy.OnDeadline = Erase; c.Erase = nil },
		"record":   func(_ *Config, r *Record) { r.State = 9 },
	} {
		cfg, rec := ok, Record{}
		edit(&cfg, &rec)
		if g, err := Start(cfg, rec, 0); err == nil {
			g.Close()
			t.Errorf("%s: Start accepted it", name)
		}
	}
}

func ExampleKeyError() {
	err := &KeyError{
		State: Suspended, Class: crypt.ClassDenied, KeyID: "arn:aws:kms:eu-west-1:111122223333:key/1",
		Since: time.Unix(0, 0), WipeAt: time.Unix(4*3600, 0), Message: "DisabledException: the key is disabled", RequestID: "r-1",
	}
	fmt.Println(err)
	fmt.Println(errors.Is(err, ErrKeyUnavailable))
	// Output:
	// the customer key arn:aws:kms:eu-west-1:111122223333:key/1 is denied since 1970-01-01 00:00:00 UTC (the provider said: DisabledException: the key is disabled; request id r-1); the database is suspended: memory will be wiped at 1970-01-01 04:00:00 UTC unless the key answers before
	// true
}
