package memfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/internal/vfs"
)

// openBolt opens a bbolt file as a user of vfs.FS does.
func openBolt(f vfs.FS, path string) (db *bbolt.DB, err error) {
	err = f.Update(path, func() error {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{OpenFile: f.OSFile, NoFreelistSync: true})
		return err
	})
	return db, err
}

func boltPut(f vfs.FS, db *bbolt.DB, path string, v int) error {
	return f.Update(path, func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			for i := range 20 {
				if err := b.Put(fmt.Appendf(nil, "key-%d", i), bytes.Repeat([]byte{byte(v)}, 100*(1+v%5))); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func boltGet(tb testing.TB, f *FS, path string) (v int) {
	tb.Helper()
	db, err := openBolt(f, path)
	mustDo(tb, err)
	defer func() { mustDo(tb, db.Close()) }()
	mustDo(tb, db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			tb.Error(err)
		}
		b := tx.Bucket([]byte("b"))
		for i := range 20 {
			got := int(b.Get(fmt.Appendf(nil, "key-%d", i))[0])
			if v == 0 {
				v = got
			}
			if got != v {
				tb.Errorf("key %d has %d, another %d: half a commit", i, got, v)
			}
		}
		return nil
	}))
	return v
}

// TestBoltCrash: a crash at any point of a bbolt commit leaves the state before
// it or after it.
func TestBoltCrash(t *testing.T) {
	rng := testRand(t)
	f := New(t.TempDir())
	db, err := openBolt(f, "/bolt")
	mustDo(t, err)
	defer func() { mustDo(t, db.Close()) }()
	mustDo(t, f.SyncDir("/"))
	mustDo(t, boltPut(f, db, "/bolt", 1))
	seen := map[string]int{}
	for v := 2; v < 20; v++ {
		var clones []*FS
		f.OnCall(func(c Call) {
			if c.Op == OpCommit {
				for range 4 {
					clones = append(clones, mustCrash(t, f, rng, Ordered))
				}
			}
		})
		mustDo(t, boltPut(f, db, "/bolt", v))
		f.OnCall(nil)
		for _, c := range clones {
			switch got := boltGet(t, c, "/bolt"); got {
			case v - 1:
				seen["before"]++
			case v:
				seen["after"]++
			default:
				t.Errorf("the file has %d in the commit of %d", got, v)
			}
			mustDo(t, c.Discard())
		}
		if got := boltGet(t, mustCrash(t, f, rng, Ordered), "/bolt"); got != v {
			t.Errorf("after the commit of %d the file has %d", v, got)
		}
	}
	if seen["before"] < 5 || seen["after"] < 5 {
		t.Errorf("states seen: %v", seen)
	}
}

// TestBoltFaults: a fault before the change, and one after it.
func TestBoltFaults(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		fault Fault
		want  int // after a crash
	}{
		{Fault{Err: boom}, 1},
		{Fault{Err: boom, After: 1}, 2},
		{Fault{Err: boom, After: 1, Lose: true}, 1},
	} {
		f := New(t.TempDir())
		db, err := openBolt(f, "/bolt")
		mustDo(t, err)
		mustDo(t, f.SyncDir("/"))
		mustDo(t, boltPut(f, db, "/bolt", 1))
		f.SetFault(&c.fault)
		if err := boltPut(f, db, "/bolt", 2); !errors.Is(err, boom) {
			t.Errorf("%+v: %v", c.fault, err)
		}
		mustDo(t, db.Close())
		if got := boltGet(t, mustCrash(t, f, testRand(t), Ordered), "/bolt"); got != c.want {
			t.Errorf("%+v: after a crash the file has %d", c.fault, got)
		}
		mustDo(t, f.DropCaches())
		if got := boltGet(t, f, "/bolt"); got != c.want {
			t.Errorf("%+v: with a dropped cache the file has %d", c.fault, got)
		}
	}
}

func TestNativeFile(t *testing.T) {
	rng := testRand(t)
	f := New(t.TempDir())
	db, err := openBolt(f, "/tmp")
	mustDo(t, err)
	mustDo(t, boltPut(f, db, "/tmp", 3))
	mustDo(t, db.Close())
	mustDo(t, f.Rename("/tmp", "/bolt"))
	mustDo(t, f.SyncDir("/"))
	h, err := f.OpenWrite("/bolt")
	mustDo(t, err)
	size, err := h.Size()
	mustDo(t, err)
	write(t, h, strings.Repeat("x", sectorSize), size-sectorSize)
	if h.Truncate(0) == nil || h.Preallocate(1) == nil {
		t.Error("the size of a library's file can be changed")
	}
	kept := 0
	for range 50 {
		if strings.HasSuffix(mustRead(t, mustCrash(t, f, rng, Ordered), "/bolt"), "xxx") {
			kept++
		}
	}
	if kept == 0 || kept == 50 {
		t.Errorf("%d of 50 crashes kept an unsynced write", kept)
	}
	mustDo(t, h.Sync())
	if !strings.HasSuffix(mustRead(t, mustCrash(t, f, rng, Ordered), "/bolt"), "xxx") {
		t.Error("a crash lost what was synced")
	}
	mustDo(t, h.Close())
	mustDo(t, f.Remove("/bolt"))
	if _, err := f.OSFile("/bolt", os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) || f.Used() != 0 {
		t.Errorf("after its removal: %v, %d bytes used", err, f.Used())
	}
	mustDo(t, create(t, f, "/plain", "").Close())
	if _, err := f.OSFile("/plain", os.O_RDWR, 0); !errors.Is(err, errForeign) {
		t.Errorf("a file in memory: %v", err)
	}
}
