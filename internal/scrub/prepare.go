package scrub

import (
	"runtime"
	"sync"
	"unsafe"
)

// What Prepare has the runtime make.
const (
	nThreads    = 16  // each with stacks of 16 KiB and 32 KiB
	nGoroutines = 512 // each some 500 bytes that are kept for good

	reserveSizeMax = 2 << 10 // bytes of the largest objects for which there is a reserve
	nReserved      = 4       // spans of each size class
	nReservedMany  = 16      // of those in which long-lived objects abound
)

// Prepare has the runtime make, once in a process, what it makes of memory that
// it does not clear and never gives back, so that this is done while no row has
// been in memory: threads, which have stacks of their own; what describes
// goroutines; and spans for small objects. A span's last bytes, behind its last
// object, keep what was there before, for as long as one object in it lives. Who
// reads rows first and needs a long-lived object then finds a place in a clean
// span, most of the time.
//
// It takes a few milliseconds and 5 MiB, which later objects use.
func Prepare() { prepare() }

var prepare = sync.OnceFunc(func() {
	reserve()
	atOnce(nGoroutines, func() {})
	atOnce(nThreads, func() {
		runtime.LockOSThread() // until the goroutine ends, which would end the thread
	})
})

// atOnce runs n goroutines of which none ends before all have begun.
func atOnce(n int, fn func()) {
	var began, ended sync.WaitGroup
	began.Add(n)
	for range n {
		ended.Go(func() {
			fn()
			began.Done()
			began.Wait()
			runtime.UnlockOSThread()
		})
	}
	ended.Wait()
}

// anchors keep the reserved spans: two objects in each, or every one.
var anchors []unsafe.Pointer

func reserve() {
	const spanSize = 8 << 10 // of these classes, at least
	for _, size := range sizes {
		if size > reserveSizeMax {
			return
		}
		nSpans := nReserved
		if size >= 80 && size <= 208 {
			nSpans = nReservedMany
		}
		perSpan := spanSize / size
		for i := range perSpan * nSpans {
			a, b := bytesOf(size), pointersOf(size)
			if i%max(1, perSpan/2) == 0 {
				anchors = append(anchors, a, b)
			}
		}
	}
}
