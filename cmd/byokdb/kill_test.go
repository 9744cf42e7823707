package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// program returns the path of a byokdb that is this test binary under another
// name, as testscript has it.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "byokdb")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if err := os.Link(self, path); err == nil {
		return path
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// killed starts byokdb, calls fn, and then kills the process without warning.
func killed(t *testing.T, fn func(stdin io.Writer, stdout *bufio.Reader), args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fn(stdin, bufio.NewReader(stdout))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the process ended by itself before it was killed")
	}
}

// number runs a query of one number.
func number(t *testing.T, dir, query string) int {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(mustRun(t, "exec", dir, "--format", "csv", query)), "\n")
	n, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestKilledProcessKeepsWhatWasAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a.byok")
	mustRun(t, "init", dir, "--key", "local:"+filepath.Join(t.TempDir(), "dev.key"))
	mustRun(t, "exec", dir, "create table t (id integer primary key)")
	acknowledged := 0
	for round := range 3 {
		killed(t, func(stdin io.Writer, stdout *bufio.Reader) {
			for range 20 * (round + 1) {
				acknowledged++
				fmt.Fprintf(stdin, "insert into t values (%d) returning id;\n", acknowledged)
				if text, err := stdout.ReadString('\n'); err != nil || strings.TrimSpace(text) != fmt.Sprintf(`{"id":%d}`, acknowledged) {
					t.Fatalf("row %d is answered with %q, %v", acknowledged, text, err)
				}
			}
			fmt.Fprintf(stdin, "insert into t select id + 1000000 from t;\n") // under way when it is killed
		}, "exec", dir, "--format", "ndjson", "-")
		if got := number(t, dir, "select count(*) from t where id < 1000000"); got != acknowledged {
			t.Fatalf("round %d: %d rows of %d acknowledged", round, got, acknowledged)
		}
		if got := number(t, dir, "select count(*) from t where id > 1000000"); got != 0 && got != acknowledged {
			t.Fatalf("round %d: the last statement is half there: %d of %d rows", round, got, acknowledged)
		}
		mustRun(t, "exec", dir, "delete from t where id > 1000000")
	}
	mustRun(t, "verify", dir)
}

func TestKilledIngestLeavesWholeBatches(t *testing.T) {
	const batch, rows = 500, 20000
	dir := filepath.Join(t.TempDir(), "a.byok")
	mustRun(t, "init", dir, "--key", "local:"+filepath.Join(t.TempDir(), "dev.key"))
	c := start(t.Context(), "ingest", dir, "t", "-")
	if _, err := io.WriteString(c.stdin, strings.Repeat("{\"a\":0}\n", 1234)); err != nil {
		t.Fatal(err)
	}
	if err := c.wait(t); err != nil {
		t.Fatal(err)
	}
	killed(t, func(stdin io.Writer, _ *bufio.Reader) {
		for i := range rows { // all but what fits into the pipes has been taken when this returns
			if _, err := fmt.Fprintf(stdin, "{\"a\":1,\"b\":\"row %d\"}\n", i); err != nil {
				t.Fatal(err)
			}
		}
	}, "ingest", dir, "t", "-", "--batch-rows", strconv.Itoa(batch))
	if got := number(t, dir, "select count(*) from t where a = 0"); got != 1234 {
		t.Errorf("%d rows of the first ingestion, want 1234", got)
	}
	got := number(t, dir, "select count(*) from t where a = 1")
	if got == 0 || got%batch != 0 || got > rows {
		t.Errorf("%d rows of the killed ingestion, want whole batches of %d", got, batch)
	}
	mustRun(t, "verify", dir)
}
