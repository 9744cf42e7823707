package guard

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// TestRandomTimelines lets a KMS answer at random and holds the guard to its
// promises at every moment looked at.
func TestRandomTimelines(t *testing.T) {
	for range 60 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) { timeline(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// truth is what a KMS knows about its own answers.
type truth struct {
	lastGood  time.Time // when the last good probe was sent
	denied    bool      // a denial since
	deniedSum time.Duration
	lastDeny  time.Time // zero when the last answer was no denial
}

func timeline(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	p := Policy{
		ProbeInterval: time.Duration(1+rng.IntN(120)) * time.Second,
		ProbeTimeout:  time.Duration(1+rng.IntN(20)) * time.Second,
		Deadline:      time.Duration(1+rng.IntN(60)) * time.Minute,
		OnDeadline:    OnDeadline(rng.IntN(2)),
	}
	if rng.IntN(2) == 0 {
		p.UnreachableGrace = time.Duration(rng.IntN(30)) * time.Minute
	}
	r := newRig(t, p)
	tr := truth{lastGood: time.Now()}
	inMemory := true
	inner := r.cfg.Probe
	r.cfg.Probe = observe(r, &tr, inner)
	r.cfg.Pause = func() {
		r.do(func() {
			if unavailable := time.Since(tr.lastGood); unavailable < p.Deadline {
				t.Errorf("paused %v after a good probe, the deadline is %v", unavailable, p.Deadline)
			}
			if !inMemory {
				t.Error("paused twice")
			}
			inMemory = false
		})
	}
	r.cfg.Resume = func(context.Context) error {
		r.do(func() { inMemory = true })
		return nil
	}
	erased := false
	r.cfg.Erase = func(Record) error {
		r.do(func() {
			erased = true
			if inMemory || p.OnDeadline != Erase || tr.deniedSum < p.Deadline {
				t.Errorf("erased after %v of denials, the deadline is %v", tr.deniedSum, p.Deadline)
			}
		})
		return nil
	}
	r.start()
	classes := []crypt.Class{crypt.ClassNone, crypt.ClassDenied, crypt.ClassUnreachable, crypt.ClassCredentials, crypt.ClassTampered}
	for range 40 {
		r.do(func() {
			r.answer = classes[rng.IntN(len(classes))]
			r.hang = rng.IntN(6) == 0
		})
		spell := time.Duration(rng.Int64N(int64(2 * p.Deadline)))
		for n := 1 + rng.IntN(20); n > 0; n-- {
			time.Sleep(spell / 20)
			synctest.Wait()
			promise(t, r, p, &tr, inMemory)
		}
	}
	r.set(crypt.ClassNone)
	r.do(func() { r.hang = false })
	r.pass(p.ProbeTimeout + p.Bound())
	if want := r.g.Status().State; !erased && want != Active {
		t.Errorf("%v although the key answers", want)
	}
}

// promise checks what must hold at any time.
func promise(t *testing.T, r *rig, p Policy, tr *truth, inMemory bool) {
	t.Helper()
	err := r.g.Check()
	r.mu.Lock()
	defer r.mu.Unlock()
	age := time.Since(tr.lastGood)
	switch {
	case err != nil:
	case !inMemory:
		t.Error("Check succeeds with wiped memory")
	case tr.denied:
		t.Errorf("Check succeeds after a denial")
	case age >= p.Bound()+p.UnreachableGrace:
		t.Errorf("Check succeeds %v after the last good probe", age)
	}
	if inMemory && age >= p.Bound()+p.UnreachableGrace+p.Deadline && err != nil {
		t.Errorf("nothing was wiped %v after the last good probe", age)
	}
}

// observe keeps the truth about every answer that a probe gets.
func observe(r *rig, tr *truth, probe func(context.Context) (crypt.Receipt, error)) func(context.Context) (crypt.Receipt, error) {
	return func(ctx context.Context) (crypt.Receipt, error) {
		sent := time.Now()
		receipt, err := probe(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		class := crypt.ClassOf(err)
		switch class {
		case crypt.ClassNone:
			*tr = truth{lastGood: sent}
		case crypt.ClassDenied:
			if !tr.lastDeny.IsZero() {
				tr.deniedSum += time.Since(tr.lastDeny)
			}
			tr.lastDeny = time.Now()
		default:
			tr.lastDeny = time.Time{}
		}
		tr.denied = tr.denied || class == crypt.ClassDenied || class == crypt.ClassTampered
		return receipt, err
	}
}
