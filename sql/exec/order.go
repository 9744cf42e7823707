package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

// wanted is the order in which a statement would like rows to come, if a way can
// give it by itself.
type wanted struct {
	keys []sortKey
	met  *bool // set when rows come in that order
	few  bool  // a LIMIT: not all rows will be read
	any  bool  // each key in either direction, one for all: rows are to be grouped
}

// ordered returns the access to use for s, which is a or one that gives the
// wanted order at less cost than sorting has. Alone: no other source follows.
func (c *compiler) ordered(s *source, a *access, pool []*expr, w wanted, alone bool) *access {
	if a == nil || a.or != nil || len(w.keys) == 0 {
		return a
	}
	if rev, ok := a.gives(s, w, alone); ok {
		b := *a
		b.reverse, *w.met = rev, true
		return &b
	}
	best, least := a, a.cost+sortCost(a.rows)
	if w.few && alone && a.bare() {
		least += a.cost // a row in order ends the scan early
	}
	for _, way := range c.ways(s) {
		if s.indexed != nil && !s.indexed.allows(way) || !way.holds(pool) {
			continue
		}
		b := way.match(s, pool, 0)
		if b == nil {
			b = way.whole(s)
		}
		rev, ok := b.gives(s, w, alone)
		if !ok {
			continue
		}
		cost := b.cost
		if w.few && b.bare() && a.bare() {
			cost = costSeek
		}
		if cost < least {
			b.reverse, best, least = rev, b, cost
		}
	}
	if best != a {
		*w.met = true
	}
	return best
}

// gives reports whether the access yields rows in the wanted order, forwards or
// in reverse.
func (a *access) gives(s *source, w wanted, alone bool) (reverse, ok bool) {
	if a.unique && alone {
		return false, true
	}
	if a.isIn || a.prefix != nil { // several ranges
		return false, false
	}
	at, decided := len(a.eq), false
	for i := range w.keys {
		k := &w.keys[i]
		if a.fixes(s, k) {
			continue
		}
		if at >= len(a.full) {
			// All columns of the row's key are in order by then: what follows has no
			// choice.
			return reverse, alone
		}
		kc := a.full[at]
		at++
		if !kc.is(s, k.x) || kc.col != -1 && k.coll != kc.coll {
			return false, false
		}
		if w.any {
			continue
		}
		if k.nullsLast != k.desc && kc.col != -1 {
			return false, false
		}
		rev := k.desc != kc.desc
		if decided && rev != reverse {
			return false, false
		}
		reverse, decided = rev, true
	}
	return reverse, len(w.keys) > 0
}

// fixes reports whether all rows of the access agree in a sort key.
func (a *access) fixes(s *source, k *sortKey) bool {
	return slices.ContainsFunc(a.key[:len(a.eq)], func(kc keyColumn) bool {
		return kc.is(s, k.x) && (kc.col == -1 || kc.coll == k.coll)
	})
}

// wantedOrder is the order of ORDER BY, or, for a lone min() or max(), the one
// in which the first row that is not NULL has it (extreme).
func (b *block) wantedOrder() (w wanted, extreme bool) {
	few := b.s.Limit != nil
	switch {
	case b.agg == nil && b.windows != nil: // they put the rows into an order of their own
		return wanted{}, false
	case b.agg == nil && len(b.keys) > 0:
		return wanted{keys: b.keys, met: &b.orderDone, few: few}, false
	case b.agg == nil && b.s.Distinct == ast.DistinctDistinct:
		return wanted{keys: keysOf(b.outs), met: &b.distinctDone, few: few, any: true}, false
	case b.agg == nil:
		return wanted{}, false
	case len(b.groupBy) > 0:
		b.groupKeys = keysOf(b.groupBy)
		b.orderDone = b.windows == nil && b.groupsOrdered()
		return wanted{keys: b.groupKeys, met: new(bool), few: few && b.having == nil, any: !b.orderDone}, false
	case len(b.agg.calls) != 1:
		return wanted{}, false
	}
	call := b.agg.calls[0]
	if call.name != "min" && call.name != "max" || call.filter != nil || call.args[0].konst {
		return wanted{}, false
	}
	desc := call.name == "max"
	key := sortKey{x: call.args[0], coll: call.coll, desc: desc, nullsLast: desc}
	return wanted{keys: []sortKey{key}, met: new(bool), few: true}, true
}

func keysOf(xs []*expr) []sortKey {
	keys := make([]sortKey, len(xs))
	for i, x := range xs {
		keys[i] = sortKey{x: x, coll: x.coll}
	}
	return keys
}

// groupsOrdered reports whether ORDER BY asks for no more than the order in
// which groups come; the keys of the groups take its directions.
func (b *block) groupsOrdered() bool {
	if len(b.keys) == 0 || len(b.keys) > len(b.groupKeys) || b.s.Distinct == ast.DistinctDistinct {
		return false
	}
	for i := range b.keys {
		k, g := &b.keys[i], &b.groupKeys[i]
		if k.x.slot < 0 || k.x.slot != g.x.slot || k.coll != g.coll || k.desc != k.nullsLast {
			return false
		}
	}
	for i := range b.groupKeys {
		k := &b.keys[min(i, len(b.keys)-1)]
		b.groupKeys[i].desc, b.groupKeys[i].nullsLast = k.desc, k.nullsLast
	}
	return true
}
