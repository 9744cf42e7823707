package exec

import (
	"math"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// offsets are the values of a frame's offsets, the same for all rows.
type offsets struct {
	start, end value.Value
	from, to   int // as a number of rows or groups
}

// offsets evaluates the offsets of a frame.
func (s *frameSpec) offsets(f *frame) (o offsets, err error) {
	if s.start != nil {
		if o.start, o.from, err = s.offset(f, s.start, "starting"); err != nil {
			return o, err
		}
	}
	if s.end != nil {
		o.end, o.to, err = s.offset(f, s.end, "ending")
	}
	return o, err
}

func (s *frameSpec) offset(f *frame, x *expr, which string) (value.Value, int, error) {
	v, err := x.eval(f)
	if err != nil {
		return v, 0, err
	}
	if s.kind == ast.FrameRange {
		v = applyAffinity(v, value.AffinityNumeric)
		if v.Kind() != value.Int && v.Kind() != value.Float || v.AsFloat() < 0 {
			return v, 0, errorf("frame %s offset must be a non-negative number", which)
		}
		return v, 0, nil
	}
	v = applyAffinity(v, value.AffinityInteger)
	if v.Kind() != value.Int || v.Int() < 0 {
		return v, 0, errorf("frame %s offset must be a non-negative integer", which)
	}
	return v, int(min(v.Int(), math.MaxInt32)), nil
}

// none reports whether no frame has any row: it would end before it starts.
func (o *offsets) none(s *frameSpec) bool {
	switch {
	case s.kind == ast.FrameRange || s.startType != s.endType:
		return false
	case s.startType == ast.BoundPreceding:
		return o.to > o.from
	}
	return o.from > o.to
}

// frameOf returns the rows of row i's frame, before EXCLUDE: [lo, hi).
func (r *windowRun) frameOf(i int) (lo, hi int, err error) {
	p, s, o := r.p, &r.call.frame, &r.offsets
	switch s.kind {
	case ast.FrameRows:
		lo, hi = rowBound(s.startType, o.from, i, p.n), rowBound(s.endType, o.to, i, p.n)+1
	case ast.FrameGroups:
		lo, hi, err = p.groupFrame(s, o, i)
	default:
		if lo, err = r.rangeStart(i); err == nil {
			hi, err = r.rangeEnd(i)
		}
	}
	return clamp(lo, p.n), clamp(hi, p.n), err
}

func (p *partition) groupFrame(s *frameSpec, o *offsets, i int) (lo, hi int, err error) {
	peer, err := p.peer(i)
	if err != nil {
		return 0, 0, err
	}
	last := p.nGroups
	if lo, err = p.head(clamp(rowBound(s.startType, o.from, peer, last), last)); err != nil {
		return 0, 0, err
	}
	hi, err = p.head(clamp(rowBound(s.endType, o.to, peer, last)+1, last))
	return lo, hi, err
}

func clamp(i, most int) int { return max(0, min(i, most)) }

// rowBound is the position that a bound names, counted from i of n.
func rowBound(t ast.FrameBoundType, offset, i, n int) int {
	switch t {
	case ast.BoundUnboundedPreceding:
		return 0
	case ast.BoundPreceding:
		return i - offset
	case ast.BoundFollowing:
		return i + offset
	case ast.BoundUnboundedFollowing:
		return n - 1
	default:
		return i
	}
}

// rangeStart finds the first row within a distance of row i.
func (r *windowRun) rangeStart(i int) (int, error) {
	switch t := r.call.frame.startType; t {
	case ast.BoundUnboundedPreceding:
		return 0, nil
	case ast.BoundPreceding, ast.BoundFollowing:
		var err error
		r.start, err = r.p.within(r.start, i, r.offsets.start, t == ast.BoundPreceding, func(order int) bool { return order >= 0 })
		return r.start, err
	default:
		from, _, err := r.p.group(i)
		return from, err
	}
}

// rangeEnd finds the first row after those within a distance of row i.
func (r *windowRun) rangeEnd(i int) (int, error) {
	switch t := r.call.frame.endType; t {
	case ast.BoundUnboundedFollowing:
		return r.p.n, nil
	case ast.BoundPreceding, ast.BoundFollowing:
		var err error
		r.end, err = r.p.within(r.end, i, r.offsets.end, t == ast.BoundPreceding, func(order int) bool { return order > 0 })
		return r.end, err
	default:
		_, to, err := r.p.group(i)
		return to, err
	}
}

// within returns the first row whose order to row i, one of them moved by the
// offset, is wanted. That of the row before is mostly near: the search goes on
// from there.
func (p *partition) within(near, i int, offset value.Value, preceding bool, wanted func(order int) bool) (int, error) {
	k, at := p.rangeKey()
	row, err := p.row(i)
	if err != nil {
		return 0, err
	}
	cur := row[at]
	if !preceding {
		cur = shift(k, cur, offset)
	}
	is := func(j int) (bool, error) {
		row, err := p.row(j)
		if err != nil {
			return false, err
		}
		v := row[at]
		if preceding {
			v = shift(k, v, offset)
		}
		return wanted(k.order(v, cur)), p.it.f.tick()
	}
	for near > 0 {
		ok, err := is(near - 1)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		near--
	}
	for near < p.n {
		ok, err := is(near)
		if err != nil {
			return 0, err
		}
		if ok {
			break
		}
		near++
	}
	return near, nil
}

func (p *partition) rangeKey() (*sortKey, int) {
	o := &p.it.n.order
	if len(o.keys) != 1 {
		return nil, 0
	}
	return &o.keys[0], o.at[0]
}

// shift moves a number by a distance in the direction of the order; other
// values stay where they are.
func shift(k *sortKey, v, by value.Value) value.Value {
	switch {
	case v.Kind() != value.Int && v.Kind() != value.Float:
		return v
	case k.desc:
		return value.Sub(v, by)
	}
	return value.Add(v, by)
}

// excluded reports whether EXCLUDE takes row j out of row i's frame.
func (p *partition) excluded(e ast.FrameExclude, i, j int) (bool, error) {
	if i == j {
		return e == ast.ExcludeCurrentRow || e == ast.ExcludeGroup, nil
	}
	if e != ast.ExcludeGroup && e != ast.ExcludeTies {
		return false, nil
	}
	from, to, err := p.group(i)
	return j >= from && j < to, err
}
