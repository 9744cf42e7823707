package engine

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// compactors returns how many compactions may run at once.
func compactors() int { return max(1, min(4, runtime.GOMAXPROCS(0)/2)) }

// compactor merges runs while there is a level that is too large.
func (s *session) compactor() {
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	merges := s.merges // nil while there is no room on the disk
	for {
		isIdle := false
		select {
		case <-s.ctx.Done():
			return
		case w := <-s.whole:
			err := s.compactAll(w.ctx)
			if full := noRoom("compaction", err); full != nil {
				w.done <- full
				continue
			}
			fatal := err != nil && w.ctx.Err() == nil && s.backgroundFault("compaction", err)
			w.done <- err
			if fatal {
				s.refuseCompactions()
				return
			}
			continue
		case <-merges:
			idle.Reset(idleAfter)
		case <-idle.C:
			isIdle = merges != nil
			merges = s.merges
		}
		for s.ctx.Err() == nil {
			more, err := s.compactOnce(isIdle)
			if full := noRoom("compaction", err); full != nil {
				s.waitForRoom(&s.full.merge, full)
				merges = nil
				idle.Reset(roomRetry)
				break
			}
			if err == nil {
				s.foundRoom(&s.full.merge)
			}
			if err != nil && s.backgroundFault("compaction", err) {
				s.refuseCompactions()
				return
			}
			if err != nil || !more {
				break
			}
		}
	}
}

// refuseCompactions answers those who ask for one, until a session ends that
// refuses writes.
func (s *session) refuseCompactions() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case w := <-s.whole:
			s.mu.Lock()
			err := s.failed
			s.mu.Unlock()
			w.done <- err
		}
	}
}

// compactOnce carries the most urgent compaction out, if there is one.
func (s *session) compactOnce(idle bool) (more bool, err error) {
	c, err := s.pickCompaction(idle)
	if c == nil {
		return false, err
	}
	kick(s.merges) // there may be work for another worker
	return true, s.compact(s.ctx, c)
}

// compact carries a compaction out and gives its claim and version back.
func (s *session) compact(ctx context.Context, c *compaction) error {
	defer c.v.unref()
	defer s.releaseSpan(&c.claim)
	keep := func(*catalog.Manifest) {}
	switch c.kind {
	case dropDead:
		return s.install(c.runs(), nil, keep, func() {})
	case moveDown:
		return s.change(nil, nil, func(v *version) *version { return v.move(c.upper(), c.to) }, keep, func() {})
	default:
		added, err := s.mergeRuns(ctx, c)
		if err != nil {
			return err
		}
		return s.install(c.runs(), added, keep, func() {})
	}
}

// mergeRuns writes the newest entry of every key to new runs. A tombstone ends
// where no level below can hold what it deletes; what belonged to dropped
// collections ends everywhere.
func (s *session) mergeRuns(ctx context.Context, c *compaction) ([]*run, error) {
	m := newMerge(c.sources())
	w := &runWriter{s: s, ctx: ctx, level: uint8(c.to)}
	older := c.v.deeper(c.to)
	for ok := m.first(); ok; ok = m.next() {
		id, _ := splitKey(m.key())
		var err error
		if c.live.dead(id) || m.tombstone() && !older.mayHold(m.key()) {
			err = w.look(0) // a stretch of garbage may be long
		} else {
			err = w.addCurrent(m)
		}
		if err != nil {
			m.fail(err)
			break
		}
	}
	if err := m.close(); err != nil {
		w.abort()
		return nil, err
	}
	return w.finish()
}

// sources returns the inputs, newest first.
func (c *compaction) sources() []source {
	var out []source
	for _, r := range c.inputs[0] {
		out = append(out, runSource{r.NewScan()})
	}
	for _, runs := range c.inputs[1:] {
		if len(runs) > 0 {
			out = append(out, &levelSource{runs: runs, scan: true, i: -1})
		}
	}
	return out
}

// deeper tells of ascending keys whether the levels below one may hold them.
type deeper struct{ levels [][]*run }

func (v *version) deeper(level int) *deeper { return &deeper{levels: slices.Clone(v.levels[level+1:])} }

func (d *deeper) mayHold(key []byte) bool {
	for i, runs := range d.levels {
		for len(runs) > 0 && bytes.Compare(runs[0].meta.Last, key) < 0 {
			runs = runs[1:]
		}
		if d.levels[i] = runs; len(runs) > 0 && bytes.Compare(runs[0].meta.First, key) <= 0 {
			return true
		}
	}
	return false
}
