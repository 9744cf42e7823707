//go:build !race

// The shadow memory of the race detector is too large to search.

package awskms

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/internal/devkms"
)

const serveEnv = "BYOKDB_TEST_SERVE_KMS"

// TestServeKMS is a KMS in a process of its own, for TestNoCopyOfDEK.
func TestServeKMS(t *testing.T) {
	if os.Getenv(serveEnv) == "" {
		t.Skip("it is started by TestNoCopyOfDEK")
	}
	s, err := devkms.New("")
	if err != nil {
		t.Fatal(err)
	}
	arn, err := s.CreateKey()
	if err != nil {
		t.Fatal(err)
	}
	l, err := devkms.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(os.Stdout, "\n%s %s\n", devkms.Endpoint(l), arn); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}

// A process that holds a DEK has no copy of it outside secret memory, in bytes
// or as the KMS sent it, although nothing was collected or scrubbed.
func TestNoCopyOfDEK(t *testing.T) {
	endpoint, arn := startKMS(t)
	p, err := Open(t.Context(), "awskms:"+arn+"?endpoint="+url.QueryEscape(endpoint))
	if err != nil {
		t.Fatal(err)
	}
	dek, wrapped, _, err := p.Generate(t.Context(), testContext)
	if err != nil {
		t.Fatal(err)
	}
	defer dek.Wipe()
	for range 5 {
		again, _, err := p.Unwrap(t.Context(), wrapped, testContext)
		if err != nil {
			t.Fatal(err)
		}
		again.Wipe()
	}
	var bytesOf, textOf []byte // masked, or they would be copies themselves
	if err := dek.Use(func(b []byte) error { bytesOf, textOf = masked(b), maskedBase64(b); return nil }); err != nil {
		t.Fatal(err)
	}
	known := []byte("a marker that the search must find: " + t.TempDir())
	if count(t, masked(known)) == 0 {
		t.Fatal("the search does not find what is there")
	}
	if n := count(t, textOf); n > 0 {
		t.Errorf("the answer's text of the DEK is in memory %d times", n)
	}
	// Secret memory may be readable where the kernel has no memfd_secret.
	if n := count(t, bytesOf); n > 1 {
		t.Errorf("the DEK is in memory %d times", n)
	}
	runtime.KeepAlive(known)
}

func startKMS(t *testing.T) (endpoint, arn string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeKMS$", "-test.v")
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it serves until then
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if endpoint, arn, ok := strings.Cut(lines.Text(), " arn:"); ok {
			return endpoint, "arn:" + arn
		}
	}
	t.Fatal("the KMS did not start")
	return "", ""
}

const mask = 0x5a

func masked(b []byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = c ^ mask
	}
	return out
}

// maskedBase64 encodes all whole groups of b.
func maskedBase64(b []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	var out []byte
	for ; len(b) >= 3; b = b[3:] {
		group := uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2])
		for shift := 18; shift >= 0; shift -= 6 {
			out = append(out, alphabet[group>>shift&63]^mask)
		}
	}
	return out
}

// count returns how often the first 16 bytes of a masked pattern are in this
// process's memory.
func count(t *testing.T, pattern []byte) (n int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("this process may not read its own memory")
	} else if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }() // it was only read
	const size, overlap = 1 << 20, 64
	buf := make([]byte, size)
	pattern = pattern[:16]
	for line := range strings.Lines(string(maps)) {
		var lo, hi int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &lo, &hi, &mode); err != nil || mode[0] != 'r' {
			continue
		}
		for at := lo; at < hi; at += size - overlap {
			k, err := mem.ReadAt(buf[:min(size, hi-at)], at)
			if err != nil && k == 0 {
				break // such memory cannot be read from outside
			}
			for i := range max(k-len(pattern)+1, 0) {
				j := 0
				for j < len(pattern) && buf[i+j]^mask == pattern[j] {
					j++
				}
				if j == len(pattern) {
					n++
				}
			}
			clear(buf) // or it would be found in here
		}
	}
	return n
}
