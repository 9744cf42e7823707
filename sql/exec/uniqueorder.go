package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

// orderUnique says in which order a row is tested against the unique indexes.
func (tg *target) orderUnique(upserts []*upsert) {
	tg.order = tg.uniqueOrder(upserts)
	tg.again = tg.order
	if tg.t.PrimaryKey == nil {
		tg.again = append([]*targetIndex{nil}, tg.order...)
	}
}

// orderChanged is orderUnique for the indexes that assignments may change, which it
// finds.
func (tg *target) orderChanged(set *assignments) {
	tg.orderUnique(nil)
	changed := map[int]bool{}
	for i, is := range set.changedColumns(tg) {
		changed[tg.src.slots[i]] = is
	}
	for _, col := range set.cols {
		if col < 0 {
			changed[tg.src.rowID] = true
		}
	}
	same := func(ti *targetIndex) bool {
		return !slices.ContainsFunc(tg.readsOf(ti), func(slot int) bool { return changed[slot] })
	}
	if same(nil) || !tg.t.WithoutRowID && tg.t.PrimaryKey != nil { // with another key SQLite takes all for changed
		tg.order = slices.DeleteFunc(slices.Clone(tg.order), same)
	}
	tg.changed = slices.DeleteFunc(slices.Clone(tg.indexes), same)
}

// readsOf returns the registers that decide about the record of an index, or about the
// key if ti is nil.
func (tg *target) readsOf(ti *targetIndex) []int {
	if ti == nil {
		return tg.keySlots()
	}
	return ti.reads
}

// uniqueOrder returns the unique indexes in the order in which a row is tested
// against them; nil stands for the table's key. It decides which of several rows
// in the way an ON CONFLICT clause or REPLACE meets first, and so is SQLite's:
// the targets of ON CONFLICT clauses, the row id, the indexes from the newest to
// the oldest, at last those whose own constraint says REPLACE.
func (tg *target) uniqueOrder(upserts []*upsert) []*targetIndex {
	var order, replacing []*targetIndex
	add := func(ti *targetIndex) {
		if !slices.Contains(order, ti) {
			order = append(order, ti)
		}
	}
	for _, up := range upserts {
		if up.table {
			add(nil)
		}
		for _, ti := range tg.indexes {
			if !up.any && ti.ix == up.index {
				add(ti)
			}
		}
	}
	keyReplaces := tg.t.PKConflict == ast.ConflictReplace && tg.conflict == ast.ConflictDefault
	hasRowID := tg.t.PrimaryKey == nil
	if hasRowID && !keyReplaces {
		add(nil)
	}
	for _, ti := range slices.Backward(tg.created()) {
		switch {
		case ti != nil && !ti.ix.Unique:
		case tg.ownAction(ti) == ast.ConflictReplace:
			replacing = append(replacing, ti)
		default:
			add(ti)
		}
	}
	for _, ti := range replacing {
		add(ti)
	}
	add(nil)
	return order
}

// created returns the indexes in the order in which SQLite makes them; nil stands for
// that of a primary key by which the rows are ordered.
func (tg *target) created() []*targetIndex {
	var out []*targetIndex
	for _, ix := range tg.t.Created() {
		var ti *targetIndex
		if ix != nil {
			ti = tg.indexes[slices.Index(tg.t.Indexes, ix)]
		}
		out = append(out, ti)
	}
	return out
}
