package pager

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// A node is a decoded leaf or inner page. Both have the same layout; the value
// of an inner entry is the ref of a child.
//
//	offset  size  field, integers big-endian
//	     0     1  1 = leaf, 2 = inner node
//	     1     1  zero
//	     2     2  n, the number of entries, at least 1
//	     4     2  p, the size of the prefix that all keys of the page share
//	     6     2  zero
//	     8   8·n  slots: head (4 B) ‖ offset of the entry in the page (4 B)
//	     …        entries, one behind the other in the order of their keys:
//	              flags (1 B) ‖ size of the key (2 B) ‖ key ‖ value
//
// A head is the first four bytes of the key behind the prefix, filled up with
// zeros: one load gives head and offset, and most steps of a search need no
// more. An entry ends where the next one begins, the last one at the page's
// end. Keys are whole, the prefix included, so that a key is read without
// being put together; compression takes the repetition off the disk.
//
// Source: FORMAT.md, Run file.
type node []byte

const (
	nodeHeaderSize  = 8
	slotSize        = 8
	entryHeaderSize = 3

	nodeEntriesMax = 1<<16 - 1
)

// Flags of an entry. They are on disk.
const (
	entryKindMask = 0x03 // an EntryKind; of an inner entry, 0
	entryLarge    = 0x80 // the value is in value pages; what is here names them
	entryKnown    = entryKindMask | entryLarge
)

func (p node) len() int        { return int(binary.BigEndian.Uint16(p[2:])) }
func (p node) prefixSize() int { return int(binary.BigEndian.Uint16(p[4:])) }

func (p node) slot(i int) uint64 { return binary.BigEndian.Uint64(p[nodeHeaderSize+slotSize*i:]) }

// head returns the head of entry i.
func (p node) head(i int) uint32 { return binary.BigEndian.Uint32(p[nodeHeaderSize+slotSize*i:]) }

// bounds returns where entry i of n begins and ends.
func (p node) bounds(i, n int) (start, end uint32) {
	start = uint32(p.slot(i))
	end = uint32(len(p))
	if i+1 < n {
		end = uint32(p.slot(i + 1))
	}
	return start, end
}

// entry returns the parts of entry i of n; they alias the page.
func (p node) entry(i, n int) (flags byte, key, value []byte) {
	start, end := p.bounds(i, n)
	e := p[start:end:end]
	k := entryHeaderSize + int(binary.BigEndian.Uint16(e[1:]))
	return e[0], e[entryHeaderSize:k:k], e[k:]
}

func (p node) key(i int) []byte {
	e := p[uint32(p.slot(i)):]
	k := entryHeaderSize + int(binary.BigEndian.Uint16(e[1:]))
	return e[entryHeaderSize:k:k]
}

// child returns the ref in entry i of an inner node.
func (p node) child(i int) ref {
	_, _, v := p.entry(i, p.len())
	return readRef(v)
}

// search returns the index of the first entry whose key is at least key, and
// whether the two are equal. The index is p.len() when all keys are less.
func (p node) search(key []byte) (int, bool) {
	n, skip := p.len(), p.prefixSize()
	var rest []byte
	lo := 0
	if len(key) >= skip {
		rest = key[skip:]
		lo = p.lower(headOf(rest), n)
	}
	if skip > 0 {
		// Of any entry, so of one that is read next.
		prefix := p.key(min(lo, n-1))[:skip]
		switch m := min(skip, len(key)); bytes.Compare(key[:m], prefix[:m]) {
		case -1:
			return 0, false
		case 1:
			return n, false
		default:
			if m < skip { // key is a proper prefix of the prefix
				return 0, false
			}
		}
	}
	want := headOf(rest)
	hi := lo
	for hi < n && p.head(hi) == want { // the heads decide nothing
		if hi-lo == headsMax {
			hi = n
			break
		}
		hi++
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		slot := p.slot(mid)
		if head := uint32(slot >> 32); head > want {
			hi = mid
			continue
		}
		e := p[uint32(slot):]
		k := entryHeaderSize + int(binary.BigEndian.Uint16(e[1:]))
		switch bytes.Compare(e[entryHeaderSize+skip:k], rest) {
		case -1:
			lo = mid + 1
		case 0:
			return mid, true
		default:
			hi = mid
		}
	}
	return lo, false
}

// headsMax is how many equal heads are counted before the rest of the node is
// searched for their end.
const headsMax = 8

// lower returns the index of the first of n entries whose head is at least want,
// n when there is none. It guesses where that is from the heads at both ends, as
// long as guesses come near, since keys are often spread evenly: fewer cache lines
// are read than in halving.
func (p node) lower(want uint32, n int) int {
	lo, hi := 0, n-1
	least, most := p.head(lo), p.head(hi)
	if want <= least {
		return 0
	}
	if want > most {
		return n
	}
	// The head at lo is less than want, the one at hi is not.
	for range guessesMax {
		if hi-lo < 2 {
			return hi
		}
		at := between(lo, hi, least, most, want)
		if head := p.head(at); head < want {
			lo, least = at, head
		} else {
			hi, most = at, head
		}
	}
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if p.head(mid) < want {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

// between guesses where want is in lo < i < hi, from the heads at lo and hi.
func between(lo, hi int, least, most, want uint32) int {
	part := float64(want-least) / float64(most-least)
	return min(max(lo+int(part*float64(hi-lo)), lo+1), hi-1)
}

// guess returns the head that lower looks at first for a key: whoever looks several
// keys up has it loaded early.
func (p node) guess(key []byte) uint32 {
	n, skip := p.len(), p.prefixSize()
	if n < 3 || len(key) < skip {
		return 0
	}
	want, least, most := headOf(key[skip:]), p.head(0), p.head(n-1)
	if want <= least || want > most {
		return 0
	}
	return p.head(between(0, n-1, least, most, want))
}

// guessesMax is how often lower guesses before it halves.
const guessesMax = 4

// find returns the index of the entry whose key is key, or -1. It is search for
// the one case that must be fast: it looks at entries only where the head is
// right, and compares the prefix only there. In a page that is not in the
// processor's cache the eighths are loaded at once rather than one after the
// other.
func (p node) find(key []byte) int {
	n, skip := p.len(), p.prefixSize()
	if len(key) < skip {
		return -1
	}
	rest := key[skip:]
	want := headOf(rest)
	lo, hi := 0, n
	if step := n / 8; step > 0 {
		less := 0
		for i := 1; i < 8; i++ {
			head := binary.BigEndian.Uint32(p[nodeHeaderSize+slotSize*step*i:])
			// 1 if head < want, without a branch.
			less += int((uint64(head) - uint64(want)) >> 63)
		}
		lo = step * less
		if less < 7 {
			hi = step*(less+1) + 1
		}
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if binary.BigEndian.Uint32(p[nodeHeaderSize+slotSize*mid:]) < want {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == n || uint32(p.slot(lo)>>32) != want {
		return -1
	}
	if bytes.Equal(p.key(lo), key) {
		return lo
	}
	if lo+1 == n || uint32(p.slot(lo+1)>>32) != want {
		return -1
	}
	if i, equal := p.search(key); equal { // many keys with one head
		return i
	}
	return -1
}

// candidate returns the index of the first entry with the head that key has, or
// −1. It reads slots alone, and fewer cache lines of them than find: for those who
// look several keys up and have what they need loaded early.
func (p node) candidate(key []byte) int {
	n, skip := p.len(), p.prefixSize()
	if len(key) < skip {
		return -1
	}
	want := headOf(key[skip:])
	lo := p.lower(want, n)
	if lo == n || uint32(p.slot(lo)>>32) != want {
		return -1
	}
	return lo
}

// descend returns the index of the child of an inner node under which key is,
// if it is anywhere: the last one whose separator is not above key.
func (p node) descend(key []byte) int {
	i, equal := p.search(key)
	if equal || i == 0 {
		return i
	}
	return i - 1
}

// headOf returns the first four bytes of b as a number, filled up with zeros.
func headOf(b []byte) uint32 {
	if len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	var h uint32
	for i, c := range b {
		h |= uint32(c) << (24 - 8*i)
	}
	return h
}

// checkNode checks the structure of a decoded node, so that no method of node
// can read outside the page afterwards. It does not check order, which only
// decides what is found; Verify does. Errors: ErrCorrupt.
func checkNode(p node, kind pageKind) error {
	if len(p) < nodeHeaderSize+slotSize || p[0] != byte(kind) {
		return corrupt("the page is not the node that was expected")
	}
	n, prefix := p.len(), p.prefixSize()
	next := uint32(nodeHeaderSize + slotSize*n)
	if n == 0 || p[1]|p[6]|p[7] != 0 || int(next) > len(p) {
		return corrupt("the node's header is damaged")
	}
	for i := range n {
		if uint32(p.slot(i)) != next {
			return corrupt("the node's slots are damaged")
		}
		end := uint32(len(p))
		if i+1 < n {
			end = uint32(p.slot(i + 1))
		}
		if end > uint32(len(p)) || next > end || end-next < entryHeaderSize {
			return corrupt("the node's slots are damaged")
		}
		size := int(end - next)
		keySize := int(binary.BigEndian.Uint16(p[next+1:]))
		valueSize := size - entryHeaderSize - keySize
		if keySize < prefix || keySize == 0 || keySize > KeySizeMax || valueSize < 0 {
			return corrupt("a key of the node is damaged")
		}
		if err := checkEntry(p[next], kind, p[int(next)+entryHeaderSize+keySize:end]); err != nil {
			return err
		}
		next = end
	}
	return nil
}

// checkEntry checks what an entry's flags say about its value.
func checkEntry(flags byte, kind pageKind, value []byte) error {
	if kind == kindInner {
		if flags != 0 || len(value) != refSize {
			return corrupt("a child of the node is damaged")
		}
		return nil
	}
	switch {
	case flags == byte(Put), flags == byte(Tombstone) && len(value) == 0:
		return nil
	case flags == byte(Put)|entryLarge:
		return checkLarge(value)
	default:
		return corrupt("an entry of the node is damaged")
	}
}

// The value of a large entry names the pages that hold it:
//
//	size of the whole value (4 B) ‖ refs of the value pages (12 B each)
//
// Every page but the last holds chunkSize bytes.
const (
	chunkSize      = contentSizeMax
	largeRefsAt    = 4
	largeEntrySize = largeRefsAt + ValueSizeMax/chunkSize*refSize
)

// largeSize returns the size in bytes of a large value.
func largeSize(v []byte) int { return int(binary.BigEndian.Uint32(v)) }

// largeChunks returns the number of pages that a value of n bytes takes.
func largeChunks(n int) int { return (n + chunkSize - 1) / chunkSize }

// largeChunk returns the ref of chunk i and the number of bytes in it.
func largeChunk(v []byte, i int) (at ref, size int) {
	return readRef(v[largeRefsAt+refSize*i:]), min(chunkSize, largeSize(v)-i*chunkSize)
}

func checkLarge(v []byte) error {
	if len(v) < largeRefsAt+refSize || largeSize(v) == 0 || largeSize(v) > ValueSizeMax ||
		len(v) != largeRefsAt+refSize*largeChunks(largeSize(v)) {
		return corrupt("a large value of the node is damaged")
	}
	return nil
}

// commonPrefix returns the number of leading bytes that a and b share.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
