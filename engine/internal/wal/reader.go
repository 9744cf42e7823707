package wal

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/offheap"
	"github.com/byokdb/byokdb/internal/vfs"
)

// readSize is how much of a segment is read at a time, in bytes.
const readSize = 1 << 20

// reader reads the frames of one segment after the other. Its buffer holds
// opened payloads: close wipes it.
type reader struct {
	cfg  Config
	path string
	file vfs.File
	size int64 // of the file, or where the reader stops, in bytes
	key  *crypt.FileKey
	seed uint32
	head header

	ended bool // the last frame that was replayed is an end frame

	mem []byte // outside the heap
	off int64  // of mem[0] in the file
	n   int    // bytes of the file that are in mem
}

// open begins to read a segment and derives its key. The segment's header must
// belong to this database and to this name. Errors: *SegmentError.
func (r *reader) open(number uint64) error {
	r.closeFile()
	r.path = r.cfg.path(number)
	f, err := r.cfg.FS.Open(r.path)
	if err != nil {
		return &SegmentError{Path: r.path, Op: "open segment", Err: err}
	}
	r.file, r.n, r.ended = f, 0, false
	if r.size, err = f.Size(); err != nil {
		return &SegmentError{Path: r.path, Op: "open segment", Err: err}
	}
	h, raw, err := readHeader(f, r.path)
	if err != nil {
		return err
	}
	switch {
	case h.database != r.cfg.Database:
		err = corrupt("the segment belongs to another database")
	case h.segment != number:
		err = corrupt(fmt.Sprintf("the segment is number %d", h.segment))
	default:
		r.key, err = r.cfg.Ring.Open(h.epoch, crypt.KindSegment, h.salt, keyInput(raw), h.commitment)
	}
	if err != nil {
		return &SegmentError{Path: r.path, Op: "open segment", Err: err}
	}
	r.head, r.seed = h, seedOf(h.salt)
	return nil
}

// frame is an opened frame.
type frame struct {
	frameHeader
	before  Tag    // tag of the frame before
	durable uint64 // last frame that was durable when this one was written
	payload []byte // valid until the reader's next call
	tag     Tag
	end     int64 // offset behind the frame, aligned
}

// frameAt opens the frame at an offset. ok is false when there is none: the
// bytes are zero, torn, damaged, or an earlier segment's. The place of a frame
// that opened must not be read again: it was opened in place.
func (r *reader) frameAt(off int64) (f frame, ok bool, err error) {
	b, err := r.window(off, frameHeaderSize)
	if err != nil || !f.unmarshal(b, r.seed) || int64(f.size) > r.size-off-frameHeaderSize {
		return f, false, err
	}
	n := frameHeaderSize + int(f.size)
	if b, err = r.window(off, n); err != nil || len(b) < n {
		return f, false, err
	}
	sealed := b[frameHeaderSize:n]
	copy(f.tag[:], sealed[len(sealed)-TagSize:])
	plain, err := r.key.Open(sealed[:0], sealed, crypt.PlaceAAD(f.number, f.kind))
	if err != nil {
		r.n = 0 // opened in place: the buffer does not hold the file any more
		if errors.Is(err, crypt.ErrAuth) {
			err = nil
		}
		return f, false, err
	}
	copy(f.before[:], plain)
	f.durable = binary.BigEndian.Uint64(plain[TagSize:])
	f.payload = plain[contentHeaderSize:]
	f.end = alignUp(off + int64(n))
	return f, true, nil
}

// replay opens the segment's frames in order from the chain's position, hands
// the payloads to fn, and returns the position and the offset behind the last
// frame that opens. Errors: *SegmentError with ErrCorrupt when a frame opens and
// is not the next one of the chain; fn's, as they are.
func (r *reader) replay(ctx context.Context, chain position, fn func(uint64, []byte) error) (position, int64, error) {
	return r.replayFrom(ctx, headerSize, chain, fn)
}

// replayFrom is replay that begins with the frame at an offset.
func (r *reader) replayFrom(
	ctx context.Context, off int64, chain position, fn func(uint64, []byte) error,
) (position, int64, error) {
	for {
		if err := ctx.Err(); err != nil {
			return chain, off, err
		}
		f, ok, err := r.frameAt(off)
		if err != nil {
			return chain, off, r.fault(off, chain.frame+1, err)
		}
		if !ok {
			return chain, off, nil
		}
		if f.number != chain.frame+1 || subtle.ConstantTimeCompare(f.before[:], chain.tag[:]) != 1 ||
			f.durable > chain.frame || (f.kind == frameEnd) != (len(f.payload) == 0) {
			return chain, off, r.fault(off, chain.frame+1, corrupt("a frame is out of its place"))
		}
		if r.ended = f.kind == frameEnd; !r.ended {
			if err := fn(f.number, f.payload); err != nil {
				return chain, off, err
			}
		}
		chain = position{frame: f.number, tag: f.tag}
		off = f.end
		if err := r.cfg.passes(chain, r.path, off); err != nil {
			return chain, off, err
		}
	}
}

// verifyTail looks behind the place where the newest segment's frames end, for a
// frame that opens and was written when the missing one was already durable:
// then that was damaged and not torn. Frames that were never durable may open
// behind one that does not, because a crash keeps any part of what was not
// synced. It returns the number of such frames. Errors: *SegmentError with
// ErrCorrupt.
//
// Genuine frames do not overlap; if the headers behind the end claim more bytes
// than there are, somebody put them there.
func (r *reader) verifyTail(ctx context.Context, chain position, end int64) (nDropped int, err error) {
	missing := chain.frame + 1
	budget := r.size - end
	for off := end; off+frameOverhead <= r.size; off += frameAlign {
		if off&(readSize-1) == 0 && ctx.Err() != nil {
			return nDropped, ctx.Err()
		}
		b, err := r.window(off, frameHeaderSize)
		if err != nil {
			return nDropped, r.fault(end, missing, err)
		}
		var h frameHeader
		if !h.unmarshal(b, r.seed) || int64(h.size) > r.size-off-frameHeaderSize {
			continue
		}
		if budget -= int64(h.size); budget < 0 {
			return nDropped, r.fault(end, missing, corrupt("too many beginnings of frames behind the end of the log"))
		}
		f, ok, err := r.frameAt(off)
		if err != nil {
			return nDropped, r.fault(end, missing, err)
		}
		if !ok {
			continue
		}
		if f.number <= missing || f.durable >= missing {
			return nDropped, r.fault(end, missing,
				corrupt(fmt.Sprintf("it was durable and does not open, but frame %d at offset %d does", f.number, off)))
		}
		nDropped++
		off = f.end - frameAlign // its bytes in the buffer are plaintext now
	}
	return nDropped, nil
}

// window returns at least n bytes of the segment from an offset, fewer only at
// the end of the file. It is valid until the next call.
func (r *reader) window(off int64, n int) ([]byte, error) {
	if off >= r.off && off+int64(n) <= r.off+int64(r.n) {
		return r.mem[off-r.off : r.n], nil
	}
	if left := r.size - off; int64(n) > left {
		n = int(max(left, 0))
	}
	if n > len(r.mem) {
		r.freeMemory()
		mem, err := offheap.Alloc(max(n, int(min(readSize, r.size))))
		if err != nil {
			return nil, err
		}
		r.mem = mem
	}
	r.off, r.n = off, 0
	want := min(int64(len(r.mem)), r.size-off)
	if want <= 0 {
		return nil, nil
	}
	got, err := r.file.ReadAt(r.mem[:want], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r.n = got
	return r.mem[:got], nil
}

func (r *reader) fault(off int64, number uint64, err error) error {
	return &SegmentError{Path: r.path, Offset: off, Frame: number, Op: "read frame", Err: err}
}

func (r *reader) closeFile() {
	if r.file != nil {
		_ = r.file.Close() // opened for reading only
		r.file = nil
	}
	r.key.Wipe()
	r.key = nil
}

func (r *reader) freeMemory() {
	if r.mem != nil {
		_ = offheap.Free(r.mem) // wiped all the same; only address space is lost
		r.mem, r.n = nil, 0
	}
}

// close wipes the key and the buffer.
func (r *reader) close() {
	r.closeFile()
	r.freeMemory()
}
