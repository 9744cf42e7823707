package exec

import "github.com/byokdb/byokdb/sql/value"

// What a hash join does when the table does not fit into memory: the rows of
// inner are sorted by their keys into a file, and looked up there. So the rows
// come in the same order as from the table.

// spill moves the rows of the table to a sorter.
func (it *hashIter) spill() error {
	it.sorted = newRowSorter(it.f, byKey)
	for key, list := range it.table {
		for _, i := range list {
			row := make([]value.Value, keyedRow, keyedRow+len(it.n.slots))
			row[keyedKey], row[keyedNumber] = value.NewBlob(key), value.NewInt(int64(i))
			vals, err := it.rows.row(int(i))
			if err != nil {
				return err
			}
			if err := it.sorted.add(append(row, vals...)); err != nil {
				return err
			}
		}
	}
	it.nRows = int64(it.rows.n)
	clear(it.table)
	it.rows.close(it.f)
	return it.sorted.spill()
}

// index makes the file in which keys are looked up.
func (it *hashIter) index() error {
	if err := it.sorted.sort(); err != nil {
		return err
	}
	it.filed = newKeyedFile(it.f, keyedRow+len(it.n.slots))
	for {
		row, err := it.sorted.next()
		if err != nil {
			return err
		}
		if row == nil {
			break
		}
		if err := it.filed.add(row); err != nil {
			return err
		}
	}
	it.sorted.close()
	return it.filed.end(it.f.s.memory / 16)
}

// matchFiled is match from the file.
func (it *hashIter) matchFiled() (bool, error) {
	ok, err := it.filed.match()
	if ok {
		loadKeyed(it.f, it.filed.row, it.n.slots)
	}
	return ok, err
}
