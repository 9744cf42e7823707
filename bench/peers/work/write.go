package work

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
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

func (t *turn) commitTogether(s Store) error {
	var wg sync.WaitGroup
	var n atomic.Int64
	var mu sync.Mutex
	var all latencies
	var failed error
	began := time.Now()
	for w := range Writers {
		wg.Go(func() {
			rng, l := newRand(100+uint64(w)), latencies{}
			for end := began.Add(t.Time); time.Now().Before(end) || len(l) == 0; {
				i, at := rng.IntN(t.Rows), time.Now()
				err := s.Put(AppendKey(nil, i), Random.AppendValue(nil, i, uint64(len(l))+1<<33), true)
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				l = append(l, float64(time.Since(at)))
				n.Add(1)
			}
			mu.Lock()
			all = append(all, l...)
			mu.Unlock()
		})
	}
	wg.Wait()
	if failed != nil {
		return fmt.Errorf("commits together: %w", failed)
	}
	t.addLatencies(CommitsOf16, perRow(time.Since(began), int(n.Load())), all)
	return nil
}
