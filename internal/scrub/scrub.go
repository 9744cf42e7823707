// Package scrub wipes what a Go program has left behind on its heap.
//
// The runtime frees an object without clearing it, and keeps a span as long as
// one object in it lives: rows and keys that passed through the heap stay
// readable in dead slots. Returning free spans to the system is not enough. So
// every dead slot is handed out again: the allocator clears a slot when it
// hands it out.
package scrub

import (
	"errors"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/byokdb/byokdb/internal/clock"
)

// ErrIncomplete means that the heap grew or was in use too much for every size
// class to be gone through. Dead objects may still be readable.
var ErrIncomplete = errors.New("the Go heap could not be scrubbed completely")

// chunkSize is how many bytes are allocated at first between two looks at the
// heap, chunkMax how many at most: more than a span of any class takes, with
// perChunkMin.
const (
	chunkSize   = 64 << 10
	chunkMax    = 8 << 20
	perChunkMin = 4
)

// othersMax is how many bytes are allocated at most beyond what may be dead, while
// others are in the way.
const othersMax = 1 << 30

// sizes are the runtime's size classes.
//
// Source: internal/runtime/gc/sizeclasses.go of Go 1.26. A class that is missing
// here would be covered by no other: a test asks the allocator for every size.
var sizes = [...]int{
	8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416,
	448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200,
	3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336,
	16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
}

// An object with pointers that is larger than headerless has a word more in
// front of it, which tells the collector where they are. Without room for it
// such an object comes from the next class, and its own is never gone through.
const (
	headerless = 512
	headerSize = 8
)

// turns lets one scrub run at a time, and one serve all who asked before it
// began: a thousand databases that are paused at once need two or three. It is a
// mutex, and not a channel to wait on, so that those who ask may live in bubbles
// of package synctest.
var turns struct {
	asked atomic.Uint64

	mu     sync.Mutex // held during a scrub
	served uint64     // who asked up to there has had one
	err    error      // of the last
}

// nRounds counts scrubs, for tests.
var nRounds atomic.Int64

// Heap clears every dead object on the Go heap and every free goroutine stack,
// and returns free memory to the system. It takes tens of milliseconds, more on
// a large heap, holds the garbage collector up meanwhile, and lets one goroutine
// run at a time. Who asks while a scrub is under way waits for the next one,
// with all others who do.
//
// What is referenced stays as it is. Nor is everything reached that the runtime
// leaves behind: docs/security.md, "Memory", has the list and how much it is.
func Heap() error {
	turn := turns.asked.Add(1)
	turns.mu.Lock()
	defer turns.mu.Unlock()
	if turns.served < turn {
		upTo := turns.asked.Load()
		turns.err = whole()
		turns.served = upTo
	}
	return turns.err
}

// whole is one scrub.
func whole() error {
	nRounds.Add(1)
	// Every processor but one is given up for a moment: each holds back spans
	// with dead slots, stacks, and up to 512 KiB of free pages that nobody else
	// can clear or give back.
	defer setProcs(runtime.GOMAXPROCS(1))
	settle()
	runtime.GC()         // twice: what a sync.Pool holds survives one collection
	debug.FreeOSMemory() // collects too
	err := objects()
	moveStack()
	debug.FreeOSMemory() // what objects has made; stacks of goroutines that have ended
	if serr := stacks(); err == nil {
		err = serr
	}
	threads()
	return err
}

// setProcs sets GOMAXPROCS to what it was. To have set it keeps the runtime from
// following the limits that a container has, which most programs rely on: it
// follows again if the program has not chosen another number.
func setProcs(n int) {
	if os.Getenv("GOMAXPROCS") == "" {
		if runtime.SetDefaultGOMAXPROCS(); runtime.GOMAXPROCS(0) == n {
			return
		}
	}
	runtime.GOMAXPROCS(n)
}

// settle lets goroutines end that are about to: a stack that is given back
// behind the scrub is not cleared.
func settle() {
	const nMax, longest = 64, 20 * time.Millisecond
	c := clock.System()
	began := c.Monotonic()
	for i := 0; i < nMax && c.Monotonic()-began < longest; i++ {
		runtime.Gosched()
	}
}

// growthMax is by how many bytes the heap may grow between two collections: a
// little for the scrub itself, the rest for other goroutines.
const growthMax = 256 << 20

// triesMax is how often a size class is gone through when collections that others
// ask for come between.
const triesMax = 3

// packed is the size in bytes below which the runtime packs objects without
// pointers into one of that size.
const packed = 16

// objects clears dead objects. It is called behind a collection.
func objects() error {
	c := stopCollector()
	c.left = 2*int(c.heap.HeapInuse) + othersMax
	defer c.restart()
	var err error
	for _, size := range sizes {
		complete := false
		for tries := 0; tries < triesMax && !complete; tries++ {
			if c.isDue() {
				c.collect()
			}
			complete = (size < packed || c.fill(size, bytesOf)) && c.fill(size, pointersOf)
			if !complete && !c.isDue() {
				break // the heap is too large, or in use too much
			}
		}
		if !complete {
			err = ErrIncomplete
		}
	}
	return err
}

// collector is the garbage collector, which stands still: it would hand slots out
// again, and what it has not swept yet would be passed over.
type collector struct {
	percent int
	limit   int64
	most    uint64           // HeapInuse beyond which to collect
	n       uint32           // collections so far
	heap    runtime.MemStats // at the last look
	left    int              // bytes that may still be allocated
	last    unsafe.Pointer   // what was allocated last, so that all is on the heap
}

func stopCollector() *collector {
	c := &collector{percent: debug.SetGCPercent(-1), limit: debug.SetMemoryLimit(math.MaxInt64)}
	runtime.ReadMemStats(&c.heap)
	c.most, c.n = c.heap.HeapInuse+growthMax, c.heap.NumGC
	return c
}

func (c *collector) restart() {
	debug.SetMemoryLimit(c.limit)
	debug.SetGCPercent(c.percent)
}

// isDue reports whether to collect before going on: the heap has grown, or
// somebody else has collected.
func (c *collector) isDue() bool { return c.heap.NumGC != c.n || c.heap.HeapInuse > c.most }

// collect collects and sweeps, with the goal that the program has set: with none,
// nobody who allocates would help, and a busy program's heap would grow without
// bound.
func (c *collector) collect() {
	c.restart()
	runtime.GC()
	left := c.left
	*c = *stopCollector()
	c.left = left
}

// fill allocates objects of one size until some of them certainly came from a
// fresh span: then no dead slot of that class is left. What others have allocated
// beside a chunk may have taken a fresh span for each object; the chunks grow until
// they are larger than that.
func (c *collector) fill(size int, alloc func(n int) unsafe.Pointer) (complete bool) {
	for chunk := chunkSize; ; chunk = min(2*chunk, chunkMax) {
		n := max(chunk/size, perChunkMin)
		before := c.heap
		for range n {
			c.last = alloc(size)
		}
		runtime.ReadMemStats(&c.heap)
		nOthers := int(c.heap.Mallocs-before.Mallocs) - n
		bytesOthers := int(c.heap.TotalAlloc-before.TotalAlloc) - n*size
		grown := int(c.heap.HeapInuse - before.HeapInuse)
		c.left -= n * size
		switch {
		case c.heap.NumGC != c.n: // what is not swept may hold dead slots
			return false
		case grown > max(0, spanMin*nOthers+spanFactor*bytesOthers):
			return true
		case c.left < 0:
			return false
		}
	}
}

// A span has up to spanMin bytes and spanFactor times the size of its objects.
const (
	spanMin    = 8 << 10
	spanFactor = 8
)

// bytesOf allocates an object without pointers of the size class n.
func bytesOf(n int) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(make([]byte, n))) }

// pointersOf allocates an object with pointers of the size class n.
func pointersOf(n int) unsafe.Pointer {
	if n > headerless {
		n -= headerSize
	}
	return unsafe.Pointer(unsafe.SliceData(make([]*byte, n/int(unsafe.Sizeof(uintptr(0))))))
}
