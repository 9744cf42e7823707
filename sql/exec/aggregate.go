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

// isAggregate reports whether a call is one of an aggregate; min and max are
// so with one argument.
func isAggregate(name string, n *ast.FuncCall) bool {
	switch name {
	case "min", "max":
		return len(n.Args) == 1 && !n.Star
	}
	return knownAggregate(name)
}

func (c *compiler) aggregateCall(sc *scope, name string, n *ast.FuncCall) (*expr, error) {
	if sc.aggs == nil || sc.inAgg {
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
	sc.inAgg = true
	windows := sc.windows
	sc.windows = nil
	defer func() { sc.inAgg, sc.windows = false, windows }()
	touched, correlated := sc.touched, sc.correlated
	sc.touched, sc.correlated = 0, false
	var err error
	if call.args, err = c.list(sc, n.Args); err != nil {
		return nil, err
	}
	if sc.touched == 0 && sc.correlated && len(n.Args) > 0 {
		return nil, unsupported("aggregates over columns of an outer query")
	}
	sc.correlated = sc.correlated || correlated
	sc.touched |= touched
	if n.Filter != nil {
		if call.filter, err = c.expr(sc, n.Filter); err != nil {
			return nil, err
		}
	}
	for _, t := range n.OrderBy {
		x, err := c.expr(sc, t.Expr)
		if err != nil {
			return nil, err
		}
		call.order = append(call.order, newSortKey(x, t))
	}
	if len(call.args) > 0 {
		call.coll = call.args[0].coll
	}
	sc.aggs.calls = append(sc.aggs.calls, call)
	return &expr{slot: call.slot, eval: readSlot(call.slot)}, nil
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
}

func (c *compiler) aggregateNode(in node, a *aggregation, by []*expr) *aggregateNode {
	n := &aggregateNode{in: in, calls: a.calls, by: by, decide: -1}
	for s := range a.bare {
		n.bare = append(n.bare, s)
	}
	slices.Sort(n.bare)
	for i, call := range a.calls {
		call.settle()
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
	keys []value.Value
	accs []accumulator
	seen []map[string]struct{} // of DISTINCT calls
	rows []*ordered            // of calls with ORDER BY
	bare []value.Value
}

// ordered keeps the arguments of an aggregate with ORDER BY until the end.
type ordered struct{ rows [][]value.Value }

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
		took, err := it.feed(g, i, it.f.stack[base:])
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

func (it *aggregateIter) feed(g *group, i int, args []value.Value) (bool, error) {
	call := it.n.calls[i]
	if again, err := it.again(g, i, args); again || err != nil {
		return false, err
	}
	if len(call.order) == 0 {
		return g.accs[i].step(args)
	}
	args = slices.Clone(args)
	for k := range call.order {
		v, err := call.order[k].x.eval(it.f)
		if err != nil {
			return false, err
		}
		args = append(args, v)
	}
	return false, it.keepOrdered(g, i, ownRow(args))
}

// again reports whether a call with DISTINCT had its argument before.
func (it *aggregateIter) again(g *group, i int, args []value.Value) (bool, error) {
	call := it.n.calls[i]
	if !call.distinct || args[0].IsNull() {
		return false, nil
	}
	if g.seen == nil {
		g.seen = make([]map[string]struct{}, len(it.n.calls))
	}
	if g.seen[i] == nil {
		g.seen[i] = map[string]struct{}{}
	}
	it.f.key = appendKey(it.f.key[:0], args[0], call.coll)
	if _, ok := g.seen[i][string(it.f.key)]; ok {
		return true, nil
	}
	g.seen[i][string(it.f.key)] = struct{}{}
	return false, it.hold(len(it.f.key) + 48)
}

// keepOrdered keeps the arguments of a call with ORDER BY, and what they are
// ordered by.
func (it *aggregateIter) keepOrdered(g *group, i int, args []value.Value) error {
	if g.rows == nil {
		g.rows = make([]*ordered, len(it.n.calls))
	}
	if g.rows[i] == nil {
		g.rows[i] = &ordered{}
	}
	g.rows[i].rows = append(g.rows[i].rows, args)
	return it.hold(int(rowSize(args)))
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
	for i, s := range it.n.bare {
		it.f.regs[s] = value.Value{}
		if g.bare != nil {
			it.f.regs[s] = g.bare[i]
		}
	}
	for i, call := range it.n.calls {
		if g.rows != nil && g.rows[i] != nil {
			if err := replay(call, g.rows[i].rows, g.accs[i]); err != nil {
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

func replay(call *aggCall, rows [][]value.Value, acc accumulator) error {
	n := len(call.args)
	slices.SortStableFunc(rows, func(a, b []value.Value) int {
		for i := range call.order {
			if o := call.order[i].order(a[n+i], b[n+i]); o != 0 {
				return o
			}
		}
		return 0
	})
	for _, r := range rows {
		if _, err := acc.step(r[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (it *aggregateIter) close() {
	if it.in != nil {
		it.in.close()
	}
	it.aside.rows.close()
	it.current, it.aside = nil, asideRows{}
	clear(it.key[:cap(it.key)])
	clear(it.groups)
	it.groups = nil
	it.f.release(it.mem)
	it.mem = 0
}
