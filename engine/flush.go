package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/engine/internal/catalog"
	"github.com/byokdb/byokdb/engine/internal/memtable"
)

// flushRetry is when a flush is tried again that the key held up, unless the
// key's return wakes the flusher before. A lease that was renewed at its very end
// brings no event.
const flushRetry = time.Second

// flusher writes frozen memtables to runs, oldest first.
func (s *session) flusher() {
	retry := time.NewTimer(flushRetry)
	defer retry.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.flushes:
		case <-retry.C:
		}
		for s.hasFrozen() && s.ctx.Err() == nil {
			err := s.flushOldest(s.ctx)
			if full := noRoom("flush", err); full != nil {
				s.waitForRoom(&s.full.flush, full)
				retry.Reset(roomRetry)
				break
			}
			if err != nil {
				if s.backgroundFault("flush", err) {
					return
				}
				retry.Reset(flushRetry)
				break // the key is away
			}
			s.foundRoom(&s.full.flush)
		}
	}
}

func (s *session) hasFrozen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.frozen) > 0
}

// backgroundFault sorts the error of a worker: one of the key or of an end is
// waited out, any other makes the session refuse writes.
func (s *session) backgroundFault(what string, err error) (fatal bool) {
	if errors.Is(err, ErrKeyUnavailable) || s.ctx.Err() != nil {
		s.wakeAll() // whoever waits for the worker looks at the key too
		return false
	}
	_ = s.fail(fmt.Errorf("%s: %w", what, err)) // every commit reports it
	return true
}

// flushOldest writes the oldest frozen memtable to runs of level 0.
func (s *session) flushOldest(ctx context.Context) error {
	s.mu.Lock()
	t := s.frozen[0]
	s.mu.Unlock()
	w := &runWriter{s: s, ctx: ctx, level: 0}
	it := t.Still().NewIter()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.Value()
		if err == nil {
			err = w.add(it.Key(), it.Kind() == memtable.Tombstone, value)
		}
		if err != nil {
			w.abort()
			return err
		}
	}
	added, err := w.finish()
	if err != nil {
		return err
	}
	err = s.install(nil, added, func(m *catalog.Manifest) {
		m.Floor, m.Commit = t.floor, t.last
		m.Collections, m.NextCollection = t.dir.metas(), t.dir.next
	}, func() {
		s.frozen = s.frozen[1:]
	})
	if err != nil {
		return err
	}
	t.unref()
	kick(s.merges)
	s.manifestMu.Lock() // a verification may be reading the log
	defer s.manifestMu.Unlock()
	return s.log.Release(t.floor)
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
		empty := s.landed == nil && s.mem.Len() == 0
		s.mu.Unlock()
		if !empty {
			err = s.freeze()
		}
	}
	db.releaseWriter()
	if err != nil {
		return nil, err
	}
	s.tryFlush()
	return s, s.awaitFlush(ctx, upto)
}

// awaitFlush returns when no memtable up to a commit waits for its flush.
func (s *session) awaitFlush(ctx context.Context, upto uint64) error {
	return s.await(ctx, func() bool { return len(s.frozen) == 0 || s.frozen[0].last > upto })
}
