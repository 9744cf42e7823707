package scrub

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nThreadsMax bounds how many threads are visited.
const nThreadsMax = 10_000

// threads clears the signal stacks of idle threads. The kernel saves all
// registers there when a signal comes, those included that have just encrypted
// or copied something. A thread that is in a system call is not reached: it is
// sent a signal, so that what an earlier one has saved is overwritten by the
// registers of now. The signal is the one that the runtime itself uses all the
// time, and knows to come unasked.
func threads() {
	known := threadIDs() // no timer here: in a bubble of package synctest it may never fire
	if known == nil {
		return
	}
	release := make(chan struct{})
	var ended sync.WaitGroup
	visit := make(chan int)
	for range nThreadsMax {
		ended.Go(func() {
			runtime.LockOSThread()
			id := unix.Gettid()
			if !known[id] { // all others are taken: this one was made just now, and ends
				visit <- 0
				return
			}
			defer runtime.UnlockOSThread()
			clearRegisters()
			clearSignalStack()
			visit <- id
			<-release
		})
		id := <-visit
		if id == 0 {
			break
		}
		delete(known, id)
	}
	for id := range known {
		_ = unix.Tgkill(unix.Getpid(), id, unix.SIGURG) // it may have ended meanwhile
	}
	close(release)
	ended.Wait()
}

func threadIDs() map[int]bool {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	ids := map[int]bool{}
	for _, name := range names {
		n := 0
		for _, c := range []byte(name) {
			n = n*10 + int(c-'0')
		}
		ids[n] = true
	}
	return ids
}

// signalStack is the kernel's stack_t.
type signalStack struct {
	base  unsafe.Pointer
	flags int32
	size  uintptr
}

// clearSignalStack clears the stack on which this thread handles signals, as
// the kernel names it. The thread is handling none, and one that comes meanwhile
// is over before this goes on. The goroutine is locked to its thread.
func clearSignalStack() {
	var ss signalStack
	_, _, errno := unix.RawSyscall(unix.SYS_SIGALTSTACK, 0, uintptr(unsafe.Pointer(&ss)), 0)
	const disabled, onStack = 2, 1
	if errno != 0 || ss.flags&(disabled|onStack) != 0 || ss.base == nil || ss.size > 1<<20 {
		return
	}
	b := unsafe.Slice((*byte)(ss.base), ss.size)
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if !bytes.Equal(b[:n], zeros[:n]) { // a page that was never used stays that way
			clear(b[:n])
		}
		b = b[n:]
	}
}

var zeros [4096]byte

// nProcsMin is on how many of the runtime's processors goroutines are preempted,
// if there are not more. That there may be fewer in the machine does no harm: all
// but two goroutines sleep.
const nProcsMin = 9

// nap lets the thread sleep for a moment. The goroutine keeps its processor.
//
//go:noinline
func nap() {
	t := unix.Timespec{Nsec: 20_000}
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
	Stack() // who wants the processor stops the goroutine here
}
