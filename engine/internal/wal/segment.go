package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// Names in the log's directory. A segment is made under a temporary name and
// gets its own when its header is durable: a segment that is there has a
// header. A file to be recycled waits under a name that recovery removes.
const (
	segmentSuffix  = ".wal"
	buildSuffix    = ".wal.tmp"
	recycledSuffix = ".wal.free"
)

// segmentName returns a segment's file name, the number in eight digits or more.
func segmentName(number uint64) string { return fmt.Sprintf("%08d%s", number, segmentSuffix) }

// parseSegmentName returns the number in a segment's file name.
func parseSegmentName(name string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil && number > 0 && segmentName(number) == name
}

func (c *Config) path(number uint64) string { return filepath.Join(c.Dir, segmentName(number)) }

// list returns the numbers of the segments in the directory, ascending, and the
// names of files that an earlier run left behind.
func (c *Config) list() (segments []uint64, leftovers []string, err error) {
	names, err := c.FS.List(c.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list write-ahead log: %w", err)
	}
	for _, name := range names {
		if n, ok := parseSegmentName(name); ok {
			segments = append(segments, n)
		} else if strings.HasSuffix(name, buildSuffix) || strings.HasSuffix(name, recycledSuffix) {
			leftovers = append(leftovers, name)
		}
	}
	return segments, leftovers, nil
}

// Preallocation in bytes. A log that is hardly used stays small; a busy one
// grows its segment seldom.
const (
	allocSizeMin  = 64 << 10
	allocStepMax  = 8 << 20
	segmentSizeOf = 64 << 20 // default
)

// segment is the file that takes frames.
type segment struct {
	number  uint64
	path    string
	file    vfs.File
	key     *crypt.FileKey
	epoch   crypt.Epoch
	seed    uint32
	end     int64 // where the next frame goes
	alloc   int64 // size of the file
	nFrames int
	nSyncs  int  // syncs under way
	retired bool // closed when the last of them ends
}

// ended is what is kept of a segment that takes no more frames.
type ended struct {
	path  string
	epoch crypt.Epoch
	used  int64 // bytes, header included
}

// create makes the segment that follows a position. When it returns, the
// segment and its name are durable. recycled is the path of a file to use, or
// empty.
func (c *Config) create(number uint64, chain position, recycled string) (s *segment, err error) {
	h := header{
		database: c.Database, segment: number, epoch: c.Ring.Current(), salt: crypt.NewSalt(),
		first: chain.frame + 1, before: chain.tag,
	}
	var raw [headerSize]byte
	h.marshal(&raw)
	key, commitment, err := c.Ring.Create(h.epoch, crypt.KindSegment, h.salt, keyInput(&raw))
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	defer func() {
		if err != nil {
			key.Wipe()
		}
	}()
	h.commitment = commitment
	h.marshal(&raw)
	path := c.path(number)
	tmp := strings.TrimSuffix(path, segmentSuffix) + buildSuffix
	alloc, err := c.build(tmp, recycled, &raw)
	if vfs.IsFull(err) {
		if rerr := c.FS.Remove(tmp); rerr == nil || errors.Is(rerr, fs.ErrNotExist) {
			err = noRoom(err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	if err := c.FS.Rename(tmp, path); err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	if err := c.FS.SyncDir(c.Dir); err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	f, err := c.FS.OpenWrite(path) // anew: some systems do not rename open files
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	return &segment{
		number: number, path: path, file: f, key: key, epoch: h.epoch, seed: seedOf(h.salt),
		end: headerSize, alloc: alloc,
	}, nil
}

// build writes a header under a temporary name, makes it durable and returns
// the file's size.
func (c *Config) build(tmp, recycled string, raw *[headerSize]byte) (size int64, err error) {
	var f vfs.File
	if recycled != "" {
		if err := c.FS.Rename(recycled, tmp); err != nil {
			return 0, err
		}
		f, err = c.FS.OpenWrite(tmp)
	} else {
		f, err = c.FS.Create(tmp)
	}
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err := f.WriteAt(raw[:], 0); err != nil {
		return 0, err
	}
	if err := f.Preallocate(allocSizeMin); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return f.Size()
}

// reserve makes room up to a size, in growing steps, or in small ones where the
// disk has no more. Errors: ErrNoRoom; the file system's.
func (s *segment) reserve(size, segmentSize int64) error {
	if size <= s.alloc {
		return nil
	}
	next := min(s.alloc+min(s.alloc, allocStepMax), max(segmentSize, size))
	next = max(next, size)
	err := s.file.Preallocate(next)
	if vfs.IsFull(err) && size < next {
		next = size
		err = s.file.Preallocate(next)
	}
	if err != nil {
		return noRoom(err)
	}
	s.alloc = next
	return nil
}

// retire closes the file and wipes the key, at once or when the last sync on it
// ends.
func (s *segment) retire() error {
	s.key.Wipe()
	s.retired = true
	if s.nSyncs > 0 {
		return nil
	}
	return s.file.Close()
}
