package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine"
)

const (
	collection = "c"
	keySize    = 16
	valueSize  = 100

	updatesPerCommit = 100
)

// bench is one run on one database.
type bench struct {
	config
	report report
	key    crypt.Provider
	db     *engine.DB
	path   string
	rowsAt atomic.Uint64 // rows written, for the line of progress

	highest atomic.Int64 // memory seen so far, in bytes
}

func (b *bench) options() (*engine.Options, error) {
	o := &engine.Options{CacheSize: b.cache, MemtableSize: b.memtable}
	switch b.sync {
	case "full":
	case "interval":
		o.Sync = engine.SyncInterval
	case "off":
		o.Sync = engine.SyncOff
	default:
		return nil, fmt.Errorf("unknown sync mode %q", b.sync)
	}
	return o, nil
}

// row fills in the key and value of a row; the values of a row's versions
// differ. Half of a value is random, so that it compresses by about a half.
func row(key, value []byte, i, version uint64) {
	h := mix(i)
	binary.BigEndian.PutUint64(key, h)
	binary.BigEndian.PutUint64(key[8:], i)
	for at := 0; at < valueSize/2; at += 8 {
		h = mix(h + version)
		var w [8]byte
		binary.BigEndian.PutUint64(w[:], h)
		copy(value[at:valueSize/2], w[:])
	}
}

// mix is the finalizer of splitmix64: a bijection without visible order.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// load writes every row once, in random order, each batch durable.
func (b *bench) load(context.Context) error {
	if err := b.db.Update(func(tx *engine.Tx) error {
		_, err := tx.CreateCollectionIfNotExists(collection)
		return err
	}); err != nil {
		return err
	}
	b.report.Rows, b.report.PlainBytes = b.rows, b.rows*(keySize+valueSize)
	key, value := make([]byte, keySize), make([]byte, valueSize)
	var times []time.Duration
	began := time.Now()
	for i := uint64(0); i < b.rows; {
		at := time.Now()
		if err := b.db.Update(func(tx *engine.Tx) error {
			c, err := tx.Collection(collection)
			for n := 0; n < b.batch && i < b.rows && err == nil; n++ {
				row(key, value, i, 0)
				err = c.Put(key, value)
				i++
			}
			return err
		}); err != nil {
			return err
		}
		b.rowsAt.Store(i)
		times = append(times, time.Since(at))
	}
	b.report.LoadRate = float64(b.rows) / time.Since(began).Seconds()
	b.report.LoadP999, b.report.LoadWorst = quantile(times, 0.999), slices.Max(times)
	return nil
}

// settle waits until flushes and compaction have nothing left to do.
func (b *bench) settle(context.Context) error {
	began := time.Now()
	b.quiet()
	b.report.SettleSeconds = time.Since(began).Seconds()
	b.report.DiskLoaded = b.disk()
	return nil
}

// quiet returns when nothing was flushed or merged for three seconds.
func (b *bench) quiet() {
	for since := time.Now(); time.Since(since) < 3*time.Second; time.Sleep(50 * time.Millisecond) {
		if st := b.db.Status(); st.Flushing > 0 || st.Compacting > 0 {
			since = time.Now()
		}
	}
}

func (b *bench) disk() int64 {
	var n int64
	err := filepath.WalkDir(filepath.Join(b.path, "runs"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "size of runs:", err)
	}
	return n
}

// read measures random reads by one reader.
func (b *bench) read(context.Context) error {
	if b.reads == 0 {
		return nil
	}
	key, value := make([]byte, keySize), make([]byte, valueSize)
	var spent time.Duration
	for done := 0; done < b.reads; {
		err := b.db.View(func(tx *engine.Tx) error {
			c, err := tx.Collection(collection)
			if err != nil {
				return err
			}
			at := time.Now()
			for range 1000 {
				row(key, value, rand.Uint64N(b.rows), 0)
				if _, err := c.UnsafeGet(key); err != nil {
					return err
				}
			}
			spent += time.Since(at)
			done += 1000
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.report.Read = spent / time.Duration(b.reads)
	return nil
}

// update commits some random updates.
func (b *bench) update(version uint64) error {
	var key [keySize]byte
	var value [valueSize]byte
	return b.db.Update(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		for n := 0; n < updatesPerCommit && err == nil; n++ {
			row(key[:], value[:], rand.Uint64N(b.rows), version)
			err = c.Put(key[:], value[:])
		}
		return err
	})
}

// measurePeak lets writers update random rows as fast as they can.
func (b *bench) measurePeak(context.Context) error {
	times, err := b.drive(b.peak, 0)
	if err != nil || len(times) == 0 {
		return err
	}
	b.report.PeakRate = float64(len(times)*updatesPerCommit) / b.peak.Seconds()
	b.report.PeakWorst = slices.Max(times)
	return nil
}

// hold updates at a share of the peak rate. A commit's time counts from when it
// was due, so that a pause shows in every commit that it delayed.
func (b *bench) hold(context.Context) error {
	if b.report.PeakRate == 0 {
		return nil
	}
	rate := b.share * b.report.PeakRate
	times, err := b.drive(b.steady, rate)
	if err != nil || len(times) == 0 {
		return err
	}
	b.report.SteadyRate = float64(len(times)*updatesPerCommit) / b.steady.Seconds()
	b.report.SteadyP50, b.report.SteadyP99 = quantile(times, 0.5), quantile(times, 0.99)
	b.report.SteadyP999, b.report.SteadyWorst = quantile(times, 0.999), slices.Max(times)
	return nil
}

// drive runs the writers for some time, at rate rows a second all together, or
// as fast as they can at rate 0, and returns the time of each commit.
func (b *bench) drive(long time.Duration, rate float64) ([]time.Duration, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		all    []time.Duration
		failed error
	)
	began := time.Now()
	for w := range b.writers {
		wg.Go(func() {
			var times []time.Duration
			var err error
			for n := 0; err == nil && time.Since(began) < long; n++ {
				due := time.Now()
				if rate > 0 {
					turn := float64(n*b.writers+w) * updatesPerCommit / rate
					due = began.Add(time.Duration(turn * float64(time.Second)))
					time.Sleep(time.Until(due))
				}
				err = b.update(uint64(n + 1))
				times = append(times, time.Since(due))
				b.rowsAt.Add(updatesPerCommit)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			if failed == nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return all, failed
}

func quantile(times []time.Duration, q float64) time.Duration {
	s := slices.Sorted(slices.Values(times))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
