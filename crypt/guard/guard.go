// Package guard keeps an open database on the customer's switch: it probes the
// key, grants a lease on the DEK, and suspends, pauses or erases when the key
// stays away.
//
//	active → suspended → paused → (erased)
//
// It comes back from suspended and from paused by itself. The promise rests on
// time, not on anybody noticing: [Guard.Check] compares the monotonic clock
// with a lease that counts from when the last good probe was sent.
//
// A [Scheduler] keeps time for any number of guards with one goroutine, which
// never waits for anything but time. Each call out of a guard (probe, pause,
// resume, erase, save and events) runs in a goroutine of its own, at most one of
// each, so that a hung KMS or disk holds nothing up; it applies its result under
// the guard's mutex, and does what has fallen due.
//
// Limit: a machine that slept is noticed within a second of waking.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
)

// NoUnwrap is Start's lastGood when nothing was unwrapped: the guard starts
// paused, without calling Pause, and calls Resume when the key answers.
const NoUnwrap = time.Duration(math.MinInt64)

// Config is what a guard needs of the database that it guards. Policy, KeyID
// and Probe are required, and Resume where the guard can come to be paused.
//
// Save and OnEvent run in one goroutine, in order, beside Probe, Pause and
// Resume; Erase runs beside none of the others.
type Config struct {
	Policy Policy
	KeyID  string
	Clock  clock.Clock  // without a Scheduler; nil: the system's
	Logger *slog.Logger // nil: no logging

	// Scheduler keeps time for this guard beside others. The guard makes one of
	// its own if nil, and ends it in Close.
	Scheduler *Scheduler

	// KEK names the customer's key and the way to it: the provider's URI. Guards
	// of one scheduler with an equal one share denials of the key as a whole,
	// and the asking while it is away; see docs/adr/0019. Empty: nothing is shared.
	KEK string

	// Probe unwraps the current envelope at the KMS and compares the result
	// with the DEK in constant time. It is retried within ProbeTimeout while
	// the KMS is unreachable. At most one is under way.
	Probe func(ctx context.Context) (crypt.Receipt, error)

	// Pause wipes everything. Called once on entering paused.
	Pause func()

	// Resume unwraps, replays and reopens. Called when paused and the key
	// answers. After an error it is called again when the next probe is good.
	// ctx ends only with Close: Resume bounds its own calls at the KMS.
	Resume func(ctx context.Context) error

	// Erase destroys wrapped keys and data, and persists the record first. It
	// must be idempotent: it is called until it returns nil, and again after a
	// restart with an erased record. Save is not called any more.
	Erase func(Record) error

	// Save persists the record. Called after transitions and, while denied,
	// as DeniedFor grows; after an error it is retried.
	Save func(Record) error

	// OnEvent is told of every transition, in order.
	OnEvent func(Event)

	// Good is called after a good probe, beside everything but Erase; not while
	// an earlier call is under way.
	Good func(crypt.Receipt)
}

// Event is a change of state, or of the failure class within a state, or what
// was done with the data keys. From is To in the latter two.
type Event struct {
	Sequence  uint64      `json:"sequence"`       // grows by 1, across restarts too if records are saved
	Kind      EventKind   `json:"kind,omitempty"` // empty: a change of state or class
	Time      time.Time   `json:"time"`           // wall clock
	From      State       `json:"from"`
	To        State       `json:"to"`
	Class     crypt.Class `json:"class"`
	Message   string      `json:"message"`
	RequestID string      `json:"request_id"` // of the provider's call that caused it
}

// EventKind says what was done with the data keys, or that a drill began or
// ended. The words are on disk, in the journal.
type EventKind string

// The kinds of events that are no change of state.
const (
	RotationBegan EventKind = "rotation began" // a new DEK seals all new files
	RotationEnded EventKind = "rotation ended" // nothing is sealed under older DEKs; their envelopes are destroyed
	Rewrapped     EventKind = "rewrapped"      // the same DEKs, wrapped anew by the KEK
	DrillBegan    EventKind = "drill began"    // the KMS is not asked; failures are simulated
	DrillEnded    EventKind = "drill ended"
)

// Status is a guard at one moment. Times are the wall clock's, zero when they
// do not apply.
type Status struct {
	State       State         `json:"state"`
	Class       crypt.Class   `json:"class"` // ClassNone when the last probe was good
	KeyID       string        `json:"key_id"`
	Since       time.Time     `json:"since"`       // unavailable since
	WipeAt      time.Time     `json:"wipe_at"`     // when memory will be wiped, or was
	LastGood    time.Time     `json:"last_good"`   // when the last good probe was sent
	LeaseUntil  time.Time     `json:"lease_until"` // when active
	NextProbe   time.Time     `json:"next_probe"`
	DeniedFor   time.Duration `json:"denied_for"`
	Message     string        `json:"message"`
	RequestID   string        `json:"request_id"`
	Policy      Policy        `json:"policy"`
	Counters    Counters      `json:"counters"`
	SaveFailing bool          `json:"save_failing"` // the record on disk is behind
}

const leaseNone = math.MinInt64

// Guard guards one open database. Safe for concurrent use.
type Guard struct {
	lease atomic.Int64  // Scheduler.Now until which Check succeeds; leaseNone when refused
	slept *atomic.Int64 // the scheduler's
	clk   clock.Clock
	cfg   Config
	log   *slog.Logger
	sched *Scheduler
	owned bool // the scheduler is this guard's own

	mu sync.RWMutex // held only for moments, never during a call out
	m  machine

	due   time.Duration // when step has something to do; Scheduler.mu
	place int           // in the scheduler's agenda, -1 when not there; Scheduler.mu
	group *group        // nil: shares nothing; set once, its content is under Scheduler.mu

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	calls  sync.WaitGroup // calls out
}

// Start starts a guard. rec is what the last process saved, or the zero Record.
// lastGood is when the unwrap that opened the database was sent: Scheduler.Now,
// or clock.Monotonic where no scheduler is given; or it is NoUnwrap. With an
// erased record the guard finishes the erasure and refuses everything. Errors
// wrap ErrPolicy or ErrRecord.
func Start(cfg Config, rec Record, lastGood time.Duration) (*Guard, error) {
	if _, err := cfg.Policy.Validate(); err != nil {
		return nil, err
	}
	if err := rec.Validate(); err != nil {
		return nil, err
	}
	switch {
	case cfg.Probe == nil:
		return nil, errors.New("guard: Probe is missing")
	case cfg.Policy.OnDeadline == Erase && cfg.Erase == nil:
		return nil, errors.New("guard: the policy erases and Erase is missing")
	}
	g := &Guard{cfg: cfg, log: cfg.Logger, sched: cfg.Scheduler}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.sched == nil {
		var err error
		if g.sched, err = NewScheduler(SchedulerOptions{Clock: cfg.Clock, Logger: cfg.Logger}); err != nil {
			return nil, err
		}
		g.owned = true
	}
	g.clk, g.slept = g.sched.clk, &g.sched.slept
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.sched.watch()
	g.locked(func() {
		g.sched.add(g) // others may tell it things only once it has begun
		g.begin(rec, lastGood)
		g.countActive(g.m.state, 1)
		g.step()
	})
	return g, nil
}

// Check returns nil while the DEK may be used, else a *KeyError, or ErrClosed
// after Close. It costs two atomic loads and one reading of the monotonic clock.
func (g *Guard) Check() error {
	if int64(g.clk.Monotonic())+g.slept.Load() < g.lease.Load() {
		return nil
	}
	return g.refusal()
}

// refusal describes why Check fails.
func (g *Guard) refusal() error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	m := &g.m
	if m.closed {
		return ErrClosed
	}
	now := g.now()
	if m.state == Active && now < m.leaseEnd {
		return nil // a good probe came in between
	}
	e := &KeyError{
		State: m.state, Class: m.class, Since: g.wallSince(), WipeAt: g.wipeAt(),
		KeyID: g.cfg.KeyID, Message: m.message, RequestID: m.requestID, Err: m.err,
	}
	if m.state == Active { // the lease ran out and no step has come to it
		e.State = Suspended
		since := g.failedSince()
		e.Since, e.WipeAt = g.wall(since), g.wall(since+g.cfg.Policy.Deadline)
	}
	if e.Class == crypt.ClassNone {
		e.Class = crypt.ClassUnreachable
	}
	return e
}

// Status returns the guard's present state.
func (g *Guard) Status() Status {
	g.mu.RLock()
	defer g.mu.RUnlock()
	m := &g.m
	st := Status{
		State: m.state, Class: m.class, KeyID: g.cfg.KeyID,
		Since: g.wallSince(), WipeAt: g.wipeAt(), LastGood: m.lastGoodWall,
		DeniedFor: m.deniedFor, Message: m.message, RequestID: m.requestID,
		Policy: g.cfg.Policy, Counters: m.counters, SaveFailing: m.saveFailing,
	}
	st.Counters.spend(m.state, g.now()-m.entered)
	if m.state == Active {
		st.LeaseUntil = g.wall(m.leaseEnd)
		if now := g.now(); now >= m.leaseEnd {
			since := g.failedSince()
			st.State, st.Since, st.WipeAt = Suspended, g.wall(since), g.wall(since+g.cfg.Policy.Deadline)
		}
	}
	if m.state != Erased {
		st.NextProbe = g.wall(m.nextProbe)
	}
	return st
}

// ProbeNow probes at once, and returns the probe's error or nil. When the
// database was paused and the key answers, it waits for Resume and returns its
// error. Errors: the provider's, ErrClosed, a *KeyError when erased, ctx's.
func (g *Guard) ProbeNow(ctx context.Context) error {
	reply := make(chan error, 1)
	g.sched.watch()
	g.mu.Lock()
	if g.m.state == Erased {
		g.mu.Unlock()
		return g.refusal()
	}
	if !g.m.closed {
		g.m.asked = append(g.m.asked, reply)
		g.step()
	}
	g.mu.Unlock()
	select {
	case err := <-reply:
		return err
	case <-g.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("probe the key: %w", ctx.Err())
	}
}

// Note reports an event that is no change of state, in the order of the others.
// requestID is that of the provider's call, or empty.
func (g *Guard) Note(kind EventKind, message, requestID string) {
	g.after(func() {
		g.event(g.m.state)
		e := &g.m.events[len(g.m.events)-1]
		e.Kind, e.Class = kind, crypt.ClassNone
		e.Message, e.RequestID = cut(message, messageSizeMax), cut(requestID, requestIDSizeMax)
	})
}

// Close refuses everything from now on, cancels what is under way and waits
// for it: no goroutine, timer or KMS call is left. It wipes nothing. It may be
// called more than once.
func (g *Guard) Close() {
	g.mu.Lock()
	first := !g.m.closed
	if first {
		g.countActive(g.m.state, -1)
	}
	g.m.closed = true
	g.lease.Store(leaseNone)
	g.mu.Unlock()
	g.cancel()
	g.calls.Wait()
	if !first {
		return
	}
	if was, _ := g.sched.resign(g); was {
		g.spread(news{vacant: true})
	}
	g.sched.remove(g)
	if g.owned {
		g.sched.Close()
	}
}

// locked runs fn unless the guard was closed.
func (g *Guard) locked(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.m.closed {
		fn()
	}
}

// after applies the result of a call, and does what has fallen due. It is the
// last thing that a call's goroutine does.
func (g *Guard) after(fn func()) {
	g.sched.watch()
	g.locked(func() {
		fn()
		g.step()
	})
}
