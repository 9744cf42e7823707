package bench

import (
	"math/rand/v2"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// BenchmarkLoad writes new rows, 1000 to a durable commit. An operation is a
// commit.
func BenchmarkLoad(b *testing.B) {
	for _, order := range []string{"random", "key"} {
		b.Run("order="+order, func(b *testing.B) {
			each(b, "value", sizes, func(b *testing.B, size int) {
				b.Helper()
				db, vals, rng := newDB(b, nil), newValues(size), rand.New(rand.NewPCG(9, 10))
				before, rows := db.Status(), 0
				var random [keySize]byte
				b.ReportAllocs()
				for b.Loop() {
					write(b, db, batch, func(int) ([]byte, []byte) {
						rows++
						if order == "key" {
							return orderedKey(rows), vals.at(rows)
						}
						for i := range random {
							random[i] = byte(rng.Uint32())
						}
						return random[:], vals.at(rows)
					})
				}
				b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
				traffic(b, db, before, b.N, rows*(keySize+size))
			})
		})
	}
}

// BenchmarkCommit makes one row durable at a time, by some writers at once.
func BenchmarkCommit(b *testing.B) {
	each(b, "value", []int{valueSize, 16 << 10}, func(b *testing.B, size int) {
		b.Helper()
		each(b, "writers", []int{1, 4, 16, 64}, func(b *testing.B, writers int) {
			b.Helper()
			db, vals := newDB(b, nil), newValues(size)
			before := db.Status()
			b.ReportAllocs()
			parallel(b, writers, func(rng *rand.Rand, i int) error {
				key := orderedKey(rng.IntN(1 << 40))
				return db.Update(func(tx *engine.Tx) error {
					c, err := tx.Collection(collectionID)
					if err != nil {
						return err
					}
					return c.Put(key, vals.at(i))
				})
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			traffic(b, db, before, b.N, b.N*(keySize+size))
		})
	})
}

// updatesOfCommit is how many rows a commit of BenchmarkUpdate writes.
const updatesOfCommit = 100

// BenchmarkUpdate writes random rows of a loaded database anew, 100 to a durable
// commit, with memtables small enough for flushes and compactions to be a part
// of it. An operation is a row.
func BenchmarkUpdate(b *testing.B) {
	keys, vals := randomKeys(*nRows), newValues(valueSize)
	db := newDB(b, &engine.Options{CacheSize: cacheLarge, MemtableSize: 8 << 20})
	fill(b, db, keys, vals)
	rng := rand.New(rand.NewPCG(11, 12))
	before, commits, rows := db.Status(), 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	for more := b.Loop(); more; {
		write(b, db, updatesOfCommit, func(int) ([]byte, []byte) {
			if more {
				more = b.Loop()
			}
			rows++
			return keys[rng.IntN(len(keys))], vals.at(rng.IntN(1 << 20))
		})
		commits++
	}
	traffic(b, db, before, commits, rows*(keySize+valueSize))
	b.ReportMetric(db.Status().Delayed.Seconds()-before.Delayed.Seconds(), "delayed-s")
}

// BenchmarkLarge writes and reads values that have pages of their own.
func BenchmarkLarge(b *testing.B) {
	each(b, "value", []int{256 << 10, 4 << 20}, func(b *testing.B, size int) {
		b.Helper()
		const n = 16
		vals := newValues(size)
		db := newDB(b, &engine.Options{CacheSize: cacheLarge})
		b.Run("put", func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			before := db.Status()
			i := 0
			for b.Loop() {
				write(b, db, 1, func(int) ([]byte, []byte) { return orderedKey(i % n), vals.at(i) })
				i++
			}
			traffic(b, db, before, i, i*size)
		})
		write(b, db, n, func(i int) ([]byte, []byte) { return orderedKey(i), vals.at(i) })
		if err := db.Compact(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.Run("get", func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				view(b, db, func(c *engine.Collection) error {
					v, err := c.Get(orderedKey(i % n))
					if err == nil && len(v) != size {
						b.Fatalf("%d bytes", len(v))
					}
					return err
				})
				i++
			}
		})
	})
}
