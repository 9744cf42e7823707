package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/internal/vfs"
)

// A full disk is waited out. What a flush or a compaction was writing is removed,
// the commits of a memtable that cannot be flushed are in the log, and a commit for
// which the log has no room is undone: nothing hangs on what found none. Only where
// a call failed that may have left a part behind (docs/adr/0014) does the database
// refuse writes until it is opened again.

// roomRetry is when a flush or a compaction is tried again that found the disk
// full.
const roomRetry = 5 * time.Second

// fullDisk says why a flush and a compaction wait for room, nil while they do not.
type fullDisk struct{ flush, merge error }

// why returns either.
func (f *fullDisk) why() error {
	if f.flush != nil {
		return f.flush
	}
	return f.merge
}

// noRoom returns an error as ErrDiskFull if a full disk is behind it and the
// database goes on.
func noRoom(what string, err error) error {
	if err == nil || !vfs.IsFull(err) || errors.Is(translate(err), ErrFailed) {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrDiskFull, what, err)
}

// waitForRoom notes in a field of s.full that a worker waits for room, and why, and
// tells those who wait for the worker.
func (s *session) waitForRoom(at *error, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *at == nil {
		s.db.log.Warn("the disk is full", "err", why)
	}
	*at = why
	s.changed.Broadcast()
}

// foundRoom takes such a note back.
func (s *session) foundRoom(at *error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*at = nil
}

// tryFlush has a flush that waits for room tried at once.
func (s *session) tryFlush() {
	s.foundRoom(&s.full.flush)
	kick(s.flushes)
}
