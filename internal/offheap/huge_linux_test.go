package offheap

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// TestHugeAsksForWholePages looks at what the system notes of the memory: the
// advice lies on whole huge pages and nowhere else, and the memory is as good as
// before.
func TestHugeAsksForWholePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no huge pages for this:", err)
	}
	b, err := Alloc(6 * HugeSize)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4 << 10
	Huge(b[:HugeSize-page]) // holds no whole one
	if advised := advisedWithin(t, b); len(advised) > 0 {
		t.Errorf("advice without a whole page: %v", advised)
	}
	Huge(b[page:])
	advised := advisedWithin(t, b)
	if len(advised) != 1 {
		t.Fatalf("advice on %v", advised)
	}
	first, last := advised[0][0], advised[0][1]
	if first%HugeSize != 0 || last%HugeSize != 0 || last-first < 4*HugeSize {
		t.Errorf("advice from %#x to %#x", first, last)
	}
	for i := 0; i < len(b); i += page {
		if b[i] != 0 {
			t.Fatalf("byte %d is not zero", i)
		}
		b[i] = 1
	}
	Discard(b)
	for i := range b {
		if b[i] != 0 {
			t.Fatalf("byte %d is left", i)
		}
	}
	if err := Free(b); err != nil {
		t.Error(err)
	}
}

// advisedWithin returns the mappings within b that have the advice.
func advisedWithin(t *testing.T, b []byte) (advised [][2]uintptr) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	from := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	var at [2]uintptr
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		var lo, hi uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &lo, &hi); n == 2 {
			at = [2]uintptr{lo, hi}
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && strings.Contains(flags+" ", " hg ") &&
			at[0] >= from && at[1] <= from+uintptr(len(b)) {
			advised = append(advised, at)
		}
	}
	return advised
}
