package pager

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// entry is what tests put into runs.
type entry struct {
	key   []byte
	kind  EntryKind
	value []byte
}

// testDatabase is the database id of test runs.
var testDatabase = crypt.ID{1, 2, 3}

func newRing(tb testing.TB) *crypt.KeyRing {
	tb.Helper()
	dek, err := crypt.RandomSecret()
	if err != nil {
		tb.Fatal(err)
	}
	ring := crypt.NewKeyRing()
	ring.Add(1, dek)
	tb.Cleanup(ring.Wipe)
	return ring
}

func newCache(tb testing.TB, budget int64) *Cache {
	tb.Helper()
	c, err := NewCache(budget)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if st := c.Stats(); st.Pinned != 0 || st.Overflow != 0 {
			tb.Errorf("at the end of the test, %d bytes are pinned, %d beyond the budget", st.Pinned, st.Overflow)
		}
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// fixture builds and opens runs of one test.
type fixture struct {
	ring  *crypt.KeyRing
	cache *Cache
	owner *CacheOwner
	dir   string
	next  uint64
}

func newFixture(tb testing.TB, budget int64) *fixture {
	tb.Helper()
	f := &fixture{ring: newRing(tb), cache: newCache(tb, budget), dir: tb.TempDir()}
	f.owner = f.cache.NewOwner()
	return f
}

func (f *fixture) config(pageSize int, c Compression) BuilderConfig {
	f.next++
	return BuilderConfig{
		FS: vfs.OS(), Path: filepath.Join(f.dir, fmt.Sprintf("%08d.run", f.next)), Ring: f.ring,
		Database: testDatabase, RunID: f.next, PageSize: pageSize, Compression: c,
	}
}

func (f *fixture) build(tb testing.TB, cfg BuilderConfig, entries []entry) Info {
	tb.Helper()
	b, err := NewBuilder(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if err := b.Add(e.key, e.kind, e.value); err != nil {
			tb.Fatal(err)
		}
	}
	info, err := b.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func (f *fixture) runConfig(path string, info Info) RunConfig {
	return RunConfig{FS: vfs.OS(), Path: path, Ring: f.ring, Database: testDatabase, Cache: f.owner, Info: info}
}

// open opens a run, which is verified and closed at the end of the test.
func (f *fixture) open(tb testing.TB, path string, info Info) *Run {
	tb.Helper()
	r, err := OpenRun(f.runConfig(path, info))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if r.live() == nil {
			if _, err := r.Verify(context.Background(), nil); err != nil {
				tb.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// newRun builds a run and opens it.
func (f *fixture) newRun(tb testing.TB, pageSize int, c Compression, entries []entry) *Run {
	tb.Helper()
	cfg := f.config(pageSize, c)
	return f.open(tb, cfg.Path, f.build(tb, cfg, entries))
}

func newRand(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed := uint64(time.Now().UnixNano())
	tb.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func fill(r *rand.Rand, b []byte) []byte {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// numbered returns n entries with ascending keys of 8 bytes, 10 apart.
func numbered(n int, value func(i int) []byte) []entry {
	out := make([]entry, n)
	for i := range out {
		out[i] = entry{binary.BigEndian.AppendUint64(nil, uint64(10*i+10)), Put, value(i)}
	}
	return out
}

// randomEntries returns up to n entries with keys of many shapes, sorted.
func randomEntries(r *rand.Rand, n, pageSize int) []entry {
	alphabet := []byte("\x00\x01ab\xfe\xff")
	seen := make(map[string]bool)
	var out []entry
	for range n {
		var key []byte
		switch r.IntN(8) {
		case 0:
			key = fill(r, make([]byte, 1+r.IntN(40)))
		case 1:
			key = append(bytes.Repeat([]byte("prefix/"), 1+r.IntN(3)), fill(r, make([]byte, r.IntN(6)))...)
		case 2:
			if r.IntN(20) == 0 {
				key = append(bytes.Repeat([]byte{alphabet[r.IntN(len(alphabet))]}, r.IntN(KeySizeMax-4)), fill(r, make([]byte, 4))...)
				break
			}
			fallthrough
		default:
			key = make([]byte, 1+r.IntN(9))
			for i := range key {
				key[i] = alphabet[r.IntN(len(alphabet))]
			}
		}
		if seen[string(key)] {
			continue
		}
		seen[string(key)] = true
		e := entry{key: key, kind: Put}
		switch r.IntN(20) {
		case 0:
			e.kind = Tombstone
		case 1:
			e.value = fill(r, make([]byte, pageSize/4-2+r.IntN(5)))
		case 2:
			if r.IntN(10) == 0 {
				e.value = fill(r, make([]byte, r.IntN(600<<10)))
			}
		case 3:
			e.value = bytes.Repeat([]byte("compressible "), r.IntN(2000))
		default:
			e.value = fill(r, make([]byte, r.IntN(120)))
		}
		out = append(out, e)
	}
	sortEntries(out)
	return out
}

func sortEntries(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
}

// checkAt compares where an iterator is with an entry; e is nil when it
// should be nowhere.
func checkAt(t *testing.T, it *Iter, ok bool, e *entry) {
	t.Helper()
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	if ok != (e != nil) || it.Valid() != ok {
		t.Fatalf("on an entry: %v, valid %v, want %v", ok, it.Valid(), e != nil)
	}
	if e == nil {
		if it.Key() != nil || it.Kind() != 0 {
			t.Fatal("a key on no entry")
		}
		return
	}
	v, err := it.Value()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(it.Key(), e.key) || it.Kind() != e.kind || !bytes.Equal(v, e.value) || it.Size() != len(e.value) {
		t.Fatalf("key %.40x, kind %v, %d bytes; want %.40x, %v, %d bytes", it.Key(), it.Kind(), len(v), e.key, e.kind, len(e.value))
	}
}

// checkRun compares a run with what was put into it, in all ways of reading.
func checkRun(t *testing.T, rnd *rand.Rand, r *Run, want []entry) {
	t.Helper()
	it := r.NewIter()
	defer func() {
		if err := it.Close(); err != nil {
			t.Error(err)
		}
	}()
	at := func(i int) *entry {
		if i < 0 || i >= len(want) {
			return nil
		}
		return &want[i]
	}
	ok := it.First()
	for i := 0; i <= len(want); i++ {
		checkAt(t, it, ok, at(i))
		ok = it.Next()
	}
	ok = it.Last()
	for i := len(want) - 1; i >= -1; i-- {
		checkAt(t, it, ok, at(i))
		ok = it.Prev()
	}
	for range 200 {
		key := probe(rnd, want)
		i, found := slices.BinarySearchFunc(want, key, func(e entry, k []byte) int { return bytes.Compare(e.key, k) })
		checkGet(t, r, key, found, at(i))
		pos := i
		if rnd.IntN(2) == 0 {
			ok = it.SeekGE(key)
		} else {
			pos = i - 1
			ok = it.SeekLT(key)
		}
		checkAt(t, it, ok, at(pos))
		for step := rnd.IntN(6); step > 0 && at(pos) != nil; step-- {
			if rnd.IntN(2) == 0 {
				pos++
				ok = it.Next()
			} else {
				pos--
				ok = it.Prev()
			}
			checkAt(t, it, ok, at(pos))
		}
	}
	for i := range want {
		if i < 2000 || rnd.IntN(50) == 0 {
			checkGet(t, r, want[i].key, true, &want[i])
		}
	}
}

// probe returns a key that is there, or near one that is.
func probe(r *rand.Rand, entries []entry) []byte {
	if len(entries) == 0 || r.IntN(10) == 0 {
		return fill(r, make([]byte, 1+r.IntN(12)))
	}
	key := bytes.Clone(entries[r.IntN(len(entries))].key)
	switch r.IntN(5) {
	case 0:
		key = append(key, byte(r.Uint32()))
	case 1:
		if len(key) > 1 {
			key = key[:len(key)-1]
		}
	case 2:
		key[r.IntN(len(key))]++
	default:
	}
	return key
}

func checkGet(t *testing.T, r *Run, key []byte, found bool, e *entry) {
	t.Helper()
	checkGetBy(t, r.Get, key, found, e)
	checkGetBy(t, r.GetLikely, key, found, e)
}

func checkGetBy(t *testing.T, get func(dst, key []byte) ([]byte, EntryKind, bool, error), key []byte, found bool, e *entry) {
	t.Helper()
	dst := []byte("dst")
	v, kind, ok, err := get(dst, key)
	if err != nil {
		t.Fatal(err)
	}
	if ok != found || !bytes.HasPrefix(v, dst) {
		t.Fatalf("get %.40x: found %v, want %v", key, ok, found)
	}
	if !found {
		if len(v) != len(dst) {
			t.Fatal("a value without a key")
		}
		return
	}
	if kind != e.kind || !bytes.Equal(v[len(dst):], e.value) {
		t.Fatalf("get %.40x: %v with %d bytes, want %v with %d", key, kind, len(v)-len(dst), e.kind, len(e.value))
	}
}

// TestRunWithoutEntries: it has neither leaves nor a filter.
func TestRunWithoutEntries(t *testing.T) {
	r := newFixture(t, CacheBudgetMin).newRun(t, 0, S2, nil)
	checkGet(t, r, []byte("k"), false, nil)
	it := r.NewIter()
	if it.First() || it.Last() || it.SeekGE([]byte("k")) || it.SeekLT([]byte("k")) || it.Close() != nil {
		t.Errorf("an entry of a run without any, or %v", it.Err())
	}
}

// R8: random maps, all ways of reading, all page sizes and compressions.
func TestModel(t *testing.T) {
	for _, pageSize := range []int{PageSizeMin, 5000, PageSizeDefault, PageSizeMax} {
		for _, c := range []Compression{S2, None, Zstd} {
			t.Run(fmt.Sprintf("%d/%d", pageSize, c), func(t *testing.T) {
				rnd := newRand(t)
				f := newFixture(t, CacheBudgetMin)
				for _, n := range []int{1, 50, 2000} {
					entries := randomEntries(rnd, n, pageSize)
					checkRun(t, rnd, f.newRun(t, pageSize, c, entries), entries)
				}
			})
		}
	}
}
