package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/internal/scrub"
)

// Tx is a transaction: a snapshot of the database and, if it is writable, the
// writes on top of it, which only it sees before Commit. A transaction and what
// was got from it belong to one goroutine at a time.
//
// When the key becomes unavailable, every method returns a *[KeyError]; if it
// comes back before memory is wiped, the transaction goes on. A transaction
// that was open while memory was wiped, or the database closed, has ended.
type Tx struct {
	db       *DB
	s        *session
	writable bool // as it was begun; never changed

	next, prev *Tx // in the list of open ones; db.txMu guards them

	mu       sync.Mutex  // one operation at a time; a pause waits for it
	err      error       // why the transaction has ended
	over     atomic.Bool // err is not nil; for those who do not hold mu
	token    bool        // it holds the writer's
	base     uint64      // number of the last commit in the snapshot
	seen     *view       // the snapshot; nil until a writable transaction reads
	dir      *directory
	stamp    *byte  // of the directory that it began with
	writes   *table // of a writable transaction
	created  map[uint32]string
	dropped  []uint32
	nWrites  int // operations since the snapshot, collections included
	nBytes   int64
	cursors  map[*Cursor]struct{}
	readers  map[*ValueReader]struct{} // of values in runs
	spills   map[*Spill]struct{}
	kept     keeper
	keyBuf   []byte
	valueBuf []byte

	// Room for the two buffers: enough for most reads.
	keyRoom   [256]byte
	valueRoom [256]byte
}

// Begin starts a transaction. A writable one waits until no other is open.
// Errors: ErrClosed, *KeyError; ErrFailed for a writable one after a write
// failed.
func (db *DB) Begin(writable bool) (*Tx, error) {
	return db.BeginContext(context.Background(), writable)
}

// BeginContext is Begin, giving up when ctx ends while it waits for the writer.
func (db *DB) BeginContext(ctx context.Context, writable bool) (*Tx, error) {
	if writable {
		if err := db.check(); err != nil {
			return nil, err
		}
		if err := db.acquireWriter(ctx); err != nil {
			return nil, err
		}
	}
	tx := &Tx{db: db, writable: writable}
	if err := tx.begin(); err != nil {
		if writable {
			db.releaseWriter()
		}
		return nil, err
	}
	return tx, nil
}

// Renew begins a read-only transaction that has ended once more, on the newest
// snapshot, in the memory that it has: for those who read a row at a time. It
// reports whether collections got from it before can be used again, since none
// was created or dropped in between; nothing else that was got from it can.
// Errors: those of Begin; the transaction has still ended then.
func (tx *Tx) Renew() (same bool, err error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	switch {
	case tx.writable:
		return false, errors.New("renew: the transaction is writable")
	case tx.err == nil:
		return false, errors.New("renew: the transaction has not ended")
	}
	stamp := tx.stamp
	if err := tx.begin(); err != nil {
		return false, err
	}
	tx.err = nil
	tx.over.Store(false)
	return tx.stamp == stamp, nil
}

// begin takes the newest snapshot and puts the transaction on the list.
func (tx *Tx) begin() error {
	scrub.Prepare() // no row has been on the Go heap until now
	db := tx.db
	db.txMu.Lock()
	defer db.txMu.Unlock()
	if err := db.check(); err != nil { // a pause takes the session under txMu
		return err
	}
	tx.s = db.session
	if tx.s == nil {
		return db.unavailable()
	}
	if tx.writable {
		if err := tx.s.failure(); err != nil { // the tip has what failed
			return err
		}
		tx.token = true
		tx.dir, tx.base = tx.s.atTip()
		tx.writes = db.takeTable()
	} else {
		v, err := tx.s.readView()
		if err != nil {
			return err
		}
		tx.seen, tx.dir, tx.base = v, v.dir, v.commit
	}
	tx.stamp = tx.dir.stamp
	tx.keyBuf, tx.valueBuf = tx.keyRoom[:0], tx.valueRoom[:0]
	if tx.next = db.txs; tx.next != nil {
		tx.next.prev = tx
	}
	db.txs = tx
	return nil
}

// view returns the snapshot. A transaction that only writes needs none. tx.mu is
// held.
func (tx *Tx) view() *view {
	if tx.seen == nil {
		tx.seen = tx.s.writeView()
	}
	return tx.seen
}

// Update runs fn in a writable transaction and commits it, or rolls it back if
// fn returns an error or panics.
func (db *DB) Update(fn func(tx *Tx) error) error {
	tx, err := db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // ErrTxClosed after Commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// View runs fn on a snapshot.
func (db *DB) View(fn func(tx *Tx) error) error {
	tx, err := db.Begin(false)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to report
	return fn(tx)
}

// enter begins an operation. When it returns nil, leave must follow.
func (tx *Tx) enter() error {
	tx.mu.Lock()
	err := tx.err
	if err == nil {
		err = tx.db.guard.Check()
	}
	if err != nil {
		tx.mu.Unlock()
	}
	return err
}

func (tx *Tx) leave() { tx.mu.Unlock() }

// serves reports whether an operation may begin that touches no memory which a
// pause wipes, and so need not be waited for.
func (tx *Tx) serves() bool { return !tx.over.Load() && tx.db.guard.Check() == nil }

// enterWrite begins an operation that writes.
func (tx *Tx) enterWrite() error {
	if err := tx.enter(); err != nil {
		return err
	}
	var err error
	switch {
	case !tx.writable:
		err = ErrReadOnly
	case tx.nBytes > TxSizeMax:
		err = ErrTxTooLarge
	default:
		return nil
	}
	tx.leave()
	return err
}

// Check returns nil while the transaction can be used. Bytes from the Unsafe
// methods may be used as data only once a later Check returned nil: memory may
// be wiped under them.
func (tx *Tx) Check() error {
	if err := tx.enter(); err != nil {
		return err
	}
	tx.leave()
	return nil
}

// Poll returns an error once operations of the transaction are refused, as Check
// does, but takes no lock: what takes long while an operation is under way, as
// in the function that Visit calls, asks it so that neither a pause nor Close need
// wait.
func (tx *Tx) Poll() error {
	if err := tx.db.check(); err != nil {
		return err
	}
	if tx.over.Load() {
		return ErrTxClosed
	}
	return nil
}

// Writable reports whether the transaction was begun to write.
func (tx *Tx) Writable() bool { return tx.writable }

// Base returns the number of the last commit that the transaction's snapshot
// holds; 0 when it has ended. Read-only transactions of one DB with the same
// number see the same.
func (tx *Tx) Base() uint64 {
	if tx.over.Load() {
		return 0
	}
	return tx.base // only its own goroutine sets it, when it begins
}

// DB returns the database.
func (tx *Tx) DB() *DB { return tx.db }

// Commit makes the transaction's writes durable, as Options.Sync says, and
// visible, and ends it. After an error nothing of it is visible in this
// process, but to a writable transaction that began while the commit was being
// written, and that cannot commit either. If the error is ErrFailed, all of it
// may be there after reopening, or nothing; if it is a *KeyError or ErrDiskFull,
// nothing. A
// commit whose writing began before the key went ends as it would have. Errors:
// ErrTxClosed, ErrReadOnly, ErrTxTooLarge, *KeyError, ErrDiskFull, ErrFailed.
func (tx *Tx) Commit() error {
	if err := tx.enterWrite(); err != nil {
		if errors.Is(err, ErrKeyUnavailable) || errors.Is(err, ErrTxTooLarge) {
			_ = tx.Rollback() // the writer's token must not wait for the key
		}
		return err
	}
	defer tx.leave()
	if tx.nWrites == 0 {
		tx.end(ErrTxClosed)
		return nil
	}
	batch := tx.encode()
	release := sync.OnceFunc(tx.db.releaseWriter)
	err := tx.s.commit(&batch, tx.writes, release)
	batch.reset()
	tx.db.keepBatch(batch.buf)
	tx.token = false // it is given back
	tx.end(ErrTxClosed)
	return err
}

// Rollback ends the transaction without a trace. After the end it returns
// ErrTxClosed.
func (tx *Tx) Rollback() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.err != nil {
		err := tx.err
		tx.err = ErrTxClosed
		return err
	}
	tx.end(ErrTxClosed)
	return nil
}

// end releases everything that the transaction holds; later operations return
// why. tx.mu is held.
func (tx *Tx) end(why error) {
	tx.err = why
	tx.over.Store(true)
	if tx.spills != nil {
		tx.endSpills()
	}
	if tx.cursors != nil { // walking a nil map takes longer than this
		for c := range tx.cursors {
			_ = c.release() // its error was the reader's to see
		}
	}
	if tx.readers != nil {
		for r := range tx.readers {
			_ = r.release() // address space, nothing else
		}
	}
	tx.s.unref(tx.seen)
	tx.kept.wipe()
	wipeBuffer(tx.keyBuf, tx.keyRoom[:])
	wipeBuffer(tx.valueBuf, tx.valueRoom[:])
	tx.seen, tx.dir, tx.cursors, tx.keyBuf, tx.valueBuf = nil, nil, nil, nil, nil
	tx.created, tx.dropped = nil, nil
	tx.writes.unref()
	tx.writes = nil
	if tx.token {
		tx.token = false
		tx.db.releaseWriter()
	}
	tx.db.forget(tx)
}

// wipeBuffer zeroes a buffer and the room that it began in, once where it is
// there still.
func wipeBuffer(buf, room []byte) {
	clear(room)
	if buf = buf[:cap(buf)]; len(buf) > 0 && &buf[0] != &room[0] {
		clear(buf)
	}
}

// ended says why the transaction has ended; ErrTxClosed if it has not.
func (tx *Tx) ended() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.err != nil {
		return tx.err
	}
	return ErrTxClosed
}

// encode returns the transaction's writes as a batch: creations first, then
// records in order, drops last. Large values stay in the transaction's table,
// until that is given back.
func (tx *Tx) encode() encoded {
	b := beginBatch(tx.db.takeBatch(), tx.base+1)
	for _, id := range sortedIDs(tx.created) {
		b.op(opCreate, id, []byte(tx.created[id]))
	}
	it := tx.writes.Still().NewIter()
	for ok := it.First(); ok; ok = it.Next() {
		id, key := splitKey(it.Key())
		if slices.Contains(tx.dropped, id) {
			continue
		}
		if it.Kind() == memtable.Tombstone {
			b.op(opDelete, id, key)
			continue
		}
		value, err := it.Value()
		invariant(err == nil, "a memtable's values are in memory")
		b.op(opPut, id, key)
		b.value(value)
	}
	for _, id := range tx.dropped {
		b.op(opDrop, id, nil)
	}
	b.endBatch()
	return b
}

func sortedIDs(m map[uint32]string) []uint32 {
	out := make([]uint32, 0, len(m))
	for id := range m {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// A Savepoint is a state of a writable transaction to which it can return.
type Savepoint struct {
	tx      *Tx
	writes  *memtable.View
	dir     *directory
	created map[uint32]string
	dropped []uint32
	nWrites int
	nBytes  int64
}

// Savepoint marks the present state. It costs O(1) plus the collections
// created and dropped, and is valid until the transaction ends. A transaction
// that is read-only or has ended has no state to mark: RollbackTo reports it.
func (tx *Tx) Savepoint() Savepoint {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.writes == nil {
		return Savepoint{}
	}
	return Savepoint{
		tx: tx, writes: tx.writes.Snapshot(), dir: tx.dir, created: maps.Clone(tx.created),
		dropped: slices.Clone(tx.dropped), nWrites: tx.nWrites, nBytes: tx.nBytes,
	}
}

// RollbackTo undoes what came after sp, which stays valid. Collections that
// were created after it must not be used any more; cursors keep their snapshot.
// It needs no key: what failed because the key went must not stay half done in a
// transaction that goes on when the key is back. Errors: why the transaction has
// ended; ErrReadOnly.
func (tx *Tx) RollbackTo(sp Savepoint) error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.err != nil {
		return tx.err
	}
	if !tx.writable {
		return ErrReadOnly
	}
	if sp.tx != tx {
		return errors.New("the savepoint belongs to another transaction")
	}
	tx.writes.Restore(sp.writes)
	tx.dir, tx.nWrites, tx.nBytes = sp.dir, sp.nWrites, sp.nBytes
	tx.created, tx.dropped = maps.Clone(sp.created), slices.Clone(sp.dropped)
	return nil
}

// CreateCollection makes an empty collection. Names have 1 to 1024 bytes.
// Errors: ErrCollectionExists, ErrCollectionName, ErrReadOnly.
func (tx *Tx) CreateCollection(name string) (*Collection, error) {
	if len(name) == 0 || len(name) > collectionNameMax {
		return nil, ErrCollectionName
	}
	if err := tx.enterWrite(); err != nil {
		return nil, err
	}
	defer tx.leave()
	if _, ok := tx.dir.ids[name]; ok {
		return nil, fmt.Errorf("%w: %q", ErrCollectionExists, name)
	}
	tx.s.mu.Lock()
	id := max(tx.dir.next, tx.s.reserved)
	tx.s.mu.Unlock()
	tx.dir = tx.dir.with(name, id)
	if tx.created == nil {
		tx.created = make(map[uint32]string)
	}
	tx.created[id] = name
	tx.nWrites++
	tx.nBytes += int64(len(name)) + operationSize
	return &Collection{tx: tx, id: id, name: name}, nil
}

// CreateCollectionIfNotExists makes a collection or returns the one there is.
func (tx *Tx) CreateCollectionIfNotExists(name string) (*Collection, error) {
	c, err := tx.Collection(name)
	if errors.Is(err, ErrNoCollection) {
		return tx.CreateCollection(name)
	}
	return c, err
}

// Collection returns a collection, valid until the transaction ends.
// Errors: ErrNoCollection.
func (tx *Tx) Collection(name string) (*Collection, error) {
	if err := tx.enter(); err != nil {
		return nil, err
	}
	defer tx.leave()
	id, ok := tx.dir.ids[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoCollection, name)
	}
	return &Collection{tx: tx, id: id, name: name}, nil
}

// DropCollection removes a collection with its records; their space returns
// with later compactions. Errors: ErrNoCollection, ErrReadOnly.
func (tx *Tx) DropCollection(name string) error {
	if err := tx.enterWrite(); err != nil {
		return err
	}
	defer tx.leave()
	id, ok := tx.dir.ids[name]
	if !ok {
		return fmt.Errorf("%w: %q", ErrNoCollection, name)
	}
	tx.dir = tx.dir.without(id)
	tx.dropped = append(tx.dropped, id)
	tx.nWrites++
	tx.nBytes += operationSize
	return nil
}

// Collections returns the names of all collections, sorted.
func (tx *Tx) Collections() ([]string, error) {
	if err := tx.enter(); err != nil {
		return nil, err
	}
	defer tx.leave()
	return tx.dir.names(), nil
}
