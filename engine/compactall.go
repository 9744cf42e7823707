package engine

import (
	"context"
	"fmt"
)

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
// Errors: ErrClosed, *KeyError, ErrDiskFull, ErrFailed.
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
