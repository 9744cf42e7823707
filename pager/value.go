package pager

import (
	"fmt"
	"io"
	"math/bits"
)

// ValueReader reads a large value of a run chunk by chunk, past the cache. It
// holds at most one chunk of 256 KiB opened, outside the Go heap, where a wipe of
// the owner clears it. It must be closed before the run is. Not safe for
// concurrent use.
type ValueReader struct {
	r    *Run
	refs []byte // what the entry holds, copied; empty when closed
	off  int64  // where the next Read begins, in bytes
	w    *scratch
	own  scratch // w, unless that belongs to an iterator

	held  *loose // room for a chunk; nil until one is read in parts
	chunk int    // number of the chunk in held, −1 if none
}

func (r *Run) newValueReader(refs []byte) *ValueReader {
	v := &ValueReader{}
	v.begin(r, refs, &v.own)
	return v
}

// begin makes v a reader of the value that an entry names.
func (v *ValueReader) begin(r *Run, refs []byte, w *scratch) {
	v.r, v.refs, v.off, v.w, v.chunk = r, append(v.refs[:0], refs...), 0, w, -1
}

// Size returns the size of the value in bytes.
func (v *ValueReader) Size() int64 {
	if len(v.refs) == 0 {
		return 0
	}
	return int64(largeSize(v.refs))
}

// Read reads from at most one chunk. Errors: io.EOF at the end; *PageError;
// crypt.ErrWiped; ErrClosed. Bytes of p are data only if the error is nil.
func (v *ValueReader) Read(p []byte) (int, error) {
	n, err := v.readAt(p, v.off)
	v.off += int64(n)
	return n, err
}

// Seek sets where the next Read begins; it may lie behind the end.
func (v *ValueReader) Seek(offset int64, whence int) (int64, error) {
	if len(v.refs) == 0 {
		return 0, fmt.Errorf("value: %w", ErrClosed)
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += v.off
	case io.SeekEnd:
		offset += v.Size()
	default:
		return 0, fmt.Errorf("seek in value: there is no whence %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in value: offset %d is before the beginning", offset)
	}
	v.off = offset
	return offset, nil
}

func (v *ValueReader) readAt(p []byte, off int64) (int, error) {
	switch {
	case len(v.refs) == 0:
		return 0, fmt.Errorf("value: %w", ErrClosed)
	case v.r.live() != nil:
		return 0, v.r.live()
	case off >= v.Size():
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	i, within := int(off/chunkSize), int(off%chunkSize)
	at, size := largeChunk(v.refs, i)
	if within == 0 && len(p) >= size && i != v.chunk {
		if err := v.r.readChunkPast(v.w, p[:size], at); err != nil {
			clear(p[:size])
			return 0, err
		}
		return size, nil
	}
	if i != v.chunk {
		if err := v.load(i); err != nil {
			return 0, err
		}
	}
	return copy(p, v.held.mem[within:size]), nil
}

// load reads a chunk into held.
func (v *ValueReader) load(i int) error {
	at, size := largeChunk(v.refs, i)
	v.chunk = -1
	if v.held == nil {
		l, err := v.r.owner.c.allocLoose(min(chunkSize, largeSize(v.refs)), v.r.owner.id)
		if err != nil {
			return err
		}
		v.held = l
	}
	if err := v.r.readChunkPast(v.w, v.held.mem[:size], at); err != nil {
		clear(v.held.mem)
		return err
	}
	v.chunk = i
	return nil
}

// end gives back what a value took.
func (v *ValueReader) end() {
	if v.held != nil {
		v.held.free()
		v.held = nil
	}
	v.refs, v.chunk = v.refs[:0], -1
}

// Close gives the memory back. Closing again does nothing.
func (v *ValueReader) Close() error {
	v.end()
	return v.own.free()
}

// Open looks a key up like Get, and returns a value of more than 64 KiB as a
// reader that the caller closes before the run. Any other is appended to dst, and
// the reader is nil then.
func (r *Run) Open(dst, key []byte) (v *ValueReader, value []byte, kind EntryKind, found bool, err error) {
	p, flags, stored, found, err := r.find(key, true)
	if !found || err != nil {
		return nil, dst, 0, false, err
	}
	defer p.release()
	kind = EntryKind(flags & entryKindMask)
	switch {
	case flags&entryLarge == 0:
		return nil, append(dst, stored...), kind, true, nil
	case largeSize(stored) <= valueCachedMax:
		value, err = r.appendLarge(dst, stored)
		return nil, value, kind, err == nil, err
	default:
		return r.newValueReader(stored), dst, kind, true, nil
	}
}

// scan is what an iterator has that reads past the cache: memory for one node
// of every level, and for large values.
type scan struct {
	past   bool // nodes too, not only values
	w      scratch
	nodes  []*loose // by the length of the path above
	stream ValueReader
}

// read reads a node past the cache. It is valid until the next one of its level.
func (s *scan) read(r *Run, level int, at ref, kind pageKind) (page, error) {
	defer s.w.wipe()
	in, err := r.src.readSealed(&s.w, at, kind)
	if err != nil {
		return page{}, err
	}
	mem, err := s.room(r.owner, level, in.size)
	if err == nil {
		err = decodePage(in, mem, at, kind)
	}
	if err != nil {
		return page{}, r.src.fail("decode "+kind.String(), at.off, err)
	}
	return page{data: mem}, nil
}

// room returns memory for a node of a level.
func (s *scan) room(o *CacheOwner, level, size int) ([]byte, error) {
	for len(s.nodes) <= level {
		s.nodes = append(s.nodes, nil)
	}
	l := s.nodes[level]
	if l == nil || len(l.mem) < size {
		if l != nil {
			l.free()
			s.nodes[level] = nil
		}
		next, err := o.c.allocLoose(max(bufferSizeMin, 1<<bits.Len(uint(size-1))), o.id)
		if err != nil {
			return nil, err
		}
		l, s.nodes[level] = next, next
	}
	return l.mem[:size:size], nil
}

// free gives the memory back.
func (s *scan) free() {
	for _, l := range s.nodes {
		if l != nil {
			l.free()
		}
	}
	s.nodes = nil
	s.stream.end()
	_ = s.w.free() // wiped after every use; address space is lost, nothing else
}
