package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// values compiles VALUES. One row is a SELECT without FROM. More are columns with the
// affinity of the first row to whoever reads them as a table, and without one to an
// expression; after WITH they are a compound of SELECTs.
func (c *compiler) values(parent *scope, v *ast.ValuesClause) (*query, error) {
	if len(v.Rows) == 1 {
		q, err := c.core(parent, selectOf(v.Rows[0]))
		if err == nil {
			c.blocks = []*block{{sc: c.blocks[0].sc, items: valueItems(v)}}
		}
		return q, err
	}
	sc := &scope{parent: parent, aggregates: true}
	n := &valuesNode{out: c.regs(len(v.Rows[0]))}
	q := &query{node: n, out: n.out}
	for i := range v.Rows[0] {
		q.cols = append(q.cols, resultColumn{column: column{name: "column" + itoa(i+1)}})
	}
	for _, row := range v.Rows {
		if len(row) != len(n.out) {
			return nil, errorf("all VALUES must have the same number of terms")
		}
		xs, err := c.list(sc, row)
		if err != nil {
			return nil, err
		}
		n.rows = append(n.rows, xs)
	}
	for i := range q.cols {
		_, q.cols[i].cast = ast.Unparen(v.Rows[0][i]).(*ast.CastExpr)
		q.cols[i].typeOf(n.rows, i, sc.afterWith())
		c.byLiteral = c.byLiteral || q.cols[i].hasAff && holdsParam(v, i)
	}
	if !sc.afterWith() {
		for i := range q.cols {
			q.cols[i].kinds, q.cols[i].collBy = givesAll, collColumn
		}
		q.compared = slices.Clone(q.cols)
		for i := range q.compared {
			q.compared[i].hasAff, q.compared[i].aff = false, value.AffinityBlob
		}
	}
	q.correlated = sc.correlated
	c.blocks = []*block{{sc: sc, items: valueItems(v)}}
	return q, nil
}

// holdsParam reports whether the column i has a parameter: the kind of a literal can
// take the column's affinity from it, and with a parameter the kind is not known.
func holdsParam(v *ast.ValuesClause, i int) bool {
	return slices.ContainsFunc(v.Rows, func(row []ast.Expr) bool {
		_, ok := ast.Unparen(row[i]).(*ast.BindParam)
		return ok
	})
}

// typeOf gives the column i of rows the collation of the first row, and its affinity
// or, where later ones count, that of the first that has one.
func (rc *resultColumn) typeOf(rows [][]*expr, i int, later bool) {
	rc.coll, rc.collBy = rows[0][i].coll, rows[0][i].collBy
	for at, row := range rows {
		x := row[i]
		if x.hasAff && !rc.hasAff && (at == 0 || later) {
			rc.aff, rc.hasAff = x.aff, true
		} else {
			rc.kinds |= x.kinds
		}
	}
	rc.settleAffinity()
}

// valueItems are the columns as ORDER BY of a compound knows them: several rows are
// those of a table, one row is a SELECT of expressions.
func valueItems(v *ast.ValuesClause) []item {
	items := make([]item, len(v.Rows[0]))
	for i, e := range v.Rows[0] {
		if items[i] = (item{e: e}); len(v.Rows) > 1 {
			items[i] = item{name: "column" + itoa(i+1), named: true}
		}
	}
	return items
}

// selectOf returns the SELECT that gives one row of VALUES.
func selectOf(row []ast.Expr) *ast.SelectQuery {
	s := &ast.SelectQuery{}
	for i, e := range row {
		s.Columns = append(s.Columns, &ast.ResultColumn{Expr: e, Alias: &ast.Ident{Name: "column" + itoa(i+1)}})
	}
	return s
}
