package procmem

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A Hit is one place at which a needle stands.
type Hit struct {
	Needle  int // its index
	Address uint64
	Mapping string // the line of /proc/PID/maps
}

// A Finding is what a search of another process has found.
type Finding struct {
	Counts []int // by needle
	Hits   []Hit // the first hitsMax of them
	NRead  int64 // bytes that were searched
	NDark  int64 // bytes of mappings that the kernel did not show
}

const hitsMax = 4096

// Search returns where in the memory of process pid the needles stand, each of
// 8 B to 4 KiB and not beginning with a zero. Every readable mapping is searched; memory that the kernel does
// not show, such as memfd_secret, is counted as dark. The process should be
// stopped meanwhile, and must be one that this process may trace.
func Search(pid int, needles [][]byte) (*Finding, error) {
	m, err := newMatcher(needles)
	if err != nil {
		return nil, err
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer func() { _ = mem.Close() }()
	out := &Finding{Counts: make([]int, len(needles))}
	window := make([]byte, windowSize+m.longest)
	for line := range strings.Lines(string(maps)) {
		line = strings.TrimSuffix(line, "\n")
		var from, to uint64
		var perm string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perm); err != nil {
			return nil, fmt.Errorf("parse maps: %w", err)
		}
		if perm[0] != 'r' || strings.Contains(line, "[v") {
			continue
		}
		kept := 0 // bytes of the window before at, which a needle may begin in
		for at := from; at < to; {
			n := int(min(windowSize, to-at))
			got, _ := mem.ReadAt(window[kept:kept+n], int64(at))
			out.NRead += int64(got)
			text := window[:kept+got]
			m.find(text, kept, func(needle, i int) {
				out.Counts[needle]++
				if len(out.Hits) < hitsMax {
					out.Hits = append(out.Hits, Hit{Needle: needle, Address: at - uint64(kept) + uint64(i), Mapping: line})
				}
			})
			at += uint64(got)
			if got < n { // one page is not shown: go on behind it
				next := min((at|(pageSize-1))+1, to)
				out.NDark += int64(next - at)
				at, kept = next, 0
				continue
			}
			tail := min(len(text), m.longest-1)
			kept = copy(window, text[len(text)-tail:])
		}
	}
	if out.NRead == 0 {
		return nil, errors.New("procmem: nothing could be read")
	}
	return out, nil
}

const (
	pageSize  = 4096
	needleMin = 8 // bytes
)

// A matcher looks for many needles in one pass: a bit for a hash of four bytes
// says where it is worth to look.
type matcher struct {
	filter  [1 << (hashBits - 6)]uint64
	byHash  map[uint32][]int
	needles [][]byte
	longest int
}

const hashBits = 18

func hash4(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) * 0x9e3779b1 >> (32 - hashBits)
}

func newMatcher(needles [][]byte) (*matcher, error) {
	m := &matcher{byHash: map[uint32][]int{}, needles: needles}
	for i, n := range needles {
		if len(n) < needleMin || len(n) > 4096 || n[0] == 0 {
			return nil, errors.New("procmem: needles have 8 B to 4 KiB and do not begin with a zero")
		}
		m.longest = max(m.longest, len(n))
		h := hash4(n)
		m.filter[h>>6] |= 1 << (h & 63)
		m.byHash[h] = append(m.byHash[h], i)
	}
	if len(needles) == 0 {
		return nil, errors.New("procmem: no needles")
	}
	return m, nil
}

// find calls hit for every needle in text that does not end within its first
// seen bytes: those were found before.
func (m *matcher) find(text []byte, seen int, hit func(needle, i int)) {
	for i := 0; i+needleMin <= len(text); i++ {
		if binary.LittleEndian.Uint64(text[i:]) == 0 { // most memory; no needle begins there
			i += 7
			continue
		}
		h := hash4(text[i:])
		if m.filter[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for _, n := range m.byHash[h] {
			if bytes.HasPrefix(text[i:], m.needles[n]) && i+len(m.needles[n]) > seen {
				hit(n, i)
			}
		}
	}
}
