// Package engine is the database: collections of ordered records, in
// transactions with snapshot isolation, sealed under the customer's own key.
//
// Recent writes are in a write-ahead log and a memtable, older ones in a
// log-structured tree of immutable B-tree files. Everything that the key makes
// readable belongs to a session, which is wiped as a whole when the key stays
// away or the database is closed; see ARCHITECTURE.md.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/wal"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/internal/vfs"
	"github.com/byokdb/byokdb/pager"
)

// DB is an open database. Safe for concurrent use.
type DB struct {
	dir    string
	opts   Options
	log    *slog.Logger
	clock  clock.Clock
	key    crypt.Provider
	drill  *drillKey // key, once more: what a drill controls
	policy Policy
	cat    *catalog.Catalog
	clear  catalog.Clear
	guard  *guard.Guard

	sched    *guard.Scheduler
	ownSched bool
	cache    *pager.Cache
	ownCache bool
	inFleet  bool // counted there

	opening uint64 // see Opening

	writer  chan struct{} // holds the writer's token
	keyOps  chan struct{} // holds the right to change which DEKs there are
	closing chan struct{} // closed by Close
	life    context.Context
	endLife context.CancelFunc // by Close: ends calls at the KMS
	nViews  atomic.Int64
	nSpills atomic.Uint64 // temporary files that were named
	spilled atomic.Int64  // bytes in those that are open

	txMu     sync.Mutex
	session  *session // nil while paused, erased or closed
	txs      *Tx      // the open ones, in a list
	wipes    []func()
	gone     chan struct{}  // closed when the key becomes unavailable; nil when nobody waits for that
	lastly   *wiped         // what the last wipe wiped
	rescrubs sync.WaitGroup // of pauses that scrub once more
	ending   *session       // is being wiped
	least    Position       // what the next session must not be older than
	failed   error          // of an earlier session: writes are refused until the next opening

	envMu     sync.Mutex
	envelopes []*crypt.Envelope // by epoch; the slice is replaced, never changed

	rotationHeld  atomic.Bool   // by PauseRotation
	materialAsked time.Duration // clock.Monotonic; maintainKeys alone uses it

	traffic vfs.Traffic // of all files but the catalog's

	spareMu     sync.Mutex
	spareTables []*table // of writable transactions, wiped
	spareBatch  []byte
}

// Open opens the database in dir with its key, or creates it there: an absent
// or empty directory becomes a database of that key for life. ctx bounds the
// opening, not the database. The provider stays the caller's to close, after
// the database.
//
// Errors: ErrNotExist, ErrExist, ErrNotDatabase, ErrInUse, ErrTooNew,
// ErrWrongKey, ErrCorrupt, ErrErased, ErrStale for a state before
// Options.MinPosition, *KeyError when the key cannot be used.
func Open(ctx context.Context, dir string, key crypt.Provider, o *Options) (*DB, error) {
	if key == nil {
		return nil, errors.New("open database: a key provider is needed; see package crypt/keyuri")
	}
	db := &DB{
		dir: dir, opts: o.withDefaults(), drill: &drillKey{Provider: key},
		writer: make(chan struct{}, 1), keyOps: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	db.opts.fs = vfs.Counting(db.opts.fs, &db.traffic)
	db.key, db.opening = db.drill, newOpening()
	db.life, db.endLife = context.WithCancel(context.Background())
	db.log, db.clock, db.least = db.opts.Logger, db.opts.clock, db.opts.MinPosition
	if err := db.opts.check(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	exists, err := db.exists()
	switch {
	case err != nil:
		return nil, err
	case exists && db.opts.MustCreate:
		return nil, fmt.Errorf("%s: %w", dir, ErrExist)
	case !exists && !db.least.IsZero():
		return nil, fmt.Errorf("%w: %w", &staleError{dir: dir, what: "there is none, and a position of one was given"}, ErrNotExist)
	case !exists && db.opts.MustExist:
		return nil, fmt.Errorf("%s: %w", dir, ErrNotExist)
	case !exists:
		if err := db.create(ctx); err != nil {
			return nil, translate(err)
		}
	}
	if err := db.open(ctx); err != nil {
		return nil, translate(err)
	}
	return db, nil
}

// Opening returns a random number, which no other opening of a database has:
// what a program marks with it, its next opening knows to be left behind.
func (db *DB) Opening() uint64 { return db.opening }

// exists tells whether the directory holds a database, and refuses one that
// holds something else.
func (db *DB) exists() (bool, error) {
	names, err := db.opts.fs.List(db.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open database: %w", err)
	}
	strangers := 0
	for _, name := range names {
		switch name {
		case catalog.FileName:
			return true, nil
		case walDir, runDir, catalog.TempName: // an unfinished creation
		default:
			strangers++
		}
	}
	if strangers > 0 {
		return false, fmt.Errorf("%s: %w: the directory holds other files and no %s", db.dir, ErrNotDatabase, catalog.FileName)
	}
	return false, nil
}

// create makes an empty database. Its catalog comes last and whole: before that
// the directory holds none.
func (db *DB) create(ctx context.Context) error {
	policy := db.opts.Policy.WithDefaults()
	warnings, err := policy.Validate()
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	for _, w := range warnings {
		db.log.Warn(w)
	}
	ctx, cancel := context.WithTimeout(ctx, policy.ProbeTimeout)
	defer cancel()
	id := newID()
	if err := db.key.Check(ctx); err != nil {
		return db.keyError(err, guard.Record{})
	}
	dek, env, _, err := db.generate(ctx, crypt.Context{Database: id, Purpose: crypt.PurposeData, Epoch: 1})
	if err != nil {
		return db.keyError(err, guard.Record{})
	}
	ring := crypt.NewKeyRing()
	ring.Add(1, dek)
	defer ring.Wipe()
	return db.write(ring, env, policy, db.clock.Now())
}

// write puts a new database on disk.
func (db *DB) write(ring *crypt.KeyRing, env *crypt.Envelope, policy Policy, now time.Time) error {
	encoded, err := policy.MarshalBinary()
	if err != nil {
		return err
	}
	record, err := guard.Record{LastGood: now}.MarshalBinary()
	if err != nil {
		return err
	}
	files := db.opts.fs
	if err := db.makeDirs(); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	db.clear = catalog.Clear{
		Database: env.Database, Created: now, KeyID: db.key.KeyID(), KeyURI: db.key.URI(),
		Development: db.key.Development(), Policy: encoded,
	}
	floor, err := wal.Create(db.walConfig(ring))
	if err != nil {
		return err
	}
	m := &catalog.Manifest{
		Generation: 1, Floor: floor, NextRun: 1, NextCollection: 1, KeyID: db.clear.KeyID, Policy: encoded,
	}
	sealed, err := m.Seal(ring, env.Database)
	if err != nil {
		return err
	}
	return catalog.Create(files, db.dir, db.clear, env, sealed, record)
}

// makeDirs makes the database's directories. Their names are durable before
// there is a catalog: an opening that finds one does not look at what is above.
func (db *DB) makeDirs() error {
	files, dir := db.opts.fs, filepath.Clean(db.dir)
	toSync := []string{filepath.Dir(dir)} // also when an earlier creation has made dir
	for d := filepath.Dir(dir); d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := files.List(d); !errors.Is(err, fs.ErrNotExist) {
			break // it is there, or that is not for us to know
		}
		toSync = append(toSync, filepath.Dir(d))
	}
	for _, d := range []string{dir, filepath.Join(dir, walDir), filepath.Join(dir, runDir)} {
		if err := files.MkdirAll(d); err != nil {
			return err
		}
	}
	for _, d := range toSync {
		if err := files.SyncDir(d); err != nil {
			return err
		}
	}
	return nil
}

// open opens an existing database.
func (db *DB) open(ctx context.Context) (err error) {
	db.cat, err = catalog.Open(db.opts.fs, db.dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = db.release() // the first error is the one to report
		}
	}()
	contents := db.cat.Contents()
	db.clear, db.envelopes = contents.Clear, contents.Envelopes
	if err := db.least.admitDatabase(db.dir, db.clear.Database); err != nil {
		return err
	}
	if contents.Tombstone != nil {
		return db.finishErasure(contents.Tombstone)
	}
	if have := db.key.KeyID(); have != db.clear.KeyID {
		return &wrongKeyError{dir: db.dir, want: db.clear.KeyID, have: have}
	}
	if err := db.policy.UnmarshalBinary(db.clear.Policy); err != nil {
		return refusal(err)
	}
	var record guard.Record
	if err := record.UnmarshalBinary(contents.Guard); err != nil {
		return refusal(err)
	}
	if record.Sequence, err = lastEvent(contents.Journal, record.Sequence); err != nil {
		return err
	}
	if record.State == guard.Erased { // erasing begins with the tombstone: somebody edited the record
		return fmt.Errorf("%w: %s: the guard's record says erased, and there is no tombstone", ErrCorrupt, catalog.FileName)
	}
	if err := db.share(); err != nil {
		return err
	}
	sent := db.sched.Now()
	if record.Class == crypt.ClassDenied || !record.FirstDenied.IsZero() { // the KEK's own answer has to take the denial back
		ctx = crypt.PrimaryOnly(ctx)
	}
	ring, err := db.unwrapAll(ctx)
	if err != nil {
		return db.refuse(err, record)
	}
	s, err := openSession(db, ring)
	if err != nil {
		_ = db.opts.scrub() // rows were read until then
		return err
	}
	if contents.Retiring { // a crash came in between
		if err := db.cat.FinishRetirement(); err != nil {
			s.wipe()
			return fmt.Errorf("destroy old data keys: %w", err)
		}
	}
	db.removeSpills()
	db.session = s
	db.guard, err = guard.Start(db.guardConfig(), record, sent)
	if err != nil {
		s.wipe()
		_ = db.opts.scrub()
		return err
	}
	s.start()
	return nil
}

// share takes what databases may share from the fleet, or makes it.
func (db *DB) share() (err error) {
	db.cache = db.opts.Cache
	if f := db.opts.Fleet; f != nil {
		if err := f.enter(); err != nil {
			return err
		}
		db.inFleet, db.sched = true, f.sched
		if db.cache == nil {
			db.cache = f.cache
		}
	}
	if db.sched == nil {
		db.sched, err = guard.NewScheduler(guard.SchedulerOptions{Clock: db.clock, Logger: db.log})
		if err != nil {
			return err
		}
		db.ownSched = true
	}
	if db.cache == nil {
		if db.cache, err = pager.NewCache(db.opts.CacheSize); err != nil {
			return err
		}
		db.ownCache = true
	}
	return nil
}

// release closes what outlives sessions.
func (db *DB) release() error {
	err := db.cat.Close()
	if db.ownSched {
		db.sched.Close()
	}
	if db.inFleet {
		db.opts.Fleet.leave()
	}
	if db.ownCache {
		if cerr := db.cache.Close(); err == nil {
			err = cerr
		}
	}
	return err
}

// Check returns nil while the key may be used, else a *KeyError, or ErrClosed.
// Whoever keeps what was read checks before giving it away.
func (db *DB) Check() error { return db.check() }

// check is the first line of every operation of the database.
func (db *DB) check() error {
	select {
	case <-db.closing:
		return ErrClosed
	default:
		return db.guard.Check()
	}
}

// unavailable says why there is no session. db.txMu is held.
func (db *DB) unavailable() error {
	if err := db.check(); err != nil {
		return err
	}
	return &KeyError{State: Paused, KeyID: db.clear.KeyID, Message: "the database is coming back"}
}

// OnWipe registers a function that is called whenever memory is wiped, before
// the Go heap is scrubbed: it drops and zeroes what its owner keeps of the
// database's contents. It must not call the database.
func (db *DB) OnWipe(fn func()) {
	db.txMu.Lock()
	defer db.txMu.Unlock()
	db.wipes = append(db.wipes, fn)
}

// Close ends open transactions, makes what is committed durable, wipes memory
// and closes the database. Later calls return ErrClosed.
func (db *DB) Close() error {
	db.txMu.Lock()
	select {
	case <-db.closing:
		db.txMu.Unlock()
		return ErrClosed
	default:
	}
	close(db.closing)
	db.endLife()
	db.txMu.Unlock()

	w, err := db.dropSession(ErrClosed, func(s *session) error {
		if db.guard.Check() != nil {
			return s.syncLog() // without the key there is nothing to write
		}
		return s.finish()
	})
	db.guard.Close()        // a pause or return under way ends first
	db.keyOps <- struct{}{} // and so does a rotation, and none begins any more
	db.rescrubs.Wait()
	db.scrub(w) // only now: a probe under way had the DEK in hand
	if rerr := db.release(); err == nil {
		err = rerr
	}
	return translate(err)
}

// forget takes an ended transaction off the list.
func (db *DB) forget(tx *Tx) {
	db.txMu.Lock()
	defer db.txMu.Unlock()
	if tx.prev != nil {
		tx.prev.next = tx.next
	} else {
		db.txs = tx.next
	}
	if tx.next != nil {
		tx.next.prev = tx.prev
	}
	tx.next, tx.prev = nil, nil
}

// takeTable returns an empty memtable for a writable transaction.
func (db *DB) takeTable() *table {
	db.spareMu.Lock()
	defer db.spareMu.Unlock()
	n := len(db.spareTables)
	if n == 0 {
		return newTable(db.returnTable)
	}
	t := db.spareTables[n-1]
	db.spareTables[n-1] = nil
	db.spareTables = db.spareTables[:n-1]
	t.refs.Store(1)
	return t
}

// returnTable wipes a transaction's memtable and keeps it for another.
func (db *DB) returnTable(t *table) {
	db.spareMu.Lock()
	n := len(db.spareTables)
	db.spareMu.Unlock()
	keep := 0
	if n < spareLargeMax {
		keep = spareLargeSize
	}
	t.Reset(keep)
	db.spareMu.Lock()
	defer db.spareMu.Unlock()
	if len(db.spareTables) < spareTablesMax {
		db.spareTables = append(db.spareTables, t)
		return
	}
	t.Free()
}

// spareTablesMax is for how many writers, whose commits are written together, a
// memtable each is kept: 16 KiB, and a few large ones for those who write much at
// once.
const (
	spareTablesMax = 32
	spareLargeMax  = 4
	spareLargeSize = 256 << 10 // bytes
)

// freeSpares gives back what is kept for later transactions.
func (db *DB) freeSpares() {
	db.spareMu.Lock()
	defer db.spareMu.Unlock()
	for _, t := range db.spareTables {
		t.Free()
	}
	db.spareTables = nil
	clear(db.spareBatch[:cap(db.spareBatch)])
	db.spareBatch = nil
}

func (db *DB) takeBatch() []byte {
	db.spareMu.Lock()
	defer db.spareMu.Unlock()
	b := db.spareBatch
	db.spareBatch = nil
	return b[:0]
}

// keepBatch keeps a wiped buffer for the next commit.
func (db *DB) keepBatch(b []byte) {
	if cap(b) > groupKeepMax {
		return
	}
	db.spareMu.Lock()
	defer db.spareMu.Unlock()
	db.spareBatch = b
}
