package exec

// spill writes the rows in memory to a file as one sorted run. With a limit
// every run has no more rows than that: the rows that are wanted are the first
// ones of all runs.
func (it *sortIter) spill() error {
	if it.files == nil {
		it.files = &merger{f: it.f, width: len(it.n.save), order: it.list.compare}
	}
	it.sort()
	run := it.files.begin(0)
	for i := range it.list.rows {
		if err := run.add(it.list.get(i)); err != nil {
			return err
		}
	}
	it.list.clear()
	it.f.shrink(it.mem)
	it.mem = 0
	return it.files.end(run, 0)
}

// nextMerged is next when there are files.
func (it *sortIter) nextMerged() (bool, error) {
	row, err := it.files.next()
	for ; err == nil && row != nil && it.n.unique; row, err = it.files.next() {
		if it.last == nil || it.list.compare(it.last, row) != 0 {
			it.last = append(it.last[:0], row...)
			break
		}
	}
	if err != nil || row == nil {
		return false, err
	}
	for i, s := range it.n.save {
		it.f.regs[s] = row[i]
	}
	return true, nil
}
