package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

// What a correlated subquery does where no index leads from the row around it to
// its own rows: SQLite makes an automatic index, here it is a hash table that is
// kept until the statement ends. It is made when the subquery has read more rows
// without it than making it would take.

// transientReads is how many times over a table is read before it is worth a
// hash table.
const transientReads = 2

// transientNode gives the rows of plain, later from a hash table and as fast as
// an index would.
type transientNode struct {
	plain, hashed node
	id            int     // of frame.kept
	after         int     // steps of the statement until hashed takes over
	of            *source // that it reads; nil: a table
	detail        string  // for EXPLAIN QUERY PLAN
}

// keptHash is a hash table that outlives the iterator over it, and what a
// transientNode has seen before there is one.
type keptHash struct {
	hash  *hashIter
	begun bool
	mark  int // frame.ticks when plain was opened first
}

func (n *transientNode) open(f *frame) (iter, error) {
	if f.plan.volatile {
		return n.plain.open(f)
	}
	k := &f.kept[n.id]
	if !k.begun {
		k.begun, k.mark = true, f.ticks
	}
	if k.hash == nil && f.ticks-k.mark < n.after {
		return n.plain.open(f)
	}
	return n.hashed.open(f)
}

// transient returns plain, which reads the first source of a subquery by the
// access a, nil for one that is no table, or a transientNode around it.
func (c *compiler) transient(s *source, a *access, conds []*expr, plain node) node {
	if !c.stable(s) {
		return plain
	}
	var pairs []*hashPair
	var simple, rest []*expr
	for _, x := range conds {
		switch p := correlatedSide(x, s); {
		case p != nil:
			pairs = append(pairs, p)
		case x.quiet(s):
			simple = append(simple, x)
		default:
			rest = append(rest, x)
		}
	}
	if len(pairs) == 0 || a != nil && !a.within(simple) {
		return plain
	}
	h := &hashNode{outer: &singleNode{}, pairs: pairs, on: rest, slots: s.registers(), kept: c.keep()}
	t := &transientNode{plain: plain, hashed: h, id: h.kept - 1, after: int(transientReads * s.tableRows())}
	name := s.name
	if s.table != nil {
		in, left := c.scan(s, a, simple)
		h.inner = filtered(in, left)
	} else {
		h.inner = filtered(s.node, simple)
		t.of = s
	}
	if name == "" {
		name = "(subquery)"
	}
	t.detail = "SEARCH " + name + " USING AUTOMATIC COVERING INDEX (" + pairTerms(pairs, s) + ")"
	return t
}

// stable reports whether the rows of s are the same whenever they are read in the
// statement, and reading them all fails only where reading one would.
func (c *compiler) stable(s *source) bool {
	switch {
	case s.table != nil:
		if !c.reading && (c.changed == "" || c.changed == fold(s.table.Name)) {
			return false
		}
		return c.layout(s).computed == nil
	case s.nested != nil, s.query == nil, s.lateral:
		return false
	}
	return c.reading && !s.query.correlated
}

// keep returns a number for a hash table that the frame keeps, from 1.
func (c *compiler) keep() int {
	c.nKept++
	return c.nKept
}

// correlatedSide returns the equality x as a pair when one side is a column of s
// and the other one of a row around the subquery.
func correlatedSide(x *expr, s *source) *hashPair {
	if x.op != ast.OpEq || !x.outer {
		return nil
	}
	bit := uint64(1) << uint(s.index)
	own := func(e *expr) bool { return e.refs == bit && e.slot >= 0 && !e.outer }
	around := func(e *expr) bool { return e.refs == 0 && e.slot >= 0 && e.outer }
	cmp := comparisonOf(x.left, x.right)
	switch {
	case own(x.left) && around(x.right):
		return &hashPair{outer: x.right, inner: x.left, cmp: cmp}
	case own(x.right) && around(x.left):
		return &hashPair{outer: x.left, inner: x.right, cmp: cmp}
	}
	return nil
}

// quiet reports whether x concerns s alone and cannot fail: it compares columns
// with each other, literals and parameters.
func (x *expr) quiet(s *source) bool {
	if x.refs != 1<<uint(s.index) || x.outer || x.subs {
		return false
	}
	plain := func(e *expr) bool { return e.slot >= 0 || e.plain }
	switch {
	case x.isNull, x.notNull:
		return plain(x.left)
	}
	return x.op != ast.OpNone && plain(x.left) && plain(x.right)
}

// within reports whether the access is narrowed by conditions of list alone.
func (a *access) within(list []*expr) bool {
	if a.or != nil || a.inSet != nil || a.inRows != nil || a.prefix != nil {
		return false
	}
	probes := slices.Concat(a.eq, a.in, a.eq2)
	for _, p := range []*probe{a.lo, a.hi} {
		if p != nil {
			probes = append(probes, *p)
		}
	}
	return !slices.ContainsFunc(probes, func(p probe) bool { return !slices.Contains(list, p.of) })
}

func pairTerms(pairs []*hashPair, s *source) string {
	out := ""
	for _, p := range pairs {
		name := "rowid"
		if i := slices.Index(s.slots, p.inner.slot); i >= 0 {
			name = s.cols[i].name
		}
		if out != "" {
			out += " AND "
		}
		out += name + "=?"
	}
	return out
}

// dropKept drops what the frame keeps of hash tables.
func (f *frame) dropKept() {
	for i := range f.kept {
		if h := f.kept[i].hash; h != nil {
			h.drop()
		}
		f.kept[i] = keptHash{}
	}
}
