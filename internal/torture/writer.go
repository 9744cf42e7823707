package torture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/clock"
)

// Config says how a process writes.
type Config struct {
	Dir  string // of the database
	Key  string // its key's URI
	Plan Plan
	Run  uint64 // number of the process: chooses options and the length of lives
	Sync engine.SyncMode

	// Lives is how often the database is opened, written to and closed; 0 means
	// until the process is killed.
	Lives int

	// Commits is how many commits a life has; 0 means that the plan chooses.
	Commits int

	// OutlastFailure makes a refusal of writes the expected end: then it is
	// checked that later writes are refused in the same way and that Close
	// returns. With ReadAfterFailure, and SyncFull, the contents are compared
	// before that, and the last acknowledged commit must be seen.
	OutlastFailure   bool
	ReadAfterFailure bool
}

// Write opens the database again and again, lets all writers of the plan
// commit beside a reader that compares what it sees, and closes it. It returns
// after cfg.Lives, or at the first error.
//
// Errors: ErrWrong, ErrLost; the engine's. With cfg.OutlastFailure, a write
// that is refused with engine.ErrFailed, and an opening that fails with the
// disk's error, end it without one.
func Write(ctx context.Context, cfg Config, r *Reporter) error {
	key, err := keyuri.Open(ctx, cfg.Key)
	if err != nil {
		return err
	}
	defer func() { _ = key.Close() }() // holds nothing that could fail
	for n := 0; cfg.Lives == 0 || n < cfg.Lives; n++ {
		goOn, err := cfg.live(ctx, key, r, cfg.Plan.hash(useLife, cfg.Run, uint64(n)))
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

// options chooses the settings of one opening.
func (cfg Config) options(h uint64) *engine.Options {
	return &engine.Options{
		MemtableSize: []int64{64 << 10, 256 << 10, 1 << 20, 4 << 20}[h%4],
		PageSize:     []int{4 << 10, 8 << 10, 16 << 10, 64 << 10}[h>>2%4],
		CacheSize:    []int64{1 << 20, 4 << 20, 16 << 20}[h>>4%3],
		Sync:         cfg.Sync,
	}
}

// fault reports whether an error is the disk's, and is taken for no other.
func fault(err error) bool {
	if errors.Is(err, engine.ErrCorrupt) || errors.Is(err, engine.ErrNotDatabase) {
		return false
	}
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC)
}

// A life is one opening of the database.
type life struct {
	Config
	db     *engine.DB
	r      *Reporter
	left   atomic.Int64
	failed atomic.Bool

	mu    sync.Mutex
	acked Commit // the last one in the order
	full  bool   // it failed for want of room, which may come back
}

// live is one life. It returns false when the database refuses writes, as was
// expected.
func (cfg Config) live(ctx context.Context, key crypt.Provider, r *Reporter, h uint64) (goOn bool, err error) {
	watch := clock.System()
	began := watch.Monotonic()
	db, err := engine.Open(ctx, cfg.Dir, key, cfg.options(h))
	if err != nil && cfg.OutlastFailure && fault(err) {
		return false, r.line("x")
	}
	if err != nil {
		return false, fmt.Errorf("open: %w", err)
	}
	if err := r.line("o %d", watch.Monotonic()-began); err != nil {
		return false, errors.Join(err, db.Close())
	}
	l := &life{Config: cfg, db: db, r: r}
	l.left.Store(int64(cfg.Commits))
	if cfg.Commits == 0 {
		l.left.Store(lifeLength(h >> 8))
	}
	if err := l.run(ctx); err != nil {
		return false, errors.Join(err, db.Close())
	}
	if l.failed.Load() {
		return false, l.outlast(ctx)
	}
	if err := r.line("c"); err != nil {
		return false, errors.Join(err, db.Close())
	}
	err = db.Close()
	if cfg.OutlastFailure && (errors.Is(err, engine.ErrFailed) || fault(err)) {
		return false, r.line("x")
	}
	return true, err
}

// lifeLength chooses the commits of a life: hardly any, some, or many.
func lifeLength(h uint64) int64 {
	return 1 + int64(h>>2%[]uint64{10, 100, 1000, 4000}[h%4])
}

// run lets the writers and a reader work until the life's commits are made.
func (l *life) run(ctx context.Context) error {
	errs := make([]error, l.Plan.Writers+1)
	var writers, reader sync.WaitGroup
	done := make(chan struct{})
	for w := range l.Plan.Writers {
		writers.Go(func() {
			for errs[w] == nil && !l.failed.Load() && l.left.Add(-1) >= 0 {
				errs[w] = l.transaction(w)
			}
		})
	}
	reader.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if err := l.read(ctx, i%l.Plan.Writers); err != nil {
				errs[l.Plan.Writers] = err
				return
			}
		}
	})
	writers.Wait()
	close(done)
	reader.Wait()
	return errors.Join(errs...)
}

// read compares one writer's part of a snapshot. When the disk is gone, it
// cannot be read either.
func (l *life) read(ctx context.Context, writer int) error {
	err := l.db.View(func(tx *engine.Tx) error { return l.Plan.checkWriter(ctx, tx, writer, &Outcome{}) })
	if err != nil && l.OutlastFailure && !errors.Is(err, ErrWrong) && !errors.Is(err, engine.ErrCorrupt) {
		return nil // the writers meet the same fault and report it
	}
	return err
}

// transaction makes the writer's next transaction and reports it.
func (l *life) transaction(writer int) error {
	tx, err := l.db.Begin(true)
	if err != nil {
		return l.refused(err)
	}
	defer func() { _ = tx.Rollback() }() // ErrTxClosed after Commit
	w, err := l.Plan.begin(tx, writer)
	if err != nil {
		return l.refused(err)
	}
	if err := w.apply(); err != nil {
		return l.refused(err)
	}
	if err := l.r.begun(w.Commit); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return l.refused(err)
	}
	l.mu.Lock()
	if w.N > l.acked.N {
		l.acked = w.Commit
	}
	l.mu.Unlock()
	return l.r.acked(w.Commit)
}

// refused notes that writes are refused, where that is expected.
func (l *life) refused(err error) error {
	if !l.OutlastFailure || errors.Is(err, ErrWrong) || errors.Is(err, engine.ErrCorrupt) {
		return err
	}
	l.mu.Lock()
	l.full = l.full || errors.Is(err, engine.ErrDiskFull)
	l.mu.Unlock()
	l.failed.Store(true)
	return nil
}

// outlast checks what holds after a refusal: writes stay refused, but on a full
// disk, reads go on, and Close returns.
func (l *life) outlast(ctx context.Context) error {
	if err := l.r.line("f"); err != nil {
		return err
	}
	if !l.full {
		err := l.db.Update(func(tx *engine.Tx) error {
			_, err := tx.CreateCollectionIfNotExists("after the failure")
			return err
		})
		if err == nil {
			return errors.New("a write after a failure must be refused; it was made")
		}
		if !errors.Is(err, engine.ErrFailed) {
			return fmt.Errorf("a write after a failure must be refused with ErrFailed; it returned: %w", err)
		}
	}
	if l.ReadAfterFailure {
		o, err := l.Plan.Check(ctx, l.db, nil)
		if err == nil && o.Head < l.acked.N {
			err = fmt.Errorf("%w: %v; the last commit to be seen is %d", ErrLost, l.acked, o.Head)
		}
		if err != nil {
			return fmt.Errorf("read after a failure: %w", err)
		}
		if err := l.r.line("v"); err != nil {
			return err
		}
	}
	if err := l.db.Close(); err != nil && !errors.Is(err, engine.ErrFailed) && !fault(err) {
		return fmt.Errorf("close after a failure: %w", err)
	}
	return nil
}

// work is one transaction in the making.
type work struct {
	Plan
	Commit
	tx     *engine.Tx
	order  *engine.Collection
	own    *engine.Collection
	epoch  uint64
	i      int // index in the epoch
	course uint64
}

// begin finds out which transaction is the writer's next, and its number in the
// order of all.
func (p Plan) begin(tx *engine.Tx, writer int) (*work, error) {
	w := &work{Plan: p, tx: tx, Commit: Commit{Writer: writer}}
	var err error
	if w.order, err = tx.CreateCollectionIfNotExists(orderName); err != nil {
		return nil, err
	}
	if w.own, err = tx.CreateCollectionIfNotExists(writerName); err != nil {
		return nil, err
	}
	cur := w.order.Cursor(nil, nil)
	if cur.Prev() {
		last, err := commitOf(cur.Key(), cur.Value())
		if err != nil {
			return nil, err
		}
		w.N = last.N
	}
	if err := errors.Join(cur.Err(), cur.Close()); err != nil {
		return nil, err
	}
	if w.Seq, err = lastSeq(w.own, writer); err != nil {
		return nil, err
	}
	w.N++
	w.Seq++
	w.epoch, w.i = epochOf(w.Seq)
	w.course = p.hash(useCourse, uint64(writer), w.Seq)
	return w, nil
}

// lastSeq returns the number of the writer's last transaction, 0 if it has
// none.
func lastSeq(own *engine.Collection, writer int) (uint64, error) {
	v, err := own.Get([]byte{byte(writer)})
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case len(v) != 12 || !sealed(v):
		return 0, fmt.Errorf("%w: writer %d has a record of %d bytes that was never written", ErrWrong, writer, len(v))
	}
	return binary.BigEndian.Uint64(v[4:]), nil
}

// apply makes the transaction's writes.
func (w *work) apply() error {
	if w.course%4 == 0 {
		if err := w.detour(); err != nil {
			return err
		}
	}
	if err := w.collections(); err != nil {
		return err
	}
	if w.Seq%bulkEvery == 0 {
		if err := w.bulk(); err != nil {
			return err
		}
	}
	if err := w.own.Put([]byte{byte(w.Writer)}, seal(binary.BigEndian.AppendUint64(make([]byte, 4), w.Seq))); err != nil {
		return err
	}
	if w.N > orderKept {
		if err := w.order.Delete(orderKey(w.N - orderKept)); err != nil {
			return err
		}
	}
	return w.order.Put(orderKey(w.N), w.orderValue())
}

// detour does what a savepoint undoes.
func (w *work) detour() error {
	sp := w.tx.Savepoint()
	c, err := w.tx.CreateCollection(fmt.Sprintf("never-%d", w.Writer))
	if err != nil {
		return err
	}
	for slot := range 20 {
		if err := c.Put(w.key(w.Writer, slot), fill(w.Writer, w.Seq, slot, 100, w.course)); err != nil {
			return err
		}
	}
	names, err := w.tx.Collections()
	if err != nil {
		return err
	}
	for _, name := range names[:int(w.course>>8%uint64(len(names)))] {
		if err := w.tx.DropCollection(name); err != nil {
			return err
		}
	}
	return w.tx.RollbackTo(sp)
}

// collections writes to the writer's newest collection and to the one before,
// and begins and drops collections at the beginning of an epoch.
func (w *work) collections() error {
	name := collectionName(w.Writer, w.epoch)
	newest, err := w.tx.CreateCollectionIfNotExists(name)
	if err != nil {
		return err
	}
	if err := w.put(newest, w.epoch, turn(w.i, newestTurn), newestTurn); err != nil {
		return err
	}
	if w.epoch == 0 {
		return nil
	}
	older, err := w.tx.Collection(collectionName(w.Writer, w.epoch-1))
	if err != nil {
		return err
	}
	if err := w.put(older, w.epoch-1, turn(w.i, olderTurn), olderTurn); err != nil {
		return err
	}
	if w.epoch < 2 || w.i > 0 {
		return nil
	}
	return w.tx.DropCollection(collectionName(w.Writer, w.epoch-2))
}

// put writes n slots of a collection, in descending order every other time.
func (w *work) put(c *engine.Collection, epoch uint64, first, n int) error {
	slots := make([]int, n)
	for i := range slots {
		slots[i] = first + i
	}
	if w.course>>4%2 == 0 {
		slices.Reverse(slots)
	}
	for _, slot := range slots {
		if err := set(c, w.key(w.Writer, slot), w.value(w.Writer, epoch, w.Seq, slot)); err != nil {
			return err
		}
	}
	return nil
}

// bulk writes every key of the writer's bulk collection.
func (w *work) bulk() error {
	c, err := w.tx.CreateCollectionIfNotExists(bulkName(w.Writer))
	if err != nil {
		return err
	}
	for slot := range bulkSlots {
		if err := set(c, w.key(w.Writer, slot), w.bulkValue(w.Writer, w.Seq, slot)); err != nil {
			return err
		}
	}
	return nil
}

// set puts a value, or deletes the record when there is none.
func set(c *engine.Collection, key, value []byte) error {
	if value == nil {
		return c.Delete(key)
	}
	return c.Put(key, value)
}
