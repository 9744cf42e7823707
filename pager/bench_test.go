package pager

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// benchRows builds n rows of 16 B random keys and 100 B random values, the
// shape of the peers' benchmark, sorted by key.
func benchRows(n int) []entry {
	r := rand.New(rand.NewPCG(1, 2))
	step := ^uint64(0) / uint64(n)
	out := make([]entry, n)
	for i := range out {
		key := binary.BigEndian.AppendUint64(nil, uint64(i)*step+r.Uint64N(step))
		out[i] = entry{binary.BigEndian.AppendUint64(key, r.Uint64()), Put, fill(r, make([]byte, 100))}
	}
	return out
}

func benchRun(b *testing.B, n int, budget int64) (*Run, []entry) {
	b.Helper()
	f := newFixture(b, budget)
	rows := benchRows(n)
	return f.newRun(b, PageSizeDefault, S2, rows), rows
}

const benchRowsN = 1_000_000

func warm(b *testing.B, r *Run, rows []entry) {
	b.Helper()
	for i := 0; i < len(rows); i += 20 {
		if _, _, ok, err := r.Get(nil, rows[i].key); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	r, rows := benchRun(b, benchRowsN, 256<<20)
	warm(b, r, rows)
	b.Run("hit", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(3, 4))
		dst := make([]byte, 0, 200)
		b.ReportAllocs()
		for b.Loop() {
			if _, _, ok, err := r.Get(dst, rows[rnd.IntN(len(rows))].key); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("baseline", func(b *testing.B) { // what the benchmark itself costs
		rnd := rand.New(rand.NewPCG(3, 4))
		n := 0
		for b.Loop() {
			n += int(rows[rnd.IntN(len(rows))].key[0])
		}
	})
	b.Run("miss", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(3, 4))
		key := make([]byte, 16)
		b.ReportAllocs()
		for b.Loop() {
			binary.BigEndian.PutUint64(key, rnd.Uint64())
			if _, _, ok, err := r.Get(nil, key); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			rnd := rand.New(rand.NewPCG(rand.Uint64(), 4))
			dst := make([]byte, 0, 200)
			for pb.Next() {
				if _, _, ok, err := r.Get(dst, rows[rnd.IntN(len(rows))].key); !ok || err != nil {
					b.Error(ok, err)
				}
			}
		})
	})
	b.Run("seek", func(b *testing.B) {
		rnd := rand.New(rand.NewPCG(3, 4))
		it := r.NewIter()
		defer func() { _ = it.Close() }()
		b.ReportAllocs()
		for b.Loop() {
			if !it.SeekGE(rows[rnd.IntN(len(rows))].key) {
				b.Fatal(it.Err())
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		it := r.NewIter()
		defer func() { _ = it.Close() }()
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			if !it.Valid() && !it.First() {
				b.Fatal(it.Err())
			}
			v, err := it.Value()
			if err != nil {
				b.Fatal(err)
			}
			n += len(it.Key()) + len(v)
			it.Next()
		}
		if n == 0 {
			b.Fatal("no bytes seen")
		}
	})
}

// A cache far below the data: nearly every read opens a page.
func BenchmarkGetCold(b *testing.B) {
	r, rows := benchRun(b, benchRowsN/4, 3<<20)
	rnd := rand.New(rand.NewPCG(3, 4))
	dst := make([]byte, 0, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok, err := r.Get(dst, rows[rnd.IntN(len(rows))].key); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkScanCold(b *testing.B) {
	r, _ := benchRun(b, benchRowsN/4, CacheBudgetMin)
	it := r.NewIter()
	defer func() { _ = it.Close() }()
	for b.Loop() {
		if !it.Next() && !it.First() {
			b.Fatal(it.Err())
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	f := newFixture(b, CacheBudgetMin)
	rows := benchRows(100_000)
	b.SetBytes(int64(len(rows)) * 116)
	for b.Loop() {
		f.build(b, f.config(0, S2), rows)
	}
}
