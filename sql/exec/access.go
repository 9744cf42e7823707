// Package exec compiles and runs SQL statements on engine collections.
//
// A statement becomes a plan: names are resolved to registers of one frame,
// expressions to closures over it, and operators pull rows from engine cursors
// into it. Plans hold no rows and are shared by all sessions of a database.
package exec

import (
	"math"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// keyColumn is one column of a table's key or of an index.
type keyColumn struct {
	col  int // in the table, -1 for the row id, schema.ExprColumn for an expression
	coll value.Collation
	desc bool
}

// probe is a value to look for, computed from what is known before the scan.
type probe struct {
	x   *expr
	cmp comparison
}

// access is a way to the rows of a table: through its own key or an index,
// with values for the first columns and perhaps a list or a range for the
// next. It may give rows that the conditions do not accept: they are tested
// all the same.
type access struct {
	index   *schema.Index // nil: the table's own key
	key     []keyColumn
	eq      []probe
	in      []probe // values of the column after eq
	isIn    bool
	lo, hi  *probe
	unique  bool // eq names one row at most
	reverse bool
	rows    float64 // estimate
}

func tableKey(t *schema.Table) []keyColumn {
	if t.PrimaryKey == nil {
		return []keyColumn{{col: -1}}
	}
	key := make([]keyColumn, len(t.PrimaryKey))
	for i, c := range t.PrimaryKey {
		key[i] = keyColumn{col: c, coll: t.PKCollations[i]}
	}
	return key
}

func indexKey(ix *schema.Index) []keyColumn {
	key := make([]keyColumn, len(ix.Columns))
	for i, c := range ix.Columns {
		key[i] = keyColumn{col: c.Column, coll: c.Collation, desc: c.Desc}
	}
	return key
}

// bestAccess returns the cheapest way to the rows of s with the conditions of
// pool, whose other sides read bound sources alone; nil: a full scan.
func bestAccess(s *source, pool []*expr, bound uint64) *access {
	if s.table == nil {
		return nil
	}
	best := matchKey(s, tableKey(s.table), pool, bound)
	if best != nil && best.unique {
		best.rows = 1
		return best
	}
	for _, ix := range s.table.Indexes {
		if ix.Where != nil {
			continue
		}
		a := matchKey(s, indexKey(ix), pool, bound)
		if a == nil {
			continue
		}
		a.index = ix
		a.unique = a.unique && ix.Unique
		if a.unique {
			a.rows = 1
		}
		a.rows *= 1.25 // each row is fetched from the table
		if best == nil || a.rows < best.rows {
			best = a
		}
	}
	return best
}

// matchKey fits conditions to the leading columns of a key.
func matchKey(s *source, key []keyColumn, pool []*expr, bound uint64) *access {
	a := &access{key: key, rows: rowsTable}
	for _, kc := range key {
		p, in := a.equality(s, kc, pool, bound)
		if in != nil {
			a.in, a.isIn = in, true
			a.rows = min(a.rows, rowsEquality*float64(max(len(in), 1)))
			break
		}
		if p == nil {
			break
		}
		a.eq = append(a.eq, *p)
		a.rows = rowsEquality / float64(len(a.eq))
	}
	a.unique = len(a.eq) == len(key)
	if len(a.eq) < len(key) && !a.isIn {
		a.lo, a.hi = ranges(s, key[len(a.eq)], pool, bound)
		switch {
		case a.lo != nil && a.hi != nil:
			a.rows = min(a.rows, rowsRange/4)
		case a.lo != nil || a.hi != nil:
			a.rows = min(a.rows, rowsRange)
		}
	}
	if len(a.eq) == 0 && !a.isIn && a.lo == nil && a.hi == nil {
		return nil
	}
	return a
}

// equality finds col = value, or else col IN (values).
func (a *access) equality(s *source, kc keyColumn, pool []*expr, bound uint64) (*probe, []probe) {
	var in []probe
	for _, x := range pool {
		if x.op == ast.OpEq {
			if p, _ := sided(s, kc, x, bound); p != nil {
				return p, nil
			}
		}
		if x.list != nil && in == nil {
			in = inProbes(s, kc, x, bound)
		}
	}
	return nil, in
}

func inProbes(s *source, kc keyColumn, x *expr, bound uint64) []probe {
	if x.left.slot != kc.slot(s) || x.left.coll != kc.coll && kc.col >= 0 {
		return nil
	}
	cmp := comparisonOf(x.left, &expr{})
	var out []probe
	for _, e := range x.list {
		if e.refs&^bound != 0 {
			return nil
		}
		out = append(out, probe{e, cmp})
	}
	return out
}

// noSlot is the register of what lies in none: no expression's slot equals it.
const noSlot = -2

func (kc keyColumn) slot(s *source) int {
	switch {
	case kc.col == schema.ExprColumn:
		return noSlot
	case kc.col < 0:
		return s.rowID
	}
	return s.slots[kc.col]
}

// sided returns the other side of a comparison with the key column, if an
// ordered key finds what the comparison accepts. Flipped: the column is on the
// right.
func sided(s *source, kc keyColumn, x *expr, bound uint64) (p *probe, flipped bool) {
	slot := kc.slot(s)
	col, other := x.left, x.right
	if col.slot != slot || other.refs&^bound != 0 {
		col, other, flipped = x.right, x.left, true
	}
	if col.slot != slot || other.refs&^bound != 0 {
		return nil, false
	}
	cmp := comparisonOf(x.left, x.right)
	if kc.col < 0 {
		return &probe{other, cmp}, flipped
	}
	aff := s.cols[kc.col].aff
	if cmp.coll != kc.coll ||
		cmp.aff == value.AffinityNumeric && !isNumeric(aff) ||
		cmp.aff == value.AffinityText && aff != value.AffinityText {
		return nil, false
	}
	return &probe{other, cmp}, flipped
}

func ranges(s *source, kc keyColumn, pool []*expr, bound uint64) (lo, hi *probe) {
	for _, x := range pool {
		switch x.op {
		case ast.OpLt, ast.OpLe, ast.OpGt, ast.OpGe:
		default:
			continue
		}
		p, flipped := sided(s, kc, x, bound)
		if p == nil {
			continue
		}
		if (x.op == ast.OpGt || x.op == ast.OpGe) != flipped {
			if lo == nil {
				lo = p
			}
		} else if hi == nil {
			hi = p
		}
	}
	return lo, hi
}

// ordered changes or makes an access so that rows come in the wanted order, if
// that costs less than sorting them.
func (c *compiler) ordered(s *source, a *access, w wanted) *access {
	if a != nil {
		if rev, ok := gives(s, a.key, len(a.eq), w.keys); ok && !a.isIn {
			a.reverse, *w.met = rev, true
		}
		return a
	}
	if rev, ok := gives(s, tableKey(s.table), 0, w.keys); ok {
		*w.met = true
		return &access{key: tableKey(s.table), reverse: rev, rows: rowsTable}
	}
	if !w.few {
		return nil
	}
	for _, ix := range s.table.Indexes {
		if ix.Where != nil {
			continue
		}
		if rev, ok := gives(s, indexKey(ix), 0, w.keys); ok {
			*w.met = true
			return &access{index: ix, key: indexKey(ix), reverse: rev, rows: rowsTable}
		}
	}
	return nil
}

// gives reports whether a key, its first skip columns fixed, yields rows in
// the order of keys, forwards or in reverse.
func gives(s *source, key []keyColumn, skip int, keys []sortKey) (reverse, ok bool) {
	for i := range keys {
		k := &keys[i]
		if skip+i >= len(key) {
			// All columns of the key are fixed by then: more keys change nothing
			// when the key is that of the table.
			return reverse, i > 0 && key[0].col < 0
		}
		kc := key[skip+i]
		if k.x.slot != kc.slot(s) || kc.col >= 0 && k.coll != kc.coll || k.nullsLast != k.desc {
			return false, false
		}
		rev := k.desc != kc.desc
		if i > 0 && rev != reverse {
			return false, false
		}
		reverse = rev
	}
	return reverse, len(keys) > 0
}

// bounds are the ends of a scan in encoded form; hi nil: no end.
type bounds struct {
	lo, hi []byte
	empty  bool
}

// bounds computes the ends from the registers.
func (a *access) bounds(f *frame, t *schema.Table) (bounds, error) {
	if a.index == nil && t.PrimaryKey == nil {
		return a.rowIDBounds(f)
	}
	var prefix []byte
	for i, p := range a.eq {
		v, err := p.value(f)
		if err != nil || v.IsNull() {
			return bounds{empty: true}, err
		}
		prefix = appendKeyValue(prefix, v, a.key[i])
	}
	b := bounds{lo: prefix, hi: prefixEnd(prefix)}
	lo, hi := a.lo, a.hi
	if lo == nil && hi == nil {
		return b, nil
	}
	kc := a.key[len(a.eq)]
	if kc.desc {
		lo, hi = hi, lo
	}
	if lo != nil {
		v, err := lo.value(f)
		if err != nil || v.IsNull() {
			return bounds{empty: true}, err
		}
		b.lo = appendKeyValue(slices.Clone(prefix), v, kc)
	}
	if hi != nil {
		v, err := hi.value(f)
		if err != nil || v.IsNull() {
			return bounds{empty: true}, err
		}
		b.hi = prefixEnd(appendKeyValue(slices.Clone(prefix), v, kc))
	}
	return b, nil
}

func (p *probe) value(f *frame) (value.Value, error) {
	v, err := p.x.eval(f)
	if err != nil {
		return v, err
	}
	return p.cmp.convert(v), nil
}

// rowIDBounds: row ids are integers, the values beside them may be anything.
func (a *access) rowIDBounds(f *frame) (bounds, error) {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	for _, p := range a.eq {
		v, err := p.value(f)
		if err != nil {
			return bounds{}, err
		}
		id, ok := asRowID(v)
		if !ok {
			return bounds{empty: true}, nil
		}
		lo, hi = id, id
	}
	if a.lo != nil {
		v, err := a.lo.value(f)
		if err != nil {
			return bounds{}, err
		}
		switch v.Kind() {
		case value.Int:
			lo = v.Int()
		case value.Float:
			if v.Float() >= 1<<63 {
				return bounds{empty: true}, nil
			}
			lo = clampInt(math.Floor(v.Float()))
		default: // above every number, or NULL
			return bounds{empty: true}, nil
		}
	}
	if a.hi != nil {
		v, err := a.hi.value(f)
		if err != nil {
			return bounds{}, err
		}
		switch v.Kind() {
		case value.Int:
			hi = v.Int()
		case value.Float:
			if v.Float() < -(1 << 63) {
				return bounds{empty: true}, nil
			}
			hi = clampInt(math.Ceil(v.Float()))
		case value.Null:
			return bounds{empty: true}, nil
		default: // text and blobs are above every number
		}
	}
	if lo > hi {
		return bounds{empty: true}, nil
	}
	return bounds{lo: appendRowID(nil, lo), hi: prefixEnd(appendRowID(nil, hi))}, nil
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
