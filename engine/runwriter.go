package engine

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/pager"
)

// runSizeMax is the size in bytes at which a run that is being written is
// ended and another begun.
const runSizeMax = 64 << 20

// A runWriter writes ordered entries to as many runs as they need.
type runWriter struct {
	s     *session
	ctx   context.Context
	level uint8
	b     *pager.Builder
	epoch crypt.Epoch // of the run that is being written
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

// addCurrent adds the entry on which a merge stands. Of a large value in a run
// one chunk at a time is held.
func (w *runWriter) addCurrent(m *merge) error {
	if it := m.large(); it != nil {
		return w.addFrom(m.key(), int64(it.Size()), it.Stream())
	}
	value, err := m.value()
	if err != nil {
		return err
	}
	return w.add(m.key(), m.tombstone(), value)
}

// ready looks at the key now and then, and begins a run where none is begun.
func (w *runWriter) ready(size int64) error {
	if err := w.look(size); err != nil {
		return err
	}
	if w.b == nil {
		return w.begin()
	}
	return nil
}

// look looks at the key, and whether the work is to end, every checkEvery
// entries.
func (w *runWriter) look(size int64) error {
	if w.n += 1 + int(size>>16); w.n < checkEvery {
		return nil
	}
	w.n = 0
	if err := w.ctx.Err(); err != nil {
		return err
	}
	return w.s.db.guard.Check()
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
	w.epoch = w.s.epochs.begin(w.s.ring)
	w.b, err = pager.NewBuilder(pager.BuilderConfig{
		FS: w.s.fs, Path: w.path, Ring: w.s.ring, Database: w.s.db.clear.Database,
		Epoch: w.epoch, RunID: w.id, PageSize: w.s.db.opts.PageSize,
		Compression: w.s.db.opts.Compression.of(w.level),
	})
	if err != nil {
		w.s.epochs.add(w.epoch, -1, 0)
	}
	return err
}

// end finishes the run that is being written and opens it for reading.
func (w *runWriter) end() error {
	info, err := w.b.Finish()
	if err != nil {
		return err // abort lets the builder go, its key and what it wrote
	}
	w.b = nil
	r, err := w.s.openRun(metaOf(info, w.level)) // counts the file too
	if err != nil {
		w.gone(w.s.fs.Remove(w.path))
		return err
	}
	w.gone(nil)
	w.done = append(w.done, r)
	return nil
}

// gone takes the file that was being written off the count, unless err says that
// it could not be removed.
func (w *runWriter) gone(err error) {
	if err != nil {
		w.s.epochs.strand(stranded{path: w.path, epoch: w.epoch})
		return
	}
	w.s.epochs.add(w.epoch, -1, 0)
	kick(w.s.reseals)
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
		w.gone(w.b.Abort())
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
