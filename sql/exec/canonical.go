package exec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
)

// canonicalMax bounds the size of an expression that is compared with those of
// indexes, in nodes.
const canonicalMax = 40

// canonical returns a text that two expressions over the sources of sc share
// only if they are the same, names apart; "" for what is not told.
func canonical(sc *scope, e ast.Expr) string {
	k := &canonicalizer{sc: sc, left: canonicalMax}
	k.expr(e)
	if k.failed {
		return ""
	}
	return k.b.String()
}

// compares reports whether some source has an index for which expressions are
// compared: a canonical form holds the literals of the statement once more.
func (sc *scope) compares() bool {
	return slices.ContainsFunc(sc.sources, func(s *source) bool {
		return s.table != nil && slices.ContainsFunc(s.table.Indexes, func(ix *schema.Index) bool {
			return ix.Where != nil || slices.ContainsFunc(ix.Columns, func(c schema.IndexColumn) bool { return c.Expr != nil })
		})
	})
}

// notNullOf returns the canonical form of x IS NOT NULL.
func notNullOf(x string) string { return "(" + x + " NOTNULL)" }

type canonicalizer struct {
	sc     *scope
	b      strings.Builder
	left   int
	failed bool
}

func (k *canonicalizer) expr(e ast.Expr) {
	if k.left--; k.left < 0 {
		k.failed = true
	}
	if k.failed {
		return
	}
	switch n := unparen(e).(type) {
	case *ast.Ident:
		k.column("", n)
	case *ast.QualifiedRef:
		if len(n.Parts) != 2 {
			k.failed = true
			return
		}
		k.column(n.Parts[0].Name, n.Parts[1])
	case *ast.Literal:
		k.b.WriteString(strconv.Itoa(int(n.Kind)) + ":" + strconv.Itoa(len(n.Value)) + ":")
		k.b.WriteString(n.Value)
	case *ast.UnaryExpr:
		k.group(n.Op.String(), n.X)
	case *ast.BinaryExpr:
		k.group(n.Op.String(), n.X, n.Y)
	case *ast.CollateExpr:
		k.group("COLLATE "+fold(n.Name.Name), n.X)
	case *ast.CastExpr:
		k.group("CAST "+fold(n.Type.Name), n.X)
	case *ast.NullCheckExpr:
		k.nullCheck(n.X, n.Test == ast.TestIsNull)
	case *ast.IsExpr:
		if lit, ok := unparen(n.Y).(*ast.Literal); ok && lit.Kind == ast.LitNull && !n.Distinct {
			k.nullCheck(n.X, !n.Not)
			return
		}
		k.failed = true
	case *ast.FuncCall:
		if n.Star || n.Distinct || n.Filter != nil || len(n.OrderBy) > 0 || n.Over != nil {
			k.failed = true
			return
		}
		k.group(fold(n.Name.Name), n.Args...)
	default:
		k.failed = true
	}
}

func (k *canonicalizer) group(op string, xs ...ast.Expr) {
	k.b.WriteString("(" + op)
	for _, x := range xs {
		k.b.WriteByte(' ')
		k.expr(x)
	}
	k.b.WriteByte(')')
}

func (k *canonicalizer) nullCheck(x ast.Expr, isNull bool) {
	k.b.WriteByte('(')
	k.expr(x)
	if isNull {
		k.b.WriteString(" ISNULL)")
	} else {
		k.b.WriteString(" NOTNULL)")
	}
}

// column writes the register of a column of the scope itself.
func (k *canonicalizer) column(table string, id *ast.Ident) {
	m, err := k.sc.lookup(table, id.Name)
	if err != nil || m == nil || m.mrg != nil {
		k.failed = true
		return
	}
	slot := m.src.rowID
	if m.src.flat != nil && m.col >= 0 {
		k.failed = k.failed || m.src.flat[m.col].canon == ""
		k.b.WriteString(m.src.flat[m.col].canon)
		return
	}
	if m.col >= 0 {
		slot = m.src.slots[m.col]
	}
	k.b.WriteString("$" + strconv.Itoa(slot))
}
