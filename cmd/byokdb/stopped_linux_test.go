package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

var stopTrials = flag.Int("stop.n", 20, "how often TestStoppedProcess stops the process")

// machineClock reads CLOCK_MONOTONIC, which processes of one machine share.
func machineClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

const (
	stoppedDir = "BYOKDB_TEST_STOPPED_DIR"
	stoppedKey = "BYOKDB_TEST_STOPPED_KEY"
)

// A stoppedLine is what the stopped process reports: refused at that time, the
// last success before it having begun and ended then; back, at the first success
// after it; or paused. Times are machineClock's.
type stoppedLine struct {
	what             string
	at, begun, ended time.Duration
}

// TestStoppedChild is the process that TestStoppedProcess stops.
func TestStoppedChild(t *testing.T) {
	dir := os.Getenv(stoppedDir)
	if dir == "" {
		t.Skip("it is a part of TestStoppedProcess")
	}
	key, err := keyuri.Open(t.Context(), os.Getenv(stoppedKey))
	if err != nil {
		t.Fatal(err)
	}
	var db *engine.DB
	for db == nil {
		if db, err = engine.Open(t.Context(), dir, key, nil); err != nil && !errors.Is(err, engine.ErrKeyUnavailable) {
			t.Fatal(err)
		}
	}
	go func() { // the parent has gone
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	var mu sync.Mutex
	say := func(l stoppedLine) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("\n%s %d %d %d\n", l.what, l.at, l.begun, l.ended)
	}
	for _, op := range []func() error{
		func() error { return db.View(func(tx *engine.Tx) error { _, err := tx.Collections(); return err }) },
		func() error {
			return db.Update(func(tx *engine.Tx) error {
				c, err := tx.CreateCollectionIfNotExists("c")
				if err != nil {
					return err
				}
				return c.Put([]byte("k"), []byte("v"))
			})
		},
	} {
		go stoppedWork(op, say)
	}
	var wiped time.Time
	for {
		time.Sleep(time.Millisecond)
		if st := db.Status(); st.LastWipe != nil && st.LastWipe.At.After(wiped) {
			wiped = st.LastWipe.At
			say(stoppedLine{what: "paused", at: machineClock()})
		}
	}
}

// stoppedWork repeats an operation for ever.
func stoppedWork(op func() error, say func(l stoppedLine)) {
	var last stoppedLine
	serves := false
	for {
		begun := machineClock()
		err := op()
		now := machineClock()
		switch {
		case err == nil && !serves:
			serves, last = true, stoppedLine{begun: begun, ended: now}
			say(stoppedLine{what: "back", at: begun})
		case err == nil:
			last.begun, last.ended = begun, now
		case serves:
			serves = false
			say(stoppedLine{what: "refused", at: now, begun: last.begun, ended: last.ended})
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

// stoppedRig is the parent's side.
type stoppedRig struct {
	t     *testing.T
	k     *kmsRig
	cmd   *exec.Cmd
	lines chan stoppedLine
}

func newStoppedRig(t *testing.T, k *kmsRig, dir string) *stoppedRig {
	t.Helper()
	s := &stoppedRig{t: t, k: k, lines: make(chan stoppedLine, 1000)}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(self, "-test.run=^TestStoppedChild$", "-test.timeout=0")
	s.cmd.Env = append(os.Environ(), stoppedDir+"="+dir, stoppedKey+"="+k.uri())
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(s.lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var l stoppedLine
			if n, _ := fmt.Sscanf(sc.Text(), "%s %d %d %d", &l.what, &l.at, &l.begun, &l.ended); n == 4 {
				s.lines <- l
			}
		}
	})
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		for range s.lines {
		}
		reading.Wait()
		_ = s.cmd.Wait() // it was killed
		_ = in.Close()
	})
	return s
}

// next returns the next line of a kind that came after a time, and hands others
// to look.
func (s *stoppedRig) next(what string, after time.Duration, look func(l stoppedLine)) stoppedLine {
	s.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case l, ok := <-s.lines:
			if !ok {
				s.t.Fatal("the process has ended")
			}
			look(l)
			if l.what == what && l.at > after {
				return l
			}
		case <-limit:
			s.t.Fatalf("it never is %s", what)
		}
	}
}

// TestStoppedProcess stops a process for longer than its lease, with SIGSTOP,
// while the key is taken away or the KMS is gone, and wakes it: what it begins
// then is refused, by time alone.
func TestStoppedProcess(t *testing.T) {
	const bound = 500 * time.Millisecond
	k := newKMSRig(t, machineClock)
	dir := filepath.Join(t.TempDir(), "a.byok")
	k.init(dir, "--probe-interval", "200ms", "--probe-timeout", "300ms", "--deadline", "3s")
	s := newStoppedRig(t, k, dir)
	n := *stopTrials
	if testing.Short() {
		n = 3
	}
	var latest, found time.Duration
	for i := range n + 1 {
		pause := i == n // the last time for longer than the deadline, too
		loss := keyLosses[[]int{0, 4, 3}[i%3]]
		back := s.next("back", found, func(l stoppedLine) { s.check(l, bound) })
		wait(rand.N(250 * time.Millisecond))
		s.signal(syscall.SIGSTOP)
		if err := loss.lose(context.Background(), k); err != nil {
			t.Fatal(err)
		}
		stop := bound + 20*time.Millisecond + rand.N(300*time.Millisecond)
		if pause {
			stop = bound + 3*time.Second
		}
		wait(stop)
		good, woken := time.Duration(k.lastGood.Load()), machineClock()
		s.signal(syscall.SIGCONT)
		refused := s.next("refused", woken, func(l stoppedLine) { s.check(l, bound) })
		if refused.begun > good+bound {
			t.Errorf("%s: stopped for %v, it served %v after the last good probe", loss.name, stop, refused.begun-good)
		}
		if refused.begun > woken || refused.begun < back.at {
			t.Errorf("%s: woken at %v, it began an operation at %v that succeeded", loss.name, woken, refused.begun)
		}
		latest = max(latest, refused.at-woken)
		if pause {
			p := s.next("paused", woken, func(l stoppedLine) {
				if l.what == "back" && l.at > woken {
					t.Error("it serves between waking and the wipe")
				}
			})
			t.Logf("stopped for longer than the deadline: wiped %v after waking", p.at-woken)
		}
		found = machineClock() // it may be back before the call has returned
		if err := loss.found(context.Background(), k); err != nil {
			t.Fatal(err)
		}
	}
	s.next("back", found, func(stoppedLine) {})
	t.Logf("stopped %d times: refused at most %v after waking", n+1, latest)
}

// check compares a success with the last good probe, which may have come since.
func (s *stoppedRig) check(l stoppedLine, bound time.Duration) {
	s.t.Helper()
	if good := time.Duration(s.k.lastGood.Load()); l.begun > good+bound {
		s.t.Errorf("it served %v after the last good probe", l.begun-good)
	}
}

func (s *stoppedRig) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// wait lets time pass: being stopped for some time is what is tested.
func wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}
