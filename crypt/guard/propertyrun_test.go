package guard

import (
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
)

// run is a random life of a world, and its end.
func (w *world) run(seen *coverage) {
	w.do(func() { w.seen = seen })
	for range 120 {
		w.change()
		w.pass()
		for _, d := range w.dbs {
			d.check()
		}
		if w.t.Failed() {
			break
		}
	}
	w.comeBack()
	for _, d := range w.dbs {
		d.close()
		d.check()
	}
	w.sched.Close()
	time.Sleep(time.Hour)
	synctest.Wait()
}

// change makes something different.
func (w *world) change() {
	d := w.dbs[w.rng.IntN(len(w.dbs))]
	classes := []crypt.Class{
		crypt.ClassNone, crypt.ClassNone, crypt.ClassDenied, crypt.ClassDenied, crypt.ClassUnreachable,
		crypt.ClassUnreachable, crypt.ClassCredentials, crypt.ClassTampered,
	}
	switch w.rng.IntN(12) {
	case 0: // the key's state, for everybody under it
		class, whole := classes[w.rng.IntN(len(classes))], w.rng.IntN(2) == 0
		w.do(func() {
			for _, o := range w.dbs {
				if o.kek == d.kek {
					o.class, o.whole = class, whole
				}
			}
		})
	case 1, 2, 3, 4: // the answer to one database
		w.do(func() { d.class, d.whole = classes[w.rng.IntN(len(classes))], w.rng.IntN(2) == 0 })
	case 5, 6: // how long answers take
		w.do(func() {
			d.deaf = w.rng.IntN(8) == 0
			d.latency = time.Duration(w.rng.Int64N(int64(d.policy.ProbeTimeout)))
			switch {
			case d.deaf:
				d.latency *= time.Duration(1 + w.rng.IntN(4))
			case w.rng.IntN(3) == 0:
				d.latency = time.Hour // hangs
			case w.rng.IntN(2) == 0:
				d.latency = 0
			}
		})
	case 7:
		w.clk.step.Store(w.rng.Int64N(int64(2000*time.Hour)) - int64(1000*time.Hour))
	case 8:
		w.seen.Sleeps++
		w.clk.slept.Add(w.rng.Int64N(int64(2 * d.policy.Deadline)))
		time.Sleep(watchInterval) // in which it is noticed
	case 9: // a restart
		d.close()
		w.do(func() {
			w.seen.Restarts++
			if !d.erased {
				d.open(d.class == crypt.ClassNone)
			}
		})
	default: // nothing: what is goes on
	}
}

// pass lets time pass: up to a moment that matters, or some time.
func (w *world) pass() {
	d := w.dbs[w.rng.IntN(len(w.dbs))]
	var until time.Duration
	w.do(func() {
		for w.rng.IntN(4) == 0 {
			until = d.lastGood + d.policy.Bound()
			if w.rng.IntN(2) == 0 {
				until += d.policy.UnreachableGrace
			}
		}
	})
	switch left := until - w.now(); {
	case left > 0 && left < 10*time.Hour:
		time.Sleep(left)
	case w.rng.IntN(3) == 0:
		time.Sleep(time.Duration(w.rng.Int64N(int64(d.policy.Deadline))))
	default:
		time.Sleep(time.Duration(w.rng.Int64N(int64(d.policy.Bound()))))
	}
	synctest.Wait()
}

func (d *database) close() {
	d.w.do(func() { d.ending = true })
	d.g.Close()
	d.w.do(func() { d.closed = true })
}

// comeBack gives everybody the key, and waits until they serve: within the time
// of calls that hang, and of two probes at the fast pace.
func (w *world) comeBack() {
	w.do(func() {
		for _, d := range w.dbs {
			d.class, d.latency, d.deaf = crypt.ClassNone, 0, false
		}
	})
	time.Sleep(4*20*time.Second + 2*time.Minute) // the slowest call, and Resumes that fail
	synctest.Wait()
	for _, d := range w.dbs {
		if st := d.g.Status(); !d.closed && !d.erased && st.State != Active && st.State != Erased {
			w.t.Errorf("%v (%v) although the key answers", st.State, st.Message)
		}
		d.check()
	}
}
