package guard

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
)

// pair starts two databases under one key, with KMSs that are told what to say
// to each. Their probes are a minute apart from their own start on.
func pair(t *testing.T, edit func(a, b *rig)) (a, b *rig) {
	t.Helper()
	s, err := NewScheduler(SchedulerOptions{Clock: clock.Process()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	a, b = newRig(t, testPolicy), newRig(t, testPolicy)
	for _, r := range []*rig{a, b} {
		r.cfg.Scheduler, r.cfg.KEK = s, "test:key"
	}
	if edit != nil {
		edit(a, b)
	}
	a.start()
	b.start()
	return a, b
}

// ask has a probe sent now, and takes its result.
func (r *rig) ask() error {
	err := r.g.ProbeNow(r.t.Context())
	synctest.Wait()
	return err
}

func (r *rig) setWhole() { r.do(func() { r.answer, r.whole = crypt.ClassDenied, true }) }

func TestGoodProbesAreNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		b.do(func() { b.hang = true })
		for range 10 {
			a.pass(7 * time.Second)
			if err := a.ask(); err != nil {
				t.Fatal(err)
			}
		}
		b.pass(time.Second)
		a.want(Active)
		b.want(Suspended)
	})
}

func TestAccessDeniedIsNotShared(t *testing.T) {
	for _, class := range []crypt.Class{crypt.ClassDenied, crypt.ClassUnreachable, crypt.ClassCredentials, crypt.ClassTampered} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t, nil)
			a.set(class)
			_ = a.ask()
			a.want(Suspended)
			b.want(Active)
			if err := b.ask(); err != nil {
				t.Error(err)
			}
			a.want(Suspended)
		})
	}
}

func TestWholeKeyDenialIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, func(_, b *rig) { b.cfg.Policy.UnreachableGrace = time.Hour })
		b.set(crypt.ClassUnreachable)
		b.pass(5 * time.Minute)
		b.want(Active) // in its grace, which a denial ends
		a.setWhole()
		if err := a.ask(); err == nil {
			t.Fatal("no denial")
		}
		if ke := b.refused(Suspended); ke.Class != crypt.ClassDenied || ke.RequestID != "req-1" {
			t.Errorf("refusal %+v", ke)
		}
		if c := b.g.Status().Counters; c.SharedDenials != 1 || c.FailuresDenied != 1 || c.Suspensions != 1 {
			t.Errorf("counters %+v", c)
		}
	})
}

// TestYoungerProbesCount has a denial and a good answer of which the one that was
// sent earlier comes later.
func TestYoungerProbesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		deaf := make(chan struct{})
		a.do(func() { a.answer, a.whole, a.deaf = crypt.ClassDenied, true, deaf })
		go func() { _ = a.ask() }()
		b.pass(time.Second)
		if err := b.ask(); err != nil { // sent after the probe that is denied
			t.Fatal(err)
		}
		close(deaf)
		b.pass(time.Second)
		a.want(Suspended)
		b.want(Active)
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, nil)
		deaf := make(chan struct{})
		b.do(func() { b.deaf = deaf })
		go func() { _ = b.ask() }() // its answer is good, and waits
		b.pass(time.Second)
		a.setWhole()
		_ = a.ask()
		b.want(Suspended)
		b.setWhole()
		b.do(func() { b.deaf = nil })
		close(deaf)
		b.pass(100 * time.Millisecond)
		b.want(Suspended)
		b.set(crypt.ClassNone)
		b.pass(time.Second)
		b.want(Active) // it asked again
	})
}

// TestEraseCountsOwnDenials has one database under the key that is denied all the
// time, and one that may be erased and was never denied itself.
func TestEraseCountsOwnDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, func(_, b *rig) { b.cfg.Policy.OnDeadline = Erase })
		a.setWhole()
		b.set(crypt.ClassUnreachable)
		a.pass(24 * time.Hour)
		b.want(Paused)
		b.counts(1, 0, 0)
		if d := b.g.Status().DeniedFor; d != 0 {
			t.Errorf("denied for %v", d)
		}
		n := b.nSent()
		b.pass(time.Minute)
		if sent := b.nSent() - n; sent < 11 {
			t.Errorf("a database that may be erased asked %d times in a minute", sent)
		}
		b.setWhole()
		b.pass(testPolicy.Deadline - time.Minute)
		b.want(Paused)
		b.pass(2 * time.Minute)
		b.want(Erased)
	})
}

// TestScoutIsReplaced takes the database away that asks for both: closed, or
// refused for a reason of its own.
func TestScoutIsReplaced(t *testing.T) {
	for name, leave := range map[string]func(r *rig){
		"closed":        func(r *rig) { r.g.Close() },
		"access denied": func(r *rig) { r.do(func() { r.answer, r.whole = crypt.ClassDenied, false }); r.pass(6 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pair(t, nil)
				a.setWhole()
				b.setWhole()
				_ = a.ask()
				a.pass(10 * time.Minute)
				na, nb := a.nSent(), b.nSent()
				a.pass(10 * time.Minute)
				na, nb = a.nSent()-na, b.nSent()-nb
				if na < 100 || nb > 15 {
					t.Errorf("in ten minutes the scout asked %d times, the other one %d times", na, nb)
				}
				if saved := b.g.Status().Counters.ProbesSaved; saved < 100 {
					t.Errorf("%d probes saved", saved)
				}
				leave(a)
				b.pass(10 * time.Second)
				b.set(crypt.ClassNone)
				b.pass(5 * time.Second)
				b.want(Active)
			})
		})
	}
}

// TestLateGoodEndsDenials has a good answer that comes too late to grant a lease.
func TestLateGoodEndsDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPolicy
		p.OnDeadline = Erase
		r := newRig(t, p).start()
		r.set(crypt.ClassDenied)
		r.pass(3 * time.Hour)
		if d := r.g.Status().DeniedFor; d < 2*time.Hour {
			t.Fatalf("denied for %v", d)
		}
		deaf := make(chan struct{})
		r.do(func() { r.answer, r.deaf = crypt.ClassNone, deaf })
		r.pass(10 * time.Minute)
		r.do(func() { r.answer, r.deaf = crypt.ClassDenied, nil })
		close(deaf)
		synctest.Wait()
		r.want(Suspended)
		if d := r.g.Status().DeniedFor; d != 0 {
			t.Errorf("denied for %v after a good answer", d)
		}
	})
}

// TestSequences are timelines of answers to single probes, and the states after
// each: g good, d denied, u unreachable, c credentials, t tampered.
func TestSequences(t *testing.T) {
	answers := map[byte]crypt.Class{
		'g': crypt.ClassNone, 'd': crypt.ClassDenied, 'u': crypt.ClassUnreachable,
		'c': crypt.ClassCredentials, 't': crypt.ClassTampered,
	}
	for _, c := range []struct {
		grace           time.Duration
		answers, states string // a active, s suspended
	}{
		{0, "gdgdgdgd", "asasasas"},
		{0, "gugugugu", "asasasas"},
		{0, "gudg", "assa"},
		{0, "gdug", "assa"},
		{0, "gtudcg", "assssa"},
		{0, "gcgtg", "asasa"},
		{time.Hour, "guuug", "aaaaa"},
		{time.Hour, "guudg", "aaasa"},
		{time.Hour, "guuduug", "aaasssa"}, // after a denial there is no grace
		{time.Hour, "gutug", "aassa"},
		{time.Hour, "gucug", "aassa"},
		{time.Hour, "gdugug", "assaaa"}, // after a good probe there is
	} {
		synctest.Test(t, func(t *testing.T) {
			p := testPolicy
			p.UnreachableGrace = c.grace
			r := newRig(t, p).start()
			for i := range len(c.answers) {
				r.set(answers[c.answers[i]])
				if err := r.ask(); (err == nil) != (c.answers[i] == 'g') {
					t.Fatalf("%s: probe %d: %v", c.answers, i, err)
				}
				want := Active
				if c.states[i] == 's' {
					want = Suspended
				}
				if got := r.g.Status().State; got != want || (r.g.Check() == nil) != (want == Active) {
					t.Errorf("grace %v, %s: %v after probe %d", c.grace, c.answers, got, i)
				}
			}
		})
	}
}

// TestTamperedWipesAndNeverErases stays tampered over the deadline, with a policy
// that erases.
func TestTamperedWipesAndNeverErases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPolicy
		p.OnDeadline = Erase
		r := newRig(t, p).start()
		r.set(crypt.ClassTampered)
		r.pass(3 * 24 * time.Hour)
		r.want(Paused)
		r.counts(1, 0, 0)
	})
}

func TestResumeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, testPolicy).start()
		r.set(crypt.ClassUnreachable)
		r.pass(5 * time.Hour)
		r.want(Paused)
		r.do(func() { r.resume = errors.New("disk full") })
		r.set(crypt.ClassNone)
		if err := r.ask(); err == nil || err.Error() != "disk full" {
			t.Errorf("ProbeNow: %v", err)
		}
		r.pass(time.Hour)
		r.want(Paused)
		r.counts(1, 0, 0)
		r.do(func() { r.resume = nil })
		r.pass(6 * time.Second)
		r.want(Active)
		c := r.g.Status().Counters
		if c.Resumes != 1 || c.Pauses != 1 || c.Suspensions != 1 || c.Paused < time.Hour || c.Suspended < 3*time.Hour {
			t.Errorf("counters %+v", c)
		}
	})
}

// TestGraceTakesAnOutage looks at the lease itself: as long as nobody has noticed
// an outage, the grace is no part of it.
func TestGraceTakesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPolicy
		p.UnreachableGrace = time.Hour
		r := newRig(t, p).start()
		for range 3 {
			last := r.g.Status().LastGood
			if got := time.Duration(r.g.lease.Load()) - r.cfg.Clock.Monotonic() + time.Since(last); got != p.Bound() {
				t.Errorf("the lease lasts %v after the last good probe", got)
			}
			r.pass(time.Minute)
		}
	})
}
