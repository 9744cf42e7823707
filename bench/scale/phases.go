package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/byokdb/byokdb/engine"
)

// space settles the tree and compares its size with that of the same rows after
// a compaction of everything.
func (b *bench) space(ctx context.Context) error {
	b.quiet()
	b.report.DiskSteady = b.disk()
	if err := b.db.Compact(ctx); err != nil {
		return err
	}
	b.report.DiskCompacted = b.disk()
	b.report.MemoryPeak = b.highest.Load() // what follows opens the database twice
	b.report.SpaceFactor = float64(b.report.DiskSteady) / float64(b.report.DiskCompacted)
	return nil
}

// recover copies the database after writers have been at work, as a crash of
// the process would leave it, and opens the copy.
func (b *bench) recover(ctx context.Context) error {
	if _, err := b.drive(10*time.Second, 0); err != nil {
		return err
	}
	copied := filepath.Join(b.dir, "crashed.byok")
	for { // again if a flush or compaction came in between
		before := b.db.Status().Generation
		err := os.CopyFS(copied, os.DirFS(b.path))
		if after := b.db.Status().Generation; err == nil && before == after {
			break
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.RemoveAll(copied); err != nil {
			return err
		}
	}
	b.report.RecoveryLog = b.db.Status().LogBytes
	at := time.Now()
	o, err := b.options()
	if err != nil {
		return err
	}
	db, err := engine.Open(ctx, copied, b.key, o)
	if err != nil {
		return err
	}
	b.report.Recovery = time.Since(at)
	if err := db.Close(); err != nil {
		return err
	}
	return os.RemoveAll(copied)
}

// reopen closes and opens.
func (b *bench) reopen(ctx context.Context) error {
	at := time.Now()
	if err := b.db.Close(); err != nil {
		return err
	}
	b.report.CloseSeconds = time.Since(at).Seconds()
	at = time.Now()
	o, err := b.options()
	if err != nil {
		return err
	}
	if b.db, err = engine.Open(ctx, b.path, b.key, o); err != nil {
		return err
	}
	b.report.OpenClean = time.Since(at)
	return nil
}

// watch notes the peak of memory until the process ends, and reports progress.
func (b *bench) watch() {
	b.report.MemoryBound = b.cache + 3*b.memtable + 16<<20
	db := b.db
	go func() {
		var last uint64
		for n := 0; ; n++ {
			time.Sleep(100 * time.Millisecond)
			m := anonymous()
			b.highest.Store(max(b.highest.Load(), m))
			if n%10 != 0 {
				continue
			}
			st, rows := db.Status(), b.rowsAt.Load()
			fmt.Fprintf(os.Stderr, "%9d rows %8d rows/s  memory %4d MiB (memtables %d)  runs %v %d MiB  log %d MiB\n",
				rows, rows-min(last, rows), m>>20, st.MemtableBytes>>20, st.RunsPerLevel, st.RunBytes>>20, st.LogBytes>>20)
			last = rows
		}
	}()
}

// anonymous returns the memory of this process that no file backs, in bytes:
// the Go heap, stacks, and what is mapped outside of them. 0 where the system
// does not tell.
func anonymous() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // read only
	var n int64
	for s := bufio.NewScanner(f); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		if name == "RssAnon" || name == "RssShmem" {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err == nil {
				n += kb << 10
			}
		}
	}
	return n
}
