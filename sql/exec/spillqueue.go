package exec

import (
	"container/heap"
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// rowQueue gives the least of its rows next, while others are added. Rows that do
// not fit into memory are in sorted runs, each in a file of its own, of which a
// block is in memory. order never says that two rows are the same.
//
// When there are queueFanIn runs of a level, what is left of them becomes one of
// the next. It is not used within an operation of the transaction.
type rowQueue struct {
	f     *frame
	order func(a, b []value.Value) int
	rows  rowHeap // in memory
	mem   int64   // of rows
	runs  []*queueRun
}

const (
	queueFanIn = 8
	queueBlock = 8 << 10 // bytes
)

// queueRun is a run with its next row in reader.row.
type queueRun struct {
	reader *runReader
	level  int
}

func newRowQueue(f *frame, order func(a, b []value.Value) int) *rowQueue {
	return &rowQueue{f: f, order: order, rows: rowHeap{order: order}}
}

// push takes a row, which is the queue's from then on.
func (q *rowQueue) push(row []value.Value) error {
	heap.Push(&q.rows, row)
	n := rowSize(row)
	q.mem += n
	if q.f.keep(n, q.mem) {
		return q.spill()
	}
	return nil
}

// pop returns the least row and removes it; nil: there is none. It is the
// caller's.
func (q *rowQueue) pop() ([]value.Value, error) {
	least := -1 // in memory
	var row []value.Value
	if len(q.rows.list) > 0 {
		row = q.rows.list[0]
	}
	for i, run := range q.runs {
		if row == nil || q.order(run.reader.row, row) < 0 {
			least, row = i, run.reader.row
		}
	}
	if row == nil {
		return nil, nil
	}
	if least < 0 {
		heap.Pop(&q.rows)
		n := rowSize(row)
		q.mem -= n
		q.f.release(n)
		return row, nil
	}
	row = slices.Clone(row)
	run := q.runs[least]
	ok, err := run.reader.read()
	if err == nil && !ok {
		run.close()
		q.runs = slices.Delete(q.runs, least, least+1)
	}
	return row, err
}

// spill writes the rows in memory as a run.
func (q *rowQueue) spill() error {
	slices.SortFunc(q.rows.list, q.order)
	run := q.newRun()
	for _, row := range q.rows.list {
		if err := run.add(row); err != nil {
			run.file.close()
			return err
		}
	}
	width := len(q.rows.list[0])
	clear(q.rows.list)
	q.rows.list = q.rows.list[:0]
	q.f.shrink(q.mem)
	q.mem = 0
	if err := q.put(run, width, 0); err != nil {
		return err
	}
	for {
		from := len(q.runs) - queueFanIn
		if from < 0 || q.runs[from].level != q.runs[len(q.runs)-1].level {
			return nil
		}
		if err := q.merge(from, width); err != nil {
			return err
		}
	}
}

func (q *rowQueue) newRun() *spillRun {
	return &spillRun{file: &spillFile{f: q.f, size: queueBlock}}
}

// put takes a run that is complete, and is not empty.
func (q *rowQueue) put(run *spillRun, width, level int) error {
	err := run.flush()
	r := newRunReader(run, width)
	if err == nil {
		run.file.written()
		_, err = r.read()
	}
	q.runs = append(q.runs, &queueRun{r, level})
	return err
}

// merge makes one run of what is left of those from i on.
func (q *rowQueue) merge(i, width int) error {
	old := slices.Clone(q.runs[i:])
	level := old[len(old)-1].level + 1
	into := q.newRun()
	heads := mergeHeap{order: q.order}
	for age, run := range old {
		heads.list = append(heads.list, mergeHead{run.reader, age})
	}
	slices.SortFunc(heads.list, heads.compare) // which is a heap
	for len(heads.list) > 0 {
		r := heads.list[0].runReader
		err := into.add(r.row)
		ok := false
		if err == nil {
			ok, err = r.read()
		}
		if err == nil {
			err = q.f.tick()
		}
		if err != nil {
			into.file.close()
			return err
		}
		if ok {
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
	for _, run := range old {
		run.close()
	}
	clear(q.runs[i:])
	q.runs = q.runs[:i]
	return q.put(into, width, level)
}

// close drops the rows and removes the files.
func (q *rowQueue) close() {
	if q == nil {
		return
	}
	clear(q.rows.list)
	q.rows.list = nil
	q.f.shrink(q.mem)
	q.mem = 0
	for _, run := range q.runs {
		run.close()
	}
	q.runs = nil
}

func (r *queueRun) close() {
	r.reader.close()
	r.reader.run.file.close()
}

// rowHeap has the least row on top.
type rowHeap struct {
	list  [][]value.Value
	order func(a, b []value.Value) int
}

func (h *rowHeap) Len() int           { return len(h.list) }
func (h *rowHeap) Less(i, j int) bool { return h.order(h.list[i], h.list[j]) < 0 }
func (h *rowHeap) Swap(i, j int)      { h.list[i], h.list[j] = h.list[j], h.list[i] }

func (h *rowHeap) Push(x any) {
	if row, ok := x.([]value.Value); ok { // nothing else is pushed
		h.list = append(h.list, row)
	}
}

func (h *rowHeap) Pop() any {
	last := len(h.list) - 1
	h.list[last] = nil
	h.list = h.list[:last]
	return nil
}
