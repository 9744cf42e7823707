package exec

import (
	"io"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// Rows is the result of a statement.
type Rows struct {
	s       *Session
	f       *frame
	plan    *plan
	st      *Stmt
	it      iter
	tx      *engine.Tx // the statement's own snapshot, nil inside a transaction
	gen     uint64
	changes int64
	closed  bool
	pointed bool // the one row of a point was read

	wiped bool       // memory was
	ended *engine.Tx // then: the transaction of the result, nil if it had ended before
}

// Columns describes the result. It is not to be changed.
func (r *Rows) Columns() []ColumnInfo { return r.plan.columns() }

// Next puts the next row into dst, which has one value per column; io.EOF
// after the last. The values are copies.
func (r *Rows) Next(dst []value.Value) error {
	r.s.mu.Lock()
	err := r.next(dst)
	r.s.mu.Unlock()
	return err
}

// next is Next with r.s.mu held.
func (r *Rows) next(dst []value.Value) error {
	if r.wiped && !r.closed {
		if err := r.check(r.ended); err != nil {
			return err
		}
		return engine.ErrTxClosed
	}
	ok, err := r.step()
	if err != nil {
		return err
	}
	if !ok {
		return io.EOF
	}
	out := r.plan.query.out
	if len(dst) != len(out) {
		return sqlerr.New(sqlerr.Misuse, "a row of %d columns was asked for, the result has %d", len(dst), len(out))
	}
	for i := range dst {
		dst[i] = r.f.regs[out[i]]
	}
	// Rows were read from memory that a pause wipes: they count only if there was
	// none until now.
	if err := r.check(r.f.tx); err != nil {
		clear(dst)
		return err
	}
	return nil
}

// check looks at the key: by the result's transaction, or without one, since
// rows of RETURNING outlive theirs.
func (r *Rows) check(tx *engine.Tx) error {
	if tx == nil {
		return r.s.d.db.Check()
	}
	return tx.Check()
}

func (r *Rows) step() (bool, error) {
	if r.it == nil || r.closed {
		return false, nil
	}
	if r.f.tx != nil && r.tx == nil && r.f.s.gen != r.gen {
		return false, sqlerr.New(sqlerr.Generic, "query aborted: its transaction was rolled back")
	}
	if p := r.plan.point; p != nil {
		if r.pointed {
			return false, nil
		}
		r.pointed = true
		return p.row(r.f)
	}
	return r.it.next()
}

// Close ends the query and drops its rows.
func (r *Rows) Close() error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.end()
}

// end is Close with r.s.mu held.
func (r *Rows) end() error {
	if r.closed {
		return nil
	}
	tx := r.tx
	r.finish()
	if tx != nil {
		return tx.Rollback()
	}
	return nil
}

func (r *Rows) finish() {
	r.closed = true
	r.unlink()
	if r.it != nil {
		r.it.close()
		r.it = nil
	}
	if r.f.returned != nil {
		r.f.returned.close(r.f)
	}
	r.f.closeSpills()
	r.f.clear()
	if r.st != nil && r.st.plan == r.plan {
		r.st.idle = r.f
	}
}
