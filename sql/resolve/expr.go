package resolve

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// exprs resolves the names in expressions that p holds; p is nil outside of a
// SELECT.
func (r *resolver) exprs(ctx *context, p *part, list ...ast.Expr) error {
	for _, e := range list {
		if err := r.expr(ctx, p, e); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) terms(ctx *context, p *part, list []*ast.OrderingTerm) error {
	for _, o := range list {
		if err := r.expr(ctx, p, o.Expr); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) expr(ctx *context, p *part, e ast.Expr) error {
	switch n := e.(type) {
	case nil:
		return nil
	case *ast.Ident:
		_, err := r.name(ctx, &reference{column: n})
		return err
	case *ast.QualifiedRef:
		_, err := r.name(ctx, qualifiedName(n))
		return err
	case *ast.ParenExpr:
		return r.expr(ctx, p, n.X)
	case *ast.UnaryExpr:
		return r.expr(ctx, p, n.X)
	case *ast.CastExpr:
		return r.expr(ctx, p, n.X)
	case *ast.CollateExpr:
		return r.expr(ctx, p, n.X)
	case *ast.NullCheckExpr:
		return r.expr(ctx, p, n.X)
	case *ast.RaiseExpr:
		return r.expr(ctx, p, n.Message)
	case *ast.LikeExpr:
		return r.exprs(ctx, p, n.Y, n.X, n.Escape)
	case *ast.VectorExpr:
		return r.exprs(ctx, p, n.List...)
	case *ast.FuncCall:
		return r.call(ctx, p, n)
	case *ast.CaseExpr:
		return r.caseOf(ctx, p, n)
	case *ast.ExistsExpr:
		return r.subquery(ctx, p, n.Select)
	case *ast.SubqueryExpr:
		return r.subquery(ctx, p, n.Select)
	case *ast.InExpr:
		return r.in(ctx, p, n)
	}
	return r.comparison(ctx, p, e)
}

// comparison resolves what has operands of which there must be as many values.
func (r *resolver) comparison(ctx *context, p *part, e ast.Expr) error {
	var sides []ast.Expr
	switch n := e.(type) {
	case *ast.BinaryExpr:
		sides = []ast.Expr{n.X, n.Y}
		if n.Op < ast.OpEq || n.Op > ast.OpGe {
			return r.exprs(ctx, p, sides...)
		}
	case *ast.IsExpr:
		sides = []ast.Expr{n.X, n.Y}
	case *ast.BetweenExpr:
		sides = []ast.Expr{n.X, n.Lo, n.Hi}
	default:
		return nil
	}
	for _, side := range sides[1:] {
		if p.width(side) != p.width(sides[0]) {
			return sqlerr.Errorf("row value misused")
		}
	}
	return r.exprs(ctx, p, sides...)
}

// width is how many values an expression has.
func (p *part) width(e ast.Expr) int {
	switch n := unparen(e).(type) {
	case *ast.VectorExpr:
		return len(n.List)
	case *ast.SubqueryExpr:
		if p != nil && p.subs[n.Select] != nil {
			parts := p.subs[n.Select].parts
			return len(parts[len(parts)-1].results)
		}
		if q, ok := n.Select.Cores[0].(*ast.SelectQuery); ok {
			return len(q.Columns)
		}
	}
	return 1
}

func qualifiedName(n *ast.QualifiedRef) *reference {
	parts := n.Parts
	q := &reference{column: parts[len(parts)-1], qualifier: parts[len(parts)-2]}
	q.table = q.qualifier.Name
	if len(parts) == 3 {
		q.database = fold(parts[0].Name)
	}
	return q
}

func (r *resolver) call(ctx *context, p *part, n *ast.FuncCall) error {
	if err := r.exprs(ctx, p, n.Args...); err != nil {
		return err
	}
	if err := r.terms(ctx, p, n.OrderBy); err != nil {
		return err
	}
	if n.Over != nil {
		if err := r.exprs(ctx, p, n.Over.Partition...); err != nil {
			return err
		}
		if err := r.terms(ctx, p, n.Over.OrderBy); err != nil {
			return err
		}
	}
	return r.expr(ctx, p, n.Filter)
}

func (r *resolver) caseOf(ctx *context, p *part, n *ast.CaseExpr) error {
	if err := r.expr(ctx, p, n.Operand); err != nil {
		return err
	}
	for _, w := range n.Whens {
		if err := r.exprs(ctx, p, w.When, w.Then); err != nil {
			return err
		}
	}
	return r.expr(ctx, p, n.Else)
}

// in resolves x IN …: a subquery before x.
func (r *resolver) in(ctx *context, p *part, n *ast.InExpr) error {
	var err error
	switch {
	case n.Select != nil:
		err = r.subquery(ctx, p, n.Select)
	case n.Table != nil:
		err = r.subquery(ctx, p, r.inTable(n))
	}
	if err != nil {
		return err
	}
	return r.exprs(ctx, p, append([]ast.Expr{n.X}, n.List...)...)
}

// subquery resolves a SELECT in an expression, which was expanded with the one
// around it, if there is one.
func (r *resolver) subquery(ctx *context, p *part, q *ast.SelectStmt) error {
	if p != nil && p.subs[q] != nil {
		return r.resolve(p.subs[q], ctx)
	}
	_, err := r.query(q, ctx)
	return err
}
