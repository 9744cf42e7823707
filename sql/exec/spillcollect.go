package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/value"
)

// What aggregates with DISTINCT or ORDER BY collect of a group, and what they do
// when that does not fit into memory. Groups that are made side by side collect
// in memory, and when they are too many the rows that come later are put aside
// (spillgroup.go). From then on, and where groups are made one at a time, what
// the group at hand has collected goes to files.

// seenSize is the size in bytes of an entry of collection.seen beside its key: a
// map that grows is up to half empty, and there twice.
const seenSize = 80

// collection is what one call has collected of one group.
type collection struct {
	seen map[string]struct{} // of DISTINCT
	full bool                // seen takes no more
	rest *rowSorter          // then: rows that are not in seen, by key, with numbers
	n    int64               // of the next row of rest

	rows   [][]value.Value // of ORDER BY: arguments, what they are ordered by
	sorter *rowSorter      // which has them when they do not fit
	mem    int64           // of seen and rows
}

// collection returns that of call i, which may be new.
func (it *aggregateIter) collection(g *group, i int) *collection {
	if g.collected == nil {
		g.collected = make([]*collection, len(it.n.calls))
	}
	if g.collected[i] == nil {
		g.collected[i] = &collection{}
	}
	return g.collected[i]
}

// alone reports whether groups are made one at a time.
func (it *aggregateIter) alone() bool {
	return it.n.sorted || len(it.n.by) == 0 || it.aside.full
}

// collect accounts for n bytes more of a collection. They count twice: what
// DISTINCT has seen stays in memory, and sorters need as much beside it.
func (it *aggregateIter) collect(g *group, c *collection, n int64) {
	c.mem += n
	g.mem += n
	it.collected += n
	if it.alone() {
		if it.f.keep(n, 2*g.mem) {
			it.spill = g
		}
		return
	}
	it.aside.full = it.f.keep(n, it.mem+2*it.collected)
}

// feed gives a call its arguments, or collects them. row is what the call is
// ordered by behind the arguments; it is evaluated when it is needed.
func (it *aggregateIter) feed(g *group, i int, args []value.Value, row func() ([]value.Value, error)) (took bool, err error) {
	call := it.n.calls[i]
	if !call.collects() {
		return g.accs[i].step(args)
	}
	c := it.collection(g, i)
	if call.unique() {
		it.f.key = appendKey(it.f.key[:0], args[0], call.coll)
		if _, ok := c.seen[string(it.f.key)]; ok {
			return false, nil
		}
		if c.full {
			return false, it.putRest(g, c, row)
		}
		if c.seen == nil {
			c.seen = map[string]struct{}{}
		}
		c.seen[string(it.f.key)] = struct{}{}
		it.collect(g, c, int64(len(it.f.key)+seenSize))
	}
	if len(call.order) == 0 {
		return g.accs[i].step(args)
	}
	vals, err := row()
	if err != nil {
		return false, err
	}
	vals = ownSpilled(vals)
	if c.sorter != nil {
		if c.sorter.put(vals) {
			it.spill = g
		}
		return false, nil
	}
	c.rows = append(c.rows, vals)
	it.collect(g, c, rowSize(vals))
	return false, nil
}

// putRest keeps a row whose key, in the frame's scratch, is not in seen.
func (it *aggregateIter) putRest(g *group, c *collection, row func() ([]value.Value, error)) error {
	key := value.NewBlob(string(it.f.key)) // before an expression uses the scratch
	vals, err := row()
	if err != nil {
		return err
	}
	if c.rest == nil {
		c.rest = newRowSorter(it.f, byKey)
	}
	kept := append(make([]value.Value, 0, keyedRow+len(vals)), key, value.NewInt(c.n))
	c.n++
	if c.rest.put(append(kept, ownSpilled(vals)...)) {
		it.spill = g
	}
	return nil
}

// ownSpilled is ownRow for values that may be JSON of a function.
func ownSpilled(vals []value.Value) []value.Value {
	out := make([]value.Value, len(vals))
	for i, v := range vals {
		switch { // it aliases nothing, and stays JSON
		case v.IsJSON():
			out[i] = value.NewJSON(strings.Clone(v.Str()))
		case v.IsJSONB():
			out[i] = value.NewJSONB(strings.Clone(v.Str()))
		default:
			out[i] = record.Own(v)
		}
	}
	return out
}

// spillCollected writes what is to be spilled to files and reports whether there
// was something. It is not called within an operation of the transaction.
func (it *aggregateIter) spillCollected() (bool, error) {
	g := it.spill
	if g == nil {
		return false, nil
	}
	it.spill = nil
	for i, c := range g.collected {
		if c == nil {
			continue
		}
		if err := it.spillOne(g, it.n.calls[i], c); err != nil {
			return true, err
		}
	}
	return true, nil
}

func (it *aggregateIter) spillOne(g *group, call *aggCall, c *collection) error {
	if c.seen != nil {
		c.full = true
	}
	if c.rest != nil {
		if err := c.rest.spill(); err != nil {
			return err
		}
	}
	if len(call.order) == 0 {
		return nil
	}
	if c.sorter == nil {
		c.sorter = newRowSorter(it.f, call.rowOrder())
	}
	n := int64(0)
	for _, row := range c.rows {
		n += rowSize(row)
		c.sorter.put(row)
	}
	c.rows = nil
	it.forget(g, c, n)
	return c.sorter.spill()
}

// forget gives back n bytes of a collection.
func (it *aggregateIter) forget(g *group, c *collection, n int64) {
	c.mem -= n
	g.mem -= n
	it.collected -= n
	it.f.shrink(n)
}

// rowOrder is the order of the rows of a call with ORDER BY.
func (call *aggCall) rowOrder() sortOrder { return orderFrom(len(call.args), call.order) }

// finish gives a call what was collected for it.
func (it *aggregateIter) finish(call *aggCall, c *collection, acc accumulator) error {
	if c.rest != nil {
		if err := it.finishRest(call, c, acc); err != nil {
			return err
		}
	}
	if c.sorter == nil {
		sorted := sortList{sortOrder: call.rowOrder()}
		for _, row := range c.rows {
			sorted.add(row)
		}
		sorted.sort()
		for i := range c.rows {
			if err := it.stepLate(acc, sorted.get(i)[:len(call.args)]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := c.sorter.sort(); err != nil {
		return err
	}
	for {
		row, err := c.sorter.next()
		if err != nil || row == nil {
			return err
		}
		if err := it.stepLate(acc, row[:len(call.args)]); err != nil {
			return err
		}
	}
}

// finishRest has each key of rest but once, in the order in which they came.
func (it *aggregateIter) finishRest(call *aggCall, c *collection, acc accumulator) error {
	fresh := newRowSorter(it.f, byNumber)
	defer fresh.close()
	if err := firstOfEach(c.rest, fresh); err != nil {
		return err
	}
	c.rest.close()
	for {
		row, err := fresh.next()
		if err != nil || row == nil {
			return err
		}
		row = row[keyedRow:]
		if len(call.order) == 0 {
			err = it.stepLate(acc, row)
		} else {
			err = c.sorter.add(slices.Clone(row)) // which a full seen always has
		}
		if err != nil {
			return err
		}
	}
}

func (it *aggregateIter) stepLate(acc accumulator, args []value.Value) error {
	if _, err := acc.step(args); err != nil {
		return err
	}
	return it.f.tick()
}

// drop forgets what a group has collected.
func (it *aggregateIter) drop(g *group) {
	if g == nil {
		return
	}
	for _, c := range g.collected {
		if c == nil {
			continue
		}
		clear(c.seen)
		clear(c.rows)
		c.rest.close()
		c.sorter.close()
		it.forget(g, c, c.mem)
	}
	g.collected = nil
}
