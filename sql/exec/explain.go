package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// explain compiles EXPLAIN QUERY PLAN; the bytecode of EXPLAIN alone has no
// counterpart here.
func (c *compiler) explain(p *plan, n *ast.ExplainStmt) error {
	if !n.QueryPlan {
		return unsupported("EXPLAIN other than EXPLAIN QUERY PLAN")
	}
	switch n.Stmt.(type) {
	case *ast.SelectStmt, *ast.InsertStmt, *ast.UpdateStmt, *ast.DeleteStmt:
	default:
		return unsupported("EXPLAIN QUERY PLAN of anything but a query or a change of rows")
	}
	inner := &plan{}
	if err := c.statement(inner, n.Stmt); err != nil {
		return err
	}
	e := &explainer{labels: c.labels}
	if inner.run == nil {
		e.query(inner.query, 0)
	} else {
		e.node(c.joined, 0)
		e.nested(c.nested, 0)
	}
	c.staticRows(p, []string{"id", "parent", "notused", "detail"}, e.rows)
	return nil
}

// staticRows makes a plan that returns rows known when it is compiled.
func (c *compiler) staticRows(p *plan, names []string, rows [][]value.Value) {
	c.dynamicRows(p, names, func(*frame) ([][]value.Value, error) { return rows, nil })
}

func (c *compiler) dynamicRows(p *plan, names []string, rows func(f *frame) ([][]value.Value, error)) {
	c.nodeRows(p, names, func(out []int) node { return &rowsNode{out: out, rows: rows} })
}

// filledRows is dynamicRows of rows that may be too many for memory.
func (c *compiler) filledRows(p *plan, names []string, fill func(f *frame, add addFn) error) {
	c.nodeRows(p, names, func(out []int) node { return &filledNode{out: out, fill: fill} })
}

func (c *compiler) nodeRows(p *plan, names []string, of func(out []int) node) {
	q := &query{out: c.regs(len(names))}
	q.node = of(q.out)
	for _, name := range names {
		q.cols = append(q.cols, resultColumn{column: column{name: name}})
	}
	p.query = q
}

// explainer renders a plan as EXPLAIN QUERY PLAN does.
type explainer struct {
	rows    [][]value.Value
	labels  map[node]*source
	nNested int
}

func (e *explainer) add(parent int64, detail string) int64 {
	id := int64(len(e.rows) + 1)
	e.rows = append(e.rows, []value.Value{value.NewInt(id), value.NewInt(parent), value.NewInt(0), value.NewText(detail)})
	return id
}

func (e *explainer) query(q *query, parent int64) {
	e.node(q.node, parent)
	e.nested(q.nested, parent)
}

// nested renders the subqueries in expressions.
func (e *explainer) nested(list []nestedQuery, parent int64) {
	for _, n := range list {
		e.nNested++
		detail := n.kind + " SUBQUERY " + itoa(e.nNested)
		if n.correlated {
			detail = "CORRELATED " + detail
		}
		e.query(n.query, e.add(parent, detail))
	}
}

func (e *explainer) node(n node, parent int64) {
	if s := e.labels[n]; s != nil {
		e.source(s, "CO-ROUTINE", parent)
		return
	}
	switch n := n.(type) {
	case *scanNode:
		e.add(parent, n.describe())
	case *pointNode:
		e.add(parent, n.describe())
	case *unionNode:
		id := e.add(parent, "MULTI-INDEX OR")
		for i, b := range n.branches {
			e.node(b, e.add(id, "INDEX "+itoa(i+1)))
		}
	case *singleNode:
		e.add(parent, "SCAN CONSTANT ROW")
	case *valuesNode:
		e.add(parent, "SCAN "+itoa(len(n.rows))+" CONSTANT ROWS")
	case *rowsNode, *filledNode:
		e.add(parent, "SCAN VIRTUAL TABLE")
	case *jsonNode:
		e.add(parent, "SCAN "+n.name+" VIRTUAL TABLE INDEX "+itoa(n.src.inputs.count())+":")
	case *eachNode:
		e.node(n.in, parent)
	case *filterNode:
		e.node(n.in, parent)
	case *projectNode:
		e.node(n.in, parent)
	case *limitNode:
		e.node(n.in, parent)
	case *realNode:
		e.node(n.in, parent)
	case *distinctNode:
		e.node(n.in, parent)
		if !n.sorted && !isCompound(n.in) { // which says so itself
			e.add(parent, "USE TEMP B-TREE FOR DISTINCT")
		}
	case *sortNode:
		e.node(n.in, parent)
		e.add(parent, "USE TEMP B-TREE FOR ORDER BY")
	case *aggregateNode:
		e.node(n.in, parent)
		if len(n.by) > 0 && !n.sorted {
			e.add(parent, "USE TEMP B-TREE FOR GROUP BY")
		}
	case *totalNode:
		e.node(n.in, parent)
	case *windowNode:
		e.node(n.in, parent)
		e.add(parent, "USE TEMP B-TREE FOR WINDOW")
	default:
		e.join(n, parent)
	}
}

// join renders what has more than one input.
func (e *explainer) join(n node, parent int64) {
	switch n := n.(type) {
	case *transientNode:
		if n.of != nil {
			e.source(n.of, "MATERIALIZE", parent)
			e.rows = e.rows[:len(e.rows)-1] // it is not scanned
		}
		e.add(parent, n.detail)
	case *loopNode:
		e.node(n.outer, parent)
		if s := e.labels[n.inner]; s != nil && n.keep {
			e.source(s, "MATERIALIZE", parent)
			return
		}
		e.node(n.inner, parent)
	case *hashNode:
		e.node(n.outer, parent)
		e.node(n.inner, e.add(parent, "HASH JOIN"))
	case *fullNode:
		e.node(n.outer, parent)
		e.node(n.inner, e.add(parent, "OUTER JOIN"))
	case *concatNode:
		e.concat(n, parent)
	case *setNode:
		part := "EXCEPT USING TEMP B-TREE"
		if n.keep {
			part = "INTERSECT USING TEMP B-TREE"
		}
		id := e.add(parent, "COMPOUND QUERY")
		e.node(n.left, e.add(id, "LEFT-MOST SUBQUERY"))
		e.node(n.right, e.add(id, part))
	case *orderedNode:
		e.join(n.recursiveNode, parent)
		e.add(parent, "USE TEMP B-TREE FOR ORDER BY")
	case *recursiveNode:
		e.node(n.base.node, e.add(parent, "SETUP"))
		e.node(n.step.node, e.add(parent, "RECURSIVE STEP"))
	}
}

func isCompound(n node) bool {
	switch n.(type) {
	case *concatNode, *setNode:
		return true
	}
	return false
}

// concat renders the terms of a compound in the order of the text.
func (e *explainer) concat(n *concatNode, parent int64) {
	if len(n.terms) == 1 {
		e.node(n.terms[0].node, parent)
		return
	}
	terms := slices.Clone(n.terms)
	slices.SortFunc(terms, func(a, b concatTerm) int { return a.number - b.number })
	id := e.add(parent, "COMPOUND QUERY")
	for _, t := range terms {
		part := "UNION ALL"
		switch {
		case t.number == 0:
			part = "LEFT-MOST SUBQUERY"
		case t.union:
			part = "UNION USING TEMP B-TREE"
		}
		e.node(t.node, e.add(id, part))
	}
}

// source renders a subquery or view in FROM.
func (e *explainer) source(s *source, how string, parent int64) {
	name := s.shown()
	if name == "" {
		name = "(subquery)"
	}
	id := e.add(parent, how+" "+name)
	saved := e.labels[s.node]
	delete(e.labels, s.node)
	e.query(s.query, id)
	e.labels[s.node] = saved
	e.add(parent, "SCAN "+name)
}

func (n *scanNode) describe() string {
	if n.a == nil {
		return "SCAN " + n.name
	}
	using := ""
	switch {
	case n.a.index != nil && n.cover != nil:
		using = " USING COVERING INDEX " + n.a.index.Name
	case n.a.index != nil:
		using = " USING INDEX " + n.a.index.Name
	}
	if n.a.bare() {
		return "SCAN " + n.name + using
	}
	switch {
	case using != "":
	case n.t.PrimaryKey == nil:
		using = " USING INTEGER PRIMARY KEY"
	default:
		using = " USING PRIMARY KEY"
	}
	return "SEARCH " + n.name + using + " (" + strings.Join(n.terms(), " AND ") + ")"
}

// terms names the columns that the access has values or bounds for.
func (n *scanNode) terms() []string {
	var terms []string
	next := n.a.depth()
	for i := range next {
		terms = append(terms, n.keyName(i)+"=?")
	}
	if n.a.lo != nil || n.a.prefix != nil {
		terms = append(terms, n.rangeTerm(next, n.a.lo, ">"))
	}
	if n.a.hi != nil || n.a.prefix != nil {
		terms = append(terms, n.rangeTerm(next, n.a.hi, "<"))
	}
	return terms
}

// rangeTerm shows a bound of column i, or of a row value that begins with it.
func (n *scanNode) rangeTerm(i int, p *probe, op string) string {
	if p == nil || len(p.rest) == 0 {
		return n.keyName(i) + op + "?"
	}
	names, marks := n.keyName(i), "?"
	for j := range p.rest {
		names, marks = names+","+n.keyName(i+1+j), marks+",?"
	}
	return "(" + names + ")" + op + "(" + marks + ")"
}

func (n *scanNode) keyName(i int) string {
	switch col := n.a.key[i].col; {
	case col == schema.ExprColumn:
		return "<expr>"
	case col < 0:
		return "rowid"
	default:
		return n.t.Columns[col].Name
	}
}
