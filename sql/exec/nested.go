package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

// nestedJoin is what a join in parentheses is to the FROM clause around it: one
// source, joined by itself as the rows of a subquery would be, whose columns keep
// the names that its tables give them.
type nestedJoin struct {
	sc *scope // of the parentheses
	// members are the sources in it as the scope around it sees them: they share
	// registers with those of sc, and the bit of the source that stands for all.
	members []*source
}

// listItem adds a FROM item in parentheses. What is not told from the same tables
// without the parentheses is added without them.
func (c *compiler) listItem(sc *scope, ref *ast.TableRef) error {
	join := joinOf(ref)
	if len(ref.List) == 1 {
		one := *ref.List[0]
		one.Join, one.On, one.Using = ref.Join, ref.On, ref.Using
		if ref.Alias != nil {
			one.Alias = ref.Alias
		}
		return c.fromItem(sc, &one)
	}
	plain := join&(ast.JoinLeft|ast.JoinRight|ast.JoinOuter|ast.JoinNatural) == 0 && len(ref.Using) == 0 && ref.Alias == nil
	switch {
	case plain && len(sc.sources) == 0:
		if err := c.fromItems(sc, ref.List); err != nil {
			return err
		}
	case plain && !hasJoin(ref.List, ast.JoinRight):
		in := &scope{parent: sc.parent, base: sc.base + len(sc.sources), flat: sc.flat} // its names are looked up in there alone
		if err := c.from(in, ref.List); err != nil {
			return err
		}
		in.numberNames()
		for _, m := range in.merged {
			m.grouped = true
		}
		sc.sources, sc.merged = append(sc.sources, in.sources...), append(sc.merged, in.merged...)
		sc.correlated = sc.correlated || in.correlated
	default:
		src, err := c.nestedSource(sc, ref)
		if err != nil {
			return err
		}
		return c.addSource(sc, src, ref)
	}
	c.later(sc, &sc.sources[len(sc.sources)-1].after, ref.On)
	return nil
}

func (c *compiler) nestedSource(sc *scope, ref *ast.TableRef) (*source, error) {
	in := &scope{parent: sc.parent}
	if err := c.from(in, ref.List); err != nil {
		return nil, err
	}
	if err := checkJoins(in); err != nil {
		return nil, err
	}
	sc.correlated = sc.correlated || in.correlated
	c.nNested++
	src := &source{name: "(join-" + itoa(c.nNested) + ")", rowID: -1, label: "JOIN", nested: &nestedJoin{sc: in}}
	if ref.Alias != nil {
		src.name = ref.Alias.Name
	}
	in.numberNames()
	of := map[*source]*source{}
	for _, s := range in.named() {
		m := *s
		m.index, m.join, m.on, m.cols = sc.base+len(sc.sources), ast.JoinInner, nil, slices.Clone(s.cols)
		of[s] = &m
		src.nested.members = append(src.nested.members, &m)
	}
	outside := func(list []sourceColumn) []sourceColumn {
		out := slices.Clone(list)
		for i := range out {
			out[i].src = of[out[i].src]
		}
		return out
	}
	for _, m := range in.merged {
		sc.merged = append(sc.merged, &mergedColumn{name: m.name, numbered: m.numbered, all: outside(m.all), shown: outside(m.shown), covers: 1 << uint(sc.base+len(sc.sources)), before: of[m.before], grouped: true})
	}
	return src, nil
}

// numberNames gives equal names of the columns in parentheses numbers, as those of
// a subquery have. What USING joins is a column of its own in front of the table on
// its left.
func (sc *scope) numberNames() {
	var all []column
	var set []*string
	add := func(name string, numbered *string) {
		all, set = append(all, column{name: name}), append(set, numbered)
	}
	for i, s := range sc.sources {
		if i+1 < len(sc.sources) {
			for _, name := range sc.sources[i+1].using {
				numbered := new(string)
				if k := slices.IndexFunc(sc.merged, func(m *mergedColumn) bool { return ast.SameName(m.name, name) }); k >= 0 && !slices.Contains(set, &sc.merged[k].numbered) {
					numbered = &sc.merged[k].numbered
				}
				add(name, numbered)
			}
		}
		members := []*source{s}
		if s.nested != nil {
			members = s.nested.members
		}
		for _, m := range members {
			for _, g := range sc.merged {
				if g.grouped && g.before == m {
					add(g.label(), &g.numbered)
				}
			}
			for k := range m.cols {
				if !m.inner && !m.cols[k].input {
					add(m.cols[k].label(), &m.cols[k].numbered)
				}
			}
		}
	}
	uniqueNames(all)
	for i := range all {
		*set[i] = all[i].name
	}
}

// label is what a result column is called that is the merged one.
func (m *mergedColumn) label() string {
	if m.numbered != "" {
		return m.numbered
	}
	return m.all[0].src.cols[m.all[0].col].label()
}

// named are the sources that names are looked up in: the members of a nested
// join are in its place.
func (sc *scope) named() []*source {
	if !slices.ContainsFunc(sc.sources, func(s *source) bool { return s.nested != nil }) {
		return sc.sources
	}
	var out []*source
	for _, s := range sc.sources {
		if s.nested != nil {
			out = append(out, s.nested.members...)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// aliased finds a column by the alias of a join in parentheses, of which the
// first one of that name counts.
func (sc *scope) aliased(table, name string) *match {
	for _, s := range sc.sources {
		if s.nested == nil || !ast.SameName(s.name, table) {
			continue
		}
		if m := sc.inside(s, name); m != nil {
			return m
		}
	}
	return nil
}

// inside finds a column of a source, which may be a nested join.
func (sc *scope) inside(s *source, name string) *match {
	if s.nested == nil {
		if i := s.column(name); i >= 0 {
			return &match{sc: sc, src: s, col: i}
		}
		return nil
	}
	for _, m := range s.nested.members {
		if i := m.column(name); i >= 0 && !m.cols[i].hidden {
			if mrg := sc.mergedAt(sourceColumn{m, i}); mrg != nil {
				return mrg.match(sc)
			}
			return &match{sc: sc, src: m, col: i}
		}
	}
	return nil
}

// mergedBefore are the merged columns that "*" gives in front of those of a source
// in parentheses, whatever table they are of.
func (sc *scope) mergedBefore(src *source) (items []item) {
	for _, m := range sc.merged {
		if m.grouped && m.before == src {
			items = append(items, item{m: m.match(sc), name: m.label()})
		}
	}
	return items
}

// mergedAt returns the merged column whose leftmost one is first, or nil.
func (sc *scope) mergedAt(first sourceColumn) *mergedColumn {
	for _, m := range sc.merged {
		if m.all[0] == first {
			return m
		}
	}
	return nil
}

// names are the columns of a source by which NATURAL may join it.
func (s *source) names() []string {
	list := []*source{s}
	if s.nested != nil {
		list = s.nested.members
	}
	var out []string
	for _, m := range list {
		for i := range m.cols {
			known := func(name string) bool { return ast.SameName(name, m.cols[i].name) }
			if !m.cols[i].input && !slices.ContainsFunc(out, known) {
				out = append(out, m.cols[i].name)
			}
		}
	}
	return out
}

// shows reports whether an unqualified name finds a column in a nested join.
func (s *source) shows(name string) bool {
	return s.nested != nil && slices.ContainsFunc(s.nested.members, func(m *source) bool {
		i := m.column(name)
		return i >= 0 && !m.cols[i].hidden
	})
}

// planNested makes the node of a nested join, when all that reads its columns is
// compiled.
func (c *compiler) planNested(s *source) {
	if s.nested != nil && s.node == nil {
		s.node = c.join(s.nested.sc, nil, wanted{})
		s.query = &query{node: s.node}
	}
}

// registers are those of all of its tables that anything reads.
func (n *nestedJoin) registers() (out []int) {
	for _, s := range n.sc.sources {
		if s.flat == nil {
			out = append(out, s.registers()...)
		}
	}
	return out
}

// movedBehind puts tables that are functions behind those that their arguments
// read, as far as the joins between are inner ones; it reports false where they
// are not.
func movedBehind(sources []*source) ([]*source, bool) {
	order := slices.Clone(sources)
	right := slices.ContainsFunc(sources, func(s *source) bool { return s.join&ast.JoinRight != 0 })
	for _, s := range sources {
		need := s.inputs.refs()
		at := slices.Index(order, s)
		to := at
		for i, other := range order {
			if i > at && need&(1<<uint(other.index)) != 0 {
				to = i
			}
		}
		for _, other := range order[at+1 : to+1] {
			if right || hasOuter([]*source{other}) {
				return order, false
			}
		}
		copy(order[at:to], order[at+1:to+1])
		order[to] = s
	}
	return order, true
}
