package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/byokdb/byokdb/bench/peers/report"
	"github.com/byokdb/byokdb/bench/peers/work"
)

// bench is a run under way.
type bench struct {
	config
	dir     string
	stop    <-chan os.Signal
	results report.Results
	peers   []peer
}

// A peer is an engine, the program that opens it, and the parts that it does.
type peer struct {
	name    string
	program []string
	parts   []string
	slow    bool // as a key-value store: random inserts into SQLite's table take minutes
}

// slowRows is up to how many rows a slow peer is a key-value store, unless -only
// names it.
const slowRows = 200_000

// helpers are programs of their own, and whom they open. One that cannot be
// built is missing in the results, which say so.
var helpers = []struct {
	pkg   string
	peers []peer
}{
	{"ncruces", []peer{{name: "SQLite-ncruces", parts: []string{"sql"}}, {name: "SQLite-adiantum", parts: []string{"kv", "sql"}, slow: true}}},
	{"sqlcipher", []peer{{name: "SQLCipher", parts: []string{"kv", "sql"}, slow: true}}},
}

// enlist collects the engines, and builds the programs of those that have one.
func (b *bench) enlist() error {
	if err := b.verifyOnly(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, e := range stores() {
		b.peers = append(b.peers, peer{name: e.Name, program: []string{self, "turn"}, parts: []string{"kv", "memory"}, slow: e.Name == mattn.Name})
	}
	for _, e := range sqls() {
		if i := slices.IndexFunc(b.peers, func(p peer) bool { return p.name == e.Name }); i >= 0 {
			b.peers[i].parts = append(b.peers[i].parts, "sql")
		} else {
			b.peers = append(b.peers, peer{name: e.Name, program: []string{self, "turn"}, parts: []string{"sql"}})
		}
	}
	for _, h := range helpers {
		wanted := slices.ContainsFunc(h.peers, func(p peer) bool { return b.wanted(p.name, "sql") || b.wanted(p.name, "kv") })
		if !wanted || len(b.growth) > 0 {
			continue
		}
		program := filepath.Join(b.dir, h.pkg)
		out, err := exec.Command("go", "build", "-o", program, "./"+h.pkg).CombinedOutput()
		for _, p := range h.peers {
			if err != nil {
				for _, part := range p.parts {
					b.miss(p.name, part, fmt.Errorf("build: %w: %s", err, out))
				}
				continue
			}
			p.program = []string{program}
			b.peers = append(b.peers, p)
		}
	}
	return nil
}

// verifyOnly refuses names in -only that nobody has.
func (b *bench) verifyOnly() error {
	known := slices.Clone(parts)
	for _, e := range stores() {
		known = append(known, e.Name)
	}
	for _, e := range sqls() {
		known = append(known, e.Name)
	}
	for _, h := range helpers {
		for _, p := range h.peers {
			known = append(known, p.name)
		}
	}
	for _, o := range b.only {
		if !slices.Contains(known, o) {
			return fmt.Errorf("-only: %q is neither an engine nor a part: %s", o, strings.Join(slices.Compact(known), ", "))
		}
	}
	return nil
}

// miss notes why a part of an engine has no figures.
func (b *bench) miss(name, part string, why error) {
	if b.results.Missing == nil {
		b.results.Missing = map[string]string{}
	}
	b.results.Missing[name+", "+part] = why.Error()
	fmt.Fprintf(os.Stderr, "%s, %s: %v\n", name, part, why)
}

var parts = []string{"kv", "memory", "sql"}

// wanted reports whether -only admits a part of an engine: it names engines,
// parts, or some of both.
func (b *bench) wanted(name, part string) bool {
	anyPart, anyName := true, true
	for _, o := range b.only {
		if slices.Contains(parts, o) {
			anyPart = false
		} else {
			anyName = false
		}
	}
	return (anyPart || slices.Contains(b.only, part)) && (anyName || slices.Contains(b.only, name))
}

// order returns the engines in the order of a round: it begins with another each
// time, and every other round goes backwards.
func order(peers []peer, round int) []peer {
	n := len(peers)
	if n == 0 {
		return nil
	}
	out := make([]peer, 0, n)
	for i := range n {
		out = append(out, peers[(i+(round-1)/2*2)%n])
	}
	if round%2 == 0 {
		slices.Reverse(out)
	}
	return out
}

func (b *bench) rounds() error {
	b.results.Sliced = true
	for round := 1; round <= b.config.rounds; round++ {
		if err := errors.Join(b.stores(round), b.sqls(round)); err != nil {
			return err
		}
	}
	if len(b.results.Figures) == 0 {
		return errors.New("nothing was measured: -only names no engine or part")
	}
	return nil
}

// of returns the engines that do a part, as far as -only admits it.
func (b *bench) of(part string, round int) []peer {
	return slices.DeleteFunc(order(b.peers, round), func(p peer) bool {
		return !slices.Contains(p.parts, part) || !b.wanted(p.name, part)
	})
}

// stores has the key-value stores do a round together, and then each by itself show
// what memory it takes.
func (b *bench) stores(round int) (err error) {
	memory := b.of("memory", round)
	peers := slices.DeleteFunc(order(b.peers, round), func(p peer) bool {
		return !slices.Contains(p.parts, "kv") || !b.wanted(p.name, "kv") && !b.wanted(p.name, "memory")
	})
	peers = slices.DeleteFunc(peers, func(p peer) bool {
		slow := p.slow && b.rows > slowRows && !slices.Contains(b.only, p.name)
		if slow && round == 1 {
			b.miss(p.name, "kv", fmt.Errorf("loading more than %d rows in random order takes many minutes; -only %s does it", slowRows, p.name))
		}
		return slow
	})
	dirs, remove, err := b.directories(peers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := b.round(peers, round, b.rows, "kv", dirs); err != nil {
		return err
	}
	for _, p := range peers {
		_, gone := b.results.Missing[p.name+", kv"]
		if !gone && slices.ContainsFunc(memory, func(m peer) bool { return m.name == p.name }) {
			if err := b.round([]peer{p}, round, b.rows, "memory", dirs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) sqls(round int) (err error) {
	peers := b.of("sql", round)
	dirs, remove, err := b.directories(peers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return b.round(peers, round, b.rows, "sql", dirs)
}

// grow measures growth, and keeps what else was measured before. An engine whose
// loading takes longer than the limit, or would at the pace of its last size, is
// not tried with more rows.
func (b *bench) grow() error {
	engines := []string{"byokdb", "bbolt", "Pebble"}
	for _, n := range b.growth {
		for _, p := range b.peers {
			if !slices.Contains(engines, p.name) || !b.wanted(p.name, "growth") {
				continue
			}
			before := len(b.results.Figures)
			if took := b.pace(p.name) * time.Duration(n); took > b.limit {
				fmt.Fprintf(os.Stderr, "%s: %d rows: not tried, loading would take %v or more\n", p.name, n, took.Round(time.Minute))
			} else if err := b.growthOf(p, n); err != nil {
				return err
			}
			if len(b.results.Figures) == before {
				engines = slices.DeleteFunc(engines, func(name string) bool { return name == p.name })
			}
		}
	}
	before, err := report.Load(b.out)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	before.ReplaceGrowth(b.results.Figures)
	b.results = *before
	return nil
}

func (b *bench) growthOf(p peer, rows int) (err error) {
	dirs, remove, err := b.directories([]peer{p})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return b.round([]peer{p}, 1, rows, "growth", dirs)
}

// pace returns the time for each row of the last loading of an engine, zero if
// there was none.
func (b *bench) pace(engine string) time.Duration {
	for _, f := range slices.Backward(b.results.Figures) {
		if f.Engine == engine && f.Work == work.GrowthLoad {
			return time.Duration(f.Value)
		}
	}
	return 0
}
