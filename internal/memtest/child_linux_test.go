package memtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/procmem"
)

// A child is the program that is searched.
type child struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

func startChild(t *testing.T, binary, dir, uri string, marks [NKinds]string, env ...string) *child {
	t.Helper()
	c := &child{t: t, dir: dir, cmd: exec.Command(binary, dir, uri, MaskHex(marks))}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = &c.err
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.in.Close()
		if err := c.cmd.Wait(); err != nil {
			t.Errorf("child: %v\n%s", err, c.err.String())
		}
	})
	return c
}

// say sends a command and returns the answer.
func (c *child) say(command string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		c.t.Fatalf("%s: %v\n%s", command, err, c.err.String())
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", command, err, c.err.String())
	}
	return strings.TrimSuffix(line, "\n")
}

// do sends commands that must succeed.
func (c *child) do(commands ...string) {
	c.t.Helper()
	for _, command := range commands {
		if got := c.say(command); got != "ok" {
			c.t.Fatalf("%s: %s", command, got)
		}
	}
}

func (c *child) status() engine.Status {
	c.t.Helper()
	var st engine.Status
	text := c.say("status")
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		c.t.Fatalf("status: %v: %s", err, text)
	}
	return st
}

// await asks for the status until it is as it should be.
func (c *child) await(what string, ok func(engine.Status) bool) engine.Status {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		st := c.status()
		if ok(st) {
			return st
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("not %s after a minute: %+v", what, st)
		}
	}
}

// stopped runs fn while the process stands still.
func (c *child) stopped(fn func()) {
	c.t.Helper()
	pid := c.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			c.t.Fatal(err)
		}
	}()
	tasks := filepath.Join("/proc", fmt.Sprint(pid), "task")
	for { // until every thread has seen the signal
		stats, err := filepath.Glob(filepath.Join(tasks, "*", "stat"))
		if err != nil || len(stats) == 0 {
			c.t.Fatalf("threads of the child: %v", err)
		}
		all := true
		for _, path := range stats {
			b, err := os.ReadFile(path)
			if err != nil {
				continue // it has ended
			}
			_, rest, _ := strings.Cut(string(b), ") ")
			all = all && strings.HasPrefix(rest, "T")
		}
		if all {
			break
		}
	}
	fn()
}

// search looks for the needles while the process stands still.
func (c *child) search(needles []needle) *procmem.Finding {
	c.t.Helper()
	plain := make([][]byte, len(needles))
	for i, n := range needles {
		plain[i] = bytes.TrimLeft(n.b, "\x00")
	}
	var f *procmem.Finding
	c.stopped(func() {
		var err error
		if f, err = procmem.Search(c.cmd.Process.Pid, plain); err != nil {
			c.t.Fatal(err)
		}
	})
	return f
}

// watch collects the headers of files until stop is called, which returns all.
func watch(dir string) (stop func() headers) {
	h := headers{}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for {
			h.collect(dir)
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	return func() headers {
		close(done)
		wg.Wait()
		return h
	}
}

// keyNeedles returns everything that the keys of a database could be left as.
func keyNeedles(t *testing.T, dir string, known headers, keys map[uint32][]byte) []needle {
	t.Helper()
	known.collect(dir)
	if m := catalog(t, dir, "byokdb")["manifest"]; m != nil {
		known[fmt.Sprintf("%d manifest %x", crypt.KindManifest, m[38:42])] = m[:106]
	}
	var out []needle
	for epoch, dek := range keys {
		out = append(out, dekNeedles(epoch, dek)...)
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		kind := crypt.Kind(name[0] - '0')
		out = append(out, fileNeedles(t, name, kind, known[name], keys[1])...)
	}
	return out
}
