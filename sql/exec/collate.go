package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// carryCollation gives x, compiled from e, the collation that a COLLATE within e
// names: in SQLite it reaches every operator and call around it, so that
// upper(a COLLATE NOCASE) = 'b' is a comparison by NOCASE.
//
// Source: https://www.sqlite.org/datatype3.html §7.1.
func (x *expr) carryCollation(e ast.Expr) error {
	n := collateIn(e)
	if n == nil {
		return nil
	}
	coll, ok := value.CollationByName(n.Name.Name)
	if !ok {
		return errorf("no such collation sequence: %s", n.Name.Name)
	}
	x.coll, x.collBy = coll, collExplicit
	return nil
}

// collateIn returns the leftmost COLLATE that e carries, or nil. What lies in a
// subquery, FILTER or OVER does not count; of a row value its first part does.
func collateIn(e ast.Expr) (found *ast.CollateExpr) {
	ast.Walk(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CollateExpr:
			if found == nil {
				found = n
			}
		case *ast.VectorExpr:
			if found == nil && len(n.List) > 0 {
				found = collateIn(n.List[0])
			}
			return false
		case *ast.FuncCall:
			for _, a := range n.Args {
				if found == nil {
					found = collateIn(a)
				}
			}
			return false
		case *ast.SelectStmt:
			return false
		}
		return found == nil
	})
	return found
}
