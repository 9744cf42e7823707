package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// What is under way when the key goes: every operation (inflightops_test.go) in
// every event. An operation is brought under way, the event happens, and then it
// has to end as documented, soon, with nothing lost and nothing half there.

// hungKey is a fakeKey whose KMS may stop answering: calls wait for their
// context's end.
type hungKey struct {
	*fakeKey
	hung  atomic.Bool
	calls atomic.Int64
}

func (k *hungKey) wait(ctx context.Context) error {
	k.calls.Add(1)
	if !k.hung.Load() {
		return nil
	}
	<-ctx.Done()
	return &crypt.ProviderError{Class: crypt.ClassUnreachable, Op: "unwrap", KeyID: k.id, Err: ctx.Err()}
}

func (k *hungKey) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	if err := k.wait(ctx); err != nil {
		return nil, crypt.Receipt{}, err
	}
	return k.fakeKey.Unwrap(ctx, w, c)
}

func (k *hungKey) Generate(ctx context.Context, c crypt.Context) (*crypt.Secret, crypt.Wrapped, crypt.Receipt, error) {
	if err := k.wait(ctx); err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	return k.fakeKey.Generate(ctx, c)
}

func (k *hungKey) Rewrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (crypt.Wrapped, crypt.Receipt, error) {
	if err := k.wait(ctx); err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, err
	}
	return k.fakeKey.Rewrap(ctx, w, c)
}

// jumpyClock is a bubble's clock that a test lets jump ahead, for whoever looks
// at it, in the middle of an operation.
type jumpyClock struct {
	clock.Clock
	left atomic.Int64 // readings before it jumps; below 0 it has
	by   atomic.Int64
}

func newJumpyClock() *jumpyClock { return &jumpyClock{Clock: clock.Process()} }

func (c *jumpyClock) Monotonic() time.Duration {
	now := c.Clock.Monotonic()
	if c.by.Load() != 0 && c.left.Add(-1) < 0 {
		now += time.Duration(c.by.Load())
	}
	return now
}

// Boot keeps beside Monotonic: nothing slept.
func (c *jumpyClock) Boot() time.Duration { return c.Clock.Monotonic() }

// jumpAfter lets n more readings pass before those that are ahead.
func (c *jumpyClock) jumpAfter(n int64, by time.Duration) {
	c.left.Store(n)
	c.by.Store(int64(by))
}

func (c *jumpyClock) back() { c.by.Store(0) }

// A flight is an operation under way.
type flight struct {
	// step goes on with it. A blocked operation is let go and waited for; once it
	// has ended, step returns how again.
	step func() error

	// land lets a blocked operation go on, without waiting for it. nil: it is not
	// blocked in a way that a wipe or Close would have to wait for.
	land func()

	// over ends what is left, such as a transaction. May be nil.
	over func()
}

// An inflightOp is one entry of the table.
type inflightOp struct {
	name  string
	opts  func(o *Options)
	begin func(x *inflightRig) flight

	keyless bool // it does not notice that the key is away
	resumes bool // it goes on when the key is back before the wipe, after it was refused
	ends    bool // it has ended, even if the key is back before anybody looked
	fresh   bool // each step is an operation of its own
}

// inflightStepsMax is how many steps may succeed after the key went: a stream
// hands out what it holds.
const inflightStepsMax = 4

// inflightRig is a database that something is under way in.
type inflightRig struct {
	t     *testing.T
	fs    *memfs.FS
	key   *hungKey
	clock *jumpyClock
	opts  *Options
	db    *DB

	noting   sync.Mutex      // of promised
	promised map[string]bool // keys of collection "op" whose commit returned nil
}

const (
	inflightRows  = 300
	inflightLarge = 600 << 10 // bytes of the record "large"
)

func inflightValue(i int) string { return strings.Repeat(fmt.Sprintf("value-%04d.", i), 20) }

// inflightBig returns the record "large", which does not shrink.
var inflightBig = sync.OnceValue(func() []byte {
	b := make([]byte, inflightLarge)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
})

func newInflightRig(t *testing.T, p Policy, op *inflightOp) *inflightRig {
	t.Helper()
	x := &inflightRig{
		t: t, fs: memFS(t), key: &hungKey{fakeKey: newFakeKey("k")}, clock: newJumpyClock(), promised: map[string]bool{},
	}
	x.opts = smallOptions(x.fs)
	x.opts.MemtableSize, x.opts.Policy, x.opts.clock = 64<<10, p, x.clock
	if op.opts != nil {
		op.opts(x.opts)
	}
	var err error
	if x.db, err = Open(t.Context(), memDir, x.key, x.opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	x.must(x.db.Update(func(tx *Tx) error {
		c, err := tx.CreateCollection("base")
		if err != nil {
			return err
		}
		for i := range inflightRows {
			if err := c.Put(fmt.Appendf(nil, "%04d", i), []byte(inflightValue(i))); err != nil {
				return err
			}
		}
		if _, err := tx.CreateCollection("op"); err != nil {
			return err
		}
		return c.Put([]byte("large"), inflightBig())
	}))
	x.must(x.db.Compact(t.Context())) // what is read comes from runs
	synctest.Wait()
	return x
}

func (x *inflightRig) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// collection returns one in a transaction that stays open.
func (x *inflightRig) collection(tx *Tx, name string) *Collection {
	x.t.Helper()
	c, err := tx.Collection(name)
	x.must(err)
	return c
}

func (x *inflightRig) begin(writable bool) *Tx {
	x.t.Helper()
	tx, err := x.db.Begin(writable)
	x.must(err)
	return tx
}

// block holds up the first call of the file system that match chooses, in
// whatever goroutine makes it.
func (x *inflightRig) block(match func(c memfs.Call) bool) (entered <-chan struct{}, release func()) {
	in, gate := make(chan struct{}), make(chan struct{})
	var taken atomic.Bool
	x.fs.OnCall(func(c memfs.Call) {
		if match(c) && taken.CompareAndSwap(false, true) {
			close(in)
			<-gate
		}
	})
	var released atomic.Bool
	return in, func() {
		if released.CompareAndSwap(false, true) {
			close(gate)
		}
	}
}

// blocked runs fn in a goroutine, and returns it as a flight once it waits.
func (x *inflightRig) blocked(land func(), fn func() error) flight {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	synctest.Wait()
	var ended bool
	var err error
	return flight{
		land: land,
		step: func() error {
			if land != nil {
				land()
			}
			if !ended {
				select {
				case err = <-done:
				case <-time.After(time.Minute):
					x.t.Fatal("it goes on waiting")
				}
				ended = true
			}
			return err
		},
	}
}

// write puts keys into collection "op" in one transaction, and notes what was
// promised.
func (x *inflightRig) write(keys ...string) error {
	err := x.db.Update(func(tx *Tx) error {
		c, err := tx.Collection("op")
		for _, k := range keys {
			if err == nil {
				err = c.Put([]byte(k), []byte("of "+k))
			}
		}
		return err
	})
	x.note(err, keys...)
	return err
}

// note keeps what an outcome promises. Committers of one group call it at once.
func (x *inflightRig) note(err error, keys ...string) {
	x.noting.Lock()
	defer x.noting.Unlock()
	if err == nil {
		for _, k := range keys {
			x.promised[k] = true
		}
	}
}

// await waits for a state of the key.
func (x *inflightRig) await(want State) {
	x.t.Helper()
	limit := time.Now().Add(x.db.policy.Deadline + x.db.policy.Bound() + time.Minute)
	for x.db.guard.Status().State != want { // not DB.Status, which waits for the log's I/O
		if time.Now().After(limit) {
			x.t.Fatalf("the key never is %v: %+v", want, x.db.guard.Status())
		}
		time.Sleep(time.Second)
	}
	time.Sleep(time.Second) // Pause, Resume or Erase come after the state
	synctest.Wait()
}

func (x *inflightRig) back() {
	x.t.Helper()
	x.key.hung.Store(false)
	x.key.set(crypt.ClassNone)
	x.await(Active)
}

// refused checks that an operation ends with the key's error within some steps.
func (x *inflightRig) refused(f flight, state State) {
	x.t.Helper()
	var err error
	for range inflightStepsMax {
		if err = f.step(); err != nil {
			break
		}
	}
	var ke *KeyError
	if !errors.Is(err, ErrKeyUnavailable) || !errors.As(err, &ke) {
		x.t.Fatalf("%v: it ends with %v", state, err)
	}
	if ke.KeyID != "k" || ke.State == Active && ke.Err == nil { // what asks the KMS itself may fail before the guard has seen anything
		x.t.Errorf("%v: the error says too little: %+v", state, ke)
	}
}

// check compares what is there with what was promised, and verifies the whole.
func (x *inflightRig) check(db *DB) {
	x.t.Helper()
	x.must(db.View(func(tx *Tx) error {
		cur := x.collection(tx, "op").Cursor(nil, nil)
		n := 0
		for cur.Next() {
			if k := string(cur.Key()); !x.promised[k] || string(cur.Value()) != "of "+k {
				x.t.Errorf("%q is there with %q, and nobody was told so", k, cur.Value())
			}
			n++
		}
		if n < len(x.promised) {
			x.t.Errorf("%d records are there, %d were promised: %v", n, len(x.promised), x.promised)
		}
		base := x.collection(tx, "base").Cursor(nil, []byte("large"))
		n = 0
		for ; base.Next(); n++ {
			if string(base.Value()) != inflightValue(n) {
				x.t.Errorf("record %d is %q", n, base.Value())
			}
		}
		if n != inflightRows {
			x.t.Errorf("%d records of %d", n, inflightRows)
		}
		return errors.Join(cur.Err(), base.Err())
	}))
	x.must(db.Verify(x.t.Context()))
}

// serves checks that the same database goes on, in every way.
func (x *inflightRig) serves() {
	x.t.Helper()
	x.fs.OnCall(nil)
	x.must(x.write("afterwards"))
	x.must(x.db.Compact(x.t.Context()))
	x.check(x.db)
}

// inflightEvents are what happens. Each ends with the operation over and the
// database open, unless it is erased or closed.
var inflightEvents = []struct {
	name   string
	policy Policy
	run    func(x *inflightRig, op *inflightOp, f flight)
}{
	{"denied", Policy{Deadline: 20 * time.Minute}, func(x *inflightRig, op *inflightOp, f flight) {
		x.key.set(crypt.ClassDenied)
		x.suspended(op, f)
	}},
	{"lease ran out", Policy{Deadline: 20 * time.Minute}, func(x *inflightRig, op *inflightOp, f flight) {
		x.key.hung.Store(true)
		x.suspended(op, f)
	}},
	{"back unnoticed", Policy{Deadline: 20 * time.Minute}, func(x *inflightRig, op *inflightOp, f flight) {
		x.key.set(crypt.ClassDenied)
		x.await(Suspended)
		x.back()
		if err := f.step(); (err != nil) != op.ends {
			x.t.Errorf("the key is back and nobody had looked: %v", err)
		}
	}},
	{"paused", Policy{Deadline: 3 * time.Minute}, func(x *inflightRig, op *inflightOp, f flight) {
		x.key.set(crypt.ClassDenied)
		x.wiped(op, f, Paused)
		x.back()
		if err := f.step(); op.fresh && err != nil || err == nil && !op.keyless && !op.fresh {
			x.t.Errorf("after a wipe of memory: %v", err)
		}
	}},
	{"erased", Policy{Deadline: 3 * time.Minute, OnDeadline: Erase}, func(x *inflightRig, op *inflightOp, f flight) {
		x.key.set(crypt.ClassDenied)
		x.wiped(op, f, Erased)
		x.key.set(crypt.ClassNone)
		time.Sleep(time.Hour)
		if err := x.write("risen"); !errors.Is(err, ErrKeyUnavailable) {
			x.t.Errorf("a write after the erasure: %v", err)
		}
	}},
	{"closed", Policy{}, func(x *inflightRig, op *inflightOp, f flight) {
		closed := make(chan error, 1)
		go func() { closed <- x.db.Close() }()
		if f.land != nil {
			f.land()
		}
		x.must(<-closed)
		if err := f.step(); !errors.Is(err, ErrClosed) && (err != nil || f.land == nil) { // what landed may have come before
			x.t.Errorf("it ends with %v", err)
		}
	}},
}

// suspended is the key away and back, with a look meanwhile.
func (x *inflightRig) suspended(op *inflightOp, f flight) {
	x.t.Helper()
	x.await(Suspended)
	if !op.keyless {
		x.refused(f, Suspended)
		x.refused(f, Suspended)
	} else if err := f.step(); err != nil {
		x.t.Errorf("it needs no key, and ends with %v", err)
	}
	x.back()
	if err := f.step(); op.resumes && err != nil {
		x.t.Errorf("it does not go on with the key: %v", err)
	}
}

// wiped is the key away until memory is wiped.
func (x *inflightRig) wiped(op *inflightOp, f flight, state State) {
	x.t.Helper()
	x.await(Suspended)
	if f.land != nil { // a wipe waits for what is under way in a file
		f.land()
		synctest.Wait()
	}
	x.await(state)
	if op.keyless {
		return
	}
	x.refused(f, state)
	if err := f.step(); err == nil {
		x.t.Error("it goes on after the wipe")
	}
}

func TestInFlight(t *testing.T) {
	timebubble.Parallel(t)
	if len(inflightOps) == 0 {
		t.Fatal("no operations")
	}
	for i := range inflightOps {
		op := &inflightOps[i]
		for _, e := range inflightEvents {
			t.Run(op.name+"/"+e.name, func(t *testing.T) {
				timebubble.Parallel(t)
				timebubble.Prepare(t)
				synctest.Test(t, func(t *testing.T) {
					x := newInflightRig(t, e.policy, op)
					f := op.begin(x)
					e.run(x, op, f)
					if f.over != nil {
						f.over()
					}
					x.end(e.name)
				})
			})
		}
	}
}

// end looks at what is left, and closes the database.
func (x *inflightRig) end(event string) {
	x.t.Helper()
	x.fs.OnCall(nil)
	if event != "erased" && event != "closed" {
		x.serves()
	}
	if event != "closed" {
		x.must(x.db.Close())
	}
	db, err := Open(x.t.Context(), memDir, x.key, x.opts)
	if event == "erased" {
		if !errors.Is(err, ErrErased) {
			x.t.Errorf("open after the erasure: %v", err)
		}
		return
	}
	x.must(err)
	x.check(db)
	x.must(db.Close())
}
