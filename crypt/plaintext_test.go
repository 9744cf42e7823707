package crypt_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const plaintextTag = "byokdb_benchmark_plaintext"

// TestPlaintextRefusesToStart builds a program with the tag that turns
// encryption off for benchmarks: it must not start, whatever it is told. Without
// the tag the same program starts.
func TestPlaintextRefusesToStart(t *testing.T) {
	for _, c := range []struct{ name, tags string }{{"ordinary", ""}, {"plaintext", plaintextTag}} {
		program := filepath.Join(t.TempDir(), "starts.exe")
		build := exec.CommandContext(t.Context(), "go", "build", "-tags", c.tags, "-o", program, "./testdata/starts")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: build: %v\n%s", c.name, err, out)
		}
		for _, args := range [][]string{nil, {"-test.run", "."}, {"-test.v"}} {
			run := exec.CommandContext(t.Context(), program, args...)
			run.Env = append(run.Environ(), "GODEBUG=", "GOFLAGS=-tags="+plaintextTag)
			out, err := run.CombinedOutput()
			started := strings.Contains(string(out), "started")
			if c.tags == "" && (err != nil || !started) {
				t.Errorf("%s: %v\n%s", c.name, err, out)
			}
			if c.tags != "" && (err == nil || started || !strings.Contains(string(out), plaintextTag)) {
				t.Errorf("a program without encryption started with %v: %v\n%s", args, err, out)
			}
		}
	}
}
