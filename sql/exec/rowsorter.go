package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// rowSorter sorts rows, in memory as long as they fit. Rows that sort alike stay
// in the order in which they were added.
type rowSorter struct {
	f     *frame
	list  sortList
	mem   int64
	at    int
	files *merger // nil while all rows are in memory
}

func newRowSorter(f *frame, order sortOrder) *rowSorter {
	return &rowSorter{f: f, list: sortList{sortOrder: order}}
}

// put takes a row, which is the sorter's from then on and aliases nothing. full:
// spill is to be called, outside of an operation of the transaction.
func (s *rowSorter) put(row []value.Value) (full bool) {
	s.list.add(row)
	n := rowSize(row)
	s.mem += n
	return s.f.keep(n, s.mem)
}

// add is put with the spilling. It is not called within an operation of the
// transaction.
func (s *rowSorter) add(row []value.Value) error {
	if s.put(row) {
		return s.spill()
	}
	return nil
}

// spill writes the rows in memory to a file.
func (s *rowSorter) spill() error {
	if len(s.list.rows) == 0 {
		return nil
	}
	if s.files == nil {
		s.files = &merger{f: s.f, width: len(s.list.rows[0]), order: s.list.compare}
	}
	s.list.sort()
	run := s.files.begin(0)
	for i := range s.list.rows {
		if err := run.add(s.list.get(i)); err != nil {
			return err
		}
	}
	s.drop()
	return s.files.end(run, 0)
}

// drop forgets the rows in memory.
func (s *rowSorter) drop() {
	s.list.clear()
	s.f.shrink(s.mem)
	s.mem = 0
}

// sort ends the adding; next gives the rows.
func (s *rowSorter) sort() error {
	if s.files == nil {
		s.list.sort()
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.list.release()
	return s.files.merge()
}

// next returns the next row in order, nil after the last. The row is valid until
// the next call, its values are for ever.
func (s *rowSorter) next() ([]value.Value, error) {
	if s.files != nil {
		return s.files.next()
	}
	if s.at >= len(s.list.rows) {
		return nil, nil
	}
	s.at++
	return s.list.get(s.at - 1), s.f.tick()
}

// close drops the rows and removes the files.
func (s *rowSorter) close() {
	if s == nil {
		return
	}
	s.drop()
	s.list.release()
	s.files.close()
	s.files = nil
}

// Rows with a key that was made by rowKey: the key and the number of the row
// come first.
const (
	keyedKey = iota
	keyedNumber
	keyedRow
)

// keyed makes such a row of registers.
func keyed(f *frame, key []byte, number int64, slots []int) []value.Value {
	row := make([]value.Value, keyedRow, keyedRow+len(slots))
	row[keyedKey], row[keyedNumber] = value.NewBlob(string(key)), value.NewInt(number)
	for _, s := range slots {
		row = append(row, f.regs[s])
	}
	return row
}

// Orders of such rows.
var (
	byKey      = ascending(keyedKey, keyedNumber)
	byKeyAlone = ascending(keyedKey)
	byNumber   = ascending(keyedNumber)
)

func compareKeys(a, b value.Value) int {
	return strings.Compare(a.Str(), b.Str())
}

// loadKeyed puts the rest of such a row into registers.
func loadKeyed(f *frame, row []value.Value, slots []int) {
	for i, s := range slots {
		f.regs[s] = row[keyedRow+i]
	}
}
