package exec

import (
	stdcmp "cmp"
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// topTest leaves out rows of a scan that a sort with a limit would not keep, by
// the first of its keys in the encoded row: most rows of a large table.
type topTest struct {
	sort *sortIter
	cell int // of the first key, among the columns of the scan
	kept int // rows that the sort keeps
}

// topOf has a scan leave out what the sort, which keeps so many rows, would not
// keep. Only where nothing is computed of a row before the sort sees it.
func (it *sortIter) topOf(in iter, kept int64) {
	scan, ok := in.(*scanIter)
	if !ok || kept <= 0 || int64(int(kept)) != kept || scan.n.index >= 0 || scan.n.layout.computed != nil {
		return
	}
	l := scan.n.layout
	cell := slices.Index(l.slots, it.n.keys[0].slot)
	if cell < 0 {
		return
	}
	if scan.row == nil {
		scan.row = newRowReader(it.f, l, l.rowTestsOf(nil))
	}
	scan.row.noID = !slices.ContainsFunc(scan.row.tests, func(t boundTest) bool { return t.kind == testAny })
	scan.top = &topTest{sort: it, cell: cell, kept: int(kept)}
}

// last reports whether the row sorts behind all that are kept.
func (t *topTest) last(r *rowReader, row []byte) (bool, error) {
	if len(t.sort.list.rows) < t.kept {
		return false, nil
	}
	k, c := &t.sort.n.keys[0], r.cells[t.cell]
	worst := &t.sort.list.get(0)[t.sort.list.at[0]]
	order := 0
	if worst.Kind() == value.Int && !c.Missing() && c.Kind() == value.Int {
		order = stdcmp.Compare(c.Int(row), worst.Int())
		if k.desc {
			order = -order
		}
	} else {
		v, err := r.value(row, t.cell)
		if err != nil {
			return false, err
		}
		order = k.order(v, *worst)
	}
	return order > 0 || order == 0 && len(t.sort.n.keys) == 1, nil // of rows that sort alike the first are kept
}
