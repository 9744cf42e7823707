package bench

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/engine"
)

// nLogRows is how many rows the log holds in BenchmarkRecovery: as many as three
// memtables of the default size, the most that is ever unflushed.
var nLogRows = flag.Int("log-rows", 1_500_000, "rows in the log to recover from")

// checkLast reads the row that was written last.
func checkLast(b *testing.B, db *engine.DB, n int) {
	b.Helper()
	view(b, db, func(c *engine.Collection) error {
		v, err := c.Get(randomKeys(n)[n-1])
		if err == nil && len(v) != valueSize {
			err = errors.New("the last row is not what it was")
		}
		return err
	})
}

// BenchmarkOpen opens a database that was closed in order.
func BenchmarkOpen(b *testing.B) {
	base := b.TempDir()
	key, dir := devKey(b, base), filepath.Join(base, "b.byok")
	db := openAt(b, dir, key, &engine.Options{Sync: engine.SyncOff})
	fill(b, db, randomKeys(*nRows), newValues(valueSize))
	closeDB(b, db)
	for b.Loop() {
		db := openAt(b, dir, key, nil)
		b.StopTimer()
		closeDB(b, db)
		b.StartTimer()
	}
	b.StopTimer()
	db = openAt(b, dir, key, nil)
	checkLast(b, db, *nRows)
	closeDB(b, db)
}

// BenchmarkRecovery opens a database whose process was killed with everything
// in the log.
func BenchmarkRecovery(b *testing.B) {
	base := b.TempDir()
	key := devKey(b, base)
	dir := filepath.Join(base, "b.byok")
	db := openAt(b, dir, key, &engine.Options{Sync: engine.SyncOff, MemtableSize: 1 << 30})
	fill(b, db, randomKeys(*nLogRows), newValues(valueSize))
	st := db.Status()
	if st.Runs > 0 {
		b.Fatalf("%d runs: not everything is in the log", st.Runs)
	}
	killed := filepath.Join(base, "killed.byok") // an idle database's files are as a kill leaves them
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	closeDB(b, db)
	again := filepath.Join(base, "again.byok")
	for first := true; b.Loop(); first = false {
		b.StopTimer()
		if err := os.RemoveAll(again); err != nil {
			b.Fatal(err)
		}
		if err := os.CopyFS(again, os.DirFS(killed)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		db := openAt(b, again, key, nil)
		b.StopTimer()
		if first {
			checkLast(b, db, *nLogRows)
		}
		closeDB(b, db)
		b.StartTimer()
	}
	b.ReportMetric(float64(*nLogRows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(st.LogBytes)/(1<<20), "log-MiB")
}
