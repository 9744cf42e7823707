package bench

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// coldReads is how many rows are read before the system forgets everything again.
const coldReads = 32

// BenchmarkCold reads random rows that neither the page cache nor the system
// has, and beside it 16 KiB of the same files at random places.
func BenchmarkCold(b *testing.B) {
	if !canDropCache {
		b.Skip("this system has no way to forget what it has of a file")
	}
	d := loaded(b, valueSize)
	if err := dropDataset(); err != nil { // its files are wanted, without a large cache
		b.Fatal(err)
	}
	dir := b.TempDir()
	key := devKey(b, dir)
	path := filepath.Join(dir, "b.byok")
	db := openAt(b, path, key, &engine.Options{CacheSize: 4 << 20, Sync: engine.SyncOff})
	defer closeDB(b, db)
	fill(b, db, d.keys, d.vals)
	if err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	runs, err := filepath.Glob(filepath.Join(path, "runs", "*.run"))
	if err != nil || len(runs) == 0 {
		b.Fatal(runs, err)
	}
	rng := rand.New(rand.NewPCG(15, 16))
	cold := func(b *testing.B, one func()) {
		b.Helper()
		n := 0
		for b.Loop() {
			if n%coldReads == 0 {
				b.StopTimer()
				for _, f := range runs {
					if err := dropCache(f); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
			one()
			n++
		}
	}
	b.Run("get", func(b *testing.B) {
		cold(b, func() {
			view(b, db, func(c *engine.Collection) error {
				_, err := c.Get(d.keys[rng.IntN(len(d.keys))])
				return err
			})
		})
	})
	b.Run("pread", func(b *testing.B) {
		f, err := os.Open(runs[0])
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = f.Close() }() // opened for reading only
		info, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		p := make([]byte, 16<<10)
		cold(b, func() {
			if _, err := f.ReadAt(p, rng.Int64N(max(info.Size()-int64(len(p)), 1))); err != nil {
				b.Fatal(err)
			}
		})
	})
}
