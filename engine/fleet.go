package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/byokdb/byokdb/crypt/guard"
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/pager"
)

// FleetOptions are the settings of a Fleet. The zero value is safe; nil means
// the zero value.
type FleetOptions struct {
	// CacheSize is the budget in bytes of the page cache that the databases
	// share, DefaultCacheSize if 0.
	CacheSize int64

	// ProbesMax limits how many probes of keys are under way at once, 32 if 0.
	ProbesMax int

	// Logger is told when the machine slept. Silent if nil.
	Logger *slog.Logger

	clock clock.Clock // tests: a bubble's clock
}

// A Fleet is what many databases in one process share: one page cache, and one
// goroutine that keeps time for the guards of all their keys. Probes of databases
// that were opened at the same moment are spread over the interval. Databases
// under one key, opened with equal key URIs, tell each other of denials of the key
// as a whole, and while it is away one of them asks at the fast pace for all; each
// of them is served only for good probes of its own. Safe for concurrent use.
type Fleet struct {
	cache *pager.Cache
	sched *guard.Scheduler

	mu     sync.Mutex
	nOpen  int
	closed bool
}

// NewFleet returns a fleet without databases; Options.Fleet puts one in. Close it
// after them. An error is about the options.
func NewFleet(o *FleetOptions) (*Fleet, error) {
	if o == nil {
		o = &FleetOptions{}
	}
	size := o.CacheSize
	if size == 0 {
		size = DefaultCacheSize
	}
	cache, err := pager.NewCache(size)
	if err != nil {
		return nil, fmt.Errorf("new fleet: %w", err)
	}
	sched, err := guard.NewScheduler(guard.SchedulerOptions{Clock: o.clock, Logger: o.Logger, ProbesMax: o.ProbesMax})
	if err != nil {
		return nil, fmt.Errorf("new fleet: %w", errors.Join(err, cache.Close()))
	}
	return &Fleet{cache: cache, sched: sched}, nil
}

// enter counts a database that is being opened.
func (f *Fleet) enter() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("open database: the fleet: %w", ErrClosed)
	}
	f.nOpen++
	return nil
}

func (f *Fleet) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nOpen--
}

// Close releases the cache and ends the scheduler. While databases of the fleet
// are open it does nothing, and returns an error that says how many.
func (f *Fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return ErrClosed
	case f.nOpen > 0:
		return fmt.Errorf("close fleet: databases are open: %d", f.nOpen)
	}
	f.closed = true
	f.sched.Close()
	return f.cache.Close()
}
