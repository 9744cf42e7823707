package guard

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
)

// rig is a database as the guard sees it, and a KMS that answers as told.
type rig struct {
	t   *testing.T
	cfg Config
	g   *Guard

	mu      sync.Mutex
	answer  crypt.Class   // ClassNone: good
	whole   bool          // a denial is one of the key as a whole
	keyID   string        // of the key that gives it; empty: the KEK
	hang    bool          // Probe waits for its ctx
	deaf    chan struct{} // Probe ignores its ctx until this is closed
	resume  error
	erase   error
	saveErr error
	block   chan struct{} // Save waits for it

	sent                    []time.Time
	pauses, resumes, erases int
	events                  []Event
	saved                   []Record
}

var testPolicy = Policy{ProbeInterval: time.Minute, ProbeTimeout: 10 * time.Second, Deadline: 4 * time.Hour}

func newRig(t *testing.T, p Policy) *rig {
	t.Helper()
	r := &rig{t: t}
	r.cfg = Config{
		Policy: p, KeyID: "test-key", Clock: clock.Process(),
		Probe: r.probe,
		Pause: func() { r.do(func() { r.pauses++ }) },
		Resume: func(context.Context) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.resume == nil {
				r.resumes++
			}
			return r.resume
		},
		Erase: func(rec Record) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if rec.State != Erased {
				t.Errorf("Erase got a record that says %v", rec.State)
			}
			r.erases++
			return r.erase
		},
		Save: func(rec Record) error {
			r.mu.Lock()
			block, err := r.block, r.saveErr
			r.saved = append(r.saved, rec)
			r.mu.Unlock()
			if block != nil {
				<-block
			}
			return err
		},
		OnEvent: func(e Event) { r.do(func() { r.events = append(r.events, e) }) },
	}
	return r
}

func (r *rig) do(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

func (r *rig) set(c crypt.Class) { r.do(func() { r.answer = c }) }

func (r *rig) probe(ctx context.Context) (crypt.Receipt, error) {
	r.mu.Lock()
	r.sent = append(r.sent, time.Now())
	class, whole, hang, deaf, keyID := r.answer, r.whole, r.hang, r.deaf, r.keyID
	r.mu.Unlock()
	if deaf != nil {
		<-deaf
	}
	if hang {
		<-ctx.Done()
		return crypt.Receipt{}, ctx.Err()
	}
	if class != crypt.ClassNone {
		return crypt.Receipt{}, &crypt.ProviderError{Class: class, Op: "unwrap", KeyID: keyID, Code: "Test", RequestID: "req-1", Detail: "so it is", WholeKey: whole && class == crypt.ClassDenied}
	}
	return crypt.Receipt{RequestID: "req-0"}, nil
}

// start starts with an unwrap sent now.
func (r *rig) start() *rig {
	return r.startWith(Record{}, r.cfg.Clock.Monotonic())
}

func (r *rig) startWith(rec Record, lastGood time.Duration) *rig {
	r.t.Helper()
	g, err := Start(r.cfg, rec, lastGood)
	if err != nil {
		r.t.Fatal(err)
	}
	r.g = g
	r.t.Cleanup(g.Close)
	return r
}

func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) want(s State) {
	r.t.Helper()
	_ = r.refused(s)
}

// refused checks the state and returns what Check says.
func (r *rig) refused(s State) *KeyError {
	r.t.Helper()
	if got := r.g.Status().State; got != s {
		r.t.Fatalf("state is %v, want %v", got, s)
	}
	err := r.g.Check()
	if s == Active {
		if err != nil {
			r.t.Fatalf("Check: %v", err)
		}
		return nil
	}
	ke, ok := errors.AsType[*KeyError](err)
	if !ok {
		r.t.Fatalf("Check returned %v, want a *KeyError", err)
	}
	if !errors.Is(err, ErrKeyUnavailable) || ke.State != s || ke.KeyID != "test-key" {
		r.t.Fatalf("Check returned %+v", ke)
	}
	return ke
}

func (r *rig) counts(pauses, resumes, erases int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pauses != pauses || r.resumes != resumes || r.erases != erases {
		r.t.Fatalf("%d pauses, %d resumes, %d erases; want %d, %d, %d", r.pauses, r.resumes, r.erases, pauses, resumes, erases)
	}
}

// last returns the record that was saved last.
func (r *rig) last() Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.saved[len(r.saved)-1]
}

// nSent returns how many probes were sent.
func (r *rig) nSent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sent)
}

// told returns the events so far.
func (r *rig) told() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}
