package exec

import (
	"container/heap"
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// Limits of how many runs are merged at once.
const (
	fanInMin = 2
	fanInMax = 64
)

// merger sorts more rows than fit into memory: it takes sorted runs, writes them
// to temporary files, and merges them. Rows that sort alike stay in the order of
// the runs and within them.
//
// The runs of a level lie in one file. When there are as many as can be merged
// at once they become one of the next level, and their file is removed.
type merger struct {
	f      *frame
	width  int // values in a row
	order  func(a, b []value.Value) int
	levels []mergeLevel
	heads  mergeHeap
	last   *runReader // whose row was given last
}

type mergeLevel struct {
	file *spillFile
	runs []*spillRun
}

// begin returns the next run, to be filled and given to end.
func (m *merger) begin(level int) *spillRun {
	if level == len(m.levels) {
		m.levels = append(m.levels, mergeLevel{})
	}
	l := &m.levels[level]
	if l.file == nil {
		l.file = &spillFile{f: m.f}
	}
	return &spillRun{file: l.file}
}

// end takes a run that is complete.
func (m *merger) end(run *spillRun, level int) error {
	if err := run.flush(); err != nil {
		return err
	}
	l := &m.levels[level]
	l.runs = append(l.runs, run)
	if len(l.runs) < m.fanIn(l.runs) {
		return nil
	}
	into := m.begin(level + 1)
	l = &m.levels[level] // it may have moved
	if err := m.open(l.runs); err != nil {
		return err
	}
	for {
		row, err := m.next()
		if err != nil {
			return err
		}
		if row == nil {
			break
		}
		if err := into.add(row); err != nil {
			return err
		}
	}
	m.closeHeads()
	l.file.close()
	l.file, l.runs = nil, nil
	return m.end(into, level+1)
}

// fanIn is how many runs are merged at once: a block of each is in memory.
func (m *merger) fanIn(runs []*spillRun) int {
	largest := spillBlock
	for _, r := range runs {
		largest = max(largest, r.largest)
	}
	return int(min(max(m.f.s.memory/8/int64(largest), fanInMin), fanInMax))
}

// merge begins to give all rows.
func (m *merger) merge() error {
	var runs []*spillRun
	for _, l := range slices.Backward(m.levels) { // the oldest rows are in the highest level
		runs = append(runs, l.runs...)
	}
	return m.open(runs)
}

func (m *merger) open(runs []*spillRun) error {
	m.heads = mergeHeap{order: m.order}
	m.last = nil
	for i, run := range runs {
		r := newRunReader(run, m.width)
		m.heads.list = append(m.heads.list, mergeHead{r, i})
	}
	at := 0
	for i, h := range m.heads.list {
		ok, err := h.read()
		if err != nil {
			return err
		}
		if !ok {
			h.close()
			continue
		}
		m.heads.list[at], m.heads.list[i] = h, m.heads.list[at]
		at++
	}
	clear(m.heads.list[at:])
	m.heads.list = m.heads.list[:at]
	slices.SortFunc(m.heads.list, m.heads.compare) // which is a heap
	return nil
}

// next returns the next row, nil after the last. The row is valid until the next
// call, its values are for ever.
func (m *merger) next() ([]value.Value, error) {
	h := &m.heads
	if m.last != nil {
		ok, err := m.last.read()
		if err != nil {
			return nil, err
		}
		if ok {
			heap.Fix(h, 0)
		} else {
			m.last.close()
			heap.Pop(h)
		}
		m.last = nil
	}
	if len(h.list) == 0 {
		return nil, nil
	}
	if err := m.f.tick(); err != nil {
		return nil, err
	}
	m.last = h.list[0].runReader
	return m.last.row, nil
}

func (m *merger) closeHeads() {
	for _, h := range m.heads.list {
		h.close()
	}
	m.heads.list, m.last = nil, nil
}

// close removes the files.
func (m *merger) close() {
	if m == nil {
		return
	}
	m.closeHeads()
	for _, l := range m.levels {
		l.file.close()
	}
	m.levels = nil
}

// mergeHead is a run that is merged; age is less in older ones.
type mergeHead struct {
	*runReader
	age int
}

// mergeHeap has the run with the least row on top.
type mergeHeap struct {
	list  []mergeHead
	order func(a, b []value.Value) int
}

func (h *mergeHeap) compare(a, b mergeHead) int {
	if o := h.order(a.row, b.row); o != 0 {
		return o
	}
	return a.age - b.age
}

func (h *mergeHeap) Len() int           { return len(h.list) }
func (h *mergeHeap) Less(i, j int) bool { return h.compare(h.list[i], h.list[j]) < 0 }
func (h *mergeHeap) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *mergeHeap) Push(any)           {}
func (h *mergeHeap) Pop() any {
	last := len(h.list) - 1
	h.list[last] = mergeHead{}
	h.list = h.list[:last]
	return nil
}
