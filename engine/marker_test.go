package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	scan "github.com/byokdb/byokdb/internal/marker"
	"github.com/byokdb/byokdb/internal/vfs"
)

// A watchingFS looks at every byte that is written through it for the marker:
// files that are deleted, renamed or overwritten later included.
type watchingFS struct {
	vfs.FS
	scanner *scan.Scanner

	mu     sync.Mutex
	images map[string][]byte // contents by path
	kinds  map[string]int64  // bytes written by extension
	found  []string
}

func newWatchingFS() *watchingFS {
	return &watchingFS{FS: vfs.OS(), scanner: scan.New(scan.Text), images: map[string][]byte{}, kinds: map[string]int64{}}
}

func (w *watchingFS) name(path string) {
	if at, what := w.scanner.Find([]byte(path)); at >= 0 {
		w.found = append(w.found, fmt.Sprintf("the name %s holds the marker (%s)", path, what))
	}
}

func (w *watchingFS) Create(path string) (vfs.File, error) {
	f, err := w.FS.Create(path)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.name(path)
	if err == nil {
		w.images[path] = nil
	}
	return &watchedFile{File: f, fs: w, path: path}, err
}

func (w *watchingFS) OpenWrite(path string) (vfs.File, error) {
	f, err := w.FS.OpenWrite(path)
	return &watchedFile{File: f, fs: w, path: path}, err
}

func (w *watchingFS) Rename(from, to string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.name(to)
	w.images[to] = w.images[from]
	delete(w.images, from)
	return w.FS.Rename(from, to)
}

// wrote looks at what was written, with what stands around it: a marker may
// come in two writes.
func (w *watchingFS) wrote(path string, p []byte, off int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kinds[filepath.Ext(path)] += int64(len(p))
	image := w.images[path]
	if n := int(off) + len(p); n > len(image) {
		image = append(image, make([]byte, n-len(image))...)
	}
	copy(image[off:], p)
	w.images[path] = image
	from, to := max(int(off)-scan.Window, 0), min(int(off)+len(p)+scan.Window, len(image))
	if at, what := w.scanner.Find(image[from:to]); at >= 0 {
		w.found = append(w.found, fmt.Sprintf("%s holds the marker (%s) at offset %d", path, what, from+at))
	}
}

type watchedFile struct {
	vfs.File
	fs   *watchingFS
	path string
}

func (f *watchedFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.wrote(f.path, p, off)
	return f.File.WriteAt(p, off)
}

// check reports what was found in what was written, and in what lies in dir.
func (w *watchingFS) check(t *testing.T, dir, when string) {
	t.Helper()
	inTree, n, err := w.scanner.Tree(dir)
	if err != nil || n == 0 {
		t.Fatalf("%s: %d bytes: %v", when, n, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range append(w.found, inTree...) {
		t.Errorf("%s: %s", when, what)
	}
	w.found = nil
}

// TestWatchingFSFinds plants the marker, whole and in two writes, and a piece
// of it, in files that are gone when the test looks.
func TestWatchingFSFinds(t *testing.T) {
	dir := t.TempDir()
	for name, writes := range map[string][]string{
		"whole":      {"xx" + scan.Text},
		"two writes": {"xx" + scan.Text[:4], scan.Text[4:9]},
		"a window":   {scan.Text[11 : 11+scan.Window]},
	} {
		w, path := newWatchingFS(), filepath.Join(dir, name)
		f, err := w.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		off := int64(0)
		for _, s := range writes {
			n, err := f.WriteAt([]byte(s), off)
			if err != nil {
				t.Fatal(err)
			}
			off += int64(n)
		}
		if err := errors.Join(f.Close(), w.Remove(path)); err != nil {
			t.Fatal(err)
		}
		if len(w.found) != 1 {
			t.Errorf("%s: %q", name, w.found)
		}
	}
}

// TestMarkerIsNowhere puts a marker into every name, key and value, in many
// sizes, through everything that writes, and looks for it in every byte that
// was written.
func TestMarkerIsNowhere(t *testing.T) {
	list, nRounds := []Options{
		{MemtableSize: 64 << 10, PageSize: 4096},
		{MemtableSize: 256 << 10, PageSize: 65536, Sync: SyncOff},
	}, 12
	if testing.Short() {
		list, nRounds = list[:1], 3
	}
	for _, o := range list {
		t.Run(fmt.Sprintf("page %d sync %d", o.PageSize, o.Sync), func(t *testing.T) {
			const seed = 4
			t.Logf("seed %d", seed)
			w, rnd := newWatchingFS(), rand.New(rand.NewPCG(seed, 1))
			o.fs = w
			dir, key := filepath.Join(t.TempDir(), "m.byok"), newFakeKey("k")
			db := openTest(t, dir, key, &o)
			for round := range nRounds {
				writeMarkers(t, db, rnd, round)
				w.check(t, dir, fmt.Sprintf("round %d", round)) // the catalog as it is between two commits, too
			}
			err := db.Update(func(tx *Tx) error { return tx.DropCollection("c1 " + scan.Text) })
			if err != nil {
				t.Fatal(err)
			}
			w.check(t, dir, "dropped")
			rolledBack(t, db)
			if err := db.Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.check(t, dir, "verified")

			crashed := crashCopy(t, db, dir)
			w.check(t, crashed, "crashed")
			key.set(crypt.ClassDenied) // what the guard records
			if err := db.ProbeKey(context.Background()); err == nil {
				t.Error("a denied key was probed")
			}
			w.check(t, dir, "denied")
			key.set(crypt.ClassNone)
			if err := errors.Join(db.ProbeKey(t.Context()), db.Close()); err != nil {
				t.Fatal(err)
			}
			w.check(t, dir, "closed")
			for _, d := range []string{dir, crashed} {
				db = openTest(t, d, key, &o)
				mustGet(t, db, "c0 "+scan.Text, scan.Text, fmt.Sprintf("%d ", nRounds-3)+scan.Text)
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				w.check(t, d, "opened again")
			}
			for _, kind := range []string{".run", ".wal", ".tmp"} {
				if w.kinds[kind] == 0 {
					t.Errorf("nothing was written to files %s: %v", kind, w.kinds)
				}
			}
			if total := w.kinds[".run"] + w.kinds[".wal"]; total < 2<<20 {
				t.Errorf("only %d bytes were looked at", total)
			}
		})
	}
}

// writeMarkers writes records that are made of the marker: alone, repeated
// (that compresses), within random bytes (that does not), across the ends of
// chunks, and as first and last keys of every collection.
func writeMarkers(t *testing.T, db *DB, rnd *rand.Rand, round int) {
	t.Helper()
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	err := db.Update(func(tx *Tx) error {
		c, err := tx.CreateCollectionIfNotExists(fmt.Sprintf("c%d %s", round%3, scan.Text))
		if err != nil {
			return err
		}
		put := func(k string, v []byte) { err = errors.Join(err, c.Put([]byte(k), v)) }
		put(scan.Text, fmt.Appendf(nil, "%d %s", round, scan.Text))
		put("\x00"+scan.Text, nil)
		put("\xff"+scan.Text, []byte(scan.Text))
		for i := range 30 {
			k := fmt.Sprintf("%d %s %d", rnd.IntN(100), scan.Text, i)
			put(k, bytes.Repeat([]byte(scan.Text), 1+rnd.IntN(20)))
			put(scan.Text[:8+i]+string(noise(4)), append(noise(rnd.IntN(300)), scan.Text...))
			err = errors.Join(err, c.Delete(fmt.Appendf(nil, "%d %s %d", rnd.IntN(100), scan.Text, i)))
		}
		for _, n := range []int{900, 1024, 5000, 20000, 262140, 262144, 400000} { // around a chunk's end
			put(fmt.Sprint("large ", n), slicesOf(noise(n), 100000))
		}
		put(strings.Repeat(scan.Text, 700), []byte(scan.Text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// slicesOf returns noise with the marker behind it and at every n bytes of it.
func slicesOf(noise []byte, n int) []byte {
	for at := 0; at+len(scan.Text) <= len(noise); at += n {
		copy(noise[at:], scan.Text)
	}
	return append(noise, strings.Repeat(scan.Text, 3)...)
}

// rolledBack writes markers that are never committed.
func rolledBack(t *testing.T, db *DB) {
	t.Helper()
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tx.CreateCollection("rolled back " + scan.Text)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Put([]byte(scan.Text), bytes.Repeat([]byte(scan.Text), 30000)), tx.Rollback()); err != nil {
		t.Fatal(err)
	}
}
