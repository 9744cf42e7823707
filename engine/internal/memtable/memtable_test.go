package memtable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/byokdb/byokdb/internal/offheap"
)

func key(collection uint32, user string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, collection), user...)
}

func newTable(tb testing.TB) *Table {
	tb.Helper()
	m := New()
	tb.Cleanup(m.Free)
	return m
}

func TestShortKeysSortAsBytes(t *testing.T) {
	m := newTable(t)
	users := []string{"", "\x00", "\x00\x00", "a", "a\x00", "a\x00\x00\x00\x00\x00\x00\x00", "a\x00\x00\x00\x00\x00\x00\x00\x00", "ab", "abcdefgh", "abcdefgh\x00", "abcdefghi", "b"}
	var want [][]byte
	for _, c := range []uint32{1, 2, 256} {
		for _, u := range users {
			want = append(want, key(c, u))
		}
	}
	for _, i := range rand.Perm(len(want)) {
		if err := m.Set(want[i], Put, []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	var got [][]byte
	it := m.Snapshot().NewIter()
	for ok := it.First(); ok; ok = it.Next() {
		got = append(got, bytes.Clone(it.Key()))
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("order is\n%q\nwant\n%q", got, want)
	}
	for i, k := range want {
		if v, kind, ok := m.Get(k); !ok || kind != Put || string(v) != fmt.Sprint(i) {
			t.Errorf("Get(%q) = %q, %d, %t", k, v, kind, ok)
		}
	}
}

// TestModel compares a table and its snapshots with plain maps.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	m := newTable(t)
	model := map[string]string{}
	for range 30 {
		for range rng.IntN(300) {
			k := string(key(uint32(rng.IntN(3)), fmt.Sprintf("key%0*d", rng.IntN(10), rng.IntN(500))))
			v := fmt.Sprint(rng.Uint64())
			model[k] = v
			if err := m.Set([]byte(k), Put, []byte(v)); err != nil {
				t.Fatal(err)
			}
		}
		v, want := m.Snapshot(), mapOf(model)
		if err := m.Set(key(0, "later"), Put, nil); err != nil { // must not show in v
			t.Fatal(err)
		}
		model[string(key(0, "later"))] = ""
		checkView(t, rng, v, want)
	}
}

type pair struct{ k, v string }

func mapOf(m map[string]string) []pair {
	out := make([]pair, 0, len(m))
	for k, v := range m {
		out = append(out, pair{k, v})
	}
	slices.SortFunc(out, func(a, b pair) int { return bytes.Compare([]byte(a.k), []byte(b.k)) })
	return out
}

func checkView(t *testing.T, rng *rand.Rand, v *View, want []pair) {
	t.Helper()
	if v.Len() != len(want) {
		t.Fatalf("Len = %d, want %d", v.Len(), len(want))
	}
	it := v.NewIter()
	at := func(i int, ok bool) {
		t.Helper()
		if (i >= 0 && i < len(want)) != ok {
			t.Fatalf("at %d of %d: ok = %t", i, len(want), ok)
		}
		if !ok {
			return
		}
		value, err := it.Value()
		if err != nil || string(it.Key()) != want[i].k || string(value) != want[i].v {
			t.Fatalf("at %d: %q = %q, %v; want %v", i, it.Key(), value, err, want[i])
		}
	}
	for range 20 {
		probe := key(uint32(rng.IntN(4)), fmt.Sprintf("key%d", rng.IntN(600)))
		i, _ := slices.BinarySearchFunc(want, probe, func(p pair, k []byte) int { return bytes.Compare([]byte(p.k), k) })
		ok := it.SeekGE(probe)
		if rng.IntN(2) == 0 {
			ok = it.SeekLT(probe)
			i--
		}
		at(i, ok)
		for range 200 {
			if !ok {
				break
			}
			if rng.IntN(3) > 0 {
				i++
				ok = it.Next()
			} else {
				i--
				ok = it.Prev()
			}
			at(i, ok)
		}
	}
	at(0, it.First())
	at(len(want)-1, it.Last())
}

func TestRestoreAndReset(t *testing.T) {
	m := newTable(t)
	set := func(k, v string) {
		t.Helper()
		if err := m.Set(key(1, k), Put, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	set("a", "1")
	sp := m.Snapshot()
	set("a", "2")
	set("b", "3")
	m.Restore(sp)
	if v, _, ok := m.Get(key(1, "a")); !ok || string(v) != "1" {
		t.Errorf("a = %q, %t after Restore", v, ok)
	}
	if _, _, ok := m.Get(key(1, "b")); ok {
		t.Error("b is there after Restore")
	}
	set("c", "4")
	m.Reset(0)
	if m.Len() != 0 || m.Bytes() != 0 {
		t.Errorf("Len %d, Bytes %d after Reset", m.Len(), m.Bytes())
	}
	for i, b := range m.arena.chunks[0] {
		if b != 0 {
			t.Fatalf("byte %d is not zero after Reset", i)
		}
	}
}

// TestWipeLeavesZeros holds an iterator over a wipe: it may see nothing but
// empty keys and values.
func TestWipeLeavesZeros(t *testing.T) {
	m := newTable(t)
	for i := range 5000 {
		if err := m.Set(key(1, fmt.Sprint("secret", i)), Put, bytes.Repeat([]byte("secret"), 10)); err != nil {
			t.Fatal(err)
		}
	}
	it := m.Snapshot().NewIter()
	it.First()
	wiped := slices.Clone(m.arena.chunks)
	m.Wipe()
	for ok := it.Valid(); ok; ok = it.Next() {
		if v, _ := it.Value(); len(it.Key()) != 0 || len(v) != 0 {
			t.Fatalf("%q = %q after Wipe", it.Key(), v)
		}
	}
	for _, c := range wiped {
		if len(bytes.Trim(c, "\x00")) > 0 {
			t.Fatal("the arena holds something after Wipe")
		}
	}
	if len(wiped) < 3 {
		t.Fatalf("%d chunks were looked at", len(wiped))
	}
}

// TestWipeEndsIterators walks keys that share their first bytes, which all read
// as equal once they are wiped.
func TestWipeEndsIterators(t *testing.T) {
	for _, forward := range []bool{true, false} {
		tab := New()
		const n = 1000
		for i := range n {
			if err := tab.Set(fmt.Appendf(nil, "\x00\x00\x00\x01customer-%06d", i), Put, []byte("v")); err != nil {
				t.Fatal(err)
			}
		}
		it := tab.Snapshot().NewIter()
		step, ok := it.Next, it.First()
		if !forward {
			step, ok = it.Prev, it.Last()
		}
		if !ok || it.Err() != nil {
			t.Fatalf("before the wipe: %v %v", ok, it.Err())
		}
		tab.Wipe()
		steps := 0
		for step() {
			if steps++; steps > n {
				t.Fatalf("forward %v: the iteration does not end", forward)
			}
		}
		if !errors.Is(it.Err(), ErrWiped) || it.Valid() {
			t.Errorf("forward %v: valid %v, %v", forward, it.Valid(), it.Err())
		}
		tab.Free()
	}
}

func BenchmarkSet(b *testing.B) {
	m := newTable(b)
	k, v := make([]byte, 20), make([]byte, 100)
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		binary.BigEndian.PutUint64(k[4:], rng.Uint64())
		if err := m.Set(k, Put, v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	m := newTable(b)
	const n = 500_000
	k, v := make([]byte, 20), make([]byte, 100)
	for i := range uint64(n) {
		binary.BigEndian.PutUint64(k[4:], i*0x9E3779B97F4A7C15)
		if err := m.Set(k, Put, v); err != nil {
			b.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		binary.BigEndian.PutUint64(k[4:], rng.Uint64N(n)*0x9E3779B97F4A7C15)
		if _, _, ok := m.Get(k); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkIterate(b *testing.B) {
	m := newTable(b)
	for i := range uint64(100_000) {
		if err := m.Set(key(1, fmt.Sprint(i)), Put, nil); err != nil {
			b.Fatal(err)
		}
	}
	it := m.Snapshot().NewIter()
	for b.Loop() {
		if !it.Next() {
			it.First()
		}
	}
}

// TestReserve fills entries in place, in chunks and in memory of their own, and
// drops some.
func TestReserve(t *testing.T) {
	tab := New()
	defer tab.Free()
	sizes := []int{0, 1, 100, chunkMin, largeMin - entryHeaderSize - 6, largeMin - entryHeaderSize - 5, 3 * largeMin}
	for round := range 2 {
		for i, size := range sizes {
			key := []byte{0, 0, 0, 1, byte(i)}
			dropped, err := tab.Reserve(key, size)
			if err != nil {
				t.Fatal(err)
			}
			for j := range dropped.Value() {
				dropped.Value()[j] = 0xee
			}
			r, err := tab.Reserve(key, size)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Value()) != size || len(bytes.Trim(r.Value(), "\x00")) != 0 {
				t.Fatalf("size %d: %d bytes reserved, not all zero", size, len(r.Value()))
			}
			tab.Drop(dropped)
			for j := range r.Value() {
				r.Value()[j] = byte(i + round + 1)
			}
			if _, _, found := tab.Get(key); found {
				t.Fatalf("size %d: found before Insert", size)
			}
			tab.Insert(r)
		}
		for i, size := range sizes {
			v, kind, found := tab.Get([]byte{0, 0, 0, 1, byte(i)})
			if !found || kind != Put || !bytes.Equal(v, bytes.Repeat([]byte{byte(i + round + 1)}, size)) {
				t.Errorf("size %d: found %v, kind %d, %d bytes", size, found, kind, len(v))
			}
		}
		if n := len(tab.arena.large); n != 2 {
			t.Errorf("%d entries have memory of their own, want 2", n)
		}
		tab.Reset(0)
		if n := len(tab.arena.large); n != 0 || tab.Bytes() != 0 {
			t.Errorf("after Reset: %d large entries, %d bytes", n, tab.Bytes())
		}
	}
}

// TestResetKeepsMemory checks that a table which is filled with as much again and
// again asks for memory once, keeps no more than it may, and lets go of what it
// no longer needs. All that it keeps is zero.
func TestResetKeepsMemory(t *testing.T) {
	taken := 0
	tab := NewIn(func(n int) ([]byte, error) { taken++; return offheap.Alloc(n) })
	t.Cleanup(tab.Free)
	fill := func(bytes, keep int) (n int) {
		t.Helper()
		taken = 0
		for i := range bytes / 100 {
			if err := tab.Set(binary.BigEndian.AppendUint64(nil, uint64(i)), Put, make([]byte, 80)); err != nil {
				t.Fatal(err)
			}
		}
		n = taken
		tab.Reset(keep)
		for _, c := range tab.arena.chunks {
			if len(c) > max(keep, chunkMin) {
				t.Errorf("%d bytes are kept of %d allowed", len(c), keep)
			}
			if i := slices.IndexFunc(c, func(b byte) bool { return b != 0 }); i >= 0 {
				t.Fatalf("byte %d is not zero after Reset", i)
			}
		}
		return n
	}
	const keep = 256 << 10
	fill(150<<10, keep)
	fill(150<<10, keep)
	if n := fill(150<<10, keep); n != 0 {
		t.Errorf("memory was asked for %d times although enough was kept", n)
	}
	if fill(4<<10, keep); len(tab.arena.chunks) != 0 {
		t.Errorf("%d bytes are kept for 4 KiB", len(tab.arena.chunks[0]))
	}
	fill(4<<10, 0)
	if n := fill(4<<10, 0); n != 0 {
		t.Errorf("memory was asked for %d times for little", n)
	}
	fill(2<<20, keep)
	fill(2<<20, keep)
	if n := fill(2<<20, keep); n == 0 || len(tab.arena.chunks) != 1 {
		t.Errorf("of much, %d chunks are kept", len(tab.arena.chunks))
	}
}
