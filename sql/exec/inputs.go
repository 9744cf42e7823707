package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// inputs are the hidden columns by which a table that is a function takes its
// arguments: in parentheses, or as equalities and IN in WHERE or ON.
type inputs struct {
	first int     // column of the source
	args  []*expr // by column, nil where it has none

	strict bool // without the first argument, or where it is NULL, there are no rows
}

// addInputs gives a source hidden columns.
func (c *compiler) addInputs(src *source, names []string) {
	src.inputs = &inputs{first: len(src.cols), args: make([]*expr, len(names))}
	for _, name := range names {
		src.cols = append(src.cols, column{name: name, aff: value.AffinityBlob, hasAff: true, input: true})
	}
	src.slots = append(src.slots, c.regs(len(names))...)
}

// arguments compiles those in parentheses, of the first hidden columns. One that
// reads the table itself is none.
func (c *compiler) arguments(sc *scope, src *source, exprs []ast.Expr) error {
	args, err := c.list(sc, exprs)
	if err != nil {
		return err
	}
	for i, x := range args {
		if x.refs&(1<<uint(src.index)) != 0 {
			x = constant(value.Value{})
		}
		src.inputs.args[i] = x
	}
	src.lateral = src.inputs.refs() != 0
	return nil
}

// refs are the sources that the arguments read.
func (in *inputs) refs() (refs uint64) {
	if in == nil {
		return 0
	}
	for _, a := range in.args {
		if a != nil {
			refs |= a.refs
		}
	}
	return refs
}

// count is how many arguments there are.
func (in *inputs) count() (n int) {
	for _, a := range in.args {
		if a != nil {
			n++
		}
	}
	return n
}

// values evaluates the arguments into vals, which keeps what it has where there
// is none.
func (in *inputs) values(f *frame, vals []value.Value) (err error) {
	for i, a := range in.args {
		if a == nil {
			continue
		}
		if vals[i], err = a.eval(f); err != nil {
			return err
		}
	}
	return nil
}

// take makes x an argument if it says what one of the hidden columns equals, or
// in which list it is, and reads no other sources than those of bound.
func (c *compiler) take(s *source, x *expr, bound uint64) {
	for i := range s.inputs.args {
		slot := s.slots[s.inputs.first+i]
		if s.inputs.args[i] != nil {
			continue
		}
		arg := argument(x, slot)
		if arg == nil || arg.refs&^bound != 0 {
			continue
		}
		if arg.list != nil || arg.set != nil {
			arg = c.oneByOne(s, arg)
		}
		s.inputs.args[i] = arg
		s.lateral = s.lateral || arg.refs != 0
		return
	}
}

// argument returns the other side of slot = x or slot IN (…), nil if cond says
// something else; of IN it has the list or set.
func argument(cond *expr, slot int) *expr {
	switch {
	case cond.op == ast.OpEq && cond.left.slot == slot:
		return &expr{eval: cond.right.eval, refs: cond.right.refs}
	case cond.op == ast.OpEq && cond.right.slot == slot:
		return &expr{eval: cond.left.eval, refs: cond.left.refs}
	case len(cond.ors) > 0:
		return anyArgument(cond.ors, slot)
	case cond.left == nil || cond.left.slot != slot:
		return nil
	case cond.set != nil:
		return &expr{set: cond.set, refs: cond.set.refs}
	case cond.list != nil:
		arg := &expr{list: cond.list}
		for _, e := range cond.list {
			arg.refs |= e.refs
		}
		return arg
	}
	return nil
}

// anyArgument is argument of an OR, all of whose terms say what slot equals.
func anyArgument(terms []*expr, slot int) *expr {
	arg := &expr{}
	for _, t := range terms {
		one := argument(t, slot)
		if t.op != ast.OpEq || one == nil {
			return nil
		}
		arg.list, arg.refs = append(arg.list, one), arg.refs|one.refs
	}
	return arg
}

// oneByOne has s give its rows for each value of a list or set in turn, and
// returns the argument that is that value.
func (c *compiler) oneByOne(s *source, in *expr) *expr {
	slot := c.regs(1)[0]
	if in.set != nil {
		in.set.listed = true
	}
	s.node = &eachNode{in: s.node, of: in, slot: slot}
	return &expr{eval: readSlot(slot), slot: slot, refs: in.refs}
}

// eachNode gives the rows of in for each of several values of an argument.
type eachNode struct {
	in   node
	of   *expr // has a list or set
	slot int   // the argument
}

type eachIter struct {
	n    *eachNode
	f    *frame
	vals *rowSorter  // to come
	last value.Value // that came
	any  bool        // one did
	in   iter        // of the value in the slot; or nil
}

// open evaluates the values: each counts once, and NULL not at all.
func (n *eachNode) open(f *frame) (iter, error) {
	it := &eachIter{n: n, f: f}
	it.vals = newRowSorter(f, ascending(0))
	if err := it.fill(); err != nil {
		it.close()
		return nil, err
	}
	return it, nil
}

func (it *eachIter) fill() error {
	of, f := it.n.of, it.f
	if of.set != nil {
		err := of.set.each(f, func(v value.Value) error { return it.vals.add([]value.Value{v}) })
		if err != nil {
			return err
		}
	}
	for _, e := range of.list {
		v, err := e.eval(f)
		if err != nil {
			return err
		}
		if v.IsNull() {
			continue
		}
		if err := it.vals.add([]value.Value{v}); err != nil {
			return err
		}
	}
	return it.vals.sort()
}

func (it *eachIter) next() (bool, error) {
	for {
		if it.in != nil {
			ok, err := it.in.next()
			if err != nil || ok {
				return ok, err
			}
			it.in.close()
			it.in = nil
		}
		row, err := it.vals.next()
		if err != nil {
			return false, err
		}
		if row == nil {
			return false, it.f.tick()
		}
		if it.any && compare(row[0], it.last, value.Binary) == 0 {
			continue
		}
		it.last, it.any = row[0], true
		it.f.regs[it.n.slot] = row[0]
		in, err := it.n.in.open(it.f)
		if err != nil {
			return false, err
		}
		it.in = in
		if err := it.f.tick(); err != nil {
			return false, err
		}
	}
}

func (it *eachIter) close() {
	if it.in != nil {
		it.in.close()
	}
	it.vals.close()
	it.in, it.last = nil, value.Value{}
}

// takeInputs gives tables that are functions the arguments which conditions have
// for them: their own ON, WHERE unless they are on the right of a LEFT JOIN, and,
// where all joins are inner, the ON of others.
func (c *compiler) takeInputs(sources []*source, where []*expr) {
	if !slices.ContainsFunc(sources, func(s *source) bool { return s.inputs != nil }) {
		return
	}
	uncrossed(sources)
	outer, full := hasOuter(sources), slices.ContainsFunc(sources, func(s *source) bool { return s.join&ast.JoinRight != 0 })
	if full {
		return // the conditions hold only after the join
	}
	for _, s := range sources {
		if s.inputs == nil {
			continue
		}
		bit := uint64(1) << uint(s.index)
		bound := ^bit &^ behindCross(sources, s)
		if outer {
			bound = bit - 1
		}
		pool := slices.Clone(s.on)
		if s.join&ast.JoinLeft == 0 {
			pool = append(pool, where...)
		}
		for _, other := range sources {
			if !outer && other != s {
				pool = append(append(pool, other.on...), other.after...)
			}
		}
		for _, x := range pool {
			c.take(s, x, bound)
		}
	}
}

// behindCross are the sources behind s and a CROSS JOIN, which keeps the order of
// the text.
func behindCross(sources []*source, s *source) (set uint64) {
	cross := false
	for _, other := range sources[slices.Index(sources, s)+1:] {
		if cross = cross || other.join&ast.JoinCross != 0; cross {
			set |= 1 << uint(other.index)
		}
	}
	return set
}

// uncrossed leaves functions without rows whose arguments read tables behind a
// CROSS JOIN, as SQLite does.
func uncrossed(sources []*source) {
	for _, s := range sources {
		if s.lateral && s.inputs.refs()&behindCross(sources, s) != 0 {
			s.node, s.inputs.args, s.lateral = &valuesNode{out: s.slots}, make([]*expr, len(s.inputs.args)), false
		}
	}
}

// keepsRows reports whether s is on the right of a RIGHT or FULL JOIN that gives
// its rows without a match. A function of a column on the left has none: where that
// side is NULL it has no rows at all.
func (s *source) keepsRows() bool {
	if s.lateral && s.inputs.strict && s.inputs.args[0] != nil && s.inputs.args[0].slot >= 0 {
		return false
	}
	return s.join&ast.JoinRight != 0
}

// dependent orders the sources of inner joins so that each comes after those
// which its arguments read, else as they were written. False: there is no such
// order.
func dependent(sources []*source) ([]*source, bool) {
	order := make([]*source, 0, len(sources))
	bound, left := uint64(0), slices.Clone(sources)
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(s *source) bool { return s.inputs.refs()&^bound == 0 })
		if i < 0 {
			return sources, false
		}
		order = append(order, left[i])
		bound |= 1 << uint(left[i].index)
		left = slices.Delete(left, i, i+1)
	}
	return order, true
}
