package wal

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/byokdb/byokdb/internal/vfs"
)

// Stats says what a log holds.
type Stats struct {
	Segments  int64
	Frames    int64 // with a payload
	Bytes     int64 // of payloads
	LastFrame uint64
	LastTag   Tag

	// Closed is true when the log was closed in order: nothing is missing then
	// that was there when it was closed.
	Closed bool

	// Dropped is the number of frames that open behind one that does not, and
	// were never durable: what a crash left of them is ignored.
	Dropped int
}

// limit ends a reading before the end of the newest segment's file.
type limit struct {
	segment uint64
	end     int64
	chain   position
}

// recovered is what is known of a log after it was read.
type recovered struct {
	chain    position
	last     uint64           // number of the newest segment, 0 when there is none
	nFrames  uint64           // in the newest segment
	segments map[uint64]ended // by number
}

// Open reads the log from a floor, hands every payload to replay in order, and
// begins a new segment. A payload is valid during the call. An error of replay
// ends the reading and is returned as it is.
//
// A floor that was never stored is the zero Floor: then the log may be absent.
// Errors: *SegmentError with ErrCorrupt, ErrTooNew, crypt.ErrWrongKey or
// crypt.ErrNoEpoch, and ErrStale for a log that does not hold Config.Least;
// crypt.ErrWiped; the file system's. The log's files have the same bytes as
// before then.
func Open(cfg Config, floor Floor, replay func(frame uint64, payload []byte) error) (*Log, error) {
	cfg = cfg.withDefaults()
	if err := cfg.makeDir(); err != nil {
		return nil, err
	}
	if err := cfg.settleNewest(floor); err != nil {
		return nil, err
	}
	_, rec, err := recoverLog(context.Background(), cfg, floor, nil, replay)
	if err != nil {
		return nil, err
	}
	if cfg.Admit != nil {
		if err := cfg.Admit(); err != nil {
			return nil, err
		}
	}
	if err := cfg.removeLeftovers(); err != nil {
		return nil, err
	}
	number, _ := floor.start()
	if rec.last > 0 {
		number = rec.last
		if rec.nFrames > 0 {
			number++ // else the new one takes the empty one's place and name
		}
	}
	delete(rec.segments, number)
	s, err := cfg.create(number, rec.chain, "")
	if err != nil {
		return nil, err
	}
	return &Log{cfg: cfg, cur: s, chain: rec.chain, durable: rec.chain, older: rec.segments}, nil
}

// Create makes a new, empty log, durably, and returns its floor. What a crash
// left of an earlier creation is replaced; a directory with frames in it is
// refused with ErrCorrupt, because they are somebody's.
func Create(cfg Config) (Floor, error) {
	cfg = cfg.withDefaults()
	if err := cfg.makeDir(); err != nil {
		return Floor{}, err
	}
	segments, _, err := cfg.list()
	if err != nil {
		return Floor{}, err
	}
	for _, number := range segments {
		if err := cfg.verifyUnused(number); err != nil {
			return Floor{}, err
		}
	}
	if err := cfg.removeLeftovers(); err != nil {
		return Floor{}, err
	}
	s, err := cfg.create(1, position{}, "")
	if err != nil {
		return Floor{}, err
	}
	if err := s.retire(); err != nil {
		return Floor{}, fmt.Errorf("create log: %w", err)
	}
	return Floor{Segment: 1, Frame: 1}, nil
}

// verifyUnused checks that a segment is one that a creation leaves behind: the
// first, with nothing but zeros behind its header.
func (c *Config) verifyUnused(number uint64) (err error) {
	path := c.path(number)
	f, err := c.FS.Open(path)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	b := make([]byte, allocSizeMin)
	n, err := f.ReadAt(b, headerSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("create log: %w", err)
	}
	if number != 1 || size > allocSizeMin || !isZero(b[:n]) {
		return &SegmentError{Path: path, Op: "creation", Err: corrupt("the directory holds the log of a database without a catalog")}
	}
	return nil
}

// makeDir makes the log's directory, durably.
func (c *Config) makeDir() error {
	if err := c.FS.MkdirAll(c.Dir); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	if err := c.FS.SyncDir(filepath.Dir(filepath.Clean(c.Dir))); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	return nil
}

// Verify opens every frame from a floor on and changes nothing. The log must
// not be open; see [Log.Verify]. Errors: as of [Open]; ctx's.
func Verify(ctx context.Context, cfg Config, floor Floor) (Stats, error) {
	st, _, err := recoverLog(ctx, cfg.withDefaults(), floor, nil, func(uint64, []byte) error { return nil })
	return st, err
}

// recoverLog reads all segments from a floor on.
func recoverLog(
	ctx context.Context, cfg Config, floor Floor, until *limit, fn func(uint64, []byte) error,
) (st Stats, rec recovered, err error) {
	rec.segments = make(map[uint64]ended)
	if err := floor.Validate(); err != nil {
		return st, rec, err
	}
	first, chain := floor.start()
	rec.chain = chain
	if err := cfg.passes(chain, cfg.path(first), headerSize); err != nil {
		return st, rec, err
	}
	numbers, err := cfg.chainOf(first, floor == Floor{}, until)
	if err != nil {
		return st, rec, err
	}
	count := func(frame uint64, payload []byte) error {
		st.Frames++
		st.Bytes += int64(len(payload))
		return fn(frame, payload)
	}
	r := reader{cfg: cfg}
	defer r.close()
	for i, number := range numbers {
		if err := r.open(number); err != nil {
			return st, rec, err
		}
		if err := r.follows(rec.chain, cfg.path(rec.last), rec.segments[rec.last].used); err != nil {
			return st, rec, err
		}
		if until != nil && number == until.segment {
			r.size = until.end
		}
		before := rec.chain.frame
		if cfg.Begin != nil {
			cfg.Begin(Floor{Segment: number, Frame: before + 1, Tag: rec.chain.tag})
		}
		end := int64(0)
		if rec.chain, end, err = r.replay(ctx, rec.chain, count); err != nil {
			return st, rec, err
		}
		if err := r.ends(ctx, i == len(numbers)-1, rec.chain, end, until, &st); err != nil {
			return st, rec, err
		}
		st.Segments++
		st.Closed = r.ended
		rec.last, rec.nFrames = number, rec.chain.frame-before
		rec.segments[number] = ended{path: r.path, epoch: r.head.epoch, used: end}
	}
	if err := cfg.reaches(rec.chain, cfg.path(max(first, rec.last)), rec.segments[rec.last].used); err != nil {
		return st, rec, err
	}
	st.LastFrame, st.LastTag = rec.chain.frame, rec.chain.tag
	return st, rec, nil
}

// chainOf returns the numbers of the segments to read, which must follow each
// other without a gap.
func (c *Config) chainOf(first uint64, isNew bool, until *limit) ([]uint64, error) {
	all, _, err := c.list()
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, n := range all {
		if n < first || until != nil && n > until.segment {
			continue
		}
		if want := first + uint64(len(numbers)); n != want {
			return nil, &SegmentError{Path: c.path(want), Op: "open segment", Err: corrupt("the segment is missing")}
		}
		numbers = append(numbers, n)
	}
	if len(numbers) == 0 && !isNew {
		return nil, &SegmentError{Path: c.path(first), Op: "open segment", Err: corrupt("the segment is missing")}
	}
	return numbers, nil
}

// follows checks that the segment begins where the one before it ended, or at
// the floor. When frames are missing, the error names the place where the
// segment before ends too early.
func (r *reader) follows(chain position, before string, end int64) error {
	switch {
	case r.head.first == chain.frame+1 && subtle.ConstantTimeCompare(r.head.before[:], chain.tag[:]) == 1:
		return nil
	case r.head.first > chain.frame+1 && end > 0:
		what := fmt.Sprintf("it was durable and does not open; the next segment begins with frame %d", r.head.first)
		return &SegmentError{Path: before, Offset: end, Frame: chain.frame + 1, Op: "read frame", Err: corrupt(what)}
	default:
		what := "it does not begin where the frames before it end: it belongs to another state of the database"
		return &SegmentError{Path: r.path, Op: "open segment", Err: corrupt(what)}
	}
}

// ends checks the end of a segment. One that is not the newest is checked by
// the header of the next; the newest may have a torn tail.
func (r *reader) ends(ctx context.Context, newest bool, chain position, end int64, until *limit, st *Stats) error {
	switch {
	case until != nil && r.head.segment == until.segment:
		if chain != until.chain || end != until.end {
			return r.fault(end, chain.frame+1, corrupt("a frame does not open"))
		}
		return nil
	case !newest:
		return nil
	default:
		n, err := r.verifyTail(ctx, chain, end)
		st.Dropped = n
		return err
	}
}

// settleNewest makes the newest segment durable before anything is made of what
// reads from it: the header of the next one will vouch for that. The segments
// before were synced when the next one was begun. One that has no room for a frame,
// as a log that was closed without any leaves it, says nothing that the next one
// could vouch for, and is replaced.
func (c *Config) settleNewest(floor Floor) error {
	segments, _, err := c.list()
	first, _ := floor.start()
	if err != nil || len(segments) == 0 || segments[len(segments)-1] < first {
		return err
	}
	newest := segments[len(segments)-1]
	size, err := c.size(newest)
	if err != nil || size <= headerSize {
		return err
	}
	return c.settle(newest)
}

func (c *Config) size(number uint64) (int64, error) {
	f, err := c.FS.Open(c.path(number))
	if err != nil {
		return 0, fmt.Errorf("settle segment: %w", err)
	}
	size, err := f.Size()
	return size, errors.Join(err, f.Close())
}

// SyncNewest makes the newest segment durable as it is. It needs no key: a log
// that was wiped is at rest then. The segments before it are durable already.
func SyncNewest(cfg Config) error {
	segments, _, err := cfg.list()
	if err != nil || len(segments) == 0 {
		return err
	}
	return cfg.settle(segments[len(segments)-1])
}

// settle makes a segment durable as it reads. A sync alone does not: after one
// that has failed, in an earlier process perhaps, the system's cache still has
// the frames and takes them for written.
//
// Source: Rebello et al., Can Applications Recover from fsync Failures?, USENIX
// ATC 2020.
func (c *Config) settle(number uint64) error {
	f, err := c.FS.OpenWrite(c.path(number))
	if err != nil {
		return fmt.Errorf("settle segment: %w", err)
	}
	err = rewrite(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("settle segment: %w", err)
	}
	return nil
}

// rewrite writes a file's bytes to where they are, and syncs them. Preallocated
// space, which reads as zeros, is left alone.
func rewrite(f vfs.File) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, allocSizeMin)
	for off := int64(0); off < size; off += int64(len(b)) {
		n, err := f.ReadAt(b, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if isZero(b[:n]) {
			continue
		}
		if _, err := f.WriteAt(b[:n], off); err != nil {
			return err
		}
	}
	return f.Sync()
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// removeLeftovers removes what a crash left of segments in the making and of
// files to be recycled.
func (c *Config) removeLeftovers() error {
	_, names, err := c.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.FS.Remove(filepath.Join(c.Dir, name)); err != nil {
			return fmt.Errorf("remove leftover: %w", err)
		}
	}
	return nil
}
