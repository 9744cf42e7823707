package exec

import (
	"math"
	"slices"
)

// Rows that a table is taken to have, and that are taken to remain after an
// equality, where ANALYZE has not counted them; and the parts of them that
// remain after a range.
const (
	rowsTable    = 10000
	rowsEquality = 10
	rangePart    = 1.0 / 4
	prefixPart   = 1.0 / 16
	setRows      = 25 // values of a subquery on the right of IN
)

// Costs, in rows of a full scan.
const (
	costSeek  = 3   // to find the place of a key
	costFetch = 3   // of the row that an index entry names
	costEntry = 0.8 // of an index entry that stands for its row
)

// tableRows returns how many rows a source has.
func (s *source) tableRows() float64 {
	if s.table == nil {
		if s.rows > 0 {
			return s.rows
		}
		return rowsTable
	}
	if st := s.table.Stats; st != nil {
		return max(1, float64(st.Rows))
	}
	return rowsTable
}

// equalRows returns how many rows remain after equalities with the first n
// columns of the way.
func (w *way) equalRows(s *source, n int) float64 {
	rows := s.tableRows()
	if n == 0 {
		return rows
	}
	if w.index == nil || w.index.Unique {
		if n == len(w.key) {
			return 1
		}
	}
	if w.index != nil && n <= len(w.index.Stats) {
		return max(1, float64(w.index.Stats[n-1]))
	}
	return max(1, min(rows, rowsEquality/float64(n)))
}

// estimate sets rows and cost.
func (a *access) estimate(s *source) {
	n := a.depth()
	rows, seeks := a.equalRows(s, n), 1.0
	if slices.ContainsFunc(a.eq, func(p probe) bool { return p.null || p.same }) { // NULL is not unique
		rows = max(rows, min(s.tableRows(), rowsEquality/float64(n)))
	}
	if a.isIn {
		seeks = float64(len(a.in))
		if a.inSet != nil || a.inRows != nil {
			seeks = setRows
		}
		rows = min(rows*max(seeks, 1), s.tableRows())
	}
	if a.lo != nil {
		rows *= rangePart
	}
	if a.hi != nil {
		rows *= rangePart
	}
	if a.prefix != nil {
		rows *= prefixPart
	}
	if a.unique {
		rows = 1
	}
	a.rows = max(rows, 1)
	if len(a.where) > 0 {
		a.rows = max(1, a.rows/2) // a partial index has fewer
	}
	a.cost = seeks*costSeek + a.rows*a.rowCost()
}

// rowCost is the cost of one row that the way gives.
func (w *way) rowCost() float64 {
	switch {
	case w.index == nil:
		return 1
	case w.cover != nil:
		return costEntry
	}
	return 1 + costFetch
}

// whole is the access to all rows by a way.
func (w *way) whole(s *source) *access {
	rows := s.tableRows()
	if len(w.where) > 0 {
		rows /= 2
	}
	cost := rows * w.rowCost()
	if w.cover != nil && len(w.key)+1 >= len(s.table.Columns) { // no narrower than the table
		cost = rows * 1.1
	}
	return &access{way: w, rows: rows, cost: costSeek + cost}
}

// sortCost is the cost of sorting, or grouping, rows.
func sortCost(rows float64) float64 { return rows * (1 + math.Log2(rows+1)/8) }

// best returns the cheapest way to the rows of s with the conditions of pool,
// whose other sides read bound sources alone. It is nil for anything but a
// table.
func (c *compiler) best(s *source, pool []*expr, bound uint64) *access {
	if s.table == nil {
		return nil
	}
	best := c.single(s, pool, bound)
	if best != nil && best.unique {
		return best
	}
	if u := c.union(s, pool, bound); u != nil && (best == nil || u.cost < best.cost) {
		return u
	}
	return best
}

// single is best by one way.
func (c *compiler) single(s *source, pool []*expr, bound uint64) *access {
	var best *access
	for _, w := range c.ways(s) {
		if s.indexed != nil && !s.indexed.allows(w) || !w.holds(pool) {
			continue
		}
		a := w.match(s, pool, bound)
		if a == nil {
			if w.index != nil && w.cover == nil && len(w.where) == 0 && s.indexed == nil {
				continue
			}
			a = w.whole(s)
		}
		if a.unique && a.index == nil {
			return a
		}
		if best == nil || a.cost < best.cost {
			best = a
		}
	}
	return best
}
