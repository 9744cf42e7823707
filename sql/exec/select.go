package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// resultColumn describes one column of a query's result.
type resultColumn struct {
	column
	collBy  collSource
	missing *missingCollation
	kinds   dataKinds

	written, stored string // see item

	table string // the stored table that it comes from, "" for an expression
	cast  bool   // a CAST
}

// query is a compiled SELECT: a node whose rows lie in the registers out.
type query struct {
	node       node
	nested     []nestedQuery // subqueries in its expressions
	out        []int
	cols       []resultColumn
	compared   []resultColumn // of a compound's last select: by these an expression compares; nil: cols
	reals      []int          // columns whose integers are reals to whoever reads the rows as a table's
	correlated bool           // reads a register of the statement around it
}

// nestingMax bounds how deep selects, views and common table expressions nest.
const nestingMax = 100

// selectStmt compiles s, whose unknown names are looked up in parent.
func (c *compiler) selectStmt(parent *scope, s *ast.SelectStmt) (*query, error) {
	c.depth++
	defer func() { c.depth-- }()
	c.nSelects++
	if c.depth > nestingMax || c.nSelects > 20000 {
		return nil, errorf("statement nests too many selects (maximum depth %d)", nestingMax)
	}
	sc := c.with(parent, s.With)
	nested := len(c.nested)
	q, err := c.selectBody(sc, s)
	if err != nil {
		return nil, err
	}
	q.nested = append(q.nested, c.nested[nested:]...)
	c.nested = c.nested[:nested]
	if sc != parent && sc.correlated {
		q.correlated = true
	}
	return q, nil
}

func (c *compiler) selectBody(sc *scope, s *ast.SelectStmt) (*query, error) {
	if len(s.Cores) > 1 {
		return c.compound(sc, s)
	}
	switch core := s.Cores[0].(type) {
	case *ast.ValuesClause:
		return c.values(sc, core)
	case *ast.SelectQuery:
		return c.core(sc, core)
	}
	return nil, unsupported("this kind of select")
}

// with returns the scope in which the names of a WITH clause are known.
func (c *compiler) with(parent *scope, w *ast.With) *scope {
	if w == nil {
		return parent
	}
	sc := &scope{parent: parent, ctes: map[string]*cte{}}
	for _, def := range w.CTEs {
		sc.ctes[fold(def.Name.Name)] = &cte{def: def, outer: sc}
	}
	return sc
}

// item is one column of the select list, stars expanded.
type item struct {
	e    ast.Expr
	m    *match // set for a column out of a star
	name string

	named bool // by AS, or out of a star

	// The names that a FROM clause around the query, and a view or table made of it,
	// know it by; "" for name.
	written, stored string
}

func (c *compiler) core(parent *scope, s *ast.SelectQuery) (*query, error) {
	sc := &scope{parent: parent}
	if plainJoins(s.From) {
		sc.flat = 1
	}
	b, err := c.block(sc, s)
	if err != nil {
		return nil, err
	}
	if err := b.findWindows(); err != nil {
		return nil, err
	}
	q, err := b.compile()
	c.blocks = []*block{b}
	return q, err
}

// block compiles the FROM clause of s into sc, in which ON, too, knows the aliases
// of result columns, and lists these.
func (c *compiler) block(sc *scope, s *ast.SelectQuery) (*block, error) {
	b := &block{c: c, sc: sc, s: s, aliases: aliasesOf(s.Columns)}
	sc.aliases = b.aliases
	err := c.from(sc, s.From)
	sc.aliases = nil
	if err == nil {
		b.items, err = c.items(sc, s.Columns)
	}
	return b, err
}

func (c *compiler) items(sc *scope, cols []*ast.ResultColumn) ([]item, error) {
	var items []item
	alone := len(sc.sources) == 1 && sc.sources[0].nested != nil // then SQLite looks the columns of a star up by their names
	for _, rc := range cols {
		star, ok := rc.Expr.(*ast.Star)
		if !ok {
			it := item{e: rc.Expr}
			if rc.Alias != nil {
				it.name, it.named = rc.Alias.Name, true
			} else {
				c.nameItem(sc, &it)
			}
			items = append(items, it)
			continue
		}
		n := len(items)
		for _, src := range sc.named() {
			if src.inner {
				continue
			}
			if star.Table != nil && !ast.SameName(src.name, star.Table.Name) {
				continue
			}
			if star.Table == nil {
				items = append(items, sc.mergedBefore(src)...)
			}
			shared := sc.sharesName(src)
			for i := range src.cols {
				if star.Table == nil && src.cols[i].hidden || src.cols[i].input {
					continue
				}
				if alone {
					if _, err := sc.lookup("", src.cols[i].name); err != nil {
						return nil, err
					}
				}
				m := &match{sc: sc, src: src, col: i}
				if mrg := sc.mergedAt(sourceColumn{src, i}); star.Table == nil && mrg != nil {
					if mrg.grouped {
						continue
					}
					if sc.keepsRight && (mrg.ambiguous || sc.besides(mrg)) {
						return nil, errorf("ambiguous column name: %s", mrg.name)
					}
					m = mrg.match(sc)
				} else if shared {
					var err error
					if m, err = sc.starMatch(src, i); err != nil {
						return nil, err
					}
				}
				items = append(items, item{m: m, name: src.cols[i].label(), named: true})
			}
		}
		if len(items) == n {
			if star.Table != nil {
				return nil, errorf("no such table: %s", star.Table.Name)
			}
			return nil, errorf("no tables specified")
		}
	}
	return items, nil
}

// block compiles one SELECT core.
type block struct {
	c       *compiler
	sc      *scope
	s       *ast.SelectQuery
	items   []item
	aliases map[string]ast.Expr

	agg     *aggregation
	windows *windowing // nil: there are no window functions

	windowed bool // some are called

	where   []*expr
	groupBy []*expr
	having  *expr
	outs    []*expr
	keys    []sortKey

	groupKeys []sortKey

	orderDone    bool // the rows come in the order of keys
	distinctDone bool // rows that are alike come one after the other
	subs         bool // something after WHERE runs a subquery
}

func (b *block) compile() (*query, error) {
	steps := []func() error{b.compileWhere, b.compileGroupBy, b.compileItems, b.compileRest}
	subqueries := 0
	for i, step := range steps {
		if i == 1 {
			subqueries = b.c.nSubs
		}
		if err := step(); err != nil {
			return nil, err
		}
	}
	b.subs = b.c.nSubs > subqueries
	if err := checkJoins(b.sc); err != nil {
		return nil, err
	}
	w, extreme := b.wantedOrder()
	n := b.c.join(b.sc, b.where, w)
	if b.agg != nil {
		an := b.c.aggregateNode(n, b.agg, b.groupBy)
		an.subs, an.order = b.subs, orderFrom(0, b.groupKeys)
		if met := w.met != nil && *w.met; extreme {
			an.first = met
		} else {
			an.sorted = met
		}
		n = an.total()
		if b.having != nil {
			n = &filterNode{in: n, conds: []*expr{b.having}}
		}
	}
	return b.finish(b.c.windowNodes(n, b.windows, b.rowRegisters()))
}

// findWindows looks for window functions, which result columns and ORDER BY
// may hold.
func (b *block) findWindows() (err error) {
	for _, it := range b.items {
		b.windowed = b.windowed || it.e != nil && containsWindow(it.e)
	}
	for _, t := range b.s.OrderBy {
		b.windowed = b.windowed || containsWindow(t.Expr)
	}
	if b.windowed || len(b.s.Windows) > 0 {
		b.windows, err = newWindowing(b.s.Windows)
	}
	return err
}

// rowRegisters are the registers of the rows that window functions get.
func (b *block) rowRegisters() []int {
	if b.windows == nil {
		return nil
	}
	var out []int
	if b.agg == nil {
		for _, s := range b.sc.sources {
			if s.flat == nil {
				out = append(out, s.registers()...)
			}
		}
		return out
	}
	for s := range b.agg.bare {
		out = append(out, s)
	}
	for _, call := range b.agg.calls {
		out = append(out, call.slot)
	}
	return out
}

func (b *block) compileWhere() error {
	b.sc.aliases, b.sc.aggregates, b.sc.inWhere = b.aliases, b.aggregates(), true // those of queries around this one
	defer func() { b.sc.aliases, b.sc.aggregates, b.sc.inWhere = nil, false, false }()
	for _, e := range conjuncts(b.s.Where, nil) {
		x, err := b.c.exprIn(b.sc, e)
		if err != nil {
			return err
		}
		x.source = e
		b.where = append(b.where, x)
	}
	return nil
}

// conjuncts splits a condition at its ANDs.
func conjuncts(e ast.Expr, out []ast.Expr) []ast.Expr {
	if e == nil {
		return out
	}
	switch n := ast.Unparen(e).(type) {
	case *ast.BinaryExpr:
		if n.Op == ast.OpAnd {
			return conjuncts(n.Y, conjuncts(n.X, out))
		}
		if x, y := vector(n.X), vector(n.Y); n.Op == ast.OpEq && len(x) == len(y) {
			for i := range x { // (a, b) = (1, 2)
				out = conjuncts(&ast.BinaryExpr{Op: ast.OpEq, X: x[i], Y: y[i]}, out)
			}
			if len(x) > 0 {
				return out
			}
		}
	case *ast.BetweenExpr:
		if !n.Not && vector(n.X) == nil && isPure(n.X) {
			return append(out, &ast.BinaryExpr{Op: ast.OpGe, X: n.X, Y: n.Lo}, &ast.BinaryExpr{Op: ast.OpLe, X: n.X, Y: n.Hi})
		}
	}
	return append(out, e)
}

// isPure reports whether evaluating e twice is the same as once: a column.
func isPure(e ast.Expr) bool {
	switch ast.Unparen(e).(type) {
	case *ast.Ident, *ast.QualifiedRef:
		return true
	}
	return false
}

func (b *block) compileGroupBy() error {
	b.sc.aliases, b.sc.aggregates, b.sc.inGroupBy = b.aliases, true, true
	defer func() { b.sc.aliases, b.sc.inGroupBy = nil, false }()
	for _, e := range b.s.GroupBy {
		inner, coll := uncollated(e)
		if i, ok := columnNumber(inner); ok {
			if i < 1 || i > len(b.items) {
				return errorf("%s GROUP BY term out of range - should be between 1 and %d", sqlerr.Ordinal(len(b.groupBy)+1), len(b.items))
			}
			x, err := b.item(i - 1)
			if err != nil {
				return err
			}
			if coll != nil {
				x = b.c.collated(x, coll)
			}
			x.missing.need()
			b.groupBy = append(b.groupBy, x)
			continue
		}
		x, err := b.c.exprIn(b.sc, e)
		if err != nil {
			return err
		}
		x.missing.need()
		b.groupBy = append(b.groupBy, x)
	}
	if b.aggregates() {
		b.agg = &aggregation{bare: map[int]bool{}}
	}
	return nil
}

// aggregates reports whether the query's results are of groups.
func (b *block) aggregates() bool {
	return len(b.s.GroupBy) > 0 || slices.ContainsFunc(b.items, func(it item) bool {
		return it.e != nil && (containsAggregate(it.e) || b.windows.containAggregate(it.e))
	})
}

func (b *block) item(i int) (*expr, error) {
	it := b.items[i]
	if it.m != nil {
		touched, reads := b.sc.touched, len(b.c.reads)
		b.sc.touched = 0
		x := b.c.columnRef(it.m)
		x.refs, x.reads = b.sc.touched, slices.Clone(b.c.reads[reads:])
		if x.slot >= 0 {
			x.canon = "$" + itoa(x.slot)
		}
		b.sc.touched |= touched
		return x, nil
	}
	if vector(it.e) != nil {
		return nil, errorf("row value misused")
	}
	return b.c.exprIn(b.sc, it.e)
}

func (b *block) compileItems() error {
	b.sc.aggs, b.sc.windows, b.sc.windowed = b.agg, b.windows, b.windowed
	defer func() { b.sc.windows, b.sc.windowed = nil, false }()
	for i := range b.items {
		x, err := b.item(i)
		if err != nil {
			return err
		}
		b.outs = append(b.outs, x)
	}
	if b.agg != nil && len(b.agg.calls) == 0 && len(b.s.GroupBy) == 0 { // those of its subqueries are theirs
		b.agg, b.sc.aggs = nil, nil
		if b.sc.misuse != nil {
			return b.sc.misuse
		}
	}
	if b.agg == nil && b.s.Having != nil {
		return errorf("HAVING clause on a non-aggregate query")
	}
	return nil
}

// compileRest compiles HAVING and ORDER BY, which see the aliases.
func (b *block) compileRest() error {
	b.sc.aliases = b.aliases
	defer func() { b.sc.aliases = nil }()
	if b.s.Having != nil {
		x, err := b.c.expr(b.sc, b.s.Having)
		if err != nil {
			return err
		}
		b.having = x
	}
	b.sc.windows, b.sc.windowed = b.windows, b.windowed
	defer func() { b.sc.windows, b.sc.windowed = nil, false }()
	for _, t := range b.s.OrderBy {
		x, err := b.orderExpr(t.Expr)
		if err != nil {
			return err
		}
		b.keys = append(b.keys, newSortKey(x, t))
	}
	return nil
}

// orderExpr compiles one term of ORDER BY: the number of a column, an alias,
// or an expression. An alias wins over a column of the same name.
func (b *block) orderExpr(e ast.Expr) (*expr, error) {
	inner, coll := uncollated(e)
	pick := -1
	if i, ok := columnNumber(inner); ok {
		if i < 1 || i > len(b.outs) {
			return nil, errorf("%s ORDER BY term out of range - should be between 1 and %d", sqlerr.Ordinal(len(b.keys)+1), len(b.outs))
		}
		pick = i - 1
	}
	if n, ok := inner.(*ast.Ident); ok {
		for i, rc := range b.items {
			if rc.e != nil && ast.SameName(rc.name, n.Name) && b.aliases[fold(n.Name)] == rc.e {
				pick = i
				break
			}
		}
	}
	if pick < 0 {
		return b.c.exprIn(b.sc, e)
	}
	x := *b.outs[pick]
	if coll != nil {
		b.c.setCollation(&x, coll)
	}
	x.outIndex = pick + 1
	return &x, nil
}

// finish adds projection, DISTINCT, ORDER BY and LIMIT.
func (b *block) finish(n node) (*query, error) {
	q := &query{correlated: b.sc.correlated}
	p := &projectNode{in: n}
	for i, x := range b.outs {
		q.out = append(q.out, p.place(b.c, x))
		rc := resultColumn{column: column{name: b.items[i].name, aff: x.aff, hasAff: x.hasAff, coll: x.coll}, collBy: x.collBy, missing: x.missing, kinds: x.kinds, written: b.items[i].written, stored: b.items[i].stored}
		if rc.declType, rc.table = b.origin(b.items[i]); rc.declType == "" {
			rc.declType = x.decl
		}
		_, rc.cast = ast.Unparen(b.items[i].e).(*ast.CastExpr)
		q.cols = append(q.cols, rc)
	}
	for i := range b.keys {
		if o := b.keys[i].x.outIndex; o > 0 {
			b.keys[i].slot = q.out[o-1]
		} else {
			b.keys[i].slot = p.place(b.c, b.keys[i].x)
		}
	}
	q.node = p
	if len(p.slots) == 0 {
		q.node = n
	}
	if b.s.Distinct == ast.DistinctDistinct {
		q.node = &distinctNode{in: q.node, slots: q.out, save: saveList(q.out, b.keys), colls: collations(q.cols), sorted: b.distinctDone}
	}
	return q, b.c.orderAndLimit(b.sc, q, b.keys, b.s.Limit, b.orderDone)
}

// orderAndLimit adds a sort, unless the rows come in order, and LIMIT.
func (c *compiler) orderAndLimit(sc *scope, q *query, keys []sortKey, lim *ast.Limit, ordered bool) error {
	var l *limitNode
	if lim != nil {
		outer := &scope{parent: sc.parent}
		count, err := c.expr(outer, lim.Count)
		if err != nil {
			return err
		}
		l = &limitNode{count: count}
		if lim.Offset != nil {
			if l.offset, err = c.expr(outer, lim.Offset); err != nil {
				return err
			}
		}
		q.correlated = q.correlated || outer.correlated
	}
	if len(keys) > 0 && !ordered {
		s := &sortNode{in: q.node, keys: keys, save: saveList(q.out, keys), limit: l}
		s.dropAlike()
		q.node = s
	}
	if l != nil {
		l.in = q.node
		q.node = l
	}
	return nil
}

func saveList(out []int, keys []sortKey) []int {
	seen := map[int]bool{}
	var list []int
	for _, s := range out {
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	for _, k := range keys {
		if !seen[k.slot] {
			seen[k.slot] = true
			list = append(list, k.slot)
		}
	}
	return list
}

// origin returns the declared type and the table of a plain column.
func (b *block) origin(it item) (declType, table string) {
	m := it.m
	if m == nil {
		switch n := ast.Unparen(it.e).(type) {
		case *ast.Ident:
			m, _ = b.sc.lookup("", n.Name)
		case *ast.QualifiedRef:
			m, _ = b.sc.lookup(n.Parts[len(n.Parts)-2].Name, n.Parts[len(n.Parts)-1].Name)
		}
	}
	if m == nil {
		return "", ""
	}
	if m.src.table != nil {
		table = m.src.table.Name
	}
	if m.col < 0 {
		return "INTEGER", table
	}
	return m.src.cols[m.col].declType, table
}

func collations(cols []resultColumn) []value.Collation {
	out := make([]value.Collation, len(cols))
	for i := range cols {
		cols[i].missing.need()
		out[i] = cols[i].coll
	}
	return out
}
