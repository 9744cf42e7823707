//go:build memdebug

package main

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

type mspan struct {
	next, prev, list  uintptr
	startAddr, npages uintptr
	manualFreeList    uintptr
	freeindex, nelems uint16
	freeIndexForScan  uint16
	allocCache        uint64
	allocBits         *byte
	gcmarkBits        *byte
	pinnerBits        *byte
	sweepgen, divMul  uint32
	allocCount        uint16
	spanclass, state  uint8
	needzero          uint8
	ua                bool
	acbc              uint16
	elemsize, limit   uintptr
}

//go:linkname spanOf runtime.spanOf
func spanOf(p uintptr) *mspan

type g struct {
	lo, hi, sg0, sg1, pan, def, m uintptr
	sp, pc                        uintptr
}

//go:linkname allgs runtime.allgs
var allgs []*g

//go:linkname allm runtime.allm
var allm uintptr

func init() { debug = describe }

func describe(arg string) string {
	var out []string
	for _, f := range strings.Fields(arg) {
		var a uintptr
		fmt.Sscanf(f, "0x%x", &a)
		s := spanOf(a)
		if s == nil {
			out = append(out, f+" no span")
			continue
		}
		d := fmt.Sprintf("%s state=%d size=%d class=%d noscan=%v pages=%d off=%d count=%d/%d", f, s.state, s.elemsize, s.spanclass>>1, s.spanclass&1 == 1, s.npages, a-s.startAddr, s.allocCount, s.nelems)
		if s.state == 1 && s.elemsize > 0 {
			i := (a - s.startAddr) / s.elemsize
			if i >= uintptr(s.nelems) {
				d += " TAIL"
			} else {
				bit := (*(*byte)(unsafe.Add(unsafe.Pointer(s.allocBits), i/8)) >> (i % 8)) & 1
				d += fmt.Sprintf(" obj=%d allocbit=%d freeindex=%d", i, bit, s.freeindex)
			}
		}
		for i, gp := range allgs {
			if gp.lo <= a && a < gp.hi {
				fn := runtime.FuncForPC(gp.pc)
				n := ""
				if fn != nil {
					n = fn.Name()
				}
				d += fmt.Sprintf(" STACK of g[%d] %#x-%#x sp=%#x below=%v pc=%s", i, gp.lo, gp.hi, gp.sp, a < gp.sp, n)
			}
		}
		// ms
		out = append(out, d)
	}
	return strings.Join(out, "\t")
}
