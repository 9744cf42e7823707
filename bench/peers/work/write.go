package work

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// latencies are in nanoseconds.
type latencies []float64

func (l latencies) quantile(q float64) float64 {
	if len(l) == 0 {
		return math.NaN()
	}
	slices.Sort(l)
	return l[min(int(q*float64(len(l))), len(l)-1)]
}

// update writes random rows anew. The first third of the time is for the tree to
// take the shape that it keeps. At least one commit counts, however long it takes.
func (t *turn) update(s Store) error {
	rng := newRand(3)
	key, value := make([]byte, 0, KeySize), make([]byte, 0, 512)
	version, l := uint64(1), latencies{}
	settled, end := time.Now().Add(t.Time), time.Now().Add(3*t.Time)
	began, n := time.Time{}, 0
	for at := time.Now(); at.Before(end) || n == 0; {
		err := s.Write(updates, func(int) ([]byte, []byte) {
			i := rng.IntN(t.Rows)
			key, value = AppendKey(key[:0], i), Random.AppendValue(value[:0], i, version)
			return key, value
		})
		if err != nil {
			return fmt.Errorf("update: %w", err)
		}
		version++
		now := time.Now()
		switch {
		case !began.IsZero():
			l, n = append(l, float64(now.Sub(at))), n+updates
		case now.After(settled):
			began = now
		}
		at = now
	}
	t.addLatencies(Update, perRow(time.Since(began), n), l)
	return nil
}

// commits makes one row durable at a time, by one writer and by many, and beside
// the first does nothing but sync as many bytes.
func (t *turn) commits(s Store) error {
	var plain, written, one latencies
	p, err := newSyncer(t.Dir)
	if err != nil {
		return err
	}
	defer p.close()
	// In slices, so that a moment in which the disk is slow is everybody's.
	const slice = 8
	for range slice {
		if err := t.pass(); err != nil {
			return err
		}
		for _, part := range []struct {
			l  *latencies
			do func(i int) error
		}{{&plain, p.plain}, {&one, t.put(s)}, {&written, p.written}} {
			for end := time.Now().Add(t.Time / slice); time.Now().Before(end) || len(*part.l) == 0; {
				at := time.Now()
				if err := part.do(len(*part.l)); err != nil {
					return fmt.Errorf("commit: %w", err)
				}
				*part.l = append(*part.l, float64(time.Since(at)))
			}
		}
	}
	t.addLatencies(SyncPlain, plain.quantile(0.5), plain)
	t.addLatencies(SyncWritten, written.quantile(0.5), written)
	t.addLatencies(Commit, one.quantile(0.5), one)
	return t.commitTogether(s)
}

// put returns what commits a row.
func (t *turn) put(s Store) func(i int) error {
	rng := newRand(4)
	return func(n int) error {
		i := rng.IntN(t.Rows)
		return s.Put(AppendKey(nil, i), Random.AppendValue(nil, i, uint64(n)+1<<32), false)
	}
}

// commitTogether commits one row at a time by many writers, in slices too.
func (t *turn) commitTogether(s Store) error {
	const slice = 8
	var times, all latencies
	for i := range slice {
		if err := t.pass(); err != nil {
			return err
		}
		began := time.Now()
		l, err := t.commitUntil(s, began.Add(t.Time/slice), uint64(i))
		if err != nil {
			return fmt.Errorf("commits together: %w", err)
		}
		times, all = append(times, perRow(time.Since(began), len(l))), append(all, l...)
	}
	t.addLatencies(CommitsOf16, times.quantile(0.5), all)
	return nil
}

// commitUntil returns the latencies of commits by many writers until end.
func (t *turn) commitUntil(s Store, end time.Time, slice uint64) (all latencies, failed error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for w := range uint64(Writers) {
		wg.Go(func() {
			rng, l := newRand(100+w+slice<<8), latencies{}
			var err error
			for err == nil && (time.Now().Before(end) || len(l) == 0) {
				i, at := rng.IntN(t.Rows), time.Now()
				if err = s.Put(AppendKey(nil, i), Random.AppendValue(nil, i, uint64(len(l))+(1+slice)<<33), true); err == nil {
					l = append(l, float64(time.Since(at)))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, l...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	return all, failed
}
