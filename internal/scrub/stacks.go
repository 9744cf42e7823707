package scrub

import (
	"runtime"
	"sync"
	"unsafe"
)

// The runtime keeps free stacks of these sizes, in bytes, for goroutines to
// come, and clears none. Larger ones go back to the heap with every collection.
var stackSizes = [...]int{2 << 10, 4 << 10, 8 << 10, 16 << 10}

const (
	stackSpanSize  = 32 << 10 // what the runtime cuts stacks from
	stackChunkSize = 256 << 10
	nStackChunks   = 64 // of one size; 32 MiB of stacks

	// stackGuard is the part at the lower end of a stack that only functions
	// without a check may use. Source: internal/abi/stack.go of Go 1.26.
	stackGuard = 928
)

// stacks clears free stacks: it starts so many goroutines at the same time that
// the runtime has to make new stacks, each of which clears its own. Were a size
// or the guard another one, stacks would grow, and some bytes stay as they are.
func stacks() error {
	if raceDetector {
		return nil
	}
	var err error
	for _, size := range stackSizes {
		if !occupy(size) {
			err = ErrIncomplete
		}
	}
	return err
}

// nFresh is how many chunks of stacks must come from fresh memory, one after the
// other: who starts goroutines meanwhile may make it look so once.
const nFresh = 2

// occupy starts goroutines with stacks of one size until whole chunks of them
// came from fresh memory.
func occupy(size int) (complete bool) {
	perChunk := stackChunkSize / size
	release := make(chan struct{})
	var ended sync.WaitGroup
	defer ended.Wait()
	defer close(release)
	var before, after runtime.MemStats
	fresh := 0
	for range nStackChunks {
		var ready sync.WaitGroup
		runtime.ReadMemStats(&before)
		for range perChunk {
			ready.Add(1)
			ended.Go(func() {
				clearStack(size)
				ready.Done()
				<-release
			})
		}
		ready.Wait()
		runtime.ReadMemStats(&after)
		if after.StackInuse < before.StackInuse+uint64(perChunk*size)-stackSpanSize {
			fresh = 0
		} else if fresh++; fresh == nFresh {
			return true
		}
	}
	return false
}

// Stack clears some 4 KiB of the calling goroutine's stack below its caller: what
// functions that have returned left there. Called before as well, it keeps the
// stack from growing, and from being left behind, in between.
//
//go:noinline
func Stack() {
	var b [4 << 10]byte
	runtime.KeepAlive(&b)
}

// moveStack has the calling goroutine go on with another stack, if its own is
// not larger than 64 KiB: that may lie on pages which were not clear when it was
// made. The old one is then free memory.
//
//go:noinline
func moveStack() {
	var b [72 << 10]byte
	runtime.KeepAlive(&b)
}

// clearStack makes the stack of the calling goroutine as large as size, and
// clears all of it that is not in use. The caller is the goroutine's own
// function, on a stack of the smallest size.
func clearStack(size int) {
	switch size {
	case 4 << 10:
		grow2000()
	case 8 << 10:
		grow4500()
	case 16 << 10:
		grow9000()
	}
	var here byte
	top := (uintptr(unsafe.Pointer(&here)) + 2047) &^ 2047 // every stack ends at such an address
	guard := top - uintptr(size) + stackGuard
	runtime.KeepAlive(&here)
	descend(guard)
}

// What follows clears stack by using it: local variables are zeroed. The
// addresses only tell when to stop; a wrong one makes the stack grow.

//go:noinline
func grow2000() {
	var b [2000]byte
	runtime.KeepAlive(&b)
}

//go:noinline
func grow4500() {
	var b [4500]byte
	runtime.KeepAlive(&b)
}

//go:noinline
func grow9000() {
	var b [9000]byte
	runtime.KeepAlive(&b)
}

// Sizes of frames in bytes, the return address included, rounded up.
const (
	descendFrame = 192
	stepFrame    = 48
	halfStep     = 16
)

// descend goes down to the guard in frames of zeros.
//
//go:noinline
func descend(guard uintptr) {
	var b [96]byte
	if uintptr(unsafe.Pointer(&b)) > guard+2*descendFrame {
		descend(guard)
	} else {
		step(guard)
	}
	runtime.KeepAlive(&b)
}

// step goes on in small frames.
//
//go:noinline
func step(guard uintptr) {
	var b [8]byte
	switch at := uintptr(unsafe.Pointer(&b)); {
	case at > guard+stepFrame:
		step(guard)
	case at > guard+stepFrame-halfStep:
		stepHalf()
	default:
		enterGuard()
	}
	runtime.KeepAlive(&b)
}

// stepHalf is a frame without variables.
//
//go:noinline
func stepHalf() { enterGuard() }

// enterGuard has the largest frame that may lie within the guard.
//
//go:noinline
func enterGuard() {
	var b [112]byte
	clearGuard()
	runtime.KeepAlive(&b)
}

// clearGuard clears nearly all that is left: some 30 bytes are not reached.
//
//go:nosplit
//go:noinline
func clearGuard() {
	var b [784]byte
	runtime.KeepAlive(&b)
}
