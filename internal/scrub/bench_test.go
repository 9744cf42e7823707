package scrub

import "testing"

func BenchmarkHeap(b *testing.B) {
	for b.Loop() {
		if err := Heap(); err != nil {
			b.Fatal(err)
		}
	}
}
