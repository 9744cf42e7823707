package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
	for round := 1; round <= b.config.rounds; round++ {
		for _, p := range order(b.peers, round) {
			if err := b.stores(p, round); err != nil {
				return err
			}
		}
		for _, p := range order(b.peers, round) {
			if slices.Contains(p.parts, "sql") && b.wanted(p.name, "sql") {
				if err := b.turns(p, round, b.rows, "sql"); err != nil {
					return err
				}
			}
		}
	}
	if len(b.results.Figures) == 0 {
		return errors.New("nothing was measured: -only names no engine or part")
	}
	return nil
}

func (b *bench) stores(p peer, round int) error {
	if !slices.Contains(p.parts, "kv") || !b.wanted(p.name, "kv") && !b.wanted(p.name, "memory") {
		return nil
	}
	if p.slow && b.rows > slowRows && !slices.Contains(b.only, p.name) {
		if round == 1 {
			b.miss(p.name, "kv", fmt.Errorf("loading more than %d rows in random order takes many minutes; -only %s does it", slowRows, p.name))
		}
		return nil
	}
	do := []string{"kv"}
	if slices.Contains(p.parts, "memory") && b.wanted(p.name, "memory") {
		do = append(do, "memory")
	}
	return b.turns(p, round, b.rows, do...)
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
			} else if err := b.turns(p, 1, n, "growth"); err != nil {
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

// turns runs parts of an engine's round on one directory, which is removed. A
// part that fails is not tried again; those of byokdb must not fail.
func (b *bench) turns(p peer, round, rows int, parts ...string) (err error) {
	dir, err := os.MkdirTemp(b.dir, "turn-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, part := range parts {
		if _, gone := b.results.Missing[p.name+", "+part]; gone {
			return nil
		}
		s := work.Spec{Engine: p.name, Part: part, Dir: dir, Round: round, Rows: rows, Cache: b.cache, Time: b.time, Limit: b.limit}
		began := time.Now()
		figures, err := b.turn(p, s)
		if errors.Is(err, errInterrupted) || err != nil && p.name == "byokdb" {
			return err
		}
		if err != nil {
			b.miss(p.name, part, err)
			return nil
		}
		b.results.Figures = append(b.results.Figures, figures...)
		fmt.Fprintf(os.Stderr, "round %d: %s, %s: %.1f s\n", round, p.name, part, time.Since(began).Seconds())
	}
	return nil
}

var errInterrupted = errors.New("interrupted")

// turn runs a Spec in a process of its own.
func (b *bench) turn(p peer, s work.Spec) ([]work.Figure, error) {
	in, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	var faults bytes.Buffer
	cmd := exec.Command(p.program[0], p.program[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &faults
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's interrupt is for this program to handle
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-b.stop:
		kerr := cmd.Process.Kill()
		<-done // killed
		return nil, errors.Join(errInterrupted, kerr)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(faults.Bytes()))
	}
	_, _ = faults.WriteTo(os.Stderr) // what it says beside its figures
	var figures []work.Figure
	if err := json.Unmarshal(out.Bytes(), &figures); err != nil {
		return nil, fmt.Errorf("figures: %w", err)
	}
	return figures, nil
}
