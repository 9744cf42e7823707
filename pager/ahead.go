package pager

import (
	"bytes"
	"encoding/binary"
)

// A Record is a key with its value. Both alias memory of the iterator that
// returned it.
type Record struct {
	Key, Value []byte
}

// Ahead moves past the entries that follow the current one in its leaf, and
// appends them to dst as far as that has room. It stops in front of the first one
// that is a tombstone, has a large value, or has a key of at least end. cut is how
// many bytes to leave out at the front of every key. The records are valid until
// the iterator goes to another leaf.
func (it *Iter) Ahead(dst []Record, end []byte, cut int) []Record {
	if !it.ok || !it.alive() {
		return dst
	}
	last := min(it.i+cap(dst)-len(dst), it.n-1)
	if last > it.i && bytes.Compare(it.leaf.key(last), end) >= 0 {
		i, _ := it.leaf.search(end)
		last = i - 1
	}
	i := it.i + 1
	if i > last {
		return dst
	}
	start := uint32(it.leaf.slot(i))
	for ; i <= last; i++ {
		end := uint32(len(it.leaf))
		if i+1 < it.n {
			end = uint32(it.leaf.slot(i + 1))
		}
		e := it.leaf[start:end:end]
		k := entryHeaderSize + int(binary.BigEndian.Uint16(e[1:]))
		if e[0] != byte(Put) {
			break
		}
		dst = append(dst, Record{Key: e[entryHeaderSize+cut : k : k], Value: e[k:]})
		start = end
	}
	it.jump(i - 1)
	return dst
}

// Behind is Ahead toward smaller keys. It stops in front of the first key that
// is less than end, or equal to it unless inclusive.
func (it *Iter) Behind(dst []Record, end []byte, inclusive bool, cut int) []Record {
	if !it.ok || !it.alive() {
		return dst
	}
	first := max(it.i-(cap(dst)-len(dst)), 0)
	if first < it.i && bytes.Compare(it.leaf.key(first), end) <= 0 {
		i, equal := it.leaf.search(end)
		if equal && !inclusive {
			i++
		}
		first = max(first, i)
	}
	i := it.i - 1
	for ; i >= first; i-- {
		flags, key, value := it.leaf.entry(i, it.n)
		if flags != byte(Put) {
			break
		}
		dst = append(dst, Record{Key: key[cut:], Value: value})
	}
	it.jump(i + 1)
	return dst
}

// Following returns the n-th entry behind the current one in the direction of back,
// the nearest being number 0. ok is false when it is not in the same leaf, is a
// tombstone or has a large value.
func (it *Iter) Following(n int, back bool) (r Record, ok bool) {
	i := it.i + 1 + n
	if back {
		i = it.i - 1 - n
	}
	if !it.ok || !it.alive() || i < 0 || i >= it.n {
		return Record{}, false
	}
	flags, key, value := it.leaf.entry(i, it.n)
	return Record{Key: key, Value: value}, flags == byte(Put)
}

// Reach returns the key of the last entry of the leaf in the direction of back; nil
// on no entry.
func (it *Iter) Reach(back bool) []byte {
	switch {
	case !it.ok || !it.alive():
		return nil
	case back:
		return it.leaf.key(0)
	default:
		return it.leaf.key(it.n - 1)
	}
}

// Skip moves past n entries that Following returned.
func (it *Iter) Skip(n int, back bool) {
	if back {
		n = -n
	}
	it.jump(it.i + n)
}

// jump moves to entry i of the leaf.
func (it *Iter) jump(i int) {
	if i != it.i {
		it.dropValue()
		it.place(i)
	}
}
