package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// TestSyncInterval checks that a commit is visible at once, and durable when
// SyncPeriod is over.
func TestSyncInterval(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := bubble(t, newFakeKey("k"), Policy{}, Options{Sync: SyncInterval})
		for i := range 3 {
			before := db.Status().Durable
			put(t, db, "c", "k", fmt.Sprint(i))
			mustGet(t, db, "c", "k", fmt.Sprint(i))
			if got := db.Status().Durable; got != before {
				t.Errorf("durable at once: commit %d, before %d", got, before)
			}
			time.Sleep(2 * SyncPeriod)
			synctest.Wait()
			if got := db.Status().Durable; got != before+1 {
				t.Errorf("the last durable commit is %d after two periods, want %d", got, before+1)
			}
			if frame, _ := db.session.log.Position(); frame != db.session.log.Durable().Frame {
				t.Errorf("the log has %d frames, of which %d are durable", frame, db.session.log.Durable().Frame)
			}
		}
	})
}

// TestWriterDoesNotWaitForTheKey fills the memtables while the flush cannot go
// on because the key is away: the writer that waits for room gets the key's
// error, and what it wrote is not there when the key is back.
func TestWriterDoesNotWaitForTheKey(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{}, Options{MemtableSize: 16 << 10})
		put(t, db, "c", "k", "v")
		s := db.session
		s.stop() // nobody flushes
		value := make([]byte, 8<<10)
		write := func(i int) error {
			return db.Update(func(tx *Tx) error {
				c, err := tx.Collection("c")
				if err != nil {
					return err
				}
				return c.Put(fmt.Append(nil, i), value)
			})
		}
		s.ctx, s.cancel = context.WithCancel(context.Background())
		n := 0
		for ; len(s.frozen) < frozenMax || s.mem.Bytes() < db.opts.MemtableSize; n++ {
			if err := write(n); err != nil {
				t.Fatal(err)
			}
		}
		result := make(chan error, 1)
		go func() { result <- write(n) }()
		synctest.Wait() // it waits for room
		key.set(crypt.ClassDenied)
		if err := db.ProbeKey(t.Context()); err == nil {
			t.Fatal("the key is there")
		}
		select {
		case err := <-result:
			if !errors.Is(err, ErrKeyUnavailable) {
				t.Errorf("the waiting writer got %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the writer waits although the key is away")
		}
		key.set(crypt.ClassNone)
		if err := db.ProbeKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.View(func(tx *Tx) error {
			c, err := tx.Collection("c")
			if err != nil {
				return err
			}
			_, err = c.Get(fmt.Append(nil, n))
			return err
		}); !errors.Is(err, ErrNotFound) {
			t.Errorf("a refused write: %v", err)
		}
		s.start()
	})
}
