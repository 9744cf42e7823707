package exec

import (
	"io"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// idleScratchMax is how many bytes of scratch, for keys and for arguments, a
// frame may keep that waits with its plan: there are many plans.
const idleScratchMax = 4 << 10

// Rows is the result of a statement.
type Rows struct {
	s       *Session
	f       *frame
	plan    *plan
	cols    []ColumnInfo // of the plan
	st      *Stmt
	it      iter
	tx      *engine.Tx // the statement's own snapshot, nil inside a transaction
	gen     uint64
	changes int64
	closed  bool
	pointed bool // the one row of a point was read
	named   bool // nameRoom is in use

	wiped bool       // memory was
	ended *engine.Tx // then: the transaction of the result, nil if it had ended before

	nameRoom [namesRoom]string
}

// namesRoom is up to how many names of columns need no memory of their own.
const namesRoom = 3

// Columns describes the result. It is not to be changed.
func (r *Rows) Columns() []ColumnInfo { return r.cols }

// Names returns the names of the columns, in a slice that is the caller's.
func (r *Rows) Names() []string {
	n := len(r.cols)
	var out []string
	if n <= namesRoom && !r.named {
		r.named = true
		out = r.nameRoom[:n:n]
	} else {
		out = make([]string, n)
	}
	for i := range r.cols {
		out[i] = r.cols[i].Name
	}
	return out
}

// Next puts the next row into dst, which has one value per column; io.EOF
// after the last. The values are copies.
func (r *Rows) Next(dst []value.Value) error {
	if n := len(r.cols); len(dst) != n && n > 0 {
		return sqlerr.New(sqlerr.Misuse, "a row of %d columns was asked for, the result has %d", len(dst), n)
	}
	err := r.Visit(func(i int, v value.Value) { dst[i] = v })
	if err != nil {
		clear(dst)
	}
	return err
}

// Visit calls fn with each value of the next row; io.EOF after the last. What
// fn was given is copies, and counts only if Visit returns nil.
func (r *Rows) Visit(fn func(i int, v value.Value)) error {
	r.s.mu.Lock()
	err := r.visit(fn)
	r.s.mu.Unlock()
	return err
}

// visit is Visit with r.s.mu held.
func (r *Rows) visit(fn func(i int, v value.Value)) error {
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
	for i, reg := range r.plan.query.out {
		fn(i, r.f.regs[reg])
	}
	// Rows were read from memory that a pause wipes: they count only if there was
	// none until now.
	return r.check(r.f.tx)
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
		return r.s.endOwn(tx)
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
	r.f.dropKept()
	if r.f.spills != nil {
		r.f.closeSpills()
	}
	r.f.clear()
	switch {
	case r.st == nil:
	case !r.st.kept:
		if cap(r.f.key) <= idleScratchMax && cap(r.f.stack) <= idleScratchMax/valueSize {
			r.plan.idle.Store(r.f)
		}
	case r.st.plan == r.plan:
		r.st.idle = r.f
	}
}
