package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/schema"
)

// from adds the items of a FROM clause to sc, with their conditions. These, and
// the arguments of functions, may read tables behind their own.
func (c *compiler) from(sc *scope, refs []*ast.TableRef) error {
	sc.keepsRight = sc.keepsRight || slices.ContainsFunc(refs, func(r *ast.TableRef) bool { return r.Join != nil && keepsRight(r.Join.Type) })
	if err := c.fromItems(sc, refs); err != nil {
		return err
	}
	later := sc.later
	sc.later = nil
	for _, compile := range later {
		if err := compile(); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) fromItems(sc *scope, refs []*ast.TableRef) error {
	for _, ref := range refs {
		if err := c.fromItem(sc, ref); err != nil {
			return err
		}
	}
	return nil
}

func joinOf(ref *ast.TableRef) ast.JoinType {
	if ref.Join != nil {
		return ref.Join.Type
	}
	return ast.JoinInner
}

func (c *compiler) fromItem(sc *scope, ref *ast.TableRef) error {
	if ref.List != nil {
		return c.listItem(sc, ref)
	}
	src, err := c.source(sc, ref)
	if err != nil {
		return err
	}
	return c.addSource(sc, src, ref)
}

func (c *compiler) addSource(sc *scope, src *source, ref *ast.TableRef) error {
	if sc.base+len(sc.sources) == sourcesMax {
		return errorf("at most %d tables in a join", sourcesMax)
	}
	src.index, src.join = sc.base+len(sc.sources), joinOf(ref)
	sc.sources = append(sc.sources, src)
	if err := c.using(sc, src, ref); err != nil {
		return err
	}
	c.later(sc, &src.on, ref.On)
	return nil
}

// later has ON be compiled into list when all sources are known.
func (c *compiler) later(sc *scope, list *[]*expr, on ast.Expr) {
	if on == nil {
		return
	}
	sc.later = append(sc.later, func() error {
		for _, e := range conjuncts(on, nil) {
			x, err := c.exprIn(sc, e)
			if err != nil {
				return err
			}
			*list = append(*list, x)
		}
		return nil
	})
}

func hasOuterJoin(refs []*ast.TableRef) bool {
	return hasJoin(refs, ast.JoinLeft|ast.JoinRight|ast.JoinOuter)
}

func hasJoin(refs []*ast.TableRef, kinds ast.JoinType) bool {
	for _, r := range refs {
		if joinOf(r)&kinds != 0 || hasJoin(r.List, kinds) {
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
			err = c.noFunction(sc, ref.Name)
		}
	case ref.Name.Schema == nil && sc.findCTE(name) != nil:
		src, err = c.cteSource(sc, sc.findCTE(name), ref)
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

// noFunction says that a name with arguments is none of a table-valued function.
func (c *compiler) noFunction(sc *scope, q *ast.QualifiedName) error {
	name := q.Name.Name
	if c.schema.Find(q) == nil && (q.Schema != nil || sc.findCTE(name) == nil) {
		return c.noTable(q)
	}
	return errorf("'%s' is not a function", name)
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
	in, stored, depth, stmt := c.schema, c.stored, len(c.views), c.stmt
	c.stmt = parse.Stmt{Text: t.SQL} // for the names of its columns
	c.schema, c.stored, c.views = in.Within(t.IsTemp()), !t.IsTemp(), append(c.views, t)
	return func() { c.schema, c.stored, c.views, c.stmt = in, stored, c.views[:depth], stmt }, nil
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
	q = c.readAsReals(q)
	src := &source{rowID: -1, node: q.node, slots: q.out, label: "SUBQUERY", query: q}
	for i := range q.cols {
		q.cols[i].missing.need()
		col := q.cols[i].column
		col.hidden, col.input = false, false
		if q.cols[i].written != "" {
			col.name = q.cols[i].written
		}
		if i < len(names) {
			col.name = names[i]
		}
		src.cols = append(src.cols, col)
	}
	uniqueNames(src.cols)
	return src
}

// uniqueNames gives columns of the same name numbers as SQLite does: a, a:1, a:2.
func uniqueNames(cols []column) {
	seen := map[string]bool{}
	for i := range cols {
		name := cols[i].name
		stem := strings.TrimRight(name, "0123456789")
		if !strings.HasSuffix(stem, ":") || stem == ":" {
			stem = name + ":"
		}
		for n := 1; seen[fold(name)]; n++ {
			name = stem + itoa(n)
		}
		seen[fold(name)] = true
		cols[i].name = name
	}
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
	for i := range q.cols {
		q.cols[i].written = q.cols[i].stored
	}
	src := c.querySource(q, t.ViewColumns)
	src.label, src.db = t.Name, t.Database()
	return src, nil
}

func (c *compiler) cteSource(sc *scope, e *cte, ref *ast.TableRef) (*source, error) {
	name := e.def.Name.Name
	if e.active {
		switch {
		case e.rec == nil:
			return nil, errorf("circular reference: %s", name)
		case !e.rec.refs[ref.Name]:
			return nil, errorf("multiple recursive references: %s", name)
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
		for _, name := range right.names() {
			if leftMatch(sc, right, name) != nil {
				names = append(names, name)
			}
		}
	}
	right.using = names
	for _, name := range names {
		l := leftMatch(sc, right, name)
		rm := sc.inside(right, name)
		if l == nil || rm == nil {
			return errorf("cannot join using column %s - column not present in both tables", name)
		}
		if sc.keepsRight && ambiguousOnLeft(sc, l.src, right, name) {
			return errorf("ambiguous reference to %s in USING()", name)
		}
		saved := sc.touched
		sc.touched = 0
		reads := len(c.reads)
		lx := c.columnRef(l)
		lx.refs, sc.touched = sc.touched, 0
		lx.reads = slices.Clone(c.reads[reads:])
		reads = len(c.reads)
		rx := c.columnRef(rm)
		rx.refs, rx.reads = sc.touched, slices.Clone(c.reads[reads:])
		sc.touched |= saved
		right.on = append(right.on, compareExprs(ast.OpEq, lx, rx))
		parts := []sourceColumn{{rm.src, rm.col}}
		if rm.mrg != nil {
			parts = rm.mrg.shown
			sc.merged = slices.DeleteFunc(sc.merged, func(m *mergedColumn) bool { return m == rm.mrg })
			rm.mrg.all[0].hide()
		}
		for _, p := range parts {
			p.hide()
		}
		first := sourceColumn{l.src, l.col}
		if l.mrg != nil {
			first = l.mrg.all[0]
		}
		m := sc.mergedAt(first)
		if m == nil {
			m = &mergedColumn{name: name, all: []sourceColumn{first}, shown: []sourceColumn{first}, covers: 1 << uint(first.src.index), before: sc.before(right)}
			sc.merged = append(sc.merged, m)
		}
		m.add(right, parts)
	}
	return nil
}

// before returns the source in front of right that names find.
func (sc *scope) before(right *source) (last *source) {
	for _, src := range sc.named() {
		if src == right || right.nested != nil && src == right.nested.members[0] {
			break
		}
		if !src.inner && (last == nil || src.index != last.index) {
			last = src
		}
	}
	return last
}

func (p sourceColumn) hide() { p.src.cols[p.col].hidden = true }

// keepsRight reports whether a join is RIGHT or FULL.
func keepsRight(join ast.JoinType) bool {
	return join&ast.JoinRight != 0 || join&(ast.JoinOuter|ast.JoinLeft) == ast.JoinOuter
}

// ambiguousOnLeft reports whether a source between first and right has a column
// of its own of this name. With RIGHT or FULL anywhere in the FROM clause SQLite
// refuses to choose; else the first one counts.
func ambiguousOnLeft(sc *scope, first, right *source, name string) bool {
	for _, src := range sc.named() {
		if src == right || right.nested != nil && src == right.nested.members[0] {
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

// add takes a column of right into m that is joined by it.
func (m *mergedColumn) add(right *source, parts []sourceColumn) {
	m.all = append(m.all, parts...)
	m.covers |= 1 << uint(right.index)
	m.ambiguous = m.ambiguous || keepsRight(right.join) && right.shows(m.name)
	switch join := right.join; {
	case !keepsRight(join):
	case join&ast.JoinRight != 0 && join&ast.JoinLeft == 0:
		m.shown = slices.Clone(parts)
	default:
		m.shown = append(m.shown, parts...)
	}
}

// leftMatch is what a column of USING is compared with: the first one of the
// name, from RIGHT and FULL joins on the first one that is not NULL.
func leftMatch(sc *scope, right *source, name string) *match {
	for _, src := range sc.named() {
		if src == right || right.nested != nil && src == right.nested.members[0] {
			break
		}
		i := src.column(name)
		if i < 0 || src.cols[i].hidden {
			continue
		}
		m := sc.mergedAt(sourceColumn{src, i})
		if m == nil {
			return &match{sc: sc, src: src, col: i}
		}
		shown := m.all[:1]
		if sc.keepsRight {
			shown = m.all
		}
		return (&mergedColumn{name: name, all: m.all, shown: shown}).match(sc)
	}
	return nil
}

func (s *source) column(name string) int {
	for i := range s.cols {
		if ast.SameName(s.cols[i].name, name) {
			return i
		}
	}
	return -1
}
