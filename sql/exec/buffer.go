package exec

import (
	"sort"

	"github.com/byokdb/byokdb/sql/value"
)

const valueSize = 32 // bytes of a value.Value, rounded up

// buffer holds rows of a fixed set of registers, the first of them in a
// temporary file when there are too many. It is not used within an operation of
// the transaction.
type buffer struct {
	slots []int
	n     int
	rows  []value.Value // the last rows, len(slots) values per row
	mem   int64

	run    *spillRun // the rows before them
	nFiled int       // how many they are
	reader *runReader
	at     int // the row that reader gives next
}

// save adds the row in the registers, whose values are copies.
func (b *buffer) save(f *frame) error {
	n := b.append(f)
	if f.keep(n, b.mem) {
		return b.spill(f)
	}
	return nil
}

// saveValue adds a row of one value.
func (b *buffer) saveValue(f *frame, v value.Value) error {
	n := int64(valueSize + 8 + len(v.Str()))
	b.rows = append(b.rows, v)
	b.n++
	b.mem += n
	if f.keep(n, b.mem) {
		return b.spill(f)
	}
	return nil
}

// saveRow adds a row whose values are copies.
func (b *buffer) saveRow(f *frame, row []value.Value) error {
	n := rowSize(row)
	b.rows = append(b.rows, row...)
	b.n++
	b.mem += n
	if f.keep(n, b.mem) {
		return b.spill(f)
	}
	return nil
}

// append is save to memory, before the n bytes are accounted for.
func (b *buffer) append(f *frame) (n int64) {
	n = int64(len(b.slots)*valueSize + 8)
	for _, s := range b.slots {
		n += int64(len(f.regs[s].Str()))
		b.rows = append(b.rows, f.regs[s])
	}
	b.n++
	b.mem += n
	return n
}

// spill writes the rows in memory to a file.
func (b *buffer) spill(f *frame) error {
	if b.run == nil {
		b.run = &spillRun{file: &spillFile{f: f}}
	}
	for ; b.nFiled < b.n; b.nFiled++ {
		at := len(b.rows) - (b.n-b.nFiled)*len(b.slots)
		if err := b.run.add(b.rows[at : at+len(b.slots)]); err != nil {
			return err
		}
	}
	clear(b.rows)
	b.rows = b.rows[:0]
	f.shrink(b.mem)
	b.mem = 0
	return b.run.flush()
}

// load puts row i into the registers. One after the other is quick.
func (b *buffer) load(f *frame, i int) error {
	row, err := b.row(i)
	if err != nil {
		return err
	}
	for j, s := range b.slots {
		f.regs[s] = row[j]
	}
	return nil
}

// row returns row i, valid until the next call; its values are for ever.
func (b *buffer) row(i int) ([]value.Value, error) {
	if i >= b.nFiled {
		at := (i - b.nFiled) * len(b.slots)
		return b.rows[at : at+len(b.slots)], nil
	}
	if b.reader == nil {
		b.reader = newRunReader(b.run, len(b.slots))
	}
	if i != b.at {
		if err := b.seek(i); err != nil {
			return nil, err
		}
	}
	ok, err := b.reader.read()
	if err == nil && !ok {
		err = errSpilled
	}
	b.at = i + 1
	return b.reader.row, err
}

// seek has the reader give row i next.
func (b *buffer) seek(i int) error {
	firsts := b.run.firsts
	block := sort.Search(len(firsts), func(k int) bool { return firsts[k] > int64(i) }) - 1
	if i < b.at || block >= b.reader.next {
		if err := b.reader.load(block); err != nil {
			return err
		}
		b.at = int(firsts[block])
	}
	for ; b.at < i; b.at++ {
		if len(b.reader.rest) == 0 { // the end of a block
			if err := b.reader.load(b.reader.next); err != nil {
				return err
			}
		}
		if _, err := b.reader.raw(); err != nil {
			return err
		}
	}
	return nil
}

// close drops the rows.
func (b *buffer) close(f *frame) {
	clear(b.rows)
	b.rows, b.n = nil, 0
	f.release(b.mem)
	b.mem = 0
	if b.reader != nil {
		b.reader.close()
		b.reader = nil
	}
	if b.run != nil {
		b.run.file.close()
		b.run = nil
	}
	b.nFiled, b.at = 0, 0
}
