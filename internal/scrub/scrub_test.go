package scrub

import (
	"runtime"
	"testing"
)

// TestSizes asks the allocator which classes there are: the capacity of an
// appended slice is its class.
func TestSizes(t *testing.T) {
	listed := map[int]bool{}
	for _, n := range sizes {
		listed[n] = true
	}
	seen := map[int]bool{}
	for n := 1; n <= 32768; n++ {
		c := cap(append([]byte(nil), make([]byte, n)...))
		if seen[c] = true; !listed[c] {
			t.Fatalf("the allocator has a size class of %d B that is not listed", c)
		}
	}
	for _, n := range sizes {
		if !seen[n] {
			t.Errorf("%d B is listed, and no size class", n)
		}
	}
}

// TestProcessorsStay scrubs with the default number of processors and others.
func TestProcessorsStay(t *testing.T) {
	n := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(n) })
	for _, want := range []int{n, n + 1, 1} {
		runtime.GOMAXPROCS(want)
		if err := Heap(); err != nil {
			t.Fatal(err)
		}
		if got := runtime.GOMAXPROCS(0); got != want {
			t.Errorf("GOMAXPROCS was %d and is %d", want, got)
		}
	}
}
