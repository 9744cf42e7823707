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

// chunkSize is how many bytes are allocated between two looks at the heap. It
// is far more than what the per-processor caches of spans hold back.
const chunkSize = 256 << 10

// classSizeMax bounds what one size class may take, in bytes.
const classSizeMax = 512 << 20

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
	procs := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(procs)
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

// objects clears dead objects. It is called behind a collection.
func objects() error {
	c := stopCollector()
	defer c.restart()
	var err error
	for _, size := range sizes {
		if c.isDue() {
			c.collect()
		}
		done := fill(size, bytesOf) && fill(size, pointersOf)
		for tries := 1; tries < triesMax && !c.standsStill(); tries++ {
			c.collect()
			done = fill(size, bytesOf) && fill(size, pointersOf)
		}
		if !done || !c.standsStill() {
			err = ErrIncomplete
		}
	}
	return err
}

// collector is the garbage collector, which stands still: dead slots that it has
// not swept yet would be passed over.
type collector struct {
	percent int
	limit   int64
	most    uint64 // HeapInuse beyond which to collect
	n       uint32 // collections so far
}

func stopCollector() *collector {
	c := &collector{percent: debug.SetGCPercent(-1), limit: debug.SetMemoryLimit(math.MaxInt64)}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.most, c.n = m.HeapInuse+growthMax, m.NumGC
	return c
}

func (c *collector) restart() {
	debug.SetMemoryLimit(c.limit)
	debug.SetGCPercent(c.percent)
}

// standsStill reports whether nobody has collected since.
func (c *collector) standsStill() bool {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC == c.n
}

// isDue reports whether to collect before going on.
func (c *collector) isDue() bool {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC != c.n || m.HeapInuse > c.most
}

// collect collects and sweeps, with the goal that the program has set: with none,
// nobody who allocates would help, and a busy program's heap would grow without
// bound.
func (c *collector) collect() {
	c.restart()
	runtime.GC()
	*c = *stopCollector()
}

// bytesOf allocates an object without pointers of the size class n.
func bytesOf(n int) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(make([]byte, n))) }

// pointersOf allocates an object with pointers of the size class n.
func pointersOf(n int) unsafe.Pointer {
	if n > headerless {
		n -= headerSize
	}
	return unsafe.Pointer(unsafe.SliceData(make([]*byte, n/int(unsafe.Sizeof(uintptr(0))))))
}

// fill allocates objects of one size until a whole chunk of them came from
// fresh spans: then no dead slot of that class is left. Only a chunk beside which
// nobody else has allocated can show that.
func fill(size int, alloc func(n int) unsafe.Pointer) (complete bool) {
	perChunk := max(chunkSize/size, 4)
	nChunks := max(classSizeMax/size/perChunk, 4)
	chunks := make([][]unsafe.Pointer, 0, nChunks)
	var before, after runtime.MemStats
	for range nChunks {
		kept := make([]unsafe.Pointer, perChunk) // before the heap is looked at
		chunks = append(chunks, kept)
		runtime.ReadMemStats(&before)
		for i := range kept {
			kept[i] = alloc(size)
		}
		runtime.ReadMemStats(&after)
		if after.HeapInuse >= before.HeapInuse+uint64(perChunk*size) &&
			after.Mallocs == before.Mallocs+uint64(perChunk) {
			return true
		}
	}
	runtime.KeepAlive(chunks)
	return false
}
