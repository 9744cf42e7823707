package wal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// TestLostSync: a sync fails and the disk does not get the frame, but the
// system's cache shows it to the next process, which begins a segment behind it.
// After a crash the log must be whole: W5, W7.
func TestLostSync(t *testing.T) {
	cfg := testConfig(t)
	f := memfs.New(t.TempDir())
	cfg.FS, cfg.Dir = f, "/wal"
	l, _ := mustOpen(t, cfg, Floor{})
	mustAppend(t, l, "one")
	mustDo(t, l.Sync())
	mustAppend(t, l, "two")
	f.SetFault(&memfs.Fault{Err: syscall.EIO, Lose: true})
	if err := l.Sync(); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	l.Wipe()
	l, c := mustOpen(t, cfg, Floor{})
	if !slices.Equal(c.payloads, []string{"one", "two"}) {
		t.Fatalf("opened again, it has %q: the case is not the one to be tested", c.payloads)
	}
	mustAppend(t, l, "three")
	mustDo(t, l.Sync())
	after, err := f.Crash(rand.New(rand.NewPCG(1, 1)), memfs.Ordered)
	mustDo(t, err)
	cfg.FS = after
	if _, c = mustOpen(t, cfg, Floor{}); !slices.Equal(c.payloads, []string{"one", "two", "three"}) {
		t.Errorf("after a crash it has %q", c.payloads)
	}
}
