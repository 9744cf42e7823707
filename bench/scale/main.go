// Command scale loads a database many times the size of its cache in random
// order and measures what bounds it: memory, disk space, latency of commits
// under steady writes, time to open.
//
//	go run ./bench/scale -rows 50000000 -dir /var/tmp/scale
//
// It prints one line a second to stderr and a summary as JSON to stdout.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// config is what the command line says.
type config struct {
	dir      string
	rows     uint64
	batch    int
	writers  int
	cache    int64
	memtable int64
	peak     time.Duration
	steady   time.Duration
	share    float64
	reads    int
	sync     string
}

func main() {
	var c config
	flag.StringVar(&c.dir, "dir", "", "directory for the database; a temporary one if empty")
	flag.Uint64Var(&c.rows, "rows", 1_000_000, "rows of 16 B key and 100 B value")
	flag.IntVar(&c.batch, "batch", 1000, "rows per durable commit of the load")
	flag.IntVar(&c.writers, "writers", 4, "writers of the update phases, 100 rows a commit")
	flag.Int64Var(&c.cache, "cache", engine.DefaultCacheSize, "page cache in bytes")
	flag.Int64Var(&c.memtable, "memtable", engine.DefaultMemtableSize, "memtable in bytes")
	flag.DurationVar(&c.peak, "peak", 60*time.Second, "length of the phase that finds the peak rate")
	flag.DurationVar(&c.steady, "steady", 120*time.Second, "length of the phase at a share of the peak rate")
	flag.Float64Var(&c.share, "share", 0.7, "share of the peak rate")
	flag.IntVar(&c.reads, "reads", 200_000, "random reads after the load")
	flag.StringVar(&c.sync, "sync", "full", "full, interval or off")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "scale:", err)
			os.Exit(1)
		}
		defer pprof.StopCPUProfile()
	}
	r, err := run(context.Background(), c)
	if err == nil {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
	}
}

// report is what a run found. Sizes are in bytes, times in seconds or as named.
type report struct {
	Rows          uint64        `json:"rows"`
	PlainBytes    uint64        `json:"plain_bytes"` // of keys and values
	LoadRate      float64       `json:"load_rows_per_s"`
	LoadWorst     time.Duration `json:"load_worst_commit_ns"`
	LoadP999      time.Duration `json:"load_p999_commit_ns"`
	SettleSeconds float64       `json:"settle_s"` // until compaction had nothing left to do
	DiskLoaded    int64         `json:"disk_loaded_bytes"`
	DiskCompacted int64         `json:"disk_compacted_bytes"`
	Read          time.Duration `json:"read_ns"` // mean of random reads, one reader
	PeakRate      float64       `json:"peak_updates_per_s"`
	PeakWorst     time.Duration `json:"peak_worst_commit_ns"`
	SteadyRate    float64       `json:"steady_updates_per_s"`
	SteadyP50     time.Duration `json:"steady_p50_ns"`
	SteadyP99     time.Duration `json:"steady_p99_ns"`
	SteadyP999    time.Duration `json:"steady_p999_ns"`
	SteadyWorst   time.Duration `json:"steady_worst_ns"`
	DiskSteady    int64         `json:"disk_steady_bytes"` // after the updates, settled
	SpaceFactor   float64       `json:"space_factor"`      // of disk_steady to disk_compacted
	MemoryPeak    int64         `json:"memory_peak_bytes"` // anonymous memory, on and off the heap
	MemoryBound   int64         `json:"memory_bound_bytes"`
	CloseSeconds  float64       `json:"close_s"`
	OpenClean     time.Duration `json:"open_clean_ns"`
	Recovery      time.Duration `json:"recovery_ns"` // opening a copy made while writes went on
	RecoveryLog   int64         `json:"recovery_log_bytes"`
}

func run(ctx context.Context, c config) (*report, error) {
	if c.dir == "" {
		d, err := os.MkdirTemp("", "scale")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(d) //nolint:errcheck // a temporary directory
		c.dir = d
	}
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(c.dir, "dev.key"))
	if err != nil {
		return nil, err
	}
	b := &bench{config: c, key: key, path: filepath.Join(c.dir, "scale.byok")}
	o, err := b.options()
	if err != nil {
		return nil, err
	}
	if b.db, err = engine.Open(ctx, b.path, key, o); err != nil {
		return nil, err
	}
	b.watch()
	for _, phase := range []func(context.Context) error{
		b.load, b.settle, b.read, b.measurePeak, b.hold, b.space, b.recover, b.reopen,
	} {
		if err := phase(ctx); err != nil {
			return nil, err
		}
	}
	return &b.report, b.db.Close()
}
