package scrub

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// systemPageMin is the size in bytes of the system's smallest pages.
const systemPageMin = 4 << 10

// inMemory reports whether the system keeps anything of a page of the heap in
// memory: what it has back is read as zeros, and need not be touched.
func inMemory(page []byte) bool {
	var kept [heapPage / systemPageMin]byte // by system page, of which there may be fewer
	_, _, errno := unix.RawSyscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&page[0])), uintptr(len(page)), uintptr(unsafe.Pointer(&kept)))
	return errno != 0 || kept != [len(kept)]byte{}
}
