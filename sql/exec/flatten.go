package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
)

// Limits of flattening: more sources than these are joined as they were written.
const (
	flattenTables = 16 // in the FROM clause around
	flattenInner  = 8  // in the one that is flattened
	flattenDepth  = 3
)

// flatten takes a subquery or view in FROM apart if it does no more than choose
// rows and columns: its sources become sources of sc, which no name finds, and
// the source that is returned stands for its columns. nil: it is not of that
// kind.
func (c *compiler) flatten(sc *scope, ref *ast.TableRef) (*source, error) {
	stmt, parent, names := c.flattenable(sc, ref)
	if stmt == nil {
		return nil, nil //nolint:nilnil // it is compiled as a whole
	}
	core, _ := stmt.Cores[0].(*ast.SelectQuery)
	if ref.Name != nil {
		leave, err := c.enter(c.schema.Find(ref.Name))
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	c.depth++
	c.nSelects++
	defer func() { c.depth-- }()
	if c.depth > nestingMax {
		return nil, errorf("statement nests too many selects (maximum depth %d)", nestingMax)
	}
	inner := &scope{parent: parent, base: sc.base + len(sc.sources), flat: sc.flat + 1}
	b, err := c.block(inner, core)
	if err != nil {
		return nil, err
	}
	items := b.items
	if len(names) > 0 && len(names) != len(items) {
		return nil, errorf("expected %d columns for '%s' but got %d", len(names), ref.Name.Name.Name, len(items))
	}
	if err := b.compileWhere(); err != nil {
		return nil, err
	}
	last := inner.sources[len(inner.sources)-1]
	last.on = append(last.on, b.where...)
	src := &source{rowID: -1, label: "SUBQUERY", flat: []*expr{}}
	for i := range items {
		x, err := b.item(i)
		if err != nil {
			return nil, err
		}
		x.missing.need()
		col := column{name: items[i].name, aff: x.aff, hasAff: x.hasAff, coll: x.coll}
		switch it := &items[i]; {
		case ref.Select != nil && it.written != "":
			col.name = it.written
		case ref.Select == nil && it.stored != "":
			col.name = it.stored
		}
		if i < len(names) {
			col.name = names[i]
		}
		col.declType, _ = b.origin(items[i])
		src.flat, src.slots, src.cols = append(src.flat, x), append(src.slots, x.slot), append(src.cols, col)
	}
	uniqueNames(src.cols)
	for _, s := range inner.sources {
		s.inner = true
	}
	sc.sources = append(sc.sources, inner.sources...)
	sc.correlated = sc.correlated || inner.correlated
	return src, nil
}

// flattenable returns the query of a FROM item that can be flattened, with the
// scope around it and the names that a view gives its columns.
func (c *compiler) flattenable(sc *scope, ref *ast.TableRef) (stmt *ast.SelectStmt, parent *scope, names []string) {
	if sc.flat == 0 || sc.flat > flattenDepth || sc.base+len(sc.sources) >= flattenTables || ref.HasArgs {
		return nil, nil, nil
	}
	parent = sc.parent
	if stmt = ref.Select; stmt == nil {
		if ref.Name == nil || ref.IndexedBy != nil || ref.NotIndexed || ref.Name.Schema == nil && sc.findCTE(ref.Name.Name.Name) != nil {
			return nil, nil, nil
		}
		t := c.schema.Find(ref.Name)
		if t == nil || !t.IsView() {
			return nil, nil, nil
		}
		stmt, parent, names = t.View, nil, t.ViewColumns
	}
	if stmt.With != nil || len(stmt.Cores) != 1 {
		return nil, nil, nil
	}
	q, ok := stmt.Cores[0].(*ast.SelectQuery)
	if !ok || q.Distinct == ast.DistinctDistinct || len(q.GroupBy) > 0 || q.Having != nil || len(q.Windows) > 0 ||
		len(q.OrderBy) > 0 || q.Limit != nil || len(q.From) == 0 || len(q.From) > flattenInner || !plainJoins(q.From) {
		return nil, nil, nil
	}
	for _, rc := range q.Columns {
		if !repeatable(rc.Expr) {
			return nil, nil, nil
		}
	}
	return stmt, parent, names
}

// plainJoins reports whether a FROM clause has inner joins alone, of what needs
// no other source.
func plainJoins(refs []*ast.TableRef) bool {
	if len(refs) > flattenTables || hasOuterJoin(refs) {
		return false
	}
	for _, r := range refs {
		if r.HasArgs || r.Name != nil && isTableFunction(r.Name.Name.Name) || len(r.Using) > 0 || r.Join != nil && r.Join.Type&ast.JoinNatural != 0 || r.List != nil && !plainJoins(r.List) {
			return false
		}
	}
	return true
}

// repeatable reports whether a result column can be computed where it is used,
// or not at all: it calls no function and runs no query.
func repeatable(e ast.Expr) bool {
	ok := true
	ast.Walk(e, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.FuncCall, *ast.SubqueryExpr, *ast.ExistsExpr, *ast.InExpr, *ast.VectorExpr, *ast.RaiseExpr:
			ok = false
		}
		return ok
	})
	return ok
}

// flatColumn is columnRef of a column that stands for an expression.
func (c *compiler) flatColumn(m *match) *expr {
	x := *m.src.flat[m.col]
	m.sc.touched |= x.refs
	m.sc.correlated = m.sc.correlated || x.outer
	c.reads = append(c.reads, x.reads...)
	if a := m.sc.aggs; a != nil && !m.sc.inAgg {
		for _, slot := range x.reads {
			a.bare[slot] = true
		}
	}
	if x.collBy == collExplicit {
		x.collBy = collColumn
	}
	return &x
}

func aliasesOf(cols []*ast.ResultColumn) map[string]ast.Expr {
	aliases := map[string]ast.Expr{}
	for _, rc := range cols {
		if rc.Alias == nil {
			continue
		}
		if key := fold(rc.Alias.Name); aliases[key] == nil {
			aliases[key] = rc.Expr
		}
	}
	return aliases
}
