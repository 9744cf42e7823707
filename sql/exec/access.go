// Package exec compiles and runs SQL statements on engine collections.
//
// A statement becomes a plan: names are resolved to registers of one frame,
// expressions to closures over it, and operators pull rows from engine cursors
// into it. Plans hold no rows and are shared by all sessions of a database.
package exec

import (
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
	expr string // the canonical form of the expression, "" when it has none
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

// is reports whether x is what the key column holds.
func (kc *keyColumn) is(s *source, x *expr) bool {
	if kc.col == schema.ExprColumn {
		return kc.expr != "" && kc.expr == x.canon
	}
	return x.slot == kc.slot(s)
}

// probe is a value to look for, computed from what is known before the scan.
type probe struct {
	x      *expr
	cmp    comparison
	of     *expr // the condition
	null   bool  // IS NULL: x is nil
	same   bool  // IS: NULL is found too
	strict bool  // of a range: the value itself is outside
	loose  bool  // the condition is to be tested all the same

	rest []probe // of a range: values for the columns behind it
}

// way is a key by which rows of a source can be reached: the table's own or an
// index.
type way struct {
	index *schema.Index // nil: the table's own key
	key   []keyColumn
	full  []keyColumn // key, and the row's key behind that of an index
	where []string    // what a partial index holds, in canonical form
	cover *cover
}

// access is a use of a way, with values for the first columns, perhaps a list
// for the next and values for those after it, and perhaps a range. It may give
// rows that the conditions do not accept: all but those it implies are tested.
type access struct {
	*way
	eq     []probe
	in     []probe // values of the column after eq
	isIn   bool
	inSet  *inSet  // in place of in: a subquery
	inRows *rowsIn // or one of several columns, which inCols of the row have values for
	inCols []int
	eq2    []probe // values of the columns after in
	lo, hi *probe
	prefix *prefixMatch // in place of lo and hi: LIKE or GLOB
	or     []*access    // in place of all: an access for each term of an OR

	unique  bool // eq names one row at most
	reverse bool
	rows    float64 // estimate
	cost    float64 // estimate, in rows of a full scan
}

// bare reports whether no condition narrows the access.
func (a *access) bare() bool {
	return len(a.eq) == 0 && !a.isIn && a.lo == nil && a.hi == nil && a.prefix == nil && a.or == nil
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

// ways lists the keys of a source, once all that reads its columns is compiled.
func (c *compiler) ways(s *source) []*way {
	if s.table == nil || s.ways != nil {
		return s.ways
	}
	own := &way{key: tableKey(s.table)}
	own.full = own.key
	s.ways = []*way{own}
	layout := c.layout(s)
	sc := &scope{sources: []*source{s}}
	for _, ix := range s.table.Indexes {
		w := &way{index: ix, key: indexKey(ix), cover: covering(s, ix, layout)}
		for i := range w.key {
			if e := ix.Columns[i].Expr; e != nil {
				w.key[i].expr = canonical(sc, e)
			}
		}
		for _, e := range conjuncts(ix.Where, nil) {
			w.where = append(w.where, canonical(sc, e))
		}
		w.full = slices.Concat(w.key, own.key)
		s.ways = append(s.ways, w)
	}
	return s.ways
}

// holds reports whether a partial index has every row that passes the
// conditions of pool.
func (w *way) holds(pool []*expr) bool {
	for _, cond := range w.where {
		if cond == "" || !slices.ContainsFunc(pool, func(x *expr) bool { return x.entails(cond) }) {
			return false
		}
	}
	return true
}

// entails reports whether cond, in canonical form, is true wherever x is: it is
// the same, or says that something is not NULL which x compares.
func (x *expr) entails(cond string) bool {
	if x.canon == cond {
		return true
	}
	notNull := func(e *expr) bool { return e != nil && e.canon != "" && notNullOf(e.canon) == cond }
	return (x.op != ast.OpNone || x.list != nil || x.set != nil) && notNull(x.left) || x.op != ast.OpNone && notNull(x.right)
}

// match fits conditions to the leading columns of a way, with other sides that
// read bound sources alone; nil: none fits.
func (w *way) match(s *source, pool []*expr, bound uint64) *access {
	a := &access{way: w}
	for a.depth() < len(w.key) {
		kc := w.key[a.depth()]
		if p := equality(s, kc, pool, bound); p != nil {
			if a.isIn {
				a.eq2 = append(a.eq2, *p)
			} else {
				a.eq = append(a.eq, *p)
			}
			continue
		}
		if a.isIn || !a.list(s, kc, pool, bound) && !a.listRows(s, pool, bound) {
			break
		}
	}
	n := a.depth()
	a.unique = len(a.eq) == len(w.key) && (w.index == nil || w.index.Unique) &&
		!slices.ContainsFunc(a.eq, func(p probe) bool { return p.null || p.same && w.index != nil })
	if n < len(w.key) {
		a.lo, a.hi = ranges(s, w.key[n:], pool, bound)
		if a.lo == nil && a.hi == nil {
			a.prefix = prefixOf(s, w.key[n], pool, bound)
		}
	}
	if a.bare() {
		return nil
	}
	a.estimate(s)
	return a
}

// depth is how many columns have values.
func (a *access) depth() int {
	n := len(a.eq) + len(a.eq2)
	if a.isIn {
		n += max(1, len(a.inCols))
	}
	return n
}

// conditions calls fn for x and what it implies, until fn returns false.
func (x *expr) conditions(fn func(y *expr) bool) bool {
	if !fn(x) {
		return false
	}
	return !slices.ContainsFunc(x.implied, func(y *expr) bool { return !y.conditions(fn) })
}

// equality finds col = value or col IS NULL.
func equality(s *source, kc keyColumn, pool []*expr, bound uint64) *probe {
	for _, x := range pool {
		var found *probe
		x.conditions(func(y *expr) bool {
			switch {
			case y.op == ast.OpEq, y.same:
				if p, _ := sided(s, kc, y, bound); p != nil {
					found = p
					found.same = y.same
				}
			case y.isNull && kc.col != -1 && kc.is(s, y.left):
				found = &probe{null: true}
			}
			if found != nil {
				found.of, found.loose = x, y != x
			}
			return found == nil
		})
		if found != nil {
			return found
		}
	}
	return nil
}

// list finds col IN (values) or col IN (SELECT …).
func (a *access) list(s *source, kc keyColumn, pool []*expr, bound uint64) bool {
	for _, x := range pool {
		if x.list == nil && x.set == nil || !kc.is(s, x.left) || x.left.coll != kc.coll && kc.col != -1 {
			continue
		}
		if x.set != nil {
			if kc.col != -1 && !x.set.cmp.finds(kc, x.left) || x.set.refs&^bound != 0 {
				continue
			}
			a.inSet, a.isIn = x.set, true
			return true
		}
		cmp, in := comparisonOf(x.left, &expr{}), []probe{}
		for _, e := range x.list {
			if e.refs&^bound != 0 {
				in = nil
				break
			}
			in = append(in, probe{x: e, cmp: cmp, of: x})
		}
		if in != nil {
			a.in, a.isIn = in, true
			return true
		}
	}
	return false
}

// finds reports whether the ordered values of a key column, which is x, answer
// for a comparison.
func (c comparison) finds(kc keyColumn, x *expr) bool {
	aff := value.AffinityBlob
	if x.hasAff {
		aff = x.aff
	}
	return c.coll == kc.coll &&
		(c.aff != value.AffinityNumeric || isNumeric(aff)) &&
		(c.aff != value.AffinityText || aff == value.AffinityText)
}

// sided returns the other side of a comparison with the key column, if an
// ordered key finds what the comparison accepts. Flipped: the column is on the
// right.
func sided(s *source, kc keyColumn, x *expr, bound uint64) (p *probe, flipped bool) {
	col, other := x.left, x.right
	if !kc.is(s, col) || other.refs&^bound != 0 {
		col, other, flipped = x.right, x.left, true
	}
	if !kc.is(s, col) || other.refs&^bound != 0 {
		return nil, false
	}
	cmp := comparisonOf(x.left, x.right)
	if kc.col != -1 && !cmp.finds(kc, col) {
		return nil, false
	}
	return &probe{x: other, cmp: cmp, of: x}, flipped
}

// ranges finds bounds of the first column of key.
func ranges(s *source, key []keyColumn, pool []*expr, bound uint64) (lo, hi *probe) {
	for _, x := range pool {
		x.conditions(func(y *expr) bool {
			p, flipped, op := (*probe)(nil), false, y.op
			switch {
			case y.ordered != nil:
				op = y.ordered.op
				p, flipped = y.ordered.find(s, key, bound)
			case op == ast.OpLt, op == ast.OpLe, op == ast.OpGt, op == ast.OpGe:
				if p, flipped = sided(s, key[0], y, bound); p != nil {
					p.strict = op == ast.OpLt || op == ast.OpGt
				}
			}
			if p == nil {
				return true
			}
			p.of, p.loose = x, p.loose || y != x
			if (op == ast.OpGt || op == ast.OpGe) != flipped {
				if lo == nil {
					lo = p
				}
			} else if hi == nil {
				hi = p
			}
			return true
		})
	}
	return lo, hi
}

// implies reports whether every row of the access passes the condition x.
func (a *access) implies(x *expr) bool {
	of := func(p probe) bool { return p.of == x && !p.loose }
	if slices.ContainsFunc(a.eq, of) || slices.ContainsFunc(a.eq2, of) || slices.ContainsFunc(a.in, of) ||
		a.inSet != nil && a.inSet == x.set {
		return true
	}
	if a.key[0].col == -1 { // a range of row ids may be rounded
		return false
	}
	return a.bounds(x)
}

// bounds reports whether the condition x is an end of the range.
func (a *access) bounds(x *expr) bool {
	return a.lo != nil && a.lo.of == x && !a.lo.loose || a.hi != nil && a.hi.of == x && !a.hi.loose
}
