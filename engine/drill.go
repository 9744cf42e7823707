package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
)

// A drill shows what happens when the key goes away, without the key going away:
// between the database and its provider stands a drillKey, which fails in the
// provider's place. Everything above it is what runs in earnest.

// DrillKind is what a drill simulates.
type DrillKind string

// What a drill can simulate.
const (
	DrillDenied      DrillKind = "denied"      // the KMS says no
	DrillUnreachable DrillKind = "unreachable" // no answer comes
)

// DrillReport says what a drill measured. Times count from when the key went
// away, or came back.
type DrillReport struct {
	Kind       DrillKind     `json:"kind"`
	Began      time.Time     `json:"began"`
	Bound      time.Duration `json:"bound_ns"`       // what was promised: the grace included when unreachable
	LastServed time.Duration `json:"last_served_ns"` // the last operation that was served began then
	Refused    time.Duration `json:"refused_ns"`     // the first one was refused; 0 if none was
	Recovered  time.Duration `json:"recovered_ns"`   // the first one was served again; 0 if none was
	NServed    int64         `json:"served"`         // operations while the key was away
	NRefused   int64         `json:"refused"`
	Held       bool          `json:"held"` // none was served behind the bound
}

// ErrDrilling means that a drill is under way already. Retry when it has ended.
var ErrDrilling = errors.New("a drill is under way")

// drillSteps is into how many steps a drill divides the bound: it asks the
// database that often, but at most each 100 µs and at least each 50 ms.
const drillSteps = 2000

// Drill takes the key away from this database alone, without a change at the
// KMS, until an operation is refused, then gives it back until one is served. To
// everybody else who uses the database meanwhile it is as if the key were gone:
// they are refused, and the journal says that it was a drill. It takes up to the
// bound and some seconds.
//
// A drill never erases: its denials do not count as the KMS's. It wipes memory
// only under a policy whose deadline is over when the first operation is refused.
// When ctx ends, or the database is closed, the key is given back too.
// Errors: *KeyError when the key is away in earnest, before or afterwards;
// ErrDrilling; ErrClosed; ctx's.
func (db *DB) Drill(ctx context.Context, kind DrillKind) (DrillReport, error) {
	r := DrillReport{Kind: kind, Began: db.clock.Now(), Bound: db.policy.Bound()}
	fault := &drillFault{op: "drill", keyID: db.clear.KeyID}
	switch kind {
	case DrillDenied:
		fault.class = crypt.ClassDenied
	case DrillUnreachable:
		fault.class = crypt.ClassUnreachable
		r.Bound += db.policy.UnreachableGrace
	default:
		return r, fmt.Errorf("unknown drill %q: it is %q or %q", kind, DrillDenied, DrillUnreachable)
	}
	if err := db.check(); err != nil {
		return r, err
	}
	if !db.drill.fault.CompareAndSwap(nil, fault) {
		return r, ErrDrilling
	}
	db.log.Warn("a drill takes the key away from this database", "kind", string(kind))
	db.guard.Note(guard.DrillBegan, string(kind), "")
	err := db.drillAway(ctx, &r)
	db.drill.fault.Store(nil)
	db.guard.Note(guard.DrillEnded, string(kind), "")
	if err == nil {
		err = db.drillBack(ctx, &r)
	}
	r.Held = r.Refused > 0 && r.LastServed <= r.Bound
	return r, err
}

// drillAway asks until it is refused.
func (db *DB) drillAway(ctx context.Context, r *DrillReport) error {
	began := db.clock.Monotonic()
	for {
		at := db.clock.Monotonic() - began
		err := db.operate()
		switch {
		case err == nil:
			r.NServed++
			r.LastServed = at
		case errors.Is(err, ErrKeyUnavailable):
			r.NRefused++
			r.Refused = max(at, 1)
			return nil
		default:
			return err
		}
		if err := db.drillWait(ctx, r.Bound); err != nil {
			return err
		}
	}
}

// drillBack asks until it is served.
func (db *DB) drillBack(ctx context.Context, r *DrillReport) error {
	began := db.clock.Monotonic()
	for {
		at := db.clock.Monotonic() - began
		err := db.operate()
		switch {
		case err == nil:
			r.Recovered = max(at, 1)
			return nil
		case !errors.Is(err, ErrKeyUnavailable):
			return err
		}
		r.NRefused++
		if db.drillWait(ctx, r.Bound) != nil {
			return err
		}
	}
}

// operate does as little as an operation can.
func (db *DB) operate() error {
	tx, err := db.Begin(false)
	if err != nil {
		return err
	}
	return tx.Rollback()
}

// drillStepMax is how exact a drill's times are at worst.
const drillStepMax = 50 * time.Millisecond

func (db *DB) drillWait(ctx context.Context, bound time.Duration) error {
	t := time.NewTimer(min(max(bound/drillSteps, 100*time.Microsecond), drillStepMax))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-db.closing:
		return ErrClosed
	}
}

// drillKey is the provider of an open database. While it has a fault, no call
// reaches the KMS.
type drillKey struct {
	crypt.Provider

	fault atomic.Pointer[drillFault]
}

// drillFault is what a drill makes of every call.
type drillFault struct {
	class     crypt.Class
	op, keyID string
}

// simulate returns the error of a call, nil when there is no drill. An outage
// takes as long as the caller waits.
func (k *drillKey) simulate(ctx context.Context) error {
	f := k.fault.Load()
	if f == nil {
		return nil
	}
	detail := "a drill plays the KMS, which would say no"
	if f.class == crypt.ClassUnreachable {
		detail = "a drill plays a KMS that does not answer"
		<-ctx.Done()
	}
	return &crypt.ProviderError{Class: f.class, Op: f.op, KeyID: f.keyID, Code: "Drill", Detail: detail, Simulated: true}
}

// Check implements crypt.Provider, as do the methods below.
func (k *drillKey) Check(ctx context.Context) error {
	if err := k.simulate(ctx); err != nil {
		return err
	}
	return k.Provider.Check(ctx)
}

// CurrentMaterial returns nothing where the provider names no materials.
func (k *drillKey) CurrentMaterial(ctx context.Context) (string, crypt.Receipt, error) {
	reporter, ok := k.Provider.(crypt.MaterialReporter)
	if !ok {
		return "", crypt.Receipt{}, nil
	}
	if err := k.simulate(ctx); err != nil {
		return "", crypt.Receipt{}, err
	}
	return reporter.CurrentMaterial(ctx)
}

// Generate makes a DEK.
func (k *drillKey) Generate(ctx context.Context, c crypt.Context) (*crypt.Secret, crypt.Wrapped, crypt.Receipt, error) {
	if err := k.simulate(ctx); err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	return k.Provider.Generate(ctx, c)
}

// Unwrap returns the DEK in w.
func (k *drillKey) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	if err := k.simulate(ctx); err != nil {
		return nil, crypt.Receipt{}, err
	}
	return k.Provider.Unwrap(ctx, w, c)
}

// Rewrap wraps the DEK in w anew.
func (k *drillKey) Rewrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (crypt.Wrapped, crypt.Receipt, error) {
	if err := k.simulate(ctx); err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, err
	}
	return k.Provider.Rewrap(ctx, w, c)
}
