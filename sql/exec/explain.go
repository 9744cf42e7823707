package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// explain compiles EXPLAIN QUERY PLAN; the bytecode of EXPLAIN alone has no
// counterpart here.
func (c *compiler) explain(p *plan, n *ast.ExplainStmt) error {
	if !n.QueryPlan {
		return unsupported("EXPLAIN other than EXPLAIN QUERY PLAN")
	}
	if _, ok := n.Stmt.(*ast.SelectStmt); !ok {
		return unsupported("EXPLAIN QUERY PLAN of anything but a query")
	}
	inner := &plan{}
	if err := c.statement(inner, n.Stmt); err != nil {
		return err
	}
	e := &explainer{}
	e.node(inner.query.node, 0)
	c.staticRows(p, []string{"id", "parent", "notused", "detail"}, e.rows)
	return nil
}

// staticRows makes a plan that returns rows known when it is compiled.
func (c *compiler) staticRows(p *plan, names []string, rows [][]value.Value) {
	c.dynamicRows(p, names, func(*frame) ([][]value.Value, error) { return rows, nil })
}

func (c *compiler) dynamicRows(p *plan, names []string, rows func(f *frame) ([][]value.Value, error)) {
	q := &query{out: c.regs(len(names))}
	q.node = &rowsNode{out: q.out, rows: rows}
	for _, name := range names {
		q.cols = append(q.cols, resultColumn{column: column{name: name}})
	}
	p.query = q
}

// explainer renders a plan as EXPLAIN QUERY PLAN does.
type explainer struct {
	rows [][]value.Value
}

func (e *explainer) add(parent int64, detail string) int64 {
	id := int64(len(e.rows) + 1)
	e.rows = append(e.rows, []value.Value{value.NewInt(id), value.NewInt(parent), value.NewInt(0), value.NewText(detail)})
	return id
}

func (e *explainer) node(n node, parent int64) {
	switch n := n.(type) {
	case *scanNode:
		e.add(parent, n.describe())
	case *pointNode:
		e.add(parent, n.describe())
	case *singleNode:
		e.add(parent, "SCAN CONSTANT ROW")
	case *valuesNode:
		e.add(parent, "SCAN "+itoa(len(n.rows))+" CONSTANT ROWS")
	case *rowsNode:
		e.add(parent, "SCAN VIRTUAL TABLE")
	case *filterNode:
		e.node(n.in, parent)
	case *projectNode:
		e.node(n.in, parent)
	case *limitNode:
		e.node(n.in, parent)
	case *distinctNode:
		e.node(n.in, parent)
		e.add(parent, "USE HASH TABLE FOR DISTINCT")
	case *sortNode:
		e.node(n.in, parent)
		e.add(parent, "USE SORTER FOR ORDER BY")
	case *aggregateNode:
		e.node(n.in, parent)
		if len(n.by) > 0 {
			e.add(parent, "USE HASH TABLE FOR GROUP BY")
		}
	case *windowNode:
		e.node(n.in, parent)
		e.add(parent, "USE SORTER FOR WINDOW")
	default:
		e.several(n, parent)
	}
}

// several renders a node with more than one input.
func (e *explainer) several(n node, parent int64) {
	switch n := n.(type) {
	case *loopNode:
		e.node(n.outer, parent)
		e.node(n.inner, parent)
	case *hashNode:
		e.node(n.outer, parent)
		e.node(n.inner, e.add(parent, "HASH JOIN"))
	case *fullNode:
		e.node(n.outer, parent)
		e.node(n.inner, e.add(parent, "OUTER JOIN"))
	case *concatNode:
		if len(n.ins) == 1 {
			e.node(n.ins[0], parent)
			return
		}
		id := e.add(parent, "COMPOUND QUERY")
		for _, in := range n.ins {
			e.node(in, id)
		}
	case *setNode:
		id := e.add(parent, "COMPOUND QUERY")
		e.node(n.left, id)
		e.node(n.right, id)
	case *recursiveNode:
		e.node(n.base.node, e.add(parent, "SETUP"))
		e.node(n.step.node, e.add(parent, "RECURSIVE STEP"))
	}
}

func (n *scanNode) describe() string {
	if n.a == nil {
		return "SCAN " + n.name
	}
	if len(n.a.eq) == 0 && !n.a.isIn && n.a.lo == nil && n.a.hi == nil {
		if n.a.index == nil {
			return "SCAN " + n.name
		}
		return "SCAN " + n.name + " USING INDEX " + n.a.index.Name
	}
	var terms []string
	for i := range n.a.eq {
		terms = append(terms, n.keyName(i)+"=?")
	}
	next := len(n.a.eq)
	if n.a.isIn {
		terms = append(terms, n.keyName(next)+"=?")
	}
	if n.a.lo != nil {
		terms = append(terms, n.keyName(next)+">?")
	}
	if n.a.hi != nil {
		terms = append(terms, n.keyName(next)+"<?")
	}
	using := " USING PRIMARY KEY"
	switch {
	case n.a.index != nil:
		using = " USING INDEX " + n.a.index.Name
	case n.t.PrimaryKey == nil:
		using = " USING INTEGER PRIMARY KEY"
	}
	return "SEARCH " + n.name + using + " (" + strings.Join(terms, " AND ") + ")"
}

func (n *scanNode) keyName(i int) string {
	col := n.a.key[i].col
	if col < 0 {
		return "rowid"
	}
	return n.t.Columns[col].Name
}
