package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// subquery is a query inside an expression. One that reads nothing of the
// statement around it runs once; its result is kept in the frame.
type subquery struct {
	*query
	id int
}

func (c *compiler) subquery(sc *scope, s *ast.SelectStmt) (*subquery, error) {
	q, err := c.selectStmt(sc, s)
	if err != nil {
		return nil, err
	}
	c.nSubs++
	sub := &subquery{query: q, id: c.nSubs - 1}
	c.nested = append(c.nested, nestedQuery{sub, "SCALAR"})
	return sub, nil
}

// nestedQuery is a subquery in an expression, as EXPLAIN QUERY PLAN shows it.
type nestedQuery struct {
	*subquery
	kind string // SCALAR or LIST
}

func (c *compiler) exists(sc *scope, n *ast.ExistsExpr) (*expr, error) {
	q, err := c.subquery(sc, n.Select)
	if err != nil {
		return nil, err
	}
	return &expr{slot: -1, eval: func(f *frame) (value.Value, error) {
		st := &f.subs[q.id]
		if st.done && !q.correlated {
			return st.val, nil
		}
		found, err := q.first(f)
		if err != nil {
			return value.Value{}, err
		}
		st.done, st.val = true, value.NewBool(found)
		return st.val, nil
	}}, nil
}

func (c *compiler) scalarSubquery(sc *scope, n *ast.SubqueryExpr) (*expr, error) {
	q, err := c.subquery(sc, n.Select)
	if err != nil {
		return nil, err
	}
	if len(q.cols) != 1 {
		return nil, errorf("sub-select returns %d columns - expected 1", len(q.cols))
	}
	col := q.comparedAs(0)
	ev := func(f *frame) (value.Value, error) {
		st := &f.subs[q.id]
		if st.done && !q.correlated {
			return st.val, nil
		}
		found, err := q.first(f)
		if err != nil {
			return value.Value{}, err
		}
		st.done, st.val = true, value.Value{}
		if found {
			st.val = f.regs[q.out[0]]
		}
		return st.val, nil
	}
	return &expr{slot: -1, eval: ev, aff: col.aff, hasAff: col.hasAff}, nil
}

// comparedAs returns what an expression that holds the query compares column i
// by: of a compound, unlike in FROM, the column of its last select, as in SQLite.
func (q *query) comparedAs(i int) *expr {
	cols := q.cols
	if q.compared != nil {
		cols = q.compared
	}
	return &expr{aff: cols[i].aff, hasAff: cols[i].hasAff, coll: cols[i].coll, collBy: cols[i].collBy}
}

// first runs the query to its first row and leaves it in the registers.
func (q *query) first(f *frame) (bool, error) {
	it, err := q.node.open(f)
	if err != nil {
		return false, err
	}
	defer it.close()
	return it.next()
}

// valueSet is the result of a subquery on the right of IN.
type valueSet struct {
	keys  map[string]struct{}
	vals  []value.Value // the same, as values
	nulls bool
}

// inSet is a subquery on the right of IN, whose values an index can be asked
// for.
type inSet struct {
	q    *subquery
	cmp  comparison
	refs uint64 // sources of the FROM clause around it that it reads
}

func (s *inSet) values(f *frame) ([]value.Value, error) {
	set, err := s.q.set(f, s.cmp)
	if err != nil {
		return nil, err
	}
	return set.vals, nil
}

// inSelect compiles x IN (SELECT …).
func (c *compiler) inSelect(sc *scope, left ast.Expr, s *ast.SelectStmt) (*expr, error) {
	touched := sc.touched
	sc.touched = 0
	q, err := c.subquery(sc, s)
	if err != nil {
		return nil, err
	}
	c.nested[len(c.nested)-1].kind = "LIST"
	refs := sc.touched
	sc.touched |= touched
	elems := vector(left)
	if elems == nil {
		elems = []ast.Expr{left}
	}
	if len(elems) != len(q.cols) {
		return nil, errorf("sub-select returns %d columns - expected %d", len(q.cols), len(elems))
	}
	xs, err := c.list(sc, elems)
	if err != nil {
		return nil, err
	}
	if len(xs) > 1 {
		return c.inSelectRows(q, xs), nil
	}
	x := xs[0]
	cmp := comparisonOf(x, q.comparedAs(0))
	in := &inSet{q: q, cmp: cmp, refs: refs}
	return &expr{slot: -1, left: x, set: in, eval: func(f *frame) (value.Value, error) {
		set, err := q.set(f, cmp)
		if err != nil {
			return value.Value{}, err
		}
		if len(set.keys) == 0 && !set.nulls {
			return value.NewBool(false), nil
		}
		v, err := x.eval(f)
		if err != nil || v.IsNull() {
			return value.Value{}, err
		}
		f.key = appendKey(f.key[:0], cmp.convert(v), cmp.coll)
		if _, ok := set.keys[string(f.key)]; ok {
			return value.NewBool(true), nil
		}
		if set.nulls {
			return value.Value{}, nil
		}
		return value.NewBool(false), nil
	}}, nil
}

func (q *subquery) set(f *frame, cmp comparison) (*valueSet, error) {
	st := &f.subs[q.id]
	if st.done && !q.correlated {
		return st.set, nil
	}
	set := &valueSet{keys: map[string]struct{}{}}
	err := q.each(f, func() error {
		v := f.regs[q.out[0]]
		if v.IsNull() {
			set.nulls = true
			return nil
		}
		v = cmp.convert(v)
		key := string(appendKey(nil, v, cmp.coll))
		if _, ok := set.keys[key]; ok {
			return nil
		}
		set.keys[key] = struct{}{}
		set.vals = append(set.vals, v)
		if q.correlated {
			return nil
		}
		return f.hold(int64(len(key) + 48 + valueSize + len(v.Str())))
	})
	st.done, st.set = true, set
	return set, err
}

// each runs the query and calls fn for every row in the registers.
func (q *query) each(f *frame, fn func() error) error {
	it, err := q.node.open(f)
	if err != nil {
		return err
	}
	defer it.close()
	for {
		ok, err := it.next()
		if err != nil || !ok {
			return err
		}
		if err := fn(); err != nil {
			return err
		}
	}
}

func (c *compiler) inSelectRows(q *subquery, xs []*expr) *expr {
	cmps := make([]comparison, len(xs))
	for i, x := range xs {
		cmps[i] = comparisonOf(x, q.comparedAs(i))
	}
	return &expr{slot: -1, eval: func(f *frame) (value.Value, error) {
		left := make([]value.Value, len(xs))
		for i, x := range xs {
			v, err := x.eval(f)
			if err != nil {
				return v, err
			}
			left[i] = v
		}
		found, unknown := false, false
		err := q.each(f, func() error {
			null := false
			for i, s := range q.out {
				v := f.regs[s]
				if v.IsNull() || left[i].IsNull() {
					null = true
				} else if cmps[i].order(left[i], v) != 0 {
					return nil
				}
			}
			unknown = unknown || null
			found = found || !null
			return nil
		})
		switch {
		case err != nil:
			return value.Value{}, err
		case found:
			return value.NewBool(true), nil
		case unknown:
			return value.Value{}, nil
		}
		return value.NewBool(false), nil
	}}
}
