package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// Errors of temporary files. They end what needed the file, and nothing else.
var (
	// ErrSpill means that a temporary file could not be made, written or read.
	// The error wraps the cause.
	ErrSpill = errors.New("temporary file failed")

	// ErrSpillFull means that there is no room for a temporary file: the disk is
	// full, or all files would hold more than Options.SpillMax. It comes with
	// ErrSpill.
	ErrSpillFull = errors.New("no room for a temporary file")
)

// spillEnd ends the names of temporary files.
const spillEnd = ".tmp"

// spillContent is the content of a block in the associated data. The key is of
// that file alone, so it tells nothing apart.
const spillContent = 1

// A Spill is a temporary file for what a transaction cannot hold in memory:
// sorted rows, hash tables. It is a row of blocks that are written once, at the
// end, and read in any order. Each is compressed, and sealed under a key of random
// bits that is of this file alone and in memory alone: no other process, and no
// later opening, can read one.
//
// The file is never synced. It is removed, and its key wiped, by Close, at the
// end of the transaction, and so when memory is wiped; what a crash leaves is
// removed by the next opening. A Spill belongs to its transaction's goroutine.
// Its methods are operations of the transaction, and must not be called within
// one, such as [Cursor.Walk].
type Spill struct {
	tx     *Tx
	path   string
	file   vfs.File
	key    *crypt.FileKey
	size   int64
	sealed []byte // memory for one sealed block
	packed []byte // memory for one compressed block
}

// A SpillBlock is the place of one block.
type SpillBlock struct {
	off  int64
	size int32 // sealed
	n    int32 // bytes of its contents
}

// Size returns the size of the block's contents in bytes.
func (b SpillBlock) Size() int { return int(b.n) }

// packed reports whether the block is compressed.
func (b SpillBlock) packed() bool { return b.size-crypt.Overhead != b.n }

// spillBlockMax is the largest block in bytes.
const spillBlockMax = 1 << 30

// NewSpill makes a temporary file. A read-only transaction can have them, too.
// Errors: ErrSpill, ErrSpillFull, why the transaction has ended, *KeyError.
func (tx *Tx) NewSpill() (*Spill, error) {
	if err := tx.enter(); err != nil {
		return nil, err
	}
	defer tx.leave()
	key, err := crypt.NewEphemeralKey()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpill, err)
	}
	f, path, err := tx.db.createSpill()
	if err != nil {
		key.Wipe()
		return nil, spillError("make", err)
	}
	s := &Spill{tx: tx, path: path, file: f, key: key}
	if tx.spills == nil {
		tx.spills = make(map[*Spill]struct{})
	}
	tx.spills[s] = struct{}{}
	return s, nil
}

// createSpill makes a file under the next free name.
func (db *DB) createSpill() (vfs.File, string, error) {
	dir := filepath.Join(db.dir, spillDir)
	for {
		path := filepath.Join(dir, fmt.Sprintf("%08d%s", db.nSpills.Add(1), spillEnd))
		f, err := db.opts.fs.Create(path)
		switch {
		case errors.Is(err, fs.ErrExist): // of a crash, and it could not be removed
		case errors.Is(err, fs.ErrNotExist):
			if err := db.opts.fs.MkdirAll(dir); err != nil {
				return nil, "", err
			}
			if f, err = db.opts.fs.Create(path); !errors.Is(err, fs.ErrExist) {
				return f, path, err
			}
		default:
			return f, path, err
		}
	}
}

// Append seals a block, of at most 1 GiB, and writes it at the end of the file;
// b stays the caller's. Errors are those of NewSpill.
func (s *Spill) Append(b []byte) (SpillBlock, error) {
	if err := s.enter(); err != nil {
		return SpillBlock{}, err
	}
	defer s.tx.leave()
	if len(b) > spillBlockMax {
		return SpillBlock{}, fmt.Errorf("%w: a block of %d bytes", ErrSpill, len(b))
	}
	s.sealed = s.key.Seal(s.sealed[:0], s.pack(b), crypt.PlaceAAD(uint64(s.size), spillContent))
	if err := s.tx.db.reserveSpill(int64(len(s.sealed))); err != nil {
		return SpillBlock{}, err
	}
	if _, err := s.file.WriteAt(s.sealed, s.size); err != nil {
		s.tx.db.spilled.Add(-int64(len(s.sealed)))
		return SpillBlock{}, spillError("write", err)
	}
	at := SpillBlock{off: s.size, size: int32(len(s.sealed)), n: int32(len(b))}
	s.size += int64(len(s.sealed))
	s.trim()
	return at, nil
}

// pack returns the compressed form of a block, valid until the next call, or the
// block where that saves less than an eighth, or nothing is to be compressed.
func (s *Spill) pack(b []byte) []byte {
	if s.tx.db.opts.Compression == CompressNone {
		return b
	}
	if need := s2.MaxEncodedLen(len(b)); cap(s.packed) < need {
		clear(s.packed[:cap(s.packed)])
		s.packed = make([]byte, need)
	}
	s.packed = s.packed[:cap(s.packed)]
	if out := s2.Encode(s.packed, b); len(out) < len(b)-len(b)/8 {
		return out
	}
	return b
}

// trim drops what a large block needed.
func (s *Spill) trim() {
	if cap(s.sealed) > sealedKeepMax {
		s.sealed = nil
	}
	if cap(s.packed) > sealedKeepMax {
		clear(s.packed[:cap(s.packed)])
		s.packed = nil
	}
}

// reserveSpill counts n bytes more in temporary files, if they may be there.
func (db *DB) reserveSpill(n int64) error {
	total, most := db.spilled.Add(n), db.opts.SpillMax
	if most <= 0 || total <= most {
		return nil
	}
	db.spilled.Add(-n)
	return fmt.Errorf("%w: %w: all together may hold %d bytes", ErrSpill, ErrSpillFull, most)
}

// sealedKeepMax is the size in bytes of memory that a file keeps for the next
// block.
const sealedKeepMax = 256 << 10

// Read appends the contents of a block to dst. Errors: ErrCorrupt when the block
// is not the one that was written, those of NewSpill.
func (s *Spill) Read(dst []byte, b SpillBlock) ([]byte, error) {
	if err := s.enter(); err != nil {
		return dst, err
	}
	defer s.tx.leave()
	if cap(s.sealed) < int(b.size) {
		s.sealed = make([]byte, b.size)
	}
	sealed := s.sealed[:b.size]
	if n, err := s.file.ReadAt(sealed, b.off); n < len(sealed) {
		if err == nil || errors.Is(err, io.EOF) {
			return dst, s.damaged(b)
		}
		return dst, spillError("read", err)
	}
	defer s.trim()
	aad := crypt.PlaceAAD(uint64(b.off), spillContent)
	if !b.packed() {
		out, err := s.key.Open(dst, sealed, aad)
		if err != nil {
			return dst, s.damaged(b)
		}
		return out, nil
	}
	packed, err := s.key.Open(s.packed[:0], sealed, aad)
	if err != nil {
		return dst, s.damaged(b)
	}
	s.packed = packed
	out := slices.Grow(dst, b.Size())[:len(dst)+b.Size()]
	if got, err := s2.Decode(out[len(dst):], packed); err != nil || len(got) != b.Size() {
		return dst, s.damaged(b)
	}
	return out, nil
}

func (s *Spill) damaged(b SpillBlock) error {
	return fmt.Errorf("%w: %s/%s: offset %d: %w", ErrCorrupt, spillDir, filepath.Base(s.path), b.off, crypt.ErrAuth)
}

// enter begins an operation on the file. When it returns nil, tx.leave must follow.
func (s *Spill) enter() error {
	if err := s.tx.enter(); err != nil {
		return err
	}
	if s.file == nil {
		s.tx.leave()
		return fmt.Errorf("%w: it is closed", ErrSpill)
	}
	return nil
}

// Size returns the size of the file in bytes.
func (s *Spill) Size() int64 {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	return s.size
}

// Move gives the file to another transaction of the same database: it ends with
// that one, and its methods are operations of it. Errors: ErrSpill, why the other
// transaction has ended, *KeyError; the file stays where it is then.
func (s *Spill) Move(to *Tx) error {
	from := s.tx
	if to == from {
		return nil
	}
	if err := to.enter(); err != nil {
		return err
	}
	defer to.leave()
	from.mu.Lock()
	defer from.mu.Unlock()
	switch {
	case to.db != from.db:
		return fmt.Errorf("%w: moved to another database", ErrSpill)
	case s.file == nil:
		return fmt.Errorf("%w: it is closed", ErrSpill)
	}
	delete(from.spills, s)
	if to.spills == nil {
		to.spills = make(map[*Spill]struct{})
	}
	to.spills[s] = struct{}{}
	s.tx = to
	return nil
}

// Close wipes the key and removes the file. It needs no key, and does nothing
// the second time and after the end of the transaction.
func (s *Spill) Close() {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	delete(s.tx.spills, s)
	s.release()
}

// release is Close with tx.mu held. A file that cannot be removed is left to the
// next opening: nobody can read it.
func (s *Spill) release() {
	if s.file == nil {
		return
	}
	s.key.Wipe()
	clear(s.packed[:cap(s.packed)])
	s.tx.db.spilled.Add(-s.size)
	if err := errors.Join(s.file.Close(), s.tx.db.opts.fs.Remove(s.path)); err != nil {
		s.tx.db.log.Warn("remove temporary file", "path", s.path, "err", err)
	}
	s.file, s.sealed, s.packed = nil, nil, nil
}

// endSpills ends the temporary files of a transaction: the keys of all of them
// first, since removing takes time. tx.mu is held.
func (tx *Tx) endSpills() {
	for s := range tx.spills {
		s.key.Wipe()
	}
	for s := range tx.spills {
		s.release()
	}
	tx.spills = nil
}

// removeSpills removes what a crash has left of temporary files. Nobody can read
// them any more, and nothing hangs on them.
func (db *DB) removeSpills() {
	dir := filepath.Join(db.dir, spillDir)
	names, err := db.opts.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, name := range names {
		if filepath.Ext(name) == spillEnd {
			err = errors.Join(err, db.opts.fs.Remove(filepath.Join(dir, name)))
		}
	}
	if err != nil {
		db.log.Warn("remove temporary files", "path", dir, "err", err)
	}
}

func spillError(doing string, err error) error {
	if vfs.IsFull(err) {
		return fmt.Errorf("%w: %w: %s: %w", ErrSpill, ErrSpillFull, doing, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrSpill, doing, err)
}
