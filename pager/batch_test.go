package pager

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkBatches looks keys up in batches beside a model.
func checkBatches(t *testing.T, rnd *rand.Rand, r *Run, entries []entry) {
	t.Helper()
	for range 200 {
		var b Batch
		keys := make([][]byte, 1+rnd.IntN(BatchMax))
		for i := range keys {
			switch {
			case rnd.IntN(10) == 0:
				b.Add(nil, []byte("none"))
				continue
			case rnd.IntN(3) > 0 && len(entries) > 0:
				keys[i] = entries[rnd.IntN(len(entries))].key
			default:
				keys[i] = probe(rnd, entries)
			}
			b.Add(r, keys[i])
		}
		b.Find()
		for i, key := range keys {
			if key == nil {
				if dst, _, found, err := b.Get(i, []byte("dst")); found || err != nil || string(dst) != "dst" {
					t.Fatalf("a key without a run: %q, %v, %v", dst, found, err)
				}
				continue
			}
			at, found := slices.BinarySearchFunc(entries, key, func(e entry, k []byte) int { return bytes.Compare(e.key, k) })
			var e *entry
			if found {
				e = &entries[at]
			}
			checkGetBy(t, func(dst, _ []byte) ([]byte, EntryKind, bool, error) { return b.Get(i, dst) }, key, found, e)
		}
		b.Release()
	}
	if st := r.owner.c.Stats(); st.Pinned != 0 {
		t.Errorf("%d bytes stay pinned", st.Pinned)
	}
}

// TestBatch looks up keys of many shapes, in leaves that are in memory and in such
// that are not.
func TestBatch(t *testing.T) {
	rnd := newRand(t)
	for _, pageSize := range []int{PageSizeMin, PageSizeDefault} {
		f := newFixture(t, 2<<20)
		for _, n := range []int{0, 1, 3000} {
			entries := randomEntries(rnd, n, pageSize)
			checkBatches(t, rnd, f.newRun(t, pageSize, S2, entries), entries)
		}
		even := numbered(20_000, func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) })
		checkBatches(t, rnd, f.newRun(t, pageSize, S2, even), even)
	}
}

// TestNodeSearch compares the searches of a node with a walk through it, where
// heads are spread in ways that guesses do not expect.
func TestNodeSearch(t *testing.T) {
	rnd := newRand(t)
	for range 300 {
		n := 1 + rnd.IntN(60)
		var keys [][]byte
		prefix := bytes.Repeat([]byte{7}, rnd.IntN(4))
		shape := rnd.IntN(4)
		one := func() []byte {
			k := slices.Clone(prefix)
			switch shape {
			case 0: // few heads
				return append(k, 0, 0, 0, byte(rnd.IntN(3)), byte(rnd.IntN(40)))
			case 1: // most at one end
				return binary.BigEndian.AppendUint32(k, 1<<rnd.IntN(32)-1)
			case 2:
				return append(k, fill(rnd, make([]byte, rnd.IntN(6)))...)
			default: // even
				return binary.BigEndian.AppendUint64(k, uint64(rnd.IntN(200)))
			}
		}
		for range n {
			if k := one(); len(k) > 0 {
				keys = append(keys, k)
			}
		}
		slices.SortFunc(keys, bytes.Compare)
		if keys = slices.CompactFunc(keys, bytes.Equal); len(keys) == 0 {
			continue
		}
		p := encodeNode(t, keys)
		for range 100 {
			key := one()
			if rnd.IntN(10) == 0 {
				key = fill(rnd, make([]byte, rnd.IntN(8)))
			}
			want, found := slices.BinarySearchFunc(keys, key, bytes.Compare)
			if got, equal := p.search(key); got != want || equal != found {
				t.Fatalf("search %x in %x: %d, %v; want %d, %v", key, keys, got, equal, want, found)
			}
			if got := p.find(key); found && got != want || !found && got != -1 {
				t.Fatalf("find %x in %x: %d; want %d, %v", key, keys, got, want, found)
			}
			down := want
			if !found {
				down = max(want-1, 0)
			}
			if got := p.descend(key); got != down {
				t.Fatalf("descend to %x in %x: %d, want %d", key, keys, got, down)
			}
			if i := p.candidate(key); found && (i < 0 || i > want || p.head(i) != p.head(want)) {
				t.Fatalf("candidate of %x in %x: %d, want %d", key, keys, i, want)
			}
		}
	}
}

// encodeNode returns a leaf with these keys.
func encodeNode(t *testing.T, keys [][]byte) node {
	t.Helper()
	w := nodeWriter{kind: kindLeaf}
	var b buffer
	for _, k := range keys {
		if err := w.add(byte(Put), k, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.encode(&b); err != nil {
		t.Fatal(err)
	}
	p := node(bytes.Clone(b.bytes()))
	if err := errors.Join(checkNode(p, kindLeaf), w.entries.free(), b.free()); err != nil {
		t.Fatal(err)
	}
	return p
}
