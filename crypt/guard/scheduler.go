package guard

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/internal/clock"
)

// DefaultProbesMax is how many probes a scheduler sends at once.
const DefaultProbesMax = 32

const probesMaxMax = 4096

// SchedulerOptions are the settings of a Scheduler. The zero value is safe.
type SchedulerOptions struct {
	// Clock is that of all guards of the scheduler; the system's if nil.
	Clock clock.Clock

	// Logger is told when the machine slept; silent if nil.
	Logger *slog.Logger

	// ProbesMax limits the probes under way at once, 1 to 4096, DefaultProbesMax
	// if 0. A probe that takes longer than 250 ms is not counted any more: KMSs
	// that hang must not hold up those that answer.
	ProbesMax int
}

// A Scheduler keeps time for the guards that are started with it: one goroutine
// and one timer for all of them. It looks at boot time once a second, limits how
// many probes are under way, and passes on between databases under one key what
// concerns the key as a whole. Close it after its guards. Safe for concurrent use.
type Scheduler struct {
	clk   clock.Clock
	log   *slog.Logger
	slept atomic.Int64 // sum of the machine's sleeps seen, in nanoseconds

	probes  slots
	resumes slots

	mu         sync.Mutex    // held for moments; a guard's mutex may be held around it, never the other way
	bootOffset time.Duration // boot minus monotonic, as last seen
	agenda     agenda
	due        []*Guard // being stepped; kept for its memory
	nGuards    int
	timerAt    time.Duration // when the timer fires; leaseNone while the loop is at work
	groups     map[string]*group

	wake   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when the loop has ended
}

// NewScheduler returns a running scheduler. An error is about the options.
func NewScheduler(o SchedulerOptions) (*Scheduler, error) {
	if o.ProbesMax < 0 || o.ProbesMax > probesMaxMax {
		return nil, errors.New("guard: ProbesMax is not between 1 and 4096")
	}
	if o.ProbesMax == 0 {
		o.ProbesMax = DefaultProbesMax
	}
	s := &Scheduler{
		clk: o.Clock, log: o.Logger, groups: make(map[string]*group), timerAt: leaseNone,
		probes:  slots{free: o.ProbesMax, hold: probeHold},
		resumes: slots{free: o.ProbesMax, hold: resumeHold},
		wake:    make(chan struct{}, 1), done: make(chan struct{}),
	}
	if s.clk == nil {
		s.clk = clock.System()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.bootOffset = readBootOffset(s.clk)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.loop()
	return s, nil
}

// Clock returns the clock of the scheduler and its guards.
func (s *Scheduler) Clock() clock.Clock { return s.clk }

// Now returns the time that leases count in: it goes on while the machine
// sleeps, as far as that was seen, and no step of the wall clock changes it.
func (s *Scheduler) Now() time.Duration {
	return s.clk.Monotonic() + time.Duration(s.slept.Load())
}

// Close ends the scheduler's goroutine. Guards that were not closed before only
// refuse from the end of their leases on. It may be called more than once.
func (s *Scheduler) Close() {
	s.cancel()
	<-s.done
}

// loop is the scheduler's goroutine.
func (s *Scheduler) loop() {
	defer close(s.done)
	timer := time.NewTimer(watchInterval)
	defer timer.Stop()
	for s.ctx.Err() == nil {
		s.watch()
		for _, g := range s.takeDue() {
			g.locked(g.step)
		}
		wait, any := s.untilNext()
		switch {
		case !any:
			timer.Stop()
		case wait == 0:
			continue
		default:
			timer.Reset(wait)
		}
		select {
		case <-s.ctx.Done():
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// takeDue takes the guards off the agenda that have something to do.
func (s *Scheduler) takeDue() []*Guard {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timerAt = leaseNone
	for len(s.agenda) > 0 && s.agenda[0].due <= now {
		s.due = append(s.due, s.agenda[0])
		heap.Pop(&s.agenda)
	}
	return s.due
}

// untilNext returns how long there is nothing to do; any is false when there are
// no guards to do anything for.
func (s *Scheduler) untilNext() (wait time.Duration, any bool) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.due)
	s.due = s.due[:0]
	if s.nGuards == 0 {
		return 0, false
	}
	s.timerAt = now + watchInterval
	if len(s.agenda) > 0 {
		s.timerAt = min(s.timerAt, s.agenda[0].due)
	}
	return max(0, s.timerAt-now), true
}

// plan notes when a guard next has something to do. Its mutex is held.
func (s *Scheduler) plan(g *Guard, due time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.due = due
	if g.place < 0 {
		heap.Push(&s.agenda, g)
	} else {
		heap.Fix(&s.agenda, g.place)
	}
	if due < s.timerAt {
		s.poke()
	}
}

// poke makes the loop look again.
func (s *Scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// add takes a guard in.
func (s *Scheduler) add(g *Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nGuards++
	g.place = -1
	if name := g.cfg.KEK; name != "" {
		gr := s.groups[name]
		if gr == nil {
			gr = &group{members: make(map[*Guard]struct{})}
			s.groups[name] = gr
		}
		gr.members[g] = struct{}{}
		g.group = gr
	}
	s.poke() // the loop sleeps without a timer while there are no guards
}

// remove forgets a guard. Its mutex is not held; it plans nothing any more.
func (s *Scheduler) remove(g *Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nGuards--
	if g.place >= 0 {
		heap.Remove(&s.agenda, g.place)
	}
	if g.group == nil {
		return
	}
	delete(g.group.members, g)
	if len(g.group.members) == 0 {
		delete(s.groups, g.cfg.KEK)
	}
}

// alone reports whether the scheduler has one guard.
func (s *Scheduler) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nGuards == 1
}

// watch compares boot time with monotonic time: what the first gained is sleep.
func (s *Scheduler) watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset := readBootOffset(s.clk)
	d := offset - s.bootOffset
	if d > -sleepMin && d < sleepMin {
		return // not rebased: many short sleeps add up
	}
	s.bootOffset = offset
	if d < 0 {
		return // where boot time is made of the wall clock, it can be set back
	}
	s.slept.Add(int64(d)) // every lease is the shorter for it, at once
	s.log.Info("the machine slept", "duration", d)
	s.poke()
}

// readBootOffset reads boot time less monotonic time. Being held up between the
// two readings must not look like sleep, so that the tightest of a few counts.
func readBootOffset(clk clock.Clock) time.Duration {
	var offset time.Duration
	tightest := time.Duration(1<<63 - 1)
	for range 5 {
		before := clk.Monotonic()
		boot := clk.Boot()
		after := clk.Monotonic()
		if after-before < tightest {
			tightest, offset = after-before, boot-before
		}
		if tightest < time.Millisecond {
			break
		}
	}
	return offset
}

// agenda is a heap of guards by when they have something to do.
type agenda []*Guard

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due < a[j].due }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i, j
}

func (a *agenda) Push(x any) {
	g := x.(*Guard) //nolint:errcheck // plan pushes nothing else
	g.place = len(*a)
	*a = append(*a, g)
}

func (a *agenda) Pop() any {
	old := *a
	n := len(old) - 1
	g := old[n]
	old[n] = nil
	*a, g.place = old[:n], -1
	return g
}
