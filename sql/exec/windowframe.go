package exec

import (
	"math"
	"sort"

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
func (p *partition) frameOf(s *frameSpec, o *offsets, i int) (lo, hi int) {
	switch s.kind {
	case ast.FrameRows:
		lo, hi = rowBound(s.startType, o.from, i, len(p.rows)), rowBound(s.endType, o.to, i, len(p.rows))+1
	case ast.FrameGroups:
		last := len(p.heads) - 1
		lo = p.heads[clamp(rowBound(s.startType, o.from, p.peers[i], last), last)]
		hi = p.heads[clamp(rowBound(s.endType, o.to, p.peers[i], last)+1, last)]
	default:
		lo, hi = p.rangeStart(s.startType, o.start, i), p.rangeEnd(s.endType, o.end, i)
	}
	return clamp(lo, len(p.rows)), clamp(hi, len(p.rows))
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
func (p *partition) rangeStart(t ast.FrameBoundType, offset value.Value, i int) int {
	k, at := p.rangeKey()
	switch t {
	case ast.BoundUnboundedPreceding:
		return 0
	case ast.BoundPreceding:
		cur := p.rows[i][at]
		return sort.Search(len(p.rows), func(r int) bool { return k.order(shift(k, p.rows[r][at], offset), cur) >= 0 })
	case ast.BoundFollowing:
		cur := shift(k, p.rows[i][at], offset)
		return sort.Search(len(p.rows), func(r int) bool { return k.order(p.rows[r][at], cur) >= 0 })
	default:
		from, _ := p.group(i)
		return from
	}
}

// rangeEnd finds the first row after those within a distance of row i.
func (p *partition) rangeEnd(t ast.FrameBoundType, offset value.Value, i int) int {
	k, at := p.rangeKey()
	switch t {
	case ast.BoundUnboundedFollowing:
		return len(p.rows)
	case ast.BoundPreceding:
		cur := p.rows[i][at]
		return sort.Search(len(p.rows), func(r int) bool { return k.order(shift(k, p.rows[r][at], offset), cur) > 0 })
	case ast.BoundFollowing:
		cur := shift(k, p.rows[i][at], offset)
		return sort.Search(len(p.rows), func(r int) bool { return k.order(p.rows[r][at], cur) > 0 })
	default:
		_, to := p.group(i)
		return to
	}
}

func (p *partition) rangeKey() (*sortKey, int) {
	n := p.it.n
	if len(n.order) != 1 {
		return nil, 0
	}
	return &n.order[0], n.orderAt[0]
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
func (p *partition) excluded(e ast.FrameExclude, i, j int) bool {
	switch e {
	case ast.ExcludeCurrentRow:
		return i == j
	case ast.ExcludeGroup:
		return p.peers[i] == p.peers[j]
	case ast.ExcludeTies:
		return i != j && p.peers[i] == p.peers[j]
	default:
		return false
	}
}
