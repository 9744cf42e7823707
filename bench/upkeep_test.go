package bench

import (
	"math/rand/v2"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// throughput reports megabytes of rows a second.
func throughput(b *testing.B, bytes int) {
	b.Helper()
	b.ReportMetric(float64(bytes)*float64(b.N)/b.Elapsed().Seconds()/1e6, "MB/s")
}

// BenchmarkFlush writes a memtable of rows to a run. An empty bulk load waits for
// that: what was committed before it is in runs when it ends.
func BenchmarkFlush(b *testing.B) {
	const rows = 100_000
	keys, vals := randomKeys(rows), newValues(valueSize)
	db := newDB(b, &engine.Options{Sync: engine.SyncOff})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		fill(b, db, keys, vals)
		before := db.Status()
		b.StartTimer()
		_, err := db.Bulk(b.Context(), "other", func(yield func(k, v []byte) bool) { yield(orderedKey(i), vals.at(i)) })
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if st := db.Status(); st.BytesWritten-before.BytesWritten < rows*valueSize {
			b.Fatalf("%d bytes were written", st.BytesWritten-before.BytesWritten)
		}
		b.StartTimer()
	}
	throughput(b, rows*(keySize+valueSize))
}

// BenchmarkCompact merges a loaded database with updates of a tenth of it.
func BenchmarkCompact(b *testing.B) {
	keys, vals := randomKeys(*nRows), newValues(valueSize)
	db, rng := newDB(b, &engine.Options{Sync: engine.SyncOff}), rand.New(rand.NewPCG(13, 14))
	fill(b, db, keys, vals)
	if err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		for range max(len(keys)/10/batch, 1) {
			write(b, db, batch, func(int) ([]byte, []byte) { return keys[rng.IntN(len(keys))], vals.at(rng.IntN(1 << 20)) })
		}
		b.StartTimer()
		if err := db.Compact(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	throughput(b, len(keys)*(keySize+valueSize))
}

// BenchmarkRotate makes a new data key and seals everything under it.
func BenchmarkRotate(b *testing.B) {
	keys, vals := randomKeys(*nRows), newValues(valueSize)
	db := newDB(b, &engine.Options{Sync: engine.SyncOff})
	fill(b, db, keys, vals)
	if err := db.Compact(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if err := db.RotateKey(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := db.AwaitRotation(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	throughput(b, len(keys)*(keySize+valueSize))
}
