package engine

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
)

// Position names a durable state of a database, and with it all that came
// before. Kept outside of the database's directory and given back as
// Options.MinPosition, it shows when an older genuine state was put in place.
// It holds no customer data. The zero Position names no state.
//
// A position stays good for the database's life: across flushes, compactions,
// closing, crashes and restoring a backup that is not older. It says nothing of
// what came after it.
type Position struct {
	Database   crypt.ID
	Generation uint64   // of the manifest
	Manifest   [16]byte // first half of SHA-256 of the sealed manifest
	Frame      uint64   // number of the last durable frame of the log, 0 for none
	Tag        [16]byte // of that frame
	Commit     uint64   // number of a commit that is durable in it
}

// positionPrefix begins the text form and tells its version.
const positionPrefix = "byokpos1."

// positionSize is the size in bytes of what the text form encodes.
const positionSize = 16 + 8 + 16 + 8 + 16 + 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// IsZero reports whether the position names no state.
func (p Position) IsZero() bool { return p == Position{} }

// String returns the text form, "" for the zero Position.
func (p Position) String() string {
	if p.IsZero() {
		return ""
	}
	b := make([]byte, 0, positionSize)
	b = append(b, p.Database[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Generation)
	b = append(b, p.Manifest[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Frame)
	b = append(b, p.Tag[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Commit)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return positionPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// MarshalText returns the text form: one token of letters, digits, '-', '_' and
// '.', for a configuration or another database.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the text form. A token that was cut or mistyped is an
// error.
//
// Source: FORMAT.md §7.
func (p *Position) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = Position{}
		return nil
	}
	encoded, ok := strings.CutPrefix(string(text), positionPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	n := positionSize - 4
	broken := strings.ContainsAny(encoded, "\r\n") // the decoder skips line breaks
	if !ok || err != nil || broken || len(b) != positionSize ||
		crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return errors.New("a position is a token that begins with " + positionPrefix + "; this one is cut or mistyped")
	}
	copy(p.Database[:], b)
	p.Generation = binary.BigEndian.Uint64(b[16:])
	copy(p.Manifest[:], b[24:])
	p.Frame = binary.BigEndian.Uint64(b[40:])
	copy(p.Tag[:], b[48:])
	p.Commit = binary.BigEndian.Uint64(b[64:])
	return nil
}

// Position returns a durable state that the database has reached: all commits
// that returned before are in it, unless Options.Sync lets them return before
// they are durable. It needs no key: while memory is wiped it is the last one
// before. Errors: ErrClosed.
func (db *DB) Position() (Position, error) {
	select {
	case <-db.closing:
		return Position{}, ErrClosed
	default:
	}
	db.txMu.Lock()
	s, least := db.session, db.least
	if s == nil {
		s = db.ending
	}
	db.txMu.Unlock()
	if s == nil {
		return least, nil
	}
	return s.position()
}

// position returns what is durable now, or was when the session ended. Each part
// is read after the one that it must not be ahead of: a commit is in a frame, and
// flushed before the manifest says so.
func (s *session) position() (Position, error) {
	s.mu.Lock()
	p := Position{Database: s.db.clear.Database, Commit: s.durable}
	s.mu.Unlock()
	frame := s.log.Durable()
	p.Frame, p.Tag = frame.Frame, frame.Tag
	sealed := s.db.cat.Manifest()
	var err error
	p.Generation, p.Manifest, err = fingerprint(sealed)
	return p, err
}

// fingerprint returns the generation that a sealed manifest states and the
// first half of its hash.
func fingerprint(sealed []byte) (generation uint64, hash [16]byte, err error) {
	generation, err = catalog.Generation(sealed)
	sum := sha256.Sum256(sealed)
	return generation, [16]byte(sum[:16]), translate(err)
}

// admitManifest refuses the manifest of an older state than p, or of a fork.
func (p Position) admitManifest(dir string, sealed []byte) error {
	if p.IsZero() {
		return nil
	}
	generation, hash, err := fingerprint(sealed)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", dir, err)
	case generation < p.Generation:
		return &staleError{dir: dir, what: fmt.Sprintf("its generation is %d, the position's %d", generation, p.Generation)}
	case generation == p.Generation && subtle.ConstantTimeCompare(hash[:], p.Manifest[:]) == 0:
		return &staleError{dir: dir, what: fmt.Sprintf("its generation %d is another than the position's", generation)}
	default:
		return nil
	}
}

// admitDatabase refuses another database than p's.
func (p Position) admitDatabase(dir string, id crypt.ID) error {
	if p.IsZero() || p.Database == id {
		return nil
	}
	return &staleError{dir: dir, what: fmt.Sprintf("it is database %s, the position is one of %s", id, p.Database)}
}

// admitCommit refuses a state whose last commit is before p's. It decides where
// the position's frame was flushed and is not in the log any more.
func (p Position) admitCommit(dir string, last uint64) error {
	if last >= p.Commit {
		return nil
	}
	return &staleError{dir: dir, what: fmt.Sprintf("its last commit is %d, the position's %d", last, p.Commit)}
}

// mark returns what the log must hold.
func (p Position) mark() wal.Mark { return wal.Mark{Frame: p.Frame, Tag: p.Tag} }

// remember keeps the position that a session has reached: what comes back after
// the pause must not be older.
func (db *DB) remember(s *session) error {
	p, err := s.position()
	db.txMu.Lock()
	defer db.txMu.Unlock()
	if db.ending = nil; err == nil {
		db.least = p
	}
	return err
}

// leastPosition returns what a session must not be older than.
func (db *DB) leastPosition() Position {
	db.txMu.Lock()
	defer db.txMu.Unlock()
	return db.least
}

// admitFile checks that the catalog on disk still is the one that is open: the
// open one, and the manifest in memory, would not notice that the directory was
// exchanged while the database was paused.
func (db *DB) admitFile() error {
	onDisk, err := catalog.Read(db.opts.fs, db.dir)
	if err != nil {
		return err
	}
	least := db.leastPosition()
	if err := least.admitDatabase(db.dir, onDisk.Clear.Database); err != nil {
		return err
	}
	if onDisk.Tombstone != nil || bytes.Equal(onDisk.Manifest, db.cat.Manifest()) {
		return nil
	}
	if err := least.admitManifest(db.dir, onDisk.Manifest); err != nil {
		return err
	}
	if db.cat.Failed() != nil {
		return nil //nolint:nilerr // an update failed and is undecided: this is what it made of the file
	}
	return fmt.Errorf("%w: %s: another process wrote it while the database was open here", ErrCorrupt, catalog.FileName)
}
