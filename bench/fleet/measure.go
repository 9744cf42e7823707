package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/byokdb/byokdb/engine"
)

// usage is what the process takes at one moment. Sizes are in bytes.
type usage struct {
	Resident   int64 `json:"resident"`
	HeapInuse  int64 `json:"heap_inuse"`
	HeapLive   int64 `json:"heap_live"`
	StackInuse int64 `json:"stack_inuse"`
	Goroutines int   `json:"goroutines"`
	Files      int   `json:"files"`
	Mappings   int   `json:"mappings"`
}

// measureUsage collects garbage and measures; what /proc would say is 0 where
// there is none.
func measureUsage() usage {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{
		HeapInuse: int64(m.HeapInuse), HeapLive: int64(m.HeapAlloc), StackInuse: int64(m.StackInuse),
		Goroutines: runtime.NumGoroutine(),
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		if _, rest, ok := strings.Cut(string(status), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err == nil {
				u.Resident = kib << 10
			}
		}
	}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.Files = len(files)
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil {
		u.Mappings = strings.Count(string(maps), "\n")
	}
	return u
}

// per returns what each of n databases added to the usage.
func (u usage) per(before usage, n int) string {
	kib := func(after, before int64) string {
		return fmt.Sprintf("%.1f KiB", float64(after-before)/float64(n)/1024)
	}
	each := func(after, before int) string { return fmt.Sprintf("%.2f", float64(after-before)/float64(n)) }
	return fmt.Sprintf("per database: resident %s, live heap %s, heap spans %s, stacks %s, goroutines %s, files %s, mappings %s",
		kib(u.Resident, before.Resident), kib(u.HeapLive, before.HeapLive), kib(u.HeapInuse, before.HeapInuse),
		kib(u.StackInuse, before.StackInuse), each(u.Goroutines, before.Goroutines), each(u.Files, before.Files),
		each(u.Mappings, before.Mappings))
}

// times says when the first, the median and the last database came to something.
type times struct{ First, Median, Last time.Duration }

func (t times) String() string {
	r := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf("first %v, median %v, last %v", r(t.First), r(t.Median), r(t.Last))
}

// reached waits until every database has got to the state, and returns when, from
// the call on.
func reached(ctx context.Context, dbs []*engine.DB, want engine.State) (times, error) {
	from := time.Now()
	at := make([]time.Duration, 0, len(dbs))
	left := slices.Clone(dbs)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(left) > 0 {
		left = slices.DeleteFunc(left, func(db *engine.DB) bool {
			if db.Status().Key.State != want {
				return false
			}
			at = append(at, time.Since(from))
			return true
		})
		select {
		case <-ctx.Done():
			return times{}, fmt.Errorf("%d databases are not %v: %w", len(left), want, ctx.Err())
		case <-tick.C:
		}
	}
	return times{First: at[0], Median: at[len(at)/2], Last: at[len(at)-1]}, nil
}
