package exec

import (
	"math"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// columnNumber reports whether a term of ORDER BY or GROUP BY is the number of a
// result column: an integer of 32 bits, with or without a sign.
func columnNumber(e ast.Expr) (int, bool) {
	switch n := ast.Unparen(e).(type) {
	case *ast.UnaryExpr:
		i, ok := columnNumber(n.X)
		if n.Op == ast.OpMinus {
			i = -i
		}
		return i, ok && (n.Op == ast.OpMinus || n.Op == ast.OpPlus)
	case *ast.Literal:
		if n.Kind != ast.LitInteger {
			return 0, false
		}
		v := integerLiteral(n.Value)
		return int(v.Int()), v.Kind() == value.Int && v.Int() >= 0 && v.Int() <= math.MaxInt32
	}
	return 0, false
}

// uncollated takes COLLATE off a term; nil: there is none.
func uncollated(e ast.Expr) (ast.Expr, *ast.CollateExpr) {
	if c, ok := ast.Unparen(e).(*ast.CollateExpr); ok {
		return ast.Unparen(c.X), c
	}
	return ast.Unparen(e), nil
}
