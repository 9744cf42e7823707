package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

var boundTrials = flag.Int("bound.n", 30, "how often TestBound disables a key; a fifth of it for each other way")

// kmsRig is a KMS for development that a test can take off the network, and that
// knows when it last said yes.
type kmsRig struct {
	t        *testing.T
	server   *devkms.Server
	arn      string
	addr     string
	http     *http.Server
	now      func() time.Duration
	lastGood atomic.Int64 // now at which the last Decrypt came that was answered
}

// newKMSRig serves until the test ends. now is the clock to compare with, the
// process's own if nil.
func newKMSRig(t *testing.T, now func() time.Duration) *kmsRig {
	t.Helper()
	if now == nil {
		began := time.Now()
		now = func() time.Duration { return time.Since(began) }
	}
	k := &kmsRig{t: t, addr: "127.0.0.1:0", now: now}
	var err error
	if k.server, err = devkms.New(""); err != nil {
		t.Fatal(err)
	}
	if k.arn, err = k.server.CreateKey(); err != nil {
		t.Fatal(err)
	}
	k.start()
	t.Cleanup(k.stop)
	return k
}

// answered notes the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (k *kmsRig) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := k.now()
	a := &answered{ResponseWriter: w, status: http.StatusOK}
	k.server.ServeHTTP(a, r)
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".Decrypt") && a.status == http.StatusOK && r.Context().Err() == nil {
		for old := k.lastGood.Load(); int64(at) > old && !k.lastGood.CompareAndSwap(old, int64(at)); {
			old = k.lastGood.Load()
		}
	}
}

// start serves, again on the same port after stop.
func (k *kmsRig) start() {
	k.t.Helper()
	var l net.Listener
	err := poll(context.Background(), 30*time.Second, func() bool {
		var err error
		l, err = devkms.Listen(k.addr)
		return err == nil
	})
	if err != nil {
		k.t.Fatal(err)
	}
	k.addr = l.Addr().String()
	k.http = &http.Server{Handler: k, ReadHeaderTimeout: 5 * time.Second}
	go func(s *http.Server) { _ = s.Serve(l) }(k.http) // until stop
}

// stop lets connections be refused, and breaks those that are there.
func (k *kmsRig) stop() { _ = k.http.Close() }

// init makes a database under the rig's key. On a busy machine a short time-out
// may pass before the KMS in this process answers.
func (k *kmsRig) init(dir string, policy ...string) {
	k.t.Helper()
	var err error
	if perr := poll(k.t.Context(), time.Minute, func() bool {
		err = start(k.t.Context(), append([]string{"init", dir, "--key", k.uri()}, policy...)...).wait(k.t)
		return !errors.Is(err, engine.ErrKeyUnavailable)
	}); perr != nil || err != nil {
		k.t.Fatal(perr, err)
	}
}

func (k *kmsRig) endpoint() string { return "http://" + k.addr }
func (k *kmsRig) uri() string      { return devKeyURI(k.endpoint(), k.arn) }

const denyDecrypt = `{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": ["kms:Decrypt"], "Resource": "*"}]}`

const allowAll = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": ["kms:*"], "Resource": "*"}]}`

// A keyLoss is a way to lose the key, and the way back.
type keyLoss struct {
	name        string
	lose, found func(ctx context.Context, k *kmsRig) error
}

var keyLosses = []keyLoss{
	{
		"disabled", func(ctx context.Context, k *kmsRig) error { return admin.Disable(ctx, k.endpoint(), k.arn) },
		func(ctx context.Context, k *kmsRig) error { return admin.Enable(ctx, k.endpoint(), k.arn) },
	},
	{
		"decrypt denied by policy", func(ctx context.Context, k *kmsRig) error {
			return admin.SetPolicy(ctx, k.endpoint(), k.arn, denyDecrypt)
		},
		func(ctx context.Context, k *kmsRig) error {
			return admin.SetPolicy(ctx, k.endpoint(), k.arn, allowAll)
		},
	},
	{
		"deletion scheduled", func(ctx context.Context, k *kmsRig) error { return admin.ScheduleDeletion(ctx, k.endpoint(), k.arn) },
		func(ctx context.Context, k *kmsRig) error {
			return errors.Join(admin.CancelDeletion(ctx, k.endpoint(), k.arn), admin.Enable(ctx, k.endpoint(), k.arn))
		},
	},
	{"KMS hangs", func(_ context.Context, k *kmsRig) error {
		k.server.SetFault(func(string) devkms.Fault { return devkms.FaultHang })
		return nil
	}, func(_ context.Context, k *kmsRig) error { k.server.SetFault(nil); return nil }},
	{
		"connection refused", func(_ context.Context, k *kmsRig) error { k.stop(); return nil },
		func(_ context.Context, k *kmsRig) error { k.start(); return nil },
	},
}

// TestBound takes the key away at random moments of the probe's cycle, and looks
// for the last operation that succeeded: it must not have begun later after the
// KMS's refusal than status says. That upper bound is the promise, and all that
// is asserted of times.
func TestBound(t *testing.T) { //nolint:tparallel // tests after it start and stop processes, which the load would slow
	for i, loss := range keyLosses {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			n := max(2, *boundTrials/5)
			if i == 0 {
				n = *boundTrials
			}
			if testing.Short() {
				n = 2
			}
			k := newKMSRig(t, nil)
			dir := filepath.Join(t.TempDir(), "a.byok")
			k.init(dir, "--probe-interval", "150ms", "--probe-timeout", "350ms", "--deadline", "1h")
			b := newBoundRig(t, k, dir)
			var refused, back []time.Duration
			for range n {
				r, c := b.trial(loss)
				refused, back = append(refused, r), append(back, c)
			}
			slices.Sort(refused)
			slices.Sort(back)
			share := func(d time.Duration) int { return int(100 * d / b.bound) }
			t.Logf("%d times: last success after the refusal: median %v (%d %% of the bound of %v), at most %v (%d %%); recovery: median %v, at most %v",
				n, refused[n/2], share(refused[n/2]), b.bound, refused[n-1], share(refused[n-1]), back[n/2], back[n-1])
		})
	}
}

// boundRig is a database at which two readers and a writer work all the time.
type boundRig struct {
	t     *testing.T
	k     *kmsRig
	db    *engine.DB
	bound time.Duration

	lastBegun atomic.Int64 // the rig's now at which the last successful operation began
	refusals  atomic.Int64
}

func newBoundRig(t *testing.T, k *kmsRig, dir string) *boundRig {
	t.Helper()
	key, err := keyuri.Open(t.Context(), k.uri())
	if err != nil {
		t.Fatal(err)
	}
	b := &boundRig{t: t, k: k}
	if perr := poll(t.Context(), time.Minute, func() bool {
		b.db, err = engine.Open(t.Context(), dir, key, &engine.Options{MustExist: true})
		return !errors.Is(err, engine.ErrKeyUnavailable)
	}); perr != nil || err != nil {
		t.Fatal(perr, err)
	}
	b.bound = b.db.Status().Key.Bound
	b.samePrinted(dir)
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	for _, work := range []func() error{b.read, b.read, b.write} {
		workers.Go(func() {
			for ctx.Err() == nil {
				b.work(work)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		workers.Wait()
		if err := errors.Join(b.db.Close(), key.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// samePrinted checks that status prints the bound that is measured.
func (b *boundRig) samePrinted(dir string) {
	b.t.Helper()
	c := start(b.t.Context(), "status", dir, "--json")
	if err := c.wait(b.t); !errors.Is(err, engine.ErrInUse) {
		b.t.Fatalf("status beside the process that holds the database: %v", err)
	}
	var r report
	if err := json.Unmarshal([]byte(c.out.String()), &r); err != nil {
		b.t.Fatal(err)
	}
	if r.Policy.Bound != b.bound.String() || b.bound != 500*time.Millisecond {
		b.t.Fatalf("status prints a bound of %s, it is %v", r.Policy.Bound, b.bound)
	}
	c = start(b.t.Context(), "status", dir)
	_ = c.wait(b.t)
	if !strings.Contains(c.out.String(), fmt.Sprintf("bound       %v from the key's refusal", b.bound)) {
		b.t.Fatalf("status prints another bound than %v:\n%s", b.bound, c.out)
	}
}

// work does one operation, and notes how it went.
func (b *boundRig) work(op func() error) {
	at := int64(b.k.now())
	err := op()
	switch {
	case err == nil:
		for old := b.lastBegun.Load(); at > old && !b.lastBegun.CompareAndSwap(old, at); {
			old = b.lastBegun.Load()
		}
	case errors.Is(err, engine.ErrKeyUnavailable):
		b.refusals.Add(1)
		time.Sleep(time.Millisecond) // leaves the processor to the probes
	default:
		b.t.Errorf("an operation ends with %v", err)
	}
}

func (b *boundRig) read() error {
	return b.db.View(func(tx *engine.Tx) error {
		_, err := tx.Collections()
		return err
	})
}

func (b *boundRig) write() error {
	return b.db.Update(func(tx *engine.Tx) error {
		c, err := tx.CreateCollectionIfNotExists("c")
		if err != nil {
			return err
		}
		return c.Put([]byte("k"), []byte("v"))
	})
}

// trial loses the key at a random moment and finds it again. It returns the time
// from the refusal to the last success, and from the key's return to the next.
func (b *boundRig) trial(loss keyLoss) (refused, back time.Duration) {
	b.t.Helper()
	ctx := b.t.Context()
	b.until("it serves", func() bool { return b.db.Check() == nil })
	phase := time.NewTimer(rand.N(b.db.Status().Key.Policy.ProbeInterval))
	<-phase.C
	if err := loss.lose(ctx, b.k); err != nil {
		b.t.Fatal(err)
	}
	lost := b.k.now() // from here on the KMS has refused
	b.until("it is suspended", func() bool { return b.db.Status().Key.State == engine.Suspended })
	seen := b.refusals.Load()
	b.until("all are refused", func() bool { return b.refusals.Load() > seen+10 })
	refused = max(0, time.Duration(b.lastBegun.Load())-lost)
	if refused > b.bound {
		b.t.Errorf("an operation succeeded that began %v after the KMS refused; the bound is %v", refused, b.bound)
	}
	if good := time.Duration(b.k.lastGood.Load()); time.Duration(b.lastBegun.Load()) > good+b.bound {
		b.t.Errorf("an operation succeeded %v after the last good probe; the bound is %v", time.Duration(b.lastBegun.Load())-good, b.bound)
	}
	if err := loss.found(ctx, b.k); err != nil {
		b.t.Fatal(err)
	}
	found := b.k.now()
	b.until("it serves again", func() bool { return time.Duration(b.lastBegun.Load()) > found })
	return refused, time.Duration(b.lastBegun.Load()) - found
}

// until waits for what must come in a minute at most.
func (b *boundRig) until(what string, holds func() bool) {
	b.t.Helper()
	if err := poll(b.t.Context(), time.Minute, holds); err != nil {
		b.t.Fatalf("%s: never; %+v", what, b.db.Status().Key)
	}
}
