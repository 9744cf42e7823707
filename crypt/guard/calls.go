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

type lifeResult struct {
	op  lifeOp
	err error
}

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

// callProbe sends a probe.
func (g *Guard) callProbe() {
	m := &g.m
	now := g.now()
	m.probing, m.expired = true, false
	m.probeEnd = now + g.cfg.Policy.ProbeTimeout
	m.waiting, m.asked = append(m.waiting, m.asked...), nil
	every := g.cfg.Policy.ProbeInterval
	if m.state != Active || m.failing {
		every = jitter(g.retryEvery())
	}
	m.nextProbe = now + every
	retry := m.state == Active
	g.calls.Go(func() { g.probed <- g.probe(retry) })
}

// probe asks the KMS, again and again while it is unreachable and the probe's
// time lasts. A lease counts from the attempt that succeeded.
func (g *Guard) probe(retry bool) attempt {
	ctx, cancel := context.WithTimeout(g.ctx, g.cfg.Policy.ProbeTimeout)
	defer cancel()
	pause := min(time.Second, g.cfg.Policy.ProbeTimeout/8)
	var last error
	for {
		g.mu.RLock()
		sent := g.now() // sleep not yet seen makes the lease shorter, never longer
		g.mu.RUnlock()
		receipt, err := g.cfg.Probe(ctx)
		class := crypt.ClassOf(err)
		switch {
		case err == nil:
			return attempt{sent: sent, receipt: receipt}
		case class == crypt.ClassDenied, class == crypt.ClassTampered, !retry:
			return attempt{sent: sent, err: err}
		}
		if last == nil || ctx.Err() == nil { // a cause says more than "deadline exceeded"
			last = err
		}
		if class == crypt.ClassUnreachable && ctx.Err() == nil {
			g.locked(func() { g.noteOutage(err) })
		}
		t := time.NewTimer(jitter(pause))
		select {
		case <-ctx.Done():
			t.Stop()
			return attempt{sent: sent, err: last}
		case <-t.C:
		}
	}
}

// onProbed takes a probe's result. One that comes after its time was counted
// as an outage already; what it says holds all the same.
func (g *Guard) onProbed(a attempt) {
	g.watch()
	m := &g.m
	now := g.now()
	late := m.expired
	m.probing, m.expired = false, false
	if a.err == nil {
		g.callGood(a.receipt)
	}
	if late && (a.err == nil && a.sent+g.cfg.Policy.Bound() <= now || crypt.ClassOf(a.err) == crypt.ClassUnreachable) {
		return
	}
	g.settle(a.err, a.sent)
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
		g.locked(func() { g.m.noting = false })
		g.poke()
	})
}

// settle ends a probe: err is its result, sent when it was sent.
func (g *Guard) settle(err error, sent time.Duration) {
	m := &g.m
	m.counters.Probes++
	now := g.now()
	if err != nil {
		g.fail(err)
		m.nextProbe = min(m.nextProbe, max(now, sent+jitter(g.retryEvery())))
		g.answer(&m.waiting, err)
		return
	}
	fresh := sent+g.cfg.Policy.Bound() > now
	switch {
	case !fresh:
		m.nextProbe = now // it came too late to grant anything
	case m.state == Active || m.state == Suspended:
		from, was := m.state, m.failing
		g.good(sent)
		m.nextProbe = max(now, sent+g.cfg.Policy.ProbeInterval)
		if from != Active || was {
			g.event(from)
		}
	case m.state == Paused && m.life == lifeNone:
		m.deniedFor, m.savedFor, m.denials = 0, 0, false
		m.unsaved = true
		m.goodSent = sent
		m.resuming, m.waiting = append(m.resuming, m.waiting...), nil
		g.callResume()
	case m.state == Paused:
		m.denials, m.deniedFor, m.savedFor = false, 0, 0
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
	g.m.life = lifePause
	g.calls.Go(func() {
		if g.cfg.Pause != nil {
			g.cfg.Pause()
		}
		g.lived <- lifeResult{op: lifePause}
	})
}

func (g *Guard) callResume() {
	g.m.life = lifeResume
	g.calls.Go(func() {
		var err error
		if g.cfg.Resume != nil {
			err = g.cfg.Resume(g.ctx)
		}
		g.lived <- lifeResult{op: lifeResume, err: err}
	})
}

func (g *Guard) callErase() {
	g.m.life = lifeErase
	rec := g.record()
	g.calls.Go(func() {
		var err error
		if g.cfg.Erase != nil {
			err = g.cfg.Erase(rec)
		}
		g.lived <- lifeResult{op: lifeErase, err: err}
	})
}

// onLived takes the end of Pause, Resume or Erase.
func (g *Guard) onLived(r lifeResult) {
	g.watch()
	m := &g.m
	now := g.now()
	m.life = lifeNone
	switch r.op {
	case lifePause:
		m.wiped, m.wipedAt = true, now
		m.unsaved, m.saveNext = true, now
	case lifeResume:
		g.onResumed(r.err, now)
		g.answer(&m.resuming, r.err)
	case lifeErase:
		m.lifeNext = now + retryInterval
		if r.err != nil {
			g.log.Error("erasing failed, will be retried", "err", r.err)
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
			m.err = err
			m.message, m.requestID = cut("the key answers, but resuming failed: "+err.Error(), messageSizeMax), ""
		}
		g.event(Paused)
		m.nextProbe = now + jitter(g.retryEvery())
		return
	}
	m.counters.Resumes++
	g.good(m.goodSent)
	m.nextProbe = max(now, m.goodSent+g.cfg.Policy.ProbeInterval)
	if now < m.leaseEnd {
		g.event(Paused)
		return
	}
	m.state = Suspended
	g.revoke()
	m.failing, m.since = true, now // not the lease's end: the key was not asked since
	g.setFailure(errExpired(g.cfg))
	m.counters.Suspensions++
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
			g.log.Log(context.Background(), e.Level(), "key state", "from", e.From.String(), "to", e.To.String(), "class", e.Class.String(),
				"message", e.Message, "request_id", e.RequestID)
			if g.cfg.OnEvent != nil {
				g.cfg.OnEvent(e)
			}
		}
		var err error
		if save && g.cfg.Save != nil {
			err = g.cfg.Save(rec)
		}
		g.reported <- err
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
