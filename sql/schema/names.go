package schema

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// columnNames calls call for each name in e that stands for a column, with the
// identifier of the column and the qualifier before it, which may be nil.
// Names of functions, collations and types are none.
func columnNames(e ast.Expr, call func(qualifier, column *ast.Ident)) {
	ast.Walk(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			call(nil, n)
		case *ast.QualifiedRef:
			call(n.Parts[len(n.Parts)-2], n.Parts[len(n.Parts)-1])
			return false
		case *ast.CollateExpr:
			columnNames(n.X, call)
			return false
		case *ast.LikeExpr:
			for _, c := range n.Children() {
				if x, ok := c.(ast.Expr); ok && c != ast.Node(n.Op) {
					columnNames(x, call)
				}
			}
			return false
		case *ast.FuncCall:
			for _, a := range n.Args {
				columnNames(a, call)
			}
			return false
		}
		return true
	})
}

// The places of an expression kept in the schema, as messages call them.
const (
	inCheck        = "CHECK constraints"
	inPartialIndex = "partial index WHERE clauses"
	inIndex        = "index expressions"
	inGenerated    = "generated columns"
)

// checkNames refuses what an expression kept in the schema may not hold:
// columns of other tables, parameters, subqueries, functions that give another
// result each time. Where is one of the places above.
func checkNames(e ast.Expr, t *Table, where string) error {
	rowID := !t.WithoutRowID && where != inIndex && where != inGenerated
	var err error
	fail := func(format string, args ...any) {
		if err == nil {
			err = sqlerr.Errorf(format, args...)
		}
	}
	ast.Walk(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectStmt:
			fail("subqueries prohibited in %s", where)
			return false
		case *ast.BindParam:
			fail("parameters prohibited in %s", where)
		case *ast.RaiseExpr:
			fail("RAISE() may only be used within a trigger-program")
		case *ast.QualifiedRef:
			if where == inIndex || where == inGenerated {
				fail("the \".\" operator prohibited in %s", where)
			}
		case *ast.Literal:
			if n.Kind >= ast.LitCurrentDate && where != inCheck {
				fail("non-deterministic functions prohibited in %s", where)
			}
		case *ast.FuncCall:
			switch name := fold(n.Name.Name); {
			case n.Over != nil:
				fail("misuse of window function %s()", n.Name.Name)
			case varies(name) && where != inCheck:
				fail("non-deterministic functions prohibited in %s", where)
			case isAggregate(name, len(n.Args), n.Star):
				fail("misuse of aggregate function %s()", n.Name.Name)
			}
		}
		return err == nil
	})
	columnNames(e, func(q, c *ast.Ident) {
		switch {
		case q != nil && fold(q.Name) != fold(t.Name):
			fail("no such column: %s.%s", q.Name, c.Name)
		case t.Column(c.Name) >= 0 || q == nil && c.Quote == ast.QuoteDouble || isRowID(c.Name) && rowID:
		case q == nil && (fold(c.Name) == "true" || fold(c.Name) == "false"):
		case q != nil:
			fail("no such column: %s.%s", q.Name, c.Name)
		default:
			fail("no such column: %s", c.Name)
		}
	})
	return err
}

// varies reports whether a function gives another result for the same
// arguments each time. Functions of time do so by their arguments alone, which
// shows when they are called.
func varies(name string) bool {
	switch name {
	case "random", "randomblob", "changes", "total_changes", "last_insert_rowid",
		"current_date", "current_time", "current_timestamp":
		return true
	}
	return false
}

func isAggregate(name string, nArgs int, star bool) bool {
	if name == "min" || name == "max" {
		return nArgs == 1 && !star
	}
	_, ok := fn.LookupAggregate(name, nArgs)
	return ok
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
