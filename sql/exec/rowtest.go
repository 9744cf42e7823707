package exec

import (
	stdcmp "cmp"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// rowTest is a condition on the rows of a stored table, as a scan tests it: on
// the encoded row where it can, else in the registers.
type rowTest struct {
	x     *expr
	kind  rowTestKind
	cell  int   // of the column, but for testAny
	cells []int // that x reads, for testAny: they are loaded before

	// testCompare: the column beside what does not change from row to row.
	operand evalFn
	cmp     comparison
	accept  uint8 // bits of the orders that are true: 1 less, 2 equal, 4 greater
}

type rowTestKind uint8

const (
	testAny rowTestKind = iota
	testCompare
	testNull
	testNotNull
)

// rowTestOf returns how x is tested on rows of this layout.
func (l *rowLayout) rowTestOf(x *expr) rowTest {
	t := rowTest{x: x}
	if x.left != nil && x.left.slot >= 0 && (x.isNull || x.notNull) {
		if t.cell = slices.Index(l.slots, x.left.slot); t.cell >= 0 {
			t.kind = testNull
			if x.notNull {
				t.kind = testNotNull
			}
			return t
		}
	}
	if x.op != ast.OpNone && x.left != nil && x.right != nil {
		col, other, op := x.left, x.right, x.op
		if col.slot < 0 {
			col, other, op = other, col, mirrored(op)
		}
		if t.cell = slices.Index(l.slots, col.slot); col.slot >= 0 && t.cell >= 0 && other.konst {
			t.kind, t.operand, t.cmp, t.accept = testCompare, other.eval, comparisonOf(x.left, x.right), accepted(op)
			return t
		}
	}
	t.cells = l.cellsOf(x)
	return t
}

// cellsOf returns the columns that x reads, as far as it can be told: all, else.
func (l *rowLayout) cellsOf(x *expr) []int {
	var cells []int
	if len(x.reads) == 0 && !x.konst && x.slot < 0 { // it does not say, or reads other sources alone
		for i := range l.slots {
			cells = append(cells, i)
		}
		return cells
	}
	for i, s := range l.slots {
		if s == x.slot || slices.Contains(x.reads, s) {
			cells = append(cells, i)
		}
	}
	return cells
}

// mirrored is the operator with its sides exchanged.
func mirrored(op ast.Operator) ast.Operator {
	switch op {
	case ast.OpLt:
		return ast.OpGt
	case ast.OpLe:
		return ast.OpGe
	case ast.OpGt:
		return ast.OpLt
	case ast.OpGe:
		return ast.OpLe
	default:
		return op
	}
}

func accepted(op ast.Operator) (bits uint8) {
	for order := -1; order <= 1; order++ {
		if holds(op, order) {
			bits |= 1 << uint(order+1)
		}
	}
	return bits
}

// rowTests are the conditions of a scan, and the columns that none of them
// loads.
type rowTests struct {
	tests []rowTest
	rest  []int
}

// rowTestsOf returns how conds are tested on rows of this layout, which has no
// computed columns.
func (l *rowLayout) rowTestsOf(conds []*expr) *rowTests {
	ts := &rowTests{}
	loaded := map[int]bool{}
	for _, x := range conds {
		t := l.rowTestOf(x)
		for _, i := range t.cells {
			loaded[i] = true
		}
		ts.tests = append(ts.tests, t)
	}
	for i := range l.cols {
		if !loaded[i] {
			ts.rest = append(ts.rest, i)
		}
	}
	return ts
}

// boundTest is a rowTest with its operand, for one run of a scan.
type boundTest struct {
	*rowTest
	v      value.Value
	direct value.Kind // of columns that compare with v as they are; Null: of none
}

// bind evaluates the operand.
func (t *rowTest) bind(f *frame, l *rowLayout) boundTest {
	b := boundTest{rowTest: t}
	if t.kind != testCompare {
		return b
	}
	v, err := t.operand(f)
	if err != nil { // of the first row, if there is one
		any := rowTest{x: t.x, cells: l.cellsOf(t.x)}
		b.rowTest = &any
		return b
	}
	b.v = t.cmp.convert(v)
	switch k := b.v.Kind(); {
	case k == value.Text && t.cmp.aff != value.AffinityNumeric, k == value.Int, k == value.Float:
		b.direct = k
	}
	return b
}

// holds reports whether v compares with the operand as it should.
func (t *boundTest) holds(v value.Value) bool {
	if v.IsNull() || t.v.IsNull() {
		return false
	}
	return t.accepts(compare(t.cmp.convert(v), t.v, t.cmp.coll))
}

func (t *boundTest) accepts(order int) bool {
	switch {
	case order < 0:
		return t.accept&1 != 0
	case order > 0:
		return t.accept&4 != 0
	}
	return t.accept&2 != 0
}

// rowReader reads encoded rows of a table for one run of a scan. It holds none
// of their bytes: they are lent for each call.
type rowReader struct {
	f     *frame
	l     *rowLayout
	cells []record.Cell
	tests []boundTest
	rest  []int
	noID  bool // nobody asks for the row id
}

func newRowReader(f *frame, l *rowLayout, ts *rowTests) *rowReader {
	r := &rowReader{f: f, l: l, cells: make([]record.Cell, len(l.cols))}
	if ts == nil {
		return r
	}
	r.rest, r.tests = ts.rest, make([]boundTest, len(ts.tests))
	for i := range ts.tests {
		r.tests[i] = ts.tests[i].bind(f, l)
	}
	return r
}

// locate finds the columns of a row, and reads its id.
func (r *rowReader) locate(key, row []byte) error {
	if !r.noID {
		if err := r.readID(key); err != nil {
			return err
		}
	}
	if len(r.l.cols) == 0 {
		return nil
	}
	_, err := record.Locate(row, r.l.cols, r.cells)
	return err
}

// readID reads the id of a row into its register.
func (r *rowReader) readID(key []byte) error {
	if r.l.rowID < 0 {
		return nil
	}
	id, err := rowIDOf(key)
	if err != nil {
		return err
	}
	r.f.regs[r.l.rowID] = value.NewInt(id)
	return nil
}

// load reads some of the columns into their registers, text and blobs aliasing
// row.
func (r *rowReader) load(row []byte, cells []int) error {
	for _, i := range cells {
		dst := &r.f.regs[r.l.slots[i]]
		if r.cells[i].Missing() {
			*dst = r.l.defaults[i]
			continue
		}
		if err := r.cells[i].LoadUnsafe(row, dst); err != nil {
			return err
		}
	}
	return nil
}

// value returns one column, aliasing row.
func (r *rowReader) value(row []byte, i int) (v value.Value, err error) {
	if r.cells[i].Missing() {
		return r.l.defaults[i], nil
	}
	err = r.cells[i].LoadUnsafe(row, &v)
	return v, err
}

// passes reports whether all conditions hold.
func (r *rowReader) passes(row []byte) (bool, error) {
	for i := range r.tests {
		if ok, err := r.pass(&r.tests[i], row); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r *rowReader) pass(t *boundTest, row []byte) (bool, error) {
	if t.kind == testAny {
		if err := r.load(row, t.cells); err != nil {
			return false, err
		}
		return isTrue(r.f, t.x)
	}
	c := &r.cells[t.cell]
	if t.direct != value.Null && !c.Missing() && c.Kind() == t.direct {
		switch t.direct {
		case value.Int:
			return t.accepts(stdcmp.Compare(c.Int(row), t.v.Int())), nil
		case value.Float:
			x, err := c.Float(row)
			return t.accepts(stdcmp.Compare(x, t.v.Float())), err
		default:
			return t.accepts(value.CompareText(c.UnsafeStr(row), t.v.Str(), t.cmp.coll)), nil
		}
	}
	v, err := r.value(row, t.cell)
	if err != nil {
		return false, err
	}
	switch t.kind {
	case testNull:
		return v.IsNull(), nil
	case testNotNull:
		return !v.IsNull(), nil
	default:
		return t.holds(v), nil
	}
}
