package engine

import "time"

// idleAfter is how long nothing must have been committed before a memtable is
// flushed, and nothing flushed before level 0 is emptied, for the readers' sake.
const idleAfter = time.Second

// idleFlushMin is the smallest memtable that is flushed when the database is idle,
// in bytes: programs that write a little now and then are not to rewrite a level
// each time.
func (o *Options) idleFlushMin() int64 { return max(1, o.MemtableSize/8) }

// idler flushes the memtable of an idle database: reads of runs alone are faster,
// and an opening after a crash has less to replay.
func (s *session) idler() {
	rest := time.NewTimer(idleAfter)
	defer rest.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.growths:
		}
		for seen := uint64(0); ; {
			commit, worth := s.idleState()
			if !worth || commit == seen && s.flushIdle() {
				break
			}
			seen = commit
			rest.Reset(idleAfter)
			select {
			case <-s.ctx.Done():
				return
			case <-rest.C:
			}
		}
	}
}

// idleState returns the last commit and whether the memtable is worth a flush.
func (s *session) idleState() (commit uint64, worth bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied, s.mem.Bytes() >= s.db.opts.idleFlushMin()
}

// flushIdle freezes the memtable, unless somebody writes, a flush is under way or
// the key is away. It reports whether it did.
func (s *session) flushIdle() bool {
	select {
	case s.db.writer <- struct{}{}:
		defer s.db.releaseWriter()
	default:
		return false
	}
	if s.hasFrozen() || s.db.guard.Check() != nil {
		return false
	}
	err := s.freeze()
	return err == nil || s.failure() != nil // else there is no room: it is tried again
}
