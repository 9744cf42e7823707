package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/byokdb/byokdb/engine/internal/catalog"
)

// idleAfter is how long nothing must have been flushed before level 0 is
// emptied for the readers' sake.
const idleAfter = 2 * time.Second

// compactors returns how many compactions may run at once.
func compactors() int { return max(1, min(4, runtime.GOMAXPROCS(0)/2)) }

// compactor merges runs while there is a level that is too large.
func (s *session) compactor() {
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	for {
		isIdle := false
		select {
		case <-s.ctx.Done():
			return
		case w := <-s.whole:
			err := s.compactAll(w.ctx)
			fatal := err != nil && w.ctx.Err() == nil && s.backgroundFault("compaction", err)
			w.done <- err
			if fatal {
				s.refuseCompactions()
				return
			}
			continue
		case <-s.merges:
			idle.Reset(idleAfter)
		case <-idle.C:
			isIdle = true
		}
		for s.ctx.Err() == nil {
			more, err := s.compactOnce(isIdle)
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
		if c.live.dead(id) || m.tombstone() && !older.mayHold(m.key()) {
			continue
		}
		if err := w.addCurrent(m); err != nil {
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

// A wholeCompaction asks a worker to compact everything.
type wholeCompaction struct {
	ctx  context.Context
	done chan error // capacity 1
}

// Compact merges everything that is committed into one level, which frees the
// space of all deleted and overwritten records, and returns when that is done.
// Reads and writes go on meanwhile; twice the space of the database is needed
// for that time. The database does this by itself little by little: Compact is
// for the end of a load, or before a backup. When ctx ends, so does the work,
// and the tree is as it was.
// Errors: ErrClosed, *KeyError, ErrFailed.
func (db *DB) Compact(ctx context.Context) error {
	s, err := db.flushAll(ctx)
	if err != nil {
		return translate(err)
	}
	w := &wholeCompaction{ctx: ctx, done: make(chan error, 1)}
	select {
	case s.whole <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.ended()
	}
	select {
	case err = <-w.done:
	case <-s.ctx.Done():
		return s.ended()
	}
	return translate(err)
}

// flushAll writes every committed record to runs, and returns the session that
// did.
func (db *DB) flushAll(ctx context.Context) (*session, error) {
	if err := db.check(); err != nil {
		return nil, err
	}
	if err := db.acquireWriter(ctx); err != nil {
		return nil, err
	}
	db.txMu.Lock()
	s := db.session
	db.txMu.Unlock()
	var err error
	var upto uint64
	if s == nil {
		err = db.unavailable()
	} else {
		s.mu.Lock()
		upto = s.applied
		empty := s.mem.Len() == 0
		s.mu.Unlock()
		if !empty {
			err = s.freeze()
		}
	}
	db.releaseWriter()
	if err != nil {
		return nil, err
	}
	return s, s.awaitFlush(ctx, upto)
}

// awaitFlush returns when no memtable up to a commit waits for its flush.
func (s *session) awaitFlush(ctx context.Context, upto uint64) error {
	return s.await(ctx, func() bool { return len(s.frozen) == 0 || s.frozen[0].last > upto })
}

// await returns when a condition holds, or the session refuses writes or ends.
// The condition is looked at under s.mu, whenever something changed.
func (s *session) await(ctx context.Context, holds func() bool) error {
	err := s.awaitLocked(ctx, holds)
	if errors.Is(err, errEnded) {
		return s.ended()
	}
	return err
}

// errEnded means that the session ended while something waited for it.
var errEnded = errors.New("the session has ended")

func (s *session) awaitLocked(ctx context.Context, holds func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !holds() {
		switch {
		case s.failed != nil:
			return s.failed
		case s.ctx.Err() != nil:
			return errEnded
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if err := s.db.guard.Check(); err != nil {
			return err
		}
		s.changed.Wait()
	}
	return nil
}

// compactAll merges every run into the last level.
func (s *session) compactAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	c := &compaction{to: lastLevel}
	err := s.await(ctx, func() bool {
		c.v = s.version
		c.inputs = c.v.levels
		first, last := keyRange(c.runs())
		c.claim = span{from: 0, to: lastLevel, first: first, last: last}
		if len(s.claims) > 0 || !s.claimSpan(&c.claim) {
			return false
		}
		c.v.ref()
		return true
	})
	if err != nil {
		return err
	}
	s.manifestMu.Lock()
	c.live = newLive(s.manifest)
	s.manifestMu.Unlock()
	needed, err := c.needed()
	if err != nil || !needed {
		c.v.unref()
		s.releaseSpan(&c.claim)
		return err
	}
	if err := s.compact(ctx, c); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	kick(s.merges)
	return nil
}

// needed reports whether a compaction of everything would change anything.
func (c *compaction) needed() (bool, error) {
	if len(c.runs()) > len(c.inputs[lastLevel]) {
		return true, nil
	}
	for _, r := range c.inputs[lastLevel] {
		n, err := r.garbage(c.live)
		if err != nil || n > 0 || r.meta.Tombstones > 0 {
			return true, err
		}
	}
	return false, nil
}
