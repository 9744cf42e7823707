package scrub

import (
	"testing"
	"unsafe"
)

func TestReach(t *testing.T) {
	for _, size := range stackSizes {
		done := make(chan uintptr)
		go func() {
			clearStack(size)
			var here byte
			top := (uintptr(unsafe.Pointer(&here)) + 2047) &^ 2047
			done <- lowest - (top - uintptr(size))
		}()
		t.Log(size, <-done)
	}
}
