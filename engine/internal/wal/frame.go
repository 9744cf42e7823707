package wal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/byokdb/byokdb/crypt"
)

// PayloadSizeMax is the size in bytes that the payload of one frame may have.
const PayloadSizeMax = 1 << 30

// TagSize is the size in bytes of a frame's authentication tag, which chains it
// to the next one.
const TagSize = crypt.TagSize

// Tag is the tag that ends a sealed frame. It names the whole log up to there.
type Tag = [TagSize]byte

// frameAlign is what the offsets of frames are multiples of, in bytes. It is on
// disk.
//
// 512 is the sector of every disk that tears writes at less than a page, so
// that writing a frame never puts a durable one at risk. A commit of 100 B
// costs 512 B of log, where a page for each would cost 4096; and looking past
// a damaged frame means 131,072 places in a segment of 64 MiB, of which a
// checksum of 16 bytes rejects all but those where a frame begins.
const frameAlign = 512

const (
	frameHeaderSize = 20
	// contentHeaderSize is what precedes the payload in sealed content.
	contentHeaderSize = TagSize + 8
	frameOverhead     = frameHeaderSize + crypt.Overhead + contentHeaderSize
)

const (
	_ = uint(frameOverhead - 72) // on disk
	_ = uint(72 - frameOverhead)
)

// Kinds of frames. They are on disk and in the associated data.
const (
	frameData byte = 1 // payload is the caller's
	frameEnd  byte = 2 // no payload: the log was closed behind the frame before
)

// frameHeader precedes every frame in the clear.
//
//	offset  size  field, integers big-endian
//	     0     8  frame number
//	     8     4  n, size of the sealed content
//	    12     1  kind: 1 data, 2 end
//	    13     3  zero
//	    16     4  CRC-32C of the segment's salt (32 B) ‖ bytes 0 to 15
//	    20     n  sealed content
//
// Sealed content, AAD = frame number (8 B) ‖ kind (1 B):
//
//	 0    16  tag of the frame before, zero before frame 1
//	16     8  number of the last frame that was durable when this one was written
//	24     …  payload
//
// Source: FORMAT.md, Write-ahead log.
type frameHeader struct {
	number uint64
	size   uint32
	kind   byte
}

// seedOf returns the checksum of a segment's salt, with which the checksums of
// its frame headers begin: what an earlier use of a recycled file left behind
// does not pass.
func seedOf(salt crypt.Salt) uint32 { return crc32.Checksum(salt[:], castagnoli) }

func (h frameHeader) marshal(b []byte, seed uint32) {
	binary.BigEndian.PutUint64(b, h.number)
	binary.BigEndian.PutUint32(b[8:], h.size)
	binary.BigEndian.PutUint32(b[12:], uint32(h.kind)<<24)
	binary.BigEndian.PutUint32(b[16:], crc32.Update(seed, castagnoli, b[:16]))
}

// unmarshal reports whether b begins with the header of a frame of this
// segment. That it does proves nothing before the content opens.
func (h *frameHeader) unmarshal(b []byte, seed uint32) bool {
	if len(b) < frameHeaderSize {
		return false
	}
	h.number = binary.BigEndian.Uint64(b)
	h.size = binary.BigEndian.Uint32(b[8:])
	h.kind = b[12]
	if h.number == 0 || h.size < crypt.Overhead+contentHeaderSize ||
		h.size > crypt.Overhead+contentHeaderSize+PayloadSizeMax {
		return false // most of all: zeros
	}
	if crc32.Update(seed, castagnoli, b[:16]) != binary.BigEndian.Uint32(b[16:]) {
		return false
	}
	return (h.kind == frameData || h.kind == frameEnd) && b[13]|b[14]|b[15] == 0
}

// position is a place in the chain of frames.
type position struct {
	frame uint64 // number of the last frame, 0 before the first
	tag   Tag    // its tag
}

// alignUp rounds an offset up to where a frame may begin.
func alignUp(off int64) int64 { return (off + frameAlign - 1) &^ (frameAlign - 1) }
