package scrub

import (
	"math"
	"runtime"
	"runtime/debug"
	"unsafe"
)

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

// growthMax is by how many bytes the heap may grow between two collections: a
// little for the scrub itself, the rest for other goroutines.
const growthMax = 256 << 20

// triesMax is how often a size class is gone through when collections that others
// ask for come between.
const triesMax = 3

// packed is the size in bytes below which the runtime packs objects without
// pointers into one of that size.
const packed = 16

// objects clears free pages and dead objects. It is called behind a collection.
func objects() error {
	c := stopCollector()
	defer c.restart()
	c.left = 2*int(c.heap.HeapInuse) + othersMax
	c.pages() // first, so that what is handed out below is of clean pages
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

// A span has at most spanMin bytes and spanFactor times the size of its objects.
//
// Source: as for sizes.
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
