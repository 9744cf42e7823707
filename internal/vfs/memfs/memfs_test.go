package memfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

func testRand(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed := rand.Uint64()
	tb.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func mustDo(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func create(tb testing.TB, f vfs.FS, path, data string) vfs.File {
	tb.Helper()
	h, err := f.Create(path)
	mustDo(tb, err)
	write(tb, h, data, 0)
	return h
}

func write(tb testing.TB, h vfs.File, data string, off int64) {
	tb.Helper()
	n, err := h.WriteAt([]byte(data), off)
	mustDo(tb, err)
	if n != len(data) {
		tb.Fatalf("wrote %d of %d bytes", n, len(data))
	}
}

func mustCrash(tb testing.TB, f *FS, rng Rand, names Names) *FS {
	tb.Helper()
	out, err := f.Crash(rng, names)
	mustDo(tb, err)
	return out
}

func mustRead(tb testing.TB, f *FS, path string) string {
	tb.Helper()
	b, err := f.ReadFile(path)
	mustDo(tb, err)
	return string(b)
}

// TestSameAsOS runs random calls on this file system and on the real one, and
// compares every result.
func TestSameAsOS(t *testing.T) {
	rng := testRand(t)
	base := t.TempDir()
	mem, real := New(t.TempDir()), vfs.OS()
	mustDo(t, mem.MkdirAll(base))
	open := [2]map[string]vfs.File{{}, {}}
	names := []string{"a", "b", "c", "d"}
	each := func(what string, call func(i int, f vfs.FS) (string, error)) {
		t.Helper()
		got, gerr := call(0, mem)
		want, werr := call(1, real)
		if got != want || (gerr == nil) != (werr == nil) || errors.Is(gerr, fs.ErrNotExist) != errors.Is(werr, fs.ErrNotExist) ||
			errors.Is(gerr, fs.ErrExist) != errors.Is(werr, fs.ErrExist) || errors.Is(gerr, io.EOF) != errors.Is(werr, io.EOF) {
			t.Fatalf("%s: %.80q, %v; the real one says %.80q, %v", what, got, gerr, want, werr)
		}
	}
	closeFile := func(name string) {
		for i := range open {
			if h := open[i][name]; h != nil {
				mustDo(t, h.Close())
				delete(open[i], name)
			}
		}
	}
	for range 4000 {
		name := names[rng.IntN(len(names))]
		path := filepath.Join(base, name)
		size, off := rng.Int64N(20000), rng.Int64N(20000)
		data := bytes.Repeat([]byte{byte(1 + rng.IntN(255))}, rng.IntN(9000))
		switch op := rng.IntN(12); op {
		case 0, 1:
			closeFile(name)
			each("create or open", func(i int, f vfs.FS) (string, error) {
				how := f.Create
				if op == 1 {
					how = f.OpenWrite
				}
				h, err := how(path)
				if err == nil {
					open[i][name] = h
				}
				return "", err
			})
		case 2:
			each("remove", func(_ int, f vfs.FS) (string, error) { return "", f.Remove(path) })
		case 3:
			to := names[rng.IntN(len(names))]
			each("rename", func(_ int, f vfs.FS) (string, error) { return "", f.Rename(path, filepath.Join(base, to)) })
		case 4:
			each("list", func(_ int, f vfs.FS) (string, error) {
				l, err := f.List(base)
				return fmt.Sprint(l), err
			})
		default:
			if open[0][name] == nil {
				continue
			}
			each("file", func(i int, _ vfs.FS) (string, error) {
				h := open[i][name]
				switch op {
				case 5, 6:
					n, err := h.WriteAt(data, off)
					return fmt.Sprint(n), err
				case 7, 8:
					b := make([]byte, size)
					n, err := h.ReadAt(b, off)
					return string(b[:n]), err
				case 9:
					return "", h.Truncate(size)
				case 10:
					return "", h.Preallocate(size)
				default:
					n, err := h.Size()
					return fmt.Sprint(n), errors.Join(err, h.Sync())
				}
			})
		}
	}
	for _, name := range names {
		closeFile(name)
	}
	mustDo(t, create(t, mem, filepath.Join(base, "z"), "z").Close())
	var n int64
	mem.walk(mem.root, func(x *node) { n += x.space() })
	if n == 0 || n != mem.Used() {
		t.Errorf("files take %d bytes, counted are %d", n, mem.Used())
	}
}

// TestCrashKeepsWhatWasSynced: of the rest any part, in sectors.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	rng := testRand(t)
	f := New(t.TempDir())
	h := create(t, f, "/x", strings.Repeat("a", 3*pageSize))
	mustDo(t, h.Sync())
	mustDo(t, f.SyncDir("/"))
	write(t, h, strings.Repeat("b", pageSize+100), 1000)
	write(t, h, strings.Repeat("b", 2*pageSize), 3*pageSize)
	seen := map[string]bool{}
	for range 300 {
		c := mustCrash(t, f, rng, Ordered)
		got := mustRead(t, c, "/x")
		if len(got) < 3*pageSize || len(got) > 5*pageSize {
			t.Fatalf("size %d", len(got))
		}
		for at := 0; at < len(got); at += sectorSize {
			s := got[at:min(at+sectorSize, len(got))]
			now := mustRead(t, f, "/x")[at:][:len(s)]
			old := strings.Repeat("a", len(s))
			if at >= 3*pageSize {
				old = strings.Repeat("\x00", len(s))
			}
			switch {
			case s == old && s == now:
			case s == old:
				seen["old"] = true
			case s == now:
				seen["new"] = true
			default:
				t.Fatalf("sector at %d is neither the old one nor the new one", at)
			}
		}
		seen[fmt.Sprint("size ", len(got) > 3*pageSize, len(got) < 5*pageSize)] = true
		mustDo(t, c.Discard())
	}
	if len(seen) != 5 { // sizes: old, new, between
		t.Errorf("seen are %v", seen)
	}
	mustDo(t, h.SyncData())
	if c := mustCrash(t, f, rng, Ordered); mustRead(t, c, "/x") != mustRead(t, f, "/x") {
		t.Error("a crash lost what was synced")
	}
}

func TestCrashIsIndependent(t *testing.T) {
	rng := testRand(t)
	f := New(t.TempDir())
	h := create(t, f, "/x", strings.Repeat("a", 2*pageSize))
	mustDo(t, h.Sync())
	mustDo(t, f.SyncDir("/"))
	c := mustCrash(t, f, rng, Ordered)
	write(t, h, "b", 0)
	g, err := c.OpenWrite("/x")
	mustDo(t, err)
	write(t, g, "c", 0)
	write(t, g, "c", pageSize)
	if a, b := mustRead(t, f, "/x"), mustRead(t, c, "/x"); a[0] != 'b' || a[pageSize] != 'a' || b[0] != 'c' || b[pageSize] != 'c' {
		t.Error("clone and original write into each other")
	}
}

// TestCrashAfterTruncate: the end that was cut off may be there still, and never
// shows in a file that grew again after a sync.
func TestCrashAfterTruncate(t *testing.T) {
	rng := testRand(t)
	f := New(t.TempDir())
	h := create(t, f, "/x", strings.Repeat("a", 2*pageSize))
	mustDo(t, h.Sync())
	mustDo(t, f.SyncDir("/"))
	mustDo(t, h.Truncate(100))
	sizes := map[int]bool{}
	for range 50 {
		sizes[len(mustRead(t, mustCrash(t, f, rng, Ordered), "/x"))] = true
	}
	if !sizes[100] || !sizes[2*pageSize] || len(sizes) != 2 {
		t.Errorf("sizes after a crash: %v", sizes)
	}
	mustDo(t, h.Truncate(2*pageSize))
	mustDo(t, h.Sync())
	want := strings.Repeat("a", 100) + strings.Repeat("\x00", 2*pageSize-100)
	if mustRead(t, f, "/x") != want || mustRead(t, mustCrash(t, f, rng, Ordered), "/x") != want {
		t.Error("what was cut off came back")
	}
}

// TestCrashNames: prefixes in order, any subset otherwise.
func TestCrashNames(t *testing.T) {
	rng := testRand(t)
	for _, names := range []Names{Ordered, AnyNames} {
		f := New(t.TempDir())
		mustDo(t, f.MkdirAll("/d"))
		mustDo(t, f.SyncDir("/"))
		mustDo(t, create(t, f, "/d/old", "").Close())
		mustDo(t, f.SyncDir("/d"))
		mustDo(t, create(t, f, "/d/a", "").Close())
		mustDo(t, f.Remove("/d/old"))
		mustDo(t, f.Rename("/d/a", "/d/b"))
		seen := map[string]bool{}
		for range 200 {
			l, err := mustCrash(t, f, rng, names).List("/d")
			mustDo(t, err)
			seen[strings.Join(l, " ")] = true
		}
		want := []string{"a", "a old", "b", "old"}
		if names == AnyNames {
			want = []string{"", "a", "a old", "b", "b old", "old"}
		}
		got := make([]string, 0, len(seen))
		for s := range seen {
			got = append(got, s)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("mode %d: directories after a crash: %q", names, got)
		}
		mustDo(t, f.SyncDir("/d"))
		if l, err := mustCrash(t, f, rng, names).List("/d"); err != nil || !slices.Equal(l, []string{"b"}) {
			t.Errorf("after SyncDir: %v, %v", l, err)
		}
	}
}

func TestUnlinkedFileGoesOn(t *testing.T) {
	f := New(t.TempDir())
	f.SetCapacity(4 * pageSize)
	h := create(t, f, "/x", strings.Repeat("a", 3*pageSize))
	mustDo(t, h.Sync())
	mustDo(t, f.SyncDir("/"))
	mustDo(t, f.Remove("/x"))
	write(t, h, "b", 5)
	if b := make([]byte, 6); f.Used() != 3*pageSize {
		t.Errorf("%d bytes used", f.Used())
	} else if _, err := h.ReadAt(b, 0); err != nil || string(b) != "aaaaab" {
		t.Errorf("%q, %v", b, err)
	}
	mustDo(t, h.Close())
	if f.Used() != 0 {
		t.Errorf("%d bytes used after the end", f.Used())
	}
	kept := 0
	for rng := testRand(t); kept == 0; { // the removal was not synced
		if c := mustCrash(t, f, rng, Ordered); len(c.root.names) > 0 {
			if kept = len(mustRead(t, c, "/x")); kept != 3*pageSize {
				t.Errorf("after a crash the file has %d bytes", kept)
			}
		}
	}
	if _, err := h.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("write to a closed file: %v", err)
	}
	if err := h.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("close twice: %v", err)
	}
}

func TestFull(t *testing.T) {
	f := New(t.TempDir())
	f.SetCapacity(3 * pageSize)
	h := create(t, f, "/x", strings.Repeat("a", pageSize))
	n, err := h.WriteAt(bytes.Repeat([]byte("b"), 5*pageSize), 100)
	if n != 3*pageSize-100 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if err := h.Preallocate(4 * pageSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("preallocate: %v", err)
	}
	if err := f.Update("/bolt", func() error { t.Error("called"); return nil }); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("update: %v", err)
	}
	write(t, h, "c", 0) // in place
	f.SetCapacity(4 * pageSize)
	mustDo(t, h.Preallocate(4*pageSize))
	mustDo(t, h.Truncate(1))
	if f.Used() != pageSize {
		t.Errorf("%d bytes used", f.Used())
	}
}

// TestEveryCallFails fails each kind of call, once and for ever.
func TestEveryCallFails(t *testing.T) {
	boom := errors.New("boom")
	life := func(f *FS) (errs []error) {
		do := func(err error) { errs = append(errs, err) }
		do(f.MkdirAll("/d"))
		h, err := f.Create("/d/x")
		do(err)
		if h == nil {
			return errs
		}
		_, err = h.WriteAt([]byte("abcdef"), 0)
		do(err)
		do(h.Preallocate(10))
		do(h.Truncate(8))
		do(h.Sync())
		do(h.SyncData())
		do(h.Close())
		do(f.SyncDir("/d"))
		do(f.Rename("/d/x", "/d/y"))
		do(f.Remove("/d/y"))
		do(f.Update("/d/z", func() error { return nil }))
		return errs
	}
	clean := New(t.TempDir())
	for i, err := range life(clean) {
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	n := clean.Calls().Writes()
	if n < 12 || clean.Faults() != 0 {
		t.Fatalf("%d calls, %d faults", n, clean.Faults())
	}
	for after := range n {
		for _, always := range []bool{false, true} {
			f := New(t.TempDir())
			f.SetFault(&Fault{After: after, Err: boom, Always: always})
			failed := 0
			for _, err := range life(f) {
				if errors.Is(err, boom) {
					failed++
				}
			}
			if failed == 0 || int64(failed) != f.Faults() || !always && failed != 1 {
				t.Errorf("fault after %d calls, always %t: %d calls failed, counted are %d", after, always, failed, f.Faults())
			}
		}
	}
}

func TestFaultsOfOneKind(t *testing.T) {
	boom := errors.New("boom")
	f := New(t.TempDir())
	h := create(t, f, "/x", "aaaa")
	f.SetFault(&Fault{After: 1, Err: boom, Only: func(op Op, _ string) bool { return op == OpWrite }, Short: true})
	write(t, h, "b", 0)
	mustDo(t, h.Sync())
	if n, err := h.WriteAt([]byte("cccc"), 0); n != 2 || !errors.Is(err, boom) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if got := mustRead(t, f, "/x"); got != "ccaa" {
		t.Errorf("the file holds %q", got)
	}
	f.SetFault(&Fault{Err: boom, Reads: true})
	if _, err := h.ReadAt(make([]byte, 1), 0); !errors.Is(err, boom) {
		t.Errorf("read: %v", err)
	}
	if _, err := h.ReadAt(make([]byte, 1), 0); err != nil {
		t.Errorf("the read after it: %v", err)
	}
}

// TestLostSync: the cache has the data, a later sync succeeds, the disk does not
// have them until they are written again.
func TestLostSync(t *testing.T) {
	rng := testRand(t)
	boom := errors.New("boom")
	f := New(t.TempDir())
	h := create(t, f, "/x", strings.Repeat("a", 2*pageSize))
	mustDo(t, h.Sync())
	mustDo(t, f.SyncDir("/"))
	write(t, h, "bb", 0)
	f.SetFault(&Fault{Err: boom, Lose: true})
	if err := h.SyncData(); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	write(t, h, "c", pageSize)
	mustDo(t, h.SyncData())
	if got := mustRead(t, f, "/x"); got[:2] != "bb" {
		t.Errorf("the cache has %q", got[:2])
	}
	if got := mustRead(t, mustCrash(t, f, rng, Ordered), "/x"); got[:2] != "aa" || got[pageSize] != 'c' {
		t.Errorf("the disk has %q and %q", got[:2], got[pageSize])
	}
	write(t, h, "d", 1)
	mustDo(t, h.SyncData())
	if got := mustRead(t, mustCrash(t, f, rng, Ordered), "/x"); got[:2] != "bd" {
		t.Errorf("written again, the disk has %q", got[:2])
	}
	write(t, h, "ee", 0)
	f.SetFault(&Fault{Err: boom, Lose: true})
	if err := h.Sync(); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	mustDo(t, f.DropCaches())
	if got := mustRead(t, f, "/x"); got[:2] != "bd" {
		t.Errorf("with a dropped cache %q", got[:2])
	}
}

// TestCrashWhileWriting takes clones beside writers.
func TestCrashWhileWriting(t *testing.T) {
	rng := testRand(t)
	f := New(t.TempDir())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 100 {
				path := fmt.Sprintf("/%d-%d", w, i)
				h, err := f.Create(path)
				if err == nil {
					_, err = h.WriteAt(bytes.Repeat([]byte{1}, 5000), 0)
				}
				if err == nil {
					err = errors.Join(h.Sync(), h.Close(), f.SyncDir("/"))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		c := mustCrash(t, f, rng, AnyNames)
		names, err := c.Files("/")
		mustDo(t, err)
		for _, name := range names {
			if b := mustRead(t, c, name); len(b) > 5000 {
				t.Errorf("%s has %d bytes", name, len(b))
			}
		}
	}
	wg.Wait()
	if l, err := mustCrash(t, f, rng, Ordered).List("/"); err != nil || len(l) != 300 {
		t.Errorf("%d files, %v", len(l), err)
	}
}

func TestPaths(t *testing.T) {
	f := New(t.TempDir())
	mustDo(t, f.MkdirAll("/a/b"))
	mustDo(t, create(t, f, "/a/b/x", "").Close())
	for path, want := range map[string]error{
		"/a/c/x": fs.ErrNotExist, "/a/b/x/y": syscall.ENOTDIR, "/a/b": fs.ErrExist, "/": fs.ErrInvalid,
	} {
		if _, err := f.Create(path); !errors.Is(err, want) {
			t.Errorf("create %s: %v", path, err)
		}
	}
	if err := f.Remove("/a/b"); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("remove of a directory: %v", err)
	}
	if err := f.MkdirAll("/a/b/x/y"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a directory in a file: %v", err)
	}
	if err := f.Rename("/a/b/x", "/a/x"); !errors.Is(err, syscall.EXDEV) {
		t.Errorf("rename to another directory: %v", err)
	}
	if got, err := f.Files("/"); err != nil || !slices.Equal(got, []string{filepath.FromSlash("/a/b/x")}) {
		t.Errorf("%q, %v", got, err)
	}
}
