package engine

import (
	"context"
	"errors"
)

// await returns when a condition holds, or the session refuses writes, finds no
// room for a flush or ends.
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
		case s.full.flush != nil:
			return s.full.flush
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
