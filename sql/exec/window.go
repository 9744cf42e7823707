package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// windowing collects the window functions of one SELECT.
type windowing struct {
	defs   []*windowSpec // of the WINDOW clause
	groups []*windowGroup
}

// windowSpec is a window with what it takes over from others.
type windowSpec struct {
	name               string
	partition          []ast.Expr
	order              []*ast.OrderingTerm
	frame              ast.FrameType // FrameNone: the default one
	start, end         *ast.FrameBound
	exclude            ast.FrameExclude
	startType, endType ast.FrameBoundType
}

// windowGroup are the calls whose windows have the same partitions and order:
// they share a sort.
type windowGroup struct {
	text      string
	partition []*expr
	order     []sortKey
	calls     []*windowCall
}

// windowCall is one window function; slot receives its result.
type windowCall struct {
	aggCall
	builtin bool
	frame   frameSpec
}

// frameSpec says which rows of the partition a function sees.
type frameSpec struct {
	kind               ast.FrameType
	startType, endType ast.FrameBoundType
	start, end         *expr // offsets, nil where the bound has none
	exclude            ast.FrameExclude
}

// windowOnly are the functions that need a window: least and greatest number
// of arguments.
var windowOnly = map[string][2]int{
	"row_number": {0, 0}, "rank": {0, 0}, "dense_rank": {0, 0}, "percent_rank": {0, 0}, "cume_dist": {0, 0},
	"ntile": {1, 1}, "lag": {1, 3}, "lead": {1, 3}, "first_value": {1, 1}, "last_value": {1, 1}, "nth_value": {2, 2},
}

func containsWindow(e ast.Expr) bool {
	found := false
	ast.Walk(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectStmt:
			return false
		case *ast.FuncCall:
			found = found || n.Over != nil
		}
		return !found
	})
	return found
}

// containAggregate reports whether a window that e names has an aggregate in its
// PARTITION BY or ORDER BY.
func (w *windowing) containAggregate(e ast.Expr) (found bool) {
	if w == nil {
		return false
	}
	ast.Walk(e, func(n ast.Node) bool {
		call, ok := n.(*ast.FuncCall)
		if !ok || call.Over == nil || call.Over.Base == nil {
			_, nested := n.(*ast.SelectStmt)
			return !nested
		}
		spec, err := w.find(call.Over.Base.Name)
		found = found || err == nil && (slices.ContainsFunc(spec.partition, containsAggregate) ||
			slices.ContainsFunc(spec.order, func(t *ast.OrderingTerm) bool { return containsAggregate(t.Expr) }))
		return !found
	})
	return found
}

// windowing resolves the WINDOW clause.
func newWindowing(defs []*ast.WindowDef) (*windowing, error) {
	w := &windowing{}
	for _, d := range defs {
		spec, err := w.spec(d)
		if err != nil {
			return nil, err
		}
		spec.name = d.Name.Name
		w.defs = append(w.defs, spec)
	}
	return w, nil
}

func (w *windowing) find(name string) (*windowSpec, error) {
	for _, d := range w.defs {
		if ast.SameName(d.name, name) {
			return d, nil
		}
	}
	return nil, errorf("no such window: %s", name)
}

// spec resolves a window definition against those before it.
func (w *windowing) spec(d *ast.WindowDef) (*windowSpec, error) {
	if d.NameOnly {
		base, err := w.find(d.Base.Name)
		if err != nil {
			return nil, err
		}
		spec := *base
		return &spec, nil
	}
	spec := &windowSpec{partition: d.Partition, order: d.OrderBy, frame: d.Frame, start: d.StartBound, end: d.EndBound, exclude: d.Exclude}
	if err := spec.bounds(); err != nil {
		return nil, err
	}
	if d.Base == nil {
		return spec, nil
	}
	base, err := w.find(d.Base.Name)
	if err != nil {
		return nil, err
	}
	what := ""
	switch {
	case len(d.Partition) > 0:
		what = "PARTITION clause"
	case len(base.order) > 0 && len(d.OrderBy) > 0:
		what = "ORDER BY clause"
	case base.frame != ast.FrameNone:
		what = "frame specification"
	}
	if what != "" {
		return nil, errorf("cannot override %s of window: %s", what, d.Base.Name)
	}
	spec.partition = base.partition
	if len(base.order) > 0 {
		spec.order = base.order
	}
	return spec, nil
}

func (s *windowSpec) bounds() error {
	s.startType, s.endType = ast.BoundUnboundedPreceding, ast.BoundCurrentRow
	if s.start != nil {
		s.startType = s.start.Type
	}
	if s.end != nil {
		s.endType = s.end.Type
	}
	if s.startType == ast.BoundCurrentRow && s.endType == ast.BoundPreceding ||
		s.startType == ast.BoundFollowing && (s.endType == ast.BoundPreceding || s.endType == ast.BoundCurrentRow) {
		return errorf("unsupported frame specification")
	}
	return nil
}

// windowCall compiles a function with OVER.
func (c *compiler) windowCall(sc *scope, name string, n *ast.FuncCall) (*expr, error) {
	if err := checkWindowCall(name, n); err != nil {
		return nil, err
	}
	if sc.windows == nil {
		return nil, errorf("misuse of window function %s()", n.Name.Name)
	}
	w := sc.windows
	windowed := sc.windowed
	sc.windows, sc.windowed = nil, false // none inside of another one
	defer func() { sc.windows, sc.windowed = w, windowed }()
	spec, err := w.spec(n.Over)
	if err != nil {
		return nil, err
	}
	call := &windowCall{aggCall: aggCall{name: name, slot: c.regs(1)[0]}}
	_, call.builtin = windowOnly[name]
	if call.args, err = c.list(sc, n.Args); err != nil {
		return nil, err
	}
	if len(call.args) > 0 {
		call.coll = call.args[0].coll
	}
	for _, x := range call.args {
		x.missing.need() // it is a column of a subquery in SQLite
	}
	if n.Filter != nil {
		if call.filter, err = c.expr(sc, n.Filter); err != nil {
			return nil, err
		}
	}
	if call.frame, err = c.frame(sc, spec); err != nil {
		return nil, err
	}
	g, err := c.windowGroup(sc, w, spec)
	if err != nil {
		return nil, err
	}
	g.calls = append(g.calls, call)
	return &expr{slot: call.slot, eval: readSlot(call.slot)}, nil
}

func checkWindowCall(name string, n *ast.FuncCall) error {
	shown := n.Name.Name
	limits, builtin := windowOnly[name]
	switch {
	case len(n.OrderBy) > 0:
		return errorf("ORDER BY may not be used with non-aggregate %s()", shown)
	case n.Distinct:
		return errorf("DISTINCT is not supported for window functions")
	case builtin && (len(n.Args) < limits[0] || len(n.Args) > limits[1] || n.Star):
		return errorf("wrong number of arguments to function %s()", shown)
	case builtin && n.Filter != nil:
		return errorf("FILTER clause may only be used with aggregate window functions")
	case builtin:
		return nil
	case !isAggregate(name, n):
		if knownScalar(name) {
			return errorf("%s() may not be used as a window function", shown)
		}
		return errorf("no such function: %s", shown)
	case n.Star && name != "count":
		return errorf("wrong number of arguments to function %s()", shown)
	}
	return checkAggregate(name, len(n.Args), n.Star)
}

func (c *compiler) frame(sc *scope, s *windowSpec) (frameSpec, error) {
	f := frameSpec{kind: s.frame, startType: s.startType, endType: s.endType, exclude: s.exclude}
	if f.kind == ast.FrameNone {
		f.kind = ast.FrameRange
	}
	var err error
	if f.start, err = c.frameOffset(sc, s.start); err != nil {
		return f, err
	}
	if f.end, err = c.frameOffset(sc, s.end); err != nil {
		return f, err
	}
	if f.kind == ast.FrameRange && (f.start != nil || f.end != nil) && len(s.order) != 1 {
		return f, errorf("RANGE with offset PRECEDING/FOLLOWING requires one ORDER BY expression")
	}
	return f, nil
}

// frameOffset compiles the offset of a bound; one that is not made of literals
// and parameters alone counts as NULL, as in SQLite.
func (c *compiler) frameOffset(sc *scope, b *ast.FrameBound) (*expr, error) {
	if b == nil || b.Expr == nil {
		return nil, nil //nolint:nilnil // the bound has none
	}
	x, err := c.expr(sc, b.Expr)
	if err != nil {
		return nil, err
	}
	if !x.konst || callsFunction(b.Expr) {
		return constant(value.Value{}), nil
	}
	return x, nil
}

func callsFunction(e ast.Expr) bool {
	found := false
	ast.Walk(e, func(n ast.Node) bool {
		_, call := n.(*ast.FuncCall)
		found = found || call
		return !found
	})
	return found
}

func (c *compiler) windowGroup(sc *scope, w *windowing, s *windowSpec) (*windowGroup, error) {
	var b strings.Builder
	for _, e := range s.partition {
		b.WriteString(ast.String(e) + ",")
	}
	b.WriteString(";")
	for _, t := range s.order {
		b.WriteString(ast.String(t) + ",")
	}
	for _, g := range w.groups {
		if g.text == b.String() {
			return g, nil
		}
	}
	g := &windowGroup{text: b.String()}
	for _, e := range s.partition {
		x, err := c.expr(sc, e)
		if err != nil {
			return nil, err
		}
		x.missing.need()
		g.partition = append(g.partition, x)
	}
	for _, t := range s.order {
		x, err := c.expr(sc, t.Expr)
		if err != nil {
			return nil, err
		}
		g.order = append(g.order, newSortKey(x, t))
	}
	w.groups = append(w.groups, g)
	return g, nil
}

// windowNodes adds the computation of all window functions of a SELECT. rows
// are the registers of the rows of n that are read after it.
func (c *compiler) windowNodes(n node, w *windowing, rows []int) node {
	if w == nil {
		return n
	}
	rows = slices.Clone(rows)
	place := &projectNode{in: n}
	for _, g := range w.groups {
		for _, x := range g.partition {
			rows = append(rows, place.place(c, x))
		}
		for i := range g.order {
			g.order[i].slot = place.place(c, g.order[i].x)
			rows = append(rows, g.order[i].slot)
		}
		for _, call := range g.calls {
			for _, x := range call.args {
				rows = append(rows, place.place(c, x))
			}
			if call.filter != nil {
				rows = append(rows, place.place(c, call.filter))
			}
		}
	}
	n = place
	for _, g := range w.groups {
		n = newWindowNode(n, g, place, slices.Clone(rows))
		for _, call := range g.calls {
			rows = append(rows, call.slot)
		}
	}
	return n
}
