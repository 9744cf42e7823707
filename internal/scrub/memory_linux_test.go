package scrub

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/byokdb/byokdb/internal/offheap"
	"github.com/byokdb/byokdb/internal/procmem"
)

const childEnv = "BYOKDB_TEST_SCRUB"

// inChild runs the calling test in a process of its own, so that nothing but the
// test uses the heap. It reports whether this is that process.
func inChild(t *testing.T) bool {
	t.Helper()
	if raceDetector {
		t.Skip("stacks are not scrubbed under the race detector")
	}
	if os.Getenv(childEnv) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "markers before") {
		t.Fatalf("child: %v", err)
	}
	return false
}

// newMarker returns what is searched for, outside the heap.
func newMarker(t *testing.T) []byte {
	t.Helper()
	marker, err := offheap.Alloc(16) // shown to the search as one hit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = offheap.Free(marker) })
	rand.Read(marker)
	return marker
}

// demand scrubs the heap and checks that so many markers, and no more than the
// given number, have become none.
func demand(t *testing.T, marker []byte, atLeast, leftMax int) {
	t.Helper()
	masked := procmem.Mask(marker)
	before := count(t, masked)
	if err := Heap(); err != nil {
		t.Fatal(err)
	}
	after := count(t, masked)
	t.Logf("markers before %d, after %d", before, after)
	if before < atLeast {
		t.Errorf("only %d markers were there to be wiped", before)
	}
	if after > 1+leftMax {
		t.Errorf("%d markers are left", after-1)
	}
}

func TestNothingIsLeft(t *testing.T) {
	if !inChild(t) {
		return
	}
	marker := newMarker(t)
	debug.SetGCPercent(-1) // see Heap about tails: no span may be reused before
	live := litter(marker)
	demand(t, marker, 10_000, 0)
	runtime.KeepAlive(live)
}

// TestFreePagesAreCleared has a collection free pages, which nobody returns to the
// system.
func TestFreePagesAreCleared(t *testing.T) {
	if !inChild(t) {
		return
	}
	marker := newMarker(t)
	debug.SetGCPercent(-1) // the scavenger rests as well
	objects := make([][]byte, 1000)
	for i := range objects {
		objects[i] = bytes.Repeat(marker, heapPage/len(marker))
	}
	clear(objects)
	runtime.GC()
	masked := procmem.Mask(marker)
	before := count(t, masked)
	runtime.GOMAXPROCS(1) // as in a scrub: each processor has pages in hand
	c := stopCollector()
	c.pages()
	c.restart()
	after := count(t, masked)
	t.Logf("markers before %d, after %d", before, after)
	if before < 100_000 || after > before/100 { // a page may have become a stack, or a table of the runtime's
		t.Errorf("%d markers were left of %d", after-1, before-1)
	}
	if grown := c.heap.HeapSys; grown > 64<<20 {
		t.Errorf("the heap has %d MiB", grown>>20)
	}
}

// TestNothingIsLeftBesideOthers has goroutines allocate as fast as they can while
// the heap is scrubbed. Their objects grow the heap too, and nothing is to be made
// of that; nor may the heap grow without bound meanwhile.
func TestNothingIsLeftBesideOthers(t *testing.T) {
	besideOthers(t, func(stop *atomic.Bool) {
		ring := make([][]byte, 512)
		for i := 0; !stop.Load(); i++ {
			ring[i%len(ring)] = make([]byte, 2048<<(i%3))
		}
	})
}

// TestNothingIsLeftBesideServers has goroutines that allocate a little, and wait
// for each other, all the time: hardly a moment is free of them.
func TestNothingIsLeftBesideServers(t *testing.T) {
	asked := make(chan []byte)
	besideOthers(t, func(stop *atomic.Bool) {
		runtime.LockOSThread()
		for !stop.Load() {
			select {
			case asked <- make([]byte, 2048):
			case b := <-asked:
				runtime.KeepAlive(append(b, make([]byte, 2048)...))
			default:
				runtime.Gosched()
			}
		}
	})
}

// besideOthers scrubs the heap while two goroutines run other.
func besideOthers(t *testing.T, other func(stop *atomic.Bool)) {
	t.Helper()
	if !inChild(t) {
		return
	}
	marker := newMarker(t)
	percent := debug.SetGCPercent(-1) // until all of it is there
	var live []any
	for i := range 60_000 { // of sizes whose spans have no tails, here and in others
		b := make([]byte, 1024)
		if i%9 == 0 {
			live = append(live, b)
			continue
		}
		stamp(b, marker)
	}
	var stop atomic.Bool
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() { other(&stop) })
	}
	debug.SetGCPercent(percent)
	demand(t, marker, 100_000, 1000)
	stop.Store(true)
	others.Wait()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if most := uint64(2 << 30); m.HeapSys > most {
		t.Errorf("the heap has grown to %d MiB", m.HeapSys>>20)
	}
	t.Logf("%d MiB of heap", m.HeapSys>>20)
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
// all of them full of the marker, and live ones among them; the more of a class,
// the smaller it is, and more than one chunk of every small one.
func litter(marker []byte) (live []any) {
	for _, size := range sizes {
		if size < len(marker) {
			continue
		}
		for i := range 16 + 8*chunkSize/size {
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
