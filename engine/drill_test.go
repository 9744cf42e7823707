package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// TestDrill: the database refuses within the bound and comes back within seconds,
// and the KMS was not asked for anything else than it would have been.
func TestDrill(t *testing.T) {
	for _, c := range []struct {
		kind   DrillKind
		policy Policy
		class  crypt.Class
		low    time.Duration // refused not before
	}{
		{DrillDenied, Policy{}, crypt.ClassDenied, 0},
		{DrillUnreachable, Policy{}, crypt.ClassUnreachable, outageMin},
		{DrillUnreachable, Policy{UnreachableGrace: 5 * time.Minute}, crypt.ClassUnreachable, 5 * time.Minute},
		{DrillDenied, Policy{UnreachableGrace: 5 * time.Minute}, crypt.ClassDenied, 0},
	} {
		timebubble.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			db := bubble(t, newFakeKey("k"), c.policy, Options{})
			put(t, db, "c", "k", "v")
			time.Sleep(17 * time.Second) // somewhere between two probes
			other, stop := make(chan error, 1), make(chan struct{})
			go func() { // somebody else's operations
				defer close(other)
				for {
					select {
					case <-stop:
						return
					case <-time.After(lookEvery):
					}
					if err := getErr(db); err != nil {
						other <- err
						return
					}
				}
			}()
			r, err := db.Drill(t.Context(), c.kind)
			close(stop)
			if err != nil {
				t.Fatal(err)
			}
			bound := 70 * time.Second
			if c.kind == DrillUnreachable {
				bound += c.policy.UnreachableGrace
			}
			if !r.Held || r.Bound != bound || r.LastServed > bound || r.Refused < c.low || r.Refused > bound+50*time.Millisecond ||
				r.NServed == 0 || r.NRefused == 0 || r.Recovered == 0 || r.Recovered > 20*time.Second {
				t.Errorf("%+v", r)
			}
			err = <-other
			missed := err == nil && r.Recovered <= drillStepMax // it looked before and after
			if ke, ok := errors.AsType[*KeyError](err); !missed && (!ok || ke.Class != c.class || c.kind == DrillDenied && !strings.Contains(ke.Message, "Drill: ")) {
				t.Errorf("beside a drill: %v; %+v", err, r)
			}
			mustGet(t, db, "c", "k", "v")
			synctest.Wait()
			if kinds := journalKinds(t, db); kinds[guard.DrillBegan] != 1 || kinds[guard.DrillEnded] != 1 {
				t.Errorf("the journal has %v", kinds)
			}
		})
	}
}

// lookEvery is how often the other operations look.
const lookEvery = 10 * time.Millisecond

// outageMin is when an outage is noticed at the earliest here: the
// probe under way has its time.
const outageMin = 10 * time.Second

// TestDrillNeverErases: however long it lasts, and after denials in earnest too.
func TestDrillNeverErases(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{OnDeadline: Erase, Deadline: time.Hour}, Options{scrub: func() error { return nil }})
		put(t, db, "c", "k", "v")
		key.set(crypt.ClassDenied)
		time.Sleep(50 * time.Minute)
		db.drill.fault.Store(&drillFault{class: crypt.ClassDenied, keyID: "k"}) // Drill itself ends before
		key.set(crypt.ClassNone)
		time.Sleep(12 * time.Hour)
		synctest.Wait()
		if st := db.Status().Key.State; st != Paused {
			t.Errorf("half a day of a drill: %v", st)
		}
		db.drill.fault.Store(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		mustGet(t, db, "c", "k", "v")
	})
}

// TestDrillEnds: with its context, when the database is closed, and when the key
// goes in earnest; one at a time.
func TestDrillEnds(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{}, Options{})
		put(t, db, "c", "k", "v")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := db.Drill(ctx, DrillUnreachable); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with its context: %v", err)
		}
		mustGet(t, db, "c", "k", "v")
		if _, err := db.Drill(t.Context(), "fire"); err == nil {
			t.Error("a drill of an unknown kind")
		}
		first := make(chan error, 1)
		go func() {
			_, err := db.Drill(t.Context(), DrillDenied)
			first <- err
		}()
		time.Sleep(time.Second)
		if _, err := db.Drill(t.Context(), DrillDenied); !errors.Is(err, ErrDrilling) {
			t.Errorf("two at once: %v", err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		key.set(crypt.ClassDenied)
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		r, err := db.Drill(ctx, DrillDenied)
		if ke, ok := errors.AsType[*KeyError](err); !ok || strings.Contains(ke.Message, "Drill") || r.Recovered != 0 || !r.Held {
			t.Errorf("the key went in earnest: %+v, %v", r, err)
		}
		if _, err := db.Drill(t.Context(), DrillDenied); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("without the key: %v", err)
		}
		key.set(crypt.ClassNone)
		time.Sleep(time.Minute)
		go func() {
			_, err := db.Drill(t.Context(), DrillUnreachable)
			first <- err
		}()
		time.Sleep(time.Second)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := <-first; !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}
