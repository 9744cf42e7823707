package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

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
	for _, ti := range slices.Backward(tg.indexes) {
		switch {
		case !ti.ix.Unique:
		case ti.ix.OnConflict == ast.ConflictReplace:
			replacing = append(replacing, ti)
		default:
			add(ti)
		}
	}
	if !hasRowID && tg.t.PKConflict != ast.ConflictReplace {
		add(nil) // its index is the oldest
	}
	for _, ti := range replacing {
		add(ti)
	}
	add(nil)
	return order
}
