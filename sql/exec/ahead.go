package exec

import "github.com/byokdb/byokdb/sql/value"

// Limits of what a scan reads ahead: rows, values of them, and bytes of text and
// blobs.
const (
	aheadRowsMax   = 64
	aheadGrowth    = 16
	aheadValuesMax = 1024
	aheadBytesMax  = 16 << 10
)

// rowsAhead are rows that a scan has read and not given: several in one operation
// of the transaction cost less than as many operations. Their values are copies.
// Unless all rows of a scan are wanted, the first is read alone: it may be the only
// one that is.
type rowsAhead struct {
	slots []int // the registers of a row
	all   bool  // all rows are wanted, unless the reader stops
	size  int   // how many rows to read at once
	vals  []value.Value
	n, at int   // rows in vals, and the one to give next
	bytes int   // of text and blobs in vals
	err   error // what comes behind them
}

// grow makes room for more rows than there were the last time, if more than one
// is to be read at once. All that were read have been given.
func (a *rowsAhead) grow(more bool) {
	a.n, a.at, a.bytes = 0, 0, 0
	a.vals = a.vals[:0]
	if !more {
		a.size = 1
		return
	}
	most := min(aheadRowsMax, max(1, aheadValuesMax/max(1, len(a.slots))))
	switch {
	case a.size > 0:
		a.size *= aheadGrowth
	case a.all:
		a.size = aheadGrowth
	default:
		a.size = 1
	}
	a.size = min(a.size, most)
}

// save adds the row in the registers and reports whether there is room for more.
func (a *rowsAhead) save(f *frame) bool {
	if a.vals == nil {
		a.vals = f.takeSpare()
	}
	for _, s := range a.slots {
		v := f.regs[s]
		if v.Kind() >= value.Text {
			a.bytes += len(v.Str())
		}
		a.vals = append(a.vals, v)
	}
	a.n++
	return a.n < a.size && a.bytes < aheadBytesMax
}

// give puts the next row into the registers; false: none is left.
func (a *rowsAhead) give(f *frame) bool {
	if a.at == a.n {
		return false
	}
	row := a.vals[a.at*len(a.slots):]
	for i, s := range a.slots {
		f.regs[s] = row[i]
	}
	a.at++
	return true
}

// close drops the rows.
func (a *rowsAhead) close(f *frame) {
	f.giveSpare(a.vals)
	*a = rowsAhead{}
}

// spareMax is how many values of rows read ahead a frame keeps room for.
const spareMax = aheadValuesMax

// takeSpare returns room for values that another scan of the frame has left.
func (f *frame) takeSpare() []value.Value {
	vals := f.spare
	f.spare = nil
	return vals
}

// giveSpare clears room for values and keeps it for the next scan.
func (f *frame) giveSpare(vals []value.Value) {
	if cap(vals) == 0 {
		return
	}
	vals = vals[:cap(vals)]
	clear(vals)
	if cap(vals) <= spareMax && cap(vals) > cap(f.spare) {
		f.spare = vals[:0]
	}
}

// wantAll notes which scans give rows of which all are wanted.
func wantAll(n node) {
	switch n := n.(type) {
	case *scanNode:
		n.all = true
	case *projectNode:
		wantAll(n.in)
	case *realNode:
		wantAll(n.in)
	case *filterNode:
		wantAll(n.in)
	case *distinctNode:
		wantAll(n.in)
	case *sortNode:
		wantAll(n.in)
	case *aggregateNode:
		if !n.first {
			wantAll(n.in)
		}
	case *totalNode:
		wantAll(n.in)
	case *loopNode:
		wantAll(n.outer)
		wantAll(n.inner)
	case *hashNode:
		wantAll(n.outer)
	}
}
