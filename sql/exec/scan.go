package exec

import (
	"errors"
	"slices"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
)

// scanNode reads a stored table.
type scanNode struct {
	t      *schema.Table
	name   string // in the statement, for EXPLAIN QUERY PLAN
	a      *access
	rows   int // collection of the table
	index  int // collection of the index, -1 for none
	layout *rowLayout
	slots  []int  // the registers of a row
	all    bool   // all rows are wanted; see wantAll
	cover  *cover // reads the index alone; nil: rows are fetched

	conds []*expr   // that read no other table than those before it and no subquery
	tests *rowTests // conds, as they are tested on encoded rows; nil: in the registers
	fewer *rowTests // tests without those that exact bounds make true; or nil
	once  []*expr   // conditions that no row decides: they are tested before the first
}

// scan reads the rows of s by the access a that pass conds, and returns the
// conditions that are left to be tested.
func (c *compiler) scan(s *source, a *access, conds []*expr) (node, []*expr) {
	if a != nil && a.or != nil {
		return c.unionScan(s, a, conds)
	}
	n := &scanNode{t: s.table, name: s.shown(), a: a, index: -1, rows: c.collection(s.table.Collection())}
	n.layout = c.layout(s)
	n.slots = n.layout.registers()
	if a != nil && a.inSet != nil {
		a.inSet.listed = true
	}
	if a != nil && a.inRows != nil {
		a.inRows.listed = true
	}
	if a != nil && a.index != nil {
		n.index = c.collection(a.index.Collection())
		n.cover = covering(s, a.index, n.layout)
	}
	var rest []*expr
	for _, x := range conds {
		switch {
		case a != nil && a.implies(x):
		case x.subs:
			rest = append(rest, x)
		default:
			n.conds = append(n.conds, x)
		}
	}
	isPoint := a != nil && a.index == nil && a.unique
	if !isPoint {
		n.once, n.conds = splitSteady(n.conds, 1<<uint(s.index))
	}
	if n.index < 0 && n.layout.computed == nil && len(n.conds) > 0 {
		n.tests = n.layout.rowTestsOf(n.conds)
		if a != nil && a.key[0].col == -1 {
			n.fewer = n.layout.rowTestsOf(slices.DeleteFunc(slices.Clone(n.conds), a.bounds))
		}
	}
	if isPoint {
		return &pointNode{n}, rest
	}
	return n, rest
}

// splitSteady splits off the conditions that the sources of own do not decide, and
// that are the same each time they are evaluated.
func splitSteady(conds []*expr, own uint64) (once, rest []*expr) {
	for _, x := range conds {
		if x.refs&own == 0 && !x.subs && x.steady() {
			once = append(once, x)
		} else {
			rest = append(rest, x)
		}
	}
	return once, rest
}

// splitConstant splits off the conditions that nothing but literals and parameters
// decide.
func splitConstant(conds []*expr) (once, rest []*expr) {
	for _, x := range conds {
		if x.konst && !x.subs {
			once = append(once, x)
		} else {
			rest = append(rest, x)
		}
	}
	return once, rest
}

// steady reports whether x is known to be the same while the registers that it
// reads are: it calls no function, unless with the same arguments for the whole
// statement.
func (x *expr) steady() bool {
	switch {
	case x == nil:
		return false
	case x.konst, x.slot >= 0:
		return true
	case x.isNull, x.notNull:
		return x.left.steady()
	}
	return x.op != ast.OpNone && x.left.steady() && x.right.steady()
}

// scanAll reads all rows of s.
func (c *compiler) scanAll(s *source) node {
	n, _ := c.scan(s, nil, nil)
	return n
}

// pointNode reads the one row that a key names.
type pointNode struct{ *scanNode }

type pointIter struct {
	n    *scanNode
	f    *frame
	done bool
}

func (n *pointNode) open(f *frame) (iter, error) { return &pointIter{n: n.scanNode, f: f}, nil }

func (it *pointIter) next() (bool, error) {
	if it.done {
		return false, nil
	}
	it.done = true
	return it.n.point(it.f)
}

func (*pointIter) close() {}

// point reads the row that the access names; false: there is none that passes.
func (n *scanNode) point(f *frame) (bool, error) {
	key, ok, err := n.pointKey(f)
	if err != nil || !ok {
		return false, err
	}
	return n.fetch(f, key)
}

// pointKey computes the key of the one row in the frame's scratch; false: there
// is none.
func (n *scanNode) pointKey(f *frame) ([]byte, bool, error) {
	if n.t.PrimaryKey == nil {
		return n.pointRowID(f)
	}
	base := len(f.stack)
	defer func() { f.stack = f.stack[:base] }()
	for i := range n.a.eq {
		v, err := n.a.eq[i].value(f) // which may use the scratch
		if err != nil || v.IsNull() {
			return nil, false, err
		}
		f.stack = append(f.stack, v)
	}
	f.key = f.key[:0]
	for i, v := range f.stack[base:] {
		f.key = appendKeyValue(f.key, v, n.a.key[i])
	}
	return f.key, true, nil
}

func (n *scanNode) pointRowID(f *frame) ([]byte, bool, error) {
	v, err := n.a.eq[0].value(f)
	if err != nil || v.IsNull() {
		return nil, false, err
	}
	id, ok := asRowID(v)
	if !ok {
		return nil, false, nil
	}
	f.key = appendRowID(f.key[:0], id)
	return f.key, true, nil
}

// fetch reads the row with this key into the registers and tests it.
func (n *scanNode) fetch(f *frame, key []byte) (bool, error) {
	ok, err := n.load(f, key)
	if err != nil || !ok {
		return false, err
	}
	return passes(f, n.conds)
}

// load reads the row with this key into the registers.
func (n *scanNode) load(f *frame, key []byte) (bool, error) {
	rows, err := f.collection(n.rows)
	if err != nil {
		return false, err
	}
	row, err := rows.UnsafeGet(key)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, n.layout.load(f, key, row)
}
