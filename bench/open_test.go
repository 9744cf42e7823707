package bench

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// nLogRows is how many rows the log holds in BenchmarkRecovery: as many as three
// memtables of the default size, the most that is ever unflushed.
var nLogRows = flag.Int("log-rows", 1_500_000, "rows in the log to recover from")

func devKey(b *testing.B) crypt.Provider {
	b.Helper()
	key, err := keyuri.Open(b.Context(), "local:"+filepath.Join(b.TempDir(), "dev.key"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := key.Close(); err != nil {
			b.Error(err)
		}
	})
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

// fill loads rows in random order, 1000 to a commit.
func fill(b *testing.B, db *engine.DB, n int) {
	b.Helper()
	if err := db.Update(func(tx *engine.Tx) error {
		_, err := tx.CreateCollection("c")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	byokdbStore{db}.load(b, randomKeys(n), randomValue(), 1000)
}

// checkLast reads the row that was written last.
func checkLast(b *testing.B, db *engine.DB, n int) {
	b.Helper()
	last := randomKeys(n)[n-1]
	if err := (byokdbStore{db}).read(func(get func(key []byte) []byte) error {
		if len(get(last)) != valueSize {
			b.Fatal("the last row is missing")
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

func closeDB(b *testing.B, db *engine.DB) {
	b.Helper()
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen opens a database that was closed in order.
func BenchmarkOpen(b *testing.B) {
	key, dir := devKey(b), filepath.Join(b.TempDir(), "b.byok")
	db := openAt(b, dir, key, &engine.Options{Sync: engine.SyncOff})
	fill(b, db, *nRows)
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
	key, base := devKey(b), b.TempDir()
	dir := filepath.Join(base, "b.byok")
	db := openAt(b, dir, key, &engine.Options{Sync: engine.SyncOff, MemtableSize: 1 << 30})
	fill(b, db, *nLogRows)
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
