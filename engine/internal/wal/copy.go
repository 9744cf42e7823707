package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/byokdb/byokdb/internal/vfs"
)

// A Piece is the beginning of a segment that a copy of the log takes.
type Piece struct {
	Segment uint64
	Path    string
	Size    int64 // in bytes: behind it no frame begins that the copy may hold
}

// Pin returns what makes up the log from a floor up to the last frame appended,
// and keeps segments from being released until Unpin is called, so that they
// can be copied while the log is in use. Errors: ErrFailed, ErrClosed.
func (l *Log) Pin(floor Floor) ([]Piece, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == nil {
		return nil, l.err
	}
	l.nPins++
	first, _ := floor.start()
	var out []Piece
	for number, s := range l.older {
		if number >= first {
			out = append(out, Piece{Segment: number, Path: l.cfg.path(number), Size: s.used})
		}
	}
	out = append(out, Piece{Segment: l.cur.number, Path: l.cur.path, Size: l.cur.end})
	slices.SortFunc(out, func(a, b Piece) int {
		if a.Segment < b.Segment {
			return -1
		}
		return 1
	})
	return out, nil
}

// Unpin ends one Pin. The next Release takes what was kept.
func (l *Log) Unpin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nPins--
}

// A Reading is a segment that is read without its key, perhaps beside a process
// that writes it.
type Reading struct {
	Header HeaderInfo

	file vfs.File
	path string
	raw  *[headerSize]byte
	seed uint32
}

// Read begins to read the segment in an open file. path is for errors. Errors:
// *SegmentError with ErrCorrupt or ErrTooNew; the file system's.
func Read(f vfs.File, path string) (*Reading, error) {
	h, raw, err := readHeader(f, path)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("read segment: %w", err)
	}
	return &Reading{Header: h.info(size), file: f, path: path, raw: raw, seed: seedOf(h.salt)}, nil
}

// End returns the offset behind the last frame, in bytes, as the clear headers
// of frames tell it from the first one on. Frames are written one after the
// other, so that all of them but the last are whole once End has seen it, and
// what is copied up to there is the beginning of a log and has no hole.
//
// Where a frame of the segment is cut off, or some lie behind a place where none
// begins, there is damage, or what a crash left: only the key can tell. End
// returns the file's size then, so that the copy holds all there is to judge by.
//
// Source: FORMAT.md §5, W12, W13.
func (r *Reading) End() (int64, error) {
	end := int64(headerSize)
	for {
		next, err := r.walk(end)
		if err != nil {
			return 0, err
		}
		ahead, err := r.frameBehind(next)
		if err != nil {
			return 0, err
		}
		if !ahead {
			size, err := r.file.Size()
			return min(next, size), err // padding behind the last frame may be cut off
		}
		// A writer may have gone on since: then a frame begins here by now.
		if end, err = r.walk(next); err != nil {
			return 0, err
		}
		if end == next {
			return r.file.Size()
		}
	}
}

// walk returns the offset behind the frames that follow each other from an
// offset on.
func (r *Reading) walk(off int64) (int64, error) {
	for {
		b, size, err := r.at(off, frameHeaderSize)
		var h frameHeader
		if err != nil || !h.unmarshal(b, r.seed) || int64(h.size) > size-off-frameHeaderSize {
			return off, err
		}
		off = alignUp(off + frameHeaderSize + int64(h.size))
	}
}

// frameBehind reports whether a frame begins at an offset or anywhere behind it.
func (r *Reading) frameBehind(off int64) (bool, error) {
	for {
		b, _, err := r.at(off, readSize)
		if err != nil || len(b) < frameHeaderSize {
			return false, err
		}
		for i := 0; i < len(b); i += frameAlign {
			var h frameHeader
			if h.unmarshal(b[i:], r.seed) {
				return true, nil
			}
		}
		off += int64(len(b)+frameAlign-1) &^ (frameAlign - 1)
	}
}

// at reads up to n bytes at an offset and returns the file's size as well.
func (r *Reading) at(off int64, n int) ([]byte, int64, error) {
	size, err := r.file.Size()
	if err != nil {
		return nil, 0, fmt.Errorf("read segment: %w", err)
	}
	b := make([]byte, max(0, min(int64(n), size-off)))
	got, err := r.file.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, &SegmentError{Path: r.path, Offset: off, Op: "read segment", Err: err}
	}
	return b[:got], size, nil
}

// Same reports whether the file still is the segment that it was. A released
// one is used again by another segment, whose header is written first: what was
// read before Same reports true belongs to this one.
func (r *Reading) Same() (bool, error) {
	_, raw, err := readHeader(r.file, r.path)
	if errors.Is(err, ErrCorrupt) { // the other one's header is being written
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return bytes.Equal(raw[:], r.raw[:]), nil
}
