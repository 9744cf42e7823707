package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// rowOperand is one side of a comparison of row values: the elements of a
// row value, or the first row of a subquery.
type rowOperand struct {
	xs []*expr   // elements, or what the columns of the subquery are compared by
	q  *subquery // nil for elements
}

// isRow reports whether e is a row value, or a subquery with more than one column.
func isRow(e ast.Expr) bool {
	switch n := unparen(e).(type) {
	case *ast.VectorExpr:
		return true
	case *ast.SubqueryExpr:
		switch core := n.Select.Cores[0].(type) {
		case *ast.ValuesClause:
			return len(core.Rows[0]) > 1
		case *ast.SelectQuery:
			return len(core.Columns) > 1
		}
	}
	return false
}

func (c *compiler) rowOperand(sc *scope, e ast.Expr) (*rowOperand, error) {
	switch n := unparen(e).(type) {
	case *ast.VectorExpr:
		xs, err := c.list(sc, n.List)
		return &rowOperand{xs: xs}, err
	case *ast.SubqueryExpr:
		q, err := c.subquery(sc, n.Select)
		if err != nil {
			return nil, err
		}
		r := &rowOperand{q: q}
		for i := range q.cols {
			r.xs = append(r.xs, q.comparedAs(i))
		}
		return r, nil
	}
	return nil, errorf("row value misused")
}

// row returns the first row of the subquery, NULLs when it has none; nil for elements.
func (r *rowOperand) row(f *frame) ([]value.Value, error) {
	if r.q == nil {
		return nil, nil
	}
	st := &f.subs[r.q.id]
	if st.done && !r.q.correlated {
		return st.row, nil
	}
	found, err := r.q.first(f)
	if err != nil {
		return nil, err
	}
	st.done, st.row = true, make([]value.Value, len(r.q.out))
	for i, s := range r.q.out {
		if found {
			st.row[i] = f.regs[s]
		}
	}
	return st.row, nil
}

// at returns element i, of row where that is not nil.
func (r *rowOperand) at(f *frame, row []value.Value, i int) (value.Value, error) {
	if row != nil {
		return row[i], nil
	}
	return r.xs[i].eval(f)
}

// rowPair is a comparison of two rows.
type rowPair struct {
	x, y *rowOperand
	cmps []comparison
}

func (c *compiler) rowPair(sc *scope, ex, ey ast.Expr) (*rowPair, error) {
	x, err := c.rowOperand(sc, ex)
	if err != nil {
		return nil, err
	}
	y, err := c.rowOperand(sc, ey)
	if err != nil {
		return nil, err
	}
	if len(x.xs) != len(y.xs) {
		return nil, errorf("row value misused")
	}
	p := &rowPair{x: x, y: y}
	for i := range x.xs {
		p.cmps = append(p.cmps, comparisonOf(x.xs[i], y.xs[i]))
	}
	return p, nil
}

// expr makes an expression of the pair that has the value of eval.
func (p *rowPair) expr(eval evalFn) *expr {
	if p.x.q != nil || p.y.q != nil {
		return &expr{slot: -1, eval: eval}
	}
	return computed(eval, append(append([]*expr(nil), p.x.xs...), p.y.xs...)...)
}

// each calls fn for the elements in pairs until it returns false.
func (p *rowPair) each(f *frame, fn func(cmp comparison, a, b value.Value) bool) error {
	rx, err := p.x.row(f)
	if err != nil {
		return err
	}
	ry, err := p.y.row(f)
	if err != nil {
		return err
	}
	for i, cmp := range p.cmps {
		a, err := p.x.at(f, rx, i)
		if err != nil {
			return err
		}
		b, err := p.y.at(f, ry, i)
		if err != nil {
			return err
		}
		if !fn(cmp, a, b) {
			return nil
		}
	}
	return nil
}

// compareRows compares row values element by element: the first pair that is
// not equal decides, a NULL before it makes the result unknown.
func (c *compiler) compareRows(sc *scope, op ast.Operator, ex, ey ast.Expr) (*expr, error) {
	p, err := c.rowPair(sc, ex, ey)
	if err != nil {
		return nil, err
	}
	equality := op == ast.OpEq || op == ast.OpNe
	return p.expr(func(f *frame) (value.Value, error) {
		unknown, order := false, 0
		err := p.each(f, func(cmp comparison, a, b value.Value) bool {
			if a.IsNull() || b.IsNull() {
				unknown = true
				return equality
			}
			order = cmp.order(a, b)
			return order == 0
		})
		if err != nil || unknown && (order == 0 || !equality) {
			return value.Value{}, err
		}
		return value.NewBool(holds(op, order)), nil
	}), nil
}

// isRows is IS between row values: want says what is given for rows that are the same.
func (c *compiler) isRows(sc *scope, ex, ey ast.Expr, want bool) (*expr, error) {
	p, err := c.rowPair(sc, ex, ey)
	if err != nil {
		return nil, err
	}
	return p.expr(func(f *frame) (value.Value, error) {
		alike := true
		err := p.each(f, func(cmp comparison, a, b value.Value) bool {
			if a.IsNull() || b.IsNull() {
				alike = a.IsNull() && b.IsNull()
			} else {
				alike = cmp.order(a, b) == 0
			}
			return alike
		})
		return value.NewBool(alike == want), err
	}), nil
}
