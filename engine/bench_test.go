package engine

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkCompact merges everything: so many runs of level 0 with random keys.
func BenchmarkCompact(b *testing.B) {
	for _, nRuns := range []int{4, 16} {
		b.Run(fmt.Sprintf("runs=%d", nRuns), func(b *testing.B) {
			const rows = 100_000 // in each run
			var n int64
			for b.Loop() {
				b.StopTimer()
				db, err := Open(b.Context(), filepath.Join(b.TempDir(), "c.byok"), newFakeKey("k"), nil)
				if err != nil {
					b.Fatal(err)
				}
				db.session.stop()
				stackRuns(b, db, nRuns, rows)
				s := db.session
				c := s.version.ref().job(0, lastLevel, s.version.levels[0])
				c.live = newLive(s.manifest)
				b.StartTimer()
				if err := s.compact(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				n += int64(nRuns * rows)
				b.StopTimer()
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/row")
		})
	}
}

// stackRuns writes runs of random rows to level 0.
func stackRuns(b *testing.B, db *DB, nRuns, rows int) {
	b.Helper()
	s := db.session
	value := make([]byte, 100)
	x := uint64(1)
	for range nRuns {
		t := newTable(freeTable)
		key := make([]byte, 20)
		binary.BigEndian.PutUint32(key, 1)
		for range rows {
			x = x*6364136223846793005 + 1442695040888963407
			binary.BigEndian.PutUint64(key[4:], x^x>>29)
			for i := 0; i < 50; i += 8 {
				binary.BigEndian.PutUint64(value[i:], x*uint64(i+3))
			}
			if err := t.Set(key, 1, value); err != nil {
				b.Fatal(err)
			}
		}
		t.dir, t.last = s.dir, s.applied
		t.floor = s.manifest.Floor
		s.frozen = append(s.frozen, t)
		if err := s.flushOldest(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
