package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// dataKinds are the kinds of values that an expression may give, as far as its
// form tells. They decide whether the column of a compound keeps its affinity.
//
// Source: SQLite's sqlite3ExprDataType.
type dataKinds uint8

const (
	givesNumbers dataKinds = 1 << iota
	givesTexts
	givesBlobs

	givesAll = givesNumbers | givesTexts | givesBlobs
)

// setKinds notes what the compiled n gives, for what does not take it from
// another expression.
func (x *expr) setKinds(n ast.Expr) {
	switch n := n.(type) {
	case *ast.ParenExpr, *ast.CollateExpr, *ast.CaseExpr:
		return
	case *ast.UnaryExpr:
		if n.Op == ast.OpPlus {
			return
		}
		x.kinds = givesNumbers
	case *ast.Literal:
		x.kinds = literalKinds(n)
	case *ast.BinaryExpr:
		switch n.Op {
		case ast.OpConcat:
			x.kinds = givesTexts | givesBlobs
		case ast.OpPtr, ast.OpPtr2:
			x.kinds = givesAll
		default:
			x.kinds = givesNumbers
		}
	case *ast.FuncCall, *ast.LikeExpr, *ast.BindParam:
		x.kinds = givesAll
	case *ast.Ident, *ast.QualifiedRef, *ast.SubqueryExpr, *ast.CastExpr:
		x.kinds = x.storedKinds()
	default:
		x.kinds = givesNumbers
	}
}

func literalKinds(n *ast.Literal) dataKinds {
	switch n.Kind {
	case ast.LitNull:
		return 0
	case ast.LitString:
		return givesTexts
	case ast.LitBlob:
		return givesBlobs
	case ast.LitInteger, ast.LitFloat:
		return givesNumbers
	default: // CURRENT_TIME is a function
		return givesAll
	}
}

// storedKinds is what a column or a cast of this affinity gives.
func (x *expr) storedKinds() dataKinds {
	switch {
	case x.hasAff && isNumeric(x.aff):
		return givesNumbers | givesBlobs
	case x.hasAff && x.aff == value.AffinityText:
		return givesTexts | givesBlobs
	case x.literal: // TRUE, FALSE, a text in double quotes
		return givesNumbers
	}
	return givesAll
}
