package engine

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// TestReadsBesideSettling has every commit write its number to all keys but one,
// which it deletes, while its group moves to the memtable and memtables are
// flushed. Readers, by cursor and one by one, and the writer itself see one commit
// as a whole, and none older than one that had returned.
func TestReadsBesideSettling(t *testing.T) {
	const nKeys, nCommits = 4 * takenAtOnce, 400
	db := openTest(t, memDir, newFakeKey("k"), &Options{fs: memfs.New(t.TempDir()), MemtableSize: 64 << 10, Sync: SyncOff})
	key := func(i int) []byte { return fmt.Appendf(nil, "k%03d", i) }
	look := func(tx *Tx, byCursor bool) (int, error) {
		c, err := tx.Collection("c")
		if err != nil {
			return 0, err
		}
		seen := make(map[int]int)
		if byCursor {
			cur := c.Cursor(nil, nil)
			for cur.Next() {
				i, _ := strconv.Atoi(string(cur.Key()[1:])) // compared below
				seen[i], _ = strconv.Atoi(string(cur.Value()))
			}
			err = cur.Err()
		} else {
			for i := range nKeys {
				v, gerr := c.Get(key(i))
				if gerr == nil {
					seen[i], err = strconv.Atoi(string(v))
				}
			}
		}
		n, ok := seen[0]
		if !ok {
			n = seen[1]
		}
		for i := range nKeys {
			if got, want := seen[i], n; i != n%nKeys && got != want || i == n%nKeys && got != 0 {
				return n, fmt.Errorf("key %d is of commit %d in a view of commit %d", i, got, want)
			}
		}
		return n, err
	}
	write := func(n int) error {
		return db.Update(func(tx *Tx) error {
			c, err := tx.CreateCollectionIfNotExists("c")
			if err != nil {
				return err
			}
			if n > 1 {
				if got, err := look(tx, n%2 == 0); err != nil || got != n-1 {
					return fmt.Errorf("the writer of commit %d sees %d: %w", n, got, err)
				}
			}
			for i := range nKeys {
				if err := c.Put(key(i), strconv.AppendInt(nil, int64(n), 10)); err != nil {
					return err
				}
			}
			return c.Delete(key(n % nKeys))
		})
	}
	if err := write(1); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	var over atomic.Bool
	var returned atomic.Int64 // the last commit that did
	for r := range 2 {
		readers.Go(func() {
			for !over.Load() {
				least := int(returned.Load())
				err := db.View(func(tx *Tx) error {
					n, err := look(tx, r == 0)
					if err == nil && n < least {
						err = fmt.Errorf("commit %d is seen after %d returned", n, least)
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := 2; n <= nCommits && !t.Failed(); n++ {
		if err := write(n); err != nil {
			t.Error(err)
		}
		returned.Store(int64(n))
	}
	over.Store(true)
	readers.Wait()
}
