package scrub

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	_ "unsafe" // for linkname
)

// When the runtime preempts a goroutine amid its work, it saves the vector
// registers in a place of the processor's, and from there in a block outside the
// heap. The block goes with the goroutine, and is then kept by the processor that
// goes on with it. Neither is cleared; they are overwritten when they are used
// again. A register has 16 bytes at least: a short value, or half of a key.
//
// Source: runtime/preempt_xreg.go of Go 1.26.

// nTries is how often all processors are tried, where other goroutines are in the
// way.
const nTries = 16

// savedRegisters has the runtime overwrite what it has saved of vector registers
// on its n processors, and in nProcsMin blocks at least: a goroutine is preempted
// on each processor, and keeps it until all were.
func savedRegisters(n int) error {
	if raceDetector || strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff=1") {
		return nil
	}
	atOnce := max(1, min(n, runtime.NumCPU())-1) // one stops the others
	n = max(n, nProcsMin)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	visited := make([]atomic.Bool, n)
	for range nTries {
		p := preemption{n: int64(n), atOnce: int64(atOnce), visited: visited}
		if p.run(); all(visited) {
			return nil
		}
	}
	return ErrIncomplete
}

func all(flags []atomic.Bool) bool {
	for i := range flags {
		if !flags[i].Load() {
			return false
		}
	}
	return true
}

// preemption has n goroutines preempted in turns, by stopping the world. The last
// turn is the caller's.
type preemption struct {
	n, atOnce int64         // goroutines, in all and in each turn
	visited   []atomic.Bool // by processor: a goroutine was preempted there
	turn      atomic.Int64  // from 1 on
	nSpinning atomic.Int64  // goroutines whose turn it is or was
	stopped   atomic.Int64  // the last turn that is over
}

func (p *preemption) run() {
	last := (p.n-2)/p.atOnce + 2
	var ended sync.WaitGroup
	defer ended.Wait()
	for i := range p.n - 1 {
		ended.Go(func() {
			runtime.Gosched() // to the end of the queue that all processors serve
			p.await(i/p.atOnce + 1)
			p.spin(i/p.atOnce + 1)
			if i == 0 {
				p.await(last)
				p.stop(last, p.n)
			}
			p.await(last + 1)
		})
	}
	for turn := int64(1); turn < last; turn++ {
		p.turn.Store(turn)
		p.stop(turn, min(turn*p.atOnce, p.n-1))
	}
	p.turn.Store(last)
	p.spin(last)
	p.turn.Store(last + 1)
}

// await naps until it is somebody's turn.
func (p *preemption) await(turn int64) {
	for p.turn.Load() < turn {
		nap()
	}
}

// stop stops the world when n goroutines in all have begun to spin.
func (p *preemption) stop(turn, n int64) {
	for p.nSpinning.Load() < n {
		nap()
	}
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	p.stopped.Store(turn)
}

// spin waits in a loop without calls until the world was stopped: nothing but a
// preemption interrupts it.
func (p *preemption) spin(turn int64) {
	clearRegisters()
	if at := processor(); at < len(p.visited) {
		p.visited[at].Store(true)
	}
	p.nSpinning.Add(1)
	for p.stopped.Load() < turn {
		for i := 0; i < spinLength && p.stopped.Load() < turn; i++ { // it waits
		}
		Stack() // where the runtime cannot preempt a loop, the goroutine stops here
	}
}

// spinLength is how many rounds of an empty loop are certainly longer than it takes
// to be preempted: some 10 ms.
const spinLength = 1 << 24

// processor returns the index of the runtime's processor that the caller runs on.
func processor() int {
	defer unpin()
	return pin()
}

//go:linkname pin runtime.procPin
func pin() int

//go:linkname unpin runtime.procUnpin
func unpin()
