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
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/byokdb/byokdb/internal/clock"
)

// ErrIncomplete means that the heap grew or was in use too much for every size
// class to be gone through, or that no goroutine could be preempted on some
// processor. Dead objects, or saved registers, may still be readable.
var ErrIncomplete = errors.New("the Go heap could not be scrubbed completely")

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
// run at a time, but for the end, when it overwrites saved registers by preempting
// goroutines on all processors. Who asks while a scrub is under way waits for the
// next one, with all others who do.
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
	nProcs := runtime.GOMAXPROCS(1)
	defer setProcs(nProcs)
	settle()
	runtime.GC()         // twice: what a sync.Pool holds survives one collection
	debug.FreeOSMemory() // collects too
	err := objects()
	moveStack()
	debug.FreeOSMemory() // what objects has made; stacks of goroutines that have ended
	if serr := stacks(); err == nil {
		err = serr
	}
	if serr := savedRegisters(nProcs); err == nil {
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
