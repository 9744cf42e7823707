package exec

import "slices"

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
