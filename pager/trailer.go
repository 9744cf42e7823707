package pager

import (
	"encoding/binary"
	"fmt"

	"github.com/byokdb/byokdb/crypt"
)

// trailerSize is the trailer's size before sealing. It is on disk.
const trailerSize = 128

const trailerSealedSize = trailerSize + crypt.Overhead

// depthMax bounds the levels of inner nodes: with two children each, more than
// a file can hold.
const depthMax = 32

// trailer locates everything else. It is the last page of the file, so that its
// place follows from the file's size.
type trailer struct {
	fileSize   uint64
	runID      uint64
	entries    uint64
	tombstones uint64
	keyBytes   uint64
	valueBytes uint64
	nPages     uint64 // without the trailer
	root       ref    // zero in an empty run
	depth      uint8  // levels of inner nodes; 0: the root is a leaf
	properties ref
	filterAt   uint64 // offset of the first filter page
	nBlocks    uint32 // blocks of the filter
}

// marshal encodes the trailer.
//
//	offset  size  field, integers big-endian
//	     0     8  size of the whole file in bytes
//	     8     8  run id
//	    16     8  entries, tombstones included
//	    24     8  tombstones
//	    32     8  bytes of all keys
//	    40     8  bytes of all values
//	    48     8  pages, the trailer not counted
//	    56    12  root: offset (8), sealed size (4); zero in an empty run
//	    68     1  levels of inner nodes
//	    69     3  zero
//	    72    12  properties: offset (8), sealed size (4)
//	    84     8  offset of the first filter page
//	    92     4  blocks of the filter
//	    96    32  zero
//
// Source: FORMAT.md, Run file.
func (t *trailer) marshal() [trailerSize]byte {
	var b [trailerSize]byte
	be := binary.BigEndian
	for i, v := range []uint64{t.fileSize, t.runID, t.entries, t.tombstones, t.keyBytes, t.valueBytes, t.nPages} {
		be.PutUint64(b[8*i:], v)
	}
	t.root.put(b[56:])
	b[68] = t.depth
	t.properties.put(b[72:])
	be.PutUint64(b[84:], t.filterAt)
	be.PutUint32(b[92:], t.nBlocks)
	return b
}

// unmarshal decodes a trailer of a file of the given size. Errors: ErrCorrupt.
func (t *trailer) unmarshal(b []byte, fileSize int64) error {
	if len(b) != trailerSize {
		return corrupt("the trailer has the wrong size")
	}
	be := binary.BigEndian
	for i, p := range []*uint64{&t.fileSize, &t.runID, &t.entries, &t.tombstones, &t.keyBytes, &t.valueBytes, &t.nPages} {
		*p = be.Uint64(b[8*i:])
	}
	t.root = readRef(b[56:])
	t.depth = b[68]
	t.properties = readRef(b[72:])
	t.filterAt = be.Uint64(b[84:])
	t.nBlocks = be.Uint32(b[92:])
	zero := b[69] | b[70] | b[71]
	for _, c := range b[96:] {
		zero |= c
	}
	body := uint64(fileSize) - trailerSealedSize
	switch {
	case zero != 0:
		return corrupt("reserved bytes of the trailer are not zero")
	case t.fileSize != uint64(fileSize):
		return corrupt("the trailer names another file size")
	case t.depth > depthMax:
		return corrupt("the tree is too deep")
	case t.tombstones > t.entries, (t.entries == 0) != (t.nBlocks == 0), (t.entries == 0) != (t.root == ref{}):
		return corrupt("the trailer's counts do not agree")
	case t.entries != 0 && !t.root.within(body), !t.properties.within(body):
		return corrupt("the trailer names a page outside the file")
	case t.filterAt < headerSize, t.filterAt > body, filterSealedSize(t.nBlocks) > body-t.filterAt:
		return corrupt("the trailer names a filter outside the file")
	}
	return nil
}

// properties is what the manifest wants to know about a run beyond the
// trailer's numbers.
type properties struct {
	first, last []byte // keys; empty in an empty run
}

// append encodes the properties.
//
//	size  field, integers big-endian
//	   4  version, 1
//	   2  n, then n bytes of the first key
//	   2  n, then n bytes of the last key
//
// Source: FORMAT.md, Run file.
func (p *properties) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.first)))
	b = append(b, p.first...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.last)))
	return append(b, p.last...)
}

// unmarshal decodes properties; b is copied. Errors: ErrCorrupt, ErrTooNew.
func (p *properties) unmarshal(b []byte) error {
	if len(b) < 4 || binary.BigEndian.Uint32(b) == 0 {
		return corrupt("the properties have no version")
	}
	if v := binary.BigEndian.Uint32(b); v != 1 {
		return fmt.Errorf("%w: properties of version %d", ErrTooNew, v)
	}
	b = b[4:]
	var keys [2][]byte
	for i := range keys {
		if len(b) < 2 {
			return corrupt("the properties are cut short")
		}
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > len(b) || n > KeySizeMax {
			return corrupt("the properties are cut short")
		}
		keys[i], b = append([]byte(nil), b[:n]...), b[n:]
	}
	if len(b) != 0 {
		return corrupt("the properties are too long")
	}
	p.first, p.last = keys[0], keys[1]
	return nil
}
