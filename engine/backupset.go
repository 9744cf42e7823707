package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/vfs"
)

// A destination of backups:
//
//	byokdb-backup                 marker
//	lock                          held while a backup writes
//	runs/00000031-<root tag>.run  every run of any set, once
//	sets/00000001/catalog.bolt    one moment's catalog
//	sets/00000001/wal/…           and log
//	sets/00000001/backup.json     index; a set without one is unfinished
//
// Source: FORMAT.md §8.
type destination struct {
	fs      vfs.FS
	dir     string
	sets    []uint64          // numbers of finished sets, ascending
	indexes map[uint64]*index // those that could be read
	bad     error             // of the others
}

// Names in a destination. They are on disk.
const (
	setDir   = "sets"
	lockName = "lock"
	tempEnd  = ".tmp" // what is not finished
)

func setName(n uint64) string { return fmt.Sprintf("%08d", n) }

func (d *destination) set(n uint64) string { return filepath.Join(d.dir, setDir, setName(n)) }
func (d *destination) run(pool string) string {
	return filepath.Join(d.dir, runDir, pool)
}

// BackupSet is one restore point of a destination.
type BackupSet struct {
	Set        uint64    `json:"set"`
	Database   string    `json:"database"`
	Created    time.Time `json:"created"`
	Generation uint64    `json:"generation"`
	Position   Position  `json:"position,omitzero"`
	Files      int       `json:"files"`
	Bytes      int64     `json:"bytes"`
}

// ListBackups returns the sets in a destination, oldest first. Sets whose index
// is damaged are left out and come as an error, ErrCorrupt, beside the others.
// It needs no key. Errors: ErrNotBackup, ErrTooNew.
func ListBackups(dest string) ([]BackupSet, error) {
	d := &destination{fs: vfs.OS(), dir: dest}
	if _, err := d.marker(); err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	out := []BackupSet{}
	for _, n := range d.sets {
		if x := d.indexes[n]; x != nil {
			out = append(out, BackupSet{
				Set: n, Database: x.Database, Created: x.Created, Generation: x.Generation,
				Position: x.Position, Files: len(x.Files), Bytes: x.bytes(),
			})
		}
	}
	return out, d.bad
}

// StatBackup reads what a set in a destination of backups, the newest when set
// is 0, or a plain or unpacked copy of a database shows without its key: which
// key that is, before all. Errors: ErrNotBackup, ErrNotExist, ErrTooNew,
// ErrCorrupt.
func StatBackup(src string, set uint64) (*Info, error) {
	d := &destination{fs: vfs.OS(), dir: src}
	names, err := d.fs.List(src)
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, catalog.FileName) {
		return Stat(src)
	}
	if _, err := d.marker(); err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	if set == 0 && len(d.sets) > 0 {
		set = d.sets[len(d.sets)-1]
	}
	if !slices.Contains(d.sets, set) {
		return nil, fmt.Errorf("%s: set %d: %w", src, set, ErrNotExist)
	}
	return Stat(d.set(set))
}

// marker reads what the directory says it is.
func (d *destination) marker() (marker, error) {
	b, err := readWhole(d.fs, filepath.Join(d.dir, backupMarker), markerSizeMax)
	if errors.Is(err, fs.ErrNotExist) {
		return marker{}, fmt.Errorf("%s: %w: there is no %s in it: %w", d.dir, ErrNotBackup, backupMarker, err)
	}
	if err != nil {
		return marker{}, err
	}
	return parseMarker(b, d.dir)
}

// readWhole reads a file that has at most limit bytes.
func readWhole(files vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	size, err := f.Size()
	if err == nil && size > limit {
		err = fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, name, size)
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// load finds the finished sets and reads their indexes.
func (d *destination) load() error {
	names, err := d.list(setDir)
	if err != nil {
		return err
	}
	d.sets, d.indexes, d.bad = nil, make(map[uint64]*index), nil
	for _, name := range names {
		n, ok := parseNumber(name)
		if !ok {
			continue
		}
		where := filepath.Join(d.set(n), backupIndex)
		b, err := readWhole(d.fs, where, indexSizeMax)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		d.sets = append(d.sets, n)
		var x *index
		if err == nil {
			x, err = parseIndex(b, where)
		}
		if err == nil && x.Set != n {
			err = fmt.Errorf("%w: %s: it is that of set %d", ErrCorrupt, where, x.Set)
		}
		if err != nil {
			d.bad = errors.Join(d.bad, err)
			continue
		}
		d.indexes[n] = x
	}
	slices.Sort(d.sets)
	return nil
}

// list returns the names in a directory of the destination, none when it is absent.
func (d *destination) list(name ...string) ([]string, error) {
	names, err := d.fs.List(filepath.Join(append([]string{d.dir}, name...)...))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// addSet makes one backup into dest.
func addSet(
	ctx context.Context, dest string, o BackupOptions, open func(context.Context) (*backupSource, error),
) (report BackupReport, err error) {
	defer func() { err = translate(err) }()
	src, err := open(ctx)
	if err != nil {
		return report, err
	}
	defer func() { src.release() }()
	d := &destination{fs: o.fs, dir: dest}
	unlock, err := d.prepare(src.database)
	if err != nil {
		return report, err
	}
	defer func() {
		if uerr := unlock(); err == nil {
			err = uerr
		}
	}()
	for range pinTries {
		if report, err = d.write(ctx, src, o); !errors.Is(err, errMoved) {
			break
		}
		src.release()
		if src, err = open(ctx); err != nil {
			src = &backupSource{release: func() {}}
			return report, err
		}
	}
	if err != nil {
		return report, err
	}
	if err := d.load(); err != nil {
		return report, err
	}
	if d.bad != nil {
		return report, fmt.Errorf("set %d is complete; older ones cannot be removed: %w", report.Set, d.bad)
	}
	if report.Removed, err = d.prune(o.Keep); err != nil {
		return report, fmt.Errorf("set %d is complete; remove older ones: %w", report.Set, err)
	}
	return report, nil
}

// prepare makes the directory a destination of a database's backups, or checks
// that it is one, and locks it.
func (d *destination) prepare(id crypt.ID) (unlock func() error, err error) {
	names, err := d.list()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		switch name {
		case backupMarker + tempEnd, lockName, runDir, setDir: // an interrupted first backup leaves these
		default:
			if !slices.Contains(names, backupMarker) {
				return nil, fmt.Errorf("%s: %w: the directory holds other files", d.dir, ErrNotBackup)
			}
		}
	}
	for _, dir := range []string{d.dir, filepath.Join(d.dir, runDir), filepath.Join(d.dir, setDir)} {
		if err := d.fs.MkdirAll(dir); err != nil {
			return nil, err
		}
	}
	unlock, err = vfs.Lock(filepath.Join(d.dir, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		err = fmt.Errorf("%s: %w: another backup is writing to it", d.dir, ErrInUse)
	}
	if err != nil {
		return nil, err
	}
	if err := d.claim(id); err != nil {
		return nil, errors.Join(err, unlock())
	}
	return unlock, nil
}

// claim writes the marker, or compares the one that is there.
func (d *destination) claim(id crypt.ID) error {
	m, err := d.marker()
	switch {
	case err == nil && m.Database != id.String():
		return fmt.Errorf("%s: %w: it holds backups of database %s, this is %s", d.dir, ErrNotBackup, m.Database, id)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if sets, err := d.list(setDir); err != nil || len(sets) > 0 {
		return errors.Join(err, fmt.Errorf("%s: %w: there are sets in it and no %s", d.dir, ErrNotBackup, backupMarker))
	}
	b, err := newMarker(id).marshal()
	if err == nil {
		err = d.writeAtomic(filepath.Join(d.dir, backupMarker), b)
	}
	if err == nil {
		err = d.fs.SyncDir(filepath.Dir(filepath.Clean(d.dir)))
	}
	return err
}

// writeAtomic writes a small file that is there as a whole or not at all.
func (d *destination) writeAtomic(name string, b []byte) error {
	temp := name + tempEnd
	if err := d.fs.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := writeFile(d.fs, temp, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err == nil {
		err = d.fs.Rename(temp, name)
	}
	if err == nil {
		err = d.fs.SyncDir(filepath.Dir(name))
	}
	return err
}

// write adds a set: the catalog and the log, runs that are not there yet, and
// the index, which makes it a set.
func (d *destination) write(ctx context.Context, src *backupSource, o BackupOptions) (report BackupReport, err error) {
	if err := d.load(); err != nil {
		return report, err
	}
	if err := d.removeUnfinished(); err != nil {
		return report, err
	}
	known := d.known()
	n := uint64(1)
	if len(d.sets) > 0 {
		n = d.sets[len(d.sets)-1] + 1
	}
	x := newIndex(src, n)
	c := newCopier(src, o, missing(src, known))
	report = BackupReport{Database: src.database, Set: n, Generation: src.generation, Position: src.position}
	dir := d.set(n)
	if err := d.fs.MkdirAll(filepath.Join(dir, walDir)); err != nil {
		return report, err
	}
	add := func(f indexFile, copied bool) {
		x.Files = append(x.Files, f)
		report.Files++
		report.Bytes += f.Size
		if copied {
			report.FilesCopied++
			report.BytesCopied += f.Size
		}
	}
	f, err := d.writeCatalog(ctx, c, src, dir)
	if err != nil {
		return report, err
	}
	add(f, true)
	for _, p := range src.parts { // segments come first: a process that writes uses them again
		var f indexFile
		copied := true
		if p.isRun {
			f, copied, err = d.writeRun(ctx, c, p, known)
		} else {
			f, err = d.writeSegment(ctx, c, p, dir)
		}
		if err != nil {
			return report, err
		}
		add(f, copied)
	}
	for _, synced := range []string{filepath.Join(dir, walDir), dir, filepath.Join(d.dir, setDir), filepath.Join(d.dir, runDir)} {
		if err := d.fs.SyncDir(synced); err != nil {
			return report, err
		}
	}
	if err := src.check(); err != nil { // it ends whole, or not at all
		return report, err
	}
	b, err := x.marshal()
	if err != nil {
		return report, err
	}
	return report, d.writeAtomic(filepath.Join(dir, backupIndex), b)
}

func (d *destination) writeCatalog(ctx context.Context, c *copier, src *backupSource, dir string) (indexFile, error) {
	f := indexFile{Name: catalog.FileName, Size: int64(len(src.catalog))}
	err := writeFile(d.fs, filepath.Join(dir, catalog.FileName), func(w io.Writer) (err error) {
		f.SHA256, err = c.copy(ctx, w, bytes.NewReader(src.catalog), f.Size)
		return err
	})
	return f, err
}

func (d *destination) writeSegment(ctx context.Context, c *copier, p *backupPart, dir string) (indexFile, error) {
	f := indexFile{Name: p.name, Size: p.size}
	err := writeFile(d.fs, filepath.Join(dir, filepath.FromSlash(p.name)), func(w io.Writer) (err error) {
		f.SHA256, err = c.copyPart(ctx, w, p)
		return err
	})
	return f, err
}

// writeRun copies a run unless it is there. Its name is that of its contents,
// and a run that was cut short has another size. One that an interrupted backup
// had finished is read for its hash.
func (d *destination) writeRun(ctx context.Context, c *copier, p *backupPart, known map[string]indexFile) (indexFile, bool, error) {
	f := indexFile{Name: p.name, Size: p.size, Pool: p.poolName()}
	switch size, err := d.sizeOf(f.Pool); {
	case err != nil:
		return f, false, err
	case size != p.size: // -1 when it is absent
	case known[f.Pool].Size == p.size:
		f.SHA256 = known[f.Pool].SHA256
		return f, false, nil
	default:
		f.SHA256, err = d.hash(ctx, c, f.Pool, size)
		return f, false, err
	}
	temp := d.run(f.Pool) + tempEnd
	err := writeFile(d.fs, temp, func(w io.Writer) (err error) {
		f.SHA256, err = c.copyPart(ctx, w, p)
		return err
	})
	if err == nil {
		err = d.fs.Rename(temp, d.run(f.Pool))
	}
	return f, true, err
}

// known returns the runs that finished sets list, by their names in the pool.
func (d *destination) known() map[string]indexFile {
	known := make(map[string]indexFile)
	for _, x := range d.indexes {
		for _, f := range x.Files {
			if f.Pool != "" {
				known[f.Pool] = f
			}
		}
	}
	return known
}

// sizeOf returns the size of a run in the pool in bytes, -1 when it is absent.
func (d *destination) sizeOf(pool string) (int64, error) {
	f, err := d.fs.Open(d.run(pool))
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	return f.Size()
}

// hash reads a run of the pool.
func (d *destination) hash(ctx context.Context, c *copier, pool string, size int64) (string, error) {
	f, err := d.fs.Open(d.run(pool))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	return c.copy(ctx, io.Discard, f, size)
}

// missing returns how many bytes are to be copied.
func missing(src *backupSource, known map[string]indexFile) int64 {
	n := int64(len(src.catalog))
	for _, p := range src.parts {
		if have, ok := known[p.poolName()]; !p.isRun || !ok || have.Size != p.size {
			n += p.size
		}
	}
	return n
}

// removeUnfinished removes what interrupted backups left.
func (d *destination) removeUnfinished() error {
	names, err := d.list(setDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if n, ok := parseNumber(name); ok && !slices.Contains(d.sets, n) {
			if err := d.removeSet(n); err != nil {
				return err
			}
		}
	}
	return d.removeRuns(func(name string) bool { return strings.HasSuffix(name, tempEnd) })
}

// removeSet removes a set's own files, its index first.
func (d *destination) removeSet(n uint64) error {
	dir := d.set(n)
	if err := d.fs.Remove(filepath.Join(dir, backupIndex)); err == nil {
		err = d.fs.SyncDir(dir)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, sub := range []string{walDir, ""} {
		names, err := d.list(setDir, setName(n), sub)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := d.fs.Remove(filepath.Join(dir, sub, name)); err != nil {
				return err
			}
		}
	}
	if err := d.fs.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.fs.SyncDir(filepath.Join(d.dir, setDir))
}

// prune removes the oldest sets unless keep is 0, and runs that no set lists.
// All indexes could be read: any of them may list any run.
func (d *destination) prune(keep int) (removed []uint64, err error) {
	for keep > 0 && len(d.sets) > keep {
		n := d.sets[0]
		if err := d.removeSet(n); err != nil {
			return removed, err
		}
		delete(d.indexes, n)
		d.sets = d.sets[1:]
		removed = append(removed, n)
	}
	known := d.known()
	return removed, d.removeRuns(func(name string) bool {
		_, listed := known[name]
		return isPoolName(name) && !listed
	})
}

// removeRuns removes runs of the pool by their names.
func (d *destination) removeRuns(which func(name string) bool) error {
	names, err := d.list(runDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !which(name) {
			continue
		}
		if err := d.fs.Remove(d.run(name)); err != nil {
			return err
		}
	}
	return d.fs.SyncDir(filepath.Join(d.dir, runDir))
}
