package exec

import (
	"errors"

	"github.com/byokdb/byokdb/sql/ast"
)

// updateFrom adds the FROM clause of an UPDATE to sc, which has the table to be
// changed. The clause is joined by itself: its conditions do not see that table,
// and no outer join in it misses that table's rows.
func (c *compiler) updateFrom(sc *scope, refs []*ast.TableRef) error {
	if len(refs) > 1 {
		refs = []*ast.TableRef{{List: refs}}
	}
	return c.from(sc, refs)
}

// runFrom is run of an UPDATE … FROM. A row that several rows of FROM match takes
// the values of the last of them, and the rows are changed in the order of their
// keys.
func (u *updater) runFrom(f *frame) error {
	matches := newRowSorter(f, byKey)
	defer matches.close()
	slots := append(u.keySlots(), u.set.vals...)
	q, n := &query{node: u.node}, int64(0)
	err := q.each(f, func() error {
		if err := u.set.compute(f); err != nil {
			return err
		}
		n-- // the last match sorts first
		return matches.add(keyed(f, u.key(f), n, slots))
	})
	if err != nil {
		return err
	}
	if err := matches.sort(); err != nil {
		return err
	}
	last := ""
	for {
		row, err := matches.next()
		if err != nil || row == nil {
			return err
		}
		if row[keyedKey].Str() == last {
			continue
		}
		last = row[keyedKey].Str()
		loadKeyed(f, row, slots)
		if err := u.updateRow(f); err != nil && !errors.Is(err, errSkip) {
			return err
		}
	}
}
