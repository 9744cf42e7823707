package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// union returns an access that finds the rows of an OR by an access for each of
// its terms, nil when some term has none.
func (c *compiler) union(s *source, pool []*expr, bound uint64) *access {
	var best *access
	for _, x := range pool {
		if len(x.ors) == 0 {
			continue
		}
		u := &access{way: c.ways(s)[0]}
		for _, term := range x.ors {
			terms := term.ands
			if terms == nil {
				terms = []*expr{term}
			}
			a := c.single(s, slices.Concat(terms, pool), bound)
			if a == nil || a.bare() || !a.uses(terms) {
				u = nil
				break
			}
			u.or = append(u.or, a)
			u.rows += a.rows
			u.cost += a.cost + a.rows // each is looked up in the set of those that came
		}
		if u != nil && (best == nil || u.cost < best.cost) {
			best = u
		}
	}
	return best
}

// uses reports whether the access is narrowed by one of the terms.
func (a *access) uses(terms []*expr) bool {
	of := func(p probe) bool { return slices.Contains(terms, p.of) }
	return a.inRows != nil && slices.ContainsFunc(terms, func(x *expr) bool { return x.rows == a.inRows }) ||
		slices.ContainsFunc(a.eq, of) || slices.ContainsFunc(a.in, of) || slices.ContainsFunc(a.eq2, of) ||
		a.inSet != nil && slices.ContainsFunc(terms, func(x *expr) bool { return x.set == a.inSet }) ||
		a.lo != nil && of(*a.lo) || a.hi != nil && of(*a.hi) || a.prefix != nil && slices.Contains(terms, a.prefix.of)
}

// unionNode gives the rows of several accesses to one table, each once.
type unionNode struct {
	branches []node
	key      []int // registers of the row's key
	colls    []value.Collation
}

// unionScan reads the rows of s that the terms of an OR find.
func (c *compiler) unionScan(s *source, a *access, conds []*expr) (node, []*expr) {
	n := &unionNode{}
	if s.table.PrimaryKey == nil {
		n.key, n.colls = []int{s.rowID}, []value.Collation{value.Binary}
	}
	for i, col := range s.table.PrimaryKey {
		n.key, n.colls = append(n.key, s.use(col)), append(n.colls, s.table.PKCollations[i])
	}
	rest := map[*expr]bool{}
	for _, b := range a.or {
		in, left := c.scan(s, b, conds)
		n.branches = append(n.branches, in)
		for _, x := range left {
			rest[x] = true
		}
	}
	return n, slices.DeleteFunc(slices.Clone(conds), func(x *expr) bool { return !rest[x] })
}

type unionIter struct {
	n      *unionNode
	f      *frame
	in     iter
	branch int
	seen   *keySet
}

func (n *unionNode) open(f *frame) (iter, error) {
	return &unionIter{n: n, f: f, seen: newKeySet(f)}, nil
}

func (it *unionIter) next() (bool, error) {
	for {
		if it.in == nil {
			if it.branch == len(it.n.branches) {
				return false, nil
			}
			in, err := it.n.branches[it.branch].open(it.f)
			if err != nil {
				return false, err
			}
			it.in = in
			it.branch++
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
		it.f.key = rowKey(it.f.key[:0], it.f.regs, it.n.key, it.n.colls)
		fresh, err := it.seen.add(it.f.key)
		if err != nil {
			return false, err
		}
		if fresh {
			return true, nil
		}
		if err := it.f.tick(); err != nil {
			return false, err
		}
	}
}

func (it *unionIter) close() {
	if it.in != nil {
		it.in.close()
	}
	it.seen.close()
}

// indexHint is INDEXED BY or NOT INDEXED.
type indexHint struct {
	index string // folded; "": none is to be used
}

// hint notes INDEXED BY or NOT INDEXED of a source. What SQLite calls the index of
// a primary key is the table's own key where rows are stored by it.
func (s *source) hint(by *ast.Ident, not bool) error {
	switch {
	case not:
		s.indexed = &indexHint{}
	case by == nil:
	case s.table != nil && slices.ContainsFunc(s.table.Indexes, func(ix *schema.Index) bool { return ast.SameName(ix.Name, by.Name) }):
		s.indexed = &indexHint{index: fold(by.Name)}
	case s.table != nil && s.table.PrimaryKey != nil && ast.SameName(primaryName(s.table), by.Name):
		s.indexed = &indexHint{}
	default:
		return errorf("no such index: %s", by.Name)
	}
	return nil
}

// checkHint notes that there is no plan if INDEXED BY names a partial index that
// the conditions of pool do not restrict s to.
func (c *compiler) checkHint(s *source, pool []*expr) {
	if s.indexed == nil || s.indexed.index == "" {
		return
	}
	usable := slices.ContainsFunc(c.ways(s), func(w *way) bool { return s.indexed.allows(w) && w.holds(pool) })
	c.noSolution = c.noSolution || !usable
}

func (h *indexHint) allows(w *way) bool {
	if w.index == nil {
		return h.index == ""
	}
	return fold(w.index.Name) == h.index
}
