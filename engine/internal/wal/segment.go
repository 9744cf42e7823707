package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/crypt"
)

// A segment is a header of one sector, then frames. Integers are big-endian.
//
//	offset  size  header field
//	     0     8  magic
//	     8     2  version, 1
//	    10     4  features that a reader must know; none is defined
//	    14     4  features that a reader may ignore; none is defined
//	    18    16  database id
//	    34     8  segment number
//	    42     4  DEK epoch
//	    46     8  number of the first frame
//	    54    16  tag of the frame before it, zeros before the first of all
//	    70    32  salt
//	   102    32  key commitment
//	   134   374  zeros
//	   508     4  CRC-32C of what precedes
//
//	offset  size  frame field, from a multiple of frameAlign
//	     0     8  frame number
//	     8     4  n, size of the sealed part
//	    12     4  CRC-32C of salt ‖ frame number ‖ n: tells frames from zeros and
//	              from what a recycled file held before
//	    16     n  sealed: tag of the previous frame (16 B) ‖ payload
//
// Source: FORMAT.md §5.
const (
	headerSize      = 512
	headerKeyed     = 102 // what the key is derived from
	frameHeaderSize = 16
	frameAlign      = 64
	segmentVersion  = 1
	contentFrame    = 1 // kind of content in the associated data
)

// Keeping frames at 64 bytes wastes 32 bytes a commit; a sector each would
// make a log of small commits twenty times as large. Two frames may share a
// sector, then: the later write repeats the earlier frame's bytes, which a disk
// that writes whole sectors cannot harm.

// PayloadSizeMax is the largest payload of a frame, in bytes: a transaction of
// the largest size and its framing.
const PayloadSizeMax = 1<<30 + 64<<20

// TagSize is the size of a frame's tag in bytes.
const TagSize = crypt.TagSize

// Tag is the tag that ends a sealed frame; it names the whole log up to there.
type Tag = [TagSize]byte

var (
	magic = [8]byte{'B', 'Y', 'O', 'K', 'W', 'A', 'L', 0}

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// header is a segment's header.
type header struct {
	database   crypt.ID
	segment    uint64
	epoch      crypt.Epoch
	first      uint64 // number of the first frame
	previous   Tag
	salt       crypt.Salt
	commitment crypt.Commitment
}

// keyed returns the bytes that the segment's key is derived from.
func (h *header) keyed() []byte {
	b := make([]byte, headerSize)
	copy(b, magic[:])
	binary.BigEndian.PutUint16(b[8:], segmentVersion)
	copy(b[18:], h.database[:])
	binary.BigEndian.PutUint64(b[34:], h.segment)
	binary.BigEndian.PutUint32(b[42:], uint32(h.epoch))
	binary.BigEndian.PutUint64(b[46:], h.first)
	copy(b[54:], h.previous[:])
	copy(b[70:], h.salt[:])
	return b[:headerKeyed]
}

func (h *header) marshal() []byte {
	b := h.keyed()[:headerSize]
	copy(b[headerKeyed:], h.commitment[:])
	binary.BigEndian.PutUint32(b[508:], crc32.Checksum(b[:508], castagnoli))
	return b
}

// unmarshal parses a header of headerSize bytes. Errors: ErrCorrupt, ErrTooNew.
func (h *header) unmarshal(b []byte) error {
	switch {
	case len(b) < headerSize:
		return fmt.Errorf("header of %d bytes: %w", len(b), ErrCorrupt)
	case [8]byte(b[:8]) != magic:
		return fmt.Errorf("not a log segment: %w", ErrCorrupt)
	case crc32.Checksum(b[:508], castagnoli) != binary.BigEndian.Uint32(b[508:]):
		return fmt.Errorf("header checksum: %w", ErrCorrupt)
	case binary.BigEndian.Uint16(b[8:]) != segmentVersion:
		return fmt.Errorf("segment version %d: %w", binary.BigEndian.Uint16(b[8:]), ErrTooNew)
	case binary.BigEndian.Uint32(b[10:]) != 0:
		return fmt.Errorf("segment features %#x: %w", binary.BigEndian.Uint32(b[10:]), ErrTooNew)
	}
	copy(h.database[:], b[18:])
	h.segment = binary.BigEndian.Uint64(b[34:])
	h.epoch = crypt.Epoch(binary.BigEndian.Uint32(b[42:]))
	h.first = binary.BigEndian.Uint64(b[46:])
	copy(h.previous[:], b[54:])
	copy(h.salt[:], b[70:])
	copy(h.commitment[:], b[headerKeyed:])
	return nil
}

// frameCheck is the checksum in a frame's header.
func frameCheck(salt *crypt.Salt, number uint64, size uint32) uint32 {
	var b [crypt.SaltSize + 12]byte
	copy(b[:], salt[:])
	binary.BigEndian.PutUint64(b[crypt.SaltSize:], number)
	binary.BigEndian.PutUint32(b[crypt.SaltSize+8:], size)
	return crc32.Checksum(b[:], castagnoli)
}

// putFrameHeader fills the header in front of a sealed part.
func putFrameHeader(b []byte, salt *crypt.Salt, number uint64, size uint32) {
	binary.BigEndian.PutUint64(b, number)
	binary.BigEndian.PutUint32(b[8:], size)
	binary.BigEndian.PutUint32(b[12:], frameCheck(salt, number, size))
}

// parseFrameHeader returns ok if b begins a frame of this segment.
func parseFrameHeader(b []byte, salt *crypt.Salt) (number uint64, size uint32, ok bool) {
	number, size = binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	if number == 0 || size < crypt.Overhead+TagSize || size > PayloadSizeMax+crypt.Overhead+TagSize {
		return 0, 0, false
	}
	return number, size, binary.BigEndian.Uint32(b[12:]) == frameCheck(salt, number, size)
}

// alignFrame returns the next offset at which a frame may start.
func alignFrame(off int64) int64 { return (off + frameAlign - 1) &^ (frameAlign - 1) }

// Names of segments, and of files that are not one yet or no more.
const (
	segmentExt = ".wal"
	spareExt   = ".spare" // made or recycled, without a durable header
)

func segmentName(n uint64) string { return fmt.Sprintf("%08d%s", n, segmentExt) }

// parseName returns the number in a segment's name.
func parseName(name string) (n uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentExt)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n > 0 && segmentName(n) == name
}
