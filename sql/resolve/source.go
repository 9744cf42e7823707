package resolve

import (
	"fmt"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// compound is a SELECT as it is used in one place: its parts are what UNION and
// the like join.
type compound struct {
	parts []*part // in the order of the text
	ops   []*ast.CompoundOp
	with  *ast.With
}

// part is one SELECT or one row of VALUES.
type part struct {
	core    *ast.SelectQuery // nil for a row of VALUES
	row     []ast.Expr
	items   []*item
	results []*result
	where   []ast.Expr // WHERE, and the conditions of joins
	subs    map[*ast.SelectStmt]*compound

	expanded, resolved bool
	recursive          bool // it reads the common table expression that it is part of
	nested             bool // a join in parentheses
}

// item is one item of a FROM clause.
type item struct {
	ref       *ast.TableRef
	table     *Table
	sub       *compound // that its rows come from: a subquery, a common table expression, a join in parentheses
	alias     string
	nested    bool // sub is a join in parentheses
	recursive bool // it is the common table expression around it

	left, right bool     // it is on the right of a LEFT, RIGHT or FULL join
	before      bool     // it is somewhere on the left of a RIGHT or FULL join
	using       []string // of USING or NATURAL; nil: none
}

// compound makes what a SELECT is expanded into.
func (r *resolver) compound(q *ast.SelectStmt) *compound {
	c := &compound{with: q.With}
	for i, core := range q.Cores {
		if i > 0 {
			c.ops = append(c.ops, &q.Ops[i-1])
		}
		switch n := core.(type) {
		case *ast.SelectQuery:
			c.parts = append(c.parts, &part{core: n})
		case *ast.ValuesClause:
			for j, row := range n.Rows {
				if j > 0 {
					c.ops = append(c.ops, nil)
				}
				c.parts = append(c.parts, &part{row: row})
			}
		}
	}
	return c
}

// op returns what joins a part to the one before it: nil between rows of VALUES.
func (c *compound) op(i int) *ast.CompoundOp { return c.ops[i-1] }

// expand looks up the tables of a SELECT and all in it, from one of its parts to
// the first one.
func (r *resolver) expand(c *compound, from int) error {
	outer := r.with
	r.depth++
	defer func() { r.with = outer; r.depth-- }()
	r.nParts += from + 1
	if r.depth > depthMax || r.nParts > partsMax {
		return sqlerr.Errorf("statement nests too many selects (maximum depth %d)", depthMax)
	}
	for i := from; i >= 0; i-- {
		p := c.parts[i]
		if p.expanded {
			return nil
		}
		p.expanded = true
		if i == from {
			r.push(c.with)
		}
		if err := r.expandPart(p); err != nil {
			return err
		}
		if err := r.expandSubqueries(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) expandPart(p *part) error {
	if p.core == nil {
		for _, e := range p.row {
			p.results = append(p.results, &result{expr: e})
		}
		return nil
	}
	if p.items == nil {
		p.items = r.items(p.core.From)
	}
	for _, it := range p.items {
		if err := r.lookUp(it); err != nil {
			return err
		}
	}
	if p.core.Where != nil {
		p.where = append(p.where, p.core.Where)
	}
	if err := r.join(p); err != nil {
		return err
	}
	return r.expandStars(p)
}

// items makes the items of a FROM clause. Parentheses around a single one, or
// at the beginning, say nothing.
func (r *resolver) items(refs []*ast.TableRef) []*item {
	for len(refs) > 0 && refs[0].List != nil && refs[0].Alias == nil && refs[0].On == nil && len(refs[0].Using) == 0 {
		refs = append(slices.Clone(refs[0].List), refs[1:]...)
	}
	var list []*item
	for _, ref := range refs {
		it := &item{ref: ref}
		for len(it.ref.List) == 1 {
			it.ref = it.ref.List[0]
		}
		if alias := aliasOf(ref, it.ref); alias != nil {
			it.alias = alias.Name
		}
		if ref.Join != nil {
			full := ref.Join.Type&ast.JoinOuter != 0 && ref.Join.Type&(ast.JoinLeft|ast.JoinRight) == 0
			it.left = full || ref.Join.Type&ast.JoinLeft != 0
			it.right = full || ref.Join.Type&ast.JoinRight != 0
		}
		if it.ref != ref { // its own join is that of the parentheses
			inner := *it.ref
			inner.Join, inner.On, inner.Using = ref.Join, ref.On, ref.Using
			it.ref = &inner
		}
		list = append(list, it)
	}
	for i := len(list) - 1; i > 0; i-- {
		if list[i].right || list[i].before {
			list[i-1].before = true
		}
	}
	return list
}

// aliasOf returns the alias that counts: the outer one.
func aliasOf(outer, inner *ast.TableRef) *ast.Ident {
	for ref := outer; ; ref = ref.List[0] {
		if ref.Alias != nil || ref == inner {
			return ref.Alias
		}
	}
}

// lookUp gives an item of a FROM clause its table.
func (r *resolver) lookUp(it *item) error {
	ref := it.ref
	switch {
	case it.table != nil: // the common table expression around it
		return nil
	case ref.List != nil:
		it.nested = true
		it.sub = &compound{parts: []*part{{
			core:   &ast.SelectQuery{Span: ref.Span, From: ref.List, Columns: []*ast.ResultColumn{{Expr: &ast.Star{}}}},
			nested: true,
		}}}
	case ref.Select != nil:
		it.sub = r.compound(ref.Select)
	default:
		return r.lookUpName(it)
	}
	if err := r.expand(it.sub, len(it.sub.parts)-1); err != nil {
		return err
	}
	it.table = r.tableOf(it)
	return nil
}

// tableOf makes the table that a subquery is.
func (r *resolver) tableOf(it *item) *Table {
	t := &Table{Name: it.alias, RowID: -1}
	if t.Name == "" {
		kind := "subquery"
		if it.nested {
			kind = "join"
		}
		t.Name = fmt.Sprintf("(%s-%d)", kind, r.nParts)
	}
	t.Columns, t.noExpand = r.columnNames(it.sub.parts[0].results)
	return t
}

func (r *resolver) lookUpName(it *item) error {
	ref := it.ref
	name := ref.Name.Name.Name
	if ref.Name.Schema == nil {
		if in, e := r.with.find(name); e != nil {
			return r.commonTable(it, in, e)
		}
	}
	t, err := r.find(ref.Name)
	if err != nil {
		return err
	}
	if ref.HasArgs && !t.Function {
		return sqlerr.Errorf("'%s' is not a function", name)
	}
	it.table = t
	if err := r.view(t); err != nil {
		return err
	}
	r.foundTable(t, ref.Name.Name)
	if by := ref.IndexedBy; by != nil && !slices.ContainsFunc(t.Indexes, func(ix string) bool { return same(ix, by.Name) }) {
		return sqlerr.Errorf("no such index: %s", by.Name)
	}
	return nil
}

// expandSubqueries expands what is in the expressions of a part.
func (r *resolver) expandSubqueries(p *part) error {
	p.subs = map[*ast.SelectStmt]*compound{}
	var err error
	look := func(root ast.Node) {
		ast.Walk(root, func(n ast.Node) bool {
			q, ok := n.(*ast.SelectStmt)
			if in, isIn := n.(*ast.InExpr); isIn && in.Table != nil {
				q, ok = r.inTable(in), true
			}
			if !ok || err != nil {
				return err == nil
			}
			c := r.compound(q)
			p.subs[q] = c
			err = r.expand(c, len(c.parts)-1)
			_, isIn := n.(*ast.InExpr)
			return isIn && err == nil
		})
	}
	for _, res := range p.results {
		look(res.expr)
	}
	for _, e := range p.where {
		look(e)
	}
	if n := p.core; n != nil {
		for _, e := range n.GroupBy {
			look(e)
		}
		if n.Having != nil {
			look(n.Having)
		}
		for _, o := range n.OrderBy {
			look(o.Expr)
		}
		if n.Limit != nil {
			look(n.Limit)
		}
	}
	return err
}

// inTable is what x IN table stands for.
func (r *resolver) inTable(n *ast.InExpr) *ast.SelectStmt {
	if r.tables[n] == nil {
		ref := &ast.TableRef{Name: n.Table, Args: n.Args, HasArgs: n.HasArgs}
		core := &ast.SelectQuery{From: []*ast.TableRef{ref}, Columns: []*ast.ResultColumn{{Expr: &ast.Star{}}}}
		r.tables[n] = &ast.SelectStmt{Cores: []ast.SelectCore{core}}
	}
	return r.tables[n]
}
