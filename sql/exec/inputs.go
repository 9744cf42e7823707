package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// inputs are the hidden columns by which a table that is a function takes its
// arguments: in parentheses, or as equalities in WHERE or ON.
type inputs struct {
	first int     // column of the source
	args  []*expr // by column, nil where it has none
}

// addInputs gives a source hidden columns, the first of which have arguments.
func (c *compiler) addInputs(src *source, names []string, args []*expr) {
	src.inputs = &inputs{first: len(src.cols), args: make([]*expr, len(names))}
	copy(src.inputs.args, args)
	for _, name := range names {
		src.cols = append(src.cols, column{name: name, input: true})
	}
	src.slots = append(src.slots, c.regs(len(names))...)
	src.lateral = src.inputs.refs() != 0
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

// take makes x an argument if it says what one of the hidden columns equals and
// reads no other sources than those of bound.
func (s *source) take(x *expr, bound uint64) {
	if x.op != ast.OpEq {
		return
	}
	for i := range s.inputs.args {
		slot := s.slots[s.inputs.first+i]
		col, other := x.left, x.right
		if col.slot != slot {
			col, other = other, col
		}
		if s.inputs.args[i] == nil && col.slot == slot && other.refs&^bound == 0 {
			s.inputs.args[i] = other
			s.lateral = s.lateral || other.refs != 0
			return
		}
	}
}

// takeInputs gives tables that are functions the arguments which conditions have
// for them: their own ON, WHERE unless they are on the right of a LEFT JOIN, and,
// where all joins are inner, the ON of others.
func takeInputs(sources []*source, where []*expr) {
	if !slices.ContainsFunc(sources, func(s *source) bool { return s.inputs != nil }) {
		return
	}
	outer, full := hasOuter(sources), slices.ContainsFunc(sources, func(s *source) bool { return s.join&ast.JoinRight != 0 })
	if full {
		return // the conditions hold only after the join
	}
	for _, s := range sources {
		if s.inputs == nil {
			continue
		}
		bit := uint64(1) << uint(s.index)
		bound := ^bit
		if outer {
			bound = bit - 1
		}
		pool := slices.Clone(s.on)
		if s.join&ast.JoinLeft == 0 {
			pool = append(pool, where...)
		}
		for _, other := range sources {
			if !outer && other != s {
				pool = append(pool, other.on...)
			}
		}
		for _, x := range pool {
			s.take(x, bound)
		}
	}
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
