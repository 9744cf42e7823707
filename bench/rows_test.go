package bench

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// nRows is how many rows the benchmarks of reads load first; fewer if the
// values are large.
var nRows = flag.Int("rows", 200_000, "rows to load before reading")

const (
	keySize   = 16
	valueSize = 100 // in bytes, unless it is varied

	batch        = 1000      // rows to a commit of a load
	loadedMax    = 256 << 20 // bytes of values
	cacheLarge   = 512 << 20 // holds everything
	collectionID = "c"
)

// randomKeys returns n distinct keys of 16 bytes in random order.
func randomKeys(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, rng.Uint64()), uint64(i))
	}
	return keys
}

// orderedKey returns key i in the order of keys.
func orderedKey(i int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, keySize-8, keySize), uint64(i))
}

// values are bytes that do not compress; a value is some stretch of them.
type values struct {
	random []byte
	size   int
}

func newValues(size int) *values {
	v := &values{random: make([]byte, size+1<<16), size: size}
	rng := rand.NewChaCha8([32]byte{3})
	_, _ = rng.Read(v.random) // never fails
	return v
}

func (v *values) at(i int) []byte {
	from := i * 977 % (1 << 16)
	return v.random[from : from+v.size]
}

// rowsOf is how many rows of a size are loaded.
func rowsOf(size int) int { return min(*nRows, max(loadedMax/size, 1000)) }

func devKey(b *testing.B, dir string) crypt.Provider {
	b.Helper()
	key, err := keyuri.Open(b.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		b.Fatal(err)
	}
	return key
}

func openAt(b *testing.B, dir string, key crypt.Provider, o *engine.Options) *engine.DB {
	b.Helper()
	db, err := engine.Open(b.Context(), dir, key, o)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

func closeDB(b *testing.B, db *engine.DB) {
	b.Helper()
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// newDB returns an empty database with a collection, which is closed when the
// benchmark ends.
func newDB(b *testing.B, o *engine.Options) *engine.DB {
	b.Helper()
	dir := b.TempDir()
	db := openAt(b, filepath.Join(dir, "b.byok"), devKey(b, dir), o)
	b.Cleanup(func() { closeDB(b, db) })
	createCollection(b, db)
	return db
}

func createCollection(b *testing.B, db *engine.DB) {
	b.Helper()
	if err := db.Update(func(tx *engine.Tx) error {
		_, err := tx.CreateCollectionIfNotExists(collectionID)
		return err
	}); err != nil {
		b.Fatal(err)
	}
}

// write commits n rows.
func write(b *testing.B, db *engine.DB, n int, row func(i int) (key, value []byte)) {
	b.Helper()
	err := db.Update(func(tx *engine.Tx) error {
		c, err := tx.Collection(collectionID)
		for i := 0; i < n && err == nil; i++ {
			err = c.Put(row(i))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// fill loads rows in the order of keys given, batch rows to a commit.
func fill(b *testing.B, db *engine.DB, keys [][]byte, v *values) {
	b.Helper()
	createCollection(b, db)
	for at := 0; at < len(keys); at += batch {
		write(b, db, min(batch, len(keys)-at), func(i int) ([]byte, []byte) { return keys[at+i], v.at(at + i) })
	}
}

// view runs fn in a read transaction.
func view(b *testing.B, db *engine.DB, fn func(c *engine.Collection) error) {
	b.Helper()
	err := db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collectionID)
		if err != nil {
			return err
		}
		return fn(c)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// A dataset is a loaded database that benchmarks read one after the other.
type dataset struct {
	db   *engine.DB
	keys [][]byte
	vals *values
	key  crypt.Provider
	dir  string
}

// current is the dataset that was read last. One is kept: loading takes longer
// than most reading.
var current *dataset

// loaded returns a database with rows of some size in one level, all of it in
// the cache. It must not be changed.
func loaded(b *testing.B, size int) *dataset {
	b.Helper()
	if current != nil && current.vals.size == size {
		return current
	}
	if err := dropDataset(); err != nil {
		b.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "byokdb-bench-") //nolint:usetesting // it outlives this benchmark
	if err != nil {
		b.Fatal(err)
	}
	d := &dataset{keys: randomKeys(rowsOf(size)), vals: newValues(size), key: devKey(b, dir), dir: dir}
	d.db = openAt(b, filepath.Join(dir, "b.byok"), d.key, &engine.Options{CacheSize: cacheLarge, Sync: engine.SyncOff})
	current = d
	fill(b, d.db, d.keys, d.vals)
	if err := d.db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	if n := d.scan(b, false); n != len(d.keys) { // fills the cache
		b.Fatalf("%d rows, not %d", n, len(d.keys))
	}
	return d
}

func dropDataset() error {
	if current == nil {
		return nil
	}
	d := current
	current = nil
	return errors.Join(d.db.Close(), d.key.Close(), os.RemoveAll(d.dir))
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := dropDataset(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// traffic reports what was written for each byte that was stored, and how many
// syncs there were for each commit.
func traffic(b *testing.B, db *engine.DB, before engine.Status, commits, stored int) {
	b.Helper()
	st := db.Status()
	b.ReportMetric(float64(st.BytesWritten-before.BytesWritten)/float64(max(stored, 1)), "written-B/stored-B")
	b.ReportMetric(float64(st.Syncs-before.Syncs)/float64(max(commits, 1)), "syncs/commit")
}

// parallel calls fn for b.N indexes from some goroutines, each with a source of
// its own.
func parallel(b *testing.B, goroutines int, fn func(rng *rand.Rand, i int) error) {
	b.Helper()
	if goroutines == 1 {
		rng, i := rand.New(rand.NewPCG(5, 0)), 0
		for b.Loop() {
			if err := fn(rng, i); err != nil {
				b.Fatal(err)
			}
			i++
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for g := range goroutines {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(g)))
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if err := fn(rng, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// each runs a sub-benchmark for every value of a parameter.
func each(b *testing.B, name string, of []int, fn func(b *testing.B, v int)) {
	b.Helper()
	for _, v := range of {
		b.Run(fmt.Sprintf("%s=%d", name, v), func(b *testing.B) { fn(b, v) })
	}
}

var sizes = []int{20, valueSize, 1 << 10, 16 << 10}
