package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// Open replays the log from floor on and returns it, ready for appends. replay
// is called for every frame in order, with a payload that is valid during the
// call; its error ends the replay. Files before floor, left by a crash, are
// removed.
//
// Errors: ErrCorrupt, ErrTooNew and crypt.ErrWrongKey in a *SegmentError, those
// of replay, of the file system.
func Open(cfg Config, floor Floor, replay func(frame uint64, payload []byte) error) (*Log, error) {
	r := &reader{cfg: cfg, replay: replay, ctx: context.Background()}
	segments, stale, err := r.list(floor)
	if err != nil {
		return nil, err
	}
	if err := r.run(segments, floor, true); err != nil {
		return nil, err
	}
	for _, name := range stale {
		if err := cfg.FS.Remove(filepath.Join(cfg.Dir, name)); err != nil {
			return nil, fmt.Errorf("remove released log segment: %w", err)
		}
	}
	return &Log{
		cfg: cfg, next: r.next, tag: r.tag, last: segments[len(segments)-1], ended: r.extents,
	}, nil
}

// Stats say what a verification read.
type Stats struct {
	Segments, Frames int64
	Bytes            int64 // of frames, with their framing
}

// Verify opens every frame from floor on, as Open does, and changes nothing.
func Verify(ctx context.Context, cfg Config, floor Floor) (Stats, error) {
	r := &reader{cfg: cfg, ctx: ctx, replay: func(uint64, []byte) error { return nil }}
	segments, _, err := r.list(floor)
	if err != nil {
		return Stats{}, err
	}
	err = r.run(segments, floor, false)
	return r.stats, err
}

// A reader walks the segments of a log.
type reader struct {
	cfg    Config
	ctx    context.Context
	replay func(frame uint64, payload []byte) error
	next   uint64 // number of the frame that must come
	tag    Tag    // of the frame before it
	stats  Stats
	plain  []byte

	extents []extent
}

// list returns the segments from the floor on, which must follow each other
// without a gap, and the names of files that are not needed any more.
func (r *reader) list(floor Floor) (segments []uint64, stale []string, err error) {
	names, err := r.cfg.FS.List(r.cfg.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list log: %w", err)
	}
	for _, name := range names {
		n, ok := parseName(name)
		switch {
		case ok && n >= floor.Segment:
			segments = append(segments, n)
		case ok, strings.HasSuffix(name, spareExt):
			stale = append(stale, name)
		}
	}
	slices.Sort(segments)
	for i := range max(len(segments), 1) {
		if i >= len(segments) || segments[i] != floor.Segment+uint64(i) {
			return nil, nil, &SegmentError{
				Path: filepath.Join(r.cfg.Dir, segmentName(floor.Segment+uint64(i))), Detail: "segment is missing", Err: ErrCorrupt,
			}
		}
	}
	return segments, stale, nil
}

// run replays the segments in order.
func (r *reader) run(segments []uint64, floor Floor, sync bool) error {
	r.next, r.tag = floor.Frame, floor.Tag
	for i, n := range segments {
		if err := r.segment(n, i == len(segments)-1, sync); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) segment(n uint64, newest, sync bool) (err error) {
	path := filepath.Join(r.cfg.Dir, segmentName(n))
	open := r.cfg.FS.Open
	if newest && sync {
		open = r.cfg.FS.OpenWrite
	}
	file, err := open(path)
	if err != nil {
		return fmt.Errorf("open log segment: %w", err)
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}()
	h, key, err := r.header(file, path, n)
	if err != nil {
		return err
	}
	defer key.Wipe()
	if h.first != r.next || h.previous != r.tag {
		return &SegmentError{
			Path: path, Frame: r.next, Err: ErrCorrupt,
			Detail: fmt.Sprintf("the segment goes on after frame %d, the log before it ends with frame %d", h.first-1, r.next-1),
		}
	}
	w, err := newWindow(file)
	if err != nil {
		return err
	}
	end, err := r.frames(w, h, key, path)
	if err != nil {
		return err
	}
	r.extents = append(r.extents, extent{segment: n, size: end - headerSize})
	r.stats.Segments++
	r.stats.Bytes += end - headerSize
	if !newest || end >= w.size {
		return nil // a torn tail in front of another segment: that one's header tells
	}
	if err := r.tail(w, h, key, path, end); err != nil {
		return err
	}
	if sync { // not closed cleanly: frames that opened must not be lost any more
		return file.SyncData()
	}
	return nil
}

// header opens a segment's header.
func (r *reader) header(file vfs.File, path string, n uint64) (*header, *crypt.FileKey, error) {
	fault := func(err error) error { return &SegmentError{Path: path, Err: err} }
	b := make([]byte, headerSize)
	if _, err := file.ReadAt(b, 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("header is cut short: %w", ErrCorrupt)
		}
		return nil, nil, fault(err)
	}
	h := &header{}
	if err := h.unmarshal(b); err != nil {
		return nil, nil, fault(err)
	}
	if h.database != r.cfg.Database {
		return nil, nil, fault(fmt.Errorf("segment of another database: %w", ErrCorrupt))
	}
	if h.segment != n {
		return nil, nil, fault(fmt.Errorf("segment %d under the name of another: %w", h.segment, ErrCorrupt))
	}
	key, err := r.cfg.Ring.Open(h.epoch, crypt.KindSegment, h.salt, h.keyed(), h.commitment)
	if err != nil {
		return nil, nil, fault(err)
	}
	return h, key, nil
}

// frames replays the frames of a segment and returns where they end.
func (r *reader) frames(w *window, h *header, key *crypt.FileKey, path string) (end int64, err error) {
	defer func() {
		clear(r.plain[:cap(r.plain)])
		if cap(r.plain) > bufferKeepMax {
			r.plain = nil
		}
	}()
	end = headerSize
	for {
		if err := r.ctx.Err(); err != nil {
			return end, err
		}
		plain, size, tag, err := r.open(w, h, key, end, r.next)
		if err != nil {
			return end, err
		}
		if plain == nil {
			return end, nil
		}
		if Tag(plain[:TagSize]) != r.tag {
			return end, &SegmentError{Path: path, Offset: end, Frame: r.next, Detail: "the frame does not follow the one before it", Err: ErrCorrupt}
		}
		if err := r.replay(r.next, plain[TagSize:]); err != nil {
			return end, err
		}
		r.tag = tag
		r.next++
		r.stats.Frames++
		end = alignFrame(end + frameHeaderSize + int64(size))
	}
}

// open returns the plaintext of the frame at off, nil if no frame of that
// number opens there; number 0 stands for any. The error is the file system's.
func (r *reader) open(w *window, h *header, key *crypt.FileKey, off int64, number uint64) ([]byte, uint32, Tag, error) {
	b, err := w.bytes(off, frameHeaderSize)
	if b == nil || err != nil {
		return nil, 0, Tag{}, err
	}
	have, size, ok := parseFrameHeader(b, &h.salt)
	if !ok || number != 0 && have != number || off+frameHeaderSize+int64(size) > w.size {
		return nil, 0, Tag{}, nil
	}
	sealed, err := w.bytes(off+frameHeaderSize, int(size))
	if sealed == nil || err != nil {
		return nil, 0, Tag{}, err
	}
	plain, err := key.Open(r.plain[:0], sealed, crypt.PlaceAAD(have, contentFrame))
	if errors.Is(err, crypt.ErrAuth) {
		return nil, 0, Tag{}, nil
	}
	if err != nil {
		return nil, 0, Tag{}, err
	}
	r.plain = plain
	return plain, size, Tag(sealed[len(sealed)-TagSize:]), nil
}

// tail looks past the end of the frames for one that opens: then a frame before
// it was durable once and is damaged now.
func (r *reader) tail(w *window, h *header, key *crypt.FileKey, path string, end int64) error {
	for off := end; off+frameHeaderSize <= w.size; off += frameAlign {
		plain, _, _, err := r.open(w, h, key, off, 0)
		if err != nil {
			return err
		}
		if plain != nil {
			clear(plain)
			return &SegmentError{
				Path: path, Offset: end, Frame: r.next, Err: ErrCorrupt,
				Detail: fmt.Sprintf("the frame does not open, but one at offset %d does", off),
			}
		}
	}
	return nil
}

// HeaderInfo is what a segment shows without a key.
type HeaderInfo struct {
	Database   crypt.ID
	Segment    uint64
	Epoch      crypt.Epoch
	FirstFrame uint64
	Size       int64 // of the file, in bytes
}

// Inspect reads a segment's header. Errors: ErrCorrupt, ErrTooNew.
func Inspect(fs vfs.FS, path string) (info HeaderInfo, err error) {
	file, err := fs.Open(path)
	if err != nil {
		return info, err
	}
	defer func() {
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}()
	b := make([]byte, headerSize)
	if n, err := file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return info, err
	} else if err != nil {
		b = b[:n]
	}
	var h header
	if err := h.unmarshal(b); err != nil {
		return info, &SegmentError{Path: path, Err: err}
	}
	size, err := file.Size()
	return HeaderInfo{Database: h.database, Segment: h.segment, Epoch: h.epoch, FirstFrame: h.first, Size: size}, err
}

// A window reads a file through one buffer, so that small frames do not cost a
// system call each.
type window struct {
	file vfs.File
	size int64
	buf  []byte
	off  int64 // of buf in the file
}

const windowSize = 1 << 20

func newWindow(file vfs.File) (*window, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	return &window{file: file, size: size}, nil
}

// bytes returns n bytes at off, valid until the next call; nil where the file
// is too short.
func (w *window) bytes(off int64, n int) ([]byte, error) {
	if off+int64(n) > w.size {
		return nil, nil
	}
	if off < w.off || off+int64(n) > w.off+int64(len(w.buf)) {
		want := int(min(int64(max(n, windowSize)), w.size-off))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.off = w.buf[:want], off
		if _, err := w.file.ReadAt(w.buf, off); err != nil {
			w.buf = w.buf[:0]
			return nil, fmt.Errorf("read log segment: %w", err)
		}
	}
	return w.buf[off-w.off:][:n], nil
}
