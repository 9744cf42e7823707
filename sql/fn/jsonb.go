package fn

import "encoding/binary"

// An element of JSONB is a head and a content. The head's first byte holds the
// kind in its lower half. The upper half is the content's size up to 11; 12, 13,
// 14 and 15 say that the size follows as a big-endian integer of 1, 2, 4 or 8
// bytes. The content of arrays and objects is elements, the others' is text.

// jsonbHead reads the head at i and returns its size and that of the content; 0
// and 0 if it does not end within b or the content is 4 GiB or more.
func jsonbHead(b []byte, i int) (head int, size uint32) {
	if i >= len(b) {
		return 0, 0
	}
	rest := b[i+1:]
	switch x := b[i] >> 4; {
	case x <= 11:
		return 1, uint32(x)
	case x == 12 && len(rest) >= 1:
		return 2, uint32(rest[0])
	case x == 13 && len(rest) >= 2:
		return 3, uint32(binary.BigEndian.Uint16(rest))
	case x == 14 && len(rest) >= 4:
		return 5, binary.BigEndian.Uint32(rest)
	case x == 15 && len(rest) >= 8 && binary.BigEndian.Uint32(rest) == 0:
		return 9, binary.BigEndian.Uint32(rest[4:])
	}
	return 0, 0
}

// header returns the sizes of the head and of the content of the element at i, 0
// and 0 if it does not end within the document. While an edit goes on it may
// end where the document did before.
func (d *jsonDoc) header(i int) (head, size int) {
	head, n := jsonbHead(d.b, i)
	end := int64(i) + int64(head) + int64(n)
	if end > int64(len(d.b)) && end > int64(len(d.b)-d.delta) {
		return 0, 0
	}
	return head, int(n)
}

// content returns the bytes of the element at i, of which header says how many.
func (d *jsonDoc) content(i, head, size int) []byte { return d.b[i+head : i+head+size] }

// appendHead appends the head of an element, as small as it can be.
func appendHead(dst []byte, kind jsonKind, size uint32) []byte {
	switch k := byte(kind); {
	case size <= 11:
		return append(dst, k|byte(size)<<4)
	case size <= 0xff:
		return append(dst, k|0xc0, byte(size))
	case size <= 0xffff:
		return append(dst, k|0xd0, byte(size>>8), byte(size))
	default:
		return binary.BigEndian.AppendUint32(append(dst, k|0xe0), size)
	}
}

// appendNode appends an element that is no array or object.
func appendNode(dst []byte, kind jsonKind, content string) []byte {
	return append(appendHead(dst, kind, uint32(len(content))), content...)
}

// setSize changes the size of the content in the head at i, makes the head as
// small as it can be, and returns by how many bytes it became longer.
func setSize(b []byte, i int, size uint32) (changed []byte, delta int) {
	old := 0
	switch b[i] >> 4 {
	case 12:
		old = 1
	case 13:
		old = 2
	case 14:
		old = 4
	case 15:
		old = 8
	}
	var room [5]byte
	head := appendHead(room[:0], jsonKind(b[i]&15), size)
	delta = len(head) - 1 - old
	switch {
	case delta > 0:
		b = append(b, room[:delta]...)
		copy(b[i+1+delta:], b[i+1:len(b)-delta])
	case delta < 0:
		b = append(b[:i+1], b[min(i+1-delta, len(b)):]...)
	}
	copy(b[i:], head)
	return b, delta
}

// growAround changes the size of the element at i by what the edit in it did.
func (d *jsonDoc) growAround(i int) {
	_, size := jsonbHead(d.b, i)
	var delta int
	d.b, delta = setSize(d.b, i, size+uint32(d.delta))
	d.delta += delta
}

// replace puts ins in the place of n bytes at i. Where ins is a little shorter it
// gets a longer head instead, if that makes the sizes equal, as in SQLite.
func (d *jsonDoc) replace(i, n int, ins []byte) {
	less := n - len(ins)
	if less > 0 && less <= 8 && len(ins) > 0 && widen(d.b[i:], ins, less) {
		return
	}
	if less > 0 {
		d.b = append(d.b[:i+len(ins)], d.b[i+n:]...)
	} else if less < 0 {
		old := len(d.b)
		d.b = append(d.b, ins[:-less]...) // for the room
		copy(d.b[i+len(ins):], d.b[i+n:old])
	}
	d.delta -= less
	copy(d.b[i:], ins)
}

// widen writes the element ins to dst with a head that is longer by more bytes,
// 1 to 8. It reports false, and does nothing, if there is no such head.
func widen(dst, ins []byte, more int) bool {
	if jsonKind(ins[0]&15) <= jsonFalse {
		return false
	}
	head, size := jsonbHead(ins, 0)
	var x byte
	switch head + more {
	case 2:
		x = 0xc0
	case 3:
		x = 0xd0
	case 5:
		x = 0xe0
	case 9:
		x = 0xf0
	default:
		return false
	}
	dst[0] = ins[0]&15 | x
	for i := head + more - 1; i > 0; i-- {
		dst[i] = byte(size)
		size >>= 8
	}
	copy(dst[head+more:], ins[head:])
	return true
}

// editable makes sure that the document may be changed.
func (d *jsonDoc) editable() {
	if !d.own {
		d.b = append(make([]byte, 0, len(d.b)+len(d.ins)+9), d.b...)
		d.own = true
	}
}

// count returns the number of elements of the array at i.
func (d *jsonDoc) count(i int) int {
	head, size := d.header(i)
	end := i + head + size
	n := 0
	for i += head; head > 0 && i < end; n++ {
		head, size = d.header(i)
		i += head + size
	}
	return n
}
