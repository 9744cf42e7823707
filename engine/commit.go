package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/engine/internal/wal"
)

// frozenMax is how many full memtables may wait for their flush before a
// writer has to wait too.
const frozenMax = 2

// commit makes one batch durable and visible, in three steps: it is applied to
// the memtable, where only later writers see it; it is written to the log,
// together with the batches of other committers, and synced once for all of
// them; then it is published to readers. The caller holds the writer's token,
// which release gives back as soon as the next writer may begin.
//
// After an error nothing of the batch is visible; after a crash all of it may
// be, if the error came from the log. The batch's large values are not used any
// more when commit returns.
func (s *session) commit(batch *encoded, release func()) error {
	s.pace(batch.size)
	number, err := s.apply(batch)
	release()
	if err != nil {
		return err
	}
	if s.db.opts.Sync == SyncFull {
		err = s.awaitDurable(number)
	} else {
		err = s.writeGroup(false)
	}
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

// apply numbers a batch and applies it to the memtable.
func (s *session) apply(batch *encoded) (uint64, error) {
	if err := s.makeRoom(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	switch { // keep the visible state for readers before the tip leaves it
	case s.published == nil:
		s.published = s.newView()
	case s.leading && s.preserved == nil:
		s.preserved = s.newView()
	}
	number := s.applied + 1
	invariant(batch.commit() == number, "a batch is numbered by its writer")
	if err := batch.apply((*tip)(s)); err != nil {
		return 0, s.failLocked(fmt.Errorf("apply: %w", err)) // no memory: the tip is half a commit
	}
	s.applied = number
	s.pending = s.pending.add(batch)
	return number, nil
}

// awaitDurable returns when the commit of that number is durable. Whoever comes
// first writes for all who have applied by then; the others wait.
func (s *session) awaitDurable(number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.durable < number {
		switch {
		case s.failed != nil:
			return s.failed
		case s.leading:
			s.changed.Wait()
		default:
			s.lead(true)
		}
	}
	return nil
}

// writeGroup hands what is pending to the log, synced or not.
func (s *session) writeGroup(sync bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && (len(s.pending) > 0 || s.leading || sync && s.durable < s.applied) {
		if s.leading {
			s.changed.Wait()
			continue
		}
		s.lead(sync)
	}
	return s.failed
}

// lead writes everything pending, as one frame unless it is large. s.mu is held,
// and released during the I/O; s.leading keeps others out meanwhile.
func (s *session) lead(sync bool) {
	group, last := s.pending, s.applied
	s.pending, s.spare = s.spare, nil
	s.leading = true
	s.mu.Unlock()

	var err error
	var few [8][]byte
	for i := range group {
		if err == nil {
			_, err = s.log.Append(group[i].parts(few[:0])...)
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
	s.leading = false
	if err != nil {
		_ = s.failLocked(err) // whoever waits reports it
	} else {
		s.unref(s.published)
		s.published, s.preserved = s.preserved, nil
		s.visible = last
		if sync {
			s.durable = last
		}
	}
	s.changed.Broadcast()
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
	if err := s.writeGroup(true); err != nil { // a run never holds what the log does not
		return nil, err
	}
	floor, err := s.log.Rotate()
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
	s.mem = newTable()
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
			if s.db.guard.Check() == nil {
				_ = s.writeGroup(true) // sticky: the next commit reports it
			}
		}
	}
}

// acquireWriter waits for the writer's token.
func (db *DB) acquireWriter(ctx context.Context) error {
	select {
	case db.writer <- struct{}{}:
		return nil
	default:
	}
	select {
	case db.writer <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the writer: %w", ctx.Err())
	case <-db.closing:
		return ErrClosed
	}
}

func (db *DB) releaseWriter() { <-db.writer }
