package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

func testRing(tb testing.TB, seed byte) *crypt.KeyRing {
	tb.Helper()
	dek, err := crypt.NewSecret(bytes.Repeat([]byte{seed}, crypt.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	ring := crypt.NewKeyRing()
	ring.Add(1, dek)
	tb.Cleanup(ring.Wipe)
	return ring
}

func testConfig(tb testing.TB) Config {
	tb.Helper()
	return Config{
		FS: vfs.OS(), Dir: filepath.Join(tb.TempDir(), "wal"), Database: crypt.ID{1, 2, 3}, Ring: testRing(tb, 7),
		SegmentSize: 256 << 10,
	}
}

// collected is what a replay delivered.
type collected struct {
	frames   []uint64
	payloads []string
}

func (c *collected) add(frame uint64, payload []byte) error {
	c.frames = append(c.frames, frame)
	c.payloads = append(c.payloads, string(payload))
	return nil
}

// mustOpen opens a log and returns what it replayed. The log is wiped, not
// closed, when the test ends.
func mustOpen(tb testing.TB, cfg Config, floor Floor) (*Log, *collected) {
	tb.Helper()
	var c collected
	l, err := Open(cfg, floor, c.add)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(l.Wipe)
	return l, &c
}

func mustAppend(tb testing.TB, l *Log, payload string) uint64 {
	tb.Helper()
	frame, err := l.Append([]byte(payload))
	if err != nil {
		tb.Fatalf("append: %v", err)
	}
	return frame
}

func mustDo(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// payloadOf makes the payload of the n-th frame, of a size that varies.
func payloadOf(n int) string {
	return fmt.Sprintf("payload %d ", n) + strings.Repeat("x", n*97%1500)
}

func (c *collected) want(tb testing.TB, first, n int) {
	tb.Helper()
	if len(c.payloads) != n {
		tb.Fatalf("replayed %d frames, want %d", len(c.payloads), n)
	}
	for i, p := range c.payloads {
		if p != payloadOf(first+i) {
			tb.Fatalf("frame %d replayed as %.30q, want %.30q", c.frames[i], p, payloadOf(first+i))
		}
		if i > 0 && c.frames[i] <= c.frames[i-1] {
			tb.Fatalf("frame numbers %d, %d", c.frames[i-1], c.frames[i])
		}
	}
}

func TestAppendReopenReplay(t *testing.T) {
	cfg := testConfig(t)
	l, c := mustOpen(t, cfg, Floor{})
	c.want(t, 0, 0)
	n := 0
	for round := range 4 {
		for range 50 {
			if got := mustAppend(t, l, payloadOf(n)); got <= uint64(n) {
				t.Fatalf("frame number %d of payload %d", got, n)
			}
			n++
		}
		if round%2 == 0 {
			mustDo(t, l.Sync())
			l.Wipe() // as a process that stops
		} else {
			mustDo(t, l.Close())
			mustDo(t, l.Close())
		}
		if _, err := l.Append([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Fatalf("append after close: %v", err)
		}
		st, err := Verify(context.Background(), cfg, Floor{})
		if err != nil || st.Frames != int64(n) || st.Closed != (round%2 == 1) {
			t.Fatalf("verify: %+v %v, want %d frames", st, err, n)
		}
		l, c = mustOpen(t, cfg, Floor{})
		c.want(t, 0, n)
	}
}

func TestPartsArePutTogether(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	parts := [][]byte{[]byte("one "), nil, []byte("two "), []byte("three")}
	if _, err := l.Append(parts...); err != nil {
		t.Fatal(err)
	}
	if string(parts[0])+string(parts[2])+string(parts[3]) != "one two three" {
		t.Error("the caller's parts were changed")
	}
	for _, empty := range [][][]byte{nil, {nil}, {{}, {}}} {
		if _, err := l.Append(empty...); !errors.Is(err, ErrFrameSize) {
			t.Errorf("an empty payload: %v", err)
		}
	}
	mustDo(t, l.Close())
	_, c := mustOpen(t, cfg, Floor{})
	if len(c.payloads) != 1 || c.payloads[0] != "one two three" {
		t.Errorf("replayed %q", c.payloads)
	}
}

func TestPayloadSizes(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	r := rand.New(rand.NewPCG(1, 1))
	var sizes []int
	for _, n := range []int{frameAlign - frameOverhead, 64 << 10, 256 << 10, readSize, bufferKeep, 5 << 20} {
		sizes = append(sizes, n-1, n, n+1)
	}
	sizes = append(sizes, 1, 2)
	var want []string
	for _, n := range sizes {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		want = append(want, string(b))
		if _, err := l.Append(b); err != nil {
			t.Fatalf("append %d B: %v", n, err)
		}
	}
	if len(l.buf) > bufferKeep {
		t.Errorf("a buffer of %d B is kept", len(l.buf))
	}
	mustDo(t, l.Close())
	_, c := mustOpen(t, cfg, Floor{})
	if len(c.payloads) != len(want) {
		t.Fatalf("%d frames, want %d", len(c.payloads), len(want))
	}
	for i := range want {
		if c.payloads[i] != want[i] {
			t.Errorf("payload of %d B differs", len(want[i]))
		}
	}
}

func TestRotateAndRelease(t *testing.T) {
	cfg := testConfig(t)
	cfg.MaxRecycled = 1
	l, _ := mustOpen(t, cfg, Floor{})
	var floor Floor
	n := 0
	for round := range 6 {
		for range 20 {
			mustAppend(t, l, payloadOf(n))
			n++
		}
		var err error
		if floor, err = l.Rotate(); err != nil {
			t.Fatal(err)
		}
		if again, err := l.Rotate(); err != nil || again != floor {
			t.Fatalf("rotating an empty segment: %+v %v, want %+v", again, err, floor)
		}
		if round > 0 {
			mustDo(t, l.Release(floor))
		}
		if err := floor.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	if l.Size() != headerSize {
		t.Errorf("size %d B after everything was released", l.Size())
	}
	for i := range 5 {
		mustAppend(t, l, payloadOf(n+i))
	}
	mustDo(t, l.Sync())
	st, err := l.Verify(context.Background(), floor)
	if err != nil || st.Frames != 5 {
		t.Errorf("verify of the open log: %+v, %v", st, err)
	}
	l.Wipe()
	names, err := os.ReadDir(cfg.Dir)
	if err != nil || len(names) != 2 {
		t.Errorf("files %v %v, want one segment and one to recycle", names, err)
	}
	l, c := mustOpen(t, cfg, floor)
	c.want(t, n, 5)
	if frame, _ := l.Position(); frame != uint64(n+5) {
		t.Errorf("position %d, want %d", frame, n+5)
	}
	if _, err := Verify(context.Background(), cfg, Floor{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("released segments are not missed: %v", err)
	}
}

func TestSegmentsFillUp(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentSize = 32 << 10
	l, _ := mustOpen(t, cfg, Floor{})
	const n = 200
	for i := range n {
		mustAppend(t, l, payloadOf(i))
	}
	mustDo(t, l.Close())
	st, err := Verify(context.Background(), cfg, Floor{})
	if err != nil || st.Segments < 5 {
		t.Errorf("%+v %v, want many segments", st, err)
	}
	_, c := mustOpen(t, cfg, Floor{})
	c.want(t, 0, n)
}

// TestIdleStaysSmall opens a log many times without writing: W6.
func TestIdleStaysSmall(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	mustAppend(t, l, "x")
	mustDo(t, l.Close())
	for i := range 20 {
		l, _ := mustOpen(t, cfg, Floor{})
		if i%2 == 0 {
			mustDo(t, l.Close())
		} else {
			l.Wipe()
		}
	}
	l, _ = mustOpen(t, cfg, Floor{})
	mustDo(t, l.Close())
	entries, err := os.ReadDir(cfg.Dir)
	mustDo(t, err)
	var size int64
	for _, e := range entries {
		info, err := e.Info()
		mustDo(t, err)
		size += info.Size()
	}
	if len(entries) != 2 || size > 3*headerSize {
		t.Errorf("%d files of %d B together", len(entries), size)
	}
}

func TestEpochs(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	first, err := l.Rotate()
	mustDo(t, err)
	dek, err := crypt.NewSecret(bytes.Repeat([]byte{9}, crypt.KeySize))
	mustDo(t, err)
	cfg.Ring.Add(2, dek)
	second, err := l.Rotate()
	mustDo(t, err)
	if second.Segment == first.Segment {
		t.Error("a new DEK did not begin a segment")
	}
	mustAppend(t, l, "x")
	mustDo(t, l.Close())
	info, err := Inspect(cfg.FS, cfg.path(second.Segment))
	if err != nil || info.Epoch != 2 || info.Segment != second.Segment || info.Database != cfg.Database || info.FirstFrame != 1 {
		t.Errorf("inspect: %+v %v", info, err)
	}
	cfg.Ring.Drop(2)
	if _, err := Verify(context.Background(), cfg, second); !errors.Is(err, crypt.ErrNoEpoch) {
		t.Errorf("without the DEK: %v", err)
	}
}

func TestReplayErrorIsReturned(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	mustAppend(t, l, "x")
	mustDo(t, l.Close())
	want := errors.New("no")
	if _, err := Open(cfg, Floor{}, func(uint64, []byte) error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, cfg, Floor{}); !errors.Is(err, context.Canceled) {
		t.Errorf("verify with a cancelled context: %v", err)
	}
}

// failingFS fails the n-th call that changes something, and all later ones.
type failingFS struct {
	vfs.FS
	mu   sync.Mutex
	left int
}

var errInjected = errors.New("injected fault")

func (f *failingFS) step() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left < 0 {
		return errInjected
	}
	return nil
}

func (f *failingFS) Create(path string) (vfs.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.Create(path))
}

func (f *failingFS) OpenWrite(path string) (vfs.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.OpenWrite(path))
}

func (f *failingFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return failingFile{file, f}, nil
}

func (f *failingFS) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *failingFS) Remove(path string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.Remove(path)
}

func (f *failingFS) SyncDir(dir string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

func (f failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.step(); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off) // half of it arrives
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f failingFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f failingFile) SyncData() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f failingFile) Preallocate(size int64) error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Preallocate(size)
}

func (f failingFile) Truncate(size int64) error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// work runs a small life of a log and returns how many payloads were
// acknowledged as durable, how many were appended, and the newest floor with
// the number of payloads below it.
func work(cfg Config, floor Floor, below int) (acked, appended int, newFloor Floor, newBelow int, err error) {
	l, err := Open(cfg, floor, func(uint64, []byte) error { return nil })
	if err != nil {
		return 0, 0, floor, below, err
	}
	defer l.Wipe()
	for i := range 12 {
		if _, err := l.Append([]byte(payloadOf(i))); err != nil {
			return acked, appended + 1, floor, below, err
		}
		appended++
		if i%3 == 2 {
			if err := l.Sync(); err != nil {
				return acked, appended, floor, below, err
			}
			acked = appended
		}
		if i%5 == 4 {
			f, err := l.Rotate()
			if err != nil {
				return acked, appended, floor, below, err
			}
			acked, floor, below = appended, f, appended
			if err := l.Release(f); err != nil {
				return acked, appended, floor, below, err
			}
		}
	}
	if err := l.Close(); err != nil {
		return acked, appended, floor, below, err
	}
	return appended, appended, floor, below, nil
}

// TestEveryFault lets the n-th call fail, for every n: the error is typed and
// sticky, and afterwards all that was acknowledged is there.
func TestEveryFault(t *testing.T) {
	for n := 0; ; n++ {
		cfg := testConfig(t)
		good := cfg.FS
		cfg.FS = &failingFS{FS: good, left: n}
		acked, appended, floor, below, err := work(cfg, Floor{}, 0)
		cfg.FS = good
		if err == nil {
			if n < 20 {
				t.Fatalf("only %d calls: the test reached nothing", n)
			}
			return
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("fault %d: %v", n, err)
		}
		l, c := mustOpen(t, cfg, floor)
		if got := below + len(c.payloads); got < acked || got > appended {
			t.Fatalf("fault %d: %d payloads of which %d are below the floor, want %d to %d", n, got, below, acked, appended)
		}
		for i, p := range c.payloads {
			if p != payloadOf(below+i) {
				t.Fatalf("fault %d: payload %d is %.20q", n, below+i, p)
			}
		}
		mustAppend(t, l, "more")
		mustDo(t, l.Close())
		if _, err := Verify(context.Background(), cfg, floor); err != nil {
			t.Fatalf("fault %d: verify: %v", n, err)
		}
	}
}

// TestFailureIsSticky: W7.
func TestFailureIsSticky(t *testing.T) {
	for _, what := range []string{"append", "sync", "rotate"} {
		cfg := testConfig(t)
		ffs := &failingFS{FS: cfg.FS, left: 1000}
		cfg.FS = ffs
		l, _ := mustOpen(t, cfg, Floor{})
		mustAppend(t, l, "one")
		ffs.left = 0
		var err error
		switch what {
		case "append":
			_, err = l.Append([]byte("two"))
		case "sync":
			err = l.Sync()
		case "rotate":
			_, err = l.Rotate()
		}
		ffs.left = 1000 // the disk is well again: too late
		_, aerr := l.Append([]byte("three"))
		_, rerr := l.Rotate()
		for i, err := range []error{err, aerr, l.Sync(), rerr, l.Release(Floor{}), l.Close()} {
			if !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
				t.Errorf("%s, call %d: %v", what, i, err)
			}
		}
	}
}

// TestSyncBesideAppendAndRotate is for the race detector.
func TestSyncBesideAppendAndRotate(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentSize = 32 << 10
	l, _ := mustOpen(t, cfg, Floor{})
	var wg sync.WaitGroup
	const perWriter = 60
	for range 4 {
		wg.Go(func() {
			for i := range perWriter {
				if _, err := l.Append([]byte(payloadOf(i))); err != nil {
					t.Error(err)
				}
				if err := l.Sync(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	mustDo(t, l.Close())
	st, err := Verify(context.Background(), cfg, Floor{})
	if err != nil || st.Frames != 4*perWriter {
		t.Errorf("%+v %v", st, err)
	}
}

// TestNoPlaintextOnDisk looks for a marker in every byte of every file.
func TestNoPlaintextOnDisk(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	for range 50 {
		mustAppend(t, l, strings.Repeat("MARKER", 100))
	}
	mustDo(t, l.Sync())
	l.Wipe()
	nFiles := 0
	mustDo(t, filepath.WalkDir(cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		nFiles++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("MARKER")) {
			t.Errorf("%s holds plaintext", path)
		}
		return err
	}))
	if nFiles == 0 {
		t.Error("no files were read")
	}
}

func TestBufferHoldsNoPlaintext(t *testing.T) {
	cfg := testConfig(t)
	l, _ := mustOpen(t, cfg, Floor{})
	mustAppend(t, l, strings.Repeat("MARKER", 1000))
	if bytes.Contains(l.buf, []byte("MARKER")) {
		t.Error("plaintext stays in the buffer")
	}
	if binary.BigEndian.Uint64(l.buf) != 1 {
		t.Error("the buffer is not the frame that was written")
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentSize = 64 << 20
	l, _ := mustOpen(t, cfg, Floor{})
	payload := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := l.Append(payload, payload); err != nil {
			t.Error(err)
		}
	}); n >= 1 {
		t.Errorf("Append allocates %v times", n)
	}
}
