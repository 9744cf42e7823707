package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// attempt is the result of one probe.
type attempt struct {
	sent    time.Duration // machine time at which the last attempt was sent
	receipt crypt.Receipt
	err     error
}

// lifeOp is a call that changes what is in memory or on disk.
type lifeOp uint8

const (
	lifeNone lifeOp = iota
	lifePause
	lifeResume
	lifeErase
)

func errNoAnswer(cfg Config) error {
	return &crypt.ProviderError{
		Class: crypt.ClassUnreachable, Op: "probe", KeyID: cfg.KeyID,
		Detail: fmt.Sprintf("no answer within %v", cfg.Policy.ProbeTimeout),
	}
}

func errExpired(cfg Config) error {
	return &crypt.ProviderError{
		Class: crypt.ClassUnreachable, Op: "probe", KeyID: cfg.KeyID,
		Detail: "the lease ran out before the key was asked again",
	}
}

// callProbe sends a probe, as soon as it is its turn.
func (g *Guard) callProbe() {
	m := &g.m
	now := g.now()
	if m.slow {
		m.counters.ProbesSaved += uint64(max(0, (now-m.lastAsked)/g.retryEvery()-1))
		m.slow = false
	}
	// One that a lease or a caller waits for has its time from now on; others
	// from when they are sent.
	urgent := m.state == Active || len(m.asked) > 0
	m.probing, m.expired, m.silent, m.probeEnd = true, false, false, neverAgain
	if urgent {
		m.probeEnd = now + g.cfg.Policy.ProbeTimeout
	}
	m.lastAsked = now
	m.waiting, m.asked = append(m.waiting, m.asked...), nil
	m.nextProbe = now + g.cfg.Policy.ProbeInterval // until the answer says more
	retry := m.state == Active
	g.calls.Go(func() {
		a, ok := g.probe(urgent, retry)
		if !ok {
			return // closed
		}
		var n news
		g.after(func() { n = g.onProbed(a) })
		g.spread(n)
	})
}

// turn waits for a probe's turn and returns its context, and what ends it; ok is
// false when the guard was closed meanwhile.
func (g *Guard) turn(urgent bool) (ctx context.Context, end func(), ok bool) {
	timeout := g.cfg.Policy.ProbeTimeout
	if urgent {
		asked := g.now()
		release, err := g.sched.probes.take(g.ctx, true, timeout/4) // a full house must not cost a lease
		if err != nil {
			return nil, nil, false
		}
		ctx, cancel := context.WithTimeout(g.ctx, timeout-(g.now()-asked))
		return ctx, func() { cancel(); release() }, true
	}
	release, err := g.sched.probes.take(g.ctx, false, 0)
	if err != nil {
		return nil, nil, false
	}
	ctx, cancel := context.WithTimeout(g.ctx, timeout)
	g.locked(func() {
		g.m.probeEnd = g.now() + timeout
		g.step()
	})
	return ctx, func() { cancel(); release() }, true
}

// probe asks the KMS, again and again while it is unreachable and the probe's
// time lasts, if retry is set. A lease counts from the attempt that succeeded.
func (g *Guard) probe(urgent, retry bool) (a attempt, ok bool) {
	ctx, end, ok := g.turn(urgent)
	if !ok {
		return a, false
	}
	defer end()
	pause := min(time.Second, g.cfg.Policy.ProbeTimeout/8)
	var last error
	for {
		sent := g.now() // sleep not yet seen makes the lease shorter, never longer
		receipt, err := g.cfg.Probe(ctx)
		class := crypt.ClassOf(err)
		switch {
		case err == nil:
			return attempt{sent: sent, receipt: receipt}, true
		case class == crypt.ClassDenied, class == crypt.ClassTampered, !retry:
			return attempt{sent: sent, err: err}, true
		}
		if last == nil || ctx.Err() == nil { // a cause says more than "deadline exceeded"
			last = err
		}
		if class == crypt.ClassUnreachable && ctx.Err() == nil {
			g.after(func() { g.noteOutage(err) })
		}
		t := time.NewTimer(jitter(pause))
		select {
		case <-ctx.Done():
			t.Stop()
			return attempt{sent: sent, err: last}, true
		case <-t.C:
		}
	}
}

// onProbed takes a probe's result, and returns what others may learn of it. One
// that comes after its time was counted as an outage already; what it says holds
// all the same.
func (g *Guard) onProbed(a attempt) (n news) {
	m := &g.m
	now := g.now()
	late := m.expired
	m.probing, m.expired = false, false
	if a.err == nil {
		m.forgetDenials() // whenever it came: the KMS did not deny
		g.callGood(a.receipt)
	}
	if late && (a.err == nil && a.sent+g.cfg.Policy.Bound() <= now || crypt.ClassOf(a.err) == crypt.ClassUnreachable) {
		return n
	}
	if late {
		m.counters.Probes-- // settle counts it again
	}
	g.settle(a.err, a.sent)
	return g.newsOf(a.err, a.sent)
}

// callGood tells of a good probe, after its result counts: what Good does may
// take longer than a probe may.
func (g *Guard) callGood(receipt crypt.Receipt) {
	if g.cfg.Good == nil || g.m.noting {
		return
	}
	g.m.noting = true
	g.calls.Go(func() {
		g.cfg.Good(receipt)
		g.after(func() { g.m.noting = false })
	})
}

// settle ends a probe: err is its result, sent when it was sent.
func (g *Guard) settle(err error, sent time.Duration) {
	m := &g.m
	m.counters.Probes++
	now := g.now()
	if err != nil {
		g.fail(err, sent)
		m.nextProbe = max(now, sent+g.retryAfter())
		g.answer(&m.waiting, err)
		return
	}
	fresh := sent+g.cfg.Policy.Bound() > now && sent > m.heard
	switch {
	case !fresh:
		// It came too late to grant anything, or a denial is younger.
		m.nextProbe = now + jitter(min(time.Second, g.retryEvery()))
	case m.state == Active || m.state == Suspended:
		from, was := m.state, m.failing
		g.good(sent)
		interval := g.cfg.Policy.ProbeInterval
		if from != Active || was {
			interval = g.firstInterval()
		}
		m.nextProbe = max(now, sent+interval)
		if from != Active || was {
			g.event(from)
		}
	case m.state == Paused && m.life == lifeNone:
		m.unsaved = true
		m.goodSent = sent
		m.resuming, m.waiting = append(m.resuming, m.waiting...), nil
		g.callResume()
	case m.state == Paused:
		m.nextProbe = now // once Pause has returned
		m.asked, m.waiting = append(m.asked, m.waiting...), nil
	}
	g.answer(&m.waiting, nil)
}

// answer sends a result to ProbeNow calls; their channels have room for it.
func (g *Guard) answer(to *[]chan error, err error) {
	for _, c := range *to {
		c <- err
	}
	*to = nil
}

func (g *Guard) callPause() {
	g.callLife(lifePause, func() error {
		if g.cfg.Pause != nil {
			g.cfg.Pause()
		}
		return nil
	})
}

func (g *Guard) callResume() {
	g.callLife(lifeResume, func() error {
		release, err := g.sched.resumes.take(g.ctx, false, 0)
		if err != nil || g.cfg.Resume == nil {
			release()
			return err
		}
		defer release()
		return g.cfg.Resume(g.ctx)
	})
}

func (g *Guard) callErase() {
	rec := g.record()
	g.callLife(lifeErase, func() error {
		if g.cfg.Erase == nil {
			return nil
		}
		return g.cfg.Erase(rec)
	})
}

func (g *Guard) callLife(op lifeOp, fn func() error) {
	g.m.life = op
	g.calls.Go(func() {
		err := fn()
		g.after(func() { g.onLived(op, err) })
	})
}

// onLived takes the end of Pause, Resume or Erase.
func (g *Guard) onLived(op lifeOp, err error) {
	m := &g.m
	now := g.now()
	m.life = lifeNone
	switch op {
	case lifePause:
		m.wiped, m.wipedAt = true, now
		m.unsaved, m.saveNext = true, now
	case lifeResume:
		g.onResumed(err, now)
		g.answer(&m.resuming, err)
	case lifeErase:
		m.lifeNext = now + retryInterval
		if err != nil {
			g.log.Error("erasing failed, will be retried", "err", err)
			return
		}
		m.lifeNext = neverAgain
		m.unsaved = false
	case lifeNone:
	}
}

const neverAgain = time.Duration(1<<63 - 1)

// onResumed goes back to active, or stays paused. The lease counts from the
// probe that was good; where Resume took longer than it lasts, the database is
// suspended until the next probe, which goes out at once.
func (g *Guard) onResumed(err error, now time.Duration) {
	m := &g.m
	if err != nil {
		g.log.Error("resuming failed, will be retried", "err", err)
		if _, ok := errors.AsType[*crypt.ProviderError](err); ok {
			g.setFailure(err)
		} else {
			m.err, m.shareable = err, false
			m.message, m.requestID = cut("the key answers, but resuming failed: "+err.Error(), messageSizeMax), ""
		}
		g.event(Paused)
		m.nextProbe = now + g.retryAfter()
		return
	}
	g.good(m.goodSent)
	m.nextProbe = max(now, m.goodSent+g.firstInterval())
	if now < m.leaseEnd {
		g.event(Paused)
		return
	}
	g.enter(Suspended)
	g.revoke()
	m.failing, m.since = true, now // not the lease's end: the key was not asked since
	g.setFailure(errExpired(g.cfg))
	g.event(Paused)
	m.nextProbe = now
}

// callReport tells of queued events and saves the record.
func (g *Guard) callReport() {
	m := &g.m
	events := m.events
	m.events = nil
	save := m.unsaved && m.state != Erased
	rec := g.record()
	m.unsaved = false
	m.reporting = true
	g.calls.Go(func() {
		for _, e := range events {
			if e.Kind != "" {
				g.log.Info("key event", "what", string(e.Kind), "message", e.Message, "request_id", e.RequestID)
			} else {
				g.log.Log(context.Background(), e.Level(), "key state", "from", e.From.String(), "to", e.To.String(),
					"class", e.Class.String(), "message", e.Message, "request_id", e.RequestID)
			}
			if g.cfg.OnEvent != nil {
				g.cfg.OnEvent(e)
			}
		}
		var err error
		if save && g.cfg.Save != nil {
			err = g.cfg.Save(rec)
		}
		g.after(func() { g.onReported(err) })
	})
}

func (g *Guard) onReported(err error) {
	m := &g.m
	m.reporting = false
	m.saveFailing = err != nil
	if err != nil {
		g.log.Error("saving the key's record failed, will be retried", "err", err)
		m.unsaved = true
		m.saveNext = g.now() + retryInterval
	}
}
