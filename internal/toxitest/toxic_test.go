package toxitest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

// toxic is a way in which the network fails.
type toxic struct {
	name       string
	kind       string // toxiproxy's, or down
	stream     string
	attributes map[string]int
	class      crypt.Class // none: it does no harm
	code       string      // the provider's; of "Timeout", the guard may say the same
	detail     string
}

const (
	down = "down"
	both = "both" // streams
)

const (
	unreachable = crypt.ClassUnreachable
	harmless    = crypt.ClassNone
)

// cutAfter is behind the headers of every answer, and inside its body.
const cutAfter = 350 // bytes

var toxics = []toxic{
	{"latency", "latency", "downstream", map[string]int{"latency": 60_000}, unreachable, "Timeout", "in time"},
	{"hang", "timeout", "upstream", map[string]int{"timeout": 0}, unreachable, "Timeout", "in time"},
	{"answer lost", "timeout", "downstream", map[string]int{"timeout": 0}, unreachable, "Network", "broke off"},
	{"reset", "reset_peer", "downstream", map[string]int{"timeout": 0}, unreachable, "Network", "broke off"},
	{"reset of requests", "reset_peer", "upstream", map[string]int{"timeout": 0}, unreachable, "Network", "broke off"},
	{"cut in the body", "limit_data", "downstream", map[string]int{"bytes": cutAfter}, unreachable, "Network", "the answer broke off"},
	{"slow close", "slow_close", "downstream", map[string]int{"delay": 60_000}, harmless, "", ""},
	{"narrow", "bandwidth", both, map[string]int{"rate": 1}, unreachable, "Timeout", "in time"},
	{"slow", "latency", "downstream", map[string]int{"latency": 30}, harmless, "", ""},
	{down, down, "", nil, unreachable, "Network", "no connection"},
}

// operations ask the KMS for an open database. A further one is a line.
var operations = []struct {
	name string
	do   func(context.Context, *engine.DB) error
}{
	{"rewrap", func(ctx context.Context, db *engine.DB) error { return db.Rewrap(ctx) }},
	{"rotate", func(ctx context.Context, db *engine.DB) error { return db.RotateKey(ctx) }},
}

// each runs a test for every toxic, at the same time: they wait, mostly.
func each(t *testing.T, fn func(t *testing.T, x toxic)) {
	t.Helper()
	for _, x := range toxics {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			fn(t, x)
		})
	}
}

// A database that cannot be created leaves nothing behind that is one.
func TestCreate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, x toxic) {
		r := newRig(t, x)
		r.poison(x)
		at := time.Now()
		err := r.open()
		took := time.Since(at)
		if x.class != harmless {
			r.wantRefusal(err, x)
			r.within(took)
			if _, err := os.Stat(filepath.Join(r.dir, "catalog.bolt")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a catalog was made: %v", err)
			}
			r.cure()
			r.mustOpen()
		} else if err != nil {
			t.Fatal(err)
		}
		r.fill()
		r.sound()
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, x toxic) {
		r := newRig(t, x)
		r.mustOpen()
		r.fill()
		if err := r.db.Close(); err != nil {
			t.Fatal(err)
		}
		r.poison(x)
		at := time.Now()
		err := r.open()
		took := time.Since(at)
		if x.class != harmless {
			r.wantRefusal(err, x)
			r.within(took)
			r.cure()
			r.mustOpen()
		} else if err != nil {
			t.Fatal(err)
		}
		r.sound()
	})
}

// within fails when a call took longer than the database may serve on, and than
// a busy machine explains; what it waits for lasts a minute.
func (r *rig) within(took time.Duration) {
	r.t.Helper()
	const busy = 3 * time.Second
	if took > policy.Bound()+busy {
		r.t.Errorf("refused after %v, the bound is %v", took, policy.Bound())
	}
	r.t.Logf("refused after %v", took.Round(time.Millisecond))
}

// While the database is open, no read that begins later than the bound after the
// network failed succeeds; when the network is back, so is the database.
func TestProbe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, x toxic) {
		r := newRig(t, x)
		r.mustOpen()
		r.fill()
		r.poison(x)
		at := time.Now()
		if x.class == harmless {
			probes := r.db.Status().Key.Counters.Probes
			r.await("probes", func() error {
				if err := r.read(); err != nil {
					t.Fatal(err)
				}
				if r.db.Status().Key.Counters.Probes < probes+3 {
					return errors.New("fewer than three")
				}
				return nil
			})
			r.sound()
			return
		}
		var refusal error
		r.await("refusal", func() error {
			began := time.Since(at)
			refusal = r.read()
			if refusal == nil && began > policy.Bound() {
				t.Errorf("a read that began %v after the failure succeeded, the bound is %v", began, policy.Bound())
			}
			return serves(refusal)
		})
		if ke, ok := errors.AsType[*engine.KeyError](refusal); !ok || ke.Class != x.class || ke.KeyID != r.arn {
			t.Errorf("refused with %v, want class %s", refusal, x.class)
		}
		// Where the lease ended first, the next probe says why.
		r.await("what the provider said", func() error { return r.refusal(r.read(), x) })
		if s := r.db.Status().Key; s.State != guard.Suspended || s.Class != x.class {
			t.Errorf("state %s, class %s", s.State, s.Class)
		}
		r.cure()
		r.await("recovery", r.read)
		r.sound()
	})
}

// serves is an error while a read has none.
func serves(read error) error {
	if read == nil {
		return errors.New("it still serves")
	}
	return nil
}

// What asks the KMS on the program's behalf fails in the same way, changes
// nothing, and works afterwards.
func TestOperations(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, x toxic) {
				r := newRig(t, x)
				r.mustOpen()
				r.fill()
				call := func() error {
					ctx, cancel := context.WithTimeout(t.Context(), r.policy.ProbeTimeout)
					defer cancel()
					return op.do(ctx, r.db)
				}
				r.poison(x)
				at := time.Now()
				err := call()
				took := time.Since(at)
				if x.class == harmless {
					if err != nil {
						t.Error(err)
					}
				} else {
					r.wantRefusal(err, x)
					r.within(took)
				}
				r.cure()
				r.await("recovery", r.read)
				r.await(op.name, call)
				r.sound()
			})
		})
	}
}

// While the primary's network hangs, a replica's answers keep the database open;
// its refusal is obeyed.
func TestReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t, toxic{class: unreachable})
	replica, err := r.kms.ReplicateKey(r.arn, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	r.policy.ProbeInterval, r.policy.ProbeTimeout = time.Second, 4*time.Second // of which the primary has a third alone
	r.use("awskms:" + r.arn + "?endpoint=http://" + r.proxy.Listen + "&replica=" + replica + "," + r.url)
	r.mustOpen()
	r.fill()
	r.poison(toxic{kind: "timeout", stream: "upstream", attributes: map[string]int{"timeout": 0}}) // it hangs
	before := r.db.Status().Key.Counters.Probes
	r.await("probes by the replica", func() error {
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
		if r.db.Status().Key.Counters.Probes < before+3 {
			return errors.New("fewer than three")
		}
		return nil
	})
	r.sound() // opens with the replica too
	r.mustOpen()
	if err := r.disable(replica); err != nil {
		t.Fatal(err)
	}
	r.await("refusal", func() error { return serves(r.read()) })
	r.await("its reason", func() error {
		if s := r.db.Status().Key; s.Class != crypt.ClassDenied || !strings.Contains(s.Message, "this replica of it refuses") {
			return errors.New(s.Class.String() + ": " + s.Message)
		}
		return nil
	})
	r.cure() // the primary was never disabled
	r.await("recovery", r.read)
	r.sound()
}

// A KMS that is slow to show a change answers at random for a while, oddly at
// times. The bound counts from the end of that; the key's return heals it all.
func TestEventualConsistency(t *testing.T) {
	t.Parallel()
	r := newRig(t, toxic{class: unreachable})
	r.mustOpen()
	r.fill()
	const settles = time.Second
	if err := r.kms.SetConsistency(devkms.Consistency{Delay: settles, Seed: 1, Odd: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.disable(r.arn); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	nLate := 0
	r.await("reads after the bound", func() error {
		began := time.Since(at)
		err := r.read()
		if began <= settles+policy.Bound() {
			return errors.New("before the bound")
		}
		if err == nil {
			t.Errorf("a read that began %v after the key was disabled succeeded", began)
		}
		if nLate++; nLate < 20 {
			return errors.New("fewer than twenty")
		}
		return nil
	})
	r.wantRefusal(r.read(), toxic{class: crypt.ClassDenied, code: "DisabledException", detail: "disabled"})
	if err := admin.Enable(t.Context(), r.url, r.arn); err != nil {
		t.Fatal(err)
	}
	r.await("recovery", r.read)
	good := r.db.Status().Key.Counters
	r.await("a settled key", func() error {
		if err := r.read(); err != nil {
			good = r.db.Status().Key.Counters
			return err
		}
		if now := r.db.Status().Key.Counters; now.Failures > good.Failures || now.Probes < good.Probes+5 {
			if now.Failures > good.Failures {
				good = now
			}
			return errors.New("fewer than five good probes")
		}
		return nil
	})
	r.sound()
}
