package scrub

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSavedRegistersAreCleared preempts goroutines that have a marker in all
// vector registers, several at the same time.
func TestSavedRegistersAreCleared(t *testing.T) {
	if !inChild(t) {
		return
	}
	marker := newMarker(t)
	runtime.GC() // its goroutines keep the stacks that they get
	var stop atomic.Bool
	var begun atomic.Int64
	var copying sync.WaitGroup
	const nCopying = 6
	for range nCopying {
		copying.Go(func() {
			var from, to [256]byte
			stamp(from[:], marker)
			begun.Add(1)
			for !stop.Load() {
				move(to[:], from[:])
				for i := 0; i < 1000 && !stop.Load(); i++ { // to be preempted here
				}
			}
			clear(from[:]) // what is left of it is in registers
			clear(to[:])
			runtime.KeepAlive(&from)
			runtime.KeepAlive(&to)
		})
	}
	for begun.Load() < nCopying {
		runtime.Gosched()
	}
	stop.Store(true)
	copying.Wait()
	demand(t, marker, 30, 0)
}

// move copies 256 bytes, as many as go through all vector registers at once.
//
//go:noinline
func move(to, from []byte) { copy(to, from) }
