package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// isRowValue reports whether e is a row value: a list in parentheses, or a
// subquery of several columns.
func isRowValue(e ast.Expr) bool {
	if vector(e) != nil {
		return true
	}
	s, ok := ast.Unparen(e).(*ast.SubqueryExpr)
	return ok && columnsOfSelect(s.Select) > 1
}

// columnsOfSelect is how many columns a query gives; 0 where a star has them.
func columnsOfSelect(s *ast.SelectStmt) int {
	switch core := s.Cores[0].(type) {
	case *ast.ValuesClause:
		return len(core.Rows[0])
	case *ast.SelectQuery:
		for _, rc := range core.Columns {
			if _, star := rc.Expr.(*ast.Star); star {
				return 0
			}
		}
		return len(core.Columns)
	}
	return 0
}

// rowValue compiles the elements of a row value. Those of a subquery are to be
// evaluated from the first one on, which runs it.
func (c *compiler) rowValue(sc *scope, e ast.Expr) ([]*expr, error) {
	if list := vector(e); list != nil {
		return c.list(sc, list)
	}
	return c.rowSubquery(sc, e)
}

func (c *compiler) rowSubquery(sc *scope, e ast.Expr) ([]*expr, error) {
	n, ok := ast.Unparen(e).(*ast.SubqueryExpr)
	if !ok {
		return nil, errorf("row value misused")
	}
	touched := sc.touched
	sc.touched = 0
	q, err := c.subquery(sc, n.Select)
	refs := sc.touched
	sc.touched |= touched
	if err != nil {
		return nil, err
	}
	kept := c.regs(len(q.cols))
	xs := make([]*expr, len(kept))
	for i, slot := range kept {
		x := *q.comparedAs(i)
		x.slot, x.eval, x.refs, x.subs, x.outer = -1, readSlot(slot), refs, true, q.correlated
		xs[i] = &x
	}
	xs[0].eval = func(f *frame) (value.Value, error) {
		if st := &f.subs[q.id]; !st.done || q.correlated {
			found, err := q.first(f)
			if err != nil {
				return value.Value{}, err
			}
			for i, slot := range kept { // without a row they are NULL
				f.regs[slot] = value.Value{}
				if found {
					f.regs[slot] = f.regs[q.out[i]]
				}
			}
			st.done = true
		}
		return f.regs[kept[0]], nil
	}
	return xs, nil
}

// rowPair are two row values that are compared element by element.
type rowPair struct {
	xs, ys []*expr
	cmps   []comparison
}

// alone returns the i-th elements as expressions that need no other one to be
// evaluated before them.
func (p *rowPair) alone(i int) (x, y *expr) { return aloneOf(p.xs, i), aloneOf(p.ys, i) }

func aloneOf(xs []*expr, i int) *expr {
	if i == 0 || !xs[0].subs || xs[i].slot >= 0 || xs[i].konst {
		return xs[i]
	}
	x, first, own := *xs[i], xs[0].eval, xs[i].eval
	x.eval = func(f *frame) (value.Value, error) {
		if v, err := first(f); err != nil {
			return v, err
		}
		return own(f)
	}
	return &x
}

// rowOrder is a comparison of row values by <, <=, > or >=: heads compare the
// elements of each pair.
type rowOrder struct {
	op    ast.Operator
	heads []*expr
}

// find returns a bound of the first columns of key, which may leave rows in that
// the comparison does not accept. Flipped: the columns are on the right.
func (o *rowOrder) find(s *source, key []keyColumn, bound uint64) (p *probe, flipped bool) {
	for i, head := range o.heads {
		if i >= len(key) || key[i].desc != key[0].desc {
			break
		}
		one, side := sided(s, key[i], head, bound)
		switch {
		case one == nil || p != nil && side != flipped:
			return p, flipped
		case p == nil:
			p, flipped = one, side
			p.loose = true
		default:
			p.rest = append(p.rest, *one)
		}
	}
	return p, flipped
}

func (c *compiler) rowPair(sc *scope, ex, ey ast.Expr) (p rowPair, err error) {
	if p.xs, err = c.rowValue(sc, ex); err != nil {
		return p, err
	}
	if p.ys, err = c.rowValue(sc, ey); err != nil {
		return p, err
	}
	if len(p.xs) != len(p.ys) {
		return p, errorf("row value misused")
	}
	uncollate(ex, p.xs)
	uncollate(ey, p.ys)
	for i := range p.xs {
		p.cmps = append(p.cmps, comparisonOf(p.xs[i], p.ys[i]))
	}
	return p, nil
}

// uncollate takes the collations of the elements of a subquery away: as in SQLite
// only IN compares by them.
func uncollate(e ast.Expr, xs []*expr) {
	if vector(e) != nil {
		return
	}
	for _, x := range xs {
		x.coll, x.collBy, x.missing = value.Binary, collNone, nil
	}
}

// all are the elements of both.
func (p *rowPair) all() []*expr { return append(append([]*expr(nil), p.xs...), p.ys...) }

// at evaluates the i-th elements.
func (p *rowPair) at(f *frame, i int) (a, b value.Value, err error) {
	if a, err = p.xs[i].eval(f); err == nil {
		b, err = p.ys[i].eval(f)
	}
	return a, b, err
}

// compareRows compares row values: the first pair that is not equal decides, a
// NULL before it makes the result unknown.
func (c *compiler) compareRows(sc *scope, op ast.Operator, ex, ey ast.Expr) (*expr, error) {
	p, err := c.rowPair(sc, ex, ey)
	if err != nil {
		return nil, err
	}
	equality := op == ast.OpEq || op == ast.OpNe
	out := computed(func(f *frame) (value.Value, error) {
		unknown := false
		for i := range p.xs {
			a, b, err := p.at(f, i)
			if err != nil {
				return value.Value{}, err
			}
			if a.IsNull() || b.IsNull() {
				if !equality {
					return value.Value{}, nil
				}
				unknown = true
				continue
			}
			if o := p.cmps[i].order(a, b); o != 0 {
				return value.NewBool(holds(op, o)), nil
			}
		}
		if unknown {
			return value.Value{}, nil
		}
		return value.NewBool(holds(op, 0)), nil
	}, p.all()...)
	order := &rowOrder{op: op}
	for i := range p.xs {
		x, y := p.alone(i)
		switch op {
		case ast.OpEq:
			out.implied = append(out.implied, compareExprs(op, x, y))
		case ast.OpLt, ast.OpLe, ast.OpGt, ast.OpGe:
			order.heads, out.ordered = append(order.heads, compareExprs(op, x, y)), order
		default:
		}
	}
	return out, nil
}

// isRows is IS between row values: NULL is NULL.
func (c *compiler) isRows(sc *scope, ex, ey ast.Expr, want bool) (*expr, error) {
	p, err := c.rowPair(sc, ex, ey)
	if err != nil {
		return nil, err
	}
	out := computed(func(f *frame) (value.Value, error) {
		for i := range p.xs {
			a, b, err := p.at(f, i)
			if err != nil {
				return value.Value{}, err
			}
			same := a.IsNull() && b.IsNull()
			if !a.IsNull() && !b.IsNull() {
				same = p.cmps[i].order(a, b) == 0
			}
			if !same {
				return value.NewBool(!want), nil
			}
		}
		return value.NewBool(want), nil
	}, p.all()...)
	for i := range p.xs {
		if x, y := p.alone(i); want {
			out.implied = append(out.implied, isExprs(x, y, true))
		}
	}
	return out, nil
}
