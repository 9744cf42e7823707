package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// A backup is a copy of sealed files as they are, with an index of their sizes
// and hashes: into a directory that keeps several (backupset.go), or as a
// stream (backupstream.go). Making one needs no key, restoring one does.

// BackupOptions are the settings of one backup. The zero value is safe; nil
// means the zero value.
type BackupOptions struct {
	// Keep is how many sets stay in the destination, this one included; older
	// ones are removed. 0 keeps all. A stream has no sets.
	Keep int

	// Progress is called while bytes are copied, with how many were and how many
	// there are to copy. It must return soon.
	Progress func(done, total int64)

	fs vfs.FS // tests: a file system that fails
}

func (o *BackupOptions) withDefaults() BackupOptions {
	var out BackupOptions
	if o != nil {
		out = *o
	}
	if out.fs == nil {
		out.fs = vfs.OS()
	}
	if out.Progress == nil {
		out.Progress = func(int64, int64) {}
	}
	return out
}

// BackupReport says what a backup holds and what was copied for it. Sizes are
// in bytes.
type BackupReport struct {
	Database    crypt.ID `json:"database"`
	Set         uint64   `json:"set,omitempty"` // its number in the destination; none for a stream
	Generation  uint64   `json:"generation"`
	Position    Position `json:"position,omitzero"` // that it reaches at least; zero when made without the key
	Files       int      `json:"files"`
	Bytes       int64    `json:"bytes"`
	FilesCopied int      `json:"files_copied"` // the others were there from earlier sets
	BytesCopied int64    `json:"bytes_copied"`
	Removed     []uint64 `json:"removed,omitempty"` // sets, by BackupOptions.Keep
}

// Backup writes the whole database to w as a tar stream: its sealed files as
// they are, and an index. It holds everything that was committed before the
// call, and is one moment's state. Writers go on meanwhile; the disk space of
// runs and log segments that they replace comes back when it ends.
//
// Restore it with RestoreStream, or unpack it: the directory is a database.
// Errors: *KeyError while the key is unavailable; ErrClosed; w's, and ctx's.
//
// Source: FORMAT.md §8.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	src, err := db.pinBackup()
	if err != nil {
		return translate(err)
	}
	defer src.release()
	_, err = writeStream(ctx, src, w, (*BackupOptions)(nil).withDefaults())
	return translate(err)
}

// BackupTo adds a set, a restore point, to the directory dest, which becomes a
// destination of backups of this database when it is absent or empty. Runs that
// are there from earlier sets are not copied again. An interrupted backup leaves
// the earlier sets as they are.
//
// Errors: those of Backup; ErrNotBackup when dest holds something else, or
// backups of another database; ErrOwnDirectory; ErrInUse while another backup
// writes to it; ErrTooNew; ErrCorrupt when an earlier set's index is damaged: then
// the new one is complete, and nothing was removed.
func (db *DB) BackupTo(ctx context.Context, dest string, o *BackupOptions) (BackupReport, error) {
	if err := refuseInside(db.dir, dest); err != nil {
		return BackupReport{}, err
	}
	return addSet(ctx, dest, o.withDefaults(), func(context.Context) (*backupSource, error) { return db.pinBackup() })
}

// CopyTo makes a database of the same key in dir, which must be absent or empty:
// it is Backup and RestoreStream at once. Both databases may go on.
//
// Errors: those of Backup and RestoreStream; ErrOwnDirectory. dir stays as it was
// then.
func (db *DB) CopyTo(ctx context.Context, dir string) (RestoreReport, error) {
	if err := refuseInside(db.dir, dir); err != nil {
		return RestoreReport{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, in := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := db.Backup(ctx, in)
		in.CloseWithError(err) // nil is io.EOF
		sent <- err
	}()
	report, err := RestoreStream(ctx, out, dir, db.key, nil)
	_ = out.Close() // ends a backup that nobody reads any more
	if cause := <-sent; err != nil && cause != nil && !errors.Is(cause, io.ErrClosedPipe) {
		err = cause // the stream ended early for it
	}
	return report, err
}

// Backup is DB.BackupTo for the database in dir, without its key and without
// its lock: another process may have it open, and may be writing. The copy holds
// everything that was committed before the call with SyncFull. Whether it is
// sound, only restoring it shows.
func Backup(ctx context.Context, dir, dest string, o *BackupOptions) (BackupReport, error) {
	out := o.withDefaults()
	if err := refuseInside(dir, dest); err != nil {
		return BackupReport{}, err
	}
	return addSet(ctx, dest, out, func(ctx context.Context) (*backupSource, error) {
		return openBackupSource(ctx, out.fs, dir)
	})
}

// BackupStream is DB.Backup for the database in dir, without its key and
// without its lock. Beside a process that writes much, the log may move on while
// it is copied: ErrInUse; retry, or use Backup.
func BackupStream(ctx context.Context, dir string, w io.Writer, o *BackupOptions) (BackupReport, error) {
	out := o.withDefaults()
	src, err := openBackupSource(ctx, out.fs, dir)
	if err != nil {
		return BackupReport{}, translate(err)
	}
	defer src.release()
	report, err := writeStream(ctx, src, w, out)
	return report, translate(err)
}

// refuseInside refuses a destination that is a database's directory or lies
// below it.
func refuseInside(dir, dest string) error {
	a, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	b, err := filepath.Abs(dest)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(a, b)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return nil //nolint:nilerr // another volume
	}
	return fmt.Errorf("%s: %w", dest, ErrOwnDirectory)
}

// copyChunk is how much is copied at a time, in bytes.
const copyChunk = 1 << 20

// A copier copies parts of a source and counts.
type copier struct {
	check    func() error // that the source may still be read
	progress func(done, total int64)
	total    int64
	done     int64
	buf      []byte
}

func newCopier(src *backupSource, o BackupOptions, total int64) *copier {
	return &copier{check: src.check, progress: o.Progress, total: total, buf: make([]byte, copyChunk)}
}

// copy writes the first size bytes of r to w and returns their hash, in
// hexadecimal. A file that is shorter is an error.
func (c *copier) copy(ctx context.Context, w io.Writer, r io.ReaderAt, size int64) (sum string, err error) {
	h := sha256.New()
	for off := int64(0); off < size; {
		if err := errors.Join(ctx.Err(), c.check()); err != nil {
			return "", err
		}
		b := c.buf[:min(copyChunk, size-off)]
		n, err := r.ReadAt(b, off)
		if n < len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		h.Write(b)
		if _, err := w.Write(b); err != nil {
			return "", err
		}
		off += int64(n)
		c.done += int64(n)
		c.progress(c.done, max(c.total, c.done))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// copyPart is copy for one part of a source, opened where it is not yet.
func (c *copier) copyPart(ctx context.Context, w io.Writer, p *backupPart) (sum string, err error) {
	if err := c.check(); err != nil {
		return "", err
	}
	if err := p.open(); err != nil {
		return "", err
	}
	defer p.close()
	if sum, err = c.copy(ctx, w, p.file, p.size); err != nil {
		return "", fmt.Errorf("copy %s: %w", p.path, err)
	}
	if p.reading == nil {
		return sum, nil
	}
	same, err := p.reading.Same()
	if err == nil && !same {
		err = errMoved
	}
	return sum, err
}

// errMoved means that a log segment was released and used again by a process
// that has the database open, while it was copied.
var errMoved = fmt.Errorf("%w: the log moved on while it was copied; try again", ErrInUse)

// fileWriter writes to a file from its beginning on.
type fileWriter struct {
	f   vfs.File
	off int64
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.f.WriteAt(p, w.off)
	w.off += int64(n)
	return n, err
}

// writeFile makes a file, lets fn write it, and makes its contents durable. A
// file that was not finished is removed.
func writeFile(fs vfs.FS, name string, fn func(w io.Writer) error) error {
	f, err := fs.Create(name)
	if err != nil {
		return err
	}
	err = fn(&fileWriter{f: f})
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = fs.Remove(name) // the first error is the one to report
	}
	return err
}

// Names of parts, with slashes: those of the files in a database's directory.
func segmentPart(number uint64) string { return fmt.Sprintf("%s/%08d.wal", walDir, number) }
func runPart(id uint64) string         { return path.Join(runDir, runName(id)) }

// isPart reports whether a name is one that a backup may have: nothing else is
// ever made by restoring, wherever the backup comes from.
func isPart(name string) bool {
	if name == catalog.FileName {
		return true
	}
	dir, file, _ := strings.Cut(name, "/")
	number, _, _ := strings.Cut(file, ".")
	id, ok := parseNumber(number)
	return ok && (dir == walDir && name == segmentPart(id) || dir == runDir && name == runPart(id))
}

// parseNumber reads a number of at least eight decimal digits, from 1.
func parseNumber(s string) (n uint64, ok bool) {
	if len(s) < 8 || len(s) > 19 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n > 0
}
