package exec

import (
	"math"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// chooseRowID takes the row id that the statement gives or the next free one.
func (ins *inserter) chooseRowID(f *frame) error {
	slot := ins.src.rowID
	if err := ins.givenRowID(f); err != nil {
		return err
	}
	if !f.regs[slot].IsNull() {
		f.forgetRowID(ins.t.Root)
		return nil
	}
	next, ok := f.nextID(ins.t.Root)
	if !ok {
		var last bool
		var err error
		if next, last, err = ins.nextRowID(f); err != nil {
			return err
		}
		if last {
			f.setNextID(ins.t.Root, next)
		}
	}
	f.regs[slot] = value.NewInt(next)
	return nil
}

// givenRowID puts the row id that the statement gives into its register, or NULL.
func (ins *inserter) givenRowID(f *frame) error {
	slot := ins.src.rowID
	if ins.t.RowID < 0 {
		f.regs[slot] = value.Value{}
		if ins.rowID >= 0 {
			f.regs[slot] = f.regs[ins.query.out[ins.rowID]]
		}
	}
	v := f.regs[slot]
	if v.IsNull() {
		return nil
	}
	if v = applyAffinity(v, value.AffinityInteger); v.Kind() != value.Int {
		return mismatch()
	}
	f.regs[slot] = v
	return nil
}

// nextRowID is one more than the greatest in the table, or than the greatest
// there ever was for AUTOINCREMENT.
//
// last says that no row comes after it: else it is a gap, and what follows it
// may be taken.
func (ins *inserter) nextRowID(f *frame) (next int64, last bool, err error) {
	rows, err := f.collection(ins.rows)
	if err != nil {
		return 0, false, err
	}
	greatest := int64(0)
	cur := rows.Cursor(nil, nil)
	if cur.Prev() {
		greatest, err = rowIDOf(cur.UnsafeKey())
	} else {
		err = cur.Err()
	}
	_ = cur.Close() // releases memory alone
	if err != nil {
		return 0, false, err
	}
	if ins.t.AutoIncrement {
		seq, err := f.sequence(ins.t)
		if err != nil {
			return 0, false, err
		}
		greatest = max(greatest, seq.greatest)
	}
	if greatest == math.MaxInt64 {
		if ins.t.AutoIncrement {
			return 0, false, sqlerr.New(sqlerr.Full, "database or disk is full")
		}
		next, err = ins.freeRowID(rows)
		return next, false, err
	}
	return greatest + 1, true, nil
}

// freeRowID finds a gap from below when the greatest row id is taken.
func (ins *inserter) freeRowID(rows *engine.Collection) (int64, error) {
	cur := rows.Cursor(appendRowID(nil, 1), nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	want := int64(1)
	for cur.Next() {
		id, err := rowIDOf(cur.UnsafeKey())
		if err != nil {
			return 0, err
		}
		if id != want {
			return want, nil
		}
		want++
	}
	if err := cur.Err(); err != nil {
		return 0, err
	}
	return 0, sqlerr.New(sqlerr.Full, "database or disk is full")
}
