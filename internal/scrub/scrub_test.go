package scrub

import (
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
