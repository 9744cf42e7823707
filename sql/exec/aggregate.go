package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
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
	bare   []int
	decide int  // the min or max call whose row gives the bare columns, -1 for none
	first  bool // the first row that decides is the last one needed
}

func (c *compiler) aggregateNode(in node, a *aggregation, by []*expr, first bool) node {
	n := &aggregateNode{in: in, calls: a.calls, by: by, decide: -1, first: first}
	for s := range a.bare {
		n.bare = append(n.bare, s)
	}
	slices.Sort(n.bare)
	for i, call := range a.calls {
		if call.name == "min" || call.name == "max" {
			n.decide = i
			break
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

type aggregateIter struct {
	n      *aggregateNode
	f      *frame
	groups []*group
	at     int
	mem    int64
}

func (n *aggregateNode) open(f *frame) (iter, error) {
	it := &aggregateIter{n: n, f: f}
	if err := it.fill(); err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

func (it *aggregateIter) hold(n int) error {
	it.mem += int64(n)
	return it.f.hold(int64(n))
}

func (it *aggregateIter) fill() error {
	in, err := it.n.in.open(it.f)
	if err != nil {
		return err
	}
	defer in.close()
	index := map[string]*group{}
	if len(it.n.by) == 0 {
		g, err := it.newGroup(nil)
		if err != nil {
			return err
		}
		it.groups = append(it.groups, g)
	}
	for {
		ok, err := in.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := it.f.tick(); err != nil {
			return err
		}
		g, err := it.groupOf(index)
		if err != nil {
			return err
		}
		decided, err := it.step(g)
		if err != nil {
			return err
		}
		if decided && it.n.first {
			break
		}
	}
	it.sortGroups()
	return nil
}

// groupOf finds the group of the row in the registers, or makes it.
func (it *aggregateIter) groupOf(index map[string]*group) (*group, error) {
	if len(it.n.by) == 0 {
		return it.groups[0], nil
	}
	f := it.f
	var few [4]value.Value
	keys := few[:0]
	for _, x := range it.n.by {
		v, err := x.eval(f)
		if err != nil {
			return nil, err
		}
		keys = append(keys, v)
	}
	f.key = f.key[:0]
	for i, x := range it.n.by {
		f.key = appendKey(f.key, keys[i], x.coll)
	}
	if g := index[string(f.key)]; g != nil {
		return g, nil
	}
	g, err := it.newGroup(slices.Clone(keys))
	if err != nil {
		return nil, err
	}
	index[string(f.key)] = g
	it.groups = append(it.groups, g)
	return g, it.hold(len(f.key) + 64)
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
	return g, it.hold(128 + int(rowSize(keys)) + 64*len(it.n.calls))
}

func (it *aggregateIter) step(g *group) (decided bool, err error) {
	if g.bare == nil {
		if err := it.saveBare(g); err != nil {
			return false, err
		}
	}
	for i, call := range it.n.calls {
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
	if call.distinct && !args[0].IsNull() {
		if g.seen == nil {
			g.seen = make([]map[string]struct{}, len(it.n.calls))
		}
		if g.seen[i] == nil {
			g.seen[i] = map[string]struct{}{}
		}
		it.f.key = appendKey(it.f.key[:0], args[0], call.coll)
		if _, ok := g.seen[i][string(it.f.key)]; ok {
			return false, nil
		}
		g.seen[i][string(it.f.key)] = struct{}{}
		if err := it.hold(len(it.f.key) + 48); err != nil {
			return false, err
		}
	}
	if len(call.order) == 0 {
		return g.accs[i].step(args)
	}
	if g.rows == nil {
		g.rows = make([]*ordered, len(it.n.calls))
	}
	if g.rows[i] == nil {
		g.rows[i] = &ordered{}
	}
	args = slices.Clone(args)
	for k := range call.order {
		v, err := call.order[k].x.eval(it.f)
		if err != nil {
			return false, err
		}
		args = append(args, v)
	}
	g.rows[i].rows = append(g.rows[i].rows, args)
	return false, it.hold(int(rowSize(args)))
}

func (it *aggregateIter) saveBare(g *group) error {
	if g.bare == nil {
		g.bare = make([]value.Value, len(it.n.bare))
	}
	n := 0
	for i, s := range it.n.bare {
		n += len(it.f.regs[s].Str()) - len(g.bare[i].Str())
		g.bare[i] = it.f.regs[s]
	}
	return it.hold(n)
}

// sortGroups puts the groups in the order of their keys, as SQLite's sorter does.
func (it *aggregateIter) sortGroups() {
	slices.SortStableFunc(it.groups, func(a, b *group) int {
		for i, x := range it.n.by {
			if o := compare(a.keys[i], b.keys[i], x.coll); o != 0 {
				return o
			}
		}
		return 0
	})
}

func (it *aggregateIter) next() (bool, error) {
	if it.at >= len(it.groups) {
		return false, nil
	}
	g := it.groups[it.at]
	it.at++
	for i, s := range it.n.bare {
		it.f.regs[s] = value.Value{}
		if g.bare != nil {
			it.f.regs[s] = g.bare[i]
		}
	}
	for i, call := range it.n.calls {
		if g.rows != nil && g.rows[i] != nil {
			if err := replay(call, g.rows[i].rows, g.accs[i]); err != nil {
				return false, err
			}
		}
		v, err := g.accs[i].final()
		if err != nil {
			return false, err
		}
		it.f.regs[call.slot] = v
	}
	return true, it.f.tick()
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
	clear(it.groups)
	it.groups = nil
	it.f.release(it.mem)
	it.mem = 0
}
