package guard

import (
	"context"
	"sync"
	"time"
)

// How long a call keeps its slot if it does not end before. An answer of a KMS
// takes 10 to 100 ms; what takes longer probably hangs, and must not hold up the
// calls to other KMSs. With 32 slots 128 calls that hang are sent a second.
const (
	probeHold  = 250 * time.Millisecond
	resumeHold = time.Second // it unwraps and replays
)

// slots limit how many calls begin: each takes one, and gives it back when it
// ends or when its hold is over, whichever comes first. Urgent calls go before
// the others; among equals, who came first.
type slots struct {
	mu     sync.Mutex
	free   int
	hold   time.Duration
	queues [2][]*waiter // urgent, and the others
}

type waiter struct {
	ready chan struct{} // closed when it has a slot; slots.mu
	gone  bool          // it does not wait any more; slots.mu
	mine  bool          // it has a slot; slots.mu
}

// take waits for a slot until ctx ends, and for at most patience if that is
// not 0: the call then begins without one. It returns what gives the slot back.
func (s *slots) take(ctx context.Context, urgent bool, patience time.Duration) (release func(), err error) {
	w := s.enter(urgent)
	if w != nil {
		var late <-chan time.Time
		if patience > 0 {
			t := time.NewTimer(patience)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-w.ready:
		case <-late:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if !s.leave(w) {
			return func() {}, err
		}
		if err != nil {
			s.give()
			return func() {}, err
		}
	}
	var once sync.Once
	timer := time.AfterFunc(s.hold, func() { once.Do(s.give) })
	return func() {
		timer.Stop()
		once.Do(s.give)
	}, nil
}

// enter takes a slot at once and returns nil, or joins a queue.
func (s *slots) enter(urgent bool) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return nil
	}
	w := &waiter{ready: make(chan struct{})}
	q := &s.queues[1]
	if urgent {
		q = &s.queues[0]
	}
	*q = append(*q, w)
	return w
}

// leave ends a wait, and reports whether it has won a slot.
func (s *slots) leave(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.gone = true
	return w.mine
}

// give passes a slot on, or keeps it for who comes next.
func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.queues {
		for len(s.queues[i]) > 0 {
			w := s.queues[i][0]
			s.queues[i][0] = nil
			s.queues[i] = s.queues[i][1:]
			if !w.gone {
				w.mine = true
				close(w.ready)
				return
			}
		}
		s.queues[i] = nil
	}
	s.free++
}
