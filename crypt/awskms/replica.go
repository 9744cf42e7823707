package awskms

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// Replicas of a multi-Region key. They unwrap while the key itself, the primary,
// cannot be reached, and never overrule what it says.
//
// Source: docs/adr/0017-replicas-unwrap-and-never-overrule.md.

// Times of an unwrap that replicas may serve. It ends somewhat before ctx does,
// so that its result is there in time.
const (
	anywhereTimeout = 2 * requestTimeout // for callers without a deadline
	primaryShare    = 3                  // the primary alone has 1/primaryShare of the time
	hearShare       = 8                  // after the first yes, the other replicas have 1/hearShare to say no
	hearMax         = time.Second
	againPause      = 250 * time.Millisecond
)

// refusals remembers for which databases the primary refused last. After a
// denial no replica is asked until the primary itself has said yes: cutting the
// line to the primary must not undo what its owner did.
type refusals struct {
	mu  sync.Mutex
	ids map[crypt.ID]struct{}
}

func newRefusals() *refusals { return &refusals{ids: map[crypt.ID]struct{}{}} }

// note takes an answer of the primary, and returns it.
func (r *refusals) note(c crypt.Context, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch crypt.ClassOf(err) {
	case crypt.ClassNone:
		delete(r.ids, c.Database)
	case crypt.ClassDenied:
		r.ids[c.Database] = struct{}{}
	default: // it says nothing about the key
	}
	return err
}

func (r *refusals) has(c crypt.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.ids[c.Database]
	return ok
}

// reply is what one site answered.
type reply struct {
	dek     *crypt.Secret
	receipt crypt.Receipt
	err     error
	primary bool
}

func (r reply) class() crypt.Class { return crypt.ClassOf(r.err) }

// unwrapAnywhere asks the primary, and, when it cannot be reached or has not
// answered in its share of the time, every replica at once:
//
//   - whatever the primary says counts, at any moment until the end;
//   - a replica that refuses keeps the others from serving. That refusal is
//     returned, as denied, once the primary has had all the time there is, so
//     that a slow primary is not taken for one that is gone;
//   - else the first replica that unwraps serves, once the others have had a
//     moment to refuse.
//
// A call at the end of which nobody answered returns the primary's failure.
func (p *Provider) unwrapAnywhere(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	if crypt.IsPrimaryOnly(ctx) || p.refusals.has(c) {
		dek, r, err := p.unwrap(ctx, w, c)
		if pe, ok := errors.AsType[*crypt.ProviderError](p.refusals.note(c, err)); ok && pe.Class == crypt.ClassUnreachable {
			pe.Detail += "; it refused before, so its replicas are not asked until it answers"
		}
		return dek, r, err
	}
	total := time.Duration(anywhereTimeout)
	if end, ok := ctx.Deadline(); ok {
		total = time.Until(end)
	}
	inner, cancel := context.WithTimeout(ctx, total-total/20)
	f := &search{
		ctx: inner, replies: make(chan reply, 1+len(p.replicas)), p: p,
		ask: func(s *site, primary bool) reply {
			dek, receipt, err := s.unwrap(inner, w, c)
			return reply{dek: dek, receipt: receipt, err: err, primary: primary}
		},
	}
	r := f.run(total)
	cancel()
	r = f.end(r)
	if r.primary {
		_ = p.refusals.note(c, r.err) // returned below
	}
	return r.dek, r.receipt, r.err
}

// search is one unwrapAnywhere under way.
type search struct {
	ctx     context.Context
	p       *Provider
	ask     func(s *site, primary bool) reply
	calls   sync.WaitGroup
	replies chan reply // has room for every call under way

	asking  bool   // the primary
	asked   bool   // the replicas
	pending int    // replicas that have not answered
	failure *reply // the primary's last
	yes, no *reply // of replicas, the first of each
}

func (f *search) send(s *site, primary bool) {
	f.calls.Go(func() { f.replies <- f.ask(s, primary) })
}

// end waits for the calls that were given up, and wipes what they brought. What
// the primary said at the last moment counts more than r.
func (f *search) end(r reply) reply {
	f.calls.Wait()
	close(f.replies)
	for late := range f.replies {
		if late.primary && late.class() != crypt.ClassUnreachable {
			late, r = r, late
		}
		late.dek.Wipe()
	}
	return r
}

func (f *search) askPrimary() {
	f.asking = true
	f.send(f.p.site, true)
}

func (f *search) askReplicas() {
	if f.asked {
		return
	}
	f.asked, f.pending = true, len(f.p.replicas)
	for _, s := range f.p.replicas {
		f.send(s, false)
	}
}

// run returns the reply that counts.
func (f *search) run(total time.Duration) reply {
	share := time.NewTimer(total / primaryShare)
	defer share.Stop()
	var heard, again <-chan time.Time // nil: not waited for
	f.askPrimary()
	for {
		select {
		case r := <-f.replies:
			if f.take(r) {
				return r
			}
			switch {
			case f.yes != nil && f.no == nil && f.pending == 0:
				return f.serve()
			case f.yes != nil && heard == nil:
				heard = time.NewTimer(min(hearMax, total/hearShare)).C
			case f.no == nil && f.asked && f.pending == 0 && !f.asking:
				return f.nobody()
			}
			if f.no != nil && !f.asking && again == nil {
				again = time.NewTimer(againPause).C
			}
		case <-share.C:
			f.askReplicas()
		case <-heard:
			if f.no == nil {
				return f.serve()
			}
			heard = nil
		case <-again:
			again = nil
			f.askPrimary()
		case <-f.ctx.Done():
			return f.timeUp()
		}
	}
}

// take notes a reply, and reports whether it is the primary's and decides.
func (f *search) take(r reply) bool {
	if r.primary {
		f.asking = false
		if r.class() != crypt.ClassUnreachable {
			f.drop(f.yes)
			return true
		}
		f.failure = &r
		f.askReplicas()
		return false
	}
	f.pending--
	switch r.class() {
	case crypt.ClassNone:
		if f.yes == nil && f.no == nil {
			f.yes = &r
		} else {
			r.dek.Wipe()
		}
	case crypt.ClassDenied:
		if f.no == nil {
			f.no = &r
		}
		f.drop(f.yes)
	default: // this replica does not count
	}
	return false
}

// drop wipes a yes that does not serve.
func (f *search) drop(r *reply) {
	if r != nil {
		r.dek.Wipe()
		f.yes = nil
	}
}

// serve returns a replica's yes.
func (f *search) serve() reply { return *f.yes }

// nobody returns the primary's failure, when no replica helped.
func (f *search) nobody() reply {
	if pe, ok := errors.AsType[*crypt.ProviderError](f.failure.err); ok {
		pe.Detail += "; neither do its replicas serve"
	}
	return *f.failure
}

// timeUp decides at the end of the time.
func (f *search) timeUp() reply {
	switch {
	case f.no != nil:
		return f.refused()
	case f.yes != nil:
		return f.serve()
	case f.failure != nil:
		return f.nobody()
	}
	e := &crypt.ProviderError{Op: opUnwrap, KeyID: f.p.keyARN}
	sortTransport(f.ctx, e, f.ctx.Err())
	return reply{err: e}
}

// refused returns a replica's no. It names the replica, not the KEK: the key
// itself has denied nothing.
func (f *search) refused() reply {
	e := &crypt.ProviderError{Class: crypt.ClassDenied, Op: opUnwrap, KeyID: f.no.receipt.KeyID}
	if pe, ok := errors.AsType[*crypt.ProviderError](f.no.err); ok {
		*e = *pe
	}
	e.Detail = "the key " + f.p.keyARN + " cannot be reached, and this replica of it refuses: " + e.Detail
	return reply{err: e}
}
