package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
)

// buffer is a bytes.Buffer that may be read while a command writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// command starts byokdb in this process. Closing stdin lets it end; wait
// returns its error.
type command struct {
	stdin       io.WriteCloser
	out, errOut *buffer
	done        chan error
}

func start(ctx context.Context, args ...string) *command {
	r, w := io.Pipe()
	c := &command{stdin: w, out: &buffer{}, errOut: &buffer{}, done: make(chan error, 1)}
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(r)
	root.SetOut(c.out)
	root.SetErr(c.errOut)
	go func() { c.done <- root.ExecuteContext(ctx) }()
	return c
}

func (c *command) wait(t *testing.T) error {
	t.Helper()
	if err := c.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	return <-c.done
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	c := start(t.Context(), args...)
	if err := c.wait(t); err != nil {
		t.Fatalf("byokdb %s: %v\n%s", strings.Join(args, " "), err, c.errOut)
	}
	return c.out.String()
}

// startKMS serves a KMS for development until the test ends.
func startKMS(t *testing.T) (endpoint, arn string) {
	t.Helper()
	server, err := devkms.New("")
	if err != nil {
		t.Fatal(err)
	}
	if arn, err = server.CreateKey(); err != nil {
		t.Fatal(err)
	}
	l, err := devkms.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return devkms.Endpoint(l), arn
}

// ask sends a statement until what it adds to the command's output and errors
// contains want.
func (c *command) ask(t *testing.T, statement, want string) string {
	t.Helper()
	outAt, errAt := len(c.out.String()), len(c.errOut.String())
	added := func() string { return c.out.String()[outAt:] + c.errOut.String()[errAt:] }
	sent := 0
	err := poll(t.Context(), 30*time.Second, func() bool {
		if strings.Contains(added(), want) {
			return true
		}
		if _, err := io.WriteString(c.stdin, statement+"\n"); err != nil {
			t.Fatal(err)
		}
		sent++
		return false
	})
	if err != nil {
		t.Fatalf("%q was never answered with %q in %d times; the last lines:\n%s", statement, want, sent, lastLines(added()))
	}
	return added()
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-4):], "\n")
}

func TestHolderFollowsTheKey(t *testing.T) {
	t.Parallel()
	for _, holder := range [][]string{{"shell"}, {"exec", "--keep-going", "--format", "csv"}} {
		t.Run(holder[0], func(t *testing.T) {
			t.Parallel()
			endpoint, arn := startKMS(t)
			dir := filepath.Join(t.TempDir(), "a.byok")
			mustRun(t, "init", dir, "--key", devKeyURI(endpoint, arn),
				"--probe-interval", "200ms", "--probe-timeout", "300ms", "--deadline", "2s")
			mustRun(t, "exec", dir, "create table t (v text)", "insert into t values ('answer')")
			args := append(holder, dir)
			if holder[0] == "exec" {
				args = append(args, "-")
			}
			c := start(t.Context(), args...)
			c.ask(t, "select v from t;", "answer")

			other := start(t.Context(), "exec", dir, "select 1")
			if err := other.wait(t); !errors.Is(err, engine.ErrInUse) {
				t.Errorf("a second process: %v", err)
			}

			if err := admin.Disable(t.Context(), endpoint, arn); err != nil {
				t.Fatal(err)
			}
			c.ask(t, "select v from t;", "denied")
			if err := admin.Enable(t.Context(), endpoint, arn); err != nil {
				t.Fatal(err)
			}
			c.ask(t, "select v from t;", "answer")

			if err := admin.Disable(t.Context(), endpoint, arn); err != nil {
				t.Fatal(err)
			}
			if holder[0] == "shell" {
				c.ask(t, ".status", "paused")
			} else {
				c.ask(t, "select v from t;", "paused")
			}
			if err := admin.Enable(t.Context(), endpoint, arn); err != nil {
				t.Fatal(err)
			}
			c.ask(t, "select v from t;", "answer")
			if err := c.wait(t); exitCode(err) != exitUnavailable {
				t.Errorf("the first error was of the key, the end is %v", err)
			}
			mustRun(t, "verify", dir)
		})
	}
}

func TestDevKMSServes(t *testing.T) {
	data := t.TempDir()
	serve := func() (devKMSLine, context.CancelFunc, <-chan error) {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		root := newRoot()
		root.SetArgs([]string{"devkms", "serve", "--data", data})
		root.SetOut(w)
		root.SetErr(io.Discard)
		done := make(chan error, 1)
		go func() { done <- root.ExecuteContext(ctx) }()
		text, err := bufio.NewReader(r).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var line devKMSLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return line, cancel, done
	}
	first, cancel, done := serve()
	dir := filepath.Join(t.TempDir(), "a.byok")
	mustRun(t, "init", dir, "--key", first.KeyURI)
	mustRun(t, "devkms", "disable", "--endpoint", first.Endpoint, first.KeyARN)
	if c := start(t.Context(), "key", "probe", dir); exitCode(c.wait(t)) != exitUnavailable {
		t.Error("a disabled key is available")
	}
	mustRun(t, "devkms", "enable", "--endpoint", first.Endpoint, first.KeyARN)
	mustRun(t, "key", "probe", dir)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve ended with %v", err)
	}
	if c := start(t.Context(), "key", "probe", dir); exitCode(c.wait(t)) != exitUnavailable {
		t.Error("a key without its KMS is available")
	}
	second, cancel, done := serve()
	if second.KeyARN != first.KeyARN {
		t.Errorf("the key was %s and is %s", first.KeyARN, second.KeyARN)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve ended with %v", err)
	}
}

func TestInterruptedExecClosesTheDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a.byok")
	mustRun(t, "init", dir, "--key", "local:"+filepath.Join(t.TempDir(), "dev.key"))
	ctx, cancel := context.WithCancel(t.Context())
	c := start(ctx, "exec", dir, "-")
	c.ask(t, "select 'here' as v;", "here")
	cancel()
	if err := <-c.done; !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted exec ends with %v", err)
	}
	mustRun(t, "verify", dir) // not in use any more
}
