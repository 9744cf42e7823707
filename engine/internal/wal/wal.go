// Package wal is the write-ahead log: a chain of sealed frames in segment
// files.
//
// # Our assumptions
//
// A synced file keeps its bytes, a synced directory its names; a rename is
// atomic. A write that was not synced may survive a crash in any part, in
// sectors of at least 512 bytes. After a sync has failed nothing is known of
// what was written, and it is never tried again; the system's cache may go on
// showing data that the disk does not have, to later processes too.
//
// # Crash safety
//
// A segment appears under its name only when its header is durable, and only
// after the segment before it was synced; its header names the last frame
// before it by number and tag. So every segment but the newest must end exactly
// where the next one says, and only the newest may have a torn tail.
//
// In the newest, the frames end at the first one that does not open. Every
// frame carries the number of the last frame that was durable when it was
// written; a later frame that opens and knows the missing one as durable shows
// damage, which is an error. Without that number a crash that kept the second
// of two unsynced frames could not be told from damage to the first.
//
// Recovery never appends to a segment that has frames: it begins a new one, with
// a key of its own, so that no frame number is sealed twice under one key.
package wal

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/offheap"
	"github.com/byokdb/byokdb/internal/vfs"
)

// Config says where a log is and how it is kept.
type Config struct {
	FS       vfs.FS
	Dir      string // of the segments; made when absent
	Database crypt.ID
	Ring     *crypt.KeyRing

	// SegmentSize is the size in bytes from which on a new segment is begun, 64
	// MiB when 0. A frame that is larger gets a segment that is.
	SegmentSize int64

	// Begin is called at the beginning of every segment that Open reads, with its
	// floor, before its frames are replayed. May be nil.
	Begin func(Floor)

	// MaxRecycled is how many released segments are kept to be used again, 1
	// when 0, none when negative.
	MaxRecycled int

	// Least is a frame that was durable before. A log that ends before it, or
	// has another frame of its number, is refused with ErrStale; one whose
	// floor is behind it is not. The zero Mark asks for nothing.
	Least Mark

	// Admit is called by Open when everything was read and replayed, before
	// anything is written; its error ends the opening. Nil admits.
	Admit func() error
}

// Mark names a frame by its number and its tag, and with them the whole log up
// to there.
type Mark struct {
	Frame uint64
	Tag   Tag
}

// passes checks that the place that a reading came to is not a fork of Least.
func (c *Config) passes(p position, path string, off int64) error {
	if c.Least.Frame == 0 || c.Least.Frame != p.frame || subtle.ConstantTimeCompare(c.Least.Tag[:], p.tag[:]) == 1 {
		return nil
	}
	err := fmt.Errorf("%w: it has another frame of that number", ErrStale)
	return &SegmentError{Path: path, Offset: off, Frame: p.frame, Op: "look for frame", Err: err}
}

// reaches checks that a log that ends at p holds Least.
func (c *Config) reaches(p position, path string, off int64) error {
	if p.frame >= c.Least.Frame {
		return nil
	}
	err := fmt.Errorf("%w: it ends with frame %d", ErrStale, p.frame)
	return &SegmentError{Path: path, Offset: off, Frame: c.Least.Frame, Op: "look for frame", Err: err}
}

func (c Config) withDefaults() Config {
	if c.SegmentSize <= 0 {
		c.SegmentSize = segmentSizeOf
	}
	if c.MaxRecycled == 0 {
		c.MaxRecycled = 1
	}
	return c
}

// Floor is where replay begins: a segment, the number of its first frame and
// the tag of the frame before. The zero Floor is the beginning of a new log.
type Floor struct {
	Segment uint64
	Frame   uint64
	Tag     Tag
}

// start returns the first segment's number and the position before it.
func (f Floor) start() (number uint64, chain position) {
	if f.Segment == 0 {
		return 1, position{}
	}
	return f.Segment, position{frame: f.Frame - 1, tag: f.Tag}
}

// Validate checks that a floor that was read from storage can be one.
func (f Floor) Validate() error {
	if f == (Floor{}) || f.Segment > 0 && f.Frame > 0 && (f.Frame > 1 || f.Tag == Tag{}) {
		return nil
	}
	return corrupt("the floor is no place in a log")
}

// Log is an open write-ahead log. Safe for concurrent use; appends are ordered
// by a lock, and syncs run beside them.
type Log struct {
	cfg Config

	mu       sync.Mutex
	cur      *segment
	chain    position
	durable  position         // the last frame known to be durable
	older    map[uint64]ended // segments before cur that were not released
	recycled []ended          // files to use again
	buf      []byte           // outside the heap; holds plaintext only within Append
	nPins    int              // while above 0, no segment is released
	err      error            // sticky
}

// bufferKeep is the size up to which the buffer is kept between appends, in
// bytes.
const bufferKeep = 1 << 20

// Append writes one frame whose payload is the parts one after the other, and
// returns its number. The frame is durable only after Sync. The parts are not
// kept. Errors: ErrFrameSize; ErrNoRoom, and nothing is appended; ErrFailed with
// the cause after a failed write, now or before; ErrClosed; crypt.ErrWiped.
func (l *Log) Append(parts ...[]byte) (frame uint64, err error) {
	n := 0
	for _, p := range parts {
		if n += len(p); n > PayloadSizeMax {
			return 0, ErrFrameSize
		}
	}
	if n == 0 {
		return 0, ErrFrameSize
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	if l.cur.nFrames > 0 && l.cur.end+int64(frameOverhead+n) > l.cfg.SegmentSize {
		if err := l.next(); err != nil {
			return 0, l.fail("begin segment", err)
		}
	}
	if err := l.write(frameData, n, parts); err != nil {
		return 0, l.fail("append", err)
	}
	return l.chain.frame, nil
}

// write seals and writes one frame behind the last. The plaintext is put
// together where it is sealed, so that it exists once and is overwritten by its
// ciphertext.
func (l *Log) write(kind byte, payloadSize int, parts [][]byte) error {
	s := l.cur
	size := frameOverhead + payloadSize
	if err := s.reserve(alignUp(s.end+int64(size)), l.cfg.SegmentSize); err != nil {
		return err
	}
	if err := l.grow(size); err != nil {
		return err
	}
	h := frameHeader{number: l.chain.frame + 1, kind: kind}
	h.size = uint32(size - frameHeaderSize)
	h.marshal(l.buf, s.seed)
	content := l.buf[frameHeaderSize:frameHeaderSize]
	content = append(content, l.chain.tag[:]...)
	content = binary.BigEndian.AppendUint64(content, l.durable.frame)
	for _, p := range parts {
		content = append(content, p...)
	}
	sealed := s.key.Seal(content[:0], content, crypt.PlaceAAD(h.number, kind))
	if _, err := s.file.WriteAt(l.buf[:size], s.end); err != nil {
		return err
	}
	l.chain.frame = h.number
	copy(l.chain.tag[:], sealed[len(sealed)-TagSize:])
	s.end = alignUp(s.end + int64(size))
	s.nFrames++
	if len(l.buf) > bufferKeep {
		l.freeBuffer()
	}
	return nil
}

// grow makes the buffer hold n bytes.
func (l *Log) grow(n int) error {
	if n <= len(l.buf) {
		return nil
	}
	l.freeBuffer()
	size := n
	if n <= bufferKeep { // in powers of two
		for size = 16 << 10; size < n; size *= 2 {
		}
	}
	buf, err := offheap.Alloc(size)
	if err != nil {
		return err
	}
	l.buf = buf
	return nil
}

func (l *Log) freeBuffer() {
	if l.buf != nil {
		_ = offheap.Free(l.buf) // wiped all the same; only address space is lost
		l.buf = nil
	}
}

// Sync makes every frame appended before durable. Errors: ErrFailed with the
// cause, now or before; ErrClosed.
func (l *Log) Sync() error {
	l.mu.Lock()
	if l.err != nil || l.durable == l.chain {
		defer l.mu.Unlock()
		return l.err
	}
	s, upto := l.cur, l.chain
	s.nSyncs++
	l.mu.Unlock()

	err := s.file.SyncData()

	l.mu.Lock()
	defer l.mu.Unlock()
	s.nSyncs--
	if s.retired && s.nSyncs == 0 {
		if cerr := s.file.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return l.fail("sync", err)
	}
	if upto.frame > l.durable.frame {
		l.durable = upto
	}
	return nil
}

// Rotate ends the segment and begins a new one, and returns where that begins.
// All frames before are durable then. When the segment has no frames yet and
// the DEK is still the current one, it stays and its beginning is returned.
// Errors: as Sync; ErrNoRoom, and the segment stays; crypt.ErrWiped.
func (l *Log) Rotate() (Floor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return Floor{}, l.err
	}
	if l.cur.nFrames > 0 || l.cur.epoch != l.cfg.Ring.Current() {
		if err := l.next(); err != nil {
			return Floor{}, l.fail("begin segment", err)
		}
	}
	return Floor{Segment: l.cur.number, Frame: l.chain.frame + 1, Tag: l.chain.tag}, nil
}

// next syncs the segment and begins the one behind it.
func (l *Log) next() error {
	if err := l.cur.file.SyncData(); err != nil {
		return err
	}
	l.durable = l.chain
	if err := l.dropRecycled(); err != nil {
		return err
	}
	recycled := ""
	if n := len(l.recycled); n > 0 {
		recycled = l.recycled[n-1].path
		l.recycled = l.recycled[:n-1]
	}
	s, err := l.cfg.create(l.cur.number+1, l.chain, recycled)
	if err != nil {
		return err
	}
	l.older[l.cur.number] = ended{path: l.cur.path, epoch: l.cur.epoch, used: l.cur.end}
	old := l.cur
	l.cur = s
	return old.retire()
}

// dropRecycled removes the files that wait to be used again and were written
// under an older DEK: nothing of that epoch must be left when it ends.
func (l *Log) dropRecycled() error {
	var err error
	l.recycled = slices.DeleteFunc(l.recycled, func(f ended) bool {
		if err != nil || f.epoch == l.cfg.Ring.Current() {
			return false
		}
		err = l.cfg.FS.Remove(f.path)
		return err == nil
	})
	return err
}

// Before returns how many files of the log were written under DEKs before an
// epoch, their used bytes, and the number of the last such segment.
func (l *Log) Before(epoch crypt.Epoch) (nFiles int, size int64, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add := func(number uint64, e crypt.Epoch, used int64) {
		if e < epoch {
			nFiles++
			size += used
			last = max(last, number)
		}
	}
	for number, s := range l.older {
		add(number, s.epoch, s.used)
	}
	for _, f := range l.recycled {
		add(0, f.epoch, f.used)
	}
	if l.cur != nil {
		add(l.cur.number, l.cur.epoch, l.cur.end)
	}
	return nFiles, size, last
}

// noRoom makes the error of a call that found the disk full, and changed nothing
// that counts, ErrNoRoom.
func noRoom(err error) error {
	if err == nil || !vfs.IsFull(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoRoom, err)
}

// fail makes a failure sticky and returns it. ErrNoRoom is none.
func (l *Log) fail(op string, err error) error {
	if errors.Is(err, ErrNoRoom) {
		return fmt.Errorf("%s: %w", op, err)
	}
	if l.err == nil {
		l.err = fmt.Errorf("%w: %s: %w", ErrFailed, op, err)
	}
	return l.err
}

// Release says that frames before a floor are not needed any more: the floor is
// durable in the manifest. Segments below it are kept for use again or removed.
// A failure leaves the log as usable as it was.
func (l *Log) Release(f Floor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil || l.nPins > 0 { // a later release takes what is left now
		return l.err
	}
	if err := l.dropRecycled(); err != nil {
		return fmt.Errorf("release segment: %w", err)
	}
	segments, _, err := l.cfg.list()
	if err != nil {
		return err
	}
	first, _ := f.start()
	for _, number := range segments {
		if number >= min(first, l.cur.number) {
			break
		}
		if err := l.release(number); err != nil {
			return fmt.Errorf("release segment: %w", err)
		}
		delete(l.older, number)
	}
	if err := l.cfg.FS.SyncDir(l.cfg.Dir); err != nil {
		return fmt.Errorf("release segments: %w", err)
	}
	return nil
}

// release keeps one segment's file for use again, or removes it.
func (l *Log) release(number uint64) error {
	path := l.cfg.path(number)
	f, ours := l.older[number]
	if !ours || f.used > l.cfg.SegmentSize || len(l.recycled) >= l.cfg.MaxRecycled || f.epoch != l.cfg.Ring.Current() {
		return l.cfg.FS.Remove(path)
	}
	f.path = strings.TrimSuffix(path, segmentSuffix) + recycledSuffix
	if err := l.cfg.FS.Rename(path, f.path); err != nil {
		return err
	}
	l.recycled = append(l.recycled, f)
	return nil
}

// Position returns the number and the tag of the last frame appended, 0 and
// zeros before the first.
func (l *Log) Position() (frame uint64, tag Tag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.chain.frame, l.chain.tag
}

// Durable returns the last frame that is known to be durable, the zero Mark
// before the first. It holds after Close and Wipe too.
func (l *Log) Durable() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Mark{Frame: l.durable.frame, Tag: l.durable.tag}
}

// Size returns the bytes of the segments that were not released, without
// preallocated space.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	if l.cur != nil {
		n = l.cur.end
	}
	for _, s := range l.older {
		n += s.used
	}
	return n
}

// Verify opens every frame from a floor on, up to the last one appended, while
// the log stays in use. Unlike after a crash, nothing may be torn. Release must
// not run beside it. Errors: as [Verify]; ErrClosed.
func (l *Log) Verify(ctx context.Context, floor Floor) (Stats, error) {
	l.mu.Lock()
	if l.cur == nil {
		defer l.mu.Unlock()
		return Stats{}, l.err
	}
	until := &limit{segment: l.cur.number, end: l.cur.end, chain: l.chain}
	l.mu.Unlock()
	st, _, err := recoverLog(ctx, l.cfg, floor, until, func(uint64, []byte) error { return nil })
	return st, err
}

// Close makes everything appended durable, marks the end of the log, returns
// preallocated space, and wipes keys and buffers. Errors: as Sync; a log that
// failed before returns that failure. Closing twice does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == nil {
		return nil
	}
	err := l.err
	if err == nil {
		err = l.finish()
	}
	if werr := l.wipe(); err == nil {
		err = werr
	}
	return err
}

// finish writes an end frame, which knows all frames before it as durable: with
// it, damage to the last of them is told from a torn tail.
func (l *Log) finish() error {
	if l.cur.nFrames > 0 {
		if err := l.cur.file.SyncData(); err != nil {
			return l.fail("sync", err)
		}
		l.durable = l.chain
		if err := l.write(frameEnd, 0, nil); err != nil {
			return l.fail("end", err)
		}
		if err := l.cur.file.SyncData(); err != nil {
			return l.fail("sync", err)
		}
		l.durable = l.chain
	}
	if err := l.cur.file.Truncate(l.cur.end); err != nil {
		return l.fail("truncate", err)
	}
	for _, f := range l.recycled {
		if err := l.cfg.FS.Remove(f.path); err != nil {
			return fmt.Errorf("remove %s: %w", filepath.Base(f.path), err)
		}
	}
	return nil
}

// Wipe zeroes keys and buffers and closes files, and does no other I/O: frames
// that were not synced are as after a crash of the process. The log returns
// ErrClosed from then on.
func (l *Log) Wipe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.wipe() // nothing depends on closing a file
}

func (l *Log) wipe() error {
	if l.err == nil {
		l.err = ErrClosed
	}
	l.freeBuffer()
	if l.cur == nil {
		return nil
	}
	s := l.cur
	l.cur = nil
	return s.retire()
}
