package exec

import (
	"math/bits"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

// level is one source in the order in which a join visits them.
type level struct {
	src     *source
	on      []*expr // what makes a pair of rows match
	filters []*expr // what rows must pass after the join
	left    bool    // rows of the left side without a match come with NULLs
	right   bool    // rows of the right side without a match do too
}

// join makes the node that produces the rows of sc's sources which pass where.
//
// Without outer joins the order is chosen: greedily, the source that is
// cheapest to reach from those before it comes next. Outer joins keep the
// order of the text.
func (c *compiler) join(sc *scope, where []*expr, w wanted) node {
	if len(sc.sources) == 0 {
		return filtered(&singleNode{}, where)
	}
	var sources []*source
	for _, s := range sc.sources {
		c.planNested(s)
		if s.flat == nil {
			sources = append(sources, s)
		} else {
			where = slices.Concat(where, s.on)
		}
	}
	c.again = sc.correlated || c.recursing
	c.takeInputs(sources, where)
	var levels []*level
	if hasOuter(sources) {
		levels = fixedLevels(sources, where)
	} else {
		levels = c.chosenLevels(sources, where)
	}
	n := c.firstNode(levels, w)
	rows := c.reachedRows(levels[0], 0)
	bound := uint64(1) << uint(levels[0].src.index)
	regs := levels[0].src.registers()
	for _, l := range levels[1:] {
		n = c.joinLevel(n, l, bound, regs, rows)
		rows *= c.reachedRows(l, bound)
		regs = append(regs, l.src.registers()...)
		bound |= 1 << uint(l.src.index)
	}
	c.joined = n
	for _, s := range sc.sources {
		if s.query != nil {
			if c.labels == nil {
				c.labels = map[node]*source{}
			}
			c.labels[s.node] = s
		}
	}
	return n
}

// checkJoins refuses conditions and arguments that read tables behind their own
// across an outer join.
func checkJoins(sc *scope) error {
	right := slices.ContainsFunc(sc.sources, func(s *source) bool { return s.join&ast.JoinRight != 0 })
	for _, s := range sc.sources {
		if !right && !hasOuter([]*source{s}) {
			continue
		}
		for _, x := range s.on {
			if lastBit(x.refs) > s.index {
				return errorf("ON clause references tables to its right")
			}
		}
	}
	if _, ok := movedBehind(sc.sources); !ok && hasOuter(sc.sources) {
		return errorf("table-function argument references tables to its right")
	}
	return nil
}

func hasOuter(sources []*source) bool {
	for _, s := range sources {
		if s.join&(ast.JoinLeft|ast.JoinRight|ast.JoinOuter) != 0 {
			return true
		}
	}
	return false
}

func lastBit(set uint64) int { return bits.Len64(set) - 1 }

// fixedLevels keeps the order. A condition of WHERE is not tested before the
// last RIGHT or FULL join, one of an inner join's ON not before the last such
// join up to its own place.
func fixedLevels(sources []*source, where []*expr) []*level {
	sources, _ = movedBehind(sources)
	levels := make([]*level, len(sources))
	lastRight := 0
	last := func(refs uint64) int {
		for i := len(sources) - 1; i > 0; i-- {
			if refs&(1<<uint(sources[i].index)) != 0 {
				return i
			}
		}
		return 0
	}
	for i, s := range sources {
		levels[i] = &level{src: s, left: s.join&ast.JoinLeft != 0, right: s.join&ast.JoinRight != 0}
		if levels[i].right {
			lastRight = i
		}
	}
	barrier := 0
	for i, s := range sources {
		if levels[i].right {
			barrier = i
		}
		for _, x := range s.on {
			if levels[i].left || levels[i].right {
				levels[i].on = append(levels[i].on, x)
				continue
			}
			levels[max(last(x.refs), barrier)].place(x)
		}
		for _, x := range s.after {
			levels[max(last(x.refs), barrier)].place(x)
		}
	}
	for _, x := range where {
		levels[max(last(x.refs), lastRight)].place(x)
	}
	return levels
}

// place adds a condition that holds for every row that leaves the level.
func (l *level) place(x *expr) {
	if l.left || l.right {
		l.filters = append(l.filters, x)
	} else {
		l.on = append(l.on, x)
	}
}

// chosenLevels orders inner joins. Tables that are functions come after what
// their arguments read, and keep the order of the text else.
func (c *compiler) chosenLevels(sources []*source, where []*expr) []*level {
	pool := append([]*expr(nil), where...)
	for _, s := range sources {
		pool = append(append(pool, s.on...), s.after...)
	}
	var order []*source
	if slices.ContainsFunc(sources, func(s *source) bool { return s.lateral }) {
		var ok bool
		order, ok = dependent(sources)
		c.noSolution = c.noSolution || !ok
	} else {
		order = newOrderer(c, sources, pool).order()
	}
	levels := make([]*level, len(order))
	bound := uint64(0)
	used := make([]bool, len(pool))
	for i, s := range order {
		levels[i] = &level{src: s}
		bound |= 1 << uint(s.index)
		for j, x := range pool {
			if !used[j] && x.refs&^bound == 0 {
				used[j] = true
				levels[i].on = append(levels[i].on, x)
			}
		}
	}
	return levels
}

// hashPair is one equality of a hash join.
type hashPair struct {
	outer, inner *expr
	cmp          comparison
}

// hashSide returns the equality x as a pair when one side reads s alone and
// the other reads bound sources.
func hashSide(x *expr, s *source, bound uint64) *hashPair {
	bit := uint64(1) << uint(s.index)
	cmp := comparisonOf(x.left, x.right)
	switch {
	case x.left.refs == bit && x.right.refs != 0 && x.right.refs&^bound == 0:
		return &hashPair{outer: x.right, inner: x.left, cmp: cmp}
	case x.right.refs == bit && x.left.refs != 0 && x.left.refs&^bound == 0:
		return &hashPair{outer: x.left, inner: x.right, cmp: cmp}
	}
	return nil
}

// firstNode produces the rows of the first level, in the wanted order if it can
// and if the levels that follow keep it.
func (c *compiler) firstNode(levels []*level, w wanted) node {
	l := levels[0]
	conds := append(append([]*expr(nil), l.on...), l.filters...)
	if l.src.table == nil {
		return c.transient(l.src, nil, conds, filtered(l.src.node, conds))
	}
	c.checkHint(l.src, conds)
	a := c.best(l.src, conds, 0)
	kept := w.met != nil
	for _, other := range levels[1:] {
		kept = kept && !other.right
	}
	if kept {
		a = c.ordered(l.src, a, conds, w, len(levels) == 1)
	}
	return c.transient(l.src, a, conds, filtered(c.scan(l.src, a, conds)))
}

func filtered(n node, conds []*expr) node {
	if len(conds) == 0 {
		return n
	}
	f := &filterNode{in: n, conds: conds}
	if _, ok := n.(*pointNode); !ok {
		f.once, f.conds = splitConstant(conds)
	}
	for _, x := range conds {
		f.subs = f.subs || x.subs
	}
	return f
}

// reachedRows estimates how many rows of a level match one of those before it.
func (c *compiler) reachedRows(l *level, bound uint64) float64 {
	if a := c.best(l.src, l.on, bound); a != nil && !a.bare() {
		return a.rows
	}
	rows := l.src.tableRows()
	if pairs, _, _ := l.split(bound); len(pairs) > 0 {
		rows = min(rows, rowsEquality)
	}
	return rows
}

// joinLevel joins the rows of n, of which there are about nOuter, with those of
// l.
func (c *compiler) joinLevel(n node, l *level, bound uint64, regs []int, nOuter float64) node {
	saved := l.src.registers()
	if l.src.table != nil {
		c.checkHint(l.src, l.on)
	}
	if l.right {
		j := &fullNode{outer: n, on: l.on, left: l.left, slots: saved}
		j.inner, _ = c.sourceNode(l.src, nil, nil)
		j.outerSlots = append([]int(nil), regs...)
		return filtered(j, l.filters)
	}
	a := c.best(l.src, l.on, bound)
	var out node
	pairs, inner, rest := l.split(bound)
	if len(pairs) > 0 && !l.src.lateral && (a == nil || a.bare() || hashes(l.src, a, nOuter)) {
		kept := 0
		if c.again && c.stable(l.src) && !slices.ContainsFunc(pairs, func(p *hashPair) bool { return p.inner.outer || p.inner.subs }) {
			kept = c.keep()
			inner, rest = l.independent(inner, rest)
		}
		in, left := c.sourceNode(l.src, c.best(l.src, inner, 0), inner)
		out = &hashNode{outer: n, inner: filtered(in, left), pairs: pairs, on: rest, left: l.left, slots: saved, kept: kept}
	} else {
		in, on := c.sourceNode(l.src, a, l.on)
		loop := &loopNode{outer: n, inner: in, on: on, left: l.left, slots: saved, keep: l.src.table == nil && !l.src.lateral}
		if p, ok := in.(*pointNode); ok {
			loop.point, loop.stable = p.scanNode, c.stable(l.src)
		}
		out = loop
	}
	return filtered(out, l.filters)
}

// hashes reports whether to read all of s into a hash table beats looking its
// rows up by a for each of n rows. Only what ANALYZE counted is trusted to fit.
func hashes(s *source, a *access, n float64) bool {
	const rowsMax = 500_000
	return s.table.Stats != nil && s.tableRows() <= rowsMax && 2*s.tableRows()+n < n*a.cost
}

// split sorts the conditions of a hash join: equalities between the sides,
// what concerns the right side alone, and the rest.
func (l *level) split(bound uint64) (pairs []*hashPair, inner, rest []*expr) {
	bit := uint64(1) << uint(l.src.index)
	for _, x := range l.on {
		if x.op == ast.OpEq {
			if p := hashSide(x, l.src, bound); p != nil {
				pairs = append(pairs, p)
				continue
			}
		}
		if x.refs == bit {
			inner = append(inner, x)
		} else {
			rest = append(rest, x)
		}
	}
	return pairs, inner, rest
}

// independent keeps in inner what is the same each time the join is run.
func (l *level) independent(inner, rest []*expr) ([]*expr, []*expr) {
	var same []*expr
	for _, x := range inner {
		if !x.quiet(l.src) {
			rest = append(rest, x)
		} else {
			same = append(same, x)
		}
	}
	return same, rest
}

// sourceNode produces the rows of s that pass conds, but for those conditions
// that it returns.
func (c *compiler) sourceNode(s *source, a *access, conds []*expr) (node, []*expr) {
	if s.table == nil {
		return s.node, conds
	}
	return c.scan(s, a, conds)
}

// registers returns the registers of a source's row that anything reads.
func (s *source) registers() []int {
	if s.nested != nil {
		return s.nested.registers()
	}
	var out []int
	seen := map[int]bool{}
	for i, slot := range s.slots {
		if (s.used == nil || s.used[i]) && !seen[slot] {
			seen[slot] = true
			out = append(out, slot)
		}
	}
	if s.rowID >= 0 && !seen[s.rowID] {
		out = append(out, s.rowID)
	}
	return out
}
