package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// ycsbValue is the size of a record of YCSB: ten fields of 100 bytes.
const ycsbValue = 1000

// A mix is a core workload of YCSB: percentages of operations. What remains is
// read.
type mix struct {
	name                         string
	update, insert, scan, modify int  // modify reads and then writes a record
	latest                       bool // the newest records are the most popular
}

var mixes = []mix{
	{name: "A", update: 50},
	{name: "B", update: 5},
	{name: "C"},
	{name: "D", insert: 5, latest: true},
	{name: "E", insert: 5, scan: 95},
	{name: "F", modify: 50},
}

// zipf draws ranks from 0 to n-1, the lower the more often: rank i with a
// probability proportional to 1/(i+1)^theta, theta below 1.
//
// Source: Gray et al., Quickly Generating Billion-Record Synthetic Databases,
// SIGMOD 1994.
type zipf struct {
	n                 float64
	theta, alpha, eta float64
	zeta, second      float64
}

const zipfTheta = 0.99 // of YCSB

func newZipf(n int) *zipf {
	z := &zipf{n: float64(n), theta: zipfTheta, alpha: 1 / (1 - zipfTheta), second: 1 + math.Pow(0.5, zipfTheta)}
	for i := 1; i <= n; i++ {
		z.zeta += math.Pow(float64(i), -zipfTheta)
	}
	z.eta = (1 - math.Pow(2/z.n, 1-zipfTheta)) / (1 - z.second/z.zeta)
	return z
}

func (z *zipf) draw(rng *rand.Rand) int {
	u := rng.Float64()
	switch uz := u * z.zeta; {
	case uz < 1:
		return 0
	case uz < z.second:
		return 1
	default:
		return min(int(z.n*math.Pow(z.eta*u-z.eta+1, z.alpha)), int(z.n)-1)
	}
}

// TestZipf compares frequencies with probabilities.
func TestZipf(t *testing.T) {
	const n, draws = 1000, 400_000
	z, rng := newZipf(n), rand.New(rand.NewPCG(1, 1))
	var seen [n]int
	for range draws {
		seen[z.draw(rng)]++
	}
	cumulated, want := 0.0, 0.0
	for i, s := range seen {
		cumulated += float64(s) / draws
		want += math.Pow(float64(i+1), -zipfTheta) / z.zeta
		if (i == 0 || i == 1 || i == 99 || i == 999) && math.Abs(cumulated-want) > 0.02 {
			t.Errorf("the first %d have %.3f of the draws, not %.3f", i+1, cumulated, want)
		}
	}
}

// ycsb is a database with records that are numbered as they came; popular ones
// are spread over all keys.
type ycsb struct {
	db   *engine.DB
	vals *values
	z    *zipf
	n    atomic.Int64
}

// key hashes a record's number.
func (y *ycsb) key(i int64) []byte {
	h := uint64(i) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, h^h>>32), uint64(i))
}

// pick draws a record.
func (y *ycsb) pick(rng *rand.Rand, latest bool) int64 {
	rank := int64(y.z.draw(rng))
	if latest {
		return max(y.n.Load()-1-rank, 0)
	}
	return rank
}

func (y *ycsb) put(i int64, v int, read bool) error {
	return y.db.Update(func(tx *engine.Tx) error {
		c, err := tx.Collection(collectionID)
		if err == nil && read {
			_, err = c.Get(y.key(i))
		}
		if err != nil {
			return err
		}
		return c.Put(y.key(i), y.vals.at(v))
	})
}

func (y *ycsb) get(i int64) error {
	return y.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collectionID)
		if err != nil {
			return err
		}
		v, err := c.Get(y.key(i))
		if err == nil && len(v) != ycsbValue {
			err = fmt.Errorf("value of %d bytes", len(v))
		}
		return err
	})
}

func (y *ycsb) scan(i int64, n int) error {
	return y.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collectionID)
		if err != nil {
			return err
		}
		cur := c.Cursor(y.key(i), nil)
		for ; n > 0 && cur.Next(); n-- {
			if len(cur.UnsafeValue()) != ycsbValue {
				return errors.New("a value of another size")
			}
		}
		return errors.Join(cur.Err(), cur.Close())
	})
}

// do runs one operation of a mix.
func (y *ycsb) do(m *mix, rng *rand.Rand, i int) error {
	switch p := rng.IntN(100); {
	case p < m.update:
		return y.put(y.pick(rng, false), i, false)
	case p < m.update+m.modify:
		return y.put(y.pick(rng, false), i, true)
	case p < m.update+m.modify+m.insert:
		// The number counts once the record is there: others may read the newest.
		n := y.n.Load()
		if err := y.put(n, i, false); err != nil {
			return err
		}
		y.n.CompareAndSwap(n, n+1)
		return nil
	case p < m.update+m.modify+m.insert+m.scan:
		return y.scan(y.pick(rng, false), 1+rng.IntN(100))
	default:
		return y.get(y.pick(rng, m.latest))
	}
}

// BenchmarkYCSB runs the core workloads on records of 1000 B, as many as -rows
// says by 4. Commits are durable.
func BenchmarkYCSB(b *testing.B) {
	for _, m := range mixes {
		b.Run("workload="+m.name, func(b *testing.B) {
			n := max(*nRows/4, 100)
			y := &ycsb{db: newDB(b, &engine.Options{CacheSize: cacheLarge}), vals: newValues(ycsbValue), z: newZipf(n)}
			for at := 0; at < n; at += batch {
				write(b, y.db, min(batch, n-at), func(i int) ([]byte, []byte) { return y.key(int64(at + i)), y.vals.at(at + i) })
			}
			y.n.Store(int64(n))
			each(b, "goroutines", []int{1, 16}, func(b *testing.B, goroutines int) {
				b.Helper()
				b.ReportAllocs()
				parallel(b, goroutines, func(rng *rand.Rand, i int) error { return y.do(&m, rng, i) })
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
			})
		})
	}
}
