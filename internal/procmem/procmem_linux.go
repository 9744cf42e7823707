// Package procmem searches the memory of the running process, for tests that
// show that something was wiped.
package procmem

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/byokdb/byokdb/internal/offheap"
)

// Masked is a needle in a form in which it does not find itself.
type Masked []byte

const mask = 0xa5

// Mask copies and masks b.
func Mask(b []byte) Masked {
	m := make(Masked, len(b))
	for i, c := range b {
		m[i] = c ^ mask
	}
	return m
}

// windowSize is how much is read at once, in bytes.
const windowSize = 4 << 20

// Count returns how often each needle occurs in the readable memory of this
// process, the search's own buffer left out. A needle has 1 B to 4 KiB. Memory
// that the kernel does not show, such as memfd_secret, counts as empty.
func Count(needles ...Masked) ([]int, error) {
	longest := 0
	for _, n := range needles {
		longest = max(longest, len(n))
	}
	if longest == 0 || longest > 4096 {
		return nil, errors.New("procmem: needles have 1 B to 4 KiB")
	}
	window, err := offheap.Alloc(windowSize)
	if err != nil {
		return nil, err
	}
	defer func() { _ = offheap.Free(window) }()
	own := uint64(uintptr(unsafe.Pointer(unsafe.SliceData(window))))
	ranges, err := mappings(own, windowSize)
	if err != nil {
		return nil, err
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return nil, err
	}
	defer func() { _ = mem.Close() }()
	counts := make([]int, len(needles))
	var nRead int64
	for _, r := range ranges {
		for at := r[0]; at < r[1]; {
			n := int(min(windowSize, r[1]-at))
			got, _ := mem.ReadAt(window[:n], int64(at))
			nRead += int64(got)
			for i, m := range needles {
				counts[i] += occurrences(window[:got], m)
			}
			if got < n || at+uint64(n) == r[1] {
				break
			}
			at += uint64(n - longest + 1)
		}
	}
	if nRead == 0 {
		return nil, errors.New("procmem: nothing could be read")
	}
	return counts, nil
}

// occurrences counts m, unmasked, in b. One that ends a window may be counted
// twice. It compares bytes one by one: no vector register gets to hold what is
// searched for, which the runtime would save when it preempts the search.
func occurrences(b []byte, m Masked) (n int) {
	first := m[0] ^ mask
	for i := 0; i+len(m) <= len(b); i++ {
		if first != 0 && i+8 <= len(b) && binary.LittleEndian.Uint64(b[i:]) == 0 { // most memory
			i += 7
			continue
		}
		if b[i] != first {
			continue
		}
		j := 1
		for j < len(m) && b[i+j]^mask == m[j] {
			j++
		}
		if j == len(m) {
			n++
		}
	}
	return n
}

// mappings returns the readable address ranges, the search's own cut out.
func mappings(own, size uint64) ([][2]uint64, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var out [][2]uint64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var from, to uint64
		var perm string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &perm); err != nil {
			return nil, fmt.Errorf("parse maps: %w", err)
		}
		if perm[0] != 'r' || strings.Contains(lines.Text(), "[v") {
			continue
		}
		if from <= own && own < to { // may be merged with a neighbour
			out = append(out, [2]uint64{from, own})
			from = min(to, own+size)
		}
		out = append(out, [2]uint64{from, to})
	}
	return out, lines.Err()
}
