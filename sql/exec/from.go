package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
)

// from adds the items of a FROM clause to sc, with their conditions.
func (c *compiler) from(sc *scope, refs []*ast.TableRef) error {
	sc.keepsRight = sc.keepsRight || slices.ContainsFunc(refs, func(r *ast.TableRef) bool { return r.Join != nil && keepsRight(r.Join.Type) })
	for _, ref := range refs {
		join := ast.JoinInner
		if ref.Join != nil {
			join = ref.Join.Type
		}
		if ref.List != nil {
			if join&(ast.JoinLeft|ast.JoinRight|ast.JoinOuter|ast.JoinNatural) != 0 || len(ref.Using) > 0 || ref.Alias != nil {
				return unsupported("parenthesized joins on the right of an outer, natural or USING join")
			}
			if len(sc.sources) > 0 && hasOuterJoin(ref.List) {
				return unsupported("outer joins in parentheses")
			}
			if err := c.from(sc, ref.List); err != nil {
				return err
			}
		} else {
			src, err := c.source(sc, ref)
			if err != nil {
				return err
			}
			if sc.base+len(sc.sources) == sourcesMax {
				return errorf("at most %d tables in a join", sourcesMax)
			}
			src.index, src.join = sc.base+len(sc.sources), join
			sc.sources = append(sc.sources, src)
			if err := c.using(sc, src, ref); err != nil {
				return err
			}
		}
		src := sc.sources[len(sc.sources)-1]
		for _, e := range conjuncts(ref.On, nil) {
			x, err := c.exprIn(sc, e)
			if err != nil {
				return err
			}
			src.on = append(src.on, x)
		}
	}
	return nil
}

func hasOuterJoin(refs []*ast.TableRef) bool {
	for _, r := range refs {
		if r.Join != nil && r.Join.Type&(ast.JoinLeft|ast.JoinRight|ast.JoinOuter) != 0 || hasOuterJoin(r.List) {
			return true
		}
	}
	return false
}

func (c *compiler) source(sc *scope, ref *ast.TableRef) (*source, error) {
	if src, err := c.flatten(sc, ref); src != nil || err != nil {
		if src != nil && ref.Name != nil {
			src.name, src.db = ref.Name.Name.Name, c.schema.Find(ref.Name).Database()
		}
		if src != nil && ref.Alias != nil {
			src.name = ref.Alias.Name
		}
		return src, err
	}
	if ref.Select != nil {
		q, err := c.selectStmt(sc.parent, ref.Select)
		if err != nil {
			return nil, err
		}
		sc.correlated = sc.correlated || q.correlated
		src := c.querySource(q, nil)
		if ref.Alias != nil {
			src.name = ref.Alias.Name
		}
		return src, nil
	}
	name := ref.Name.Name.Name
	var src *source
	var err error
	switch {
	case ref.HasArgs:
		src, err = c.tableFunction(sc, name, ref.Args)
		if src == nil && err == nil {
			err = unsupported("the table-valued function " + name)
		}
	case ref.Name.Schema == nil && sc.findCTE(name) != nil:
		src, err = c.cteSource(sc, sc.findCTE(name))
	default:
		src, err = c.namedSource(ref.Name)
	}
	if err != nil {
		return nil, err
	}
	if err := src.hint(ref.IndexedBy, ref.NotIndexed); err != nil {
		return nil, err
	}
	src.name = name
	if ref.Alias != nil {
		src.name = ref.Alias.Name
	}
	src.qualify(ref.Name, ref.Alias)
	return src, nil
}

func (c *compiler) namedSource(q *ast.QualifiedName) (*source, error) {
	if database := c.catalogNamed(q); database != "" {
		return c.schemaSource(database), nil
	}
	if s := c.sequenceOf(q); s != nil {
		return c.sequenceSource(s.Name()), nil
	}
	t := c.schema.Find(q)
	if t == nil {
		src, err := c.tableFunction(nil, q.Name.Name, nil)
		if src == nil && err == nil {
			err = c.noTable(q)
		}
		return src, err
	}
	if t.IsView() {
		return c.viewSource(t)
	}
	return c.tableSource(t)
}

// catalogNamed returns the database whose sqlite_schema a name stands for, "" when
// it stands for something else.
func (c *compiler) catalogNamed(q *ast.QualifiedName) string {
	in := ""
	if q.Schema != nil {
		in = fold(q.Schema.Name)
	} else if c.stored {
		in = "main"
	}
	switch name := fold(q.Name.Name); {
	case (name == "sqlite_temp_master" || name == "sqlite_temp_schema") && (in == "" || in == "temp"):
		return "temp"
	case (name == "sqlite_master" || name == "sqlite_schema") && (in == "temp" || in == "main"):
		return in
	case (name == "sqlite_master" || name == "sqlite_schema") && in == "":
		return "main"
	}
	return ""
}

func (c *compiler) noTable(q *ast.QualifiedName) error {
	name := q.Name.Name
	switch {
	case q.Schema != nil:
		name = q.Schema.Name + "." + name
	case c.stored:
		name = "main." + name
	}
	return errorf("no such table: %s", name)
}

// nameOf returns a name that is the table's alone.
func nameOf(t *schema.Table) *ast.QualifiedName {
	return &ast.QualifiedName{Schema: &ast.Ident{Name: t.Database()}, Name: &ast.Ident{Name: t.Name}}
}

// enter has names be those that the text of a view sees; leave is to be called at
// its end.
func (c *compiler) enter(t *schema.Table) (leave func(), err error) {
	if slices.Contains(c.views, t) {
		return nil, errorf("view %s is circularly defined", t.Name)
	}
	in, stored, depth := c.schema, c.stored, len(c.views)
	c.schema, c.stored, c.views = in.Within(t.IsTemp()), !t.IsTemp(), append(c.views, t)
	return func() { c.schema, c.stored, c.views = in, stored, c.views[:depth] }, nil
}

func (c *compiler) tableSource(t *schema.Table) (*source, error) {
	c.byLiteral = c.byLiteral || indexesLiterals(t)
	src := &source{name: t.Name, db: t.Database(), table: t, rowID: -1, used: make([]bool, len(t.Columns)), label: t.Name}
	src.slots = c.regs(len(t.Columns))
	if t.PrimaryKey == nil {
		src.rowID = c.regs(1)[0]
	}
	if t.RowID >= 0 {
		src.slots[t.RowID] = src.rowID
	}
	for i := range t.Columns {
		col := &t.Columns[i]
		src.cols = append(src.cols, column{
			name: col.Name, aff: col.Affinity, hasAff: true, coll: col.Collation, declType: col.DeclType,
		})
	}
	return src, c.generatedColumns(src)
}

// querySource makes a source of a compiled query; names rename its columns.
func (c *compiler) querySource(q *query, names []string) *source {
	src := &source{rowID: -1, node: q.node, slots: q.out, label: "SUBQUERY", query: q}
	for i := range q.cols {
		col := q.cols[i].column
		col.hidden, col.input = false, false
		if i < len(names) {
			col.name = names[i]
		}
		src.cols = append(src.cols, col)
	}
	return src
}

func (c *compiler) viewSource(t *schema.Table) (*source, error) {
	leave, err := c.enter(t)
	if err != nil {
		return nil, err
	}
	defer leave()
	q, err := c.selectStmt(nil, t.View)
	if err != nil {
		return nil, err
	}
	if len(t.ViewColumns) > 0 && len(t.ViewColumns) != len(q.cols) {
		return nil, errorf("expected %d columns for '%s' but got %d", len(t.ViewColumns), t.Name, len(q.cols))
	}
	src := c.querySource(q, t.ViewColumns)
	src.label, src.db = t.Name, t.Database()
	return src, nil
}

func (c *compiler) cteSource(sc *scope, e *cte) (*source, error) {
	name := e.def.Name.Name
	if e.active {
		if e.rec == nil {
			return nil, errorf("circular reference: %s", name)
		}
		return e.rec.reference(), nil
	}
	e.active = true
	defer func() { e.active = false }()
	var names []string
	for _, id := range e.def.Columns {
		names = append(names, id.Name)
	}
	q, err := c.cteQuery(e, names)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 && len(names) != len(q.cols) {
		return nil, errorf("table %s has %d values for %d columns", name, len(q.cols), len(names))
	}
	if q.correlated {
		for p := sc; p != nil && p != e.outer; p = p.parent {
			p.correlated = true
		}
	}
	src := c.querySource(q, names)
	src.label = name
	return src, nil
}

// using resolves NATURAL and USING: an equality per column, of which "*" and
// an unqualified name show the left one.
func (c *compiler) using(sc *scope, right *source, ref *ast.TableRef) error {
	var names []string
	for _, id := range ref.Using {
		names = append(names, id.Name)
	}
	if right.join&ast.JoinNatural != 0 {
		if ref.On != nil || len(names) > 0 {
			return errorf("a NATURAL join may not have an ON or USING clause")
		}
		for i := range right.cols {
			if !right.cols[i].input && leftMatch(sc, right, right.cols[i].name) != nil {
				names = append(names, right.cols[i].name)
			}
		}
	}
	for _, name := range names {
		l := leftMatch(sc, right, name)
		r := right.column(name)
		if l == nil || r < 0 {
			return errorf("cannot join using column %s - column not present in both tables", name)
		}
		if sc.keepsRight && ambiguousOnLeft(sc, l.src, right, name) {
			return errorf("ambiguous reference to %s in USING()", name)
		}
		rm := &match{sc: sc, src: right, col: r}
		saved := sc.touched
		sc.touched = 0
		reads := len(c.reads)
		lx := c.columnRef(l)
		lx.refs, sc.touched = sc.touched, 0
		lx.reads = slices.Clone(c.reads[reads:])
		rx := c.columnRef(rm)
		rx.refs, rx.reads = sc.touched, []int{rx.slot}
		sc.touched |= saved
		right.on = append(right.on, compareExprs(ast.OpEq, lx, rx))
		right.cols[r].hidden = true
		m := sc.mergedOf(name)
		if m == nil {
			first := sourceColumn{l.src, l.col}
			m = &mergedColumn{name: name, all: []sourceColumn{first}, shown: []sourceColumn{first}}
			sc.merged = append(sc.merged, m)
		}
		m.add(sourceColumn{right, r})
	}
	return nil
}

// keepsRight reports whether a join is RIGHT or FULL.
func keepsRight(join ast.JoinType) bool {
	return join&ast.JoinRight != 0 || join&(ast.JoinOuter|ast.JoinLeft) == ast.JoinOuter
}

// ambiguousOnLeft reports whether a source between first and right has a column
// of its own of this name. With RIGHT or FULL anywhere in the FROM clause SQLite
// refuses to choose; else the first one counts.
func ambiguousOnLeft(sc *scope, first, right *source, name string) bool {
	for _, src := range sc.sources {
		if src == right {
			break
		}
		if src == first || src.inner {
			continue
		}
		if i := src.column(name); i >= 0 && !src.cols[i].hidden {
			return true
		}
	}
	return false
}

// add takes the column of a source into m that is joined by it.
func (m *mergedColumn) add(c sourceColumn) {
	m.all = append(m.all, c)
	switch join := c.src.join; {
	case !keepsRight(join):
	case join&ast.JoinRight != 0 && join&ast.JoinLeft == 0:
		m.shown = []sourceColumn{c}
	default:
		m.shown = append(m.shown, c)
	}
}

// leftMatch is what a column of USING is compared with: the first one of the
// name, from RIGHT and FULL joins on the first one that is not NULL.
func leftMatch(sc *scope, right *source, name string) *match {
	if m := sc.mergedOf(name); m != nil {
		shown := m.all[:1]
		if sc.keepsRight {
			shown = m.all
		}
		return (&mergedColumn{name: name, all: m.all, shown: shown}).match(sc)
	}
	for _, src := range sc.sources {
		if src == right {
			break
		}
		if i := src.column(name); i >= 0 && !src.cols[i].hidden {
			return &match{sc: sc, src: src, col: i}
		}
	}
	return nil
}

func (s *source) column(name string) int {
	for i := range s.cols {
		if strings.EqualFold(s.cols[i].name, name) {
			return i
		}
	}
	return -1
}
