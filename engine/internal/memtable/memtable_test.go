package memtable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func ikey(collection uint32, user string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, collection), user...)
}

func mustSet(tb testing.TB, t *Table, key []byte, kind Kind, value string) {
	tb.Helper()
	if err := t.Set(key, kind, []byte(value)); err != nil {
		tb.Fatalf("set %x: %v", key, err)
	}
}

// trickyKeys are keys whose padded prefixes are equal, and neighbours of them.
func trickyKeys() []string {
	keys := []string{"", "\x00", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00", "a\x00\x00\x00\x00\x00\x00\x00\x00", "\xff", strings.Repeat("\xff", 9)}
	for n := 6; n <= 10; n++ {
		keys = append(keys, strings.Repeat("k", n), strings.Repeat("k", n)+"\x00", strings.Repeat("\x00", n))
	}
	keys = append(keys, strings.Repeat("k", 32<<10), strings.Repeat("k", 32<<10-1)+"j")
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestOrderOfTrickyKeys(t *testing.T) {
	tab := New()
	defer tab.Free()
	var want []string
	for _, c := range []uint32{0, 1, 0xffffffff} {
		for _, k := range trickyKeys() {
			want = append(want, string(ikey(c, k)))
		}
	}
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(want)) {
		mustSet(t, tab, []byte(want[i]), Put, fmt.Sprint(i))
	}
	v := tab.Snapshot()
	var got []string
	it := v.NewIter()
	for ok := it.First(); ok; ok = it.Next() {
		got = append(got, string(it.Key()))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("forward order differs: %d keys, want %d", len(got), len(want))
	}
	got = got[:0]
	for ok := it.Last(); ok; ok = it.Prev() {
		got = append(got, string(it.Key()))
	}
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Fatal("backward order differs")
	}
	for i, k := range want {
		val, kind, ok := v.Get([]byte(k))
		if !ok || kind != Put || string(val) != fmt.Sprint(i) {
			t.Fatalf("get key %d = %q %v %v", i, val, kind, ok)
		}
	}
}

// checkSeeks compares every seek with a sorted slice.
func checkSeeks(t *testing.T, v *View, sorted []string, probes []string) {
	t.Helper()
	it := v.NewIter()
	defer it.Close()
	for _, p := range probes {
		at, _ := slices.BinarySearch(sorted, p)
		if ok := it.SeekGE([]byte(p)); ok != (at < len(sorted)) || ok && string(it.Key()) != sorted[at] {
			t.Fatalf("SeekGE(%.20x) = %v %.20x, want index %d of %d", p, ok, it.Key(), at, len(sorted))
		}
		if it.Valid() && it.Prev() != (at > 0) {
			t.Fatalf("Prev after SeekGE(%.20x)", p)
		}
		if ok := it.SeekLT([]byte(p)); ok != (at > 0) || ok && string(it.Key()) != sorted[at-1] {
			t.Fatalf("SeekLT(%.20x) = %v %.20x, want index %d", p, ok, it.Key(), at-1)
		}
		if it.Valid() && it.Next() != (at < len(sorted)) {
			t.Fatalf("Next after SeekLT(%.20x)", p)
		}
	}
}

func TestSeek(t *testing.T) {
	tab := New()
	defer tab.Free()
	checkSeeks(t, tab.Snapshot(), nil, []string{"", "\x00\x00\x00\x01", "\xff"})
	var keys []string
	for i, k := range trickyKeys() {
		if i%2 == 0 {
			keys = append(keys, string(ikey(7, k)), string(ikey(9, k)))
		}
	}
	for i := range 500 {
		keys = append(keys, string(ikey(8, fmt.Sprintf("row-%06d", 3*i))))
	}
	slices.Sort(keys)
	for _, k := range keys {
		mustSet(t, tab, []byte(k), Put, "v")
	}
	probes := []string{"", "\x00", "\x00\x00\x00", "\xff", strings.Repeat("\xff", 70000), string(ikey(7, strings.Repeat("k", 70000)))}
	for _, k := range trickyKeys() {
		probes = append(probes, string(ikey(6, k)), string(ikey(7, k)), string(ikey(8, k)), string(ikey(9, k)), string(ikey(10, k)))
	}
	for i := range 1502 {
		probes = append(probes, string(ikey(8, fmt.Sprintf("row-%06d", i))))
	}
	checkSeeks(t, tab.Snapshot(), keys, probes)
}

func TestKeyAndValueLimits(t *testing.T) {
	tab := New()
	defer tab.Free()
	for _, c := range []struct {
		key   []byte
		kind  Kind
		value string
		want  error
	}{
		{nil, Put, "", ErrKeySize},
		{[]byte("abc"), Put, "", ErrKeySize},
		{[]byte("abcd"), Put, "", nil},
		{make([]byte, KeySizeMax), Put, "", nil},
		{make([]byte, KeySizeMax+1), Put, "", ErrKeySize},
		{[]byte("abcd"), Tombstone, "x", ErrValueSize},
		{[]byte("abcd"), Tombstone, "", nil},
	} {
		if err := tab.Set(c.key, c.kind, []byte(c.value)); !errors.Is(err, c.want) {
			t.Errorf("set of %d B: %v, want %v", len(c.key), err, c.want)
		}
	}
	if n := tab.Len(); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
}

func TestChunkBoundaries(t *testing.T) {
	tab := New()
	defer tab.Free()
	if b := tab.Bytes(); b != 0 {
		t.Errorf("an empty table takes %d B", b)
	}
	sizes := []int{
		0, 1, chunkSizeMin - 100, chunkSizeMin, chunkSizeMin + 1, ownChunkSize - 13, ownChunkSize - 12,
		ownChunkSize, chunkSizeMax, chunkSizeMax + 1, 9 << 20,
	}
	for round := range 3 {
		for i, n := range sizes {
			mustSet(t, tab, ikey(uint32(round), fmt.Sprintf("%04d", i)), Put, strings.Repeat(string(rune('a'+i)), n))
		}
	}
	v := tab.Snapshot()
	for round := range 3 {
		for i, n := range sizes {
			val, _, ok := v.Get(ikey(uint32(round), fmt.Sprintf("%04d", i)))
			if !ok || len(val) != n || strings.Trim(string(val), string(rune('a'+i))) != "" {
				t.Fatalf("value of %d B came back with %d B, found %v", n, len(val), ok)
			}
		}
	}
}

// TestModel runs random operations beside a map, with snapshots that must not
// see what came after them.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	type entry struct {
		kind  Kind
		value string
	}
	type snap struct {
		v    *View
		want map[string]entry
	}
	tab, model := New(), map[string]entry{}
	defer tab.Free()
	var snaps []snap
	for range 6000 {
		k := ikey(uint32(r.IntN(3)), strings.Repeat("p", r.IntN(12))+fmt.Sprint(r.IntN(300)))
		e := entry{Put, fmt.Sprint(r.Uint64())}
		if r.IntN(4) == 0 {
			e = entry{Tombstone, ""}
		}
		mustSet(t, tab, k, e.kind, e.value)
		model[string(k)] = e
		if r.IntN(300) == 0 {
			want := make(map[string]entry, len(model))
			for k, e := range model {
				want[k] = e
			}
			snaps = append(snaps, snap{tab.Snapshot(), want})
		}
	}
	snaps = append(snaps, snap{tab.Snapshot(), model})
	for n, s := range snaps {
		if s.v.Len() != len(s.want) {
			t.Fatalf("snapshot %d has %d keys, want %d", n, s.v.Len(), len(s.want))
		}
		var keys []string
		for k, e := range s.want {
			keys = append(keys, k)
			if val, kind, ok := s.v.Get([]byte(k)); !ok || kind != e.kind || string(val) != e.value {
				t.Fatalf("snapshot %d: get %q = %q %v %v, want %v", n, k, val, kind, ok, e)
			}
		}
		slices.Sort(keys)
		at := -1
		it := s.v.NewIter()
		for range 3000 { // a random walk both ways
			switch {
			case !it.Valid():
				at = r.IntN(len(keys))
				it.SeekGE([]byte(keys[at]))
			case r.IntN(3) > 0:
				it.Next()
				at++
			default:
				it.Prev()
				at--
			}
			if it.Valid() != (at >= 0 && at < len(keys)) {
				t.Fatalf("snapshot %d: valid %v at index %d of %d", n, it.Valid(), at, len(keys))
			}
			if it.Valid() {
				val, err := it.Value()
				e := s.want[keys[at]]
				if err != nil || string(it.Key()) != keys[at] || string(val) != e.value || it.Kind() != e.kind {
					t.Fatalf("snapshot %d at %d: %q %q, want %q %v", n, at, it.Key(), val, keys[at], e)
				}
			}
		}
	}
}

func TestReadersBesideWriter(t *testing.T) {
	tab := New()
	defer tab.Free()
	key := func(i int) []byte { return ikey(1, fmt.Sprintf("some-long-key-%06d", i)) }
	const n = 3000
	var mu sync.Mutex // as the engine's: snapshots exclude writes
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 30 {
				mu.Lock()
				v := tab.Snapshot()
				mu.Unlock()
				seen := 0
				it := v.NewIter()
				for ok := it.First(); ok; ok = it.Next() {
					if want := key(seen); !bytes.Equal(it.Key(), want) {
						t.Errorf("reader %d: key %q, want %q", g, it.Key(), want)
						return
					}
					if _, _, ok := v.Get(it.Key()); !ok {
						t.Errorf("reader %d: %q is not found", g, it.Key())
						return
					}
					seen++
				}
				if seen != v.Len() {
					t.Errorf("reader %d saw %d keys of %d", g, seen, v.Len())
				}
			}
		}()
	}
	for i := range n {
		mu.Lock()
		mustSet(t, tab, key(i), Put, "value")
		mu.Unlock()
	}
	wg.Wait()
}

func TestWipe(t *testing.T) {
	tab := New()
	defer tab.Free()
	for i := range 1000 {
		mustSet(t, tab, ikey(1, fmt.Sprintf("secret-key-%05d", i)), Put, "MARKER")
	}
	mustSet(t, tab, ikey(1, "large"), Put, strings.Repeat("MARKER", 1<<20))
	v := tab.Snapshot()
	it := v.NewIter()
	if !it.First() {
		t.Fatal("no first entry")
	}
	val, err := it.Value()
	if err != nil {
		t.Fatal(err)
	}
	chunks := *tab.shared.arena.chunks.Load()
	tab.Wipe()
	for i, c := range chunks {
		if n := len(c) - bytes.Count(c, []byte{0}); n != 0 {
			t.Fatalf("chunk %d holds %d bytes that are not zero", i, n)
		}
	}
	if strings.Trim(string(val), "\x00") != "" {
		t.Errorf("a value that was handed out still reads %q", val)
	}
	if _, err := it.Value(); !errors.Is(err, ErrWiped) {
		t.Errorf("Value after the wipe: %v", err)
	}
	steps := 0
	for it.Next() {
		steps++
	}
	if !errors.Is(it.Err(), ErrWiped) || steps > windowSizeMax {
		t.Errorf("iteration went on for %d steps, then %v", steps, it.Err())
	}
	if it.SeekGE(ikey(1, "secret-key-00000")) || it.First() || it.Last() || it.SeekLT(ikey(2, "")) {
		t.Error("a wiped view has entries")
	}
	if _, _, ok := v.Get(ikey(1, "secret-key-00001")); ok {
		t.Error("a wiped view finds a key")
	}
	if err := tab.Set(ikey(1, "x"), Put, nil); !errors.Is(err, ErrWiped) {
		t.Errorf("set after the wipe: %v", err)
	}
	if tab.Len() != 0 || tab.Bytes() != 0 {
		t.Errorf("%d keys, %d B after the wipe", tab.Len(), tab.Bytes())
	}
}

// TestWipeUnderReaders wipes while views are read: nothing may panic, and no
// scan may go on for ever.
func TestWipeUnderReaders(t *testing.T) {
	for range 20 {
		tab := New()
		for i := range 5000 {
			mustSet(t, tab, ikey(uint32(i%3), fmt.Sprintf("secret-key-%05d", i)), Put, "value")
		}
		v := tab.Snapshot()
		var wg sync.WaitGroup
		started := make(chan struct{}, 3)
		for range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				started <- struct{}{}
				it := v.NewIter()
				for it.Err() == nil {
					for ok := it.SeekGE(ikey(1, "secret-key-")); ok; ok = it.Next() {
						v.Get(it.Key())
						_, _ = it.Value()
					}
				}
			}()
		}
		for range 3 {
			<-started
		}
		tab.Wipe()
		wg.Wait()
		tab.Free()
	}
}

func TestSetDoesNotAllocateOnTheHeap(t *testing.T) {
	tab := New()
	defer tab.Free()
	key := ikey(1, "the-same-key-again")
	mustSet(t, tab, key, Put, "value")
	if n := testing.AllocsPerRun(100, func() { mustSet(t, tab, key, Put, "v") }); n > 1 {
		t.Errorf("Set of an existing key allocates %v times", n)
	}
	v := tab.Snapshot()
	if n := testing.AllocsPerRun(100, func() { v.Get(key) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
}

const benchN = 200_000

func benchKeys() [][]byte {
	r := rand.New(rand.NewPCG(1, 1))
	keys := make([][]byte, benchN)
	for i := range keys {
		k := make([]byte, 20)
		for j := range k[4:] {
			k[4+j] = byte(r.Uint32())
		}
		keys[i] = k
	}
	return keys
}

func benchTable(b *testing.B, keys [][]byte) *Table {
	b.Helper()
	tab := New()
	value := make([]byte, 100)
	for _, k := range keys {
		if err := tab.Set(k, Put, value); err != nil {
			b.Fatal(err)
		}
	}
	return tab
}

func BenchmarkSetRandom(b *testing.B) {
	keys := benchKeys()
	value := make([]byte, 100)
	tab := New()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(keys) {
			b.StopTimer()
			tab.Free()
			tab, i = New(), 0
			b.StartTimer()
		}
		if err := tab.Set(keys[i], Put, value); err != nil {
			b.Fatal(err)
		}
		i++
	}
	tab.Free()
}

func BenchmarkSetAfterSnapshot(b *testing.B) {
	keys := benchKeys()
	tab := benchTable(b, keys)
	defer tab.Free()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tab.Snapshot()
		if err := tab.Set(keys[i%len(keys)], Put, keys[0]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkGet(b *testing.B) {
	keys := benchKeys()
	tab := benchTable(b, keys)
	defer tab.Free()
	v := tab.Snapshot()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, _, ok := v.Get(keys[i*7919%len(keys)]); !ok {
			b.Fatal("not found")
		}
		i++
	}
}

func BenchmarkIterate(b *testing.B) {
	tab := benchTable(b, benchKeys())
	defer tab.Free()
	it := tab.Snapshot().NewIter()
	b.ReportAllocs()
	for b.Loop() {
		if !it.Next() {
			it.First()
		}
		_ = it.Key()
	}
}

func BenchmarkShortScan(b *testing.B) {
	keys := benchKeys()
	tab := benchTable(b, keys)
	defer tab.Free()
	v := tab.Snapshot()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		it := v.NewIter()
		it.SeekGE(keys[i%len(keys)])
		it.Next()
		_ = it.Close()
		i++
	}
}
