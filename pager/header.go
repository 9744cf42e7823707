package pager

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// FormatVersion is the version of the run format that this package writes, and
// the highest that it reads. It is on disk.
const FormatVersion = 1

// headerSize is the same in every version of the format.
const headerSize = 128

// headerMagic begins every run file.
const headerMagic = "byokrun\x1a"

// cipherAES256GCM is AES-256-GCM with random nonces, the only cipher suite.
const cipherAES256GCM = 1

// Feature flags of the header: a reader that does not know one must refuse.
const (
	featureZstd uint32 = 1 << iota // some page may be compressed with zstd

	featuresKnown = featureZstd
)

// Offsets in the header. They are on disk.
const (
	headerVersionAt    = 8
	headerCipherAt     = 10
	headerFeaturesAt   = 12
	headerDatabaseAt   = 16
	headerRunAt        = 32
	headerEpochAt      = 40
	headerPageSizeAt   = 44
	headerSaltAt       = 48
	headerCommitmentAt = 80
	headerZeroAt       = 112
	headerCRCAt        = 124
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// HeaderInfo is what the clear header of a run says. It holds no customer data
// and, being in the clear, proves nothing until the file is opened with its key.
type HeaderInfo struct {
	Version  uint16
	Cipher   uint8  // 1 = AES-256-GCM, random nonces
	Features uint32 // flags that a reader must know
	Database crypt.ID
	RunID    uint64
	Epoch    crypt.Epoch
	PageSize int // logical, in bytes
	FileSize int64
}

// header is the clear beginning of a run.
type header struct {
	features   uint32
	database   crypt.ID
	runID      uint64
	epoch      crypt.Epoch
	pageSize   uint32
	salt       crypt.Salt
	commitment crypt.Commitment
}

// marshal encodes the header.
//
//	offset  size  field, integers big-endian
//	     0     8  magic, "byokrun" 0x1a
//	     8     2  format version, 1
//	    10     1  cipher suite, 1 = AES-256-GCM with random nonces
//	    11     1  zero
//	    12     4  feature flags; bit 0: zstd
//	    16    16  database id
//	    32     8  run id
//	    40     4  epoch of the DEK
//	    44     4  logical page size in bytes
//	    48    32  salt of the file key
//	    80    32  key commitment
//	   112    12  zero
//	   124     4  CRC-32C of bytes 0 to 123
//
// The file key is bound to bytes 0 to 79.
//
// Source: FORMAT.md, Run file.
func (h *header) marshal() [headerSize]byte {
	var b [headerSize]byte
	copy(b[:], headerMagic)
	binary.BigEndian.PutUint16(b[headerVersionAt:], FormatVersion)
	b[headerCipherAt] = cipherAES256GCM
	binary.BigEndian.PutUint32(b[headerFeaturesAt:], h.features)
	copy(b[headerDatabaseAt:], h.database[:])
	binary.BigEndian.PutUint64(b[headerRunAt:], h.runID)
	binary.BigEndian.PutUint32(b[headerEpochAt:], uint32(h.epoch))
	binary.BigEndian.PutUint32(b[headerPageSizeAt:], h.pageSize)
	copy(b[headerSaltAt:], h.salt[:])
	copy(b[headerCommitmentAt:], h.commitment[:])
	binary.BigEndian.PutUint32(b[headerCRCAt:], crc32.Checksum(b[:headerCRCAt], castagnoli))
	return b
}

// unmarshal decodes a header. The checksum comes before the version, so that a
// flipped bit is damage and not a newer version. Errors: ErrNotRun, ErrCorrupt,
// ErrTooNew.
func (h *header) unmarshal(b *[headerSize]byte) error {
	if string(b[:len(headerMagic)]) != headerMagic {
		return ErrNotRun
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
	h.runID = binary.BigEndian.Uint64(b[headerRunAt:])
	h.epoch = crypt.Epoch(binary.BigEndian.Uint32(b[headerEpochAt:]))
	h.pageSize = binary.BigEndian.Uint32(b[headerPageSizeAt:])
	copy(h.salt[:], b[headerSaltAt:])
	copy(h.commitment[:], b[headerCommitmentAt:])
	switch {
	case zero != 0:
		return corrupt("reserved bytes of the header are not zero")
	case h.pageSize < PageSizeMin || h.pageSize > PageSizeMax:
		return corrupt("the page size is out of range")
	case h.epoch == 0:
		return corrupt("epoch 0")
	}
	return nil
}

// keyInput returns what the file key is bound to: all that precedes the
// commitment.
func keyInput(b *[headerSize]byte) []byte { return b[:headerCommitmentAt] }

// readHeader reads and decodes the header of a file of the given size.
func readHeader(f vfs.File, size int64, path string) (h header, raw [headerSize]byte, err error) {
	n, err := f.ReadAt(raw[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, raw, &PageError{Path: path, Op: "read header", Err: err}
	}
	switch {
	case n < len(headerMagic) || string(raw[:len(headerMagic)]) != headerMagic:
		err = ErrNotRun
	case n < headerSize || size < headerSize+trailerSealedSize:
		err = corrupt("cut short")
	case size > FileSizeMax:
		err = corrupt("larger than a run can be")
	default:
		err = h.unmarshal(&raw)
	}
	if err != nil {
		return h, raw, &PageError{Path: path, Op: "read header", Err: err}
	}
	return h, raw, nil
}

// Inspect returns what the header of a run says. It needs no key and shows no
// customer data. Errors: *PageError with ErrNotRun, ErrCorrupt or ErrTooNew; the
// file system's.
func Inspect(fs vfs.FS, path string) (HeaderInfo, error) {
	f, err := fs.Open(path)
	if err != nil {
		return HeaderInfo{}, fmt.Errorf("inspect run: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	size, err := f.Size()
	if err != nil {
		return HeaderInfo{}, fmt.Errorf("inspect run: %w", err)
	}
	h, raw, err := readHeader(f, size, path)
	if err != nil {
		return HeaderInfo{}, err
	}
	return HeaderInfo{
		Version: binary.BigEndian.Uint16(raw[headerVersionAt:]), Cipher: raw[headerCipherAt], Features: h.features,
		Database: h.database, RunID: h.runID, Epoch: h.epoch, PageSize: int(h.pageSize), FileSize: size,
	}, nil
}
