package memtest

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
	"github.com/byokdb/byokdb/internal/procmem"
)

var runs = flag.Int("memory.runs", 1, "how often the whole test is run")

func newMarks() (marks [NKinds]string) {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	for k := range marks {
		b := make([]byte, MarkSize)
		rand.Read(b)
		for i := range b {
			b[i] = letters[b[i]%32]
		}
		b[0] = "abcdefghijklmnopqrstuvwxyz"[b[0]%26] // it names a table, too
		marks[k] = string(b)
	}
	return marks
}

// rowNeedles are the marks, and what functions of SQL make of them.
func rowNeedles(marks [NKinds]string) (out []needle) {
	for k, m := range marks {
		out = append(out, needle{Kind(k).String(), []byte(m)})
	}
	for _, k := range []Kind{SQLText, SQLBlob} {
		m := marks[k]
		out = append(out, needle{k.String() + " in upper case", []byte(strings.ToUpper(m))},
			needle{k.String() + " in hexadecimal", fmt.Appendf(nil, "%X", m)},
			needle{k.String() + " in lower hexadecimal", fmt.Appendf(nil, "%x", m)},
			needle{k.String() + " replaced", []byte(strings.ReplaceAll(m, "a", "b"))}) // the same without an a
	}
	return out
}

type rig struct {
	binary, endpoint, arn, uri string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{binary: filepath.Join(t.TempDir(), "memtest")}
	build := exec.Command("go", "build", "-tags", "memdebug", "-ldflags=-checklinkname=0", "-o", r.binary, "./cmd")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	server, err := devkms.New("")
	if err != nil {
		t.Fatal(err)
	}
	if r.arn, err = server.CreateKey(); err != nil {
		t.Fatal(err)
	}
	l, err := devkms.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.endpoint = devkms.Endpoint(l)
	r.uri = "awskms:" + r.arn + "?endpoint=" + r.endpoint
	served := make(chan error, 1)
	ctx := t.Context()
	go func() { served <- server.Serve(ctx, l) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestNothingIsLeft has a program fill a database with 100,000 marked rows, and
// searches its whole memory from outside after a pause, after Close, and after
// an opening that was refused midway.
func TestNothingIsLeft(t *testing.T) {
	r := newRig(t)
	for i := range *runs {
		t.Run(fmt.Sprint(i), r.story)
	}
}

func (r *rig) story(t *testing.T) {
	marks := newMarks()
	rows := rowNeedles(marks)
	dir := filepath.Join(t.TempDir(), "t.byok")
	stop := watch(dir)
	c := startChild(t, r.binary, dir, r.uri, marks)
	c.do("open", "work", "hold")
	keys := deks(t, dir, r.uri)
	needles := append(rows, keyNeedles(t, dir, stop(), keys)...)
	f := c.search(needles)
	report(t, "before", needles, f)
	if err := admin.Disable(t.Context(), r.endpoint, r.arn); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.await("paused", func(st engine.Status) bool {
		return st.Key.State == engine.Paused && st.LastWipe != nil && st.LastWipe.HeapScrubbed
	})
	t.Logf("paused after %v", time.Since(began))
	c.do("refused")
	c.await("scrubbed again", func(st engine.Status) bool { return st.LastWipe.HeapScrubs > 1 })
	report(t, "paused", needles, c.search(needles), c)
	if err := admin.Enable(t.Context(), r.endpoint, r.arn); err != nil {
		t.Fatal(err)
	}
	c.await("active", func(st engine.Status) bool { return st.Key.State == engine.Active })
	c.do("check", "release", "close")
	report(t, "closed", needles, c.search(needles), c)
}

func report(t *testing.T, when string, needles []needle, f *procmem.Finding, cs ...*child) {
	t.Helper()
	total := 0
	sums := map[string]int{}
	for i, n := range f.Counts {
		if n > 0 {
			name, _, _ := strings.Cut(needles[i].name, " at ")
			sums[name] += n
			total += n
		}
	}
	t.Logf("%s: %d needles, %d MiB read, %d KiB dark: %d hits: %v", when, len(needles), f.NRead>>20, f.NDark>>10, total, sums)
	if when != "before" {
		var q strings.Builder
		last := uint64(0)
		var names []string
		for _, h := range f.Hits {
			if h.Address>>12 != last && q.Len() < 20000 {
				fmt.Fprintf(&q, " %#x", h.Address)
				names = append(names, needles[h.Needle].name)
			} else if h.Needle < 100 {
				continue
			}
			last = h.Address >> 12
		}
		if q.Len() > 0 {
			for i, line := range strings.Split(cs[0].say("debug"+q.String()), "\t") {
				t.Log("   ", line, names[i])
			}
		}
		for i, h := range f.Hits {
			if !strings.Contains(h.Mapping, " 00:00 0 ") && i < 10 {
				t.Log(needles[h.Needle].name, h)
			}
		}
	}
}
