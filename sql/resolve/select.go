package resolve

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// resolve looks up the names of a SELECT that is expanded, its last part first.
func (r *resolver) resolve(c *compound, outer *context) error {
	for i, p := range slices.Backward(c.parts) {
		if p.resolved {
			return nil
		}
		p.resolved = true
		if err := r.resolvePart(p, outer, len(c.parts) > 1); err != nil {
			return err
		}
		if i+1 < len(c.parts) && len(p.results) != len(c.parts[i+1].results) {
			return wrongCount(c.op(i + 1))
		}
	}
	if last := c.parts[len(c.parts)-1]; len(c.parts) > 1 && last.core != nil {
		return r.orderCompound(c, last.core.OrderBy)
	}
	return nil
}

func wrongCount(op *ast.CompoundOp) error {
	if op == nil {
		return sqlerr.Errorf("all VALUES must have the same number of terms")
	}
	return sqlerr.Errorf("SELECTs to the left and right of %s do not have the same number of result columns", ast.OpName(*op))
}

func (r *resolver) resolvePart(p *part, outer *context, isCompound bool) error {
	if p.core != nil && p.core.Limit != nil {
		if err := r.exprs(&context{}, p, p.core.Limit.Count, p.core.Limit.Offset); err != nil {
			return err
		}
	}
	for _, it := range p.items {
		if it.sub == nil || it.recursive {
			continue
		}
		if err := r.resolve(it.sub, outer); err != nil {
			return err
		}
		if r.fault != nil {
			return r.fault
		}
	}
	ctx := &context{items: p.items, outer: outer}
	for _, res := range p.results {
		if err := r.resolveResult(ctx, p, res); err != nil {
			return err
		}
	}
	if p.core == nil {
		return nil
	}
	ctx.results = p.results
	if err := r.clauses(ctx, p); err != nil {
		return err
	}
	if !isCompound {
		if err := r.orderBy(ctx, p); err != nil {
			return err
		}
	}
	for i, e := range p.core.GroupBy {
		if ok, err := inRange(e, i, "GROUP", len(p.results)); err != nil {
			return err
		} else if ok {
			continue
		}
		if err := r.exprs(ctx, p, e); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) resolveResult(ctx *context, p *part, res *result) (err error) {
	switch n := plain(res.expr).(type) {
	case *ast.Ident:
		res.match, err = r.name(ctx, &reference{column: n})
	case *ast.QualifiedRef:
		res.match, err = r.name(ctx, qualifiedName(n))
	default:
		return r.exprs(ctx, p, res.expr)
	}
	r.swallow(err)
	return r.fault
}

// clauses resolves HAVING, WHERE with the conditions of joins, the arguments of
// tables that are functions, and windows.
func (r *resolver) clauses(ctx *context, p *part) error {
	if err := r.exprs(ctx, p, p.core.Having); err != nil {
		return err
	}
	if err := r.exprs(ctx, p, p.where...); err != nil {
		return err
	}
	for _, it := range p.items {
		if err := r.exprs(ctx, p, it.ref.Args...); err != nil {
			return err
		}
	}
	for _, w := range p.core.Windows {
		if err := r.terms(ctx, p, w.OrderBy); err != nil {
			return err
		}
		if err := r.exprs(ctx, p, w.Partition...); err != nil {
			return err
		}
	}
	return nil
}

// orderBy resolves ORDER BY. A term that is the name of a result stays what it is.
func (r *resolver) orderBy(ctx *context, p *part) error {
	for i, o := range p.core.OrderBy {
		e := plain(o.Expr)
		if id, ok := e.(*ast.Ident); ok && aliasIn(p.results, id.Name) != nil {
			continue
		}
		if ok, err := inRange(e, i, "ORDER", len(p.results)); err != nil {
			return err
		} else if ok {
			continue
		}
		if err := r.exprs(ctx, p, o.Expr); err != nil {
			return err
		}
	}
	return nil
}

// inRange reports whether a term is the number of a result. That there is such a
// result shows later, but that it may be one now.
func inRange(e ast.Expr, i int, clause string, n int) (bool, error) {
	k, ok := number(plain(e))
	if ok && (k < 1 || k > 0xffff) {
		return true, outOfRange(i, clause, n)
	}
	return ok, nil
}

func outOfRange(i int, clause string, n int) error {
	return sqlerr.Errorf("%s %s BY term out of range - should be between 1 and %d", sqlerr.Ordinal(i+1), clause, n)
}

// number is the value of a term that is a whole number.
func number(e ast.Expr) (int, bool) {
	switch n := ast.Unparen(e).(type) {
	case *ast.Literal:
		if n.Kind != ast.LitInteger {
			return 0, false
		}
		k, err := strconv.ParseInt(n.Value, 0, 32)
		return int(k), err == nil
	case *ast.UnaryExpr:
		if k, ok := number(n.X); ok && n.Op == ast.OpMinus {
			return -k, true
		} else if n.Op == ast.OpPlus {
			return k, ok
		}
	}
	return 0, false
}

// orderCompound resolves the ORDER BY of a compound: each term is a result of
// one of its parts, the first of them that has it.
func (r *resolver) orderCompound(c *compound, terms []*ast.OrderingTerm) error {
	done := make([]bool, len(terms))
	for _, p := range c.parts {
		for i, o := range terms {
			if done[i] {
				continue
			}
			e := plain(o.Expr)
			if k, ok := number(e); ok {
				if k < 1 || k > len(p.results) {
					return outOfRange(i, "ORDER", len(p.results))
				}
				done[i] = true
				continue
			}
			id, ok := e.(*ast.Ident)
			done[i] = ok && aliasIn(p.results, id.Name) != nil || r.isResult(p, e)
		}
	}
	for i := range done {
		if !done[i] {
			return sqlerr.Errorf("%s ORDER BY term does not match any column in the result set", sqlerr.Ordinal(i+1))
		}
	}
	return nil
}

// isResult reports whether an expression is a result of a part, and resolves it
// if it is.
func (r *resolver) isResult(p *part, e ast.Expr) bool {
	ctx := &context{items: p.items, results: p.results}
	r.silent++
	err := r.exprs(ctx, nil, e)
	r.fault = nil
	var text string
	if err == nil {
		text = r.canonical(ctx, e)
	}
	same := false
	for _, res := range p.results {
		same = same || err == nil && r.canonical(ctx, plain(res.expr)) == text
	}
	r.silent--
	return same && r.exprs(ctx, nil, e) == nil
}

// canonical writes an expression so that those that mean the same are the same,
// if they are not too unlike.
func (r *resolver) canonical(ctx *context, e ast.Expr) string {
	var q *reference
	switch n := e.(type) {
	case *ast.ParenExpr:
		return r.canonical(ctx, n.X)
	case *ast.Ident:
		q = &reference{column: n}
	case *ast.QualifiedRef:
		q = qualifiedName(n)
	case *ast.UnaryExpr:
		return n.Op.String() + " " + r.canonical(ctx, n.X)
	case *ast.BinaryExpr:
		return "(" + r.canonical(ctx, n.X) + n.Op.String() + r.canonical(ctx, n.Y) + ")"
	case *ast.FuncCall:
		if n.Over != nil || n.Filter != nil || len(n.OrderBy) > 0 {
			break
		}
		var args []string
		for _, a := range n.Args {
			args = append(args, r.canonical(ctx, a))
		}
		return fmt.Sprint(fold(n.Name.Name), n.Distinct, n.Star, args)
	}
	if q != nil {
		if m, err := r.name(ctx, q); err == nil && m.item != nil {
			return fmt.Sprintf("%p.%d", m.item, m.col)
		}
	}
	return ast.String(e)
}
