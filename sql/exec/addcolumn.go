package exec

import (
	"errors"

	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// testAdded tests the rows of a table, to which a column was added, against
// the constraints that came with it.
func (f *frame) testAdded(t *schema.Table) error {
	return f.inner(func(c *compiler) (func(*frame) error, error) {
		tg, err := c.target(&scope{}, nameOf(t), nil)
		if err != nil {
			return nil, err
		}
		q := &query{node: c.scanAll(tg.src)}
		return func(f *frame) error { return q.each(f, func() error { return tg.testLast(f) }) }, nil
	})
}

// testLast tests the last column of the row in the registers.
func (tg *target) testLast(f *frame) error {
	last := len(tg.t.Columns) - 1
	col, v := &tg.t.Columns[last], f.regs[tg.src.slots[last]]
	if col.NotNull && v.IsNull() {
		return errorf("NOT NULL constraint failed")
	}
	if tg.t.Strict && !fitsStrict(&v, col.DeclType) {
		return errorf("type mismatch on DEFAULT")
	}
	err := tg.check(f)
	if e, ok := errors.AsType[*sqlerr.Error](err); ok && e.ExtendedCode == sqlerr.ConstraintCheck {
		return errorf("CHECK constraint failed")
	}
	return err
}
