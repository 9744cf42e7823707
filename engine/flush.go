package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/pager"
)

// runSizeMax is the size in bytes at which a run that is being written is
// ended and another begun.
const runSizeMax = 64 << 20

// flusher writes frozen memtables to runs, oldest first.
func (s *session) flusher() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.flushes:
		}
		for s.hasFrozen() && s.ctx.Err() == nil {
			if err := s.flushOldest(s.ctx); err != nil {
				if s.backgroundFault("flush", err) {
					return
				}
				break // the key is away: its return wakes the flusher
			}
		}
	}
}

func (s *session) hasFrozen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.frozen) > 0
}

// backgroundFault sorts the error of a worker: one of the key or of an end is
// waited out, any other makes the session refuse writes.
func (s *session) backgroundFault(what string, err error) (fatal bool) {
	if errors.Is(err, ErrKeyUnavailable) || s.ctx.Err() != nil {
		s.wakeAll() // whoever waits for the worker looks at the key too
		return false
	}
	_ = s.fail(fmt.Errorf("%s: %w", what, err)) // every commit reports it
	return true
}

// flushOldest writes the oldest frozen memtable to runs of level 0.
func (s *session) flushOldest(ctx context.Context) error {
	s.mu.Lock()
	t := s.frozen[0]
	view := t.Snapshot()
	s.mu.Unlock()
	w := &runWriter{s: s, ctx: ctx, level: 0}
	it := view.NewIter()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.Value()
		if err == nil {
			err = w.add(it.Key(), it.Kind() == memtable.Tombstone, value)
		}
		if err != nil {
			w.abort()
			return err
		}
	}
	added, err := w.finish()
	if err != nil {
		return err
	}
	err = s.install(nil, added, func(m *catalog.Manifest) {
		m.Floor, m.Commit = t.floor, t.last
		m.Collections, m.NextCollection = t.dir.metas(), t.dir.next
	}, func() {
		s.frozen = s.frozen[1:]
	})
	if err != nil {
		return err
	}
	t.unref()
	kick(s.merges)
	s.manifestMu.Lock() // a verification may be reading the log
	defer s.manifestMu.Unlock()
	return s.log.Release(t.floor)
}

// install replaces runs by others in the current version of the tree: durably
// in the catalog first, then in memory, where under s.mu also runs.
func (s *session) install(gone, added []*run, edit func(m *catalog.Manifest), under func()) error {
	return s.change(gone, added, func(v *version) *version { return v.edit(gone, added) }, edit, under)
}

// change makes the version that next returns the current one.
func (s *session) change(gone, added []*run, next func(v *version) *version, edit func(m *catalog.Manifest), under func()) error {
	s.manifestMu.Lock()
	defer s.manifestMu.Unlock()
	m := *s.manifest
	m.Generation++
	s.mu.Lock()
	v := next(s.version)
	m.NextRun = s.nextRun
	s.mu.Unlock()
	m.Runs = v.metas()
	edit(&m)
	err := s.db.guard.Check()
	var sealed []byte
	if err == nil {
		sealed, err = m.Seal(s.ring, s.db.clear.Database)
	}
	if err != nil {
		for _, r := range added {
			s.obsolete(r)
		}
		v.unref() // closes, and removes what is obsolete
		return fmt.Errorf("switch to a new manifest: %w", err)
	}
	if err := s.db.cat.PutManifest(sealed); err != nil {
		// The disk may have it or not: the files stay, and nothing may be
		// committed on top of what is here. The next opening knows.
		v.unref()
		return s.fail(fmt.Errorf("switch to a new manifest: %w", err))
	}
	s.manifest = &m
	for _, r := range gone {
		s.obsolete(r)
	}
	s.mu.Lock()
	old := s.version
	s.version = v
	under()
	s.changed.Broadcast()
	s.dropStaleViews()
	s.mu.Unlock()
	old.unref()
	return nil
}

// obsolete marks a run whose file is removed when nobody reads it any more.
func (s *session) obsolete(r *run) {
	if !r.obsolete.Swap(true) {
		s.pinned.Add(r.meta.Size)
	}
}

// dropStaleViews lets go of the shared snapshots where that is possible, so
// that an idle database does not pin replaced runs and flushed memtables. After
// a failure they stay: the tip may hold half a commit. s.mu is held.
func (s *session) dropStaleViews() {
	if s.published != nil && s.published.commit == s.applied && s.visible == s.applied && s.failed == nil {
		v := s.published
		s.published = nil
		s.unref(v)
	}
}

// A runWriter writes ordered entries to as many runs as they need.
type runWriter struct {
	s     *session
	ctx   context.Context
	level uint8
	b     *pager.Builder
	id    uint64
	path  string
	n     int // entries since the last look at the key
	done  []*run
}

// checkEvery is how many entries a worker handles between two looks at the key;
// a large value counts as one for every 64 KiB.
const checkEvery = 256

// runEntriesMax is the number of entries at which a run is ended, whatever its
// size: it bounds what a builder holds for each to 8 MiB.
const runEntriesMax = 1 << 20

func (w *runWriter) add(key []byte, tombstone bool, value []byte) error {
	if err := w.ready(int64(len(value))); err != nil {
		return err
	}
	kind := pager.Put
	if tombstone {
		kind, value = pager.Tombstone, nil
	}
	if err := w.b.Add(key, kind, value); err != nil {
		return err
	}
	return w.endIfFull()
}

// addFrom adds a put whose value is read from r.
func (w *runWriter) addFrom(key []byte, size int64, r io.Reader) error {
	if err := w.ready(size); err != nil {
		return err
	}
	if err := w.b.AddReader(key, size, r); err != nil {
		return err
	}
	return w.endIfFull()
}

// ready looks at the key now and then, and begins a run where none is begun.
func (w *runWriter) ready(size int64) error {
	if w.n += 1 + int(size>>16); w.n >= checkEvery {
		w.n = 0
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.s.db.guard.Check(); err != nil {
			return err
		}
	}
	if w.b == nil {
		return w.begin()
	}
	return nil
}

func (w *runWriter) endIfFull() error {
	if w.b.Size() >= runSizeMax || w.b.Entries() >= runEntriesMax {
		return w.end()
	}
	return nil
}

func (w *runWriter) begin() (err error) {
	w.s.mu.Lock()
	w.id = w.s.nextRun
	w.s.nextRun++
	w.s.mu.Unlock()
	w.path = runPath(w.s.db.dir, w.id)
	w.b, err = pager.NewBuilder(pager.BuilderConfig{
		FS: w.s.fs, Path: w.path, Ring: w.s.ring, Database: w.s.db.clear.Database,
		RunID: w.id, PageSize: w.s.db.opts.PageSize,
	})
	return err
}

// end finishes the run that is being written and opens it for reading.
func (w *runWriter) end() error {
	b := w.b
	w.b = nil
	info, err := b.Finish()
	if err != nil {
		return err
	}
	r, err := w.s.openRun(metaOf(info, w.level))
	if err != nil {
		return err
	}
	w.done = append(w.done, r)
	return nil
}

// finish returns the runs, whose names are durable.
func (w *runWriter) finish() ([]*run, error) {
	var err error
	if w.b != nil {
		err = w.end()
	}
	if err == nil {
		err = w.s.fs.SyncDir(filepath.Join(w.s.db.dir, runDir))
	}
	if err != nil {
		w.abort()
		return nil, err
	}
	return w.done, nil
}

// abort removes everything that was written.
func (w *runWriter) abort() {
	if w.b != nil {
		_ = w.b.Abort() // removed at the next opening otherwise
		w.b = nil
	}
	for _, r := range w.done {
		w.s.obsolete(r)
		w.s.closeRun(r)
	}
	w.done = nil
}

func runName(id uint64) string { return fmt.Sprintf("%08d.run", id) }

func metaOf(i pager.Info, level uint8) catalog.RunMeta {
	return catalog.RunMeta{
		ID: i.RunID, Level: level, Epoch: i.Epoch, Size: i.Size, Entries: i.Entries, Tombstones: i.Tombstones,
		KeyBytes: i.KeyBytes, ValueBytes: i.ValueBytes, First: i.First, Last: i.Last, RootTag: i.RootTag,
	}
}

func infoOf(m catalog.RunMeta) pager.Info {
	return pager.Info{
		RunID: m.ID, Epoch: m.Epoch, Size: m.Size, Entries: m.Entries, Tombstones: m.Tombstones,
		KeyBytes: m.KeyBytes, ValueBytes: m.ValueBytes, First: m.First, Last: m.Last, RootTag: m.RootTag,
	}
}
