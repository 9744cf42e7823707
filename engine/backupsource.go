package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/vfs"
)

// A backupSource is one moment's state of a database, held fast while it is
// copied.
type backupSource struct {
	database   crypt.ID
	generation uint64
	position   Position // zero without the key
	now        time.Time
	catalog    []byte
	parts      []*backupPart // segments by number, then runs
	check      func() error  // that it may still be read
	release    func()
}

// A backupPart is a segment or a run.
type backupPart struct {
	name string // in the backup
	path string
	size int64 // in bytes, of what is copied

	isRun bool
	id    uint64
	root  [crypt.TagSize]byte // of a run: the file's last bytes

	fs      vfs.FS
	file    vfs.File     // nil until it is opened
	reading *wal.Reading // of a segment that may be used again meanwhile, else nil
}

func (p *backupPart) open() (err error) {
	if p.file == nil {
		p.file, err = p.fs.Open(p.path)
	}
	return err
}

func (p *backupPart) close() {
	if p.file != nil {
		_ = p.file.Close() // opened for reading only
		p.file = nil
	}
}

// poolName is the name of a run in a destination of backups: its number and its
// root tag, which names its contents.
func (p *backupPart) poolName() string { return fmt.Sprintf("%08d-%x.run", p.id, p.root) }

// A backupPin keeps the files of a version and the log's segments in place. The
// session's end takes it away: then the backup ends with an error.
type backupPin struct {
	version *version // nil once released; guarded by the session's mu
}

// pinBackup holds the current state fast.
func (db *DB) pinBackup() (*backupSource, error) {
	if err := db.check(); err != nil {
		return nil, err
	}
	db.txMu.Lock()
	s := db.session
	if s == nil {
		defer db.txMu.Unlock()
		return nil, db.unavailable()
	}
	db.txMu.Unlock()
	position, err := s.position()
	if err != nil {
		return nil, err
	}
	s.manifestMu.Lock() // nothing is flushed or replaced meanwhile, and no segment released
	defer s.manifestMu.Unlock()
	if s.manifest == nil { // wiped in between
		return nil, s.ended()
	}
	raw, err := db.cat.Snapshot()
	if err != nil {
		return nil, err
	}
	pieces, err := s.log.Pin(s.manifest.Floor)
	if err != nil {
		return nil, err
	}
	src := &backupSource{
		database: db.clear.Database, generation: s.manifest.Generation, position: position, now: db.clock.Now(), catalog: raw,
	}
	for _, piece := range pieces {
		src.parts = append(src.parts, &backupPart{
			name: segmentPart(piece.Segment), path: piece.Path, size: piece.Size, id: piece.Segment, fs: s.fs,
		})
	}
	for _, m := range s.manifest.Runs {
		src.parts = append(src.parts, &backupPart{
			name: runPart(m.ID), path: runPath(db.dir, m.ID), size: m.Size, isRun: true, id: m.ID, root: m.RootTag, fs: s.fs,
		})
	}
	pin := s.pin()
	src.check = func() error { return s.checkPin(pin) }
	src.release = func() {
		for _, p := range src.parts {
			p.close()
		}
		s.unpin(pin)
	}
	return src, nil
}

// pin takes a reference to the current version. s.manifestMu is held.
func (s *session) pin() *backupPin {
	s.mu.Lock()
	defer s.mu.Unlock()
	pin := &backupPin{version: s.version.ref()}
	if s.pins == nil {
		s.pins = make(map[*backupPin]struct{})
	}
	s.pins[pin] = struct{}{}
	return pin
}

// checkPin says whether a pin still holds.
func (s *session) checkPin(pin *backupPin) error {
	if err := s.db.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if pin.version == nil {
		return &KeyError{
			State: Paused, KeyID: s.db.clear.KeyID,
			Message: "memory was wiped while the backup was made; begin it again",
		}
	}
	return nil
}

// unpin ends a pin unless the session's end has. Under s.manifestMu, a wipe
// waits until the runs are closed.
func (s *session) unpin(pin *backupPin) {
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	s.mu.Lock()
	v := pin.version
	pin.version = nil
	delete(s.pins, pin)
	s.mu.Unlock()
	if v != nil {
		v.unref()
		s.log.Unpin()
		kick(s.reseals)
	}
}

// dropPins ends all pins, because the session ends. s.mu is held.
func (s *session) dropPins() {
	for pin := range s.pins {
		pin.version.unref()
		pin.version = nil
	}
	s.pins = nil
}

// pinTries is how often a state is looked for that stands still while its files
// are opened, which takes milliseconds; flushes come seconds apart.
const pinTries = 50

// openBackupSource holds the state of a database fast that another process may
// have open. It needs no key: the generation is in the clear, all runs and
// segments that are there are taken, and a second look at the catalog shows that
// none of those it names can have been removed before it was opened.
func openBackupSource(ctx context.Context, files vfs.FS, dir string) (*backupSource, error) {
	var err error
	for range pinTries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var src *backupSource
		if src, err = tryBackupSource(files, dir); err == nil {
			return src, nil
		}
		if !errors.Is(err, errUnsteady) {
			return nil, err
		}
	}
	return nil, err
}

// errUnsteady wraps what was found while the catalog changed, or may have.
var errUnsteady = errors.New("the database changes too fast to be copied")

func tryBackupSource(files vfs.FS, dir string) (*backupSource, error) {
	raw, c, err := catalog.ReadFile(files, dir)
	if err != nil {
		return nil, err
	}
	if c.Tombstone != nil {
		return nil, fmt.Errorf("%s: %w", dir, ErrErased)
	}
	src := &backupSource{
		database: c.Clear.Database, now: clock.System().Now(), catalog: raw, check: func() error { return nil },
	}
	src.release = func() {
		for _, p := range src.parts {
			p.close()
		}
	}
	if src.generation, err = catalog.Generation(c.Manifest); err == nil {
		err = src.openAll(files, dir)
	}
	_, again, rerr := catalog.ReadFile(files, dir)
	switch {
	case rerr != nil:
		err = rerr
	case !bytes.Equal(again.Manifest, c.Manifest):
		err = errUnsteady // whatever was found
	}
	if err != nil {
		src.release()
		return nil, err
	}
	return src, nil
}

// openAll opens every segment and every run of a directory.
func (src *backupSource) openAll(files vfs.FS, dir string) error {
	for _, d := range []struct{ name, suffix string }{{walDir, ".wal"}, {runDir, ".run"}} {
		names, err := files.List(filepath.Join(dir, d.name))
		if err != nil {
			return fmt.Errorf("list %s: %w", d.name, err)
		}
		var parts []*backupPart
		for _, name := range names {
			digits, ok := strings.CutSuffix(name, d.suffix)
			id, isNumber := parseNumber(digits)
			if !ok || !isNumber {
				continue
			}
			parts = append(parts, &backupPart{
				name: d.name + "/" + name, path: filepath.Join(dir, d.name, name), id: id, isRun: d.name == runDir, fs: files,
			})
		}
		slices.SortFunc(parts, func(a, b *backupPart) int { return cmpUint(a.id, b.id) })
		for _, p := range parts {
			if err := p.look(); errors.Is(err, errUnfinished) {
				continue
			} else if err != nil {
				return err
			}
			src.parts = append(src.parts, p)
		}
	}
	return src.noGap()
}

// errUnfinished means that a file is too small to be a run.
var errUnfinished = errors.New("the run is not finished")

// runSizeMin is the size in bytes of a run's header and trailer.
const runSizeMin = 128 + 156

// look opens a part and finds out how much of it is to be copied.
func (p *backupPart) look() (err error) {
	if err := p.open(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", errUnsteady, err)
		}
		return err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if !p.isRun {
		p.reading, err = wal.Read(p.file, p.path)
		switch {
		case errors.Is(err, wal.ErrCorrupt): // perhaps it is being used again: then its name is gone soon
			return fmt.Errorf("%w: %w", errUnsteady, err)
		case err != nil:
			return err
		case p.reading.Header.Segment != p.id:
			return fmt.Errorf("%w: %w: %s is segment %d", errUnsteady, ErrCorrupt, p.path, p.reading.Header.Segment)
		}
		p.size, err = p.reading.End()
		return err
	}
	if p.size, err = p.file.Size(); err != nil {
		return err
	}
	if p.size < runSizeMin {
		return errUnfinished
	}
	_, err = p.file.ReadAt(p.root[:], p.size-int64(len(p.root)))
	return err
}

// noGap checks that segments follow each other: they are begun, and released,
// in their order.
func (src *backupSource) noGap() error {
	last := uint64(0)
	for _, p := range src.parts {
		if p.isRun {
			continue
		}
		if last > 0 && p.id != last+1 {
			return fmt.Errorf("%w: %w: log segment %d is missing", errUnsteady, ErrCorrupt, last+1)
		}
		last = p.id
	}
	return nil
}
