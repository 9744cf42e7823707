package engine

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// bubble opens a database whose clocks are the synctest bubble's.
func bubble(t *testing.T, key crypt.Provider, p Policy, o Options) *DB {
	t.Helper()
	o.Policy, o.clock = p, clock.Process()
	return openTest(t, filepath.Join(t.TempDir(), "k.byok"), key, &o)
}

func getErr(db *DB) error {
	return db.View(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		_, err = c.Get([]byte("k"))
		return err
	})
}

func TestDeniedSuspendsAndComesBack(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{}, Options{})
		put(t, db, "c", "k", "v")
		tx, err := db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		c, err := tx.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		key.set(crypt.ClassDenied)
		off := time.Now()
		for getErr(db) == nil {
			time.Sleep(time.Second)
		}
		if took := time.Since(off); took > db.policy.Bound() {
			t.Errorf("refused after %v, the bound is %v", took, db.policy.Bound())
		}
		var ke *KeyError
		if err := getErr(db); !errors.Is(err, ErrKeyUnavailable) || !errors.As(err, &ke) || ke.Class != crypt.ClassDenied {
			t.Fatalf("read while suspended: %v", err)
		}
		if ke.State != Suspended || ke.Since.IsZero() || !ke.WipeAt.After(time.Now()) || !strings.Contains(ke.Error(), "switched off by the test") {
			t.Errorf("the error says too little: %+v", ke)
		}
		if err := db.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("write while suspended: %v", err)
		}
		if _, err := c.Get([]byte("k")); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("read in an open transaction: %v", err)
		}
		key.set(crypt.ClassNone)
		on := time.Now()
		for getErr(db) != nil {
			time.Sleep(time.Second)
		}
		if took := time.Since(on); took > 10*time.Second {
			t.Errorf("service came back after %v", took)
		}
		if v, err := c.Get([]byte("k")); err != nil || string(v) != "v" { // it was not wiped: the transaction goes on
			t.Errorf("the transaction reads %q, %v", v, err)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	})
}

// TestProbeKeyReturnsKeyErrors probes a key that is away, in each state.
func TestProbeKeyReturnsKeyErrors(t *testing.T) {
	for _, c := range []struct {
		class  crypt.Class
		policy Policy
		serves bool // on, through the probe's failure
		state  State
	}{
		{crypt.ClassDenied, Policy{}, false, Suspended},
		{crypt.ClassUnreachable, Policy{}, false, Suspended},
		{crypt.ClassUnreachable, Policy{UnreachableGrace: time.Hour}, true, Active},
	} {
		timebubble.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			key := newFakeKey("k")
			db := bubble(t, key, c.policy, Options{})
			put(t, db, "c", "k", "v")
			key.set(c.class)
			var ke *KeyError
			err := db.ProbeKey(t.Context())
			if !errors.Is(err, ErrKeyUnavailable) || !errors.As(err, &ke) || ke.Class != c.class || ke.State != c.state || ke.Since.IsZero() {
				t.Errorf("%v, grace %v: the probe returns %v", c.class, c.policy.UnreachableGrace, err)
			}
			if err := getErr(db); (err == nil) != c.serves {
				t.Errorf("%v, grace %v: a read returns %v", c.class, c.policy.UnreachableGrace, err)
			}
			key.set(crypt.ClassNone)
			if err := db.ProbeKey(t.Context()); err != nil {
				t.Errorf("probe of a key that is back: %v", err)
			}
		})
	}
}

func TestDeadlineWipesAndComesBack(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		var events []Event
		wipes := 0
		db := bubble(t, key, Policy{}, Options{MemtableSize: 64 << 10, OnEvent: func(e Event) { events = append(events, e) }})
		db.OnWipe(func() { wipes++ })
		for i := range 50 {
			put(t, db, "c", "k", strings.Repeat("v", 4000+i))
		}
		tx, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		c, err := tx.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		cur := c.Cursor(nil, nil)
		if !cur.Next() {
			t.Fatal(cur.Err())
		}
		if err := c.Put([]byte("k"), []byte("never")); err != nil {
			t.Fatal(err)
		}
		key.set(crypt.ClassUnreachable)
		time.Sleep(3 * time.Hour)
		if st := db.Status(); st.Key.State != Suspended || st.LastWipe != nil {
			t.Fatalf("after three hours: %+v", st.Key)
		}
		time.Sleep(time.Hour + 2*time.Minute)
		st := db.Status()
		if st.Key.State != Paused || st.LastWipe == nil || st.LastWipe.Transactions != 1 || st.LastWipe.Runs == 0 || wipes != 1 {
			t.Fatalf("after the deadline: %+v, wiped %+v, %d wipes", st.Key, st.LastWipe, wipes)
		}
		if st.CacheBytes != 0 && db.session != nil {
			t.Errorf("pages stay in the cache: %+v", st)
		}
		if cur.Next() || !errors.Is(cur.Err(), ErrKeyUnavailable) && !errors.Is(cur.Err(), ErrTxClosed) {
			t.Errorf("the cursor goes on: %v", cur.Err())
		}
		if err := tx.Commit(); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("commit of a wiped transaction: %v", err)
		}
		key.set(crypt.ClassNone)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		mustGet(t, db, "c", "k", strings.Repeat("v", 4049))
		put(t, db, "c", "k", "again")
		if _, err := c.Get([]byte("k")); err == nil {
			t.Error("a transaction from before the wipe reads again")
		}
		journal, err := db.Journal()
		if err != nil || len(journal) != len(events) || journal[0].To != Suspended || journal[1].RequestID != "req-1" {
			t.Errorf("journal: %+v, %v; events %+v", journal, err, events)
		}
		var states []State
		for _, e := range events {
			if len(states) == 0 || states[len(states)-1] != e.To {
				states = append(states, e.To)
			}
		}
		if len(states) != 3 || states[0] != Suspended || states[1] != Paused || states[2] != Active {
			t.Errorf("events: %v", states)
		}
	})
}

func TestOpenWithoutTheKey(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "k.byok")
	db := openTest(t, dir, key, nil)
	put(t, db, "c", "k", "v")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	key.set(crypt.ClassDenied)
	var first time.Time
	for range 2 {
		_, err := Open(t.Context(), dir, key, nil)
		var ke *KeyError
		if !errors.As(err, &ke) || !errors.Is(err, ErrKeyUnavailable) || ke.Class != crypt.ClassDenied {
			t.Fatalf("open: %v", err)
		}
		info, err := Stat(dir)
		if err != nil || info.State != Suspended || info.Class != crypt.ClassDenied || info.KeyURI != "fake:k" {
			t.Fatalf("Stat: %+v, %v", info, err)
		}
		if first.IsZero() {
			first = info.UnavailableSince
		}
		if !info.UnavailableSince.Equal(first) {
			t.Errorf("unavailable since %v, then since %v", first, info.UnavailableSince)
		}
	}
	key.set(crypt.ClassNone)
	db = openTest(t, dir, key, nil)
	mustGet(t, db, "c", "k", "v")
}

func TestEraseAfterDenials(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "k.byok")
		db, err := Open(t.Context(), dir, key, &Options{Policy: Policy{OnDeadline: Erase}, clock: clock.Process()})
		if err != nil {
			t.Fatal(err)
		}
		put(t, db, "c", "k", "v")
		key.set(crypt.ClassUnreachable)
		time.Sleep(100 * time.Hour) // an outage never erases
		key.set(crypt.ClassNone)
		time.Sleep(time.Minute)
		mustGet(t, db, "c", "k", "v")
		key.set(crypt.ClassDenied)
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if st := db.Status(); st.Key.State != Erased {
			t.Fatalf("state %v after five hours of denials", st.Key.State)
		}
		if err := getErr(db); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("read after the erasure: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		key.set(crypt.ClassNone)
		if _, err := Open(t.Context(), dir, key, nil); !errors.Is(err, ErrErased) {
			t.Errorf("open after the erasure: %v", err)
		}
		if info, err := Stat(dir); err != nil || info.State != Erased || info.Epochs != 0 || info.Erased.IsZero() {
			t.Errorf("Stat: %+v, %v", info, err)
		}
	})
}

// replicaKey is a key whose replica answers while the KEK itself is out of reach.
type replicaKey struct{ *fakeKey }

func (k replicaKey) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	dek, r, err := k.fakeKey.Unwrap(ctx, w, c)
	if crypt.ClassOf(err) != crypt.ClassUnreachable || crypt.IsPrimaryOnly(ctx) {
		return dek, r, err
	}
	k.set(crypt.ClassNone)
	defer k.set(crypt.ClassUnreachable)
	return k.fakeKey.Unwrap(ctx, w, c)
}

// TestReplicaNeverOverrulesAcrossRestarts: a denial that an earlier process saw
// is taken back by the KEK's own answer alone.
func TestReplicaNeverOverrulesAcrossRestarts(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "r.byok"), replicaKey{newFakeKey("k")}
	open := func() error {
		db, err := Open(t.Context(), dir, key, nil)
		if err != nil {
			return err
		}
		return db.Close()
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	key.set(crypt.ClassUnreachable)
	if err := open(); err != nil {
		t.Errorf("a replica answers: %v", err)
	}
	key.set(crypt.ClassDenied)
	if err := open(); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("denied: %v", err)
	}
	key.set(crypt.ClassUnreachable)
	for range 2 {
		if err := open(); crypt.ClassOf(err) != crypt.ClassUnreachable {
			t.Errorf("denied before, and out of reach now: %v", err)
		}
	}
	key.set(crypt.ClassNone)
	if err := open(); err != nil {
		t.Error(err)
	}
	key.set(crypt.ClassUnreachable)
	if err := open(); err != nil {
		t.Errorf("a replica answers again: %v", err)
	}
}
