package work

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// inserts commits one row at a time.
func (t *sqlTurn) inserts() error {
	stmt, err := t.db.Prepare(insertOrder)
	if err != nil {
		return err
	}
	err = t.sliced(SQLInsert, 1, func() error {
		i := t.nOrders + 1
		o := t.order(i)
		if err := changesOne(stmt.Exec(i, o.customer, o.amount, o.status, note(i))); err != nil {
			return err
		}
		t.nOrders = i
		return nil
	})
	return errors.Join(err, stmt.Close())
}

// sliced does a write again and again, in slices, and adds the median of its
// latencies by the number of statements in it.
func (t *sqlTurn) sliced(work string, statements int, do func() error) error {
	const slice = 8
	var l latencies
	for range slice {
		if err := t.pass(); err != nil {
			return err
		}
		for end, n := time.Now().Add(t.Time/slice), 0; time.Now().Before(end) || n == 0; n++ {
			at := time.Now()
			if err := do(); err != nil {
				return fmt.Errorf("%s: %w", work, err)
			}
			l = append(l, perRow(time.Since(at), statements))
		}
	}
	t.addLatencies(work, l.quantile(0.5), l)
	return t.count()
}

// count compares the number of orders with what was inserted.
func (t *sqlTurn) count() error {
	var n int
	if err := t.db.QueryRow("SELECT count(*) FROM orders").Scan(&n); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	if n != t.nOrders {
		return fmt.Errorf("insert: %d rows of %d", n, t.nOrders)
	}
	return nil
}

// The statements of a transaction of mixed.
const (
	mixedLookups = 16
	mixedLists   = 2
	mixedWrites  = 2 // an update and an insert
)

// mixed commits transactions that read and write. Its figure is the time for a
// statement, the commit's share in it.
func (t *sqlTurn) mixed() error {
	var m mixedStmts
	if err := m.prepare(t.db); err != nil {
		return errors.Join(fmt.Errorf("mixed: %w", err), m.close())
	}
	rng := newRand(21)
	err := t.sliced(SQLMixed, mixedLookups+mixedLists+mixedWrites, func() error {
		tx, err := t.db.Begin()
		if err != nil {
			return err
		}
		if err := t.transaction(tx, &m, rng); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		t.nOrders++
		return nil
	})
	return errors.Join(err, m.close())
}

type mixedStmts struct{ lookup, list, update, insert *stdsql.Stmt }

func (m *mixedStmts) prepare(db *stdsql.DB) error {
	for _, s := range []struct {
		stmt **stdsql.Stmt
		text string
	}{
		{&m.lookup, selectOrder + "?"},
		{&m.list, selectOrders},
		{&m.update, "UPDATE orders SET note = ? WHERE id = ?"},
		{&m.insert, insertOrder},
	} {
		var err error
		if *s.stmt, err = db.Prepare(s.text); err != nil {
			return err
		}
	}
	return nil
}

func (m *mixedStmts) close() error {
	var err error
	for _, s := range []*stdsql.Stmt{m.lookup, m.list, m.update, m.insert} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

// transaction runs the statements of one of mixed.
func (t *sqlTurn) transaction(tx *stdsql.Tx, m *mixedStmts, rng *rand.Rand) error {
	lookup, list := tx.Stmt(m.lookup), tx.Stmt(m.list)
	for range mixedLookups {
		i := 1 + rng.IntN(t.Rows)
		if err := t.check(i, lookup.QueryRow(i)); err != nil {
			return err
		}
	}
	for range mixedLists {
		if err := t.list(1+rng.IntN(t.Rows), list); err != nil {
			return err
		}
	}
	i := 1 + rng.IntN(t.Rows)
	if err := changesOne(tx.Stmt(m.update).Exec(note(i+1), i)); err != nil {
		return err
	}
	i = t.nOrders + 1
	o := t.order(i)
	return changesOne(tx.Stmt(m.insert).Exec(i, o.customer, o.amount, o.status, note(i)))
}

func changesOne(r stdsql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%d rows were changed, not one", n), err)
	}
	return nil
}
