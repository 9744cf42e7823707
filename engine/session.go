package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// A session is everything of an open database that needs the key: it is made
// by unwrapping and replaying, and wiped as a whole when the database is paused
// or closed. What outlives it (directory, catalog, guard) belongs to [DB].
type session struct {
	db    *DB
	fs    vfs.FS
	ring  *crypt.KeyRing
	owner *pager.CacheOwner
	log   *wal.Log

	// mu guards what follows, up to the next blank line but one. It is held for
	// memory work only, never across I/O.
	mu        sync.Mutex
	changed   sync.Cond  // on mu: a group became durable, a flush ended, the session failed
	mem       *table     // receives groups of commits once they are written
	tip       *table     // commits that wait to be written; nil when there are none
	flight    *table     // commits of the group that is being written
	landed    *table     // the last group that was written, until mem has all of it
	settling  bool       // it moves there
	frozen    []*table   // waiting to be flushed, oldest first
	version   *version   // current runs
	dir       *directory // as of the last applied commit
	shown     *directory // as of the last visible commit
	applied   uint64     // number of the last commit applied: to tip, flight, landed or mem
	visible   uint64     // number of the last commit in landed or mem, which readers see
	durable   uint64     // number of the last durable commit; visible, unless Options.Sync says otherwise
	published *view      // at visible; nil before the first reader
	pending   group      // batches applied but not yet handed to the log
	spare     group      // the other memory for pending
	fate      *fate      // of pending; nil when there is none
	undone    error      // why batches were undone the last time
	leading   bool       // a committer is writing a group
	crowd     uint64     // commits of the last group
	failed    error      // sticky: why writes are refused
	nextRun   uint64     // id of the next run
	reserved  uint32     // id of the next collection, if above what the directory says
	bulks     map[*Bulk]struct{}
	logBytes  int64   // of the log, as of the last group
	claims    []*span // parts of the tree where compactions are at work
	resealing bool    // a rotation is under way
	stuck     error   // why it does not end for now: a file cannot be removed
	owed      float64 // nanoseconds of delay that writers have not paid yet
	nDelays   int64   // of writers, by pace
	delayed   time.Duration
	pins      map[*backupPin]struct{}

	pinned atomic.Int64 // bytes of replaced runs that snapshots still read
	epochs epochCount   // of run files

	// manifestMu serializes changes of the manifest. It is held across the
	// catalog's commit.
	manifestMu sync.Mutex
	manifest   *catalog.Manifest

	ctx      context.Context // ends when the session does
	cancel   context.CancelFunc
	landings chan struct{} // capacity 1: there is a group to move to the memtable
	growths  chan struct{} // capacity 1: the memtable is worth a flush when nobody writes
	flushes  chan struct{} // capacity 1: there is something to flush
	merges   chan struct{} // capacity 1: there may be something to compact
	whole    chan *wholeCompaction
	reseals  chan struct{} // capacity 1: the resealer may be able to go on
	workers  sync.WaitGroup
}

// A table is a memtable with what its flush needs. Views count as references.
type table struct {
	*memtable.Table
	refs  atomic.Int32
	gone  func(*table) // what becomes of it when nobody refers to it any more
	floor wal.Floor    // once frozen: where the log goes on behind it
	dir   *directory   // once frozen: as of its last commit
	last  uint64       // once frozen: number of its last commit
}

func newTable(gone func(*table)) *table {
	t := &table{Table: memtable.New(), gone: gone}
	t.refs.Store(1)
	return t
}

// freeTable is what becomes of a session's memtables.
func freeTable(t *table) { t.Free() }

func (t *table) ref() *table {
	t.refs.Add(1)
	return t
}

func (t *table) unref() {
	if t != nil && t.refs.Add(-1) == 0 {
		t.gone(t)
	}
}

// A view is a snapshot of the whole database, shared by the transactions that
// began at the same commit.
type view struct {
	refs    atomic.Int32
	mems    []*memtable.View // newest first
	tables  []*table
	version *version
	dir     *directory
	commit  uint64
}

// newView makes a snapshot of what is visible. s.mu is held.
func (s *session) newView() *view {
	v := s.beginView(s.shown, s.visible)
	if s.landed != nil {
		v.add(s.landed, s.landed.Still())
	}
	v.add(s.mem, s.mem.Snapshot())
	return s.endView(v)
}

// writeView makes a view of the tip for the one writer. Nothing is copied for it:
// while the writer is there, no commit is applied, and those that become visible
// are part of the view already.
func (s *session) writeView() *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.beginView(s.dir, s.applied)
	for _, t := range []*table{s.tip, s.flight, s.landed} {
		if t != nil {
			v.add(t, t.Still())
		}
	}
	v.add(s.mem, s.mem.Live())
	return s.endView(v)
}

func (s *session) beginView(dir *directory, commit uint64) *view {
	v := &view{version: s.version.ref(), dir: dir, commit: commit}
	v.refs.Store(1)
	s.db.nViews.Add(1)
	return v
}

func (s *session) endView(v *view) *view {
	for _, t := range slices.Backward(s.frozen) {
		v.add(t, t.Still())
	}
	return v
}

func (v *view) add(t *table, m *memtable.View) {
	v.tables = append(v.tables, t.ref())
	v.mems = append(v.mems, m)
}

func (s *session) unref(v *view) {
	if v == nil || v.refs.Add(-1) != 0 {
		return
	}
	for _, t := range v.tables {
		t.unref()
	}
	v.version.unref()
	s.db.nViews.Add(-1)
}

// readView returns the newest visible snapshot, with a reference for the caller.
func (s *session) readView() (*view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.published == nil {
		s.published = s.newView()
	}
	s.published.refs.Add(1)
	return s.published, nil
}

// atTip returns what a writable transaction begins on.
func (s *session) atTip() (*directory, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir, s.applied
}

// get appends the newest value of an internal key to dst; a tombstone is not
// found. b and n are those of version.get.
func (v *view) get(dst, key []byte, b *pager.Batch, n int) (value []byte, found bool, err error) {
	for _, m := range v.mems {
		if val, kind, ok := m.Get(key); ok {
			if kind == memtable.Tombstone {
				return dst, false, nil
			}
			return append(dst, val...), true, nil
		}
	}
	value, kind, found, err := v.version.get(dst, key, b, n)
	if err != nil {
		return dst, false, translate(err)
	}
	return value, found && kind == pager.Put, nil
}

// sources returns an iterator for each part that may hold keys of [lo, hi).
func (v *view) sources(lo, hi []byte) []source {
	var out []source
	for _, m := range v.mems {
		if m.Len() > 0 {
			out = append(out, memSource{m.NewIter()})
		}
	}
	for _, r := range v.version.overlapping(0, lo, hi) {
		out = append(out, runSource{r.NewIter()})
	}
	for l := 1; l < nLevels; l++ {
		if runs := v.version.overlapping(l, lo, hi); len(runs) > 0 {
			out = append(out, &levelSource{runs: runs, i: -1})
		}
	}
	return out
}

// openSession unwraps nothing: ring holds the DEKs already, and belongs to the
// session from here on, also when an error is returned. It opens the manifest
// and the runs, replays the log, and removes files that no manifest names.
func openSession(db *DB, ring *crypt.KeyRing) (s *session, err error) {
	s = &session{
		db: db, fs: db.opts.fs, ring: ring, owner: db.cache.NewOwner(),
		landings: make(chan struct{}, 1), growths: make(chan struct{}, 1),
		flushes: make(chan struct{}, 1), merges: make(chan struct{}, 1),
		whole: make(chan *wholeCompaction), reseals: make(chan struct{}, 1), bulks: make(map[*Bulk]struct{}),
	}
	s.changed.L = &s.mu
	db.txMu.Lock()
	s.failed = db.failed
	db.txMu.Unlock()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.wipe()
		}
	}()
	s.manifest, err = catalog.OpenManifest(ring, db.clear.Database, db.cat.Manifest())
	if err != nil {
		return s, fmt.Errorf("open manifest: %w", err)
	}
	if err := db.compareSealed(s.manifest); err != nil {
		return s, err
	}
	least := db.leastPosition()
	if err := least.admitManifest(db.dir, db.cat.Manifest()); err != nil {
		return s, err
	}
	if err := s.openRuns(); err != nil {
		return s, err
	}
	s.mem, s.dir, s.nextRun = newTable(freeTable), newDirectory(s.manifest), s.manifest.NextRun
	s.applied = s.manifest.Commit
	logConfig := db.walConfig(ring)
	logConfig.Least = least.mark()
	logConfig.Admit = func() error { return least.admitCommit(db.dir, s.applied) }
	logConfig.Begin = s.beginSegment
	s.log, err = wal.Open(logConfig, s.manifest.Floor, func(_ uint64, payload []byte) error {
		return s.replay(payload)
	})
	if err != nil {
		return s, fmt.Errorf("recover from the log: %w", err)
	}
	if err := s.removeUnnamed(); err != nil {
		return s, err
	}
	s.visible, s.durable, s.shown, s.logBytes = s.applied, s.applied, s.dir, s.log.Size()
	return s, nil
}

func (db *DB) walConfig(ring *crypt.KeyRing) wal.Config {
	return wal.Config{
		FS: db.opts.fs, Dir: filepath.Join(db.dir, walDir), Database: db.clear.Database, Ring: ring, SegmentSize: db.opts.segmentSize,
	}
}

// openRuns opens every run of the manifest.
func (s *session) openRuns() error {
	var levels [nLevels][]*run
	var opened []*run
	for _, m := range s.manifest.Runs {
		if int(m.Level) >= nLevels {
			return fmt.Errorf("%w: manifest: run %d on level %d", ErrCorrupt, m.ID, m.Level)
		}
		r, err := s.openRun(m)
		if err != nil {
			for _, o := range opened {
				_ = o.Close() // the first error is the one to report
			}
			return err
		}
		opened = append(opened, r)
		levels[m.Level] = append(levels[m.Level], r)
	}
	s.version = newVersion(levels)
	return nil
}

// removeUnnamed removes the runs that no manifest names: a crash left them. It
// comes last, when everything that the manifest names was found sound: under an
// older manifest, which the log does not fit, newer runs would be lost.
func (s *session) removeUnnamed() error {
	if s.failed != nil {
		return nil //nolint:nilerr // writes are refused; the manifest on disk may be a later one that names more runs
	}
	known := make(map[string]bool, len(s.manifest.Runs))
	for _, m := range s.manifest.Runs {
		known[runName(m.ID)] = true
	}
	names, err := s.fs.List(filepath.Join(s.db.dir, runDir))
	if err != nil {
		return fmt.Errorf("list runs: %w", err)
	}
	for _, name := range names {
		if known[name] || filepath.Ext(name) != ".run" {
			continue
		}
		if err := s.fs.Remove(filepath.Join(s.db.dir, runDir, name)); err != nil {
			return fmt.Errorf("remove unfinished run: %w", err)
		}
	}
	return nil
}

func (s *session) openRun(m catalog.RunMeta) (*run, error) {
	path := runPath(s.db.dir, m.ID)
	p, err := pager.OpenRun(pager.RunConfig{
		FS: s.fs, Path: path, Ring: s.ring, Database: s.db.clear.Database, Cache: s.owner, Info: infoOf(m),
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: a run is missing: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	s.epochs.add(m.Epoch, 1, m.Size)
	return &run{Run: p, meta: m, path: path, onGone: s.closeRun}, nil
}

// closeRun is called when no version names a run any more.
func (s *session) closeRun(r *run) {
	if err := r.Close(); err != nil {
		s.db.log.Warn("close run", "path", r.path, "err", err)
	}
	if !r.obsolete.Load() {
		return
	}
	defer s.pinned.Add(-r.meta.Size)
	if err := s.fs.Remove(r.path); err != nil { // removed at the next opening then
		s.db.log.Warn("remove run", "path", r.path, "err", err)
		s.epochs.strand(stranded{path: r.path, epoch: r.meta.Epoch, size: r.meta.Size})
		return
	}
	s.epochs.add(r.meta.Epoch, -1, -r.meta.Size)
	kick(s.reseals)
}

// beginSegment freezes the memtable where a new segment of the log begins, as it
// was before the crash: so recovery has memtables of the usual size, too.
func (s *session) beginSegment(floor wal.Floor) {
	if s.failed == nil && s.mem.Bytes() >= s.db.opts.MemtableSize {
		s.freezeAt(floor)
	}
}

// replay applies one frame of the log to the memtable.
func (s *session) replay(payload []byte) error {
	return batches(payload, func(commit uint64, ops []byte) error {
		if commit <= s.manifest.Commit { // flushed before the crash
			return nil
		}
		if commit != s.applied+1 {
			return fmt.Errorf("%w: log: commit %d follows %d", ErrCorrupt, commit, s.applied)
		}
		if err := applyOps(ops, &target{mem: s.mem, dir: &s.dir}); err != nil {
			return fmt.Errorf("log: commit %d: %w", commit, err)
		}
		s.applied = commit
		return nil
	})
}

// A target takes the operations of commits to a memtable and a directory.
type target struct {
	mem *table
	dir **directory
}

func (a *target) set(key []byte, kind memtable.Kind, value []byte) error {
	return a.mem.Set(key, kind, value)
}

func (a *target) create(id uint32, name string) error {
	if id < (*a.dir).next || name == "" || len(name) > collectionNameMax {
		return fmt.Errorf("%w: collection %d is made a second time, or without a name", ErrCorrupt, id)
	}
	*a.dir = (*a.dir).with(name, id)
	return nil
}

func (a *target) drop(id uint32) error {
	if id == 0 || id >= (*a.dir).next {
		return fmt.Errorf("%w: collection %d is dropped and was never made", ErrCorrupt, id)
	}
	*a.dir = (*a.dir).without(id)
	return nil
}

// start runs the session's background work.
func (s *session) start() {
	s.workers.Go(s.settler)
	s.workers.Go(s.idler)
	s.workers.Go(s.flusher)
	for range compactors() {
		s.workers.Go(s.compactor)
	}
	if s.db.opts.Sync == SyncInterval {
		s.workers.Go(s.syncer)
	}
	kick(s.merges)
	kick(s.flushes) // what recovery has frozen
	kick(s.growths) // and what it has not
	if len(s.db.currentEnvelopes()) > 1 {
		s.startReseal()
	}
}

// kick wakes a worker that has not been woken yet.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// interrupt ends waiting and background work.
func (s *session) interrupt() {
	s.cancel()
	s.wakeAll()
}

// wakeAll makes everybody who waits for a change look again.
func (s *session) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}

// ended says why the session was interrupted. The key may be back already, and
// another session have begun.
func (s *session) ended() error {
	if err := s.db.check(); err != nil {
		return err
	}
	return &KeyError{
		State: Paused, KeyID: s.db.clear.KeyID,
		Message: "memory was wiped while the operation was under way; begin it again",
	}
}

// stop interrupts the background work and waits for its end.
func (s *session) stop() {
	s.interrupt()
	s.workers.Wait()
}

// finish makes everything durable before Close: a memtable worth a file is
// flushed, so that the next opening has little to replay. The workers have
// stopped and no transaction is open.
func (s *session) finish() error {
	if s.failed != nil {
		err := s.log.Close() // a flush may have failed, and the log not: commits that were not synced are in it
		if s.db.opts.Sync == SyncFull {
			return nil // what was acknowledged is durable, and every commit since has reported the failure
		}
		return err
	}
	if err := s.settled(); err != nil {
		return errors.Join(err, s.log.Close())
	}
	if s.mem.Bytes() >= finishFlushMin {
		if err := s.freeze(); err != nil {
			return err
		}
	}
	for len(s.frozen) > 0 {
		if err := s.flushOldest(context.Background()); err != nil {
			return err
		}
	}
	if err := s.writeGroup(); err != nil {
		return err
	}
	return s.log.Close()
}

// syncLog makes durable what was acknowledged, without the key.
func (s *session) syncLog() error {
	err := s.writeGroup()
	if errors.Is(err, ErrKeyUnavailable) || s.db.opts.Sync == SyncFull {
		return nil // all that is left was refused, or has reported its failure
	}
	return err
}

// finishFlushMin is the size in bytes of a memtable that Close flushes: smaller
// ones are replayed in a millisecond.
const finishFlushMin = 128 << 10

// failure returns why writes are refused, nil while they are not.
func (s *session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// fail makes the session refuse writes from now on.
func (s *session) fail(cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failLocked(cause)
}

// failLocked is fail with s.mu held.
func (s *session) failLocked(cause error) error {
	if s.failed == nil {
		if s.failed = cause; !errors.Is(cause, ErrFailed) {
			s.failed = fmt.Errorf("%w: %w", ErrFailed, cause)
		}
		s.db.log.Error("writes are refused from now on", "err", s.failed)
		s.changed.Broadcast()
	}
	return s.failed
}

// wipe zeroes everything that the key made readable and releases it. No
// transaction and no worker may be using the session.
func (s *session) wipe() wiped {
	s.cancel()
	var w wiped
	s.manifestMu.Lock() // a verification may be reading the log
	defer s.manifestMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropStaleViews()
	s.dropPins()
	if s.log != nil {
		s.log.Wipe()
	}
	for _, t := range append(s.frozen, s.mem, s.landed, s.flight, s.tip) {
		if t != nil {
			w.MemtableBytes += t.Bytes()
			t.Wipe()
			t.unref()
		}
	}
	s.frozen, s.mem, s.landed, s.flight, s.tip = nil, nil, nil, nil, nil
	s.pending.reset() // spare was when it became that
	s.pending, s.spare = nil, nil
	if s.version != nil {
		w.Runs = len(s.version.all())
		s.version.unref() // closes the runs, which wipes their keys
		s.version = nil
	}
	s.owner.Close()
	s.ring.Wipe()
	s.dir, s.shown, s.manifest = nil, nil, nil
	return w
}
