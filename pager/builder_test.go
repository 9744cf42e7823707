package pager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/byokdb/byokdb/internal/vfs"
)

// Numbers of entries around the limits of a leaf, of an inner node, and none.
func TestBoundaryEntries(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	rnd := newRand(t)
	// Entries of 8 B keys and 97 B values take 116 B with their slot.
	perLeaf := (PageSizeMin - nodeHeaderSize) / (slotSize + entryHeaderSize + 8 + 97)
	value := func(i int) []byte { return fill(rnd, make([]byte, 97)) }
	for _, n := range []int{0, 1, 2, perLeaf - 1, perLeaf, perLeaf + 1, 2 * perLeaf, 2*perLeaf + 1, 200 * perLeaf} {
		r := f.newRun(t, PageSizeMin, S2, numbered(n, value))
		st, err := r.Verify(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64((n + perLeaf - 1) / perLeaf); st.Leaves != want || st.Entries != uint64(n) {
			t.Errorf("%d entries: %d leaves with %d, want %d", n, st.Leaves, st.Entries, want)
		}
		if got := r.Info(); got.Entries != uint64(n) || got.KeyBytes != 8*uint64(n) || got.ValueBytes != 97*uint64(n) {
			t.Errorf("%d entries: %+v", n, got)
		}
		entries := numbered(n, func(int) []byte { return nil })
		it := r.NewIter()
		i := 0
		for ok := it.First(); ok; ok = it.Next() {
			if !bytes.Equal(it.Key(), entries[i].key) {
				t.Fatalf("entry %d of %d", i, n)
			}
			i++
		}
		if err := it.Close(); err != nil || i != n {
			t.Fatalf("%d entries of %d, %v", i, n, err)
		}
	}
}

// Sizes of keys and values at and beyond the limits.
func TestBoundarySizes(t *testing.T) {
	for _, pageSize := range []int{PageSizeMin, PageSizeDefault, PageSizeMax} {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			f := newFixture(t, 8<<20)
			rnd := newRand(t)
			var entries []entry
			for i, n := range []int{1, 2, 3, 4, 5, 8, 1000, KeySizeMax - 1, KeySizeMax} {
				for j := range 3 {
					key := bytes.Repeat([]byte{byte(i + 1)}, n)
					key[n-1] = byte(100 + j)
					entries = append(entries, entry{key, Put, []byte{byte(j)}})
				}
			}
			inline := pageSize / 4
			for i, n := range []int{0, 1, inline - 1, inline, inline + 1, chunkSize - 1, chunkSize, chunkSize + 1, 2*chunkSize + 7} {
				entries = append(entries, entry{[]byte{200, byte(i)}, Put, fill(rnd, make([]byte, n))})
			}
			sortEntries(entries)
			checkRun(t, rnd, f.newRun(t, pageSize, S2, entries), entries)
		})
	}
}

func TestValueSizeMax(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 64 MiB several times over")
	}
	f := newFixture(t, CacheBudgetMin)
	value := fill(newRand(t), make([]byte, ValueSizeMax))
	entries := []entry{{[]byte("k"), Put, value}}
	r := f.newRun(t, 0, S2, entries)
	checkGet(t, r, []byte("k"), true, &entries[0])
	it := r.NewIter()
	checkAt(t, it, it.First(), &entries[0])
	if st := f.cache.Stats(); st.Overflow != ValueSizeMax {
		t.Errorf("%d bytes beyond the budget", st.Overflow)
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAddRefuses(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	cfg := f.config(0, S2)
	b, err := NewBuilder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	add := func(key, value []byte, kind EntryKind, want error) {
		t.Helper()
		if err := b.Add(key, kind, value); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	add(nil, nil, Put, ErrKeySize)
	add([]byte("b"), nil, Put, nil)
	add([]byte("b"), nil, Put, ErrOrder)
	add([]byte("a"), nil, Put, ErrOrder)
	add([]byte("b\x00"), []byte("x"), Tombstone, ErrValueSize)
	add(make([]byte, KeySizeMax+1), nil, Put, ErrKeySize)
	add([]byte("c"), make([]byte, ValueSizeMax+1), Put, ErrValueSize)
	if err := b.Add([]byte("c"), 3, nil); err == nil {
		t.Fatal("an unknown kind was taken")
	}
	add([]byte("c"), nil, Tombstone, nil)
	if b.Entries() != 2 || b.Size() <= headerSize {
		t.Fatal(b.Entries(), b.Size())
	}
	info, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if info.Tombstones != 1 || string(info.First) != "b" || string(info.Last) != "c" {
		t.Fatalf("%+v", info)
	}
	add([]byte("d"), nil, Put, ErrClosed)
	if _, err := b.Finish(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := b.Abort(); err != nil {
		t.Fatal(err)
	}
	want := []entry{{[]byte("b"), Put, nil}, {[]byte("c"), Tombstone, nil}}
	checkRun(t, newRand(t), f.open(t, cfg.Path, info), want)

	// Without a manifest, the file tells the same.
	r := f.open(t, cfg.Path, Info{})
	got := r.Info()
	if !bytes.Equal(got.First, info.First) || !bytes.Equal(got.Last, info.Last) || got.RootTag != info.RootTag || got.Epoch != info.Epoch {
		t.Fatalf("%+v, want %+v", got, info)
	}
}

func TestNewBuilderRefuses(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	for _, size := range []int{-1, 1, PageSizeMin - 1, PageSizeMax + 1} {
		if _, err := NewBuilder(f.config(size, S2)); err == nil {
			t.Errorf("page size %d was taken", size)
		}
	}
	if _, err := NewBuilder(f.config(0, 9)); err == nil {
		t.Error("an unknown compression was taken")
	}
	cfg := f.config(0, S2)
	f.build(t, cfg, nil)
	if _, err := NewBuilder(cfg); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an existing file: %v", err)
	}
}

func TestAbort(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	cfg := f.config(0, S2)
	b, err := NewBuilder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add([]byte("k"), Put, []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := b.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the file is still there")
	}
}

var errFault = errors.New("fault")

// faultyFS fails the n-th call that reads or changes a file.
type faultyFS struct {
	vfs.FS
	left int
}

func (f *faultyFS) fault() error {
	f.left--
	if f.left == 0 {
		return errFault
	}
	return nil
}

func (f *faultyFS) Create(path string) (vfs.File, error) { return f.wrap(f.FS.Create(path)) }
func (f *faultyFS) Open(path string) (vfs.File, error)   { return f.wrap(f.FS.Open(path)) }

func (f *faultyFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

type faultyFile struct {
	vfs.File
	fs *faultyFS
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.fault(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.fault(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.fault(); err != nil {
		return err
	}
	return f.File.Sync()
}

// R11: each call in turn fails: the error comes out, it is not taken for damage, and
// nothing is left behind.
func TestFaults(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	rnd := newRand(t)
	entries := numbered(4000, func(int) []byte { return fill(rnd, make([]byte, 200)) })
	sound := f.config(PageSizeMin, S2)
	info := f.build(t, sound, entries)
	built := 0
	for n := 1; ; n++ {
		cfg := f.config(PageSizeMin, S2)
		cfg.FS = &faultyFS{vfs.OS(), n}
		err := buildAll(cfg, entries)
		if err == nil {
			break
		}
		built++
		if !errors.Is(err, errFault) {
			t.Fatalf("fault %d: %v", n, err)
		}
		if _, err := os.Stat(cfg.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("fault %d: the file is still there", n)
		}
	}
	read := 0
	for n := 1; n < 50; n++ {
		cfg := f.runConfig(sound.Path, info)
		cfg.FS = &faultyFS{vfs.OS(), n}
		err := readAll(cfg)
		if err == nil {
			t.Fatalf("fault %d: no error", n)
		}
		read++
		if !errors.Is(err, errFault) || errors.Is(err, ErrCorrupt) {
			t.Fatalf("fault %d: %v", n, err)
		}
	}
	if built < 3 || read == 0 {
		t.Fatalf("only %d faults while building, %d while reading", built, read)
	}
}

func buildAll(cfg BuilderConfig, entries []entry) error {
	b, err := NewBuilder(cfg)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := b.Add(e.key, e.kind, e.value); err != nil {
			return errors.Join(err, b.Abort())
		}
	}
	if _, err = b.Finish(); err != nil {
		return errors.Join(err, b.Abort())
	}
	return nil
}

func readAll(cfg RunConfig) (err error) {
	r, err := OpenRun(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	it := r.NewIter()
	for ok := it.First(); ok; ok = it.Next() {
	}
	return it.Close()
}

func TestVerifyProgress(t *testing.T) {
	f := newFixture(t, CacheBudgetMin)
	rnd := newRand(t)
	r := f.newRun(t, PageSizeMin, None, numbered(30_000, func(int) []byte { return fill(rnd, make([]byte, 100)) }))
	var pages, bytes int64
	st, err := r.Verify(t.Context(), func(p, b int64) {
		if p < pages || b < bytes {
			t.Error("progress goes back")
		}
		pages, bytes = p, b
	})
	if err != nil {
		t.Fatal(err)
	}
	if st.Bytes != r.Info().Size || pages != st.Pages || bytes != st.Bytes || st.Filter == 0 || st.Inner == 0 {
		t.Fatalf("%+v after progress %d, %d", st, pages, bytes)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
