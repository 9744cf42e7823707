package exec

import (
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

// aggregateCall compiles a call in the innermost query that its arguments read
// columns of: (SELECT sum(t.x)) sums in the query that t belongs to, whose groups
// it stands for there.
func (c *compiler) aggregateCall(sc *scope, name string, n *ast.FuncCall) (*expr, error) {
	if !sc.inItems && !sc.aggregates || sc.inAgg {
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
	nested, reads := len(c.nested), len(c.reads)
	call, owner, err := c.aggregateArgs(sc, name, n)
	if err != nil {
		return nil, err
	}
	if owner != sc {
		if owner.inAgg || !owner.inResults {
			return nil, errorf("misuse of aggregate: %s()", name)
		}
		if !sc.inItems && sc.misuse == nil {
			sc.misuse = errorf("misuse of aggregate function %s()", n.Name.Name)
		}
		c.nested, c.reads = c.nested[:nested], c.reads[:reads]
		if call, _, err = c.aggregateArgs(owner, name, n); err != nil {
			return nil, err
		}
		for p := sc; p != owner; p = p.parent {
			p.correlated = true
		}
	}
	if owner.aggs == nil {
		if owner == sc {
			return nil, errorf("misuse of aggregate: %s()", name)
		}
		owner.aggregates = true
		return nil, errOwned
	}
	owner.aggs.calls = append(owner.aggs.calls, call)
	return &expr{slot: call.slot, eval: readSlot(call.slot)}, nil
}

// errOwned stops the compilation of a query that a subquery turns out to hold
// an aggregate of: it is compiled anew, as a query with aggregates.
var errOwned = errorf("misuse of aggregate")

// aggregateArgs compiles what is in the parentheses and the filter of a call,
// and returns the innermost scope, sc or one around it, that they read.
func (c *compiler) aggregateArgs(sc *scope, name string, n *ast.FuncCall) (*aggCall, *scope, error) {
	call := &aggCall{name: name, distinct: n.Distinct, slot: c.regs(1)[0]}
	windows := sc.windows
	sc.inAgg, sc.windows = true, nil
	var touched []uint64
	for p := sc; p != nil; p = p.parent {
		touched = append(touched, p.touched)
		p.touched = 0
	}
	correlated := sc.correlated
	owner := sc
	defer func() {
		sc.inAgg, sc.windows = false, windows
		if owner != sc {
			sc.correlated = correlated
		}
		i := 0
		for p := sc; p != nil; p = p.parent {
			p.touched |= touched[i]
			i++
		}
	}()
	var err error
	if call.args, err = c.list(sc, n.Args); err != nil {
		return nil, nil, err
	}
	if n.Filter != nil {
		if call.filter, err = c.expr(sc, n.Filter); err != nil {
			return nil, nil, err
		}
	}
	for _, t := range n.OrderBy {
		x, err := c.expr(sc, t.Expr)
		if err != nil {
			return nil, nil, err
		}
		call.order = append(call.order, newSortKey(x, t))
	}
	if len(call.args) > 0 {
		call.coll = call.args[0].coll
	}
	for p := sc; p != nil; p = p.parent {
		if p.touched != 0 {
			owner = p
			break
		}
	}
	return call, owner, nil
}

// hasAggregate reports whether result columns, HAVING or ORDER BY call an
// aggregate, whichever query it belongs to.
func (b *block) hasAggregate() bool {
	for _, it := range b.items {
		if it.e != nil && containsAggregate(it.e) {
			return true
		}
	}
	if b.s.Having != nil && containsAggregate(b.s.Having) {
		return true
	}
	for _, t := range b.s.OrderBy {
		if containsAggregate(t.Expr) {
			return true
		}
	}
	return false
}

// settleAggregates makes a query whose aggregates are all those of queries around it
// one without.
func (b *block) settleAggregates() error {
	if b.agg == nil || len(b.agg.calls) > 0 || len(b.s.GroupBy) > 0 {
		return nil
	}
	if b.s.Having != nil {
		return errorf("HAVING clause on a non-aggregate query")
	}
	b.agg = nil
	return b.sc.misuse
}

// aggregateNode groups the rows of in.
type aggregateNode struct {
	in     node
	calls  []*aggCall
	by     []*expr
	keys   []sortKey // by, with the order of the groups
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
	slices.SortStableFunc(it.groups, func(a, b *group) int {
		return it.n.orderKeys(a.keys, b.keys)
	})
}

// orderKeys orders the keys of groups.
func (n *aggregateNode) orderKeys(a, b []value.Value) int {
	for i := range n.keys {
		if o := n.keys[i].order(a[i], b[i]); o != 0 {
			return o
		}
	}
	return 0
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
