package wal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/byokdb/byokdb/internal/vfs"
)

// mustRead begins to read the segment of that number without its key.
func mustRead(tb testing.TB, cfg Config, number uint64) *Reading {
	tb.Helper()
	f, err := cfg.FS.Open(cfg.path(number))
	mustDo(tb, err)
	tb.Cleanup(func() { mustDo(tb, f.Close()) })
	r, err := Read(f, cfg.path(number))
	mustDo(tb, err)
	return r
}

// TestEndOfASegment: without the key, the end of a segment is found wherever it
// is, and after damage the whole file is taken.
func TestEndOfASegment(t *testing.T) {
	cfg := testConfig(t)
	l, ends := small(t, cfg, 5)
	r := mustRead(t, cfg, 1)
	end, err := r.End()
	if err != nil || end != ends[5] || r.Header.Segment != 1 || r.Header.Database != cfg.Database {
		t.Fatalf("end %d, %v, want %d", end, err, ends[5])
	}
	mustAppend(t, l, "more")
	if again, err := r.End(); err != nil || again != end+frameAlign {
		t.Errorf("after another frame: %d, %v", again, err)
	}
	mustDo(t, l.Close())
	whole, err := os.ReadFile(cfg.path(1))
	mustDo(t, err)
	at := func(b []byte) int64 {
		t.Helper()
		mustDo(t, os.WriteFile(cfg.path(1), b, 0o600))
		end, err := mustRead(t, cfg, 1).End()
		mustDo(t, err)
		return end
	}
	if got := at(whole); got != int64(len(whole)) {
		t.Errorf("closed: %d of %d", got, len(whole))
	}
	for i := range 4 {
		bad := bytes.Clone(whole)
		bad[ends[i]] ^= 1
		if got := at(bad); got != int64(len(whole)) {
			t.Errorf("frame %d does not begin: %d of %d", i+1, got, len(whole))
		}
		if got := at(whole[:ends[i]]); got != ends[i] {
			t.Errorf("cut behind frame %d: %d, want %d", i, got, ends[i])
		}
		if got := at(whole[:ends[i]+30]); got != ends[i]+30 { // all there is of the frame that is torn
			t.Errorf("cut within frame %d: %d, want %d", i+1, got, ends[i]+30)
		}
	}
	if got := at(whole[:headerSize]); got != headerSize {
		t.Errorf("no frames: %d", got)
	}
	if _, err := Read(failingReader{}, "x"); err == nil {
		t.Error("a file that cannot be read")
	}
}

// failingReader is a file that cannot be read.
type failingReader struct{ vfs.File }

func (failingReader) ReadAt([]byte, int64) (int, error) { return 0, iotest.ErrTimeout }

// TestPin: pinned segments stay although they are released, and go with the
// release after.
func TestPin(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	mustAppend(t, l, "one")
	floor, err := l.Rotate()
	mustDo(t, err)
	mustAppend(t, l, "two")
	pieces, err := l.Pin(Floor{})
	mustDo(t, err)
	if len(pieces) != 2 || pieces[0].Segment != 1 || pieces[1].Size != l.cur.end || pieces[0].Path != cfg.path(1) {
		t.Fatalf("%+v", pieces)
	}
	if above, err := l.Pin(floor); err != nil || len(above) != 1 || above[0].Segment != floor.Segment {
		t.Errorf("%+v, %v", above, err)
	}
	l.Unpin()
	mustDo(t, l.Release(floor))
	if _, err := os.Stat(cfg.path(1)); err != nil {
		t.Errorf("a pinned segment: %v", err)
	}
	r := mustRead(t, cfg, 1)
	l.Unpin()
	mustDo(t, l.Release(floor))
	if _, err := os.Stat(cfg.path(1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a released segment: %v", err)
	}
	if same, err := r.Same(); err != nil || !same {
		t.Errorf("before it is used again: %t, %v", same, err)
	}
	if _, err := l.Rotate(); err != nil { // in the first one's file
		t.Fatal(err)
	}
	if same, err := r.Same(); err != nil || same {
		t.Errorf("used again: %t, %v", same, err)
	}
	l.Wipe()
	if _, err := l.Pin(floor); !errors.Is(err, ErrClosed) {
		t.Errorf("wiped: %v", err)
	}
}

// TestLeast: a log is admitted when it holds a frame that it held before, and
// refused unchanged when it does not.
func TestLeast(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	var marks []Mark
	for i := range 4 {
		mustAppend(t, l, payloadOf(i))
		if had := l.Durable(); i > 0 && had != marks[i-1] {
			t.Errorf("frame %d is durable without a sync", had.Frame)
		}
		mustDo(t, l.Sync())
		marks = append(marks, l.Durable())
	}
	if marks[3].Frame != 4 || marks[3].Tag == (Tag{}) {
		t.Fatalf("%+v", marks[3])
	}
	floor, err := l.Rotate()
	mustDo(t, err)
	mustAppend(t, l, "behind")
	mustDo(t, l.Close())
	if end := l.Durable(); end.Frame != 6 {
		t.Errorf("closed with frame %d", end.Frame)
	}
	last := l.Durable()
	fork := marks[2]
	fork.Tag[0]++
	for _, c := range []struct {
		name  string
		least Mark
		floor Floor
		want  error
	}{
		{"none", Mark{}, Floor{}, nil},
		{"the first", marks[0], Floor{}, nil},
		{"the third", marks[2], Floor{}, nil},
		{"the end frame", last, Floor{}, nil},
		{"the one before the floor", marks[3], floor, nil},
		{"one below the floor", fork, floor, nil},
		{"a fork", fork, Floor{}, ErrStale},
		{"a fork at the floor", Mark{Frame: 4, Tag: fork.Tag}, floor, ErrStale},
		{"one behind the end", Mark{Frame: last.Frame + 1}, Floor{}, ErrStale},
		{"one far behind the end", Mark{Frame: 1 << 40}, floor, ErrStale},
	} {
		copied := cfg
		copied.Least = c.least
		copied.Dir = filepath.Join(t.TempDir(), "wal")
		mustDo(t, os.CopyFS(copied.Dir, os.DirFS(cfg.Dir)))
		before := read(t, copied)
		l, err := Open(copied, c.floor, func(uint64, []byte) error { return nil })
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil {
			mustDo(t, l.Close())
			continue
		}
		if after := read(t, copied); len(after) != len(before) {
			t.Errorf("%s: the log was changed", c.name)
		}
		if se, ok := errors.AsType[*SegmentError](err); !ok || se.Frame == 0 {
			t.Errorf("%s: no place in %v", c.name, err)
		}
	}
	refused := errors.New("not admitted")
	copied := cfg
	copied.Admit = func() error { return refused }
	if _, err := Open(copied, Floor{}, func(uint64, []byte) error { return nil }); !errors.Is(err, refused) {
		t.Errorf("Admit: %v", err)
	}
}
