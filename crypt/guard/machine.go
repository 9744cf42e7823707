package guard

import (
	"errors"
	"hash/maphash"
	"math"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// machine is the guard's state; Guard.mu guards it. Its times are
// Scheduler.Now's: sleep counts as time, and steps of the wall clock do not.
type machine struct {
	state     State
	entered   time.Duration // when it became the state, or was last counted
	class     crypt.Class   // of the last failure
	message   string
	requestID string
	err       error
	shareable bool // it concerns every database under the key
	closed    bool

	lastGood     time.Duration // when the last good probe was sent
	lastGoodWall time.Time
	leaseEnd     time.Duration // when active; the grace included
	failing      bool          // since the last good probe a failure was found
	since        time.Duration // unavailable since, when failing or not active
	wipedAt      time.Duration // when Pause returned
	wiped        bool          // wipedAt is set

	probing   bool
	expired   bool          // the probe under way has had its time
	silent    bool          // it has no answer yet, and the grace was granted
	probeEnd  time.Duration // neverAgain while it waits for its turn
	lastAsked time.Duration // when the last probe was called for
	nextProbe time.Duration
	slow      bool          // the next probe is so late because a scout asks
	heard     time.Duration // when the probe was sent that a denial heard of rests on
	asked     []chan error  // ProbeNow calls for the next probe
	waiting   []chan error  // for the one under way
	resuming  []chan error  // for Resume

	noting   bool   // Good is under way
	life     lifeOp // under way
	lifeNext time.Duration
	goodSent time.Duration // when the probe was sent that Resume rests on

	deniedFor     time.Duration
	lastDenied    time.Duration
	denials       bool          // the last answer was a denial, no earlier than at lastDenied
	savedFor      time.Duration // deniedFor as last handed to Save
	firstDenied   time.Time     // since the last good probe; zero without a denial
	firstDeniedID string

	sequence    uint64
	events      []Event
	unsaved     bool
	saveFailing bool
	saveNext    time.Duration
	reporting   bool

	counters Counters
}

const (
	retryInterval = 5 * time.Second // between probes while suspended or paused
	watchInterval = time.Second     // between looks at boot time
	sleepMin      = 50 * time.Millisecond
	nEventsMax    = 1024 // waiting for OnEvent; the oldest go first
	deniedPeriods = 3    // denials further apart than so many periods are not consecutive
	deniedSave    = time.Minute
)

// now is the time that the machine counts in.
func (g *Guard) now() time.Duration { return g.sched.Now() }

// wall converts a machine time for people and records.
func (g *Guard) wall(t time.Duration) time.Time {
	return g.clk.Now().Round(0).UTC().Add(t - g.now())
}

// begin sets the first state. An opening unwrap counts as a good probe.
func (g *Guard) begin(rec Record, lastGood time.Duration) {
	m := &g.m
	m.heard = math.MinInt64
	m.sequence = rec.Sequence
	m.lastGoodWall = rec.LastGood
	now := g.now()
	m.entered, m.lastAsked = now, now
	switch {
	case rec.State == Erased:
		m.state = Erased
		g.restore(rec)
		m.lifeNext = now
		g.lease.Store(leaseNone)
		return
	case lastGood != NoUnwrap:
		from := rec.State
		lastGood = min(lastGood, now)
		g.good(lastGood)
		m.nextProbe = lastGood + g.firstInterval()
		if from != Active {
			g.event(from)
		}
		return
	}
	m.state = Paused
	g.restore(rec)
	if m.class == crypt.ClassNone {
		m.class = crypt.ClassUnreachable
	}
	m.nextProbe = now
	g.lease.Store(leaseNone)
	if rec.State != Paused {
		g.event(rec.State)
	}
}

// restore takes over what a record says about a failure. A time of the wall
// clock that lies ahead was written under another clock: the outage counts
// from now. One that lies back only shows: there is nothing in memory to wipe,
// and erasing counts denials, not the clock.
func (g *Guard) restore(rec Record) {
	m := &g.m
	m.class, m.message, m.requestID = rec.Class, rec.Message, rec.RequestID
	m.deniedFor, m.savedFor = rec.DeniedFor, rec.DeniedFor
	m.firstDenied, m.firstDeniedID = rec.FirstDenied, rec.FirstDeniedID
	m.failing = true
	m.since = g.now()
	if ago := g.clk.Now().Round(0).Sub(rec.UnavailableSince); !rec.UnavailableSince.IsZero() && ago > 0 {
		m.since -= ago
	}
}

// good notes a good probe that was sent at the given time, and grants the
// lease. The state becomes active; the caller reports it.
func (g *Guard) good(sent time.Duration) {
	m := &g.m
	g.enter(Active)
	m.class, m.message, m.requestID, m.err = crypt.ClassNone, "", "", nil
	m.failing, m.wiped, m.shareable, m.slow = false, false, false, false
	m.forgetDenials()
	m.lastGood, m.lastGoodWall = sent, g.wall(sent)
	g.grant(sent + g.cfg.Policy.Bound())
}

// grant sets the lease's end.
func (g *Guard) grant(end time.Duration) {
	g.m.leaseEnd = end
	g.lease.Store(int64(end))
}

// revoke ends the lease.
func (g *Guard) revoke() { g.lease.Store(leaseNone) }

// enter changes the state, and counts.
func (g *Guard) enter(to State) {
	m := &g.m
	now := g.now()
	m.counters.spend(m.state, now-m.entered)
	m.entered = now
	if m.state == to {
		return
	}
	m.counters.moved(m.state, to)
	g.countActive(m.state, -1)
	g.countActive(to, 1)
	m.state = to
}

// countActive keeps the group's count of active members.
func (g *Guard) countActive(s State, by int32) {
	if g.group != nil && s == Active {
		g.group.nActive.Add(by)
	}
}

// firstInterval is the time from entering active to the next probe: the interval,
// shortened by a random part where there are other guards, so that databases
// that were opened, or came back, at the same moment do not go on asking at the
// same moment. It is never longer than the interval: the lease counts on that.
func (g *Guard) firstInterval() time.Duration {
	d := g.cfg.Policy.ProbeInterval
	if g.sched.alone() {
		return d
	}
	return max(stepMin, d-random(d))
}

// step does everything that is due, and plans the next one. It never blocks.
func (g *Guard) step() {
	m := &g.m
	now := g.now()
	if now >= g.silentAt() {
		m.silent = true
		g.grant(m.lastGood + g.cfg.Policy.Bound() + g.cfg.Policy.UnreachableGrace)
	}
	if m.probing && !m.expired && now >= m.probeEnd {
		m.expired = true
		err := errNoAnswer(g.cfg)
		if m.state == Active && m.failing && m.class == crypt.ClassUnreachable && m.err != nil {
			err = m.err // an attempt before found a cause, which says more
		}
		g.noteOutage(err)
		g.settle(err, m.probeEnd-g.cfg.Policy.ProbeTimeout)
	}
	if m.state == Active && now >= m.leaseEnd {
		m.since, m.failing = g.failedSince(), true
		if m.class == crypt.ClassNone {
			g.setFailure(errExpired(g.cfg))
		}
		g.suspend()
		m.nextProbe = min(m.nextProbe, now)
	}
	if m.state == Suspended && m.life == lifeNone && now >= m.since+g.cfg.Policy.Deadline {
		g.pause()
	}
	if g.eraseDue() {
		g.condemn()
	}
	if g.mayErase() && m.lifeNext <= now {
		g.callErase()
	}
	if m.state != Erased && m.life == lifeNone && !m.probing && (now >= m.nextProbe || len(m.asked) > 0) {
		g.callProbe()
	}
	if !m.reporting && m.life != lifeErase && (len(m.events) > 0 || m.unsaved && now >= m.saveNext) {
		g.callReport()
	}
	g.sched.plan(g, g.nextDue())
}

// nextDue returns when the next thing falls due, neverAgain if nothing does
// before a call ends.
func (g *Guard) nextDue() time.Duration {
	m := &g.m
	next := neverAgain
	if m.probing && !m.expired {
		next = min(next, m.probeEnd, g.silentAt())
	}
	switch m.state {
	case Active:
		next = min(next, m.leaseEnd)
	case Suspended:
		if m.life == lifeNone {
			next = min(next, m.since+g.cfg.Policy.Deadline)
		}
	case Erased:
		if g.mayErase() {
			next = min(next, m.lifeNext)
		}
	case Paused:
	}
	if m.state != Erased && m.life == lifeNone && !m.probing {
		next = min(next, m.nextProbe)
	}
	if m.unsaved && !m.reporting && m.life != lifeErase {
		next = min(next, m.saveNext)
	}
	return next
}

// silentShare: where the policy has a grace, it is granted when a probe has had
// 1/silentShare of its time without an answer. That time ends when the lease does:
// if the outage were found only then, operations would be refused between. Whatever
// answer comes takes it back.
const silentShare = 2

// silentAt returns when the grace is to be granted for the probe under way,
// neverAgain if it was or there is none.
func (g *Guard) silentAt() time.Duration {
	m := &g.m
	if !m.probing || m.silent || m.probeEnd == neverAgain || m.state != Active || g.cfg.Policy.UnreachableGrace == 0 {
		return neverAgain
	}
	timeout := g.cfg.Policy.ProbeTimeout
	return m.probeEnd - timeout + timeout/silentShare
}

// failedSince is when the key became unavailable: at the first failure found,
// or when the lease ended if nothing was found before.
func (g *Guard) failedSince() time.Duration {
	if g.m.failing {
		return min(g.m.since, g.m.leaseEnd)
	}
	return g.m.leaseEnd
}

// setFailure keeps what a failure says, and reports whether its class is new.
func (g *Guard) setFailure(err error) (changed bool) {
	m := &g.m
	class := crypt.ClassOf(err)
	changed = class != m.class
	m.class, m.err = class, err
	m.message, m.requestID = describe(err)
	m.shareable = shareable(err)
	return changed
}

// noteOutage notes an outage as soon as an attempt found it: the grace begins.
// There was no denial in this outage, or the state would not be active.
func (g *Guard) noteOutage(err error) {
	m := &g.m
	if m.state != Active {
		return
	}
	if !m.failing {
		m.failing, m.since = true, g.now()
	}
	changed := g.setFailure(err)
	if g.cfg.Policy.UnreachableGrace == 0 {
		return
	}
	if changed {
		g.event(Active)
	}
	g.grant(m.lastGood + g.cfg.Policy.Bound() + g.cfg.Policy.UnreachableGrace)
}

// fail takes the result of a probe that failed for good; sent is when it was sent.
func (g *Guard) fail(err error, sent time.Duration) {
	m := &g.m
	now := g.now()
	class := crypt.ClassOf(err)
	m.counters.failed(class)
	g.noteDenial(g.deniedByKEK(err), err, sent)
	if m.state != Active {
		if g.setFailure(err) {
			g.event(m.state)
		}
		return
	}
	if !m.failing {
		m.failing, m.since = true, now
	}
	g.setFailure(err)
	end := m.lastGood + g.cfg.Policy.Bound() + g.cfg.Policy.UnreachableGrace
	if class == crypt.ClassUnreachable && g.cfg.Policy.UnreachableGrace > 0 && now < end {
		g.grant(end)
		return
	}
	m.since = min(m.since, m.leaseEnd)
	g.suspend()
}

// suspend enters suspended; the failure and its time are set.
func (g *Guard) suspend() {
	g.enter(Suspended)
	g.revoke()
	g.event(Active)
}

// pause enters paused and wipes.
func (g *Guard) pause() {
	g.enter(Paused)
	g.revoke()
	g.callPause()
	g.event(Suspended)
}

// forgetDenials begins anew: the key answers.
func (m *machine) forgetDenials() {
	m.deniedFor, m.savedFor, m.denials = 0, 0, false
	m.firstDenied, m.firstDeniedID = time.Time{}, ""
}

// deniedByKEK reports whether an error is a denial that the KMS stated of the KEK
// itself: neither a drill's, nor one of a replica.
func (g *Guard) deniedByKEK(err error) bool {
	pe, ok := errors.AsType[*crypt.ProviderError](err)
	return ok && pe.Class == crypt.ClassDenied && !pe.Simulated && (pe.KeyID == "" || pe.KeyID == g.cfg.KeyID)
}

// noteDenial counts an answer to a call that was sent then as a denial that the
// KMS itself stated, or not.
func (g *Guard) noteDenial(denied bool, err error, sent time.Duration) {
	m, now := &g.m, g.now()
	g.countDenial(denied, sent, now)
	if denied && m.firstDenied.IsZero() {
		_, m.firstDeniedID = describe(err)
		m.firstDenied = g.wall(now)
	}
}

// countDenial adds up the time that the KMS was seen to deny: from the arrival of
// the first denial of a stretch to the sending of the last, since the KMS may have
// said so at any moment between. An answer of another kind, or a gap, begins a new
// stretch: time in which nobody asked is not counted, and neither is an outage.
func (g *Guard) countDenial(denied bool, sent, now time.Duration) {
	m := &g.m
	gapMax := deniedPeriods * (g.retryEvery() + g.cfg.Policy.ProbeTimeout)
	if denied && m.denials && sent-m.lastDenied <= gapMax {
		m.deniedFor += max(0, sent-m.lastDenied)
		m.lastDenied = max(sent, m.lastDenied)
	} else {
		m.denials, m.lastDenied = denied, now
	}
	if m.deniedFor-m.savedFor >= min(deniedSave, g.cfg.Policy.Deadline/20) && m.deniedFor > 0 {
		m.savedFor, m.unsaved = m.deniedFor, true
	}
}

// eraseDue reports whether policy and denials say that the data must go.
func (g *Guard) eraseDue() bool {
	m := &g.m
	return g.cfg.Policy.OnDeadline == Erase && m.state == Paused && m.life == lifeNone && m.denials &&
		!m.probing && m.deniedFor >= g.cfg.Policy.Deadline
}

// mayErase reports whether nothing is under way that Erase must not run beside.
func (g *Guard) mayErase() bool {
	m := &g.m
	return m.state == Erased && m.life == lifeNone && !m.probing && !m.reporting && !m.noting
}

// condemn enters erased: final, even while Erase still fails.
func (g *Guard) condemn() {
	g.enter(Erased)
	g.m.lifeNext = g.now()
	g.revoke()
	g.event(Paused)
	for _, c := range g.m.asked {
		c <- &KeyError{State: Erased, Class: g.m.class, Since: g.wallSince(), KeyID: g.cfg.KeyID, Err: g.m.err}
	}
	g.m.asked = nil
}

// event queues an event of the change from a state to the present one, and the
// record to be saved.
func (g *Guard) event(from State) {
	m := &g.m
	m.sequence++
	m.unsaved = true
	m.saveNext = g.now()
	if len(m.events) == nEventsMax {
		m.events = append(m.events[:0], m.events[1:]...)
	}
	m.events = append(m.events, Event{
		Sequence: m.sequence, Time: g.wall(g.now()), From: from, To: m.state,
		Class: m.class, Message: m.message, RequestID: m.requestID,
	})
}

// record returns what is to be saved.
func (g *Guard) record() Record {
	m := &g.m
	return Record{
		State: m.state, Class: m.class, Sequence: m.sequence, UnavailableSince: g.wallSince(),
		LastGood: m.lastGoodWall, DeniedFor: m.deniedFor, Message: m.message, RequestID: m.requestID,
		FirstDenied: m.firstDenied, FirstDeniedID: m.firstDeniedID,
	}
}

// wallSince is the wall time of m.since, zero when nothing fails.
func (g *Guard) wallSince() time.Time {
	if !g.m.failing {
		return time.Time{}
	}
	return g.wall(g.m.since)
}

// wipeAt is the wall time at which memory will be wiped or was.
func (g *Guard) wipeAt() time.Time {
	m := &g.m
	switch {
	case m.wiped:
		return g.wall(m.wipedAt)
	case m.state == Suspended, m.state == Active && m.failing, m.state == Paused && m.life == lifePause:
		return g.wall(m.since + g.cfg.Policy.Deadline)
	}
	return time.Time{}
}

// retryEvery is the time between probes while the key is away, without jitter.
func (g *Guard) retryEvery() time.Duration { return min(retryInterval, g.cfg.Policy.ProbeInterval) }

// jitter returns d less up to a fifth, so that many databases do not ask at
// once.
func jitter(d time.Duration) time.Duration { return d - random(d/5) }

// random returns a time of 0 to d.
func random(d time.Duration) time.Duration {
	n := maphash.Bytes(maphash.MakeSeed(), nil) // it spreads calls, and hides nothing
	return time.Duration(n % (uint64(d) + 1))
}
