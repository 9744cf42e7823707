package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs"
)

// smallRuns make a database flush and compact often.
func smallRuns() *Options { return &Options{MemtableSize: 64 << 10} }

// restoreTest restores a backup and opens it; it is verified at the test's end.
func restoreTest(t *testing.T, src string, key crypt.Provider, o *RestoreOptions) (*DB, RestoreReport) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored.byok")
	report, err := Restore(t.Context(), src, dir, key, o)
	for n := 0; errors.Is(err, errMoved) && n < restoreTries; n++ { // src is written to meanwhile
		report, err = Restore(t.Context(), src, dir, key, o)
	}
	if err != nil {
		t.Fatalf("restore %s: %v", src, err)
	}
	if report.Files == 0 || report.Verified.Segments == 0 {
		t.Fatalf("nothing was restored: %+v", report)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 3 {
		t.Errorf("a restored directory holds %v, %v", names, err)
	}
	return openTest(t, dir, key, smallRuns()), report
}

// writeStreamFile makes a stream of a database and returns its file.
func writeStreamFile(t *testing.T, backup func(w io.Writer) error) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "backup.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(backup(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

// writers are goroutines that each commit the numbers 0, 1, 2, … in order, in
// two collections, and count what was acknowledged.
type writers struct {
	acked [4]atomic.Int64
	stop  chan struct{}
	done  sync.WaitGroup
	moved chan struct{} // capacity 1: somebody committed
}

func startWriters(t *testing.T, db *DB) *writers {
	t.Helper()
	w := &writers{stop: make(chan struct{}), moved: make(chan struct{}, 1)}
	for i := range w.acked {
		w.done.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-w.stop:
					return
				default:
				}
				err := db.Update(func(tx *Tx) error {
					for _, name := range []string{"a", "b"} {
						c, err := tx.CreateCollectionIfNotExists(name)
						if err != nil {
							return err
						}
						if err := c.Put(fmt.Appendf(nil, "%d/%08d", i, n), bytes.Repeat([]byte{byte(n)}, 700)); err != nil {
							return err
						}
					}
					if n%50 == 49 {
						return tx.DropCollection("dropped")
					}
					if n%50 == 0 {
						c, err := tx.CreateCollectionIfNotExists("dropped")
						if err != nil {
							return err
						}
						return c.Put([]byte("k"), make([]byte, 5000))
					}
					return nil
				})
				if err != nil && !errors.Is(err, ErrNoCollection) {
					t.Error(err)
					return
				}
				if err != nil { // somebody else dropped it: this number again
					n--
					continue
				}
				w.acked[i].Store(int64(n + 1))
				kick(w.moved)
			}
		})
	}
	return w
}

func (w *writers) end() {
	close(w.stop)
	w.done.Wait()
}

// total returns how many commits were acknowledged.
func (w *writers) total() (n int64) {
	for i := range w.acked {
		n += w.acked[i].Load()
	}
	return n
}

// await returns when n more commits were acknowledged.
func (w *writers) await(n int64) {
	for until := w.total() + n; w.total() < until; {
		<-w.moved
	}
}

// checkPrefix checks that a database holds a prefix of what each writer wrote,
// and at least what was acknowledged before.
func checkPrefix(t *testing.T, db *DB, before []int64) {
	t.Helper()
	err := db.View(func(tx *Tx) error {
		for i, least := range before {
			var counts []int64
			for _, name := range []string{"a", "b"} {
				c, err := tx.Collection(name)
				if err != nil {
					return err
				}
				cur := c.Cursor(fmt.Appendf(nil, "%d/", i), fmt.Appendf(nil, "%d0", i))
				n := int64(0)
				for cur.Next() {
					if want := fmt.Sprintf("%d/%08d", i, n); string(cur.Key()) != want || len(cur.Value()) != 700 || cur.Value()[0] != byte(n) {
						t.Fatalf("%s: %q in the place of %q", name, cur.Key(), want)
					}
					n++
				}
				if err := errors.Join(cur.Err(), cur.Close()); err != nil {
					return err
				}
				counts = append(counts, n)
			}
			if counts[0] != counts[1] || counts[0] < least {
				t.Errorf("writer %d: %v commits, %d were acknowledged before", i, counts, least)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBackupBesideWriters (B1, B2) makes backups of each kind while writers commit,
// flush, compact and drop.
func TestBackupBesideWriters(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "w.byok")
	db := openTest(t, dir, key, smallRuns())
	w := startWriters(t, db)
	defer w.end()
	w.await(200)
	dests := [2]string{filepath.Join(t.TempDir(), "online"), filepath.Join(t.TempDir(), "keyless")}
	kinds := []struct {
		name string
		make func() (src string)
	}{
		{"stream", func() string {
			return writeStreamFile(t, func(f io.Writer) error { return db.Backup(t.Context(), f) })
		}},
		{"online", func() string {
			_, err := db.BackupTo(t.Context(), dests[0], nil)
			if err != nil {
				t.Fatal(err)
			}
			return dests[0]
		}},
		{"keyless", func() string {
			_, err := Backup(t.Context(), dir, dests[1], nil)
			if err != nil {
				t.Fatal(err)
			}
			return dests[1]
		}},
		{"plain", func() string { return dir }}, // restored while it is written
	}
	for range longer(2, 40) {
		for _, k := range kinds {
			var before []int64
			for i := range w.acked {
				before = append(before, w.acked[i].Load())
			}
			src := k.make()
			restored, _ := restoreTest(t, src, key, nil)
			checkPrefix(t, restored, before)
			if t.Failed() {
				t.Fatal(k.name)
			}
			if err := restored.Close(); err != nil {
				t.Fatal(err)
			}
			w.await(100) // the backup left writers as they were
		}
	}
	if db.Status().Generation < 5 {
		t.Error("nothing was flushed beside the backups")
	}
}

// restoreTries is how often a directory whose log is written to, in segments that
// are full in no time, is tried again: Restore asks for that.
const restoreTries = 50

// fillRuns makes a database with runs and a log.
func fillRuns(t *testing.T, db *DB, n int) {
	t.Helper()
	for i := range n {
		put(t, db, "c", fmt.Sprintf("%06d", i), strings.Repeat(fmt.Sprint(i%10), 3000))
	}
	quiet(t, db)
}

// settle waits until compaction has nothing to do either.
func settle(t *testing.T, dir string, key crypt.Provider) {
	t.Helper()
	for range 2 { // what is left to compact, and to remove
		db, err := Open(t.Context(), dir, key, smallRuns())
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIncrementalBackup copies a run to the pool once (B3).
func TestIncrementalBackup(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "i.byok")
	dest := filepath.Join(t.TempDir(), "dest")
	db := openTest(t, dir, key, &Options{MemtableSize: 256 << 10})
	fillRuns(t, db, 200)
	if _, err := db.BackupTo(t.Context(), filepath.Join(dir, "below"), nil); !errors.Is(err, ErrOwnDirectory) {
		t.Errorf("below the database: %v", err)
	}
	first, err := db.BackupTo(t.Context(), dest, nil)
	if err != nil {
		t.Fatal(err)
	}
	runs := db.Status().Runs
	if runs == 0 || first.FilesCopied != first.Files || first.Set != 1 || first.BytesCopied != first.Bytes {
		t.Fatalf("%d runs, first %+v", runs, first)
	}
	var done, total int64
	second, err := db.BackupTo(t.Context(), dest, &BackupOptions{Progress: func(d, of int64) { done, total = d, of }})
	if err != nil {
		t.Fatal(err)
	}
	if second.Set != 2 || second.Files-second.FilesCopied != runs || done != second.BytesCopied || total != done {
		t.Errorf("%d runs, second %+v, progress %d of %d", runs, second, done, total)
	}
	put(t, db, "c", "later", "1")
	if _, err := db.BackupTo(t.Context(), dest, nil); err != nil {
		t.Fatal(err)
	}
	sets, err := ListBackups(dest)
	if err != nil || len(sets) != 3 || sets[2].Set != 3 || sets[0].Bytes != first.Bytes {
		t.Fatalf("%+v, %v", sets, err)
	}
	newest, _ := restoreTest(t, dest, key, nil)
	mustGet(t, newest, "c", "later", "1")
	old, report := restoreTest(t, dest, key, &RestoreOptions{Set: 2})
	if report.Set != 2 || report.Database.String() != sets[0].Database {
		t.Errorf("%+v", report)
	}
	mustGet(t, old, "c", "000199", strings.Repeat("9", 3000))
	if err := old.View(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		_, err = c.Get([]byte("later"))
		return err
	}); !errors.Is(err, ErrNotFound) {
		t.Errorf("the older set holds what came later: %v", err)
	}
	if _, err := Restore(t.Context(), dest, filepath.Join(t.TempDir(), "x"), key, &RestoreOptions{Set: 9}); !errors.Is(err, ErrNotExist) {
		t.Errorf("a set that there is not: %v", err)
	}
	p, err := db.Position()
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[uint64]error{2: ErrStale, 3: nil} {
		_, err := Restore(t.Context(), dest, filepath.Join(t.TempDir(), "p"), key, &RestoreOptions{Set: n, MinPosition: p})
		checkStale(t, err, want)
	}
}

// TestKeepSets removes sets, and runs that no set lists any more (B5).
func TestKeepSets(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "k.byok")
	dest := filepath.Join(t.TempDir(), "dest")
	for n := range 4 {
		db, err := Open(t.Context(), dir, key, smallRuns())
		if err != nil {
			t.Fatal(err)
		}
		fillRuns(t, db, 50)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		settle(t, dir, key)
		r, err := Backup(t.Context(), dir, dest, &BackupOptions{Keep: 2})
		if err != nil || r.Set != uint64(n+1) || len(r.Removed) != min(1, n/2) {
			t.Fatalf("%d: %+v, %v", n, r, err)
		}
	}
	sets, err := ListBackups(dest)
	if err != nil || len(sets) != 2 || sets[0].Set != 3 {
		t.Fatalf("%+v, %v", sets, err)
	}
	d := &destination{fs: vfs.OS(), dir: dest}
	if err := d.load(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(filepath.Join(dest, "runs"))
	if err != nil || len(names) != len(d.known()) || len(names) == 0 {
		t.Errorf("%d runs in the pool, %d are listed, %v", len(names), len(d.known()), err)
	}
	for n := range d.indexes {
		restoreTest(t, dest, key, &RestoreOptions{Set: n})
	}
}

// failingFS fails the n-th call that changes something, and every later one.
type failingFS struct {
	vfs.FS
	left atomic.Int64
}

var errInjected = errors.New("injected fault")

func (f *failingFS) fails() error {
	if f.left.Add(-1) < 0 {
		return errInjected
	}
	return nil
}

func (f *failingFS) Create(name string) (vfs.File, error) {
	if err := f.fails(); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return failingFile{file, f}, err
}

func (f *failingFS) Remove(name string) error {
	return errors.Join(f.fails(), f.unless(func() error { return f.FS.Remove(name) }))
}

func (f *failingFS) Rename(from, to string) error {
	return errors.Join(f.fails(), f.unless(func() error { return f.FS.Rename(from, to) }))
}

func (f *failingFS) MkdirAll(dir string) error {
	return errors.Join(f.fails(), f.unless(func() error { return f.FS.MkdirAll(dir) }))
}

func (f *failingFS) SyncDir(dir string) error {
	return errors.Join(f.fails(), f.unless(func() error { return f.FS.SyncDir(dir) }))
}

func (f *failingFS) unless(fn func() error) error {
	if f.left.Load() < 0 {
		return nil
	}
	return fn()
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

func (f failingFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.fails(); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off) // a short write
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f failingFile) Sync() error {
	if err := f.fs.fails(); err != nil {
		return err
	}
	return f.File.Sync()
}

// TestInterruptedBackup (B4, B5) ends a backup at every call that changes something. The
// sets that were finished stay, and the next backup succeeds.
func TestInterruptedBackup(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "i.byok")
	dest := filepath.Join(t.TempDir(), "dest")
	db := openTest(t, dir, key, &Options{MemtableSize: 256 << 10})
	fillRuns(t, db, 100)
	nFailed, finished := 0, false
	for n := int64(0); !finished; n++ {
		put(t, db, "c", "n", fmt.Sprint(n))
		files := &failingFS{FS: vfs.OS()}
		files.left.Store(n)
		r, err := db.BackupTo(t.Context(), dest, &BackupOptions{Keep: 2, fs: files})
		switch {
		case err == nil:
			finished = true
		case !errors.Is(err, errInjected):
			t.Fatalf("call %d: %v", n, err)
		default:
			nFailed++
		}
		if r.Set > 0 && err == nil {
			restored, _ := restoreTest(t, dest, key, nil)
			mustGet(t, restored, "c", "n", fmt.Sprint(n))
		}
		if n%7 == 0 || finished { // every earlier set is whole, and another can be added
			if _, err := db.BackupTo(t.Context(), dest, &BackupOptions{Keep: 2}); err != nil {
				t.Fatalf("after a fault at call %d: %v", n, err)
			}
		}
		d := &destination{fs: vfs.OS(), dir: dest}
		if err := d.load(); err != nil || d.bad != nil {
			t.Fatal(err, d.bad)
		}
		if n > 0 && len(d.sets) == 0 {
			t.Fatalf("call %d: no set is left", n)
		}
		if n%int64(longer(5, 1)) == 0 {
			for _, set := range d.sets {
				into := filepath.Join(t.TempDir(), "r")
				if _, err := Restore(t.Context(), dest, into, key, &RestoreOptions{Set: set}); err != nil {
					t.Fatalf("call %d, set %d: %v", n, set, err)
				}
			}
		}
	}
	if nFailed < 15 {
		t.Errorf("only %d faults", nFailed)
	}
}

// TestInterruptedRestore (B9) ends a restoring at every call that changes something:
// there is no database under the name, and the next one succeeds.
func TestInterruptedRestore(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "i.byok")
	dest, into := filepath.Join(t.TempDir(), "dest"), filepath.Join(t.TempDir(), "into.byok")
	db := openTest(t, dir, key, &Options{MemtableSize: 256 << 10})
	fillRuns(t, db, 100)
	if _, err := db.BackupTo(t.Context(), dest, nil); err != nil {
		t.Fatal(err)
	}
	for n := int64(0); ; n++ {
		files := &failingFS{FS: vfs.OS()}
		files.left.Store(n)
		_, err := Restore(t.Context(), dest, into, key, &RestoreOptions{fs: files})
		if err == nil {
			if n < 15 {
				t.Errorf("only %d faults", n)
			}
			break
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("call %d: %v", n, err)
		}
		_, serr := os.Stat(filepath.Join(into, "catalog.bolt"))
		if named := serr == nil; named { // the very last calls: it is whole
			again := filepath.Join(t.TempDir(), "again")
			if _, err := Restore(t.Context(), into, again, key, nil); err != nil {
				t.Fatalf("call %d: %v", n, err)
			}
			if err := os.RemoveAll(into); err != nil {
				t.Fatal(err)
			}
		}
	}
	restored := openTest(t, into, key, nil)
	mustGet(t, restored, "c", "000099", strings.Repeat("9", 3000))
}

// TestBackupWithoutTheKey: a suspended database makes no backup of its own; the
// keyless form copies ciphertext.
func TestBackupWithoutTheKey(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "s.byok")
	db := openTest(t, dir, key, smallRuns())
	fillRuns(t, db, 60)
	key.set(crypt.ClassDenied)
	if err := db.ProbeKey(t.Context()); err == nil || db.check() == nil {
		t.Fatalf("the key still answers: %v", err)
	}
	if err := db.Backup(t.Context(), io.Discard); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("Backup: %v", err)
	}
	dest := filepath.Join(t.TempDir(), "dest")
	if _, err := db.BackupTo(t.Context(), dest, nil); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("BackupTo: %v", err)
	}
	if _, err := Backup(t.Context(), dir, dest, nil); err != nil {
		t.Fatalf("keyless: %v", err)
	}
	into := filepath.Join(t.TempDir(), "r.byok")
	if _, err := Restore(t.Context(), dest, into, key, nil); !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("Restore: %v", err)
	}
	if _, err := os.Stat(into); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a restoring that failed left %v", err)
	}
	key.set(crypt.ClassNone)
	if err := db.ProbeKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	restored, _ := restoreTest(t, dest, key, nil)
	mustGet(t, restored, "c", "000059", strings.Repeat("9", 3000))
}

// gate is a writer that stops until it is let on.
type gate struct {
	reached chan struct{}
	let     chan struct{}
	once    sync.Once
}

func (g *gate) Write(p []byte) (int, error) {
	g.once.Do(func() {
		close(g.reached)
		<-g.let
	})
	return len(p), nil
}

// TestPauseEndsABackup: memory is wiped although somebody does not read the
// stream, and the backup ends with the key's error.
func TestPauseEndsABackup(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "p.byok")
	db := openTest(t, dir, key, smallRuns())
	fillRuns(t, db, 200)
	g := &gate{reached: make(chan struct{}), let: make(chan struct{})}
	result := make(chan error, 1)
	go func() { result <- db.Backup(context.Background(), g) }()
	<-g.reached
	s := db.session
	s.mu.Lock() // compactions change the version
	runs := s.version.all()
	s.mu.Unlock()
	key.set(crypt.ClassDenied)
	if err := db.ProbeKey(t.Context()); err == nil || db.check() == nil {
		t.Fatalf("the key still answers: %v", err)
	}
	db.pause()
	for _, r := range runs { // while the backup still waits
		if n := r.refs.Load(); n != 0 {
			t.Errorf("run %d has %d references after the pause, and its key", r.meta.ID, n)
		}
	}
	if len(runs) == 0 {
		t.Error("no runs")
	}
	close(g.let)
	if err := <-result; !errors.Is(err, ErrKeyUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestBackupHoldsFiles: while a backup waits, runs that are replaced and
// segments that are released stay; afterwards they go.
func TestBackupHoldsFiles(t *testing.T) {
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "h.byok")
	db := openTest(t, dir, key, smallRuns())
	fillRuns(t, db, 60)
	g := &gate{reached: make(chan struct{}), let: make(chan struct{})}
	var out bytes.Buffer
	result := make(chan error, 1)
	go func() { result <- db.Backup(context.Background(), io.MultiWriter(g, &out)) }()
	<-g.reached
	for range 5 {
		fillRuns(t, db, 60) // the same keys again: what is replaced can go
	}
	close(g.let)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "r.byok")
	if _, err := RestoreStream(t.Context(), &out, into, key, nil); err != nil {
		t.Fatal(err)
	}
	fillRuns(t, db, 60)
	s := db.session
	s.manifestMu.Lock()
	floor := s.manifest.Floor.Segment
	s.manifestMu.Unlock()
	names, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	if err != nil || len(names) == 0 || filepath.Base(names[0]) < fmt.Sprintf("%08d", floor-1) {
		t.Errorf("segments %v stay, the floor is %d, %v", names, floor, err)
	}
}
