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
	c.inExpr = s
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
	defer sc.notWindowed()() // what it selects is not computed in SQLite
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
	return &expr{slot: -1, eval: ev, aff: col.aff, hasAff: col.hasAff, decl: q.cols[0].declType}, nil
}

// comparedAs returns what an expression that holds the query compares column i
// by: of a compound, unlike in FROM, the column of its last select, as in SQLite.
func (q *query) comparedAs(i int) *expr {
	cols := q.cols
	if q.compared != nil {
		cols = q.compared
	}
	return &expr{aff: cols[i].aff, hasAff: cols[i].hasAff, coll: cols[i].coll, collBy: cols[i].collBy, missing: cols[i].missing}
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
	keys  *keySet
	vals  *buffer // the same, as values, where an index is asked for them; else nil
	rows  *buffer // of several columns, those without NULL, in place of vals
	nulls bool
}

func (set *valueSet) close(f *frame) {
	if set == nil {
		return
	}
	set.keys.close()
	if set.vals != nil {
		set.vals.close(f)
	}
	if set.rows != nil {
		set.rows.close(f)
	}
}

// add takes a value that is converted and not NULL.
func (set *valueSet) add(f *frame, v value.Value, coll value.Collation) error {
	f.key = appendKey(f.key[:0], v, coll)
	if _, ok := set.keys.keys[string(f.key)]; ok {
		return nil
	}
	if err := set.keys.put(f.key); err != nil || set.vals == nil {
		return err
	}
	return set.vals.saveValue(f, v)
}

// inSet is a subquery on the right of IN, whose values an index can be asked
// for.
type inSet struct {
	q      *subquery
	cmp    comparison
	refs   uint64 // sources of the FROM clause around it that it reads
	listed bool   // they are
}

// each calls fn for every value, in the order in which they came; for some more
// than once, when not all of them fit into memory.
func (s *inSet) each(f *frame, fn func(v value.Value) error) error {
	set, err := s.set(f)
	if err != nil {
		return err
	}
	for i := range set.vals.n {
		row, err := set.vals.row(i)
		if err != nil {
			return err
		}
		if err := f.tick(); err != nil {
			return err
		}
		if err := fn(row[0]); err != nil {
			return err
		}
	}
	return nil
}

// set runs the subquery, if it has not run or reads the row around it.
func (s *inSet) set(f *frame) (*valueSet, error) {
	st := &f.subs[s.q.id]
	if st.done && !s.q.correlated {
		return st.set, nil
	}
	st.set.close(f)
	set := &valueSet{keys: newKeySet(f)}
	st.set = set
	if s.listed {
		set.vals = &buffer{slots: make([]int, 1)}
	}
	err := s.q.each(f, func() error {
		v := f.regs[s.q.out[0]]
		if v.IsNull() {
			set.nulls = true
			return nil
		}
		return set.add(f, s.cmp.convert(v), s.cmp.coll)
	})
	if err == nil {
		err = set.keys.settle()
	}
	st.done = err == nil
	return set, err
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
	var xs []*expr
	if isRowValue(left) {
		xs, err = c.rowValue(sc, left)
	} else {
		xs, err = c.list(sc, []ast.Expr{left})
	}
	if err != nil {
		return nil, err
	}
	if len(xs) != len(q.cols) {
		return nil, errorf("sub-select returns %d columns - expected %d", len(q.cols), len(xs))
	}
	if len(xs) > 1 {
		return inSelectRows(q, xs, refs), nil
	}
	x := xs[0]
	cmp := comparisonOf(x, q.comparedAs(0))
	in := &inSet{q: q, cmp: cmp, refs: refs}
	return &expr{slot: -1, left: x, set: in, eval: func(f *frame) (value.Value, error) {
		set, err := in.set(f)
		if err != nil {
			return value.Value{}, err
		}
		if set.keys.empty() && !set.nulls {
			return value.NewBool(false), nil
		}
		v, err := x.eval(f)
		if err != nil || v.IsNull() {
			return value.Value{}, err
		}
		f.key = appendKey(f.key[:0], cmp.convert(v), cmp.coll)
		if ok, err := set.keys.has(f.key); ok || err != nil {
			return value.NewBool(true), err
		}
		if set.nulls {
			return value.Value{}, nil
		}
		return value.NewBool(false), nil
	}}, nil
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
