package engine

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/internal/scrub"
)

// Bulk loads sorted records into a collection without log and memtable: they go
// straight into runs, which nobody sees before Commit. Other transactions go on
// meanwhile. Any size; some 10 MB of memory. Safe for concurrent use, though the
// order of keys leaves one goroutine to add them.
//
// Every error but ErrOrder, ErrKeyTooLarge and ErrValueTooLarge of Add ends the
// load and leaves nothing. So does a wipe of memory.
type Bulk struct {
	db     *DB
	s      *session
	ctx    context.Context // ends with the caller's or the session's
	cancel context.CancelFunc
	unlink func() bool // ends the link to the session's context
	name   string
	id     uint32
	create bool // the collection, by Commit

	mu     sync.Mutex
	err    error // why the load has ended
	w      *runWriter
	key    []byte // internal key being added
	last   []byte // internal key that was added last
	report BulkReport
}

// BulkReport says what a bulk load wrote.
type BulkReport struct {
	Records    int64  `json:"records"`
	KeyBytes   int64  `json:"key_bytes"`
	ValueBytes int64  `json:"value_bytes"`
	Runs       int    `json:"runs"`
	RunBytes   int64  `json:"run_bytes"` // as sealed
	Commit     uint64 `json:"commit"`    // number that the load has among commits
}

// NewBulk begins a bulk load into a collection, which Commit makes if there is
// none now. Then NewBulk waits until no writable transaction is open: whoever
// has one open must not call it. ctx bounds the whole load, Commit included. The
// load is to be ended by Commit or Abort.
// Errors: ErrCollectionName, ErrClosed, *KeyError.
func (db *DB) NewBulk(ctx context.Context, collection string) (*Bulk, error) {
	if len(collection) == 0 || len(collection) > 1024 {
		return nil, ErrCollectionName
	}
	if err := db.check(); err != nil {
		return nil, err
	}
	b := &Bulk{db: db, name: collection}
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// begin registers the load with the session.
func (b *Bulk) begin(ctx context.Context) error {
	scrub.Prepare()
	found, err := b.find()
	if err != nil || found {
		return b.start(ctx, err)
	}
	// An id is reserved while no transaction can give the same one.
	if err := b.db.acquireWriter(ctx); err != nil {
		return err
	}
	defer b.db.releaseWriter()
	if found, err = b.find(); err == nil && !found {
		b.s.mu.Lock()
		b.create, b.id = true, b.s.takeCollection(b.s.dir.next)
		b.s.mu.Unlock()
	}
	return b.start(ctx, err)
}

// find looks the collection up in the newest state.
func (b *Bulk) find() (found bool, err error) {
	b.db.txMu.Lock()
	defer b.db.txMu.Unlock()
	if b.s = b.db.session; b.s == nil {
		return false, b.db.unavailable()
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.id, found = b.s.dir.ids[b.name]
	return found, nil
}

// start registers the load, unless finding its collection failed.
func (b *Bulk) start(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	b.ctx, b.cancel = context.WithCancel(ctx)
	b.unlink = context.AfterFunc(b.s.ctx, b.cancel)
	b.w = &runWriter{s: b.s, ctx: b.ctx}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.s.ctx.Err() != nil {
		b.cancel()
		return b.s.ended()
	}
	b.s.bulks[b] = struct{}{}
	return nil
}

// takeCollection returns an id for a collection that was never given: at least
// least, which is the next one of a directory. The writer's token is held, and
// s.mu.
func (s *session) takeCollection(least uint32) uint32 {
	id := max(least, s.reserved)
	s.reserved = id + 1
	return id
}

// Add adds a record. key is above all keys before; key and value are copied.
// After ErrOrder, ErrKeyTooLarge and ErrValueTooLarge the load goes on as if the
// call had not been made. Other errors: *KeyError; ctx's; those of the file
// system; ErrTxClosed and whatever else ended the load.
func (b *Bulk) Add(key, value []byte) error {
	switch {
	case len(key) > KeySizeMax:
		return ErrKeyTooLarge
	case len(value) > ValueSizeMax:
		return ErrValueTooLarge
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.key = append(append(b.key[:0], collectionPrefix(b.id)...), key...)
	if b.report.Records > 0 && bytes.Compare(b.key, b.last) <= 0 {
		return ErrOrder
	}
	err := b.db.guard.Check()
	if err == nil {
		err = b.w.add(b.key, false, value)
	}
	if err != nil {
		return b.end(b.cause(err))
	}
	b.key, b.last = b.last, b.key
	b.report.Records++
	b.report.KeyBytes += int64(len(key))
	b.report.ValueBytes += int64(len(value))
	return nil
}

// cause says why an operation failed that was cut off by the session's end.
func (b *Bulk) cause(err error) error {
	if b.s.ctx.Err() != nil {
		return b.s.ended()
	}
	return translate(err)
}

// Commit makes the load visible, as one commit behind all that were committed
// before, and durable whatever Options.Sync says: after a crash all of it is
// there, or nothing. Recent writes are flushed first, for which writers wait. A
// record of the load replaces one of the same key. Views taken before do not see
// it.
//
// Errors: ErrNoCollection when the collection was dropped meanwhile,
// ErrCollectionExists when it was made; *KeyError; ErrDiskFull; ErrFailed; ctx's. Nothing of
// the load is left then; but if the error is ErrFailed, all of it may be there
// after reopening, as with Tx.Commit.
func (b *Bulk) Commit() (BulkReport, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return BulkReport{}, b.err
	}
	added, err := b.w.finish()
	if err == nil {
		for _, r := range added {
			b.report.Runs++
			b.report.RunBytes += r.meta.Size
		}
		err = b.commit(added)
	}
	if err != nil {
		return BulkReport{}, b.end(b.cause(err))
	}
	b.w.done = nil // the tree's
	_ = b.end(ErrTxClosed)
	kick(b.s.merges)
	return b.report, nil
}

// commit makes finished runs part of the tree. Compactions stay away from their
// range meanwhile, and nothing is committed.
func (b *Bulk) commit(added []*run) error {
	s := b.s
	if _, err := b.db.flushAll(b.ctx); err != nil { // most of it while writers go on
		return err
	}
	if len(added) > 0 {
		claim := span{from: 0, to: lastLevel}
		claim.first, claim.last = keyRange(added)
		if err := s.await(b.ctx, func() bool { return s.claimSpan(&claim) }); err != nil {
			return err
		}
		defer s.releaseSpan(&claim)
	}
	if err := b.db.acquireWriter(b.ctx); err != nil {
		return err
	}
	defer b.db.releaseWriter()
	if err := s.flushTip(b.ctx); err != nil {
		return err
	}
	return b.install(added)
}

// flushTip writes everything that was applied to runs. The caller holds the
// writer's token.
func (s *session) flushTip(ctx context.Context) error {
	for {
		if err := s.await(ctx, func() bool { return len(s.frozen) == 0 }); err != nil {
			return err
		}
		s.manifestMu.Lock()
		flushed := s.manifest.Commit
		s.manifestMu.Unlock()
		s.mu.Lock()
		applied := s.applied
		s.mu.Unlock()
		if flushed == applied {
			return nil
		}
		if err := s.freeze(); err != nil {
			return err
		}
	}
}

// install switches to a tree with the runs in it. All that was committed is in
// runs, and the caller holds the writer's token.
func (b *Bulk) install(added []*run) error {
	if err := b.ctx.Err(); err != nil { // the last moment to think better of it
		return err
	}
	s := b.s
	s.mu.Lock()
	dir, commit, v := s.dir, s.applied+1, s.version.ref()
	s.mu.Unlock()
	defer v.unref()
	for _, r := range added {
		level, err := v.levelFor(r.meta.First, r.meta.Last)
		if err != nil {
			return err
		}
		r.meta.Level = uint8(level)
	}
	switch id, exists := dir.ids[b.name]; {
	case b.create && exists:
		return fmt.Errorf("%w: %q", ErrCollectionExists, b.name)
	case b.create:
		dir = dir.with(b.name, b.id)
		dir.next++ // higher than in any set of collections before: see live.era
	case !exists || id != b.id:
		return fmt.Errorf("%w: %q", ErrNoCollection, b.name)
	}
	b.w.done = nil // change removes the runs if it fails
	err := s.install(nil, added, func(m *catalog.Manifest) {
		m.Commit = commit
		m.Collections, m.NextCollection = dir.metas(), dir.next
	}, func() {
		s.applied, s.visible, s.durable, s.dir, s.shown = commit, commit, commit, dir, dir
		s.dropStaleViews()
	})
	b.report.Commit = commit
	return err
}

// levelFor returns the lowest level at which a run can be placed whose records
// are newer than all others: neither there nor above is any record of its range,
// and there no run reaches over it. Above, runs may: one that was flushed often
// reaches over whole collections of which it holds nothing.
func (v *version) levelFor(first, last []byte) (int, error) {
	level := 0
	for l := range v.levels {
		over := v.overlapping(l, first, last)
		for _, r := range over {
			holds, err := r.holds(first, last)
			if holds || err != nil {
				return level, err
			}
		}
		if len(over) == 0 {
			level = l
		}
	}
	return level, nil
}

// holds reports whether a run has an entry within [first, last].
func (r *run) holds(first, last []byte) (bool, error) {
	it := r.NewIter()
	holds := it.SeekGE(first) && bytes.Compare(it.Key(), last) <= 0
	return holds, it.Close()
}

// Abort ends the load and removes what it wrote. After the end it does nothing.
func (b *Bulk) Abort() {
	b.kill(ErrTxClosed)
}

// kill ends the load from outside, once its operation under way is done.
func (b *Bulk) kill(why error) {
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		_ = b.end(why)
	}
}

// end removes what the load wrote and is not in the tree, and returns why. b.mu
// is held.
func (b *Bulk) end(why error) error {
	b.err = why
	b.w.abort()
	b.cancel()
	b.unlink()
	clear(b.key[:cap(b.key)])
	clear(b.last[:cap(b.last)])
	b.key, b.last = nil, nil
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	delete(b.s.bulks, b)
	return why
}

// endBulks ends every load that is under way.
func (s *session) endBulks(why error) {
	s.mu.Lock()
	open := make([]*Bulk, 0, len(s.bulks))
	for b := range s.bulks {
		open = append(open, b)
	}
	s.mu.Unlock()
	for _, b := range open {
		b.kill(why)
	}
}

// Bulk loads records from an ordered source as one commit: NewBulk, Add for each,
// Commit. The load is aborted when rows panics. Errors: as theirs; ErrOrder,
// ErrKeyTooLarge and ErrValueTooLarge end it too.
func (db *DB) Bulk(ctx context.Context, collection string, rows iter.Seq2[[]byte, []byte]) (BulkReport, error) {
	b, err := db.NewBulk(ctx, collection)
	if err != nil {
		return BulkReport{}, err
	}
	defer b.Abort()
	for key, value := range rows {
		if err := b.Add(key, value); err != nil {
			return BulkReport{}, fmt.Errorf("record %d: %w", b.report.Records+1, err)
		}
	}
	return b.Commit()
}
