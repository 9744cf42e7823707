// Peers measures byokdb beside other embedded databases: the same work on the
// same rows, in one run on one machine, each commit durable.
//
//	go run . -rows 1000000 -rounds 3 -out ../../docs
//
// Each engine has its turn in each round, in an order that changes, in a process
// of its own: one's garbage is not collected in another's time, memory can be
// told apart, and bindings of SQLite that link different copies of it can be
// compared at all. One of the processes works at a time. What takes no long time is
// done slice by slice, each engine's in turn, so that a busy machine slows all.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "github.com/mattn/go-sqlite3" // registers "sqlite3"
	_ "modernc.org/sqlite"          // registers "sqlite"

	"github.com/byokdb/byokdb/bench/peers/engines"
	"github.com/byokdb/byokdb/bench/peers/report"
	"github.com/byokdb/byokdb/bench/peers/sqlite"
	"github.com/byokdb/byokdb/bench/peers/work"
)

var (
	mattn   = sqlite.Binding{Name: "SQLite", Driver: "sqlite3"}
	memory  = sqlite.Binding{Name: "SQLite-memory", Driver: "sqlite3", Memory: true}
	modernc = sqlite.Binding{Name: "SQLite-modernc", Driver: "sqlite"}
)

func stores() []work.Engine { return append(engines.All(), mattn.Store()) }

func sqls() []work.SQLEngine {
	return []work.SQLEngine{engines.SQL(), mattn.SQL(), memory.SQL(), modernc.SQL()}
}

// config is what the command line says.
type config struct {
	rows, rounds int
	only         []string
	out, dir     string
	cache        int64
	time         time.Duration
	growth       []int
	limit        time.Duration
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "turn" {
		if err := work.Serve(os.Stdin, os.Stdout, stores(), sqls()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run() error {
	var c config
	var only, growth string
	var render bool
	var cacheMiB int64
	flag.IntVar(&c.rows, "rows", 1_000_000, "rows to load")
	flag.IntVar(&c.rounds, "rounds", 3, "rounds; each engine has a turn in each")
	flag.StringVar(&only, "only", "", "engines or parts (kv, sql, memory) to measure, separated by commas; all if empty")
	flag.StringVar(&c.out, "out", "docs", "directory of performance.md and of performance/*.svg")
	flag.StringVar(&c.dir, "dir", os.TempDir(), "where databases are made: on the disk to be measured")
	flag.Int64Var(&cacheMiB, "cache", 512, "budget of each engine's cache in MiB")
	flag.DurationVar(&c.time, "time", time.Second, "time for work without an end of its own")
	flag.StringVar(&growth, "growth", "", "numbers of rows, separated by commas: measures nothing but growth, and adds it to the results that are there")
	flag.DurationVar(&c.limit, "limit", 0, "time for loading one database, beyond which its part is given up; 5 minutes if 0, with -growth 30")
	flag.BoolVar(&render, "render", false, "measure nothing: make tables and charts of results that are there")
	flag.Parse()
	if flag.NArg() > 0 || c.rows < 1 || c.rounds < 1 || cacheMiB < 16 || c.time <= 0 {
		return errors.New("bad arguments; see -help")
	}
	c.cache = cacheMiB << 20
	switch {
	case c.limit > 0:
	case growth == "":
		c.limit = 5 * time.Minute
	default:
		c.limit = 30 * time.Minute
	}
	if only != "" {
		c.only = strings.Split(only, ",")
	}
	if growth != "" {
		for s := range strings.SplitSeq(growth, ",") {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil || n < 1 {
				return fmt.Errorf("-growth: %q is no number of rows", s)
			}
			c.growth = append(c.growth, int(n))
		}
	}
	if render {
		r, err := report.Load(c.out)
		if err != nil {
			return err
		}
		return r.Write(c.out)
	}
	return c.measure()
}

func (c *config) measure() (err error) {
	dir, err := os.MkdirTemp(c.dir, "peers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	b := &bench{config: *c, dir: dir, stop: interrupted}
	if err := b.describe(); err != nil {
		return err
	}
	if err := b.enlist(); err != nil {
		return err
	}
	if len(c.growth) > 0 {
		err = b.grow()
	} else {
		err = b.rounds()
	}
	stopped := err
	if err != nil && (!errors.Is(err, errInterrupted) || len(b.results.Figures) == 0 || len(c.growth) > 0) {
		return err
	}
	if stopped != nil { // what was measured by then is worth keeping
		b.miss("all engines", "what was left", errInterrupted)
	}
	if before, err := report.Load(c.out); err == nil && len(c.growth) == 0 {
		b.results.KeepGrowth(before)
	}
	if err := b.results.Write(c.out); err != nil {
		return err
	}
	fmt.Print(b.results.Markdown(nil))
	fmt.Fprintln(os.Stderr, "written to", filepath.Join(c.out, "performance.md"))
	return stopped
}
