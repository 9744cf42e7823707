package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// FormatVersion is the version of the segment format that this package writes,
// and the highest that it reads. It is on disk.
const FormatVersion = 1

// headerSize is the same in every version of the format. A header has the whole
// first page of the file to itself: no frame is ever written to a sector that
// holds a part of it.
const headerSize = 4096

// headerMagic begins every segment.
const headerMagic = "byokwal\x1a"

// cipherAES256GCM is AES-256-GCM with random nonces, the only cipher suite.
const cipherAES256GCM = 1

// featuresKnown are the feature flags of the header that this version knows: a
// reader that does not know one must refuse.
const featuresKnown uint32 = 0

// Offsets in the header. They are on disk.
const (
	headerVersionAt    = 8
	headerCipherAt     = 10
	headerFeaturesAt   = 12
	headerDatabaseAt   = 16
	headerSegmentAt    = 32
	headerEpochAt      = 40
	headerAlignAt      = 44
	headerSaltAt       = 48
	headerFirstAt      = 80
	headerTagAt        = 88
	headerCommitmentAt = 104
	headerZeroAt       = 136
	headerCRCAt        = headerSize - 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the clear beginning of a segment.
type header struct {
	features   uint32
	database   crypt.ID
	segment    uint64
	epoch      crypt.Epoch
	salt       crypt.Salt
	first      uint64 // number of the segment's first frame
	before     Tag    // tag of the frame before that one
	commitment crypt.Commitment
}

// marshal encodes the header.
//
//	offset  size  field, integers big-endian
//	     0     8  magic, "byokwal" 0x1a
//	     8     2  format version, 1
//	    10     1  cipher suite, 1 = AES-256-GCM with random nonces
//	    11     1  zero
//	    12     4  feature flags, none yet
//	    16    16  database id
//	    32     8  segment number
//	    40     4  epoch of the DEK
//	    44     4  alignment of frames in bytes, 512
//	    48    32  salt of the file key
//	    80     8  number of the first frame
//	    88    16  tag of the frame before it, zero before frame 1
//	   104    32  key commitment
//	   136  3956  zero
//	  4092     4  CRC-32C of bytes 0 to 4091
//
// The file key is bound to bytes 0 to 103.
//
// Source: FORMAT.md, Write-ahead log.
func (h *header) marshal(b *[headerSize]byte) {
	clear(b[:])
	copy(b[:], headerMagic)
	binary.BigEndian.PutUint16(b[headerVersionAt:], FormatVersion)
	b[headerCipherAt] = cipherAES256GCM
	binary.BigEndian.PutUint32(b[headerFeaturesAt:], h.features)
	copy(b[headerDatabaseAt:], h.database[:])
	binary.BigEndian.PutUint64(b[headerSegmentAt:], h.segment)
	binary.BigEndian.PutUint32(b[headerEpochAt:], uint32(h.epoch))
	binary.BigEndian.PutUint32(b[headerAlignAt:], frameAlign)
	copy(b[headerSaltAt:], h.salt[:])
	binary.BigEndian.PutUint64(b[headerFirstAt:], h.first)
	copy(b[headerTagAt:], h.before[:])
	copy(b[headerCommitmentAt:], h.commitment[:])
	binary.BigEndian.PutUint32(b[headerCRCAt:], crc32.Checksum(b[:headerCRCAt], castagnoli))
}

// unmarshal decodes a header. The checksum comes before the version, so that a
// flipped bit is damage and not a newer version. Errors: ErrCorrupt, ErrTooNew.
func (h *header) unmarshal(b *[headerSize]byte) error {
	if string(b[:len(headerMagic)]) != headerMagic {
		return corrupt("it does not begin like a segment")
	}
	if crc32.Checksum(b[:headerCRCAt], castagnoli) != binary.BigEndian.Uint32(b[headerCRCAt:]) {
		return corrupt("the header's checksum does not match")
	}
	if v := binary.BigEndian.Uint16(b[headerVersionAt:]); v != FormatVersion {
		if v == 0 {
			return corrupt("format version 0")
		}
		return fmt.Errorf("%w: format version %d, this one reads up to %d", ErrTooNew, v, FormatVersion)
	}
	h.features = binary.BigEndian.Uint32(b[headerFeaturesAt:])
	if unknown := h.features &^ featuresKnown; unknown != 0 {
		return fmt.Errorf("%w: unknown feature flags %#x", ErrTooNew, unknown)
	}
	if c := b[headerCipherAt]; c != cipherAES256GCM {
		return fmt.Errorf("%w: unknown cipher suite %d", ErrTooNew, c)
	}
	zero := b[headerCipherAt+1]
	for _, c := range b[headerZeroAt:headerCRCAt] {
		zero |= c
	}
	copy(h.database[:], b[headerDatabaseAt:])
	h.segment = binary.BigEndian.Uint64(b[headerSegmentAt:])
	h.epoch = crypt.Epoch(binary.BigEndian.Uint32(b[headerEpochAt:]))
	copy(h.salt[:], b[headerSaltAt:])
	h.first = binary.BigEndian.Uint64(b[headerFirstAt:])
	copy(h.before[:], b[headerTagAt:])
	copy(h.commitment[:], b[headerCommitmentAt:])
	switch {
	case zero != 0:
		return corrupt("reserved bytes of the header are not zero")
	case binary.BigEndian.Uint32(b[headerAlignAt:]) != frameAlign:
		return corrupt("the alignment of frames is not 512")
	case h.epoch == 0 || h.segment == 0 || h.first == 0:
		return corrupt("an epoch, segment or frame is numbered 0")
	}
	return nil
}

// keyInput returns what the file key is bound to: all that precedes the
// commitment.
func keyInput(b *[headerSize]byte) []byte { return b[:headerCommitmentAt] }

// readHeader reads and decodes the header of an open file.
func readHeader(f vfs.File, path string) (h header, raw *[headerSize]byte, err error) {
	raw = new([headerSize]byte)
	n, err := f.ReadAt(raw[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, nil, &SegmentError{Path: path, Op: "read header", Err: err}
	}
	if n < headerSize {
		err = corrupt("the header is cut short")
	} else {
		err = h.unmarshal(raw)
	}
	if err != nil {
		return h, nil, &SegmentError{Path: path, Op: "read header", Err: err}
	}
	return h, raw, nil
}

// HeaderInfo is what the clear header of a segment says. It holds no customer
// data and, being in the clear, proves nothing until the segment is opened with
// its key.
type HeaderInfo struct {
	Version    uint16
	Cipher     uint8 // 1 = AES-256-GCM, random nonces
	Features   uint32
	Database   crypt.ID
	Segment    uint64
	Epoch      crypt.Epoch
	FirstFrame uint64
	FileSize   int64 // in bytes, preallocated space included
}

// Inspect returns what the header of a segment says. It needs no key and shows
// no customer data. Errors: *SegmentError with ErrCorrupt or ErrTooNew; the file
// system's.
func Inspect(fs vfs.FS, path string) (HeaderInfo, error) {
	f, err := fs.Open(path)
	if err != nil {
		return HeaderInfo{}, fmt.Errorf("inspect segment: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	size, err := f.Size()
	if err != nil {
		return HeaderInfo{}, fmt.Errorf("inspect segment: %w", err)
	}
	h, _, err := readHeader(f, path)
	if err != nil {
		return HeaderInfo{}, err
	}
	return h.info(size), nil
}

// info returns what the header says. The version is the only one there is.
func (h *header) info(size int64) HeaderInfo {
	return HeaderInfo{
		Version: FormatVersion, Cipher: cipherAES256GCM, Features: h.features,
		Database: h.database, Segment: h.segment, Epoch: h.epoch, FirstFrame: h.first, FileSize: size,
	}
}
