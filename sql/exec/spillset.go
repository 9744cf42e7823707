package exec

import "github.com/byokdb/byokdb/sql/value"

// What DISTINCT, EXCEPT and INTERSECT do when their keys do not fit into memory:
// rows are sorted by their keys, compared, and sorted back into the order in
// which they came.

// nextSpilled is next after seen is full: the rows that have been given are in
// seen, and what is not goes through two sorts.
func (it *distinctIter) nextSpilled() (bool, error) {
	if it.rest == nil {
		if err := it.sortRest(); err != nil {
			return false, err
		}
	}
	row, err := it.rest.next()
	if err != nil || row == nil {
		return false, err
	}
	loadKeyed(it.f, row, it.n.save)
	return true, nil
}

// sortRest makes rest: the first row of each key that is not in seen.
func (it *distinctIter) sortRest() error {
	all := newRowSorter(it.f, byKey)
	defer all.close()
	err := numbered(it.f, it.in, func(number int64) error {
		it.f.key = rowKey(it.f.key[:0], it.f.regs, it.n.slots, it.n.colls)
		if _, ok := it.seen[string(it.f.key)]; ok {
			return nil
		}
		return all.add(keyed(it.f, it.f.key, number, it.n.save))
	})
	if err != nil {
		return err
	}
	it.forget()
	it.rest = newRowSorter(it.f, byNumber)
	return firstOfEach(all, it.rest)
}

// numbered calls fn for each row that is left of in, with the number with which it
// comes.
func numbered(f *frame, in iter, fn func(number int64) error) error {
	for number := int64(0); ; number++ {
		ok, err := in.next()
		if err != nil || !ok {
			return err
		}
		if err := f.tick(); err != nil {
			return err
		}
		if err := fn(number); err != nil {
			return err
		}
	}
}

// firstOfEach moves the first row of each key from one sorter to another, and
// sorts both.
func firstOfEach(from, to *rowSorter) error {
	if err := from.sort(); err != nil {
		return err
	}
	last, any := value.Value{}, false
	for {
		row, err := from.next()
		if err != nil {
			return err
		}
		if row == nil {
			return to.sort()
		}
		if any && row[keyedKey].Str() == last.Str() {
			continue
		}
		last, any = row[keyedKey], true
		kept := append([]value.Value{{}}, row[keyedNumber:]...) // the key is not needed any more
		if err := to.add(kept); err != nil {
			return err
		}
	}
}

// spill moves the right side's keys to a sorter.
func (it *setIter) spill() error {
	it.right = newRowSorter(it.f, byKeyAlone)
	for key := range it.set {
		n := int64(len(key) + 64)
		it.f.release(n)
		it.mem -= n
		delete(it.set, key)
		if err := it.right.add([]value.Value{value.NewBlob(key)}); err != nil {
			return err
		}
	}
	it.set = nil
	return it.right.spill()
}

// nextSpilled is next when the right side is in a sorter.
func (it *setIter) nextSpilled() (bool, error) {
	if it.sorted == nil {
		if err := it.sortKept(); err != nil {
			return false, err
		}
	}
	row, err := it.sorted.next()
	if err != nil || row == nil {
		return false, err
	}
	loadKeyed(it.f, row, it.n.slots)
	return true, nil
}

// sortKept reads the left side and keeps the rows that are wanted.
func (it *setIter) sortKept() error {
	left := newRowSorter(it.f, byKey)
	defer left.close()
	err := numbered(it.f, it.left, func(number int64) error {
		it.f.key = rowKey(it.f.key[:0], it.f.regs, it.n.slots, it.n.colls)
		return left.add(keyed(it.f, it.f.key, number, it.n.slots))
	})
	if err != nil {
		return err
	}
	if err := left.sort(); err != nil {
		return err
	}
	if err := it.right.sort(); err != nil {
		return err
	}
	it.sorted = newRowSorter(it.f, byNumber)
	key, err := it.right.next()
	for err == nil {
		var row []value.Value
		if row, err = left.next(); err != nil || row == nil {
			break
		}
		for err == nil && key != nil && compareKeys(key[keyedKey], row[keyedKey]) < 0 {
			key, err = it.right.next()
		}
		if found := key != nil && compareKeys(key[keyedKey], row[keyedKey]) == 0; err != nil || found != it.n.keep {
			continue
		}
		err = it.sorted.add(append([]value.Value{{}}, row[keyedNumber:]...))
	}
	if err != nil {
		return err
	}
	return it.sorted.sort()
}
