package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// RestoreOptions are the settings of one restoring. The zero value is safe; nil
// means the zero value.
type RestoreOptions struct {
	// Set is the number of the set to restore from a destination of backups; 0
	// for the newest.
	Set uint64

	// MinPosition refuses a backup of an older state with ErrStale.
	MinPosition Position

	// Progress is called while bytes are copied, with how many were and how many
	// there are to copy, 0 when that is not known. It must return soon.
	Progress func(done, total int64)

	// Logger receives what the database logs while it is verified. Silent if nil.
	Logger *slog.Logger

	fs vfs.FS // tests: a file system that fails
}

func (o *RestoreOptions) withDefaults() RestoreOptions {
	var out RestoreOptions
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

// RestoreReport says what was restored. Sizes are in bytes.
type RestoreReport struct {
	Database crypt.ID     `json:"database"`
	Set      uint64       `json:"set,omitempty"`
	Files    int          `json:"files"`
	Bytes    int64        `json:"bytes"`
	Position Position     `json:"position"` // of the restored database
	Verified VerifyReport `json:"verified"`
}

// Names of what is being restored. They are on disk.
const (
	restoringEnd    = ".restoring"       // of the directory, until it is whole
	restoringMarker = "byokdb-restoring" // in it: what an interrupted restoring left may be removed
)

// Restore makes a database in dir, which must be absent or empty, from a backup:
// a destination that BackupTo wrote, a file or an unpacked directory of a
// Backup stream, or a plain copy of a database's directory. Sizes and hashes
// are compared with the backup's index while files are copied. The copy is
// opened with its key and verified as a whole before it gets its name; when that
// fails, or is interrupted, dir stays as it was.
//
// The restored database and the one that was backed up may both go on: nothing
// is ever sealed by both under one key.
//
// Errors: ErrExist when dir holds something; ErrNotBackup, ErrNotExist for a set
// that there is not, ErrTooNew; ErrCorrupt, which names the file; ErrWrongKey,
// *KeyError; ErrStale for MinPosition.
//
// Source: FORMAT.md §8.
func Restore(ctx context.Context, src, dir string, key crypt.Provider, o *RestoreOptions) (RestoreReport, error) {
	r := newRestorer(dir, key, o)
	names, err := r.fs.List(src)
	if errors.Is(err, fs.ErrNotExist) {
		return r.report, err
	}
	if err != nil { // not a directory
		return r.restoreFile(ctx, src)
	}
	return r.run(ctx, func() error {
		switch hasCatalog := slices.Contains(names, catalog.FileName); {
		case hasCatalog && slices.Contains(names, backupIndex):
			return r.copyUnpacked(ctx, src)
		case hasCatalog:
			return r.copyPlain(ctx, src)
		default:
			return r.copySet(ctx, src)
		}
	})
}

// restoreFile restores from a stream that lies in a file.
func (r *restorer) restoreFile(ctx context.Context, name string) (RestoreReport, error) {
	f, err := r.fs.Open(name)
	if err != nil {
		return r.report, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	size, err := f.Size()
	if err != nil {
		return r.report, err
	}
	return r.run(ctx, func() error { return r.copyStream(ctx, io.NewSectionReader(f, 0, size)) })
}

// RestoreStream is Restore from a stream that Backup wrote.
func RestoreStream(ctx context.Context, src io.Reader, dir string, key crypt.Provider, o *RestoreOptions) (RestoreReport, error) {
	r := newRestorer(dir, key, o)
	return r.run(ctx, func() error { return r.copyStream(ctx, src) })
}

// A restorer makes one database from a backup.
type restorer struct {
	dir    string
	temp   string // where it is built
	key    crypt.Provider
	o      RestoreOptions
	fs     vfs.FS
	copier *copier
	report RestoreReport
}

func newRestorer(dir string, key crypt.Provider, o *RestoreOptions) *restorer {
	r := &restorer{dir: filepath.Clean(dir), key: key, o: o.withDefaults()}
	r.fs, r.temp = r.o.fs, r.dir+restoringEnd
	r.copier = &copier{check: func() error { return nil }, progress: r.o.Progress, buf: make([]byte, copyChunk)}
	return r
}

func (r *restorer) run(ctx context.Context, copyAll func() error) (RestoreReport, error) {
	if r.key == nil {
		return r.report, errors.New("restore database: a key provider is needed; see package crypt/keyuri")
	}
	if err := r.begin(); err != nil {
		return r.report, translate(err)
	}
	err := copyAll()
	if err == nil {
		err = r.sync()
	}
	if err == nil {
		err = r.verify(ctx)
	}
	if err == nil {
		err = r.give()
	}
	if err != nil {
		return r.report, translate(errors.Join(err, r.removeTemp()))
	}
	return r.report, nil
}

// begin makes the directory in which the database is built.
func (r *restorer) begin() error {
	names, err := r.fs.List(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%s: %w: restore into a directory that is absent or empty", r.dir, ErrExist)
	}
	if err := r.removeTemp(); err != nil {
		return err
	}
	if err := r.fs.MkdirAll(r.temp); err != nil {
		return err
	}
	if err := writeFile(r.fs, filepath.Join(r.temp, restoringMarker), func(io.Writer) error { return nil }); err != nil {
		return err
	}
	for _, d := range []string{walDir, runDir} {
		if err := r.fs.MkdirAll(filepath.Join(r.temp, d)); err != nil {
			return err
		}
	}
	return nil
}

// removeTemp removes what an interrupted restoring left, and nothing else.
func (r *restorer) removeTemp() error {
	names, err := r.fs.List(r.temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(names) > 0 && !slices.Contains(names, restoringMarker) {
		return fmt.Errorf("%s: %w: it is in the way, and not what restoring left", r.temp, ErrExist)
	}
	for _, dir := range []string{filepath.Join(r.temp, walDir), filepath.Join(r.temp, runDir), r.temp} {
		if err := r.removeAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes the files of a directory, the marker last, and then it.
func (r *restorer) removeAll(dir string) error {
	names, err := r.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	last := filepath.Join(dir, restoringMarker)
	for _, name := range names {
		if path := filepath.Join(dir, name); path != last {
			if err := r.fs.Remove(path); err != nil {
				return err
			}
		}
	}
	if slices.Contains(names, restoringMarker) {
		if err := r.fs.Remove(last); err != nil {
			return err
		}
	}
	return r.fs.Remove(dir)
}

// put copies one file and compares it with what the index says, unless want is
// nil. where names the file in the backup.
func (r *restorer) put(ctx context.Context, name, where string, src io.ReaderAt, size int64, want *indexFile) error {
	sum := ""
	err := writeFile(r.fs, filepath.Join(r.temp, filepath.FromSlash(name)), func(w io.Writer) (err error) {
		sum, err = r.copier.copy(ctx, w, src, size)
		return err
	})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %s is cut short", ErrCorrupt, where)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", where, err)
	}
	if want != nil && sum != want.SHA256 {
		return fmt.Errorf("%w: %s: its checksum is not the one that the backup's index states", ErrCorrupt, where)
	}
	r.report.Files++
	r.report.Bytes += size
	if name == catalog.FileName {
		return r.checkKey()
	}
	return nil
}

// checkKey compares the key with the catalog's before everything is copied.
func (r *restorer) checkKey() error {
	c, err := catalog.Read(r.o.fs, r.temp)
	if err != nil {
		return err
	}
	if c.Tombstone != nil {
		return fmt.Errorf("the backup: %w", ErrErased)
	}
	r.report.Database = c.Clear.Database
	if have := r.key.KeyID(); have != c.Clear.KeyID {
		return &wrongKeyError{dir: r.dir, want: c.Clear.KeyID, have: have}
	}
	return r.o.MinPosition.admitManifest(r.dir, c.Manifest)
}

// copyIndexed copies the files of an index; at says where each lies.
func (r *restorer) copyIndexed(ctx context.Context, x *index, at func(f indexFile) string) error {
	r.copier.total = x.bytes()
	for i := range x.Files { // the catalog is the first
		f := &x.Files[i]
		where := at(*f)
		src, err := r.fs.Open(where)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s is missing", ErrCorrupt, where)
		}
		if err != nil {
			return err
		}
		size, err := src.Size()
		if err == nil && size != f.Size {
			err = fmt.Errorf("%w: %s has %d bytes, its index says %d", ErrCorrupt, where, size, f.Size)
		}
		if err == nil {
			err = r.put(ctx, f.Name, where, src, f.Size, f)
		}
		_ = src.Close() // opened for reading only
		if err != nil {
			return err
		}
	}
	return nil
}

// copySet copies a set of a destination.
func (r *restorer) copySet(ctx context.Context, src string) error {
	d := &destination{fs: r.fs, dir: src}
	m, err := d.marker()
	if err != nil {
		return err
	}
	if err := d.load(); err != nil {
		return err
	}
	n := r.o.Set
	if n == 0 && len(d.sets) > 0 {
		n = d.sets[len(d.sets)-1]
	}
	x := d.indexes[n]
	switch {
	case x == nil && d.bad != nil:
		return d.bad
	case x == nil:
		return fmt.Errorf("%s: set %d: %w: see which there are", src, n, ErrNotExist)
	case x.Database != m.Database:
		return fmt.Errorf("%w: %s: set %d is of another database than the backup", ErrCorrupt, src, n)
	}
	r.report.Set = n
	return r.copyIndexed(ctx, x, func(f indexFile) string {
		if f.Pool != "" {
			return d.run(f.Pool)
		}
		return filepath.Join(d.set(n), filepath.FromSlash(f.Name))
	})
}

// copyUnpacked copies the directory that a stream was unpacked to.
func (r *restorer) copyUnpacked(ctx context.Context, src string) error {
	where := filepath.Join(src, backupIndex)
	b, err := readWhole(r.fs, where, indexSizeMax)
	if err != nil {
		return err
	}
	x, err := parseIndex(b, where)
	if err != nil {
		return err
	}
	return r.copyIndexed(ctx, x, func(f indexFile) string { return filepath.Join(src, filepath.FromSlash(f.Name)) })
}

// copyPlain copies a database's directory, which has no index: only its seals
// show whether it is whole.
func (r *restorer) copyPlain(ctx context.Context, dir string) error {
	src, err := openBackupSource(ctx, r.fs, dir)
	if err != nil {
		return err
	}
	defer src.release()
	r.copier.total = int64(len(src.catalog))
	for _, p := range src.parts {
		r.copier.total += p.size
	}
	where := filepath.Join(dir, catalog.FileName)
	if err := r.put(ctx, catalog.FileName, where, bytes.NewReader(src.catalog), int64(len(src.catalog)), nil); err != nil {
		return err
	}
	for _, p := range src.parts {
		if err := r.put(ctx, p.name, p.path, p.file, p.size, nil); err != nil {
			return err
		}
		if p.reading == nil {
			continue
		}
		if same, err := p.reading.Same(); err != nil || !same {
			return errors.Join(err, errMoved)
		}
	}
	return nil
}

// copyStream copies what a stream holds, and compares it with the index at its
// end.
func (r *restorer) copyStream(ctx context.Context, src io.Reader) error {
	t := tar.NewReader(src)
	head, err := t.Next()
	if err != nil || head.Name != backupMarker {
		return fmt.Errorf("the stream: %w: it does not begin with %s", ErrNotBackup, backupMarker)
	}
	b, err := readEntry(t, head, markerSizeMax)
	if err != nil {
		return err
	}
	if _, err := parseMarker(b, "the stream"); err != nil {
		return err
	}
	got := make(map[string]indexFile)
	for {
		head, err := t.Next()
		if err != nil {
			return streamFault("an entry", err)
		}
		if head.Name == backupIndex {
			if b, err = readEntry(t, head, indexSizeMax); err != nil {
				return err
			}
			break
		}
		if _, again := got[head.Name]; again || !isPart(head.Name) || head.Typeflag != tar.TypeReg || head.Size < 0 {
			return fmt.Errorf("%w: the stream holds a file that a backup cannot have", ErrCorrupt)
		}
		f, err := r.putEntry(ctx, t, head)
		if err != nil {
			return err
		}
		got[head.Name] = f
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the stream goes on behind its index", ErrCorrupt)
	}
	x, err := parseIndex(b, "the stream's "+backupIndex)
	if err != nil {
		return err
	}
	for _, f := range x.Files {
		if got[f.Name] != f {
			return fmt.Errorf("%w: %s in the stream is not what its index states", ErrCorrupt, f.Name)
		}
		delete(got, f.Name)
	}
	if len(got) > 0 {
		return fmt.Errorf("%w: the stream holds %d files that its index does not list", ErrCorrupt, len(got))
	}
	return nil
}

// putEntry copies one entry of a stream.
func (r *restorer) putEntry(ctx context.Context, t *tar.Reader, head *tar.Header) (indexFile, error) {
	f := indexFile{Name: head.Name, Size: head.Size}
	err := writeFile(r.fs, filepath.Join(r.temp, filepath.FromSlash(f.Name)), func(w io.Writer) (err error) {
		f.SHA256, err = r.copier.copy(ctx, w, &forwardReader{r: t}, f.Size)
		return err
	})
	if err != nil {
		return f, streamFault(f.Name, err)
	}
	r.report.Files++
	r.report.Bytes += f.Size
	if f.Name == catalog.FileName {
		err = r.checkKey()
	}
	return f, err
}

// readEntry reads a small entry of a stream.
func readEntry(t *tar.Reader, head *tar.Header, limit int64) ([]byte, error) {
	if head.Size > limit || head.Size < 0 {
		return nil, fmt.Errorf("%w: %s in the stream has %d bytes", ErrCorrupt, head.Name, head.Size)
	}
	b, err := io.ReadAll(t)
	if err != nil {
		return nil, streamFault(head.Name, err)
	}
	return b, nil
}

// streamFault sorts an error of reading a stream: one that ends too early, or
// does not hold together, is damaged.
func streamFault(what string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("%w: the stream is cut or damaged at %s: %w", ErrCorrupt, what, err)
	}
	return fmt.Errorf("read the stream: %s: %w", what, err)
}

// forwardReader is an io.ReaderAt for somebody who reads from front to back.
type forwardReader struct {
	r   io.Reader
	off int64
}

func (f *forwardReader) ReadAt(p []byte, off int64) (int, error) {
	invariant(off == f.off, "a stream is read from front to back")
	n, err := io.ReadFull(f.r, p)
	f.off += int64(n)
	return n, err
}

// sync makes the names of the files durable.
func (r *restorer) sync() error {
	for _, d := range []string{filepath.Join(r.temp, walDir), filepath.Join(r.temp, runDir), r.temp} {
		if err := r.fs.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// verify opens the database with its key and reads all of it.
func (r *restorer) verify(ctx context.Context) error {
	db, err := Open(ctx, r.temp, r.key, &Options{MustExist: true, MinPosition: r.o.MinPosition, Logger: r.o.Logger})
	if err != nil {
		return err
	}
	r.report.Verified, err = db.VerifyReport(ctx)
	if err == nil {
		r.report.Position, err = db.Position()
	}
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	return err
}

// give gives the database its name, durably.
func (r *restorer) give() error {
	if err := r.fs.Remove(r.dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
		return err
	}
	if err := r.fs.Rename(r.temp, r.dir); err != nil {
		return err
	}
	if err := r.fs.SyncDir(filepath.Dir(r.dir)); err != nil {
		return err
	}
	return r.fs.Remove(filepath.Join(r.dir, restoringMarker))
}
