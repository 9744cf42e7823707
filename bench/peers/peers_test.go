package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/bench/peers/work"
)

// TestMain is the program of a turn too, as main is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "turn" {
		if err := work.Serve(os.Stdin, os.Stdout, stores(), sqls()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestTogether runs turns of several engines slice by slice. One that fails is
// missing, and holds nobody up.
func TestTogether(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{config: config{cache: 32 << 20, time: 4 * time.Millisecond, limit: time.Minute}, dir: t.TempDir()}
	for part, want := range map[string][]string{"kv": work.StoreWorks(), "sql": work.SQLWorks()} {
		b.results.Figures, b.results.Missing = nil, nil
		var peers []peer
		for _, name := range []string{"byokdb", "nobody", "SQLite"} {
			peers = append(peers, peer{name: name, program: []string{self, "turn"}})
		}
		dirs, remove, err := b.directories(peers)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.round(peers, 1, 400, part, dirs); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"byokdb", "SQLite"} {
			verify(t, slices.DeleteFunc(slices.Clone(b.results.Figures), func(f work.Figure) bool { return f.Engine != name }), want)
		}
		if why := b.results.Missing["nobody, "+part]; !strings.Contains(why, "no engine") {
			t.Errorf("%s: the engine that there is not is missing because of %q", part, why)
		}
		if err := remove(); err != nil {
			t.Error(err)
		}
	}
}

// TestInterrupted: a signal ends the turns under way.
func TestInterrupted(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	stop <- os.Interrupt
	b := &bench{config: config{cache: 32 << 20, time: time.Minute}, dir: t.TempDir(), stop: stop}
	p := peer{name: "byokdb", program: []string{self, "turn"}}
	if err := b.round([]peer{p}, 1, 1_000_000, "kv", map[string]string{p.name: t.TempDir()}); !errors.Is(err, errInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
}

// spec is a turn that takes no time to speak of.
func spec(t *testing.T, engine, part string) work.Spec {
	t.Helper()
	return work.Spec{
		Engine: engine, Part: part, Dir: t.TempDir(), Round: 1, Rows: 400,
		Cache: 32 << 20, Time: 4 * time.Millisecond, Limit: time.Minute,
	}
}

// verify fails unless there is one figure for each work, above zero.
func verify(t *testing.T, figures []work.Figure, works []string) {
	t.Helper()
	var got []string
	for _, f := range figures {
		got = append(got, f.Work)
		if !(f.Value > 0) && f.Work != work.MemoryIdle && f.Work != work.MemoryMore && f.Work != work.MemoryPeak && f.Work != work.GrowthHeap {
			t.Errorf("%s: %v", f.Work, f.Value)
		}
	}
	slices.Sort(got)
	slices.Sort(works)
	if !slices.Equal(got, works) {
		t.Errorf("figures for %v, not for %v", got, works)
	}
}

// TestStores has every key-value store do all of the work. A turn fails when a
// row is not what it is made to be, or missing, or out of order.
func TestStores(t *testing.T) {
	for _, e := range stores() {
		t.Run(e.Name, func(t *testing.T) {
			s := spec(t, e.Name, "kv")
			figures, err := work.Run(s, stores(), sqls())
			if err != nil {
				t.Fatal(err)
			}
			verify(t, figures, work.StoreWorks())
			s.Part = "memory"
			if figures, err = work.Run(s, stores(), sqls()); err != nil {
				t.Fatal(err)
			}
			verify(t, figures, []string{work.MemoryIdle, work.MemoryMore, work.MemoryPeak})
		})
	}
}

func TestSQL(t *testing.T) {
	for _, e := range sqls() {
		t.Run(e.Name, func(t *testing.T) {
			figures, err := work.Run(spec(t, e.Name, "sql"), stores(), sqls())
			if err != nil {
				t.Fatal(err)
			}
			verify(t, figures, work.SQLWorks())
		})
	}
}

func TestGrowth(t *testing.T) {
	for _, name := range []string{"byokdb", "bbolt", "Pebble"} {
		figures, err := work.Run(spec(t, name, "growth"), stores(), sqls())
		if err != nil {
			t.Fatal(err)
		}
		verify(t, figures, []string{work.GrowthLoad, work.GrowthGet, work.GrowthScan, work.GrowthSize, work.GrowthHeap})
	}
	s := spec(t, "bbolt", "growth")
	s.Limit = 1
	if figures, err := work.Run(s, stores(), sqls()); err != nil || len(figures) > 0 {
		t.Errorf("beyond the limit: %v, %v", figures, err)
	}
}

func TestUnknown(t *testing.T) {
	for _, s := range []work.Spec{{Engine: "none", Part: "kv"}, {Engine: "bbolt", Part: "none"}, {Engine: "bbolt", Part: "sql"}} {
		if _, err := work.Run(s, stores(), sqls()); err == nil {
			t.Errorf("%+v was run", s)
		}
	}
}

// TestOrder has every engine in every round once, and nobody always first.
func TestOrder(t *testing.T) {
	var peers []peer
	for i := range 7 {
		peers = append(peers, peer{name: fmt.Sprint(i)})
	}
	first := map[string]bool{}
	for round := 1; round <= 6; round++ {
		seen := map[string]bool{}
		for i, p := range order(peers, round) {
			seen[p.name] = true
			if i == 0 {
				first[p.name] = true
			}
		}
		if len(seen) != len(peers) {
			t.Fatalf("round %d: %v", round, seen)
		}
	}
	if len(first) < 4 {
		t.Errorf("first were only %v", first)
	}
}

func TestWanted(t *testing.T) {
	for only, ok := range map[string]bool{"kv": true, "SQLCipher": true, "byokdb": true, "SQLite-memory": true, "Peble": false, "": false} {
		b := bench{config: config{only: []string{only}}}
		if err := b.verifyOnly(); (err == nil) != ok {
			t.Errorf("-only %q: %v", only, err)
		}
	}
	for _, c := range []struct {
		only       []string
		name, part string
		want       bool
	}{
		{nil, "bbolt", "kv", true},
		{[]string{"kv"}, "bbolt", "kv", true},
		{[]string{"kv"}, "bbolt", "memory", false},
		{[]string{"bbolt"}, "bbolt", "memory", true},
		{[]string{"bbolt"}, "Pebble", "kv", false},
		{[]string{"sql", "byokdb"}, "byokdb", "sql", true},
		{[]string{"sql", "byokdb"}, "byokdb", "kv", false},
		{[]string{"sql", "byokdb"}, "SQLite", "sql", false},
	} {
		b := bench{config: config{only: c.only}}
		if got := b.wanted(c.name, c.part); got != c.want {
			t.Errorf("-only %v: %s, %s: %v", c.only, c.name, c.part, got)
		}
	}
}
