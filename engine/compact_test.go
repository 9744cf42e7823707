package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

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
