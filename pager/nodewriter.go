package pager

import "encoding/binary"

// nodeWriter gathers the entries of one node.
type nodeWriter struct {
	kind    pageKind
	entries buffer   // encoded, one behind the other
	starts  []uint32 // of each entry, in entries
}

// size returns the size in bytes of the node as it is.
func (w *nodeWriter) size() int {
	return nodeHeaderSize + slotSize*len(w.starts) + w.entries.n
}

// room reports whether an entry fits into a node of pageSize bytes, or is the
// first of those that a node must take whatever their size.
func (w *nodeWriter) room(keySize, valueSize, pageSize int) bool {
	least := 1
	if w.kind == kindInner {
		least = 2 // else the tree would not narrow
	}
	n := len(w.starts)
	return n < least || n < nodeEntriesMax && w.size()+slotSize+entryHeaderSize+keySize+valueSize <= pageSize
}

// add appends an entry; key and value are copied.
func (w *nodeWriter) add(flags byte, key, value []byte) error {
	if err := w.entries.reserve(entryHeaderSize + len(key) + len(value)); err != nil {
		return err
	}
	w.starts = append(w.starts, uint32(w.entries.n))
	h := w.entries.extend(entryHeaderSize)
	h[0] = flags
	binary.BigEndian.PutUint16(h[1:], uint16(len(key)))
	w.entries.append(key)
	w.entries.append(value)
	return nil
}

// key returns the key of entry i; it is valid until the next add or reset.
func (w *nodeWriter) key(i int) []byte {
	e := w.entries.bytes()[w.starts[i]:]
	k := entryHeaderSize + int(binary.BigEndian.Uint16(e[1:]))
	return e[entryHeaderSize:k]
}

// child returns the ref of entry i of an inner node.
func (w *nodeWriter) child(i int) ref {
	e := w.entries.bytes()[w.starts[i]:]
	return readRef(e[entryHeaderSize+int(binary.BigEndian.Uint16(e[1:])):])
}

// encode writes the node to dst, replacing what is there.
func (w *nodeWriter) encode(dst *buffer) error {
	n := len(w.starts)
	invariant(n > 0 && n <= nodeEntriesMax, "encode a node of no or too many entries")
	dst.n = 0
	if err := dst.reserve(w.size()); err != nil {
		return err
	}
	prefix := commonPrefix(w.key(0), w.key(n-1)) // keys ascend: all between share it
	base := nodeHeaderSize + slotSize*n
	p := dst.extend(base)
	p[0] = byte(w.kind)
	binary.BigEndian.PutUint16(p[2:], uint16(n))
	binary.BigEndian.PutUint16(p[4:], uint16(prefix))
	for i, start := range w.starts {
		slot := uint64(headOf(w.key(i)[prefix:]))<<32 | uint64(base+int(start))
		binary.BigEndian.PutUint64(p[nodeHeaderSize+slotSize*i:], slot)
	}
	dst.append(w.entries.bytes())
	return nil
}

func (w *nodeWriter) reset() {
	w.entries.reset()
	w.starts = w.starts[:0]
}
