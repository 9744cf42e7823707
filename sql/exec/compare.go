package exec

import (
	stdcmp "cmp"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// comparison is how two expressions compare: the affinity applied to both
// values and the collation of texts.
//
// Source: https://www.sqlite.org/datatype3.html §4.2, §7.1.
type comparison struct {
	aff  value.Affinity
	coll value.Collation
}

func isNumeric(a value.Affinity) bool { return a >= value.AffinityNumeric }

func comparisonOf(x, y *expr) comparison {
	cmp := comparison{coll: collationOf(x, y)}
	switch {
	case x.hasAff && y.hasAff:
		if isNumeric(x.aff) || isNumeric(y.aff) {
			cmp.aff = value.AffinityNumeric
		}
	case x.hasAff:
		cmp.aff = x.aff
	case y.hasAff:
		cmp.aff = y.aff
	}
	if isNumeric(cmp.aff) {
		cmp.aff = value.AffinityNumeric
	}
	return cmp
}

func collationOf(x, y *expr) value.Collation {
	if y.collBy > x.collBy {
		x = y
	}
	x.missing.need()
	return x.coll
}

// convert applies the comparison's affinity to one operand.
func (c comparison) convert(v value.Value) value.Value {
	switch c.aff {
	case value.AffinityNumeric:
		if v.Kind() == value.Text {
			return v.NumericArg()
		}
	case value.AffinityText:
		if v.Kind() == value.Int || v.Kind() == value.Float {
			return applyAffinity(v, value.AffinityText)
		}
	default:
	}
	return v
}

func (c comparison) order(a, b value.Value) int {
	return compare(c.convert(a), c.convert(b), c.coll)
}

func holds(op ast.Operator, order int) bool {
	switch op {
	case ast.OpEq:
		return order == 0
	case ast.OpNe:
		return order != 0
	case ast.OpLt:
		return order < 0
	case ast.OpLe:
		return order <= 0
	case ast.OpGt:
		return order > 0
	default:
		return order >= 0
	}
}

// vector returns the elements of a row value, nil for a scalar.
func vector(e ast.Expr) []ast.Expr {
	if v, ok := ast.Unparen(e).(*ast.VectorExpr); ok {
		return v.List
	}
	return nil
}

func (c *compiler) compare(sc *scope, op ast.Operator, ex, ey ast.Expr) (*expr, error) {
	if isRowValue(ex) || isRowValue(ey) {
		return c.compareRows(sc, op, ex, ey)
	}
	x, err := c.exprIn(sc, ex)
	if err != nil {
		return nil, err
	}
	y, err := c.exprIn(sc, ey)
	if err != nil {
		return nil, err
	}
	return compareExprs(op, x, y), nil
}

func compareExprs(op ast.Operator, x, y *expr) *expr {
	cmp, xo, yo := comparisonOf(x, y), operandOf(x), operandOf(y)
	e := computed(func(f *frame) (value.Value, error) {
		a, err := xo.value(f)
		if err != nil {
			return a, err
		}
		b, err := yo.value(f)
		if err != nil {
			return b, err
		}
		if a.IsNull() || b.IsNull() {
			return value.Value{}, nil
		}
		return value.NewBool(holds(op, cmp.order(a, b))), nil
	}, x, y)
	e.test = quickTest(op, cmp, xo, yo)
	e.op, e.left, e.right, e.refs = op, x, y, x.refs|y.refs
	e.reads, e.subs = slices.Concat(x.reads, y.reads), x.subs || y.subs
	return e
}

// quickTest compares as a condition.
func quickTest(op ast.Operator, cmp comparison, x, y operand) testFn {
	return func(f *frame) (bool, error) {
		a, err := x.value(f)
		if err != nil {
			return false, err
		}
		b, err := y.value(f)
		if err != nil {
			return false, err
		}
		if a.Kind() == value.Int && b.Kind() == value.Int && cmp.aff != value.AffinityText {
			return holds(op, stdcmp.Compare(a.Int(), b.Int())), nil
		}
		if a.IsNull() || b.IsNull() {
			return false, nil
		}
		return holds(op, cmp.order(a, b)), nil
	}
}

func (c *compiler) list(sc *scope, es []ast.Expr) ([]*expr, error) {
	out := make([]*expr, len(es))
	for i, e := range es {
		x, err := c.exprIn(sc, e)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

// is compiles IS and IS NOT, for which two NULLs are the same. A right side
// that is the word TRUE or FALSE asks for the truth of the left.
func (c *compiler) is(sc *scope, n *ast.IsExpr) (*expr, error) {
	want := n.Not == n.Distinct // "IS" or "IS NOT DISTINCT FROM"
	if id, ok := ast.Unparen(n.Y).(*ast.Ident); ok && id.Quote == ast.QuoteNone && !n.Distinct &&
		(ast.SameName(id.Name, "true") || ast.SameName(id.Name, "false")) {
		if m, err := sc.lookup("", id.Name); err == nil && m == nil {
			return c.isTruth(sc, n.X, ast.SameName(id.Name, "true"), want)
		}
	}
	if isRowValue(n.X) || isRowValue(n.Y) {
		return c.isRows(sc, n.X, n.Y, want)
	}
	if lit, ok := ast.Unparen(n.Y).(*ast.Literal); ok && lit.Kind == ast.LitNull {
		return c.nullCheck(sc, n.X, want)
	}
	x, err := c.exprIn(sc, n.X)
	if err != nil {
		return nil, err
	}
	y, err := c.exprIn(sc, n.Y)
	if err != nil {
		return nil, err
	}
	return isExprs(x, y, want), nil
}

func isExprs(x, y *expr, want bool) *expr {
	cmp, xe, ye := comparisonOf(x, y), x.eval, y.eval
	out := computed(func(f *frame) (value.Value, error) {
		a, err := xe(f)
		if err != nil {
			return a, err
		}
		b, err := ye(f)
		if err != nil {
			return b, err
		}
		if a.IsNull() || b.IsNull() {
			return value.NewBool((a.IsNull() && b.IsNull()) == want), nil
		}
		return value.NewBool((cmp.order(a, b) == 0) == want), nil
	}, x, y)
	out.same, out.left, out.right = want, x, y
	return out
}

func (c *compiler) isTruth(sc *scope, e ast.Expr, wantTrue, want bool) (*expr, error) {
	x, err := c.expr(sc, e)
	if err != nil {
		return nil, err
	}
	ev := x.eval
	return computed(func(f *frame) (value.Value, error) {
		v, err := ev(f)
		if err != nil {
			return v, err
		}
		t, known := truth(v)
		return value.NewBool((known && t == wantTrue) == want), nil
	}, x), nil
}

func (c *compiler) between(sc *scope, n *ast.BetweenExpr) (*expr, error) {
	lo, err := c.compare(sc, ast.OpGe, n.X, n.Lo)
	if err != nil {
		return nil, err
	}
	hi, err := c.compare(sc, ast.OpLe, n.X, n.Hi)
	if err != nil {
		return nil, err
	}
	both := logic(lo, hi, false)
	if isRowValue(n.X) {
		both.implied = []*expr{lo, hi}
	}
	if !n.Not {
		return both, nil
	}
	return negation(both), nil
}

func negation(x *expr) *expr {
	ev := x.eval
	return computed(func(f *frame) (value.Value, error) {
		v, err := ev(f)
		if err != nil || v.IsNull() {
			return v, err
		}
		t, _ := truth(v)
		return value.NewBool(!t), nil
	}, x)
}

func (c *compiler) like(sc *scope, n *ast.LikeExpr) (*expr, error) {
	op := strings.ToLower(n.Op.Name)
	if op == "match" || op == "regexp" {
		op = strings.ToUpper(op) // as messages name them
	}
	args, err := c.list(sc, []ast.Expr{n.Y, n.X})
	if err != nil {
		return nil, err
	}
	if n.Escape != nil {
		esc, err := c.expr(sc, n.Escape)
		if err != nil {
			return nil, err
		}
		args = append(args, esc)
	}
	x, err := c.callNamed(op, args)
	if err != nil {
		return nil, err
	}
	if n.Not {
		return negation(x), nil
	}
	if n.Escape == nil {
		if op == "MATCH" {
			return x, nil
		}
		x.left, x.like = args[1], &likeMatch{pattern: args[0], glob: op == "glob"}
	}
	return x, nil
}

// inList compiles x IN (a, b, …): an OR of equalities in which the elements'
// own affinity does not count.
func (c *compiler) in(sc *scope, n *ast.InExpr) (*expr, error) {
	var x *expr
	var err error
	switch {
	case n.Select != nil:
		x, err = c.inSelect(sc, n.X, n.Select)
	case n.Table != nil:
		x, err = c.inSelect(sc, n.X, selectAll(n))
	default:
		x, err = c.inList(sc, n)
	}
	if err != nil || !n.Not {
		return x, err
	}
	return negation(x), nil
}

func (c *compiler) inList(sc *scope, n *ast.InExpr) (*expr, error) {
	if vector(n.X) != nil {
		return c.inRows(sc, n)
	}
	x, err := c.exprIn(sc, n.X)
	if err != nil {
		return nil, err
	}
	list, err := c.list(sc, n.List)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		x.missing.need()
	}
	left := *x
	cmp := comparison{coll: x.coll}
	if left.hasAff {
		cmp.aff = left.aff
		if isNumeric(cmp.aff) {
			cmp.aff = value.AffinityNumeric
		}
	}
	xe := x.eval
	e := computed(func(f *frame) (value.Value, error) {
		if len(list) == 0 {
			return value.NewBool(false), nil
		}
		a, err := xe(f)
		if err != nil || a.IsNull() {
			return value.Value{}, err
		}
		unknown := false
		for _, e := range list {
			b, err := e.eval(f)
			if err != nil {
				return b, err
			}
			if b.IsNull() {
				unknown = true
			} else if cmp.order(a, b) == 0 {
				return value.NewBool(true), nil
			}
		}
		if unknown {
			return value.Value{}, nil
		}
		return value.NewBool(false), nil
	}, append([]*expr{x}, list...)...)
	if !n.Not {
		e.left, e.list = x, list
	}
	return e, nil
}

func (c *compiler) inRows(sc *scope, n *ast.InExpr) (*expr, error) {
	var any *expr
	want := len(vector(n.X))
	for _, e := range n.List {
		switch have := max(len(vector(e)), 1); have {
		case want:
		case 1:
			return nil, errorf("IN(...) element has 1 term - expected %d", want)
		default:
			return nil, errorf("IN(...) element has %d terms - expected %d", have, want)
		}
		eq, err := c.compare(sc, ast.OpEq, n.X, e)
		if err != nil {
			return nil, err
		}
		if any == nil {
			any = eq
		} else {
			any = logic(any, eq, true)
		}
	}
	if any == nil {
		return constant(value.NewInt(0)), nil
	}
	return any, nil
}

func selectAll(n *ast.InExpr) *ast.SelectStmt {
	return &ast.SelectStmt{Cores: []ast.SelectCore{&ast.SelectQuery{
		Columns: []*ast.ResultColumn{{Expr: &ast.Star{}}},
		From:    []*ast.TableRef{{Name: n.Table, Args: n.Args, HasArgs: n.HasArgs}},
	}}}
}
