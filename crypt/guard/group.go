package guard

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// waitIntervalMax is the longest time between the probes of a database that
// leaves asking to its group's scout.
const waitIntervalMax = time.Minute

// scoutSlack is how much later than planned a scout may ask.
const scoutSlack = 5 * time.Second

// A group is the guards of one scheduler whose databases are under one key,
// reached in one way. A good probe is never shared: it says nothing about
// another database's envelope, since policies and grants may name databases.
// What only refuses is shared, and so is the waiting. Scheduler.mu guards it.
type group struct {
	members map[*Guard]struct{}
	scout   *Guard        // asks at the fast pace for all that wait; nil when nobody waits
	staleAt time.Duration // the scout has not been heard of for too long

	nActive atomic.Int32 // members; not under the mutex
}

// scouts reports whether g is to ask for its group, and makes it the scout when
// there is none. Its mutex is held.
func (s *Scheduler) scouts(g *Guard) bool {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	gr := g.group
	if gr == nil {
		return true
	}
	if gr.scout == nil || now >= gr.staleAt {
		gr.scout = g
	}
	if gr.scout != g {
		return false
	}
	gr.staleAt = now + g.retryEvery() + g.cfg.Policy.ProbeTimeout + scoutSlack
	return true
}

// resign ends g's being the scout. was says that it was one; led, that there was
// one at all. Its mutex may be held.
func (s *Scheduler) resign(g *Guard) (was, led bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gr := g.group
	if gr == nil || gr.scout == nil {
		return false, false
	}
	if gr.scout == g {
		gr.scout = nil
		return true, true
	}
	return false, true
}

// others returns the members of g's group but for g.
func (s *Scheduler) others(g *Guard) []*Guard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.group == nil {
		return nil
	}
	out := make([]*Guard, 0, len(g.group.members))
	for b := range g.group.members {
		if b != g {
			out = append(out, b)
		}
	}
	return out
}

// news is what a probe found out that concerns other guards of the group.
type news struct {
	denial *crypt.ProviderError // of the key as a whole
	sent   time.Duration        // when that probe was sent
	good   bool                 // the key answers: who waits for it may ask
	vacant bool                 // the group's scout is one no more: another one must ask
}

// newsOf sorts a probe's result. The guard's mutex is held, and the result was
// taken.
func (g *Guard) newsOf(err error, sent time.Duration) (n news) {
	if g.group == nil {
		return n
	}
	if err == nil {
		_, n.good = g.sched.resign(g)
		return n
	}
	if pe, ok := wholeKeyDenial(err); ok {
		if g.group.nActive.Load() > 0 {
			n = news{denial: pe, sent: sent}
		}
		return n
	}
	if !shareable(err) {
		n.vacant, _ = g.sched.resign(g)
	}
	return n
}

// spread passes news on. No mutex is held.
func (g *Guard) spread(n news) {
	switch {
	case n.denial != nil:
		heard := *n.denial
		heard.Detail += " (the KMS said so of another database under this key)"
		for _, b := range g.sched.others(g) {
			b.locked(func() { b.hearDenial(&heard, n.sent) })
		}
	case n.good:
		for _, b := range g.sched.others(g) {
			b.locked(func() { b.hurry() })
		}
	case n.vacant:
		found := false
		for _, b := range g.sched.others(g) {
			if b.locked(func() { found = b.hurry() }); found {
				return
			}
		}
	}
}

// hearDenial suspends an active database, because the KMS denies the whole key.
// A good probe of its own that was sent later knows better. It is no denial of
// this database's own: nothing is erased for it.
func (g *Guard) hearDenial(err *crypt.ProviderError, sent time.Duration) {
	m := &g.m
	if m.state != Active || m.lastGood > sent {
		return
	}
	m.heard = sent
	m.counters.SharedDenials++
	m.counters.failed(crypt.ClassDenied)
	if !m.failing {
		m.failing, m.since = true, g.now()
	}
	g.setFailure(err)
	m.since = min(m.since, m.leaseEnd)
	g.suspend()
	m.nextProbe = g.now()
	if g.waits() {
		m.nextProbe += g.retryAfter()
	}
	g.step()
}

// hurry makes a guard that leaves asking to a scout ask itself, though never
// more often than at the fast pace. It reports whether the guard will.
func (g *Guard) hurry() bool {
	m := &g.m
	if !m.failing || m.state == Erased || !g.waits() {
		return false
	}
	m.nextProbe = min(m.nextProbe, max(g.now(), m.lastAsked+jitter(g.retryEvery())))
	g.step()
	return true
}

// waits reports whether what keeps the key away concerns every database under
// it, so that one of them can ask for all. A database that may be erased asks
// for itself: that takes denials of its own.
func (g *Guard) waits() bool {
	return g.group != nil && g.m.shareable && g.cfg.Policy.OnDeadline != Erase
}

// retryAfter returns the time to the next probe while the key is away.
func (g *Guard) retryAfter() time.Duration {
	if g.group != nil && g.m.shareable && !g.sched.scouts(g) && g.waits() {
		g.m.slow = true
		return jitter(min(g.cfg.Policy.ProbeInterval, waitIntervalMax))
	}
	return jitter(g.retryEvery())
}

// shareable reports whether a failure concerns every database under its key.
func shareable(err error) bool {
	switch crypt.ClassOf(err) {
	case crypt.ClassUnreachable, crypt.ClassCredentials:
		return true
	case crypt.ClassDenied:
		_, ok := wholeKeyDenial(err)
		return ok
	case crypt.ClassNone, crypt.ClassTampered:
	}
	return false
}

func wholeKeyDenial(err error) (*crypt.ProviderError, bool) {
	pe, ok := errors.AsType[*crypt.ProviderError](err)
	return pe, ok && pe.Class == crypt.ClassDenied && pe.WholeKey
}
