package pager

import (
	"encoding/binary"
	"errors"
	"io"
	"unsafe"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// pageKind tells pages apart in their associated data. It is on disk.
type pageKind byte

const (
	kindLeaf       pageKind = 1
	kindInner      pageKind = 2
	kindFilter     pageKind = 3
	kindProperties pageKind = 4
	kindValue      pageKind = 5
	kindTrailer    pageKind = 6
)

func (k pageKind) String() string {
	switch k {
	case kindLeaf:
		return "leaf"
	case kindInner:
		return "inner node"
	case kindFilter:
		return "filter"
	case kindProperties:
		return "properties"
	case kindValue:
		return "value"
	case kindTrailer:
		return "trailer"
	default:
		return "page"
	}
}

// Compression says how pages are compressed before they are sealed. A page that
// does not shrink is stored as it is.
type Compression uint8

// The compressions. Zstd costs more time and saves more space; its decoder
// keeps working memory on the Go heap.
const (
	S2   Compression = iota // the default
	None                    // sizes on disk then tell nothing about contents
	Zstd
)

// Codecs of pages. They are on disk.
const (
	codecNone byte = 0
	codecS2   byte = 1
	codecZstd byte = 2
)

const (
	// framingSize is what precedes the contents of a page within the sealed
	// bytes: codec (1 B) ‖ size of the decoded contents (4 B, big-endian).
	framingSize = 5

	// contentSizeMax is the largest decoded page, in bytes: a chunk of a value.
	// The largest node, an inner one with two keys of KeySizeMax more than a
	// page, is below it.
	contentSizeMax = 256 << 10

	pageSealedSizeMin = framingSize + 1 + crypt.Overhead
	pageSealedSizeMax = framingSize + contentSizeMax + crypt.Overhead
)

// refSize is the size of a ref on disk, in bytes.
const refSize = 12

// ref is how a page is named by its parent.
type ref struct {
	off  uint64 // in the file, in bytes
	size uint32 // sealed, in bytes
}

func (r ref) put(b []byte) {
	binary.BigEndian.PutUint64(b, r.off)
	binary.BigEndian.PutUint32(b[8:], r.size)
}

func readRef(b []byte) ref {
	return ref{off: binary.BigEndian.Uint64(b), size: binary.BigEndian.Uint32(b[8:refSize])}
}

// within reports whether a page can lie there, in a file whose trailer begins
// at body.
func (r ref) within(body uint64) bool {
	return r.off >= headerSize && r.off < body && uint64(r.size) <= body-r.off &&
		r.size >= pageSealedSizeMin && r.size <= pageSealedSizeMax
}

// source is an open file with its key: where pages are read from.
type source struct {
	file vfs.File
	key  *crypt.FileKey
	path string
	body uint64 // offset of the trailer
}

func (s *source) fail(op string, off uint64, err error) error {
	return &PageError{Path: s.path, Offset: int64(off), Op: op, Err: err}
}

// readSealed reads and opens one page. The result is in w and is valid until w
// is used again.
func (s *source) readSealed(w *scratch, at ref, kind pageKind) (content, error) {
	if !at.within(s.body) {
		return content{}, s.fail("read "+kind.String(), at.off, corrupt("the page lies outside the file"))
	}
	if err := w.reserve(int(at.size)); err != nil {
		return content{}, err
	}
	sealed := w.sealed[:at.size]
	if n, err := s.file.ReadAt(sealed, int64(at.off)); n < len(sealed) {
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = corrupt("cut short")
		}
		return content{}, s.fail("read "+kind.String(), at.off, err)
	}
	plain, err := s.key.Open(w.plain[:0], sealed, crypt.PlaceAAD(at.off, byte(kind)))
	if errors.Is(err, crypt.ErrAuth) {
		err = errAuth
	}
	if err != nil {
		return content{}, s.fail("open "+kind.String(), at.off, err)
	}
	w.used = len(plain)
	c, err := parseContent(w, plain)
	if err != nil {
		return content{}, s.fail("decode "+kind.String(), at.off, err)
	}
	return c, nil
}

// content is an opened page that is still compressed.
type content struct {
	codec byte
	size  int // decoded, in bytes: 1 to contentSizeMax
	data  []byte
	w     *scratch // that it is in
}

func parseContent(w *scratch, plain []byte) (content, error) {
	if len(plain) <= framingSize {
		return content{}, corrupt("the page is empty")
	}
	c := content{codec: plain[0], size: int(binary.BigEndian.Uint32(plain[1:])), data: plain[framingSize:], w: w}
	if c.size == 0 || c.size > contentSizeMax {
		return content{}, corrupt("the page's size is out of range")
	}
	return c, nil
}

// decode writes the decoded page to dst, which has c.size bytes and does not
// overlap c. Errors: ErrCorrupt; dst's contents are undefined then.
func (c content) decode(dst []byte) error {
	invariant(len(dst) == c.size, "decode into a buffer of the wrong size")
	switch c.codec {
	case codecNone:
		if len(c.data) != c.size {
			return corrupt("the page's size does not match")
		}
		copy(dst, c.data)
		return nil
	case codecS2:
		if n, err := s2.DecodedLen(c.data); err != nil || n != c.size {
			return corrupt("the page's size does not match")
		}
		out, err := s2.Decode(dst, c.data)
		if err != nil || len(out) != c.size || !sameArray(out, dst) {
			return corrupt("the page does not decompress")
		}
		return nil
	case codecZstd:
		d, err := c.w.decoder()
		if err != nil {
			return err
		}
		var h zstd.Header
		if err := h.Decode(c.data); err != nil || !h.HasFCS || h.FrameContentSize != uint64(c.size) {
			return corrupt("the page's size does not match")
		}
		out, err := d.DecodeAll(c.data, dst[:0:c.size])
		if err != nil || len(out) != c.size || !sameArray(out, dst) {
			return corrupt("the page does not decompress")
		}
		return nil
	default:
		return corrupt("the page has an unknown codec")
	}
}

// sameArray reports whether two slices begin at the same byte.
func sameArray(a, b []byte) bool {
	return unsafe.SliceData(a) == unsafe.SliceData(b)
}
