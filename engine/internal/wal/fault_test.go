package wal

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
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

// TestNoRoom: a frame or a segment for which the disk has no room is refused, and
// nothing of it is there; with room the log goes on.
func TestNoRoom(t *testing.T) {
	for _, recycles := range []int{1, -1} {
		cfg := testConfig(t)
		f := memfs.New(t.TempDir())
		cfg.FS, cfg.Dir, cfg.SegmentSize, cfg.MaxRecycled = f, "/wal", 128<<10, recycles
		l, _ := mustOpen(t, cfg, Floor{})
		var want []string
		refused := 0
		for i := range 400 {
			if i%20 == 0 {
				f.SetCapacity(f.Used() + int64(i%60)<<10)
			}
			payload := strings.Repeat(string(rune('a'+i%26)), 1+i*3%5000)
			_, err := l.Append([]byte(payload))
			if err == nil {
				want = append(want, payload)
				continue
			}
			refused++
			if !errors.Is(err, ErrNoRoom) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrFailed) {
				t.Fatalf("append on a full disk: %v", err)
			}
			if _, err := l.Rotate(); err != nil && !errors.Is(err, ErrNoRoom) {
				t.Fatalf("rotate on a full disk: %v", err)
			}
			if refused%4 == 0 {
				f.SetCapacity(f.Used() + 200<<10)
			}
		}
		if refused == 0 || len(want) < 100 {
			t.Errorf("%d frames were refused, %d taken", refused, len(want))
		}
		f.SetCapacity(0)
		mustDo(t, l.Sync())
		after, err := f.Crash(rand.New(rand.NewPCG(1, 1)), memfs.Ordered)
		mustDo(t, err)
		cfg.FS = after
		if _, c := mustOpen(t, cfg, Floor{}); !slices.Equal(c.payloads, want) {
			t.Errorf("after a crash there are %d frames, %d were taken", len(c.payloads), len(want))
		}
	}
}
