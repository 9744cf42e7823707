package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// readsOfTx is how many reads share a transaction: what Get returns is the
// transaction's, and one that never ends would keep all of it.
const readsOfTx = 1000

// BenchmarkGet reads random rows that are in the cache.
func BenchmarkGet(b *testing.B) {
	each(b, "value", sizes, func(b *testing.B, size int) {
		b.Helper()
		d := loaded(b, size)
		each(b, "goroutines", []int{1, 2}, func(b *testing.B, goroutines int) {
			b.Helper()
			d.reads(b, goroutines, func(c *engine.Collection, rng *rand.Rand) error {
				v, err := c.Get(d.keys[rng.IntN(len(d.keys))])
				if err == nil && len(v) != size {
					err = fmt.Errorf("value of %d bytes", len(v))
				}
				return err
			})
		})
	})
}

// BenchmarkMiss reads keys that are between those of rows.
func BenchmarkMiss(b *testing.B) {
	d := loaded(b, valueSize)
	each(b, "goroutines", []int{1, 2}, func(b *testing.B, goroutines int) {
		b.Helper()
		d.reads(b, goroutines, func(c *engine.Collection, rng *rand.Rand) error {
			var key [keySize]byte
			copy(key[:], d.keys[rng.IntN(len(d.keys))])
			key[keySize-8] ^= 0x80
			if _, err := c.Get(key[:]); !errors.Is(err, engine.ErrNotFound) {
				return fmt.Errorf("a key that is not there: %w", err)
			}
			return nil
		})
	})
}

// reads runs fn b.N times, readsOfTx times in a transaction.
func (d *dataset) reads(b *testing.B, goroutines int, fn func(c *engine.Collection, rng *rand.Rand) error) {
	b.Helper()
	b.ReportAllocs()
	if goroutines == 1 {
		rng := rand.New(rand.NewPCG(5, 0))
		for more := b.Loop(); more; {
			view(b, d.db, func(c *engine.Collection) error {
				for n := 0; n < readsOfTx && more; n++ {
					if err := fn(c, rng); err != nil {
						return err
					}
					more = b.Loop()
				}
				return nil
			})
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(g)))
			for left := 1; left > 0; {
				left = min(readsOfTx, b.N-int(next.Add(readsOfTx)-readsOfTx))
				err := d.db.View(func(tx *engine.Tx) error {
					c, err := tx.Collection(collectionID)
					for n := 0; n < left && err == nil; n++ {
						err = fn(c, rng)
					}
					return err
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// BenchmarkGetTx reads one row in a transaction of its own.
func BenchmarkGetTx(b *testing.B) {
	d := loaded(b, valueSize)
	each(b, "goroutines", []int{1, 2}, func(b *testing.B, goroutines int) {
		b.Helper()
		b.ReportAllocs()
		parallel(b, goroutines, func(rng *rand.Rand, _ int) error {
			return d.db.View(func(tx *engine.Tx) error {
				c, err := tx.Collection(collectionID)
				if err != nil {
					return err
				}
				_, err = c.Get(d.keys[rng.IntN(len(d.keys))])
				return err
			})
		})
	})
}

// scan walks all rows and returns how many there are.
func (d *dataset) scan(b *testing.B, backwards bool) (rows int) {
	b.Helper()
	step := (*engine.Cursor).Next
	if backwards {
		step = (*engine.Cursor).Prev
	}
	n := 0
	view(b, d.db, func(c *engine.Collection) error {
		cur := c.Cursor(nil, nil)
		for step(cur) {
			rows++
			n += len(cur.UnsafeKey()) + len(cur.UnsafeValue())
		}
		return errors.Join(cur.Err(), cur.Close())
	})
	if want := rows * (keySize + d.vals.size); n != want {
		b.Fatalf("%d bytes, not %d", n, want)
	}
	return rows
}

func directions(b *testing.B, fn func(b *testing.B, backwards bool)) {
	b.Helper()
	b.Run("direction=forwards", func(b *testing.B) { fn(b, false) })
	b.Run("direction=backwards", func(b *testing.B) { fn(b, true) })
}

// BenchmarkScan walks all rows; ns/row is its figure.
func BenchmarkScan(b *testing.B) {
	each(b, "value", sizes, func(b *testing.B, size int) {
		b.Helper()
		d := loaded(b, size)
		directions(b, func(b *testing.B, backwards bool) {
			b.Helper()
			b.ReportAllocs()
			for b.Loop() {
				if rows := d.scan(b, backwards); rows != len(d.keys) {
					b.Fatalf("%d rows, not %d", rows, len(d.keys))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(d.keys)), "ns/row")
		})
	})
}

// BenchmarkRange reads 100 rows from a random key on.
func BenchmarkRange(b *testing.B) {
	d := loaded(b, valueSize)
	directions(b, func(b *testing.B, backwards bool) {
		b.Helper()
		b.ReportAllocs()
		rng := rand.New(rand.NewPCG(7, 8))
		for more := b.Loop(); more; more = b.Loop() {
			view(b, d.db, func(c *engine.Collection) error {
				key := d.keys[rng.IntN(len(d.keys))]
				lo, hi, step := key, []byte(nil), (*engine.Cursor).Next
				if backwards {
					lo, hi, step = nil, key, (*engine.Cursor).Prev
				}
				cur, n := c.Cursor(lo, hi), 0
				for i := 0; i < 100 && step(cur); i++ {
					n += len(cur.UnsafeValue())
				}
				if n > 100*valueSize || !backwards && n == 0 {
					return fmt.Errorf("%d bytes of 100 rows", n)
				}
				return errors.Join(cur.Err(), cur.Close())
			})
		}
	})
}
