package engine

import "time"

// Writers are slowed before the tree falls behind, so that they never have to
// wait for it at once: each byte that is committed costs a delay that grows with
// the debt, slowly at first and without bound towards the limit. Wherever the
// speed of the machine lies, there is a debt at which writers are just as fast
// as flushes and compaction.
const (
	paceRunsMin = 10 // runs in level 0 from which on writers are slowed
	paceRunsMax = 40

	paceByte   = 50 * time.Nanosecond // a byte's delay halfway to the limit
	paceSleep  = time.Millisecond     // shorter delays are saved up
	paceOnce   = 250 * time.Millisecond
	paceUtmost = 0.99 // of the way to the limit
)

// debt says how far behind flushes and compaction are, from 0 to paceUtmost.
// s.mu is held.
func (s *session) debt() float64 {
	runs := float64(len(s.version.levels[0])-paceRunsMin) / (paceRunsMax - paceRunsMin)
	pending := float64(s.mem.Bytes())
	for _, t := range s.frozen {
		pending += float64(t.Bytes())
	}
	// From the moment on when a second memtable is half full behind one that is
	// flushed, up to where the writer would have to stop.
	const from, to = 1.5, frozenMax + 1
	tables := (pending/float64(s.db.opts.MemtableSize) - from) / (to - from)
	return min(max(runs, tables, 0), paceUtmost)
}

// pace delays the writer of so many bytes as the debt asks for. The caller holds
// the writer's token, so the delay holds up those behind it too.
func (s *session) pace(size int64) {
	s.mu.Lock()
	switch d := s.debt(); {
	case s.failed != nil: // it is refused, and the debt stays
		s.owed = 0
	case d > 0:
		s.owed += float64(size) * float64(paceByte) * d / (1 - d)
	default:
		s.owed = 0
	}
	delay := min(time.Duration(s.owed), paceOnce)
	if delay < paceSleep {
		s.mu.Unlock()
		return
	}
	s.owed = 0
	s.nDelays++
	s.delayed += delay
	s.mu.Unlock()
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}
