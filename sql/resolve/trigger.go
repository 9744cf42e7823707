package resolve

import (
	"github.com/byokdb/byokdb/sql/ast"
)

// trigger is whose rows NEW and OLD are.
type trigger struct {
	table          *Table
	hasNew, hasOld bool
}

// Trigger resolves a trigger on a table or view.
func Trigger(cat Catalog, text Text, n *ast.CreateTriggerStmt, on *Table) (*Names, error) {
	r := newResolver(cat, text)
	r.trigger = &trigger{table: on, hasNew: !same(n.Event, "DELETE"), hasOld: !same(n.Event, "INSERT")}
	if err := r.view(on); err != nil {
		return nil, err
	}
	r.foundTable(on, n.Table.Name)
	r.list(on, n.UpdateOf)
	if err := r.exprs(&context{}, nil, n.When); err != nil {
		return nil, err
	}
	for _, stmt := range n.Body {
		if err := r.step(stmt); err != nil {
			return nil, err
		}
	}
	if n.When != nil {
		r.noteUnused(n.When)
	}
	for _, stmt := range n.Body {
		r.noteUnused(stmt)
	}
	return r.names, nil
}

// list notes columns that are named alone, such as those that INSERT fills. Whether
// they exist shows when the trigger is used.
func (r *resolver) list(t *Table, names []*ast.Ident) {
	for _, id := range names {
		if i := t.column(id.Name); i >= 0 {
			r.found(t, t.index(i), id)
		}
	}
}

func (r *resolver) step(stmt ast.Stmt) error {
	switch n := stmt.(type) {
	case *ast.SelectStmt:
		_, err := r.query(n, &context{})
		return err
	case *ast.InsertStmt:
		return r.insert(n)
	case *ast.UpdateStmt:
		return r.update(n)
	case *ast.DeleteStmt:
		it, err := r.target(n.Table, n.Alias)
		if err != nil {
			return err
		}
		return r.exprs(&context{items: []*item{it}}, nil, n.Where)
	}
	return nil
}

// target is the table that a statement changes.
func (r *resolver) target(q *ast.QualifiedName, alias *ast.Ident) (*item, error) {
	t, err := r.find(q)
	if err != nil {
		return nil, err
	}
	if err := r.view(t); err != nil {
		return nil, err
	}
	r.foundTable(t, q.Name)
	it := &item{ref: &ast.TableRef{Name: q}, table: t}
	if alias != nil {
		it.alias = alias.Name
	}
	return it, nil
}

func (r *resolver) insert(n *ast.InsertStmt) error {
	if n.Select != nil {
		if _, err := r.query(n.Select, &context{}); err != nil {
			return err
		}
	}
	it, err := r.target(n.Table, n.Alias)
	if err != nil {
		return err
	}
	r.list(it.table, n.Columns)
	ctx := &context{items: []*item{it}, upsert: true}
	for _, u := range n.Upserts {
		if err := r.terms(ctx, nil, u.Target); err != nil {
			return err
		}
		if err := r.set(ctx, nil, u.Set); err != nil {
			return err
		}
		if err := r.exprs(ctx, nil, u.Where, u.TargetWhere); err != nil {
			return err
		}
		r.assigned(it.table, u.Set)
	}
	return nil
}

func (r *resolver) set(ctx *context, p *part, list []*ast.SetPair) error {
	for _, s := range list {
		if err := r.exprs(ctx, p, s.Value); err != nil {
			return err
		}
	}
	return nil
}

// assigned notes the columns on the left of SET.
func (r *resolver) assigned(t *Table, list []*ast.SetPair) {
	for _, s := range list {
		r.list(t, s.Columns)
	}
}

// update resolves an UPDATE: as a SELECT of its values first.
func (r *resolver) update(n *ast.UpdateStmt) error {
	it, err := r.target(n.Table, n.Alias)
	if err != nil {
		return err
	}
	p := &part{core: &ast.SelectQuery{}, items: append([]*item{it}, r.items(n.From)...)}
	for _, s := range n.Set {
		values := []ast.Expr{s.Value}
		if v, ok := ast.Unparen(s.Value).(*ast.VectorExpr); ok {
			values = v.List
		}
		for _, e := range values {
			p.results = append(p.results, &result{expr: e})
		}
	}
	c := &compound{parts: []*part{p}}
	if err := r.expand(c, 0); err != nil {
		return err
	}
	if err := r.resolve(c, nil); err != nil {
		return err
	}
	ctx := &context{items: p.items}
	if err := r.exprs(ctx, nil, n.Where); err != nil {
		return err
	}
	r.assigned(it.table, n.Set)
	return nil
}
