package devkms

import (
	"errors"
	"time"
)

// Consistency makes the service eventually consistent, as AWS KMS is: for a
// while after a change of a key (made, enabled, disabled, scheduled for
// deletion or kept from it, another policy), its uses and its description find
// it at random as it was before or as it is. The zero value is consistent.
type Consistency struct {
	Delay    time.Duration // for so long after a change; 0: Requests alone counts
	Requests int           // for so many requests; 0: Delay alone counts
	Seed     uint64        // of the random choice
	Odd      bool          // one in eight answers is NotFoundException or KMSInvalidStateException
}

const (
	consistencyDelayMax = time.Hour
	oddOneIn            = 8
)

func (c Consistency) on() bool { return c.Delay > 0 || c.Requests > 0 }

func (c Consistency) validate() error {
	if c.Delay < 0 || c.Delay > consistencyDelayMax || c.Requests < 0 {
		return errors.New("the consistency delay is between 0 and 1h, and the number of requests is not negative")
	}
	return nil
}

// unsettled is a change that not every answer shows yet.
type unsettled struct {
	before *key          // nil: there was no key
	until  time.Duration // clock.Monotonic; 0: no limit in time
	left   int           // requests; below 0: no limit
}

// SetConsistency applies to changes from now on; those before are settled.
func (s *Server) SetConsistency(c Consistency) error {
	if err := c.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consistency, s.random = c, random(c.Seed)
	clear(s.changes)
	return nil
}

// Consistency returns what SetConsistency set.
func (s *Server) Consistency() Consistency {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.consistency
}

// changed notes what a key was like before a change.
func (s *Server) changed(k, before *key) {
	if !s.consistency.on() {
		return
	}
	u := &unsettled{before: before, left: -1}
	if s.consistency.Delay > 0 {
		u.until = s.clock.Monotonic() + s.consistency.Delay
	}
	if s.consistency.Requests > 0 {
		u.left = s.consistency.Requests
	}
	s.changes[k] = u
}

// seen returns k as a request sees it.
func (s *Server) seen(k *key) (*key, error) {
	u := s.changes[k]
	if u == nil {
		return k, nil
	}
	if u.left == 0 || u.until > 0 && s.clock.Monotonic() >= u.until {
		delete(s.changes, k)
		return k, nil
	}
	if u.left > 0 {
		u.left--
	}
	if s.consistency.Odd && s.random.next()%oddOneIn == 0 {
		if s.random.next()%2 == 0 {
			return nil, notFound(k.arn())
		}
		return nil, k.invalidState()
	}
	switch {
	case s.random.next()%2 == 0:
		return k, nil
	case u.before == nil:
		return nil, notFound(k.arn())
	}
	was := *k
	was.State, was.Policy, was.Deletion = u.before.State, u.before.Policy, u.before.Deletion
	return &was, nil
}

// look finds a key for its use or its description.
func (c *call) look(id string) (*key, error) {
	k, err := c.find(id, true)
	if err != nil {
		return nil, err
	}
	return c.seen(k)
}

// random is a generator whose numbers its seed repeats: splitmix64. Nothing
// secret is made of them.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float returns a number from 0 to 1, without 1.
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }
