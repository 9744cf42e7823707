package schema

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// columnNames calls fn for each name in e that stands for a column, with the
// identifier of the column and the qualifier before it, which may be nil.
// Names of functions, collations and types are none.
func columnNames(e ast.Expr, fn func(qualifier, column *ast.Ident)) {
	ast.Walk(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			fn(nil, n)
		case *ast.QualifiedRef:
			fn(n.Parts[len(n.Parts)-2], n.Parts[len(n.Parts)-1])
			return false
		case *ast.CollateExpr:
			columnNames(n.X, fn)
			return false
		case *ast.LikeExpr:
			for _, c := range n.Children() {
				if x, ok := c.(ast.Expr); ok && c != ast.Node(n.Op) {
					columnNames(x, fn)
				}
			}
			return false
		case *ast.FuncCall:
			for _, a := range n.Args {
				columnNames(a, fn)
			}
			return false
		}
		return true
	})
}

// checkNames refuses what an expression kept in the schema may not hold:
// columns of other tables, parameters, subqueries. Where is a plural.
func checkNames(e ast.Expr, t *Table, where string) error {
	var err error
	fail := func(format string, args ...any) {
		if err == nil {
			err = sqlerr.Errorf(format, args...)
		}
	}
	ast.Walk(e, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.SelectStmt:
			fail("subqueries prohibited in %s", where)
			return false
		case *ast.BindParam:
			fail("parameters prohibited in %s", where)
		}
		return err == nil
	})
	columnNames(e, func(q, c *ast.Ident) {
		switch {
		case q != nil && fold(q.Name) != fold(t.Name):
			fail("no such column: %s.%s", q.Name, c.Name)
		case t.Column(c.Name) >= 0 || c.Quote == ast.QuoteDouble || isRowID(c.Name) && !t.WithoutRowID:
		case q == nil && (fold(c.Name) == "true" || fold(c.Name) == "false"):
		default:
			fail("no such column: %s", c.Name)
		}
	})
	return err
}

func isRowID(name string) bool {
	switch fold(name) {
	case "rowid", "_rowid_", "oid":
		return true
	}
	return false
}

// constant reports whether e names no column, parameter or subquery.
func constant(e ast.Expr) bool {
	ok := true
	columnNames(e, func(q, c *ast.Ident) {
		if name := fold(c.Name); q != nil || c.Quote != ast.QuoteDouble && name != "true" && name != "false" {
			ok = false
		}
	})
	ast.Walk(e, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.SelectStmt, *ast.BindParam:
			ok = false
		}
		return ok
	})
	return ok
}

// uses reports whether e names column.
func uses(e ast.Expr, column string) bool {
	found := false
	if e != nil {
		columnNames(e, func(_, c *ast.Ident) { found = found || fold(c.Name) == fold(column) })
	}
	return found
}
