//go:build memtest_spans

package main

import (
	"fmt"
	"strings"
	"unsafe"
)

// This file looks an address up in the runtime's own tables, of Go 1.26, so
// that the test can tell what kind of memory it is. It needs
// -ldflags=-checklinkname=0 and is in no other build.

// span is the beginning of runtime.mspan.
type span struct {
	_                [3]uintptr
	start, nPages    uintptr
	_                uintptr
	_, nObjects, _   uint16
	_                uint64
	_                [3]uintptr
	_, _             uint32
	nAllocated       uint16
	class, state     uint8
	_                uint8
	_                bool
	_                uint16
	objectSize, last uintptr
}

// goroutine is the beginning of runtime.g.
type goroutine struct {
	low, high uintptr
	_         [5]uintptr
	sp, pc    uintptr
}

//go:linkname spanOf runtime.spanOf
func spanOf(address uintptr) *span

//go:linkname allGoroutines runtime.allgs
var allGoroutines []*goroutine

const (
	spanDead = iota
	spanInUse
	spanManual

	pageSize        = 8 << 10
	signalStackSize = 32 << 10
)

// The runtime leaves 32 bytes free at the upper end of each stack.
const (
	stackSizeMin = 2048
	stackTop     = 32
)

func init() { whatIs = describe }

// describe returns tail for memory behind the last object of a span, rest for
// bytes of a slot that no object in it needs to cover (the runtime clears no more
// of a slot than the object takes, and nothing for a string; nor does the scrub
// while the object lives), parked for
// the unused part of a stack, top for its upper end, signal for the stacks on
// which threads handle signals, freed for pages that are free (the scrub has
// cleared those that were: somebody had them at the time), ended for the other
// stacks, nearly always of goroutines that have ended behind the scrub, which
// clears those that are free, and else reached; with the details behind it.
func describe(addresses string) string {
	var out []string
	for _, word := range strings.Fields(addresses) {
		var a uintptr
		if _, err := fmt.Sscanf(word, "%v", &a); err != nil {
			return "failed: " + err.Error()
		}
		out = append(out, kindOf(a))
	}
	return strings.Join(out, "\t")
}

func kindOf(a uintptr) string {
	s := spanOf(a)
	if s == nil {
		return "reached: no span"
	}
	kind := "reached"
	switch {
	case s.state == spanDead || a >= s.start+s.nPages*pageSize:
		kind = "freed"
	case s.state == spanManual && s.objectSize == signalStackSize && s.nAllocated == 0:
		kind = "signal"
	case s.state == spanManual && (a-s.start)%stackSizeMin >= stackSizeMin-stackTop:
		kind = "top"
	}
	if s.state == spanInUse && s.objectSize > 0 {
		switch {
		case (a-s.start)/s.objectSize >= uintptr(s.nObjects):
			kind = "tail"
		case (a-s.start)%s.objectSize >= classBelow(s.objectSize):
			kind = "rest"
		}
	}
	if kind == "reached" && s.state == spanManual {
		kind = "ended"
	}
	for _, g := range allGoroutines {
		if g.low <= a && a < g.high && a < g.sp && uintptr(unsafe.Pointer(&s)) != g.sp {
			kind = "parked"
		}
	}
	return fmt.Sprintf("%s: state %d, class %d, objects of %d B, %d of %d, offset %d", kind, s.state, s.class, s.objectSize, s.nAllocated, s.nObjects, a-s.start)
}

// classBelow returns the size of the class of objects that comes before the one
// of the given size: what is in a slot is larger than that.
func classBelow(size uintptr) uintptr {
	for n := size - 1; n > 0; n-- {
		if c := uintptr(cap(append([]byte(nil), make([]byte, n)...))); c < size {
			return c
		}
	}
	return 0
}
