package aesfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func newFS(t *testing.T) vfs.FS {
	t.Helper()
	fs, err := New(vfs.Default, bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func plain(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 31)
	}
	return b
}

// TestReadBack writes in uneven pieces and reads every range of some lengths.
func TestReadBack(t *testing.T) {
	fs, path := newFS(t), filepath.Join(t.TempDir(), "f")
	want := plain(10_000)
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for at := 0; at < len(want); {
		n := min(1+rng.IntN(100), len(want)-at)
		if _, err := f.Write(bytes.Clone(want[at : at+n])); err != nil { // Write may change its argument
			t.Fatal(err)
		}
		at += n
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if f, err = fs.Open(path); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	all, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(all, want) {
		t.Fatalf("read %d bytes in order, %v", len(all), err)
	}
	for range 2000 {
		off := rng.IntN(len(want))
		got := make([]byte, 1+rng.IntN(len(want)-off))
		if _, err := f.ReadAt(got, int64(off)); err != nil || !bytes.Equal(got, want[off:off+len(got)]) {
			t.Fatalf("%d bytes at %d: %v", len(got), off, err)
		}
	}
	info, err := f.Stat()
	if err != nil || info.Size() != int64(len(want)) {
		t.Fatalf("size %d, %v", info.Size(), err)
	}
	if _, err := f.ReadAt(make([]byte, 2), int64(len(want))-1); !errors.Is(err, io.EOF) {
		t.Fatalf("behind the end: %v", err)
	}
}

func TestWriteAt(t *testing.T) {
	fs, path := newFS(t), filepath.Join(t.TempDir(), "f")
	for round, off := range []int64{0, 5, 4090} { // the first opening makes the file
		f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		p := plain(100 + round)
		if _, err := f.WriteAt(p, off); err != nil || !bytes.Equal(p, plain(100+round)) {
			t.Fatalf("WriteAt: %v, or it changed its argument", err)
		}
		got := make([]byte, len(p))
		if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, p) {
			t.Fatalf("read at %d: %v", off, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingInTheClear writes the same contents to two files: they differ from
// the contents and from each other.
func TestNothingInTheClear(t *testing.T) {
	fs, dir := newFS(t), t.TempDir()
	var raw [2][]byte
	for i, name := range []string{"a", "b"} {
		f, err := fs.Create(filepath.Join(dir, name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(plain(1000)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if raw[i], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw[i], plain(1000)[:16]) {
			t.Fatal("the contents are in the clear")
		}
	}
	if len(raw[0]) != headerSize+1000 || bytes.Equal(raw[0][headerSize:], raw[1][headerSize:]) {
		t.Fatal("two files have one key stream")
	}
}

// TestPebble opens a database again, after an orderly end and with all of it in
// the log, and not with another key.
func TestPebble(t *testing.T) {
	dir := t.TempDir()
	open := func(fs vfs.FS) (*pebble.DB, error) {
		return pebble.Open(dir, &pebble.Options{FS: fs, MemTableSize: 64 << 10, Logger: silent{}})
	}
	const rounds, rows = 4, 2000
	for round := range rounds {
		db, err := open(newFS(t))
		if err != nil {
			t.Fatal(err)
		}
		for i := range round * rows {
			v, closer, err := db.Get(key(i))
			if err != nil || !bytes.Equal(v, plain(50+i%50)) {
				t.Fatalf("row %d: %v", i, err)
			}
			if err := closer.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for i := round * rows; i < (round+1)*rows; i++ {
			if err := db.Set(key(i), plain(50+i%50), &pebble.WriteOptions{Sync: i%100 == 99}); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	other, err := New(vfs.Default, bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if db, err := open(other); err == nil {
		t.Fatal("opened with another key", db.Close())
	}
}

func key(i int) []byte { return []byte{byte(i * 7), byte(i >> 8), byte(i)} }

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}
