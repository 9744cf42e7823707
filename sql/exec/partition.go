package exec

import "github.com/byokdb/byokdb/sql/value"

// partition is the rows of one partition of window functions in their order, and
// their groups of peers. Rows that do not fit into memory are in a file, with the
// number of their group as a last value.
type partition struct {
	it      *windowIter
	own     bool // rows are its own: those of a sorter in memory are the sorter's
	n       int
	nGroups int
	runs    []windowRun

	rows  [][]value.Value
	peers []int // for each row the index of its group
	heads []int // the first row of each group; one more for the end
	mem   int64

	filed      *pagedRows // in place of rows and peers
	filedHeads *pagedRows // in place of heads
	before     []value.Value
	scratch    []value.Value
}

const partitionRowSize = 40 // bytes that a row takes in the three lists

// newPartition returns an empty partition, in the memory of one that is closed if
// there is one.
func newPartition(it *windowIter, old *partition) *partition {
	p := &partition{it: it, own: it.sorted.files != nil}
	if old != nil {
		p.rows, p.peers, p.heads, p.runs = old.rows, old.peers, old.heads, old.runs
	}
	for j := range it.n.calls {
		p.runs = append(p.runs, windowRun{p: p, call: &it.n.calls[j]})
	}
	return p
}

// add takes the next row, which nobody else changes.
func (p *partition) add(row []value.Value) error {
	head := p.n == 0 || p.it.n.order.compare(p.before, row) != 0
	if head {
		p.nGroups++
	}
	p.before = row
	p.n++
	if p.filed != nil {
		return p.file(row, p.n-1, p.nGroups-1, head)
	}
	if head {
		p.heads = append(p.heads, p.n-1)
	}
	p.rows, p.peers = append(p.rows, row), append(p.peers, p.nGroups-1)
	n := int64(partitionRowSize)
	if p.own {
		n += rowSize(row)
	}
	p.mem += n
	if p.it.f.keep(n, p.mem) && p.own {
		return p.spill()
	}
	return nil
}

// spill moves the rows to files.
func (p *partition) spill() error {
	f := p.it.f
	// A function reads at the row, at both ends of its frame, and looks for those.
	places := 2 + 6*len(p.runs)
	p.filed = newPagedRows(f, len(p.it.n.save)+1, places)
	p.filedHeads = newPagedRows(f, 1, 2+2*len(p.runs))
	for i, row := range p.rows {
		if err := p.file(row, i, p.peers[i], p.heads[p.peers[i]] == i); err != nil {
			return err
		}
	}
	p.drop()
	p.rows, p.peers, p.heads = nil, nil, nil
	return nil
}

func (p *partition) file(row []value.Value, i, peer int, head bool) error {
	if head {
		if err := p.filedHeads.add([]value.Value{value.NewInt(int64(i))}); err != nil {
			return err
		}
	}
	p.scratch = append(append(p.scratch[:0], row...), value.NewInt(int64(peer)))
	return p.filed.add(p.scratch)
}

// end ends the adding.
func (p *partition) end() error {
	if p.filed == nil {
		p.heads = append(p.heads, p.n)
		return nil
	}
	clear(p.scratch)
	if err := p.filedHeads.add([]value.Value{value.NewInt(int64(p.n))}); err != nil {
		return err
	}
	if err := p.filedHeads.end(); err != nil {
		return err
	}
	return p.filed.end()
}

// row returns row i, valid until the next call of a method; its values are for
// ever.
func (p *partition) row(i int) ([]value.Value, error) {
	if p.filed == nil {
		return p.rows[i], nil
	}
	return p.filed.row(i)
}

// peer returns the number of row i's group.
func (p *partition) peer(i int) (int, error) {
	if p.filed == nil {
		return p.peers[i], nil
	}
	row, err := p.filed.row(i)
	if err != nil {
		return 0, err
	}
	return int(row[len(row)-1].Int()), nil
}

// head returns the first row of a group.
func (p *partition) head(group int) (int, error) {
	if p.filed == nil {
		return p.heads[group], nil
	}
	row, err := p.filedHeads.row(group)
	if err != nil {
		return 0, err
	}
	return int(row[0].Int()), nil
}

// group returns the peers of row i: [from, to).
func (p *partition) group(i int) (from, to int, err error) {
	g, err := p.peer(i)
	if err != nil {
		return 0, 0, err
	}
	if from, err = p.head(g); err != nil {
		return 0, 0, err
	}
	to, err = p.head(g + 1)
	return from, to, err
}

// drop forgets the rows in memory.
func (p *partition) drop() {
	clear(p.rows)
	p.rows, p.peers, p.heads = p.rows[:0], p.peers[:0], p.heads[:0]
	p.it.f.shrink(p.mem)
	p.mem = 0
}

// close drops the rows and removes the files.
func (p *partition) close() {
	if p == nil {
		return
	}
	p.drop()
	p.filed.close()
	p.filedHeads.close()
	clear(p.scratch)
	clear(p.runs)
	p.before, p.scratch, p.runs = nil, nil, p.runs[:0]
}
