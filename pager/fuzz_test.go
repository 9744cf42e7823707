package pager

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klauspost/compress/s2"
)

// sampleNodes returns encoded nodes of both kinds.
func sampleNodes(tb testing.TB) map[pageKind][]byte {
	tb.Helper()
	out := make(map[pageKind][]byte)
	for _, kind := range []pageKind{kindLeaf, kindInner} {
		w := nodeWriter{kind: kind}
		for i := range 20 {
			flags, value := byte(Put), fmt.Appendf(nil, "value %d", i)
			switch {
			case kind == kindInner:
				flags, value = 0, make([]byte, refSize)
			case i == 3:
				flags, value = byte(Tombstone), nil
			case i == 4:
				flags, value = byte(Put)|entryLarge, append([]byte{0, 0, 1, 0}, make([]byte, refSize)...)
			}
			if err := w.add(flags, fmt.Appendf(nil, "key %03d", i), value); err != nil {
				tb.Fatal(err)
			}
		}
		var b buffer
		if err := w.encode(&b); err != nil {
			tb.Fatal(err)
		}
		out[kind] = bytes.Clone(b.bytes())
		if err := checkNode(out[kind], kind); err != nil {
			tb.Fatal(err)
		}
		if err := w.entries.free(); err != nil {
			tb.Fatal(err)
		}
		if err := b.free(); err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

// useNode calls everything that reads a node. What checkNode has passed must not
// panic, whatever it says.
func useNode(p node, kind pageKind, key []byte) {
	n := p.len()
	for i := range n {
		flags, k, v := p.entry(i, n)
		if !bytes.Equal(k, p.key(i)) {
			panic("two keys of one entry")
		}
		if kind == kindInner {
			p.child(i)
		} else if flags&entryLarge != 0 {
			for c := range largeChunks(largeSize(v)) {
				largeChunk(v, c)
			}
		}
		p.find(k)
		p.search(k)
		p.guess(k)
		if i := p.candidate(k); i >= 0 {
			p.key(i)
		}
	}
	p.search(key)
	p.find(key)
	p.descend(key)
	_ = checkOrder(p, nil, key) // the result does not matter here
}

// R7: a node is checked before it is used.
func FuzzNode(f *testing.F) {
	for kind, page := range sampleNodes(f) {
		f.Add(page, byte(kind), []byte("key 003"))
	}
	f.Fuzz(func(t *testing.T, data []byte, kind byte, key []byte) {
		k := kindLeaf
		if kind == byte(kindInner) {
			k = kindInner
		}
		if len(data) <= contentSizeMax && checkNode(data, k) == nil {
			useNode(data, k, key)
		}
	})
}

// Every byte of a node changed to every other value: no panic.
func TestNodeDamage(t *testing.T) {
	refused := 0
	for kind, page := range sampleNodes(t) {
		for i := range page {
			for v := range 256 {
				data := bytes.Clone(page)
				data[i] = byte(v)
				if err := checkNode(data, kind); err != nil {
					refused++
					continue
				}
				useNode(data, kind, []byte("key 0035"))
			}
		}
		for n := range page {
			if checkNode(page[:n], kind) == nil && kind == kindInner {
				t.Errorf("an inner node cut to %d bytes was taken", n)
			}
		}
	}
	if refused == 0 {
		t.Fatal("nothing was refused")
	}
}

// R6: contents are decoded within the size that they state.
func FuzzContent(f *testing.F) {
	page := bytes.Repeat([]byte("contents of a page "), 30)
	f.Add(append([]byte{codecNone, 0, 0, 0, 3}, "abc"...))
	f.Add(append([]byte{codecS2, 0, 0, byte(len(page) >> 8), byte(len(page))}, s2.Encode(nil, page)...))
	f.Add([]byte{codecZstd, 0, 0, 0, 1, 0x28, 0xB5, 0x2F, 0xFD, 0x20, 1, 9, 0, 0, 'a'})
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseContent(&scratch{}, data)
		if err != nil {
			return
		}
		guard := bytes.Repeat([]byte{0xA5}, c.size+64)
		_ = c.decode(guard[:c.size]) // an error is fine, writing past the end is not
		if !bytes.Equal(guard[c.size:], bytes.Repeat([]byte{0xA5}, 64)) {
			t.Fatal("bytes were written behind the page")
		}
	})
}

// R5: header, trailer and properties.
func FuzzFixed(f *testing.F) {
	h := header{pageSize: PageSizeMin, epoch: 1}
	hb := h.marshal()
	f.Add(hb[:])
	tr := trailer{fileSize: 4096, properties: ref{headerSize, 100}, filterAt: headerSize}
	tb := tr.marshal()
	f.Add(tb[:])
	p := properties{first: []byte("a"), last: []byte("b")}
	f.Add(p.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == headerSize {
			var h header
			if h.unmarshal((*[headerSize]byte)(data)) == nil {
				if again := h.marshal(); !bytes.Equal(again[:], data) {
					t.Fatal("a header does not survive")
				}
			}
		}
		var tr trailer
		if tr.unmarshal(data, 4096) == nil {
			if again := tr.marshal(); !bytes.Equal(again[:], data) {
				t.Fatal("a trailer does not survive")
			}
		}
		var p properties
		if p.unmarshal(data) == nil && !bytes.Equal(p.append(nil), data) {
			t.Fatal("properties do not survive")
		}
	})
}

// R9: keys are found again and few others; vectors fix what is on disk.
func TestFilter(t *testing.T) {
	const n = 20_000
	nBlocks := filterBlocks(n)
	blocks := make([]byte, int(nBlocks)*filterBlockSize)
	key := func(i int) []byte { return fmt.Appendf(nil, "key %d", i) }
	for i := range n {
		filterAdd(blocks, filterHash(key(i)))
	}
	has := func(i int) bool {
		h := filterHash(key(i))
		at := int(filterBlock(h, nBlocks)) * filterBlockSize
		return filterTest(blocks[at:at+filterBlockSize], h)
	}
	wrong := 0
	for i := range n {
		if !has(i) {
			t.Fatalf("key %d is denied", i)
		}
		if has(n + i) {
			wrong++
		}
	}
	if wrong > n*2/100 {
		t.Errorf("%d of %d absent keys pass", wrong, n)
	}
	for in, want := range map[string]uint64{"": 0xef46db3751d8e999, "a": 0xd24ec4f1a98c6e5b, "abc": 0x44bc2cf5ad770999} {
		if h := filterHash([]byte(in)); h != want { // published vectors of xxhash64
			t.Errorf("the hash of %q is %#x", in, h)
		}
	}
}
