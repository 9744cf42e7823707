package exec

import (
	"bytes"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// outcome is what became of the rows in the way of another one.
type outcome int

const (
	free    outcome = iota // there are none, or none any more
	freed                  // the same, and programs ran that may have changed the table
	settled                // nothing is left to do for the row
)

// resolver decides about the row with the key other, which another one stands in
// the way of by an index, or by its key if ix is nil.
type resolver func(f *frame, ix *schema.Index, other []byte) (outcome, error)

// unique looks for rows that the one in the registers may not stand beside, and
// has resolve decide about them. own is the key of the row that it replaces, nil
// for none. What deleting rows sets off may put others in the way: all is looked
// at again then, and what is found is an error.
func (tg *target) unique(f *frame, key, own []byte, resolve resolver) (outcome, error) {
	o, err := tg.meet(f, tg.order, key, own, resolve)
	if err != nil || o != freed {
		return o, err
	}
	_, err = tg.meet(f, tg.again, key, own, func(_ *frame, ix *schema.Index, _ []byte) (outcome, error) {
		return settled, tg.uniqueError(ix)
	})
	return freed, err
}

// meet has resolve decide about the rows in the way, by one index after the other;
// nil stands for the key.
func (tg *target) meet(f *frame, order []*targetIndex, key, own []byte, resolve resolver) (all outcome, err error) {
	for _, ti := range order {
		if ti == nil && bytes.Equal(key, own) {
			continue
		}
		other, err := tg.inTheWay(f, ti, key)
		if err != nil {
			return free, err
		}
		if other == nil || bytes.Equal(other, own) {
			continue
		}
		var ix *schema.Index
		if ti != nil {
			ix = ti.ix
		}
		o, err := resolve(f, ix, other)
		if err != nil || o == settled {
			return o, err
		}
		all = max(all, o)
	}
	return all, nil
}

// inTheWay returns the key of the row that has the place of the one in the
// registers in an index, or among the keys if ti is nil; nil if none has.
func (tg *target) inTheWay(f *frame, ti *targetIndex, key []byte) ([]byte, error) {
	if ti == nil {
		rows, err := f.collection(tg.rows)
		if err != nil {
			return nil, err
		}
		if found, err := exists(rows, key); !found || err != nil {
			return nil, err
		}
		return key, nil
	}
	entry, prefix, hasNull, err := tg.entry(f, ti, nil)
	if err != nil || entry == nil || hasNull {
		return nil, err
	}
	return tg.holder(f, ti, entry[:prefix])
}

// holder returns the key of the row that an index holds under these values.
func (tg *target) holder(f *frame, ti *targetIndex, prefix []byte) ([]byte, error) {
	c, err := f.collection(ti.coll)
	if err != nil {
		return nil, err
	}
	cur := c.Cursor(prefix, prefixEnd(prefix))
	defer cur.Close() //nolint:errcheck // releases memory alone
	if !cur.Next() {
		return nil, cur.Err()
	}
	return bytes.Clone(rowKeyOfEntry(tg.t, cur.UnsafeKey(), cur.UnsafeValue())), nil
}

// conflicts applies the conflict action of the statement or the constraint.
func (tg *target) conflicts(f *frame, ix *schema.Index, other []byte) (outcome, error) {
	own := tg.t.PKConflict
	if ix != nil {
		own = ix.OnConflict
	}
	switch action := tg.action(own); action {
	case ast.ConflictIgnore:
		return settled, nil
	case ast.ConflictReplace:
		return tg.removeKey(f, other)
	default:
		return free, conflictError(action, tg.uniqueError(ix))
	}
}

func (tg *target) uniqueError(ix *schema.Index) error {
	t := tg.t
	code := sqlerr.ConstraintUnique
	var cols []int
	switch {
	case ix != nil && slices.ContainsFunc(ix.Columns, func(c schema.IndexColumn) bool { return c.Expr != nil }):
		return sqlerr.New(code, "UNIQUE constraint failed: index '%s'", ix.Name)
	case ix != nil:
		if ix.Origin == schema.OriginPrimaryKey {
			code = sqlerr.ConstraintPrimaryKey
		}
		for _, c := range ix.Columns {
			cols = append(cols, c.Column)
		}
	case t.PrimaryKey != nil:
		code, cols = sqlerr.ConstraintPrimaryKey, t.PrimaryKey
	case t.RowID >= 0:
		code, cols = sqlerr.ConstraintPrimaryKey, []int{t.RowID}
	default:
		return sqlerr.New(sqlerr.ConstraintRowID, "UNIQUE constraint failed: %s.rowid", t.Name)
	}
	var names []string
	for _, c := range cols {
		names = append(names, t.Name+"."+t.Columns[c].Name)
	}
	return sqlerr.New(code, "UNIQUE constraint failed: %s", strings.Join(names, ", "))
}
