package engine

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
)

// visitRandom visits random keys, some twice and some that are not there, beside
// what they should give, and stops somewhere.
func visitRandom(t *testing.T, rnd *rand.Rand, c *Collection, want map[string][]byte) (n int) {
	t.Helper()
	keys := make([][]byte, rnd.IntN(100))
	for i := range keys {
		keys[i] = []byte(cursorKey(rnd))
	}
	stop := rnd.IntN(120)
	err := c.Visit(keys, func(i int, value []byte) bool {
		if i != n {
			t.Fatalf("key %d comes after %d", i, n-1)
		}
		n++
		w, there := want[string(keys[i])]
		if there != (value != nil) || !bytes.Equal(value, w) {
			t.Fatalf("%q: %d bytes, there %v; want %d, %v", keys[i], len(value), value != nil, len(w), there)
		}
		return n != stop
	})
	if err != nil {
		t.Fatal(err)
	}
	all := len(keys)
	if stop > 0 {
		all = min(all, stop)
	}
	if n != all {
		t.Fatalf("%d of %d keys were visited, stop at %d", n, len(keys), stop)
	}
	return n
}

// TestVisit looks up keys in memtables, runs of several levels, tombstones, large
// values and a transaction's own writes.
func TestVisit(t *testing.T) {
	seed := testSeed(t, 0)
	n := 0
	for i := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, i))
		s := newCursorScene(t, rnd)
		in(t, s.db, false, func(c *Collection) {
			for range 30 {
				n += visitRandom(t, rnd, c, s.committed)
			}
		})
		tx, err := s.db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		c, err := tx.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		own, layer := maps.Clone(s.committed), randomLayer(rnd, "own")
		write(t, c, layer)
		for k, v := range layer {
			if own[k] = v; v == nil {
				delete(own, k)
			}
		}
		for range 10 {
			n += visitRandom(t, rnd, c, own)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := c.Visit([][]byte{nil}, func(int, []byte) bool { t.Error("a record of a transaction that has ended"); return true }); !errors.Is(err, ErrTxClosed) {
			t.Errorf("in a transaction that has ended: %v", err)
		}
		if err := s.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n < 2000 {
		t.Errorf("only %d keys were visited", n)
	}
}

// TestVisitOddities: no keys, keys that are too large to be there, empty values.
func TestVisitOddities(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "v.byok"), newFakeKey("k"), nil)
	put(t, db, "c", "a", "")
	in(t, db, false, func(c *Collection) {
		var got [][]byte
		keep := func(_ int, v []byte) bool { got = append(got, v); return true }
		if err := c.Visit(nil, keep); err != nil || got != nil {
			t.Errorf("no keys: %v, %v", got, err)
		}
		if err := c.Visit([][]byte{make([]byte, KeySizeMax+1), []byte("a"), {}}, keep); err != nil {
			t.Fatal(err)
		}
		if len(got) != 3 || got[0] != nil || got[1] == nil || len(got[1]) > 0 || got[2] != nil {
			t.Errorf("%#v", got)
		}
	})
}

// TestPoll asks a transaction whether it goes on, also from within Visit, which
// has its lock.
func TestPoll(t *testing.T) {
	key := newFakeKey("k")
	db := openTest(t, filepath.Join(t.TempDir(), "v.byok"), key, nil)
	put(t, db, "c", "k", "v")
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tx.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := c.Visit([][]byte{[]byte("k")}, func(int, []byte) bool {
		n++
		if err := tx.Poll(); err != nil {
			t.Error(err)
		}
		return true
	}); err != nil || n != 1 {
		t.Errorf("%d keys, %v", n, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := tx.Poll(); !errors.Is(err, ErrTxClosed) {
		t.Errorf("after the end: %v", err)
	}
	if tx, err = db.Begin(false); err != nil {
		t.Fatal(err)
	}
	if c, err = tx.Collection("c"); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	if err := c.Visit([][]byte{[]byte("k")}, func(int, []byte) bool {
		go func() { closed <- db.Close() }() // it waits for Visit
		for err = nil; err == nil; runtime.Gosched() {
			err = tx.Poll()
		}
		return false
	}); err != nil {
		t.Error(err)
	}
	if !errors.Is(err, ErrClosed) {
		t.Errorf("while the database is closed: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := tx.Poll(); !errors.Is(got, ErrClosed) {
		t.Errorf("after Close: %v", got)
	}
}
