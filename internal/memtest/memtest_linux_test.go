package memtest

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/devkms"
	"github.com/byokdb/byokdb/internal/devkms/admin"
	"github.com/byokdb/byokdb/internal/procmem"
)

var nRuns = flag.Int("memory.runs", 1, "how often the whole test is run")

func newMarks() (marks [NKinds]string) {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	for k := range marks {
		b := make([]byte, MarkSize)
		rand.Read(b)
		for i := range b {
			b[i] = letters[b[i]%32]
		}
		b[0], b[1] = letters[b[0]%26], 'a' // it names a table, and has something to be replaced
		marks[k] = string(b)
	}
	return marks
}

// rowNeedles are the marks, by kind, and then what functions of SQL make of them.
func rowNeedles(marks [NKinds]string) (out []needle) {
	for k, m := range marks {
		out = append(out, needle{Kind(k).String(), []byte(m[:min(len(m), Kind(k).size())])})
	}
	for _, k := range []Kind{SQLText, SQLBlob} {
		m := marks[k]
		out = append(out, needle{k.String() + " in upper case", []byte(strings.ToUpper(m))},
			needle{k.String() + " in hexadecimal", fmt.Appendf(nil, "%X", m)},
			needle{k.String() + " in lower hexadecimal", fmt.Appendf(nil, "%x", m)},
			needle{k.String() + " replaced", []byte(strings.ReplaceAll(m, "a", "b"))})
	}
	return out
}

// A rig is the program and a KMS in this process.
type rig struct {
	binary, endpoint, arn, uri string
	explains                   bool // the program can tell what kind of memory is where
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{binary: filepath.Join(t.TempDir(), "memtest"), explains: strings.HasPrefix(runtime.Version(), "go1.26")}
	args := []string{"build", "-o", r.binary}
	if r.explains {
		args = append(args, "-tags=memtest_spans", "-ldflags=-checklinkname=0")
	}
	build := exec.Command("go", append(args, "./cmd")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
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
	for i := range *nRuns {
		t.Run(fmt.Sprintf("pause %d", i), r.pause)
		if !testing.Short() {
			t.Run(fmt.Sprintf("close %d", i), r.close)
		}
	}
}

// pause takes the key away and gives it back, then closes the database.
func (r *rig) pause(t *testing.T) {
	c, needles := r.filled(t)
	copied := filepath.Join(t.TempDir(), "copy.byok")
	position := c.status().Position
	c.stopped(func() {
		if err := os.CopyFS(copied, os.DirFS(c.dir)); err != nil {
			t.Fatal(err)
		}
	})
	if err := admin.Disable(t.Context(), r.endpoint, r.arn); err != nil {
		t.Fatal(err)
	}
	c.await("paused", func(st engine.Status) bool { return st.Key.State == engine.Paused && st.LastWipe != nil })
	c.do("refused")
	st := c.await("scrubbed again", func(st engine.Status) bool { return st.LastWipe.HeapScrubs > 1 })
	if !st.LastWipe.HeapScrubbed || st.LastWipe.Transactions < 3 {
		t.Errorf("last wipe: %+v", st.LastWipe)
	}
	r.demand(t, c, "paused", needles)

	if err := admin.Enable(t.Context(), r.endpoint, r.arn); err != nil {
		t.Fatal(err)
	}
	c.await("active", func(st engine.Status) bool { return st.Key.State == engine.Active })
	c.do("check", "release", "close")
	r.demand(t, c, "closed", needles)

	refused := startChild(t, r.binary, copied, r.uri, newMarks())
	refused.do("refuse " + position.String())
	r.demand(t, refused, "refused", needles)
}

// close closes the database under everything that is open.
func (r *rig) close(t *testing.T) {
	c, needles := r.filled(t)
	c.do("close")
	r.demand(t, c, "closed", needles)
}

// filled starts a program that has worked, and returns it with what must not be
// left of it, once all of that was seen.
func (r *rig) filled(t *testing.T) (*child, []needle) {
	t.Helper()
	marks := newMarks()
	dir := filepath.Join(t.TempDir(), "t.byok")
	headers := watch(dir)
	c := startChild(t, r.binary, dir, r.uri, marks)
	c.do("open", "work", "hold")
	needles := append(rowNeedles(marks), keyNeedles(t, dir, headers(), deks(t, dir, r.uri))...)
	f := c.search(needles)
	nMarks, nParts := 0, 0
	for i, n := range f.Counts {
		switch {
		case i < int(NKinds) && n == 0:
			t.Errorf("%s: not found while the database is open: the search is blind", needles[i].name)
		case i < int(NKinds):
			nMarks += n
		case strings.Contains(needles[i].name, keySchedule) && n > 0:
			nParts++
		}
	}
	if nParts < 3*40 { // two runs and a segment at least, of 40 parts and more
		t.Errorf("%d parts of key schedules are found while the database is open: the search is blind", nParts)
	}
	if f.NDark == 0 {
		t.Log("there is no memfd_secret here: the DEK is in locked memory, and can be seen")
		if i := len(marks) + 8; f.Counts[i] == 0 {
			t.Errorf("%s: not found while the database is open: the search is blind", needles[i].name)
		}
	}
	t.Logf("open: %d MiB searched for %d needles, %d KiB not shown; marks %d times, %d parts of key schedules",
		f.NRead>>20, len(needles), f.NDark>>10, nMarks, nParts)
	return c, needles
}

// nHeldStatements is how many statements the program keeps, whose text it holds.
const nHeldStatements = 4

// leftMax is how many marks may be left in memory that nobody but the runtime
// can clear: see docs/security.md, "Memory".
const leftMax = 1000

// answersMax is how many answers of the KMS, with the DEK in base64, may be left
// in the same places.
const answersMax = 4

// registersMax is how many parts of key schedules may be left in the registers
// that the kernel has saved when a signal came to a thread that is in a system
// call. The scrub reaches such threads with another signal, whose registers are
// those of now; that they hold a part of a key has not been seen.
const registersMax = 1

// restMax is how many marks may be left behind objects that lived during the
// scrub: see kind rest in cmd/spans.go. Seen twice in hundreds of searches.
const restMax = 4

// demand searches the program's memory: no key is left in any form, and no mark
// and no answer of the KMS but in the program's own text of statements that it
// keeps, and in what only the runtime could clear.
func (r *rig) demand(t *testing.T, c *child, when string, needles []needle) {
	t.Helper()
	f := c.search(needles)
	var marks []procmem.Hit
	nHeld, nAnswers, nRegisters := 0, 0, 0
	for _, h := range f.Hits {
		switch n := needles[h.Needle]; {
		case h.Needle == int(HeldStatement):
			nHeld++
		case h.Needle < len(rowNeedles([NKinds]string{})):
			marks = append(marks, h)
		case strings.HasSuffix(n.name, inBase64): // garbage of the AWS SDK and net/http
			nAnswers++
			marks = append(marks, h)
		case r.explains && strings.Contains(n.name, keySchedule):
			nRegisters++
			marks = append(marks, h)
		default:
			t.Errorf("%s: %s is left at %#x, %s", when, n.name, h.Address, h.Mapping)
		}
	}
	if nHeld > nHeldStatements {
		t.Errorf("%s: %d copies are left of %d statements that the program keeps", when, nHeld, nHeldStatements)
	}
	if nAnswers > answersMax {
		t.Errorf("%s: %d answers of the KMS are left", when, nAnswers)
	}
	if nRegisters > registersMax {
		t.Errorf("%s: %d parts of key schedules are left", when, nRegisters)
	}
	if len(marks) > leftMax {
		t.Errorf("%s: %d marks are left", when, len(marks))
	}
	kinds := map[string]int{}
	if len(marks) > 0 && r.explains {
		marks = marks[:min(len(marks), leftMax)]
		var ask strings.Builder
		for _, h := range marks {
			fmt.Fprintf(&ask, " %#x", h.Address)
		}
		for i, what := range strings.Split(c.say("what"+ask.String()), "\t") {
			kind, _, _ := strings.Cut(what, ":")
			kinds[kind]++
			places := []string{"tail", "rest", "parked", "top", "signal", "freed", "ended"}
			if strings.Contains(needles[marks[i].Needle].name, keySchedule) {
				places = []string{"signal"}
				t.Logf("%s: %s is left at %#x: %s", when, needles[marks[i].Needle].name, marks[i].Address, what)
			}
			if !slices.Contains(places, kind) {
				t.Errorf("%s: %s is left at %#x: %s", when, needles[marks[i].Needle].name, marks[i].Address, what)
			}
		}
	}
	if kinds["rest"] > restMax {
		t.Errorf("%s: %d marks are left behind objects", when, kinds["rest"])
	}
	t.Logf("%s: %d MiB searched, %d answers, %d marks left %v, and %d in statements that are kept", when, f.NRead>>20, nAnswers, len(marks)-nAnswers, kinds, nHeld)
}
