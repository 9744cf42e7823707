package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// TestRenew reads through one transaction that begins again and again, and
// through the collection that its first life gave.
func TestRenew(t *testing.T) {
	db := openTest(t, t.TempDir()+"/r.byok", newFakeKey("k"), nil)
	put(t, db, "c", "k", "1")
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tx.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Renew(); err == nil {
		t.Error("an open transaction was renewed")
	}
	for i, step := range []struct {
		change func() error
		same   bool
		want   string
	}{
		{func() error { return nil }, true, "1"},
		{func() error { put(t, db, "c", "k", "2"); return nil }, true, "2"},
		{func() error { put(t, db, "other", "k", "x"); return nil }, false, "2"},
		{func() error { return db.Update(func(tx *Tx) error { return tx.DropCollection("other") }) }, false, "2"},
		{func() error { return nil }, true, "2"},
	} {
		if err := tx.Rollback(); err != nil {
			t.Fatal(i, err)
		}
		if _, err := c.Get([]byte("k")); !errors.Is(err, ErrTxClosed) {
			t.Errorf("%d: reading after the end: %v", i, err)
		}
		if err := step.change(); err != nil {
			t.Fatal(i, err)
		}
		same, err := tx.Renew()
		if err != nil || same != step.same {
			t.Fatalf("%d: renewed: %v, %v; want %v", i, same, err, step.same)
		}
		if v, err := c.Get([]byte("k")); err != nil || string(v) != step.want {
			t.Errorf("%d: read %q, %v; want %q", i, v, err, step.want)
		}
	}
	// It is one transaction on the list, wherever it stands there.
	others := [2]*Tx{}
	for i := range others {
		if others[i], err = db.Begin(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := others[0].Rollback(); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if err := others[1].Rollback(); err != nil {
		t.Error(err)
	}
	if db.txs != nil {
		t.Error("ended transactions are on the list")
	}
	w, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Renew(); err == nil {
		t.Error("a writable transaction was renewed")
	}
}

// TestRenewWithoutKey renews while the key is away, after a pause, and after
// the key is back.
func TestRenewWithoutKey(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{Deadline: time.Minute}, Options{})
		put(t, db, "c", "k", "v")
		tx, err := db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		killed, err := db.Begin(false)
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		key.set(crypt.ClassDenied)
		for getErr(db) == nil {
			time.Sleep(time.Second)
		}
		for _, wait := range []time.Duration{0, 10 * time.Minute} { // suspended; paused
			time.Sleep(wait)
			if _, err := tx.Renew(); !errors.Is(err, ErrKeyUnavailable) {
				t.Errorf("after %v: renewed without the key: %v", wait, err)
			}
			if err := tx.Check(); !errors.Is(err, ErrTxClosed) {
				t.Errorf("after %v: it did not stay ended: %v", wait, err)
			}
		}
		if err := killed.Check(); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("open at the pause: %v", err)
		}
		key.set(crypt.ClassNone)
		for getErr(db) != nil {
			time.Sleep(time.Second)
		}
		for i, tx := range []*Tx{tx, killed} {
			if same, err := tx.Renew(); err != nil || same {
				t.Fatalf("%d: renewed after the pause: %v, %v", i, same, err)
			}
			c, err := tx.Collection("c")
			if err != nil {
				t.Fatal(err)
			}
			if v, err := c.Get([]byte("k")); err != nil || string(v) != "v" {
				t.Errorf("%d: read %q, %v", i, v, err)
			}
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
		}
	})
}
