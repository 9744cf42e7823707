package work

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// smallCache is the budget in which memory is measured, byokdb's default.
const smallCache = 64 << 20

// resident returns the anonymous and shared resident memory of the process in
// bytes: what is mapped of files is the system's to take back.
func resident() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	var sum int64
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		if name != "RssAnon" && name != "RssShmem" {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += kib << 10
	}
	return sum, nil
}

// memory opens a loaded database, leaves it idle, opens another one beside it,
// reads, walks and writes.
func (t *turn) memory(e Engine) error {
	debug.FreeOSMemory()
	before, err := resident()
	if err != nil {
		return err
	}
	return t.with(Options{Cache: smallCache}, func(s Store) error {
		debug.FreeOSMemory()
		idle, err := resident()
		if err != nil {
			return err
		}
		t.add(MemoryIdle, float64(max(idle-before, 0)))
		if err := t.another(e); err != nil {
			return err
		}
		peak := watch()
		works := *t // its figures are not those of the warm database
		works.figures = nil
		err = errors.Join(works.timed(works.gets(s)...), s.Walk(nil, -1, false, func(_, _ []byte) {}), works.update(s))
		most, perr := peak()
		t.add(MemoryPeak, float64(max(most-before, 0)))
		return errors.Join(err, perr)
	})
}

// another adds what one more database of 1000 rows takes while it is idle. It
// was made and closed before.
func (t *turn) another(e Engine) error {
	dir := filepath.Join(t.Dir, "another")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	small := *t
	small.Rows, small.figures = min(t.Rows, 1000), nil
	small.open = func(o Options) (Store, error) { return e.Open(dir, o) }
	o := Options{Cache: smallCache}
	if err := small.with(o, func(s Store) error { return small.load(s, "", Random, t.Limit) }); err != nil {
		return fmt.Errorf("another database: %w", err)
	}
	debug.FreeOSMemory()
	before, err := resident()
	if err != nil {
		return err
	}
	err = small.with(o, func(Store) error {
		debug.FreeOSMemory()
		idle, err := resident()
		t.add(MemoryMore, float64(max(idle-before, 0)))
		return err
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// watch looks at the memory until the function that it returns is called, which
// returns the most that was seen.
func watch() func() (int64, error) {
	stop, done := make(chan struct{}), make(chan struct{})
	var most int64
	var failed error
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			n, err := resident()
			most, failed = max(most, n), errors.Join(failed, err)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (int64, error) {
		close(stop)
		<-done
		return most, failed
	}
}

// growth loads a database of some size and looks at what that costs.
func (t *turn) growth() error {
	before, err := resident()
	if err != nil {
		return err
	}
	peak := watch()
	err = t.with(Options{Cache: smallCache}, func(s Store) error {
		if err := t.load(s, GrowthLoad, Random, t.Limit); err != nil {
			return err
		}
		if err := t.settle(s); err != nil {
			return err
		}
		works := *t
		works.figures = nil
		if err := errors.Join(works.growthScan(s), works.timed(works.gets(s)...)); err != nil {
			return err
		}
		for _, f := range works.figures {
			switch f.Work {
			case Get:
				t.add(GrowthGet, f.Value)
			case GrowthScan:
				t.add(GrowthScan, f.Value)
			}
		}
		return nil
	})
	most, perr := peak()
	if errors.Is(err, errLimit) {
		fmt.Fprintf(os.Stderr, "%s: %d rows: %v\n", t.Engine, t.Rows, errLimit)
		return nil // no figure is a figure too: the curve ends there
	}
	if err = errors.Join(err, perr); err != nil {
		return err
	}
	t.add(GrowthHeap, float64(max(most-before, 0)))
	total, err := diskUsage(t.Dir)
	t.add(GrowthSize, float64(total)/float64(t.Rows))
	return err
}

func (t *turn) growthScan(s Store) error {
	n := 0
	began := time.Now()
	err := s.Walk(nil, -1, false, func(_, _ []byte) { n++ })
	if err == nil && n != t.Rows {
		err = fmt.Errorf("scan: %d rows of %d", n, t.Rows)
	}
	t.add(GrowthScan, perRow(time.Since(began), max(n, 1)))
	return err
}
