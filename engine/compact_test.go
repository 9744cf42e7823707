package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// plant writes runs of the entries at a level, past the log: "k" puts the level's
// number, "-k" deletes.
func plant(t *testing.T, db *DB, id uint32, level uint8, keys ...string) {
	t.Helper()
	s := db.session
	w := &runWriter{s: s, ctx: t.Context(), level: level}
	for _, k := range keys {
		tombstone := k[0] == '-'
		if tombstone {
			k = k[1:]
		}
		if err := w.add(append(collectionPrefix(id), k...), tombstone, fmt.Appendf(nil, "level %d", level)); err != nil {
			t.Fatal(err)
		}
	}
	added, err := w.finish()
	if err == nil {
		err = s.install(nil, added, func(*catalog.Manifest) {}, func() {})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTombstoneOutsideTheUpperRange merges a run into one that reaches further
// and has a tombstone there, above a run with an older version: the tombstone
// must stay.
func TestTombstoneOutsideTheUpperRange(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "c.byok"), newFakeKey("k"), nil)
	put(t, db, "c", "zz", "so that there is a collection")
	db.session.stop() // the background work: this test does it by hand
	id := db.session.dir.ids["c"]
	plant(t, db, id, 5, "x")
	plant(t, db, id, 3, "k", "-x")
	plant(t, db, id, 2, "a", "l")
	s := db.session
	job := s.version.ref().job(2, 3, s.version.levels[2])
	job.live = newLive(s.manifest)
	if err := s.compact(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	err := db.View(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		if v, err := c.Get([]byte("x")); !errors.Is(err, ErrNotFound) {
			t.Errorf("a deleted record is back: %q, %v", v, err)
		}
		_, err = c.Get([]byte("l"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// settled waits until the tree has no work left.
func settled(t *testing.T, db *DB) {
	t.Helper()
	s := db.session
	err := s.await(t.Context(), func() bool {
		if len(s.frozen) > 0 || len(s.claims) > 0 {
			return false
		}
		p := picker{s: s, v: s.version, sh: s.version.shape(db.opts.baseSize())}
		return len(p.byUrgency()) == 0
	})
	if err != nil {
		t.Fatal(err)
	}
	for s.pinned.Load() != 0 { // files are removed behind the switch
		runtime.Gosched()
	}
}

// load writes n records of 100 random bytes, whose keys begin with prefix.
func load(t *testing.T, db *DB, collection, prefix string, n int) {
	t.Helper()
	value := make([]byte, 100)
	for i := 0; i < n; {
		if err := db.Update(func(tx *Tx) error {
			c, err := tx.CreateCollectionIfNotExists(collection)
			for ; err == nil && i < n; i++ {
				rand.Read(value)
				if err = c.Put(fmt.Appendf(nil, "%s%08d", prefix, i*7919%n), value); i%500 == 499 {
					i++
					break
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// runBytes returns the size of all files of runs.
func runBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "runs", "*.run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		n += st.Size()
	}
	return n
}

// TestSpaceReturns checks that dropped collections and deleted ranges give their
// space back by themselves, and that updates keep to the bound.
func TestSpaceReturns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c.byok")
	db := openTest(t, dir, newFakeKey("k"), &Options{MemtableSize: 256 << 10})
	load(t, db, "stays", "", 20000)
	load(t, db, "goes", "", 40000)
	flushed := func() {
		t.Helper()
		if _, err := db.flushAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		settled(t, db)
	}
	flushed()
	full := runBytes(t, dir)
	if err := db.Update(func(tx *Tx) error { return tx.DropCollection("goes") }); err != nil {
		t.Fatal(err)
	}
	put(t, db, "stays", "x", "the drop is in the manifest with the next flush")
	flushed()
	// Workers look again after the flush; what they find is done one by one.
	if err := db.session.await(t.Context(), func() bool { return db.session.version.bytes() < full/2 }); err != nil {
		t.Fatal(err)
	}
	settled(t, db)
	if got := runBytes(t, dir); got > full/2 {
		t.Errorf("%d bytes after two thirds were dropped, %d before", got, full)
	}

	one := runBytes(t, dir)
	for range 6 { // every record six times over
		load(t, db, "stays", "", 20000)
	}
	flushed()
	if got := runBytes(t, dir); got > 2*one { // level 0 counts much in a tree as small as this
		t.Errorf("%d bytes after updates, %d before", got, one)
	}
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	compacted := runBytes(t, dir)
	// Other random values compress to a little more or less, by 0.02 % as a rule.
	if st := db.Status(); st.RunsPerLevel[lastLevel] != st.Runs || compacted > one+one/1000 {
		t.Errorf("after Compact: %v runs, %d bytes, %d before the updates", st.RunsPerLevel, compacted, one)
	}

	for i := 0; i < 20000; { // all but the first
		if err := db.Update(func(tx *Tx) error {
			c, err := tx.Collection("stays")
			for n := 0; n < 500 && err == nil; n++ {
				if i > 0 {
					err = c.Delete(fmt.Appendf(nil, "%08d", i))
				}
				i++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, got := db.Status(), runBytes(t, dir); got > 8<<10 || st.Runs != 1 {
		t.Errorf("%d bytes in %d runs after everything but two records was deleted", got, st.Runs)
	}
}

// TestPinnedSpaceIsReported holds a snapshot across a compaction.
func TestPinnedSpaceIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c.byok")
	db := openTest(t, dir, newFakeKey("k"), &Options{MemtableSize: 256 << 10})
	load(t, db, "c", "", 5000)
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	old := runBytes(t, dir)
	load(t, db, "c", "", 5000)
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := db.Status().PinnedBytes; got < old {
		t.Errorf("%d bytes are pinned, want %d at least", got, old)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := db.Status().PinnedBytes; got != 0 {
		t.Errorf("%d bytes are pinned by nobody", got)
	}
	if now := runBytes(t, dir); now > old+old/4 {
		t.Errorf("%d bytes are left of %d", now, old)
	}
}

// TestCompactEnds checks that a compaction ends with its context, with the
// database and with the key, and leaves everything as it was.
func TestCompactEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c.byok")
	key := newFakeKey("k")
	db := openTest(t, dir, key, &Options{MemtableSize: 256 << 10})
	load(t, db, "c", "", 5000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled compaction: %v", err)
	}
	mustGet := func() {
		t.Helper()
		n := 0
		if err := db.View(func(tx *Tx) error {
			c, err := tx.Collection("c")
			if err != nil {
				return err
			}
			cur := c.Cursor(nil, nil)
			for cur.Next() {
				n++
			}
			return cur.Err()
		}); err != nil || n != 5000 {
			t.Errorf("%d records, %v", n, err)
		}
	}
	mustGet()
	key.set(crypt.ClassDenied)
	_ = db.ProbeKey(t.Context())
	if err := db.Compact(t.Context()); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("without the key: %v", err)
	}
	key.set(crypt.ClassNone)
	if err := db.ProbeKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Compact(t.Context()); err != nil {
		t.Error(err)
	}
	mustGet()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Compact(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestGarbageIsExact makes runs whose leaves hold one record each, with gaps in
// the ids of collections between them: a gap without records is no garbage,
// however large the leaves beside it are.
func TestGarbageIsExact(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "c.byok"), newFakeKey("k"), &Options{PageSize: 4 << 10})
	for i := range 6 {
		put(t, db, fmt.Sprint(i), "k", "v")
	}
	db.session.stop()
	s, key := db.session, make([]byte, KeySizeMax-1)
	rand.Read(key)
	w := &runWriter{s: s, ctx: t.Context(), level: 5}
	for _, id := range []uint32{1, 2, 5} {
		for _, end := range []string{"a", "b"} {
			if err := w.add(slices.Concat(collectionPrefix(id), []byte(end), key), false, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	runs, err := w.finish()
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	r := runs[0]
	defer w.abort()
	for i, c := range []struct {
		live     []uint32
		from, to float64 // share of the run that is garbage
	}{
		{[]uint32{1, 2, 5}, 0, 0},
		{[]uint32{1, 2, 3, 4, 5, 6}, 0, 0},
		{[]uint32{1, 2}, 0.2, 0.5},
		{[]uint32{1, 5}, 0.2, 0.5},
		{[]uint32{2, 5, 6}, 0.2, 0.5},
		{[]uint32{5}, 0.5, 0.8},
		{[]uint32{6}, 0.9, 1},
		{nil, 0.9, 1},
	} {
		m := &catalog.Manifest{NextCollection: uint32(7 + i)} // another era each time
		for _, id := range c.live {
			m.Collections = append(m.Collections, catalog.CollectionMeta{ID: id, Name: fmt.Sprint(id)})
		}
		n, err := r.garbage(newLive(m))
		if err != nil {
			t.Fatal(err)
		}
		if share := float64(n) / float64(r.meta.Size); share < c.from || share > c.to {
			t.Errorf("live %v: %d bytes of %d are garbage, want %.1f to %.1f of it", c.live, n, r.meta.Size, c.from, c.to)
		}
	}
}
