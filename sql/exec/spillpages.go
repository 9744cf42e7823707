package exec

import (
	"sort"

	"github.com/byokdb/byokdb/sql/value"
)

// pagedRows is a list of rows in a file, of which any can be read at any time:
// the pages used last are in memory, decoded. It is not used within an operation
// of the transaction.
type pagedRows struct {
	f      *frame
	run    *spillRun
	width  int   // values in a row
	size   int64 // of a page, in bytes of memory
	filled int64 // of the page that is being filled
	cache  []rowPage
	last   int // the page in cache that was used last
	clock  int64
	block  []byte // memory of the block that is read
	mem    int64
}

// rowPage is one page in memory.
type rowPage struct {
	first, n int64 // its rows; none when n is 0
	rows     []value.Value
	mem      int64
	used     int64 // by the clock
}

const (
	pageSizeMin = 4 << 10 // bytes
	pageSizeMax = 32 << 10
)

// newPagedRows returns an empty list that keeps nPages in memory, as many as
// there are places where it is read side by side, or a quarter of the statement's
// memory.
func newPagedRows(f *frame, width, nPages int) *pagedRows {
	p := &pagedRows{f: f, width: width, run: &spillRun{file: &spillFile{f: f, size: pageSizeMax}}}
	p.size = min(max(f.s.memory/128, pageSizeMin), pageSizeMax)
	p.cache = make([]rowPage, min(int64(nPages), f.s.memory/4/p.size))
	return p
}

// add puts a row at the end.
func (p *pagedRows) add(row []value.Value) error {
	p.filled += rowSize(row)
	if err := p.run.add(row); err != nil {
		return err
	}
	if p.filled < p.size && len(p.run.file.block) > 0 {
		return nil
	}
	p.filled = 0
	return p.run.flush()
}

// end ends the adding.
func (p *pagedRows) end() error {
	if err := p.run.flush(); err != nil {
		return err
	}
	p.run.file.written()
	return nil
}

// row returns row i, valid until the next call; its values are for ever.
func (p *pagedRows) row(i int) ([]value.Value, error) {
	page := &p.cache[p.last]
	if at := int64(i) - page.first; at < 0 || at >= page.n {
		var err error
		if page, err = p.page(int64(i)); err != nil {
			return nil, err
		}
	}
	at := (i - int(page.first)) * p.width
	return page.rows[at : at+p.width], nil
}

// page finds the page of row i, or reads it in place of the one that was not
// used for longest.
func (p *pagedRows) page(i int64) (*rowPage, error) {
	p.clock++
	oldest := 0
	for k := range p.cache {
		page := &p.cache[k]
		if at := i - page.first; at >= 0 && at < page.n {
			page.used, p.last = p.clock, k
			return page, nil
		}
		if page.used < p.cache[oldest].used {
			oldest = k
		}
	}
	page := &p.cache[oldest]
	page.n = 0
	page.used, p.last = p.clock, oldest
	if err := p.read(page, i); err != nil {
		return page, err
	}
	p.limit(oldest)
	return page, nil
}

// limit drops all pages but one if they have large values.
func (p *pagedRows) limit(but int) {
	if p.mem <= p.f.s.memory/4 {
		return
	}
	for k := range p.cache {
		if k != but {
			page := &p.cache[k]
			clear(page.rows[:cap(page.rows)])
			p.hold(-page.mem)
			*page = rowPage{}
		}
	}
}

// read reads the page with row i.
func (p *pagedRows) read(page *rowPage, i int64) error {
	firsts := p.run.firsts
	k := sort.Search(len(firsts), func(k int) bool { return firsts[k] > i }) - 1
	end := p.run.n
	if k+1 < len(firsts) {
		end = firsts[k+1]
	}
	if cap(p.block) > 4*spillBlock {
		clear(p.block[:cap(p.block)])
		p.hold(-int64(cap(p.block)))
		p.block = nil
	}
	before := int64(cap(p.block)) + page.mem
	buf, err := p.run.file.spill.Read(p.block[:0], p.run.blocks[k])
	p.block = buf
	if err != nil {
		return err
	}
	r := runReader{run: p.run, rest: buf}
	n := int(end - firsts[k])
	clear(page.rows)
	if want := n * p.width; cap(page.rows) < want {
		page.rows = make([]value.Value, want)
	} else {
		page.rows = page.rows[:want]
	}
	page.mem = int64(cap(page.rows) * valueSize)
	for at := range n {
		b, err := r.raw()
		if err != nil {
			return err
		}
		row := page.rows[at*p.width : (at+1)*p.width]
		if b, err = readSpilled(row, b); err != nil || len(b) > 0 {
			return errSpilled
		}
		for _, v := range row {
			page.mem += int64(len(v.Str()))
		}
	}
	page.first, page.n = firsts[k], int64(n)
	p.hold(int64(cap(p.block)) + page.mem - before)
	return p.f.tick()
}

func (p *pagedRows) hold(n int64) {
	p.mem += n
	p.f.keep(n, 0)
}

// close drops the rows and removes the file.
func (p *pagedRows) close() {
	if p == nil {
		return
	}
	for k := range p.cache {
		clear(p.cache[k].rows[:cap(p.cache[k].rows)])
	}
	clear(p.block[:cap(p.block)])
	p.cache, p.block = nil, nil
	p.run.file.close()
	p.f.shrink(p.mem)
	p.mem = 0
}
