package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/timebubble"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// fullBubble opens a database in a bubble on a disk that is full once so many more
// bytes are used. again opens it anew.
func fullBubble(t *testing.T, fs *memfs.FS, room int64) (db *DB, again func() *DB) {
	t.Helper()
	o, key := smallOptions(fs), newFakeKey("k")
	o.clock = clock.Process()
	again = func() *DB {
		t.Helper()
		db, err := Open(t.Context(), memDir, key, o)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db = again()
	fs.SetCapacity(fs.Used() + room)
	return db, again
}

// randomText returns bytes that do not compress.
func randomText(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// getRoom gives the disk all the room that there is, and waits until the database
// has noticed.
func getRoom(t *testing.T, db *DB, fs *memfs.FS) {
	t.Helper()
	fs.SetCapacity(0)
	time.Sleep(2 * roomRetry)
	synctest.Wait()
	if st := db.Status(); st.DiskFull != "" || st.Failed != "" {
		t.Fatalf("with room on the disk, it says %q and %q", st.DiskFull, st.Failed)
	}
}

// TestFullDiskIsWaitedOut fills disks of many sizes. Commits are refused, and
// nothing of them is there; reads go on; with room, everything goes on in the same
// opening.
func TestFullDiskIsWaitedOut(t *testing.T) {
	rng := rand.New(rand.NewPCG(testSeed(t, *faultSeed), 0))
	lives := 30
	if testing.Short() {
		lives = 6
	}
	timebubble.Prepare(t)
	for range lives {
		room := 20<<10 + rng.Int64N(400<<10)
		fs := memFS(t)
		synctest.Test(t, func(t *testing.T) {
			db, again := fullBubble(t, fs, room)
			h := newHistory()
			load := func(i int) error {
				return h.update(db, func(c *change) error {
					return c.put("a", fmt.Sprintf("key-%03d", i%200), randomText(rng, 200+i%1500))
				}, rng)
			}
			refused := 0
			for i := 0; i < 5000 && refused < 50; i++ {
				err := load(i)
				if err == nil {
					continue
				}
				refused++
				if !errors.Is(err, ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
					t.Fatalf("commit on a full disk: %v", err)
				}
				if refused%10 == 0 {
					time.Sleep(roomRetry) // a flush is tried once more
				}
			}
			if refused == 0 {
				t.Fatal("the disk was never full")
			}
			check := func(what string) {
				t.Helper()
				got, err := dump(db)
				if err != nil {
					t.Fatal(err)
				}
				if n := db.Status().Commit; n != h.acked {
					t.Errorf("%s: readers see commit %d, acknowledged is %d", what, n, h.acked)
				}
				if err := h.at(h.acked).differs(got); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			check("full")
			if err := db.Compact(t.Context()); err != nil && !errors.Is(err, ErrDiskFull) {
				t.Errorf("compaction on a full disk: %v", err)
			}
			getRoom(t, db, fs)
			for i := range 100 {
				if err := load(i); err != nil {
					t.Fatalf("commit %d with room again: %v", i, err)
				}
			}
			check("with room")
			if err := errors.Join(db.Compact(t.Context()), db.Verify(t.Context()), db.Close()); err != nil {
				t.Fatal(err)
			}
			db = again()
			check("opened again")
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFullDiskManyWriters: of commits that are written together, those are there
// that were acknowledged, and no other.
func TestFullDiskManyWriters(t *testing.T) {
	timebubble.Prepare(t)
	fs := memFS(t)
	synctest.Test(t, func(t *testing.T) {
		db, again := fullBubble(t, fs, 300<<10)
		put(t, db, "c", "first", "")
		const writers, each = 8, 200
		var mu sync.Mutex
		acked, refused := map[string]bool{"first": true}, 0
		var wg sync.WaitGroup
		for w := range writers {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			wg.Go(func() {
				for i := range each {
					key := fmt.Sprintf("%d-%d", w, i)
					err := db.Update(func(tx *Tx) error {
						c, err := tx.Collection("c")
						if err != nil {
							return err
						}
						return c.Put([]byte(key), []byte(randomText(rng, 100+i*7)))
					})
					mu.Lock()
					switch {
					case err == nil:
						acked[key] = true
					case errors.Is(err, ErrDiskFull):
						refused++
					default:
						t.Errorf("%s: %v", key, err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if refused == 0 {
			t.Error("the disk was never full")
		}
		check := func(what string) {
			t.Helper()
			got, err := dump(db)
			if err != nil {
				t.Fatal(err)
			}
			for key := range got["c"] {
				if !acked[key] {
					t.Errorf("%s: %s was refused and is there", what, key)
				}
			}
			if len(got["c"]) != len(acked) {
				t.Errorf("%s: %d keys, %d were acknowledged", what, len(got["c"]), len(acked))
			}
		}
		check("full")
		getRoom(t, db, fs)
		check("with room")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = again()
		check("opened again")
		if err := errors.Join(db.Verify(t.Context()), db.Close()); err != nil {
			t.Error(err)
		}
	})
}

// TestIdleOnFullDisk: an idle database whose memtable cannot be flushed goes on,
// also when it is closed and opened meanwhile.
func TestIdleOnFullDisk(t *testing.T) {
	timebubble.Prepare(t)
	fs := memFS(t)
	synctest.Test(t, func(t *testing.T) {
		db, again := fullBubble(t, fs, 1<<20)
		for i := range 8 {
			put(t, db, "c", fmt.Sprint(i), strings.Repeat("x", 1000))
		}
		fs.SetCapacity(fs.Used())
		time.Sleep(10 * roomRetry)
		synctest.Wait()
		st := db.Status()
		if st.DiskFull == "" && st.MemtableBytes == 0 {
			t.Fatal("the idle database found room")
		}
		if st.Failed != "" {
			t.Errorf("it refuses writes: %s", st.Failed)
		}
		put(t, db, "c", "small", "there is room in the log")
		if err := db.Close(); err != nil {
			t.Errorf("close on a full disk: %v", err)
		}
		fs.SetCapacity(0)
		db = again()
		mustGet(t, db, "c", "7", strings.Repeat("x", 1000))
		mustGet(t, db, "c", "small", "there is room in the log")
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestRotateOnFullDisk: a rotation that finds no room for its envelope has not
// begun, and one that finds none for what it writes anew ends when there is.
func TestRotateOnFullDisk(t *testing.T) {
	timebubble.Prepare(t)
	rng := rand.New(rand.NewPCG(7, 7))
	for _, room := range []int64{0, 80 << 10} {
		fs := memFS(t)
		synctest.Test(t, func(t *testing.T) {
			db, _ := fullBubble(t, fs, 1<<20)
			for i := range 60 {
				put(t, db, "c", fmt.Sprint(i), randomText(rng, 2000))
			}
			if err := db.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // what is obsolete makes no more room
			fs.SetCapacity(fs.Used() + room)
			err := db.RotateKey(t.Context())
			if room == 0 && !errors.Is(err, ErrDiskFull) || room > 0 && err != nil {
				t.Fatalf("rotate with %d bytes of room: %v", room, err)
			}
			if room > 0 {
				if err := db.AwaitRotation(t.Context()); !errors.Is(err, ErrDiskFull) {
					t.Errorf("a rotation without room: %v", err)
				}
			}
			fs.SetCapacity(0)
			time.Sleep(3 * roomRetry)
			synctest.Wait()
			if room == 0 {
				if err := db.RotateKey(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.AwaitRotation(t.Context()); err != nil {
				t.Errorf("with room again: %v", err)
			}
			if st := db.Status(); st.Failed != "" || st.DiskFull != "" || st.Rotation.Older != 0 {
				t.Errorf("after the rotation: %q, %q, %d older data keys", st.Failed, st.DiskFull, st.Rotation.Older)
			}
			if err := errors.Join(db.Verify(t.Context()), db.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}
