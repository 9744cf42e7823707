package engine

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/byokdb/byokdb/internal/clock"
)

// stoppedClock costs nothing to read: with it a lease check is two loads from
// memory.
type stoppedClock struct{ clock.Clock }

func (stoppedClock) Monotonic() time.Duration { return time.Hour }

// BenchmarkLease reads random records from the cache in an open transaction, with
// the guard as it is and with a clock that costs nothing: the difference is what
// the lease costs a read.
func BenchmarkLease(b *testing.B) {
	for _, c := range []struct {
		name  string
		clock clock.Clock
	}{{"checked", clock.System()}, {"free", stoppedClock{clock.System()}}} {
		b.Run(c.name, func(b *testing.B) {
			db, err := Open(b.Context(), filepath.Join(b.TempDir(), "l.byok"), newFakeKey("k"), &Options{clock: c.clock, MemtableSize: 1 << 20})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }() // what is measured has been read
			const rows = 100_000
			key, value := make([]byte, 16), make([]byte, 100)
			for from := uint64(0); from < rows; from += 1000 {
				err := db.Update(func(tx *Tx) error {
					col, err := tx.CreateCollectionIfNotExists("c")
					for i := from; i < from+1000 && err == nil; i++ {
						binary.BigEndian.PutUint64(key, i)
						err = col.Put(key, value)
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			tx, err := db.Begin(false)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }() // it reads alone
			col, err := tx.Collection("c")
			if err != nil {
				b.Fatal(err)
			}
			x := uint64(1)
			for b.Loop() {
				x = x*6364136223846793005 + 1442695040888963407
				binary.BigEndian.PutUint64(key, (x>>33)%rows)
				if _, err := col.UnsafeGet(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
