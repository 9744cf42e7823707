package exec

import (
	"bytes"
	"math"
	"slices"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// bounds are the ends of a scan in encoded form; hi nil: no end.
type bounds struct {
	lo, hi []byte
	empty  bool
	exact  bool // of row ids: all within pass the conditions that the bounds were made of
}

// spans computes the ranges of keys to visit, in order.
func (a *access) spans(f *frame, t *schema.Table) (spanList, error) {
	switch {
	case a.isIn:
		return a.listSpans(f, t)
	case a.prefix != nil:
		list, err := a.prefixSpans(f)
		return spanList{list: list}, err
	}
	b, err := a.span(f, t, a.eq)
	if err != nil || b.empty {
		return spanList{}, err
	}
	return spanList{list: []bounds{b}}, nil
}

// listSpans makes one range per value of an IN, sorted and each once.
func (a *access) listSpans(f *frame, t *schema.Table) (out spanList, err error) {
	switch {
	case a.inRows != nil:
		err = a.rowSpans(f, t, &out)
	case a.inSet == nil:
		for i := range a.in {
			if err := f.tick(); err != nil {
				return out, err
			}
			if err := a.valueSpans(f, t, slices.Concat(a.eq, a.in[i:i+1], a.eq2), &out); err != nil {
				return out, err
			}
		}
		return out, out.sort(f)
	default:
		err = a.setSpans(f, t, &out)
	}
	if err == nil {
		err = out.sort(f)
	}
	if err != nil {
		out.close(f)
	}
	return out, err
}

// setSpans makes the ranges of a subquery of one column.
func (a *access) setSpans(f *frame, t *schema.Table, out *spanList) error {
	var v value.Value
	in := probe{x: &expr{slot: -1, eval: func(*frame) (value.Value, error) { return v, nil }}}
	eq := slices.Concat(a.eq, []probe{in}, a.eq2)
	return a.inSet.each(f, func(x value.Value) error {
		v = x
		if err := a.valueSpans(f, t, eq, out); err != nil {
			return err
		}
		return out.limit(f)
	})
}

// rowSpans makes the ranges of a subquery of several columns.
func (a *access) rowSpans(f *frame, t *schema.Table, out *spanList) error {
	var row []value.Value
	eq := slices.Clone(a.eq)
	for _, col := range a.inCols {
		eq = append(eq, probe{x: &expr{slot: -1, eval: func(*frame) (value.Value, error) { return row[col], nil }}, cmp: a.inRows.cmps[col]})
	}
	eq = append(eq, a.eq2...)
	return a.inRows.each(f, func(r []value.Value) error {
		row = r
		if err := a.valueSpans(f, t, eq, out); err != nil {
			return err
		}
		return out.limit(f)
	})
}

// valueSpans adds the ranges of one value of an IN, which is in eq.
func (a *access) valueSpans(f *frame, t *schema.Table, eq []probe, out *spanList) error {
	if a.prefix != nil {
		one := *a
		one.eq = eq
		list, err := one.prefixSpans(f)
		out.list = append(out.list, list...)
		return err
	}
	b, err := a.span(f, t, eq)
	if err == nil && !b.empty {
		out.list = append(out.list, b)
	}
	return err
}

// span computes the range with these values for the first columns.
func (a *access) span(f *frame, t *schema.Table, eq []probe) (bounds, error) {
	if a.index == nil && t.PrimaryKey == nil {
		return a.rowIDSpan(f, eq)
	}
	prefix, ok, err := a.head(f, eq)
	if err != nil || !ok {
		return bounds{empty: true}, err
	}
	b := bounds{lo: prefix, hi: prefixEnd(prefix)}
	lo, hi := a.lo, a.hi
	if lo == nil && hi == nil {
		return b, nil
	}
	kc := a.key[len(eq)]
	if kc.desc {
		lo, hi = hi, lo
	}
	notNull := func() []byte {
		return record.AppendNotNull(slices.Clone(prefix), record.KeyColumn{Desc: kc.desc})
	}
	switch {
	case lo != nil:
		v, err := lo.value(f)
		if err != nil || v.IsNull() {
			return bounds{empty: true}, err
		}
		b.lo = appendKeyValue(slices.Clone(prefix), v, kc)
		if b.lo, err = a.restOf(f, lo, b.lo, len(eq)); err != nil {
			return b, err
		}
		if lo.strict {
			if b.lo = prefixEnd(b.lo); b.lo == nil {
				return bounds{empty: true}, nil
			}
		}
	case !kc.desc:
		b.lo = notNull()
	}
	switch {
	case hi != nil:
		v, err := hi.value(f)
		if err != nil || v.IsNull() {
			return bounds{empty: true}, err
		}
		b.hi = appendKeyValue(slices.Clone(prefix), v, kc)
		if b.hi, err = a.restOf(f, hi, b.hi, len(eq)); err != nil {
			return b, err
		}
		if !hi.strict {
			b.hi = prefixEnd(b.hi)
		}
	case kc.desc:
		b.hi = notNull()
	}
	b.empty = b.hi != nil && bytes.Compare(b.lo, b.hi) >= 0
	return b, nil
}

// restOf adds to the bound of column n what p has for the columns behind it, up
// to a NULL, which is neither below nor above anything.
func (a *access) restOf(f *frame, p *probe, key []byte, n int) ([]byte, error) {
	for i := range p.rest {
		v, err := p.rest[i].value(f)
		if err != nil || v.IsNull() {
			return key, err
		}
		key = appendKeyValue(key, v, a.key[n+1+i])
	}
	return key, nil
}

// head encodes the values of the first columns; ok is false if one of them is
// NULL, which equals nothing.
func (a *access) head(f *frame, eq []probe) (prefix []byte, ok bool, err error) {
	for i := range eq {
		v, err := eq[i].value(f)
		if err != nil || v.IsNull() && !eq[i].null && !eq[i].same {
			return nil, false, err
		}
		prefix = appendKeyValue(prefix, v, a.key[i])
	}
	return prefix, true, nil
}

func (p *probe) value(f *frame) (value.Value, error) {
	if p.null {
		return value.Value{}, nil
	}
	v, err := p.x.eval(f)
	if err != nil {
		return v, err
	}
	return p.cmp.convert(v), nil
}

// rowIDSpan: row ids are integers, the values beside them may be anything.
func (a *access) rowIDSpan(f *frame, eq []probe) (bounds, error) {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	for i := range eq {
		v, err := eq[i].value(f)
		if err != nil {
			return bounds{}, err
		}
		id, ok := asRowID(v)
		if !ok {
			return bounds{empty: true}, nil
		}
		lo, hi = id, id
	}
	b := bounds{exact: true}
	for _, end := range []struct {
		p     *probe
		limit func(v value.Value, strict bool) (id int64, exact, some bool)
		id    *int64
	}{{a.lo, leastRowID, &lo}, {a.hi, greatestRowID, &hi}} {
		if end.p == nil {
			continue
		}
		v, err := end.p.value(f)
		if err != nil {
			return bounds{}, err
		}
		id, exact, some := end.limit(v, end.p.strict)
		if !some {
			return bounds{empty: true}, nil
		}
		*end.id, b.exact = id, b.exact && exact
	}
	if lo > hi {
		return bounds{empty: true}, nil
	}
	b.lo, b.hi = appendRowID(nil, lo), prefixEnd(appendRowID(nil, hi))
	return b, nil
}

// leastRowID returns the least row id that is at least v, or above it if strict;
// exact is false if it may be less than that, some if there is none.
func leastRowID(v value.Value, strict bool) (id int64, exact, some bool) {
	switch v.Kind() {
	case value.Int:
		if !strict {
			return v.Int(), true, true
		}
		return v.Int() + 1, true, v.Int() < math.MaxInt64
	case value.Float:
		return clampInt(math.Floor(v.Float())), false, v.Float() < 1<<63
	default: // above every number, or NULL
		return 0, false, false
	}
}

// greatestRowID is leastRowID for the other end.
func greatestRowID(v value.Value, strict bool) (id int64, exact, some bool) {
	switch v.Kind() {
	case value.Int:
		if !strict {
			return v.Int(), true, true
		}
		return v.Int() - 1, true, v.Int() > math.MinInt64
	case value.Float:
		return clampInt(math.Ceil(v.Float())), false, v.Float() >= -(1 << 63)
	case value.Null:
		return 0, false, false
	default: // text and blobs are above every number
		return math.MaxInt64, true, true
	}
}

func clampInt(x float64) int64 {
	switch {
	case x >= 1<<63:
		return math.MaxInt64
	case x < -(1 << 63):
		return math.MinInt64
	}
	return int64(x)
}

// asRowID returns the integer that equals v.
func asRowID(v value.Value) (int64, bool) {
	switch v.Kind() {
	case value.Int:
		return v.Int(), true
	case value.Float:
		x := v.Float()
		if x == math.Trunc(x) && x >= -(1<<63) && x < 1<<63 {
			return int64(x), true
		}
	default:
	}
	return 0, false
}

// prefixEnd returns the first key after all those that begin with p, nil when
// there is none.
func prefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := slices.Clone(p[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}
