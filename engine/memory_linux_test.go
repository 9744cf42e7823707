package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/procmem"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// TestPauseLeavesNothingInMemory searches the whole memory of the process for
// the data key and for rows that went through it. The markers are made of random
// parts, so that they stand nowhere else.
func TestPauseLeavesNothingInMemory(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{}, Options{MemtableSize: 256 << 10, CacheSize: 4 << 20})
		half := fmt.Sprintf("%016x", rand.Uint64())
		needles := []procmem.Masked{procmem.Mask([]byte("mark-" + half))}
		fill(t, db, half)

		before, err := procmem.Count(needles...)
		if err != nil || before[0] < 10_000 {
			t.Fatalf("before the pause the marker is found %v times, %v: the search finds too little", before, err)
		}
		needles = append(needles, db.session.ringBytes(t)...)
		key.set(crypt.ClassDenied)
		key.forget() // the test's own KMS holds the DEK in this process
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if st := db.Status(); st.Key.State != Paused || st.LastWipe == nil {
			t.Fatalf("not paused: %+v", st.Key)
		}
		n, err := procmem.Count(needles...)
		if err != nil {
			t.Fatal(err)
		}
		// What the test itself put on the Go heap can be left in the ends of spans
		// and stacks that the runtime does not clear: see docs/security.md.
		if n[0] > markersLeft {
			t.Errorf("%d of %d row texts are left in memory", n[0], before[0])
		}
		for i, left := range n[1:] {
			if left != 0 {
				t.Errorf("data key %d is found %d times", i, left)
			}
		}
		t.Logf("found before %v, after %v", before, n)
	})
}

// markersLeft is how many of some 30,000 row texts may be left: on a busy machine
// up to 47 were. What the engine's own memory leaves, internal/memtest counts from
// outside, in a program that holds no row itself.
const markersLeft = 100

// fill writes and reads rows in many ways.
func fill(t *testing.T, db *DB, half string) {
	t.Helper()
	for batch := range 20 {
		err := db.Update(func(tx *Tx) error {
			c, err := tx.CreateCollectionIfNotExists("c")
			for i := 0; i < 500 && err == nil; i++ {
				err = c.Put(fmt.Appendf(nil, "mark-%s-%d-%d", half, batch, i), fmt.Appendf(nil, "value mark-%s of %d", half, i))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := db.View(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		cur := c.Cursor(nil, nil)
		for cur.Next() {
			if _, err := c.Get(cur.Key()); err != nil || len(cur.Value()) == 0 {
				return err
			}
		}
		return cur.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// forget drops what the fake KMS knows.
func (k *fakeKey) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.deks)
	k.deks = nil
}

// ringBytes returns the masked DEK of the database.
func (s *session) ringBytes(t *testing.T) []procmem.Masked {
	t.Helper()
	env := s.db.newestEnvelope()
	dek, _, err := s.db.key.Unwrap(t.Context(), env.Wrapped, env.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer dek.Wipe()
	var out []procmem.Masked
	err = dek.Use(func(b []byte) error {
		out = append(out, procmem.Mask(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
