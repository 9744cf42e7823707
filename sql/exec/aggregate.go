package exec

import (
	"maps"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// aggregation collects the aggregate calls of one SELECT and the registers
// that its results read beside them: SQLite's bare columns.
type aggregation struct {
	calls []*aggCall
	bare  map[int]bool
}

// aggCall is one aggregate call; slot receives its result.
type aggCall struct {
	name     string
	args     []*expr
	filter   *expr
	distinct bool
	order    []sortKey
	coll     value.Collation
	slot     int

	// plain calls take every row; their one argument, if they have one, lies in
	// the register arg.
	plain bool
	arg   int
}

// settle sets plain and arg.
func (call *aggCall) settle() {
	call.plain = call.filter == nil && !call.distinct && len(call.order) == 0 &&
		(len(call.args) == 0 || len(call.args) == 1 && call.args[0].slot >= 0)
	if len(call.args) == 1 {
		call.arg = call.args[0].slot
	}
}

// unique reports whether equal arguments count once. DISTINCT means nothing to
// min and max.
func (call *aggCall) unique() bool {
	return call.distinct && call.name != "min" && call.name != "max"
}

// collects reports whether the call needs memory for each of its rows.
func (call *aggCall) collects() bool { return call.unique() || len(call.order) > 0 }

// isAggregate reports whether a call is one of an aggregate; min and max are
// so with one argument.
func isAggregate(name string, n *ast.FuncCall) bool {
	switch name {
	case "min", "max":
		return len(n.Args) == 1 && !n.Star
	}
	return knownAggregate(name)
}

// aggregateCall compiles a call of an aggregate. It is one of the innermost
// SELECT of whose rows it reads a column, of its own if it reads none.
func (c *compiler) aggregateCall(sc *scope, name string, n *ast.FuncCall) (*expr, error) {
	if !sc.aggregates || sc.inAgg {
		return nil, errorf("misuse of aggregate function %s()", n.Name.Name)
	}
	if n.Star && name != "count" {
		return nil, errorf("wrong number of arguments to function %s()", n.Name.Name)
	}
	if err := checkAggregate(name, len(n.Args), n.Star); err != nil {
		return nil, err
	}
	if n.Distinct && len(n.Args) != 1 {
		return nil, errorf("DISTINCT aggregates must have exactly one argument")
	}
	call := &aggCall{name: name, distinct: n.Distinct, slot: c.regs(1)[0]}
	around := scopesFrom(sc)
	err := c.aggregateParts(sc, call, n)
	owner := around.owner()
	around.restore()
	if err != nil {
		return nil, err
	}
	switch {
	case owner != sc && owner.windowed: // as in SQLite, which computes it behind the window functions
		return nil, errorf("misuse of aggregate: %s()", n.Name.Name)
	case owner.aggs != nil && !owner.inAgg:
	case owner.inGroupBy:
		return nil, errorf("aggregate functions are not allowed in the GROUP BY clause")
	default:
		return nil, errorf("misuse of aggregate: %s()", n.Name.Name)
	}
	if sc.inWhere && sc.misuse == nil {
		sc.misuse = errorf("misuse of aggregate function %s()", n.Name.Name)
	}
	owner.aggs.calls = append(owner.aggs.calls, call)
	return &expr{slot: call.slot, eval: readSlot(call.slot)}, nil
}

// aggregateParts compiles what a call reads of each row.
func (c *compiler) aggregateParts(sc *scope, call *aggCall, n *ast.FuncCall) (err error) {
	windows := sc.windows
	sc.inAgg, sc.windows = true, nil
	defer func() { sc.inAgg, sc.windows = false, windows }()
	if call.args, err = c.list(sc, n.Args); err != nil {
		return err
	}
	if n.Filter != nil {
		if call.filter, err = c.expr(sc, n.Filter); err != nil {
			return err
		}
	}
	for _, t := range n.OrderBy {
		x, err := c.expr(sc, t.Expr)
		if err != nil {
			return err
		}
		call.order = append(call.order, newSortKey(x, t))
	}
	if len(call.args) > 0 {
		call.coll = call.args[0].coll
		if call.unique() || call.name == "min" || call.name == "max" {
			call.args[0].missing.need()
		}
	}
	return nil
}

// touchedScopes are the scopes around an aggregate call, the innermost first,
// and what they knew before its arguments were compiled.
type touchedScopes []touchedScope

type touchedScope struct {
	*scope
	touched uint64
	bare    map[int]bool
}

// scopesFrom clears what the scopes know of the sources that were touched.
func scopesFrom(sc *scope) (list touchedScopes) {
	for s := sc; s != nil; s = s.parent {
		t := touchedScope{scope: s, touched: s.touched}
		if s.aggs != nil && s != sc {
			t.bare = maps.Clone(s.aggs.bare)
		}
		s.touched = 0
		list = append(list, t)
	}
	return list
}

// owner returns the scope whose rows are aggregated. What the arguments read of
// them is no column beside the aggregates.
func (list touchedScopes) owner() *scope {
	for _, t := range list {
		if t.touchedRows() {
			if t.bare != nil {
				t.aggs.bare = t.bare
			}
			return t.scope
		}
	}
	return list[0].scope
}

func (list touchedScopes) restore() {
	for _, t := range list {
		t.scope.touched |= t.touched
	}
}

// touchedRows reports whether a source of a FROM clause was touched: OLD, NEW,
// excluded and the row of RETURNING are values.
func (sc *scope) touchedRows() bool {
	if sc.returns {
		return false
	}
	return slices.ContainsFunc(sc.sources, func(s *source) bool {
		return sc.touched&(1<<uint(s.index)) != 0 && !s.qualifiedOnly && !s.excluded
	})
}

// aggregateNode groups the rows of in.
type aggregateNode struct {
	in     node
	calls  []*aggCall
	by     []*expr
	order  sortOrder // of the groups, by their keys
	bare   []int
	decide int  // the min or max call whose row gives the bare columns, -1 for none
	first  bool // the first row that decides is the last one needed
	sorted bool // the rows of a group come one after the other, in the order of keys
	subs   bool // some expression runs a subquery

	collects bool // some call does
}

func (c *compiler) aggregateNode(in node, a *aggregation, by []*expr) *aggregateNode {
	n := &aggregateNode{in: in, calls: a.calls, by: by, decide: -1}
	for s := range a.bare {
		n.bare = append(n.bare, s)
	}
	slices.Sort(n.bare)
	for i, call := range a.calls {
		call.settle()
		n.collects = n.collects || call.collects()
		if n.decide >= 0 {
			continue
		}
		if call.name == "min" || call.name == "max" {
			n.decide = i
		}
	}
	return n
}

type group struct {
	keys      []value.Value
	accs      []accumulator
	collected []*collection // of calls with DISTINCT or ORDER BY
	mem       int64         // of collected, in memory
	bare      []value.Value
}

func (it *aggregateIter) newGroup(keys []value.Value) (*group, error) {
	g := &group{keys: keys, accs: make([]accumulator, len(it.n.calls))}
	for i, call := range it.n.calls {
		acc, err := newAccumulator(call)
		if err != nil {
			return nil, err
		}
		g.accs[i] = acc
	}
	return g, it.hold(160 + int(rowSize(keys)) + 128*len(it.n.calls) + valueSize*len(it.n.bare))
}

func (it *aggregateIter) step(g *group) (decided bool, err error) {
	if g.bare == nil {
		if err := it.saveBare(g); err != nil {
			return false, err
		}
	}
	for i, call := range it.n.calls {
		if call.plain {
			args := it.f.regs[call.arg : call.arg+len(call.args)]
			took, err := g.accs[i].step(args)
			if err != nil {
				return false, err
			}
			if took && i == it.n.decide {
				decided = true
				err = it.saveBare(g)
			}
			if err != nil {
				return false, err
			}
			continue
		}
		if call.filter != nil {
			pass, err := passes(it.f, []*expr{call.filter})
			if err != nil {
				return false, err
			}
			if !pass {
				continue
			}
		}
		base := len(it.f.stack)
		for _, a := range call.args {
			v, err := a.eval(it.f)
			if err != nil {
				return false, err
			}
			it.f.stack = append(it.f.stack, v)
		}
		args := it.f.stack[base:]
		took, err := it.feed(g, i, args, func() ([]value.Value, error) { return it.orderedRow(i, args) })
		it.f.stack = it.f.stack[:base]
		if err != nil {
			return false, err
		}
		if took && i == it.n.decide {
			decided = true
			if err := it.saveBare(g); err != nil {
				return false, err
			}
		}
	}
	return decided, nil
}

// orderedRow returns the arguments of call i and what they are ordered by.
func (it *aggregateIter) orderedRow(i int, args []value.Value) ([]value.Value, error) {
	call := it.n.calls[i]
	if len(call.order) == 0 {
		return args, nil
	}
	args = slices.Clone(args)
	for k := range call.order {
		v, err := call.order[k].x.eval(it.f)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	return args, nil
}

func (it *aggregateIter) saveBare(g *group) error {
	if g.bare == nil {
		g.bare = make([]value.Value, len(it.n.bare))
	}
	n := 0
	for i, s := range it.n.bare {
		n += len(it.f.regs[s].Str()) - len(g.bare[i].Str())
		g.bare[i] = record.Own(it.f.regs[s])
	}
	return it.hold(n)
}

// ownRow returns a copy of values that aliases nothing.
func ownRow(vals []value.Value) []value.Value {
	out := make([]value.Value, len(vals))
	for i, v := range vals {
		out[i] = record.Own(v)
	}
	return out
}

// sortGroups puts the groups in the order of their keys, as SQLite's sorter does.
func (it *aggregateIter) sortGroups() {
	if len(it.groups) < 2 {
		return
	}
	sorted := sortList{sortOrder: it.n.order}
	for _, g := range it.groups {
		sorted.add(g.keys)
	}
	sorted.sort()
	groups := make([]*group, len(it.groups))
	for i := range groups {
		groups[i] = it.groups[sorted.order[i].row]
	}
	it.groups = groups
}

func (it *aggregateIter) next() (bool, error) {
	if it.n.sorted {
		mem := it.mem
		g, err := it.gather()
		if err != nil || g == nil {
			return false, err
		}
		it.f.release(mem) // the group before
		it.mem -= mem
		return true, it.result(g)
	}
	if it.aside.rows != nil {
		return it.nextAside()
	}
	if it.at >= len(it.groups) {
		return false, nil
	}
	g := it.groups[it.at]
	it.at++
	return true, it.result(g)
}

// result puts the results of a group into the registers.
func (it *aggregateIter) result(g *group) error {
	defer it.drop(g)
	for i, s := range it.n.bare {
		it.f.regs[s] = value.Value{}
		if g.bare != nil {
			it.f.regs[s] = g.bare[i]
		}
	}
	for i, call := range it.n.calls {
		if g.collected != nil && g.collected[i] != nil {
			if err := it.finish(call, g.collected[i], g.accs[i]); err != nil {
				return err
			}
		}
		v, err := g.accs[i].final()
		if err != nil {
			return err
		}
		it.f.regs[call.slot] = v
	}
	return it.f.tick()
}

func (it *aggregateIter) close() {
	if it.in != nil {
		it.in.close()
	}
	it.aside.rows.close()
	for _, g := range it.groups {
		it.drop(g)
	}
	it.drop(it.current)
	it.current, it.aside = nil, asideRows{}
	clear(it.key[:cap(it.key)])
	clear(it.groups)
	it.groups = nil
	it.f.release(it.mem)
	it.mem = 0
}
