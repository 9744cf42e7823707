package resolve

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// withs is one WITH clause, and those around it.
type withs struct {
	list  []*common
	outer *withs
}

// common is one common table expression.
type common struct {
	def   *ast.CTE
	fault string // of a reference to it now, a format of its name; "": none
}

// push has the names of a WITH clause be known.
func (r *resolver) push(w *ast.With) {
	if w == nil {
		return
	}
	in := &withs{outer: r.with}
	for _, def := range w.CTEs {
		in.list = append(in.list, &common{def: def})
	}
	r.with = in
}

func (w *withs) find(name string) (*withs, *common) {
	for ; w != nil; w = w.outer {
		for _, e := range w.list {
			if same(e.def.Name.Name, name) {
				return w, e
			}
		}
	}
	return nil, nil
}

// commonTable has an item of a FROM clause be a common table expression. For each
// reference it is resolved anew.
func (r *resolver) commonTable(it *item, in *withs, e *common) error {
	name := e.def.Name.Name
	if e.fault != "" {
		return sqlerr.Errorf(e.fault, name)
	}
	if it.ref.HasArgs {
		return sqlerr.Errorf("'%s' is not a function", it.ref.Name.Name.Name)
	}
	if by := it.ref.IndexedBy; by != nil {
		return sqlerr.Errorf("no such index: \"%s\"", by.Name)
	}
	t := &Table{Name: name, RowID: -1}
	c := r.compound(e.def.Select)
	it.table, it.sub = t, c
	r.used[e.def] = true
	saved := r.with
	r.with = in
	defer func() { r.with = saved }()

	last := len(c.parts) - 1
	first := last // of the part that does not read the table itself
	mayRecur := last > 0 && c.op(last) != nil && same(c.op(last).Op, "union")
	for mayRecur && first > 0 && c.op(first) != nil && sameOp(c.op(first), c.op(last)) {
		if err := r.recursive(c.parts[first], t); err != nil {
			return err
		}
		if !c.parts[first].recursive {
			break
		}
		first--
	}
	e.fault = "circular reference: %s"
	defer func() { e.fault = "" }()
	if err := r.expand(c, first); err != nil {
		return err
	}
	results := c.parts[0].results
	t.Columns, t.noExpand = r.columnNames(results)
	if len(e.def.Columns) > 0 {
		if len(e.def.Columns) != len(results) {
			return sqlerr.Errorf("table %s has %d values for %d columns", name, len(results), len(e.def.Columns))
		}
		t.Columns, t.noExpand = nil, nil
		for _, id := range e.def.Columns {
			t.Columns = append(t.Columns, id.Name)
		}
	}
	if !mayRecur {
		return nil
	}
	e.fault = "recursive reference in a subquery: %s"
	if c.parts[last].recursive {
		e.fault = "multiple recursive references: %s"
	}
	return r.expand(c, last)
}

func sameOp(a, b *ast.CompoundOp) bool { return ast.OpName(*a) == ast.OpName(*b) }

// recursive gives the items of a part that name the table itself that table.
func (r *resolver) recursive(p *part, t *Table) error {
	if p.core == nil {
		return nil
	}
	if p.items == nil {
		p.items = r.items(p.core.From)
	}
	for _, it := range p.items {
		if n := it.ref.Name; n == nil || n.Schema != nil || !same(n.Name.Name, t.Name) {
			continue
		}
		if p.recursive {
			return sqlerr.Errorf("multiple references to recursive table: %s", t.Name)
		}
		it.table, it.recursive, p.recursive = t, true, true
	}
	return nil
}

// noteUnused resolves the queries of WITH clauses that nothing reads, which may
// mean nothing.
func (r *resolver) noteUnused(root ast.Node) {
	ast.Walk(root, func(n ast.Node) bool {
		q, ok := n.(*ast.SelectStmt)
		if !ok || q.With == nil {
			return true
		}
		saved := r.with
		defer func() { r.with = saved }()
		r.push(q.With)
		for _, def := range q.With.CTEs {
			if !r.used[def] {
				_, _ = r.query(def.Select, &context{})
				r.fault = nil
			}
			r.noteUnused(def.Select)
		}
		for _, core := range q.Cores {
			r.noteUnused(core)
		}
		return false
	})
}
