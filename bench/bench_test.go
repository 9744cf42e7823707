package bench

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// store is what both engines do in these benchmarks.
type store interface {
	// load writes n rows in batches, each durable.
	load(b *testing.B, keys [][]byte, value []byte, batch int)
	// put makes one row durable; others may do so at the same time.
	put(key, value []byte, others bool) error
	// read calls fn with a function that reads one key.
	read(fn func(get func(key []byte) []byte) error) error
	scan() (rows, bytes int, err error)
	close() error
}

var stores = []struct {
	name string
	open func(b *testing.B) store
}{{"byokdb", openByokdb}, {"bbolt", openBolt}}

type byokdbStore struct{ db *engine.DB }

func openByokdb(b *testing.B) store {
	b.Helper()
	dir := b.TempDir()
	key, err := keyuri.Open(b.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		b.Fatal(err)
	}
	db, err := engine.Open(b.Context(), filepath.Join(dir, "b.byok"), key, &engine.Options{CacheSize: 512 << 20})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Update(func(tx *engine.Tx) error {
		_, err := tx.CreateCollection("c")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return byokdbStore{db}
}

func (s byokdbStore) load(b *testing.B, keys [][]byte, value []byte, batch int) {
	b.Helper()
	for len(keys) > 0 {
		n := min(batch, len(keys))
		err := s.db.Update(func(tx *engine.Tx) error {
			c, err := tx.Collection("c")
			for i := 0; i < n && err == nil; i++ {
				err = c.Put(keys[i], value)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		keys = keys[n:]
	}
}

func (s byokdbStore) put(key, value []byte, _ bool) error {
	return s.db.Update(func(tx *engine.Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		return c.Put(key, value)
	})
}

func (s byokdbStore) read(fn func(get func(key []byte) []byte) error) error {
	return s.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		return fn(func(key []byte) []byte {
			v, err := c.Get(key)
			if err != nil {
				return nil
			}
			return v
		})
	})
}

func (s byokdbStore) scan() (rows, bytes int, err error) {
	err = s.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		cur := c.Cursor(nil, nil)
		for cur.Next() {
			rows++
			bytes += len(cur.UnsafeKey()) + len(cur.UnsafeValue())
		}
		if err := cur.Err(); err != nil {
			return err
		}
		return cur.Close()
	})
	return rows, bytes, err
}

func (s byokdbStore) close() error { return s.db.Close() }

type boltStore struct{ db *bbolt.DB }

var bucket = []byte("c")

func openBolt(b *testing.B) store {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "b.bolt"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return boltStore{db}
}

func (s boltStore) load(b *testing.B, keys [][]byte, value []byte, batch int) {
	b.Helper()
	for len(keys) > 0 {
		n := min(batch, len(keys))
		err := s.db.Update(func(tx *bbolt.Tx) (err error) {
			c := tx.Bucket(bucket)
			for i := 0; i < n && err == nil; i++ {
				err = c.Put(keys[i], value)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		keys = keys[n:]
	}
}

// put commits concurrent rows together, as bbolt's documentation says for that;
// alone, Batch would wait for others that do not come.
func (s boltStore) put(key, value []byte, others bool) error {
	do := s.db.Update
	if others {
		do = s.db.Batch
	}
	return do(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
}

func (s boltStore) read(fn func(get func(key []byte) []byte) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(tx.Bucket(bucket).Get) })
}

func (s boltStore) scan() (rows, bytes int, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		cur := tx.Bucket(bucket).Cursor()
		for k, v := cur.First(); k != nil; k, v = cur.Next() {
			rows++
			bytes += len(k) + len(v)
		}
		return nil
	})
	return rows, bytes, err
}

func (s boltStore) close() error { return s.db.Close() }

// nRows is how many rows the benchmarks of reads load first.
var nRows = flag.Int("rows", 200_000, "rows to load before reading")

const valueSize = 100

// randomKeys returns n distinct keys of 16 bytes in random order.
func randomKeys(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, rng.Uint64()), uint64(i))
	}
	return keys
}

// randomValue does not compress.
func randomValue() []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	v := make([]byte, valueSize)
	for i := range v {
		v[i] = byte(rng.Uint32())
	}
	return v
}

func forEach(b *testing.B, loaded bool, fn func(b *testing.B, s store, keys [][]byte)) {
	b.Helper()
	for _, st := range stores {
		b.Run(st.name, func(b *testing.B) {
			s := st.open(b)
			keys := randomKeys(*nRows)
			if loaded {
				s.load(b, keys, randomValue(), 1000)
			}
			fn(b, s, keys)
			b.StopTimer()
			if err := s.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkLoad writes rows in random order, 1000 to a durable commit.
func BenchmarkLoad(b *testing.B) {
	forEach(b, false, func(b *testing.B, s store, keys [][]byte) {
		b.Helper()
		value, n := randomValue(), 0
		for b.Loop() {
			if n+1000 > len(keys) {
				n = 0
			}
			s.load(b, keys[n:n+1000], value, 1000)
			n += 1000
		}
		b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rows/s")
	})
}

// BenchmarkGet reads random rows that are in the cache.
func BenchmarkGet(b *testing.B) {
	forEach(b, true, func(b *testing.B, s store, keys [][]byte) {
		b.Helper()
		if _, _, err := s.scan(); err != nil {
			b.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, 6))
		buf := make([]byte, 0, valueSize)
		err := s.read(func(get func(key []byte) []byte) error {
			for b.Loop() {
				v := get(keys[rng.IntN(len(keys))])
				if len(v) != valueSize {
					return fmt.Errorf("value of %d bytes", len(v))
				}
				buf = append(buf[:0], v...)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkScan walks all rows; ns/row is its figure.
func BenchmarkScan(b *testing.B) {
	forEach(b, true, func(b *testing.B, s store, _ [][]byte) {
		b.Helper()
		for b.Loop() {
			if rows, _, err := s.scan(); err != nil || rows != *nRows {
				b.Fatal(rows, err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(*nRows), "ns/row")
	})
}

// BenchmarkCommit makes one row durable at a time.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			forEach(b, false, func(b *testing.B, s store, keys [][]byte) {
				b.Helper()
				value := randomValue()
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						for {
							i := int(next.Add(1)) - 1
							if i >= b.N {
								return
							}
							if err := s.put(keys[i%len(keys)], value, writers > 1); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		})
	}
}
