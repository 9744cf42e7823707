package pager

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/byokdb/byokdb/crypt"
)

// valueSizes are those around which reading in chunks can go wrong.
var valueSizes = []int{4 << 10, 4<<10 + 1, valueCachedMax, valueCachedMax + 1, chunkSize - 1, chunkSize, chunkSize + 1, 2*chunkSize - 1, 2 * chunkSize, 3*chunkSize + 7}

func valueRows(tb testing.TB) []entry {
	tb.Helper()
	rnd := newRand(tb)
	return numbered(len(valueSizes), func(i int) []byte {
		v := make([]byte, valueSizes[i])
		if i%2 == 0 {
			return fill(rnd, v) // does not compress
		}
		copy(v, bytes.Repeat([]byte("compressible "), len(v)/13+1))
		return v
	})
}

// TestAddReader checks that a value from a reader is stored as one from memory.
func TestAddReader(t *testing.T) {
	f := newFixture(t, 4<<20)
	rows := valueRows(t)
	rows[0].value = nil
	for _, c := range []Compression{S2, None, Zstd} {
		cfg := f.config(16<<10, c)
		b, err := NewBuilder(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range rows {
			r := io.Reader(bytes.NewReader(append(bytes.Clone(e.value), "not the value's"...)))
			if i%2 == 0 {
				r = iotest.HalfReader(r)
			}
			if err := b.AddReader(e.key, int64(len(e.value)), r); err != nil {
				t.Fatal(err)
			}
		}
		info, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		checkRun(t, newRand(t), f.open(t, cfg.Path, info), rows)
	}
}

func TestAddReaderRefuses(t *testing.T) {
	f := newFixture(t, 1<<20)
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		size int64
		r    io.Reader
		want error
	}{
		"a small value cut short": {10, strings.NewReader("123456789"), io.ErrUnexpectedEOF},
		"a large value cut short": {2 * chunkSize, bytes.NewReader(make([]byte, chunkSize)), io.ErrUnexpectedEOF},
		"a reader that fails":     {2 * chunkSize, io.MultiReader(bytes.NewReader(make([]byte, chunkSize)), iotest.ErrReader(boom)), boom},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := f.config(0, S2)
			b, err := NewBuilder(cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int64{-1, ValueSizeMax + 1} {
				if err := b.AddReader([]byte("a"), size, nil); !errors.Is(err, ErrValueSize) {
					t.Errorf("a value of %d bytes: %v", size, err)
				}
			}
			if err := b.AddReader([]byte("a"), c.size, c.r); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err := b.Add([]byte("b"), Put, nil); !errors.Is(err, c.want) {
				t.Errorf("the builder goes on: %v", err)
			}
			if err := b.Abort(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(cfg.Path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is left: %v", err)
			}
		})
	}
}

// streams opens the values of a run in every way in which they can be read.
func streams(t *testing.T, r *Run, e *entry) map[string]*ValueReader {
	t.Helper()
	out := map[string]*ValueReader{}
	v, value, kind, found, err := r.Open([]byte("x"), e.key)
	switch {
	case err != nil || !found || kind != Put:
		t.Fatalf("open: %v, found %v, kind %v", err, found, kind)
	case v != nil:
		out["Run.Open"] = v
	case len(e.value) > valueCachedMax || string(value) != "x"+string(e.value):
		t.Errorf("open: %d bytes, want a reader, or %d bytes", len(value)-1, len(e.value))
	}
	for name, it := range map[string]*Iter{"NewIter": r.NewIter(), "NewScan": r.NewScan()} {
		if !it.SeekGE(e.key) || !it.Large() {
			t.Fatalf("%s: not on a large value: %v", name, it.Err())
		}
		out[name+".Stream"] = it.Stream()
		out[name+".ValueReader"] = it.ValueReader()
		t.Cleanup(func() {
			if err := it.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return out
}

func TestValueReader(t *testing.T) {
	f := newFixture(t, 4<<20)
	rows := valueRows(t)
	r := f.newRun(t, 16<<10, S2, rows)
	n := 0
	for i := range rows {
		e := &rows[i]
		if len(e.value) <= 4<<10 {
			_, value, _, found, err := r.Open([]byte("x"), e.key)
			if err != nil || !found || string(value) != "x"+string(e.value) {
				t.Errorf("a value in its leaf: found %v, %v", found, err)
			}
			continue
		}
		for name, v := range streams(t, r, e) {
			if err := iotest.TestReader(v, e.value); err != nil {
				t.Errorf("%s, %d bytes: %v", name, len(e.value), err)
			}
			if v.Size() != int64(len(e.value)) {
				t.Errorf("%s: size %d, want %d", name, v.Size(), len(e.value))
			}
			if err := v.Close(); err != nil {
				t.Error(err)
			}
			if _, err := v.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: read after Close: %v", name, err)
			}
			n++
		}
	}
	if n < 2*4+5*(len(valueSizes)-3) {
		t.Fatalf("only %d values were read", n)
	}
}

// TestValueReaderWiped checks that a wipe ends a reader half way, and clears what
// it held.
func TestValueReaderWiped(t *testing.T) {
	f := newFixture(t, 4<<20)
	r := f.newRun(t, 16<<10, S2, valueRows(t))
	rows := valueRows(t)
	e := &rows[len(rows)-1]
	all := streams(t, r, e)
	for name, v := range all {
		if n, err := v.Read(make([]byte, 100)); n != 100 || err != nil {
			t.Fatalf("%s: %d bytes, %v", name, n, err)
		}
	}
	f.owner.Wipe()
	for name, v := range all {
		if n, err := v.Read(make([]byte, 100)); n != 0 || !errors.Is(err, crypt.ErrWiped) {
			t.Errorf("%s: %d bytes, %v after the wipe", name, n, err)
		}
		if len(bytes.Trim(v.held.mem, "\x00")) != 0 {
			t.Errorf("%s: the chunk is still there", name)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestScan reads a run past the cache and finds in it what was there before.
func TestScan(t *testing.T) {
	f := newFixture(t, 4<<20)
	rows := append(numbered(20000, func(i int) []byte { return make([]byte, i%300) }), valueRows(t)...)
	for i := 20000; i < len(rows); i++ {
		rows[i].key = append([]byte("large "), rows[i].key...)
	}
	r := f.newRun(t, 4<<10, S2, rows)
	mustGet(t, r, &rows[0])
	before := f.cache.Stats()
	it := r.NewScan()
	for pass := range 2 {
		i := 0
		for ok := it.First(); ok; ok = it.Next() {
			value, buf := []byte(nil), bytes.Buffer{}
			var err error
			if it.Large() && pass == 0 {
				_, err = buf.ReadFrom(it.Stream())
				value = buf.Bytes()
			} else {
				value, err = it.Value()
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(it.Key(), rows[i].key) || !bytes.Equal(value, rows[i].value) {
				t.Fatalf("entry %d differs", i)
			}
			i++
		}
		if i != len(rows) || it.Err() != nil {
			t.Fatalf("%d entries, %v", i, it.Err())
		}
		if pass == 0 { // Value reads small values through the cache
			if after := f.cache.Stats(); after.Misses != before.Misses || after.Evictions != before.Evictions {
				t.Errorf("the scan read %d pages into the cache", after.Misses-before.Misses)
			}
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if n := f.cache.Stats().Overflow; n != 0 {
		t.Errorf("%d bytes beside the cache are left", n)
	}
	checkRun(t, newRand(t), r, rows)
}

// TestBuilderHeap checks that what a builder holds for each entry is not on the
// Go heap.
func TestBuilderHeap(t *testing.T) {
	f := newFixture(t, 1<<20)
	b, err := NewBuilder(f.config(0, S2))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	key := make([]byte, 8)
	const n = 300_000
	for i := range n {
		key[4], key[5], key[6], key[7] = byte(i>>24), byte(i>>16), byte(i>>8), byte(i)
		if err := b.Add(key, Put, nil); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8*n { // a slice that grows takes twice that
		t.Errorf("%d bytes of heap for %d entries", grown, n)
	}
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
}
