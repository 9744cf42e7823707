package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

// values compiles VALUES. One row with an aggregate is a SELECT without FROM.
func (c *compiler) values(parent *scope, v *ast.ValuesClause) (*query, error) {
	if len(v.Rows) == 1 && slices.ContainsFunc(v.Rows[0], func(e ast.Expr) bool { return findAggregate(e, false) != nil }) {
		return c.core(parent, selectOf(v.Rows[0]))
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
		for i, x := range xs {
			q.cols[i].kinds |= x.kinds
		}
	}
	if len(v.Rows) > 1 && !sc.afterWith() { // to SQLite columns without a type
		for i := range q.cols {
			q.cols[i].kinds, q.cols[i].collBy = givesAll, collColumn
		}
	}
	q.correlated = sc.correlated
	c.blocks = []*block{{sc: sc, items: valueItems(v)}}
	return q, nil
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
