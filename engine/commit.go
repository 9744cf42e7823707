package engine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/byokdb/byokdb/engine/internal/wal"
)

// frozenMax is how many full memtables may wait for their flush before a
// writer has to wait too.
const frozenMax = 2

// commit makes one batch durable and visible, in three steps: it is applied to
// the tip, where only later writers see it; it is written to the log, together
// with the batches of other committers, and synced once for all of them; then
// readers see the group, and it moves to the memtable. The caller holds the writer's
// token, which release gives back as soon as the next writer may begin. writes
// holds the batch's records, and is not written to any more.
//
// After an error nothing of the batch is visible; after a crash all of it may
// be, if the error came from the log. When the key went before the batch was
// written, it is undone. The batch's large values are not used any more when
// commit returns.
func (s *session) commit(batch *encoded, writes *table, release func()) error {
	s.pace(batch.size)
	f, err := s.apply(batch, writes)
	release()
	if err != nil {
		return err
	}
	err = s.awaitFate(f, s.db.opts.Sync == SyncFull)
	if err != nil && len(batch.large) > 0 {
		s.awaitLeader()
	}
	return err
}

// awaitLeader returns when nobody writes a group. After a failure nobody begins
// to.
func (s *session) awaitLeader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.leading {
		s.changed.Wait()
	}
}

// A fate is what becomes of the batches that are written together.
type fate struct {
	known bool
	err   error
}

// apply numbers a batch and applies it to the tip.
func (s *session) apply(batch *encoded, writes *table) (*fate, error) {
	if err := s.makeRoom(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return nil, s.failed
	}
	number := s.applied + 1
	if batch.commit() > number && s.undone != nil { // the writer had begun on what was undone
		return nil, s.undone
	}
	invariant(batch.commit() == number, "a batch is numbered by its writer")
	if s.tip == nil && !batch.collections { // the batch is all that the tip holds: nothing is copied
		s.tip = writes.ref()
	} else if err := s.applyTo(batch); err != nil {
		return nil, s.failLocked(fmt.Errorf("apply: %w", err)) // no memory: the tip is half a commit
	}
	s.applied = number
	s.pending = s.pending.add(batch)
	if s.fate == nil {
		s.fate = &fate{}
	}
	return s.fate, nil
}

// applyTo applies a batch to what the tip holds. s.mu is held.
func (s *session) applyTo(batch *encoded) error {
	if s.tip == nil {
		s.tip = s.db.takeTable()
	}
	return batch.apply(&target{mem: s.tip, dir: &s.dir})
}

// awaitFate returns when it is known what became of a batch. Whoever comes first
// writes for all who have applied by then; the others wait.
func (s *session) awaitFate(f *fate, sync bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for gathered := false; !f.known; {
		switch {
		case s.failed != nil:
			return s.failed
		case s.leading:
			s.changed.Wait()
		case sync && !gathered && s.crowd > 1:
			gathered = true
			s.gather()
		default:
			_ = s.lead(sync) // the fate tells
		}
	}
	return f.err
}

// gather lets those run who are ready to, as long as that brings more batches: the
// members of the group before would else miss this one, and half of all writers
// would take turns with the other half. s.mu is held, and released meanwhile.
func (s *session) gather() {
	for range gatherMax {
		n := s.applied
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
		if s.applied <= n {
			return
		}
	}
}

// gatherMax is how often a writer of a group lets others run before it.
const gatherMax = 16

// writeGroup hands what is pending to the log and syncs it. A sync of what the log
// has already needs no key. Errors: *KeyError and ErrDiskFull, with what was pending
// undone; ErrFailed.
func (s *session) writeGroup() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && (len(s.pending) > 0 || s.leading || s.durable < s.applied) {
		if s.leading {
			s.changed.Wait()
			continue
		}
		if err := s.lead(true); err != nil && s.failed == nil {
			return err
		}
	}
	return s.failed
}

// lead writes everything pending, as one frame unless it is large. s.mu is held,
// and released during the I/O; s.leading keeps others out meanwhile.
func (s *session) lead(sync bool) error {
	if len(s.pending) > 0 {
		if err := s.db.guard.Check(); err != nil {
			return s.undo(err)
		}
	}
	group, last, dir, f := s.pending, s.applied, s.dir, s.fate
	s.pending, s.spare, s.fate = s.spare, nil, nil
	s.flight, s.tip = s.tip, nil
	s.leading, s.crowd = true, last-s.visible
	s.mu.Unlock()

	var err error
	var few [8][]byte
	nWritten := 0
	for i := range group {
		if err == nil {
			_, err = s.log.Append(group[i].parts(few[:0])...)
		}
		if err == nil {
			nWritten++
		}
	}
	if err == nil && sync {
		err = s.log.Sync()
	}
	group = group.reset()
	size := s.log.Size()

	s.mu.Lock()
	s.logBytes = size
	s.spare = group
	if err == nil && sync {
		s.durable = last
	}
	if err == nil {
		err = s.publish(last, dir)
	}
	s.leading = false
	full := noRoom("commit", err)
	switch {
	case full != nil && nWritten == 0:
		s.flight.unref()
		s.flight = nil
		err = s.undo(full) // and what came on top meanwhile
	case err != nil:
		err = s.failLocked(err)
	}
	if f != nil {
		f.known, f.err = true, err
	}
	s.changed.Broadcast()
	return err
}

// undo takes back every batch that was applied and not written, because the key
// went or the disk is full: what readers see becomes the tip, and their committers
// return why. So nothing is sealed after the lease, and nothing comes to light later
// of which a committer was told that it failed. A writable transaction that began on
// top of them is refused at its Commit. s.mu is held, and nobody writes a group.
func (s *session) undo(why error) error {
	s.tip.unref()
	s.tip, s.dir, s.applied = nil, s.shown, s.visible
	s.pending = s.pending.reset()
	if s.fate != nil {
		s.fate.known, s.fate.err = true, why
	}
	s.fate, s.undone = nil, why
	s.changed.Broadcast()
	return why
}

// groupKeepMax is the largest buffer for batches, in bytes, that is kept.
const groupKeepMax = 4 << 20

// makeRoom freezes a full memtable and begins a new segment of the log with the
// next one. The caller holds the writer's token, so nothing is applied
// meanwhile.
func (s *session) makeRoom() error {
	s.mu.Lock()
	full := s.mem.Bytes() >= s.db.opts.MemtableSize
	var err error
	for full && len(s.frozen) >= frozenMax && s.failed == nil && s.ctx.Err() == nil {
		if err = s.db.guard.Check(); err != nil {
			break // without the key nothing is flushed: the writer must not wait for it
		}
		if err = s.full.flush; err != nil {
			break
		}
		s.changed.Wait()
	}
	s.mu.Unlock()
	switch {
	case !full || err != nil:
		return err
	case s.ctx.Err() != nil: // paused or closed while the flush was awaited
		return s.ended()
	}
	return s.freeze()
}

// freeze moves the memtable to those that wait for their flush. The caller
// holds the writer's token.
func (s *session) freeze() error {
	_, err := s.freezeMem()
	return err
}

// freezeMem is freeze that returns the table.
func (s *session) freezeMem() (*table, error) {
	if err := s.writeGroup(); err != nil { // a run never holds what the log does not
		return nil, err
	}
	if err := s.settled(); err != nil {
		return nil, err
	}
	floor, err := s.log.Rotate()
	if full := noRoom("begin log segment", err); full != nil {
		return nil, full
	}
	if err != nil {
		return nil, s.fail(fmt.Errorf("begin log segment: %w", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.mem
	s.freezeAt(floor)
	kick(s.flushes)
	return t, nil
}

// freezeAt moves the memtable to those that wait, where the log goes on behind
// it at floor. s.mu is held, or nobody else has the session yet.
func (s *session) freezeAt(floor wal.Floor) {
	s.mem.floor, s.mem.dir, s.mem.last = floor, s.dir, s.applied
	s.frozen = append(s.frozen, s.mem)
	s.mem = newTable(freeTable)
}

// syncer makes commits durable every SyncPeriod.
func (s *session) syncer() {
	t := time.NewTicker(SyncPeriod)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
			_ = s.writeGroup() // sticky: the next commit reports it
		}
	}
}

// acquireWriter waits for the writer's token, until the key goes: whoever holds
// it may then have to wait for the key.
func (db *DB) acquireWriter(ctx context.Context) error {
	select {
	case db.writer <- struct{}{}:
		return nil
	default:
	}
	for {
		gone := db.keyGone() // taken before the look at the key, which it must not miss
		if err := db.check(); err != nil {
			return err
		}
		select {
		case db.writer <- struct{}{}:
			return nil
		case <-gone:
		case <-ctx.Done():
			return fmt.Errorf("wait for the writer: %w", ctx.Err())
		case <-db.closing:
			return ErrClosed
		}
	}
}

// keyGone returns a channel that is closed when the key becomes unavailable.
func (db *DB) keyGone() <-chan struct{} {
	db.txMu.Lock()
	defer db.txMu.Unlock()
	if db.gone == nil {
		db.gone = make(chan struct{})
	}
	return db.gone
}

func (db *DB) releaseWriter() { <-db.writer }
