package exec

import "github.com/byokdb/byokdb/sql/value"

// realColumns lists the columns of a compound that whoever reads them as a table
// finds to be reals: those of REAL affinity, unless the first term is a CAST. It
// is noted before the compound is read, and a select at the top shows what its
// terms gave.
//
// Source: SQLite's sqlite3SubqueryColumnTypes and sqlite3ColumnDefault.
func realColumns(cols []resultColumn) (reals []int) {
	for i := range cols {
		if cols[i].hasAff && cols[i].aff == value.AffinityReal && !cols[i].cast {
			reals = append(reals, i)
		}
	}
	return reals
}

// readAsReals has the integers in q's columns of reals become reals, in registers
// of their own.
func (c *compiler) readAsReals(q *query) *query {
	if len(q.reals) == 0 {
		return q
	}
	out := *q
	n := &realNode{in: q.node, from: make([]int, len(q.reals)), to: c.regs(len(q.reals))}
	out.out = append([]int(nil), q.out...)
	for i, at := range q.reals {
		n.from[i], out.out[at] = q.out[at], n.to[i]
	}
	out.node = n
	return &out
}

type realNode struct {
	in       node
	from, to []int
}

type realIter struct {
	iter
	n *realNode
	f *frame
}

func (n *realNode) open(f *frame) (iter, error) {
	in, err := n.in.open(f)
	if err != nil {
		return nil, err
	}
	return &realIter{iter: in, n: n, f: f}, nil
}

func (it *realIter) next() (bool, error) {
	ok, err := it.iter.next()
	if err != nil || !ok {
		return false, err
	}
	for i, s := range it.n.from {
		v := it.f.regs[s]
		if v.Kind() == value.Int {
			v = value.NewFloat(float64(v.Int()))
		}
		it.f.regs[it.n.to[i]] = v
	}
	return true, nil
}
