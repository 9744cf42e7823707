package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// recursion is a recursive common table expression: its own name, inside of
// it, stands for one row of a queue at a time.
type recursion struct {
	name  string
	cols  []column
	slots []int  // the row taken from the queue
	row   *query // the same, as whoever reads it finds it

	refs map[*ast.QualifiedName]bool // where the name may stand, one in each recursive term
}

// reference makes the source for the expression's own name.
func (r *recursion) reference() *source {
	return &source{rowID: -1, node: r.row.node, slots: r.row.out, cols: append([]column(nil), r.cols...), label: r.name, rows: 1}
}

// cteQuery compiles the body of a common table expression, which is recursive
// when its last term names it.
func (c *compiler) cteQuery(e *cte, names []string) (*query, error) {
	s := e.def.Select
	name := e.def.Name.Name
	if len(s.Cores) < 2 || !refersTo(s, name) {
		return c.selectStmt(e.outer, s)
	}
	last := len(s.Cores) - 1
	op := s.Ops[last-1]
	if !ast.SameName(op.Op, "UNION") || s.With != nil {
		return c.selectStmt(e.outer, s)
	}
	refs, err := recursiveTerms(s, name)
	if err != nil {
		return nil, err
	}
	if len(refs) == 0 {
		return c.selectStmt(e.outer, s)
	}
	rec, ok := s.Cores[last].(*ast.SelectQuery)
	if !ok {
		return nil, errorf("circular reference: %s", name)
	}
	first := len(s.Cores) - len(refs)
	base, err := c.selectStmt(e.outer, &ast.SelectStmt{Cores: s.Cores[:first], Ops: s.Ops[:first-1]})
	if err != nil {
		return nil, err
	}
	blocks := c.blocks
	r := &recursion{name: name, slots: c.regs(len(base.cols)), refs: refs}
	for i := range base.cols {
		col := base.cols[i].column
		if i < len(names) {
			col.name = names[i]
		}
		r.cols = append(r.cols, col)
	}
	reals := realColumns(base.cols)
	r.row = c.readAsReals(&query{node: &queueNode{}, out: r.slots, reals: reals})
	e.rec = r
	defer func() { e.rec = nil }()
	q, err := c.recursiveStep(e, s.Cores[first:])
	if err != nil {
		return nil, err
	}
	if len(q.cols) != len(base.cols) {
		return nil, errorf("SELECTs to the left and right of %s do not have the same number of result columns", ast.OpName(op))
	}
	out := &query{out: c.regs(len(base.cols)), cols: base.cols, reals: reals, correlated: base.correlated || q.correlated}
	n := &recursiveNode{base: base, step: q, rec: r, out: out.out, all: op.All}
	if !op.All {
		n.colls = collations(base.cols)
	}
	out.node = n
	keys, err := c.compoundKeys(out, rec.OrderBy, append(blocks, c.blocks...))
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		out.node = newOrderedNode(n, keys)
	}
	return out, c.orderAndLimit(&scope{parent: e.outer}, out, nil, rec.Limit, false)
}

// recursiveTerms returns the references to the expression itself in the FROM
// clauses of its last terms, as many of them as have one each.
func recursiveTerms(s *ast.SelectStmt, name string) (map[*ast.QualifiedName]bool, error) {
	refs := map[*ast.QualifiedName]bool{}
	last := len(s.Cores) - 1
	for i := last; i >= 0; i-- {
		core, ok := s.Cores[i].(*ast.SelectQuery)
		if !ok || i == 0 || s.Ops[i-1].Op != s.Ops[last-1].Op || s.Ops[i-1].All != s.Ops[last-1].All {
			break
		}
		n := 0
		for _, ref := range flatRefs(core.From) {
			if ref.Name != nil && ref.Name.Schema == nil && ast.SameName(ref.Name.Name.Name, name) {
				refs[ref.Name] = true
				n++
			}
		}
		switch {
		case n > 1:
			return nil, errorf("multiple references to recursive table: %s", name)
		case n == 0:
			return refs, nil
		}
	}
	return refs, nil
}

// flatRefs are the items of a FROM clause: one in parentheses, and all of those at
// its beginning, stand there as if without them.
func flatRefs(refs []*ast.TableRef) (out []*ast.TableRef) {
	for i, ref := range refs {
		if len(ref.List) == 1 || i == 0 && len(ref.List) > 0 && ref.Alias == nil {
			out = append(out, flatRefs(ref.List)...)
		} else {
			out = append(out, ref)
		}
	}
	return out
}

// recursiveStep compiles the terms that run for each row of the queue.
func (c *compiler) recursiveStep(e *cte, cores []ast.SelectCore) (*query, error) {
	step := &ast.SelectStmt{Cores: slices.Clone(cores)}
	for i, core := range cores {
		one, ok := core.(*ast.SelectQuery)
		if !ok {
			return nil, errorf("circular reference: %s", e.def.Name.Name)
		}
		for _, rc := range one.Columns {
			if containsWindow(rc.Expr) {
				return nil, errorf("cannot use window functions in recursive queries")
			}
		}
		if i > 0 {
			step.Ops = append(step.Ops, ast.CompoundOp{Op: "UNION", All: true})
		}
	}
	if one, ok := cores[len(cores)-1].(*ast.SelectQuery); ok {
		last := *one
		last.OrderBy, last.Limit = nil, nil
		step.Cores[len(cores)-1] = &last
	}
	recursing := c.recursing
	c.recursing = true
	q, err := c.selectStmt(e.outer, step)
	c.recursing = recursing
	if err == nil && slices.ContainsFunc(c.blocks, func(b *block) bool { return b.agg != nil }) {
		err = errorf("recursive aggregate queries not supported")
	}
	return q, err
}

func refersTo(s *ast.SelectStmt, name string) bool {
	found := false
	ast.Walk(s, func(n ast.Node) bool {
		if t, ok := n.(*ast.TableRef); ok && t.Name != nil && t.Name.Schema == nil && ast.SameName(t.Name.Name.Name, name) {
			found = true
		}
		return !found
	})
	return found
}

// queueNode gives the one row that the recursion has put into its registers.
type queueNode struct{}

func (*queueNode) open(*frame) (iter, error) { return &singleIter{}, nil }

type recursiveNode struct {
	base, step *query
	rec        *recursion
	out        []int
	all        bool
	colls      []value.Collation
}

type recursiveIter struct {
	n     *recursiveNode
	f     *frame
	in    iter
	from  []int
	queue [][]value.Value
	seen  *keySet // of UNION
	mem   int64   // of queue

	full  bool   // queue takes no more: later does, until it is read
	later buffer // the rows behind those of queue
	taken int    // of later
}

func (n *recursiveNode) open(f *frame) (iter, error) {
	in, err := n.base.node.open(f)
	if err != nil {
		return nil, err
	}
	return &recursiveIter{n: n, f: f, in: in, from: n.base.out, seen: newKeySet(f)}, nil
}

func (it *recursiveIter) next() (bool, error) {
	// The whole base goes first, then one step for each row of the queue.
	for {
		if it.in == nil {
			if ok, err := it.dequeue(); err != nil || !ok {
				return false, err
			}
			in, err := it.n.step.node.open(it.f)
			if err != nil {
				return false, err
			}
			it.in, it.from = in, it.n.step.out
		}
		ok, err := it.in.next()
		if err != nil {
			return false, err
		}
		if !ok {
			it.in.close()
			it.in = nil
			continue
		}
		fresh, err := it.enqueue()
		if err != nil {
			return false, err
		}
		if fresh {
			return true, it.f.tick()
		}
	}
}

// dequeue puts the next row of the queue into the recursion's registers.
func (it *recursiveIter) dequeue() (bool, error) {
	if len(it.queue) == 0 {
		return it.dequeueLater()
	}
	row := it.queue[0]
	it.queue[0] = nil
	it.queue = it.queue[1:]
	for i, s := range it.n.rec.slots {
		it.f.regs[s] = row[i]
	}
	n := rowSize(row)
	it.mem -= n
	it.f.release(n)
	return true, nil
}

// dequeueLater is dequeue for the rows behind those in memory.
func (it *recursiveIter) dequeueLater() (bool, error) {
	if it.taken == it.later.n {
		return false, nil
	}
	row, err := it.later.row(it.taken)
	if err != nil {
		return false, err
	}
	it.taken++
	for i, s := range it.n.rec.slots {
		it.f.regs[s] = row[i]
	}
	if it.taken == it.later.n { // all of it was read: its space returns
		it.later.close(it.f)
		it.taken, it.full = 0, false
	}
	return true, nil
}

// fresh reports whether the row of the inner iterator is to be taken: UNION takes
// each but once.
func (it *recursiveIter) fresh() (bool, error) {
	f := it.f
	if it.n.all {
		return true, nil
	}
	f.key = rowKey(f.key[:0], f.regs, it.from, it.n.colls)
	fresh, err := it.seen.add(f.key)
	if err != nil || fresh {
		return fresh, err
	}
	return false, f.tick()
}

// enqueue takes the row of the inner iterator; false: UNION saw it before.
func (it *recursiveIter) enqueue() (bool, error) {
	f := it.f
	if fresh, err := it.fresh(); err != nil || !fresh {
		return false, err
	}
	copyRegisters(f, it.n.out, it.from)
	if it.full {
		it.later.slots = it.n.out
		return true, it.later.save(f)
	}
	row := make([]value.Value, len(it.n.out))
	for i, s := range it.n.out {
		row[i] = f.regs[s]
	}
	it.queue = append(it.queue, row)
	n := rowSize(row)
	it.mem += n
	it.full = f.keep(n, it.mem)
	return true, nil
}

func (it *recursiveIter) close() {
	if it.in != nil {
		it.in.close()
		it.in = nil
	}
	it.later.close(it.f)
	clear(it.queue)
	it.seen.close()
	it.queue = nil
	it.f.release(it.mem)
	it.mem = 0
}
