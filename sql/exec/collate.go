package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// carryCollation gives x, compiled from e, the collation that a COLLATE within e
// names: in SQLite it reaches every operator and call around it, so that
// upper(a COLLATE NOCASE) = 'b' is a comparison by NOCASE.
//
// Source: https://www.sqlite.org/datatype3.html §7.1.
func (c *compiler) carryCollation(x *expr, e ast.Expr) {
	n := collateIn(e)
	if n == nil {
		return
	}
	c.setCollation(x, n)
}

// missingCollation is a collation that a statement names and nobody knows. As in
// SQLite that is an error only if something is compared by it.
type missingCollation struct {
	name   string
	needed bool
}

// need notes that something is compared; m is nil for a collation that exists.
func (m *missingCollation) need() {
	if m != nil {
		m.needed = true
	}
}

// setCollation gives x the collation that n names.
func (c *compiler) setCollation(x *expr, n *ast.CollateExpr) {
	coll, ok := value.CollationByName(n.Name.Name)
	x.coll, x.collBy, x.missing = coll, collExplicit, nil
	if !ok {
		x.coll, x.missing = value.Binary, &missingCollation{name: n.Name.Name}
		c.missing = append(c.missing, x.missing)
	}
}

// collated is x with the collation that n names.
func (c *compiler) collated(x *expr, n *ast.CollateExpr) *expr {
	y := *x
	c.setCollation(&y, n)
	return &y
}

// checkCollations refuses a statement that compares by a collation nobody knows.
func (c *compiler) checkCollations() error {
	for _, m := range c.missing {
		if m.needed {
			return sqlerr.New(sqlerr.MissingCollation, "no such collation sequence: %s", m.name)
		}
	}
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
