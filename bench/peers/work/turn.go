// Package work is what every peer does, on the same rows in the same order: a
// turn of one engine, which a program runs in a process of its own, and the
// figures that come of it.
package work

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Writers is how many commit at the same time in CommitsOf16.
const Writers = 16

// batch is how many rows a commit of the load has.
const batch = 1000

// updates is how many rows a commit of Update has.
const updates = 100

// A Spec says what a turn does.
type Spec struct {
	Engine string
	Part   string // "kv", "sql", "memory" or "growth"
	Dir    string // exists; is empty but for Part "memory", which follows "kv"
	Round  int
	Rows   int
	Cache  int64         // budget of the engine's cache in bytes
	Time   time.Duration // for work without an end of its own, each
	Limit  time.Duration // for loading a database, 0 for none
	Shared bool          // with turns of other engines, slice by slice

	baton *baton
}

// The names of works of the key-value stores.
const (
	Load        = "load"          // random order, durable batches of 1000
	SizeRandom  = "size-random"   // files after load and settling, closed; random values
	SizeLess    = "less-random"   // the same after the engine's own full compaction, at the turn's end
	SizeJSON    = "size-json"     // records of JSON
	LessJSON    = "less-json"     // the same after full compaction
	Get         = "get"           // random, in the cache, one read transaction
	GetTx       = "get-tx"        // a transaction each
	Miss        = "miss"          // keys that are not there
	Scan        = "scan"          // all rows
	Range       = "range"         // 100 rows
	RangeBack   = "range-back"    // backwards
	Update      = "update"        // random rows, durable batches of 100, steady state
	Commit      = "commit"        // one row, durable, one writer
	CommitsOf16 = "commit-16"     // the same by 16 writers
	SyncPlain   = "sync"          // pwrite of 512 B and fdatasync, preallocated file
	SyncWritten = "sync-written"  // the same over bytes that were written before
	Cold        = "cold"          // random point read, nothing cached
	ColdPread   = "cold-pread"    // 16 KiB at a random place, nothing cached
	Open        = "open"          // an existing database
	MemoryIdle  = "memory-idle"   // what opening adds
	MemoryMore  = "memory-more"   // what opening another one adds
	MemoryPeak  = "memory-peak"   // the most that reading and writing add, cache of 64 MiB
	GrowthLoad  = "growth-load"   // as Load, by number of rows
	GrowthGet   = "growth-get"    // as Get, with a cache of 64 MiB
	GrowthScan  = "growth-scan"   // as Scan
	GrowthSize  = "growth-size"   // files, per row
	GrowthHeap  = "growth-memory" // the most that all of this adds to resident memory
)

// A Figure is one measurement. Times are in nanoseconds, per row or operation;
// sizes in bytes.
type Figure struct {
	Engine string  `json:"engine"`
	Work   string  `json:"work"`
	Round  int     `json:"round"`
	Rows   int     `json:"rows"`
	Value  float64 `json:"value"`
	P50    float64 `json:"p50,omitempty"` // latencies, where they matter
	P99    float64 `json:"p99,omitempty"`
	P999   float64 `json:"p999,omitempty"`
}

// turn is a Spec under way.
type turn struct {
	Spec
	open    func(o Options) (Store, error)
	figures []Figure
}

func (t *turn) add(work string, value float64) {
	t.figures = append(t.figures, Figure{Engine: t.Engine, Work: work, Round: t.Round, Rows: t.Rows, Value: value})
}

// addLatencies adds the median of latencies, or the time per operation if
// others went on at the same time.
func (t *turn) addLatencies(work string, value float64, l latencies) {
	t.add(work, value)
	f := &t.figures[len(t.figures)-1]
	f.P50, f.P99, f.P999 = l.quantile(0.5), l.quantile(0.99), l.quantile(0.999)
}

// RunStore runs a turn of a key-value store.
func RunStore(s Spec, e Engine) ([]Figure, error) {
	t := &turn{Spec: s, open: func(o Options) (Store, error) { return e.Open(s.Dir, o) }}
	var err error
	switch s.Part {
	case "kv":
		err = t.kv(e)
	case "memory":
		err = t.memory(e)
	case "growth":
		err = t.growth()
	default:
		err = fmt.Errorf("no part %q", s.Part)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", s.Engine, s.Part, err)
	}
	return t.figures, nil
}

// with opens the store, runs fn and closes it.
func (t *turn) with(o Options, fn func(s Store) error) error {
	s, err := t.open(o)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	err = fn(s)
	if cerr := s.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close: %w", cerr))
	}
	return err
}

func (t *turn) kv(e Engine) error {
	warm := Options{Cache: t.Cache}
	if err := t.with(warm, func(s Store) error {
		if err := t.load(s, Load, Random, t.Limit); err != nil {
			return err
		}
		return t.settle(s)
	}); err != nil {
		return err
	}
	if err := t.size(t.Dir, SizeRandom); err != nil {
		return err
	}
	if err := t.with(warm, func(s Store) error {
		for _, work := range []func(Store) error{t.scan, t.reads, t.update, t.settle, t.commits, t.settle} {
			if err := work(s); err != nil {
				return err
			}
		}
		return t.meet()
	}); err != nil {
		return err
	}
	if err := t.opens(); err != nil {
		return err
	}
	if err := t.compact(t.Dir, SizeLess); err != nil {
		return err
	}
	if err := t.cold(); err != nil { // behind compact: rows are in files, not in a log that opening reads
		return err
	}
	return t.sizeJSON(e)
}

// settle waits for the background; with short times, not for long.
func (t *turn) settle(s Store) error { return s.Settle(min(1500*time.Millisecond, 5*t.Time)) }

// load writes every row once. With a limit it may stop before, with errLimit.
func (t *turn) load(s Store, work string, d Dataset, limit time.Duration) error {
	key, value := make([]byte, 0, KeySize), make([]byte, 0, 512)
	began := time.Now()
	for at := 0; at < t.Rows; at += batch {
		err := s.Write(min(batch, t.Rows-at), func(i int) ([]byte, []byte) {
			key, value = AppendKey(key[:0], at+i), d.AppendValue(value[:0], at+i, 0)
			return key, value
		})
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		if limit > 0 && time.Since(began) > limit {
			return errLimit
		}
	}
	if work != "" {
		t.add(work, perRow(time.Since(began), t.Rows))
	}
	return nil
}

var errLimit = errors.New("loading took longer than the limit")

func perRow(d time.Duration, rows int) float64 { return float64(d.Nanoseconds()) / float64(rows) }

// sizeJSON loads another database, of a tenth of the rows, for its size alone.
func (t *turn) sizeJSON(e Engine) error {
	dir := filepath.Join(t.Dir, "json")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	small := *t
	small.Rows = max(t.Rows/10, 1)
	small.figures = nil
	small.open = func(o Options) (Store, error) { return e.Open(dir, o) }
	err := small.with(Options{Cache: t.Cache}, func(s Store) error {
		if err := small.load(s, "", JSON, t.Limit); err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		return small.settle(s)
	})
	if err != nil {
		return err
	}
	if err := errors.Join(small.size(dir, SizeJSON), small.compact(dir, LessJSON)); err != nil {
		return err
	}
	t.figures = append(t.figures, small.figures...)
	return os.RemoveAll(dir)
}

// size adds what the files of a directory take, per row.
func (t *turn) size(dir, work string) error {
	total, err := diskUsage(dir)
	t.add(work, float64(total)/float64(t.Rows))
	return err
}

// compact adds what they take once the engine has given back what it can.
func (t *turn) compact(dir, work string) error {
	if err := t.with(Options{Cache: t.Cache}, Store.Compact); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return t.size(dir, work)
}

func (t *turn) scan(s Store) error {
	if err := t.meet(); err != nil {
		return err
	}
	var best []float64
	buf := make([]byte, 0, 512)
	for range 4 { // the first fills the cache
		if err := t.pass(); err != nil {
			return err
		}
		n, sum := 0, uint64(0)
		began := time.Now()
		err := s.Walk(nil, -1, false, func(key, value []byte) {
			buf = append(append(buf[:0], key...), value...)
			n++
			sum ^= binary.BigEndian.Uint64(buf[KeySize:])
		})
		if err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		best = append(best, perRow(time.Since(began), max(n, 1)))
		if want := t.checksum(); n != t.Rows || sum != want {
			return fmt.Errorf("scan: %d rows with checksum %x, not %d with %x", n, sum, t.Rows, want)
		}
	}
	t.add(Scan, latencies(best[1:]).quantile(0.5))
	return nil
}

// checksum is over the marks of all rows.
func (t *turn) checksum() uint64 {
	var sum uint64
	for i := range t.Rows {
		sum ^= Mark(i)
	}
	return sum
}

// reads reads random rows and ranges.
func (t *turn) reads(s Store) error {
	return t.timed(append(t.gets(s), t.ranges(s)...)...)
}

// gets reads random rows.
func (t *turn) gets(s Store) []timedWork {
	read := func(get func(key, buf []byte) ([]byte, bool, error), n int, missing bool) error {
		rng, key, buf := newRand(1), make([]byte, 0, KeySize), make([]byte, 0, 512)
		for range n {
			i := rng.IntN(t.Rows)
			if missing {
				key = AppendMissingKey(key[:0], i)
			} else {
				key = AppendKey(key[:0], i)
			}
			v, found, err := get(key, buf[:0])
			if err != nil {
				return fmt.Errorf("get: %w", err)
			}
			if found == missing || found && (len(v) != ValueSize || binary.BigEndian.Uint64(v) != Mark(i)) {
				return fmt.Errorf("get: row %d: found %v, %d B", i, found, len(v))
			}
		}
		return nil
	}
	return []timedWork{
		{Get, func(n int) error {
			return s.View(func(get func(key, buf []byte) ([]byte, bool, error)) error { return read(get, n, false) })
		}},
		{GetTx, func(n int) error { return read(s.Get, n, false) }},
		{Miss, func(n int) error { return read(s.Get, n, true) }},
	}
}

// A timedWork is work without an end of its own: do does it n times.
type timedWork struct {
	name string
	do   func(n int) error
}

// timed runs each work with growing counts until it takes a tenth of t.Time, which
// fills caches; then all of them in turns, as often as slices says, and adds the
// median of the time for each operation: a second in which the machine is busy
// elsewhere is one slice's, and that of every turn of the round.
func (t *turn) timed(works ...timedWork) error {
	if err := t.meet(); err != nil {
		return err
	}
	const slices = 7
	counts, times := make([]int, len(works)), make([]latencies, len(works))
	slice := func(i, n int) (time.Duration, error) {
		began := time.Now()
		err := works[i].do(n)
		return time.Since(began), err
	}
	for i := range works {
		for n := 64; counts[i] == 0; {
			took, err := slice(i, n)
			if err != nil {
				return err
			}
			if took >= t.Time/10 {
				counts[i] = n
			}
			n = max(n*2, min(n*16, int(float64(n)*1.2*float64(t.Time/10)/float64(max(took, 1)))))
		}
	}
	for range slices {
		for i, n := range counts {
			if err := t.pass(); err != nil {
				return err
			}
			took, err := slice(i, n)
			if err != nil {
				return err
			}
			times[i] = append(times[i], perRow(took, n))
		}
	}
	for i, w := range works {
		t.add(w.name, times[i].quantile(0.5))
	}
	return t.meet()
}

// ranges reads 100 rows from a random one on.
func (t *turn) ranges(s Store) []timedWork {
	var works []timedWork
	for _, backwards := range []bool{false, true} {
		work := Range
		if backwards {
			work = RangeBack
		}
		works = append(works, timedWork{work, func(n int) error {
			rng, key, buf := newRand(2), make([]byte, 0, KeySize), make([]byte, 0, 512)
			for range n {
				key = AppendKey(key[:0], rng.IntN(t.Rows))
				var last [KeySize]byte
				rows, ordered := 0, true
				err := s.Walk(key, 100, backwards, func(k, v []byte) {
					buf = append(append(buf[:0], k...), v...)
					if rows > 0 && (string(buf[:KeySize]) > string(last[:])) == backwards {
						ordered = false
					}
					copy(last[:], buf)
					rows++
				})
				if err != nil || rows > 100 || !ordered {
					return fmt.Errorf("range: %d rows, ordered %v, %w", rows, ordered, err)
				}
			}
			return nil
		}})
	}
	return works
}
