package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// spill writes the rows in memory to a file as one sorted run. With a limit
// every run has no more rows than that: the rows that are wanted are the first
// ones of all runs.
func (it *sortIter) spill() error {
	if it.files == nil {
		it.files = &merger{f: it.f, width: len(it.n.save), order: it.orderValues}
	}
	slices.SortFunc(it.rows, it.order)
	run := it.files.begin(0)
	for i := range it.rows {
		if err := run.add(it.rows[i].vals); err != nil {
			return err
		}
	}
	clear(it.rows)
	it.rows = it.rows[:0]
	it.f.shrink(it.mem)
	it.mem = 0
	return it.files.end(run, 0)
}

// orderValues orders saved rows. Rows of different runs that sort alike are in
// the order of the runs.
func (it *sortIter) orderValues(a, b []value.Value) int {
	for i := range it.n.keys {
		if o := it.n.keys[i].order(a[it.keys[i]], b[it.keys[i]]); o != 0 {
			return o
		}
	}
	return 0
}

// nextMerged is next when there are files.
func (it *sortIter) nextMerged() (bool, error) {
	row, err := it.files.next()
	if err != nil || row == nil {
		return false, err
	}
	for i, s := range it.n.save {
		it.f.regs[s] = row[i]
	}
	return true, nil
}
