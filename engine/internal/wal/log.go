// Package wal is the write-ahead log: numbered segments, each sealed under a
// key of its own, of frames that are chained by their tags.
//
// # Crash safety
//
// A segment gets its name only after its header is durable, so a segment that
// exists has a header that opens; everything else under that name is damage.
// A frame that Sync has returned for survives; of the frames after it, a crash
// keeps a beginning. Recovery drops what does not open at the end of the last
// segment, unless a frame that opens comes after it: then a durable frame is
// damaged, which is an error. It never appends to a segment that it did not
// begin: the next Append starts a new one, whose header names the tag of the
// last good frame, so that a torn tail in front of it is told from a loss.
//
// # Assumptions
//
// A sync that fails may have lost any unsynced frame, so it is never retried. A
// disk writes whole sectors.
package wal

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// Config says where a log is and what it is sealed under.
type Config struct {
	FS       vfs.FS
	Dir      string // must exist
	Database crypt.ID
	Ring     *crypt.KeyRing
}

// Floor is where a replay begins: the first frame of a segment and the tag of
// the frame before it. Which is why an exchanged segment shows.
type Floor struct {
	Segment uint64
	Frame   uint64
	Tag     Tag
}

// sparesMax is how many released segments are kept for reuse: files whose
// blocks the file system has already.
const sparesMax = 2

// Growth of a segment's file, in bytes: it is preallocated in steps that double.
const (
	growMin = 64 << 10
	growMax = 16 << 20
)

// bufferKeepMax is the largest frame buffer that is kept, in bytes.
const bufferKeepMax = 4 << 20

// Log is an open log. Append, Sync, Rotate, Close and Wipe belong to one
// goroutine at a time; Release and Ended may run beside them.
type Log struct {
	cfg     Config
	file    vfs.File // of the current segment, nil before the first append
	key     *crypt.FileKey
	header  header
	end     int64 // where the next frame starts
	size    int64 // of the file
	buf     []byte
	next    uint64 // number of the next frame
	tag     Tag    // of the last frame
	last    uint64 // number of the newest segment, also before the first append
	failure error

	mu     sync.Mutex // guards what follows
	ended  []extent   // segments before the current one, oldest first
	spares []string   // paths of files for reuse
}

// extent is a segment that has ended.
type extent struct {
	segment uint64
	size    int64 // bytes of frames
}

// Create begins a new log with its first segment, durably, and returns its floor.
func Create(cfg Config) (Floor, error) {
	l := &Log{cfg: cfg, next: 1}
	if err := l.begin(); err != nil {
		return Floor{}, err
	}
	return l.floor(), l.Close()
}

func (l *Log) floor() Floor {
	return Floor{Segment: l.header.segment, Frame: l.header.first, Tag: l.header.previous}
}

// begin makes the next segment the current one. Its name is durable afterwards.
func (l *Log) begin() error {
	h := header{
		database: l.cfg.Database, segment: l.last + 1, epoch: l.cfg.Ring.Current(),
		first: l.next, previous: l.tag, salt: crypt.NewSalt(),
	}
	key, commitment, err := l.cfg.Ring.Create(h.epoch, crypt.KindSegment, h.salt, h.keyed())
	if err != nil {
		return fmt.Errorf("begin log segment: %w", err)
	}
	h.commitment = commitment
	file, path, err := l.spare(h.segment)
	if err == nil {
		if err = l.name(file, path, &h); err != nil {
			_ = file.Close() // the first error is the one to report
		}
	}
	if err != nil {
		key.Wipe()
		return fmt.Errorf("begin log segment: %w", err)
	}
	l.file, l.key, l.header, l.last = file, key, h, h.segment
	l.end = headerSize
	l.size, err = file.Size()
	return err
}

// name writes a segment's header into a spare file and gives it its name.
func (l *Log) name(file vfs.File, path string, h *header) error {
	if _, err := file.WriteAt(h.marshal(), 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := l.cfg.FS.Rename(path, l.path(h.segment)); err != nil {
		return err
	}
	return l.cfg.FS.SyncDir(l.cfg.Dir)
}

// spare opens a recycled file, or makes one.
func (l *Log) spare(segment uint64) (vfs.File, string, error) {
	l.mu.Lock()
	if n := len(l.spares); n > 0 {
		path := l.spares[n-1]
		l.spares = l.spares[:n-1]
		l.mu.Unlock()
		file, err := l.cfg.FS.OpenWrite(path)
		return file, path, err
	}
	l.mu.Unlock()
	path := filepath.Join(l.cfg.Dir, strings.TrimSuffix(segmentName(segment), segmentExt)+spareExt)
	file, err := l.cfg.FS.Create(path)
	return file, path, err
}

func (l *Log) path(segment uint64) string { return filepath.Join(l.cfg.Dir, segmentName(segment)) }

// Append writes one frame that carries the concatenation of parts, and returns
// its number. The frame is durable after the next Sync. After an error the log
// takes no more frames.
func (l *Log) Append(parts ...[]byte) (uint64, error) {
	if l.failure != nil {
		return 0, l.failure
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > PayloadSizeMax {
		return 0, ErrTooLarge
	}
	if l.file == nil {
		if err := l.begin(); err != nil {
			return 0, l.fail(err)
		}
	}
	frame := l.seal(n, parts)
	err := l.write(frame)
	number := l.next
	if err == nil {
		l.tag = Tag(frame[len(frame)-TagSize:])
		l.next++
	}
	if cap(l.buf) > bufferKeepMax {
		l.buf = nil // ciphertext: nothing to wipe
	}
	if err != nil {
		return 0, l.fail(err)
	}
	return number, nil
}

// seal builds a frame in the log's buffer. The plaintext is sealed in place.
func (l *Log) seal(n int, parts [][]byte) []byte {
	plain := TagSize + n
	if need := frameHeaderSize + plain + crypt.Overhead; cap(l.buf) < need {
		l.buf = make([]byte, 0, max(need, 4<<10))
	}
	b := append(l.buf[:frameHeaderSize], l.tag[:]...)
	for _, p := range parts {
		b = append(b, p...)
	}
	b = l.key.Seal(b[:frameHeaderSize], b[frameHeaderSize:], crypt.PlaceAAD(l.next, contentFrame))
	putFrameHeader(b, &l.header.salt, l.next, uint32(len(b)-frameHeaderSize))
	l.buf = b
	return b
}

func (l *Log) write(frame []byte) error {
	end := l.end + int64(len(frame))
	if end > l.size {
		size := end + min(max(l.size, growMin), growMax)
		if err := l.file.Preallocate(size); err != nil {
			return err
		}
		l.size = size
	}
	if _, err := l.file.WriteAt(frame, l.end); err != nil {
		return err
	}
	l.end = alignFrame(end)
	return nil
}

// Sync makes every appended frame durable. After an error the log takes no more
// frames.
func (l *Log) Sync() error {
	if l.failure != nil {
		return l.failure
	}
	if l.file == nil {
		return nil
	}
	if err := l.file.SyncData(); err != nil {
		return l.fail(err)
	}
	return nil
}

func (l *Log) fail(err error) error {
	if l.failure == nil {
		l.failure = fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return l.failure
}

// Rotate makes all frames durable and begins a new segment, whose place it
// returns: a replay from there leaves out everything appended before.
func (l *Log) Rotate() (Floor, error) {
	if err := l.Sync(); err != nil {
		return Floor{}, err
	}
	if err := l.endSegment(); err != nil {
		return Floor{}, l.fail(err)
	}
	if err := l.begin(); err != nil {
		return Floor{}, l.fail(err)
	}
	return l.floor(), nil
}

// endSegment closes the current segment, cut to its frames.
func (l *Log) endSegment() error {
	if l.file == nil {
		return nil
	}
	l.mu.Lock()
	l.ended = append(l.ended, extent{segment: l.header.segment, size: l.end - headerSize})
	l.mu.Unlock()
	file := l.file
	l.file = nil
	l.key.Wipe()
	err := file.Truncate(l.end)
	if err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return err
}

// Release gives up the segments before f. They are kept for reuse or removed.
// An error leaves files behind that the next Open removes.
func (l *Log) Release(f Floor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ended) > 0 && l.ended[0].segment < f.Segment {
		path := l.path(l.ended[0].segment)
		if len(l.spares) >= sparesMax {
			if err := l.cfg.FS.Remove(path); err != nil {
				return err
			}
		} else {
			spare := strings.TrimSuffix(path, segmentExt) + spareExt
			if err := l.cfg.FS.Rename(path, spare); err != nil {
				return err
			}
			l.spares = append(l.spares, spare)
		}
		l.ended = l.ended[1:]
	}
	return l.cfg.FS.SyncDir(l.cfg.Dir)
}

// Position returns the number and the tag of the last frame.
func (l *Log) Position() (frame uint64, tag Tag) { return l.next - 1, l.tag }

// Ended returns the bytes of frames in the segments before the current one.
func (l *Log) Ended() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ended {
		n += e.size
	}
	return n
}

// Size returns the bytes of frames that a replay would read. It belongs to the
// goroutine that appends.
func (l *Log) Size() int64 {
	n := l.Ended()
	if l.file != nil {
		n += l.end - headerSize
	}
	return n
}

// Close makes all frames durable, closes the log and wipes its key.
func (l *Log) Close() error {
	err := l.Sync()
	if eerr := l.endSegment(); err == nil {
		err = eerr
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, path := range l.spares {
		if rerr := l.cfg.FS.Remove(path); err == nil {
			err = rerr
		}
	}
	l.spares = nil
	l.fail(errClosed)
	return err
}

var errClosed = fmt.Errorf("the log is closed")

// Wipe closes the log without a sync and wipes its key.
func (l *Log) Wipe() {
	if l.file != nil {
		_ = l.file.Close() // what was acknowledged is durable
		l.key.Wipe()
		l.file = nil
	}
	clear(l.buf[:cap(l.buf)])
	l.buf = nil
	l.fail(errClosed)
}
