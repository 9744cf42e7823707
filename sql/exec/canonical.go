package exec

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
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

// sameForm returns a text that two expressions over the sources of sc share if
// SQLite takes one for the other in ORDER BY of a compound and in ON CONFLICT:
// names are what they stand for, literals are compared byte for byte. "": an
// expression that is the same as none, such as one with a subquery.
func sameForm(sc *scope, aliases map[string]ast.Expr, e ast.Expr) string {
	k := &canonicalizer{sc: sc, aliases: aliases, exact: true, left: math.MaxInt}
	k.expr(e)
	if k.failed {
		return ""
	}
	return k.b.String()
}

type canonicalizer struct {
	sc      *scope
	aliases map[string]ast.Expr // of sameForm: names of result columns
	exact   bool                // for sameForm
	b       strings.Builder
	left    int
	failed  bool
}

func (k *canonicalizer) expr(e ast.Expr) {
	if k.left--; k.left < 0 {
		k.failed = true
	}
	if k.failed {
		return
	}
	switch n := ast.Unparen(e).(type) {
	case *ast.Ident:
		k.name(n)
	case *ast.QualifiedRef:
		k.qualified(n)
	case *ast.Literal:
		k.literal(n)
	case *ast.BindParam:
		k.b.WriteString("?" + strconv.Itoa(n.Number))
	case *ast.UnaryExpr:
		k.group(n.Op.String(), n.X)
	case *ast.BinaryExpr:
		k.group(n.Op.String(), n.X, n.Y)
	case *ast.CollateExpr:
		k.group("COLLATE "+fold(n.Name.Name), n.X)
	case *ast.CastExpr:
		k.cast(n)
	case *ast.NullCheckExpr:
		k.nullCheck(n.X, n.Test == ast.TestIsNull)
	case *ast.IsExpr:
		not := n.Not != n.Distinct
		if lit, ok := ast.Unparen(n.Y).(*ast.Literal); ok && lit.Kind == ast.LitNull {
			k.nullCheck(n.X, !not)
			return
		}
		k.negated(not, "IS", n.X, n.Y)
	case *ast.BetweenExpr:
		k.negated(n.Not, "BETWEEN", n.X, n.Lo, n.Hi)
	case *ast.LikeExpr:
		args := []ast.Expr{n.Y, n.X}
		if n.Escape != nil {
			args = append(args, n.Escape)
		}
		k.negated(n.Not, fold(n.Op.Name), args...)
	case *ast.InExpr:
		if n.Select != nil || n.Table != nil {
			k.failed = true
			return
		}
		k.negated(n.Not, "IN", append([]ast.Expr{n.X}, n.List...)...)
	case *ast.CaseExpr:
		k.caseOf(n)
	case *ast.FuncCall:
		k.call(n)
	default:
		k.failed = true
	}
}

func (k *canonicalizer) cast(n *ast.CastExpr) {
	if k.exact {
		raw := castType(n).Raw
		k.group("CAST "+strconv.Itoa(len(raw))+":"+raw, n.X)
		return
	}
	k.group("CAST "+fold(castType(n).Name), n.X)
}

func (k *canonicalizer) negated(not bool, op string, xs ...ast.Expr) {
	if not {
		k.b.WriteString("(NOT ")
		defer k.b.WriteByte(')')
	}
	k.group(op, xs...)
}

func (k *canonicalizer) caseOf(n *ast.CaseExpr) {
	k.b.WriteString("(CASE")
	if n.Operand != nil {
		k.b.WriteString(" OF ")
		k.expr(n.Operand)
	}
	for _, w := range n.Whens {
		k.group(" WHEN", w.When, w.Then)
	}
	if n.Else != nil {
		k.b.WriteString(" ELSE ")
		k.expr(n.Else)
	}
	k.b.WriteByte(')')
}

// call writes a call. One of an aggregate is no part of an index, but may be a
// term of ORDER BY.
func (k *canonicalizer) call(n *ast.FuncCall) {
	if n.Over != nil || !k.exact && (n.Star || n.Distinct || n.Filter != nil || len(n.OrderBy) > 0) {
		k.failed = true
		return
	}
	op := fold(n.Name.Name)
	if n.Star {
		op += "*"
	}
	if n.Distinct {
		op += " DISTINCT"
	}
	k.group(op, n.Args...)
	if n.Filter != nil {
		k.group("FILTER", n.Filter)
	}
	for _, t := range n.OrderBy {
		k.group("ORDER "+strconv.Itoa(int(t.Order))+" "+strconv.Itoa(int(t.Nulls)), t.Expr)
	}
}

// literal writes a literal. To sameForm an integer of 32 bits is its value, any
// other literal its text.
func (k *canonicalizer) literal(n *ast.Literal) {
	text := n.Value
	if v := integerLiteral(n.Value); k.exact && n.Kind == ast.LitInteger && v.Kind() == value.Int && v.Int() == int64(int32(v.Int())) {
		text = strconv.FormatInt(v.Int(), 10)
	}
	k.b.WriteString(strconv.Itoa(int(n.Kind)) + ":" + strconv.Itoa(len(text)) + ":" + text)
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

// name writes what an unqualified name stands for: a column or, to sameForm, the
// result column of that name, a truth value, or a text in double quotes.
func (k *canonicalizer) name(id *ast.Ident) {
	if k.column("", "", id) || k.failed {
		return
	}
	switch e, ok := k.aliases[fold(id.Name)]; {
	case ok:
		aliases := k.aliases
		k.aliases = nil
		k.expr(e)
		k.aliases = aliases
	case !k.exact:
		k.failed = true
	case id.Quote == ast.QuoteNone && (ast.SameName(id.Name, "true") || ast.SameName(id.Name, "false")):
		k.b.WriteString(id.Name)
	case id.Quote == ast.QuoteDouble:
		k.literal(&ast.Literal{Kind: ast.LitString, Value: id.Name})
	default:
		k.failed = true
	}
}

func (k *canonicalizer) qualified(n *ast.QualifiedRef) {
	db, p := "", n.Parts
	if len(p) == 3 {
		db, p = fold(p[0].Name), p[1:]
	}
	if !k.column(db, p[0].Name, p[1]) {
		k.failed = true
	}
}

// column writes the register of a column of the scope itself.
func (k *canonicalizer) column(db, table string, id *ast.Ident) bool {
	m, err := k.sc.lookupIn(db, table, id.Name)
	if err != nil || m == nil {
		k.failed = k.failed || err != nil
		return false
	}
	if k.exact {
		k.b.WriteString(m.form())
		return true
	}
	if m.mrg != nil {
		k.failed = true
		return false
	}
	if m.src.flat != nil && m.col >= 0 {
		k.failed = k.failed || m.src.flat[m.col].canon == ""
		k.b.WriteString(m.src.flat[m.col].canon)
		return true
	}
	slot := m.src.rowID
	if m.col >= 0 {
		slot = m.src.slots[m.col]
	}
	k.b.WriteString("$" + strconv.Itoa(slot))
	return true
}

// form is the column for sameForm: an INTEGER PRIMARY KEY is the row id.
func (m *match) form() string {
	if m.mrg != nil && len(m.mrg.shown) > 1 {
		return "$" + strconv.Itoa(m.mrg.shown[0].src.index) + "." + m.mrg.name
	}
	col := m.col
	if t := m.src.table; t != nil && col == t.RowID {
		col = -1
	}
	return "$" + strconv.Itoa(m.src.index) + "." + strconv.Itoa(col)
}
