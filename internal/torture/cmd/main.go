// Command torture writes to a database until it is killed, and checks what is
// there afterwards. scripts/powercut uses it.
//
//	torture write -dir DIR -key URI -seed N [-run N] [-sync full] [-lives N] > REPORT
//	torture check -dir DIR -key URI -seed N [-may-lose] [-least N] [-sure N] REPORT…
//
// check prints one line of JSON. Exit codes: 0 as it must be, 1 a fault was
// found, 2 usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/torture"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch os.Args[1] {
	case "write":
		err = write(os.Args[2:])
	case "check":
		err = check(os.Args[2:])
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: torture write|check -dir DIR -key URI -seed N [flags] [REPORT…]; torture write -h lists the flags")
	os.Exit(2)
}

// common defines the flags of both commands.
func common(name string, cfg *torture.Config) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ExitOnError)
	f.StringVar(&cfg.Dir, "dir", "", "database directory")
	f.StringVar(&cfg.Key, "key", "", "key URI")
	f.Uint64Var(&cfg.Plan.Seed, "seed", 1, "seed of the plan")
	f.IntVar(&cfg.Plan.Writers, "writers", 4, "concurrent writers")
	return f
}

func write(args []string) error {
	var cfg torture.Config
	f := common("write", &cfg)
	f.Uint64Var(&cfg.Run, "run", 0, "number of this process: chooses options")
	f.IntVar(&cfg.Lives, "lives", 0, "how often to open, write and close; 0: until killed")
	f.IntVar(&cfg.Commits, "commits", 0, "commits of each life; 0: as the plan chooses")
	f.BoolVar(&cfg.OutlastFailure, "outlast-failure", false, "end well when the database refuses writes")
	f.BoolVar(&cfg.ReadAfterFailure, "read-after-failure", false, "compare the contents after a failure")
	mode := f.String("sync", "full", "full, interval or off")
	_ = f.Parse(args) // exits
	modes := map[string]engine.SyncMode{"full": engine.SyncFull, "interval": engine.SyncInterval, "off": engine.SyncOff}
	var ok bool
	if cfg.Sync, ok = modes[*mode]; !ok || cfg.Dir == "" || cfg.Key == "" || f.NArg() > 0 {
		usage()
	}
	return torture.Write(context.Background(), cfg, torture.NewReporter(os.Stdout))
}

// result is what check prints.
type result struct {
	torture.Outcome
	MayLose  bool          `json:"may_lose"`
	Openings int           `json:"openings"` // by the writing processes
	Closed   int           `json:"closed"`
	Failed   int           `json:"failed"`
	Verified int           `json:"verified"`
	OpenTime time.Duration `json:"open_ns"` // of the first opening afterwards
}

func check(args []string) error {
	var cfg torture.Config
	f := common("check", &cfg)
	least := f.Uint64("least", 0, "a number that the last commit must have reached: what an earlier check found")
	sure := f.Int64("sure", math.MaxInt64, "bytes that each report had when the disk began to fail")
	mayLose := f.Bool("may-lose", false, "the last commits may be lost: they were not synced")
	_ = f.Parse(args) // exits
	if cfg.Dir == "" || cfg.Key == "" {
		usage()
	}
	ctx := context.Background()
	var report torture.Report
	for _, path := range f.Args() {
		if err := read(&report, path, *sure); err != nil {
			return err
		}
	}
	key, err := keyuri.Open(ctx, cfg.Key)
	if err != nil {
		return err
	}
	began := time.Now()
	db, err := engine.Open(ctx, cfg.Dir, key, nil)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	r := result{
		MayLose:  *mayLose,
		OpenTime: time.Since(began), Openings: len(report.Opened), Closed: report.Closed, Failed: report.Failed,
		Verified: report.Verified,
	}
	r.Outcome, err = cfg.Plan.Check(ctx, db, &report)
	if *mayLose && errors.Is(err, torture.ErrLost) {
		err = nil
	}
	if err == nil && r.Head < *least {
		err = fmt.Errorf("%w: the last commit is %d, an earlier check found %d", torture.ErrLost, r.Head, *least)
	}
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(r))
}

// read adds a report. Commits acknowledged behind so many bytes of it were so
// while the disk failed.
func read(report *torture.Report, path string, sure int64) error {
	f, err := os.Open(path) //nolint:gosec // the caller's path is the point
	if err != nil {
		return err
	}
	var all, certain torture.Report
	err = errors.Join(all.Read(f), certain.Read(io.NewSectionReader(f, 0, sure)))
	report.Begun = append(report.Begun, all.Begun...)
	report.Acked = append(report.Acked, certain.Acked...)
	report.Late = append(report.Late, all.Acked[len(certain.Acked):]...)
	report.Opened = append(report.Opened, all.Opened...)
	report.Closed += all.Closed
	report.Failed += all.Failed
	report.Verified += all.Verified
	return errors.Join(err, f.Close())
}
