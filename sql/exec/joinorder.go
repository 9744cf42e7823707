package exec

import "github.com/byokdb/byokdb/sql/ast"

// orderer chooses the order of the sources of inner joins: greedily, the source
// that is cheapest to reach from those before it comes next. It tries every
// source as the first one of a small join, and the cheapest of a large one; a
// small join it orders by dynamic programming besides. The
// work is bounded: a source is estimated once for each set of those before it
// that its conditions read.
type orderer struct {
	c       *compiler
	sources []*source
	pools   [][]*expr // the conditions that read a source, by source
	cares   []uint64  // the other sources that these read
	known   map[reach]reached
}

type reach struct {
	source int
	bound  uint64
}

// reached is an estimate of one source: the rows that match one row of those
// before it, the cost to find them, and the cost that arises once.
type reached struct{ rows, cost, once float64 }

func newOrderer(c *compiler, sources []*source, pool []*expr) *orderer {
	o := &orderer{c: c, sources: sources, known: map[reach]reached{}}
	o.pools, o.cares = make([][]*expr, len(sources)), make([]uint64, len(sources))
	for i, s := range sources {
		bit := uint64(1) << uint(s.index)
		for _, x := range pool {
			if x.refs&bit != 0 {
				o.pools[i] = append(o.pools[i], x)
				o.cares[i] |= x.refs &^ bit
			}
		}
	}
	return o
}

func (o *orderer) reach(i int, bound uint64) reached {
	key := reach{i, bound & o.cares[i]}
	r, ok := o.known[key]
	if !ok {
		r = o.estimate(o.sources[i], o.pools[i], key.bound)
		o.known[key] = r
	}
	return r
}

func (o *orderer) estimate(s *source, pool []*expr, bound uint64) reached {
	rows := s.tableRows()
	r := reached{rows: rows, cost: rows}
	hash, sought := false, false
	for _, x := range pool {
		if x.op == ast.OpEq && bound != 0 && hashSide(x, s, bound) != nil {
			hash = true
		}
		sought = sought || correlatedSide(x, s) != nil
	}
	a := o.c.best(s, pool, bound)
	switch {
	case a != nil && !a.bare():
		r.rows, r.cost = a.rows, a.cost
	case (sought || hash && o.c.again) && o.c.stable(s): // in a hash table that is kept
		r.rows, r.cost = min(rows, rowsEquality), costSeek+min(rows, rowsEquality)
	case hash: // the table is built once
		r.rows, r.cost, r.once = min(rows, rowsEquality), min(rows, rowsEquality), 2*rows
	case s.table == nil:
		r.once, r.cost = rows, rows/2
	}
	for _, x := range pool { // what is tested besides leaves fewer rows
		if x.refs&^(bound|1<<uint(s.index)) == 0 && (a == nil || !a.implies(x)) && r.rows > 1 {
			r.rows = max(1, r.rows/2)
		}
	}
	return r
}

func (o *orderer) order() []*source {
	if len(o.sources) == 1 {
		return o.sources
	}
	const exhaustive = 8
	starts := make([]int, len(o.sources))
	for i := range starts {
		starts[i] = i
	}
	if len(o.sources) > exhaustive {
		best := 0
		for i := range o.sources {
			if o.reach(i, 0).cost < o.reach(best, 0).cost {
				best = i
			}
		}
		starts = []int{best}
	}
	var order []*source
	least := 0.0
	for _, i := range starts {
		if one, cost := o.from(i); order == nil || cost < least {
			order, least = one, cost
		}
	}
	if n := len(o.sources); n > 2 && n <= dynamicMax {
		if one, cost := o.dynamic(); cost < least*dynamicGain {
			order = one
		}
	}
	return order
}

// Joins of up to dynamicMax sources are ordered by dynamic programming too; its
// order is taken where it costs less than dynamicGain of the greedy one.
const (
	dynamicMax  = 10
	dynamicGain = 0.95
)

// partial is the cheapest way to join a set of sources, the last of which is last.
type partial struct {
	cost, rows float64
	last       int
	bound      uint64
}

// dynamic returns the order that is built from the cheapest order of each set of
// sources, and its cost.
func (o *orderer) dynamic() ([]*source, float64) {
	n := len(o.sources)
	sets := make([]partial, 1<<n)
	for i, s := range o.sources {
		r := o.reach(i, 0)
		sets[1<<i] = partial{r.cost + r.once, r.rows, i, 1 << uint(s.index)}
	}
	for set := 1; set < len(sets); set++ {
		b := &sets[set]
		for i, s := range o.sources {
			if set&(1<<i) != 0 {
				continue
			}
			r, to := o.reach(i, b.bound), &sets[set|1<<i]
			cost := b.cost + b.rows*r.cost + r.once
			if to.bound == 0 || cost < to.cost {
				*to = partial{cost, min(b.rows*r.rows, 1e30), i, b.bound | 1<<uint(s.index)}
			}
		}
	}
	order := make([]*source, n)
	set := len(sets) - 1
	for i := n - 1; i >= 0; i-- {
		order[i] = o.sources[sets[set].last]
		set &^= 1 << sets[set].last
	}
	return order, sets[len(sets)-1].cost
}

// from returns the greedy order that begins with a source, and its cost.
func (o *orderer) from(start int) ([]*source, float64) {
	order := []*source{o.sources[start]}
	bound := uint64(1) << uint(o.sources[start].index)
	first := o.reach(start, 0)
	rows, total := first.rows, first.cost+first.once
	for len(order) < len(o.sources) {
		next, least := -1, 0.0
		for i, s := range o.sources {
			if bound&(1<<uint(s.index)) != 0 {
				continue
			}
			r := o.reach(i, bound)
			if cost := rows*(r.cost+4*r.rows) + r.once; next < 0 || cost < least {
				next, least = i, cost
			}
		}
		r := o.reach(next, bound)
		total += rows*r.cost + r.once
		rows = min(rows*r.rows, 1e30)
		order = append(order, o.sources[next])
		bound |= 1 << uint(o.sources[next].index)
	}
	return order, total
}
