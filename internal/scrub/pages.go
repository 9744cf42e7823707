package scrub

import (
	"runtime"
	"strings"
	"unsafe"
)

// heapPage is the size in bytes of what the runtime's heap is made of.
const heapPage = 8 << 10

// pagesPerLook is how many pages are allocated between two looks at the heap.
const pagesPerLook = 64

// pages clears free pages that were not returned to the system. It is called
// behind debug.FreeOSMemory, which does not reach all: the runtime's scavenger,
// which works on its own all the time, takes 4 MiB for done when it finds no more
// pages below those that it has returned, whatever was freed above. So objects of
// one page each are allocated until nothing is free but what was returned.
//
// Source: scavengeOne and scavengeIndex in runtime/mgcscavenge.go of Go 1.26.
func (c *collector) pages() {
	for n := c.heap.HeapIdle / heapPage; n > 0 && c.heap.HeapIdle > c.heap.HeapReleased; n -= min(n, pagesPerLook) {
		for range pagesPerLook {
			if page := uncleared(heapPage); inMemory(page) {
				clear(page)
			}
		}
		runtime.ReadMemStats(&c.heap)
	}
}

// uncleared allocates n bytes as they are.
func uncleared(n int) []byte {
	var b strings.Builder
	b.Grow(n) // the only way to memory that the allocator does not clear
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}
