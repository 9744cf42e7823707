package scrub

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func BenchmarkHeapLarge(b *testing.B) {
	var keep [][]byte
	for range 2 << 30 / 1024 {
		keep = append(keep, make([]byte, 1024))
	}
	for b.Loop() {
		if err := Heap(); err != nil {
			b.Fatal(err)
		}
	}
	runtime.KeepAlive(keep)
}

// TestRounds has many ask for a scrub at the same time: few are done.
func TestRounds(t *testing.T) {
	const n = 1000
	began := nRounds.Load()
	var ready, done sync.WaitGroup
	var failed atomic.Int64
	release := make(chan struct{})
	ready.Add(n)
	for range n {
		done.Go(func() {
			ready.Done()
			<-release
			if Heap() != nil {
				failed.Add(1)
			}
		})
	}
	ready.Wait()
	close(release)
	done.Wait()
	if got := nRounds.Load() - began; got < 1 || got > 10 || failed.Load() != 0 {
		t.Errorf("%d scrubs served %d who asked at the same time; %d failed", got, n, failed.Load())
	}
}
