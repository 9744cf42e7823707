package scrub

import (
	"crypto/rand"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"github.com/byokdb/byokdb/internal/offheap"
	"github.com/byokdb/byokdb/internal/procmem"
)

// registersMax is how many markers may be left of hundreds of thousands. A marker
// is as wide as a vector register: a goroutine that is preempted while it copies
// one leaves it among the saved registers, on stacks that are the runtime's own.
const registersMax = 2

const childEnv = "BYOKDB_TEST_SCRUB"

// TestNothingIsLeft runs in a process of its own, so that nothing but the test
// uses the heap.
func TestNothingIsLeft(t *testing.T) {
	if raceDetector {
		t.Skip("stacks are not scrubbed under the race detector")
	}
	if os.Getenv(childEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeft$", "-test.v")
		cmd.Env = append(os.Environ(), childEnv+"=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil || !strings.Contains(string(out), "markers before") {
			t.Fatalf("child: %v", err)
		}
		return
	}
	marker, err := offheap.Alloc(16) // shown to the search as one hit
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = offheap.Free(marker) }()
	rand.Read(marker)
	masked := procmem.Mask(marker)
	debug.SetGCPercent(-1) // see Heap about tails: no span may be reused before
	live := litter(marker)
	before := count(t, masked)
	if err := Heap(); err != nil {
		t.Fatal(err)
	}
	after := count(t, masked)
	t.Logf("markers before %d, after %d", before, after)
	if before < 10_000 {
		t.Errorf("only %d markers were there to be wiped", before)
	}
	if after > 1+registersMax {
		t.Errorf("%d markers are left", after-1)
	}
	runtime.KeepAlive(live)
}

func count(t *testing.T, m procmem.Masked) int {
	t.Helper()
	n, err := procmem.Count(m)
	if err != nil {
		t.Fatal(err)
	}
	return n[0]
}

// litter makes dead objects of every size class, with and without pointers,
// all of them full of the marker, and live ones among them.
func litter(marker []byte) (live []any) {
	for _, size := range sizes {
		if size < 3*len(marker) {
			continue
		}
		for i := range 16 + 16384/size {
			b := make([]byte, size)
			n := size / 8
			if size > 512 { // the allocator adds a word
				n--
			}
			p := make([]*byte, n)
			if i%7 == 0 {
				live = append(live, b, p)
				continue
			}
			stamp(b, marker)
			// Random words are no addresses of the heap: the collector skips them.
			raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(p))), len(p)*8)
			stamp(raw, marker)
		}
	}
	return live
}

func stamp(b, marker []byte) {
	for len(b) >= len(marker) {
		copy(b, marker)
		b = b[len(marker):]
	}
}
