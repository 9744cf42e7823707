package exec

import (
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
)

func isHex(s string) bool { return len(s) > 2 && (s[1] == 'x' || s[1] == 'X') }

// hexTooBig reports whether a 0x literal has more than 64 bits.
func hexTooBig(s string) bool {
	return isHex(s) && len(strings.TrimLeft(strings.ReplaceAll(s[2:], "_", ""), "0")) > 16
}

// isProbability reports whether e is a real literal up to 1.
func isProbability(e ast.Expr) bool {
	lit, ok := ast.Unparen(e).(*ast.Literal)
	if !ok || lit.Kind != ast.LitFloat {
		return false
	}
	p, err := strconv.ParseFloat(strings.ReplaceAll(lit.Value, "_", ""), 64)
	return err == nil && p <= 1
}

// castType is the type of a CAST; none is as good as one that nobody knows.
func castType(n *ast.CastExpr) *ast.TypeName {
	if n.Type == nil {
		return &ast.TypeName{Name: "NUMERIC"}
	}
	return n.Type
}
