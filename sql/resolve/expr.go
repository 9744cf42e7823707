package resolve

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// exprs resolves the names in expressions of one clause; p holds them, nil stands
// for outside of a SELECT. The error is that of the first one that has any.
func (r *resolver) exprs(ctx *context, p *part, list ...ast.Expr) error {
	for _, e := range list {
		if e == nil {
			continue
		}
		if err := r.walk(ctx, p, e); err != nil {
			r.fault = err
		}
		if r.fault != nil {
			return r.fault
		}
	}
	return nil
}

func (r *resolver) terms(ctx *context, p *part, list []*ast.OrderingTerm) error {
	for _, o := range list {
		if err := r.exprs(ctx, p, o.Expr); err != nil {
			return err
		}
	}
	return nil
}

// walk resolves the names in an expression. An error ends it, but for one in the
// arguments of a function, whose siblings are looked at all the same: the last
// one is what SQLite reports.
func (r *resolver) walk(ctx *context, p *part, e ast.Expr) error {
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
		return r.walk(ctx, p, n.X)
	case *ast.LikeExpr:
		r.swallow(r.walkAll(ctx, p, n.Y, n.X, n.Escape))
		if n.Not {
			return r.fault
		}
		return nil
	case *ast.NullCheckExpr:
		r.swallow(r.walk(ctx, p, n.X))
		return nil
	case *ast.IsExpr:
		if lit, ok := ast.Unparen(n.Y).(*ast.Literal); ok && lit.Kind == ast.LitNull {
			r.swallow(r.walk(ctx, p, n.X))
			return nil
		}
	case *ast.FuncCall:
		r.call(ctx, p, n)
		return nil
	}
	if err := r.before(ctx, p, e); err != nil {
		return err
	}
	if r.fault != nil {
		return r.fault
	}
	return r.walkAll(ctx, p, operands(e)...)
}

// swallow keeps an error that does not end the expression.
func (r *resolver) swallow(err error) {
	if err != nil {
		r.fault = err
	}
}

func (r *resolver) walkAll(ctx *context, p *part, list ...ast.Expr) error {
	for _, e := range list {
		if err := r.walk(ctx, p, e); err != nil {
			return err
		}
	}
	return nil
}

// before does what comes before the operands of an expression: its subquery, and
// whether there are as many values as others.
func (r *resolver) before(ctx *context, p *part, e ast.Expr) error {
	var sides []ast.Expr
	switch n := e.(type) {
	case *ast.ExistsExpr:
		return r.subquery(ctx, p, n.Select)
	case *ast.SubqueryExpr:
		return r.subquery(ctx, p, n.Select)
	case *ast.InExpr:
		switch {
		case n.Select != nil:
			return r.subquery(ctx, p, n.Select)
		case n.Table != nil:
			return r.subquery(ctx, p, r.inTable(n))
		}
	case *ast.IsExpr:
		sides = []ast.Expr{n.X, n.Y}
		if id, ok := plain(n.Y).(*ast.Ident); ok { // it may be TRUE
			if err := r.walk(ctx, p, id); err != nil {
				return err
			}
		}
	case *ast.BinaryExpr:
		if n.Op >= ast.OpEq && n.Op <= ast.OpGe {
			sides = []ast.Expr{n.X, n.Y}
		}
	case *ast.BetweenExpr:
		sides = []ast.Expr{n.X, n.Lo, n.Hi}
	}
	for _, side := range sides {
		if p.width(side) != p.width(sides[0]) {
			return sqlerr.Errorf("row value misused")
		}
	}
	return nil
}

// operands are the expressions in another one that are not its subquery.
func operands(e ast.Expr) []ast.Expr {
	switch n := e.(type) {
	case *ast.UnaryExpr:
		return []ast.Expr{n.X}
	case *ast.BinaryExpr:
		return []ast.Expr{n.X, n.Y}
	case *ast.IsExpr:
		return []ast.Expr{n.X, n.Y}
	case *ast.BetweenExpr:
		return []ast.Expr{n.X, n.Lo, n.Hi}
	case *ast.CastExpr:
		return []ast.Expr{n.X}
	case *ast.CollateExpr:
		return []ast.Expr{n.X}
	case *ast.RaiseExpr:
		return []ast.Expr{n.Message}
	case *ast.VectorExpr:
		return n.List
	case *ast.InExpr:
		return append([]ast.Expr{n.X}, n.List...)
	case *ast.CaseExpr:
		list := []ast.Expr{n.Operand}
		for _, w := range n.Whens {
			list = append(list, w.When, w.Then)
		}
		return append(list, n.Else)
	}
	return nil
}

// width is how many values an expression has.
func (p *part) width(e ast.Expr) int {
	switch n := ast.Unparen(e).(type) {
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

// call resolves a function's arguments, and what is said about its window.
func (r *resolver) call(ctx *context, p *part, n *ast.FuncCall) {
	r.swallow(r.walkAll(ctx, p, n.Args...))
	for _, o := range n.OrderBy {
		if err := r.walk(ctx, p, o.Expr); err != nil {
			r.fault = err
			break
		}
	}
	if n.Over != nil && r.fault == nil {
		r.swallow(r.walkAll(ctx, p, n.Over.Partition...))
		for _, o := range n.Over.OrderBy {
			r.swallow(r.walk(ctx, p, o.Expr))
		}
	}
	if n.Over == nil || r.fault == nil {
		r.swallow(r.walk(ctx, p, n.Filter))
	}
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
