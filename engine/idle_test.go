package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// TestIdleFlush checks that a memtable that is large enough goes to a run, and
// level 0 is emptied, once nobody writes, and not before.
func TestIdleFlush(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{}, Options{MemtableSize: 512 << 10})
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		value := string(make([]byte, 1000))
		fill := func(n int) {
			for i := range n {
				put(t, db, "c", fmt.Sprint(i), value)
			}
		}
		fill(10)
		pass(10 * idleAfter)
		if st := db.Status(); st.Runs != 0 || st.MemtableBytes == 0 {
			t.Errorf("a small memtable was flushed: %d runs, %d bytes in memory", st.Runs, st.MemtableBytes)
		}
		fill(100)
		for i := range 10 {
			pass(idleAfter * 2 / 3)
			put(t, db, "c", "k", fmt.Sprint(i))
		}
		if st := db.Status(); st.Runs != 0 {
			t.Errorf("flushed between writes: %d runs", st.Runs)
		}
		tx, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		pass(10 * idleAfter)
		if st := db.Status(); st.Runs != 0 {
			t.Errorf("flushed under a writable transaction: %d runs", st.Runs)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		pass(5 * idleAfter)
		st := db.Status()
		if st.MemtableBytes != 0 || st.Runs != 1 || st.RunsPerLevel[0] != 0 {
			t.Errorf("idle: %d bytes in memory, runs %v", st.MemtableBytes, st.RunsPerLevel)
		}
		mustGet(t, db, "c", "k", "9")

		fill(100)
		key.set(crypt.ClassDenied)
		if err := db.ProbeKey(t.Context()); err == nil {
			t.Fatal("the key is there")
		}
		pass(5 * idleAfter)
		if st := db.Status(); st.MemtableBytes == 0 {
			t.Error("flushed without the key")
		}
		key.set(crypt.ClassNone)
		if err := db.ProbeKey(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(5 * idleAfter)
		if st := db.Status(); st.MemtableBytes != 0 {
			t.Error("not flushed with the key back")
		}
		mustGet(t, db, "c", "99", value)
	})
}
