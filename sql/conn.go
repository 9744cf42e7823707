package sql

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/exec"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// conn is one connection: a session of the executor.
type conn struct {
	s   *exec.Session
	eng *engine.DB
}

var (
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ExecerContext      = (*conn)(nil)
	_ driver.QueryerContext     = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
)

func newConn(db *exec.Database, eng *engine.DB, set exec.Settings) *conn {
	c := &conn{s: db.NewSession(), eng: eng}
	c.s.Configure(set)
	return c
}

// Close ends the session; an open transaction is rolled back.
func (c *conn) Close() error { return c.s.Close() }

// ResetSession undoes what a user of the connection left open.
func (c *conn) ResetSession(context.Context) error {
	c.s.Reset()
	return nil
}

// IsValid reports whether the connection may go back to its pool. One with a
// transaction that a text began, and did not end, may not: it would keep the
// writer from all others while it lies there.
func (c *conn) IsValid() bool { return !c.s.InTx() }

// Ping returns whether the database serves at present: nil, a *engine.KeyError,
// engine.ErrClosed.
func (c *conn) Ping(ctx context.Context) error {
	tx, err := c.eng.BeginContext(ctx, false)
	if err != nil {
		return numbered(err)
	}
	return numbered(tx.Rollback())
}

// CheckNamedValue converts an argument to a value that the executor knows.
func (c *conn) CheckNamedValue(nv *driver.NamedValue) error {
	switch nv.Value.(type) {
	case int64, int, string, nil:
		return nil // value.FromGo knows int
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(nv.Value)
	if err != nil {
		return err
	}
	nv.Value = v
	return nil
}

// Begin is BeginTx with the defaults.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx starts a transaction: read-only on a snapshot, or the one writer.
// Every transaction is serializable.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	switch level := stdsql.IsolationLevel(o.Isolation); level {
	case stdsql.LevelDefault, stdsql.LevelSerializable, stdsql.LevelSnapshot:
	default:
		return nil, sqlerr.New(sqlerr.Misuse, "isolation level %v is not offered; every transaction is serializable", level)
	}
	if err := c.s.Begin(ctx, o.ReadOnly); err != nil {
		return nil, numbered(err)
	}
	return transaction{c.s}, nil
}

type transaction struct{ s *exec.Session }

// Commit commits. Foreign keys that are violated roll the transaction back:
// database/sql takes it for ended.
func (t transaction) Commit() error {
	err := t.s.Commit(context.Background())
	if err != nil && t.s.InTx() {
		err = errors.Join(err, t.s.Rollback())
	}
	return numbered(err)
}

func (t transaction) Rollback() error { return numbered(t.s.Rollback()) }

// Prepare is PrepareContext without a context.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext compiles one statement; further ones in the text are an error.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	st, tail, err := c.s.Prepare(ctx, query)
	if err != nil {
		return nil, numbered(err)
	}
	if st == nil {
		return nil, sqlerr.New(sqlerr.Misuse, "there is no statement in the text")
	}
	if !exec.Blank(tail) {
		return nil, sqlerr.New(sqlerr.Misuse, "a prepared statement is one statement; the text has more")
	}
	st.Keep()
	return &stmt{c: c, st: st, nInput: numInput(st)}, nil
}

// ExecContext runs every statement of the text. Each takes as many of the
// arguments as it has parameters; the result is the last one's.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	var last exec.Result
	err := c.each(ctx, query, args, func(st *exec.Stmt, vals []value.Value, _ bool) (err error) {
		last, err = c.s.Exec(ctx, st, vals)
		return err
	})
	if err != nil {
		return nil, numbered(err)
	}
	return result(last), nil
}

// QueryContext runs every statement of the text and returns the rows of the
// last.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	var out driver.Rows = noRows{}
	err := c.each(ctx, query, args, func(st *exec.Stmt, vals []value.Value, last bool) error {
		if !last {
			_, err := c.s.Exec(ctx, st, vals)
			return err
		}
		r, err := c.query(ctx, st, vals)
		if err == nil {
			out = r
		}
		return err
	})
	if err != nil {
		return nil, numbered(err)
	}
	return out, nil
}

// each hands fn every statement of a text with its arguments. A text of
// several is parsed, and its arguments are counted, before the first is
// executed; they are compiled one after the other, since each may depend on
// the one before it.
func (c *conn) each(ctx context.Context, text string, args []driver.NamedValue, fn func(st *exec.Stmt, vals []value.Value, last bool) error) error {
	a := newArguments(args)
	prepare := c.s.Prepare
	if len(args) == 0 {
		prepare = c.s.PrepareOnce
	}
	st, tail, err := prepare(ctx, text)
	if err != nil {
		return err
	}
	if st == nil {
		return a.finish()
	}
	if exec.Blank(tail) {
		vals, err := a.bind(nil, st)
		if err == nil {
			err = a.finish()
		}
		if err != nil {
			return err
		}
		return fn(st, vals, true)
	}
	st.Close()
	list, err := parse.Statements(text)
	if err != nil {
		return err
	}
	if err := a.check(list); err != nil {
		return err
	}
	for i, p := range list {
		if err := c.one(ctx, p.Text, &a, i == len(list)-1, fn); err != nil {
			return moved(err, p.Pos)
		}
	}
	return nil
}

func (c *conn) one(ctx context.Context, text string, a *arguments, last bool, fn func(st *exec.Stmt, vals []value.Value, last bool) error) error {
	st, _, err := c.s.Prepare(ctx, text)
	if err != nil || st == nil {
		return err
	}
	defer st.Close()
	vals, err := a.bind(nil, st)
	if err != nil {
		return err
	}
	return fn(st, vals, last)
}

func (c *conn) query(ctx context.Context, st *exec.Stmt, vals []value.Value) (driver.Rows, error) {
	r, err := c.s.Query(ctx, st, vals)
	if err != nil {
		return nil, err
	}
	return (*rows)(r), nil
}

// stmt is a prepared statement.
type stmt struct {
	c    *conn
	st   *exec.Stmt
	vals []value.Value // of the last run, cleared

	nInput int // see NumInput
}

var (
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
)

func (s *stmt) Close() error {
	s.st.Close()
	return nil
}

// NumInput returns the number of parameters; −1, which leaves the check to
// bind, when some have names, since one argument may serve several.
func (s *stmt) NumInput() int { return s.nInput }

func numInput(st *exec.Stmt) int {
	n := st.NumParams()
	for i := range n {
		if name := st.ParamName(i); name != "" && name[0] != '?' {
			return -1
		}
	}
	return n
}

func (s *stmt) CheckNamedValue(nv *driver.NamedValue) error { return s.c.CheckNamedValue(nv) }

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), ordinals(args))
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), ordinals(args))
}

func ordinals(args []driver.Value) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return out
}

// ExecContext runs the statement to its end.
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.bind(args); err != nil {
		return nil, err
	}
	r, err := s.c.s.Exec(ctx, s.st, s.vals)
	clear(s.vals)
	if err != nil {
		return nil, numbered(err)
	}
	return result(r), nil
}

// QueryContext runs the statement and returns its rows.
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.bind(args); err != nil {
		return nil, err
	}
	r, err := s.c.query(ctx, s.st, s.vals)
	clear(s.vals)
	if err != nil {
		return nil, numbered(err)
	}
	return r, nil
}

// bind puts the values of the parameters into s.vals.
func (s *stmt) bind(args []driver.NamedValue) (err error) {
	a := newArguments(args)
	if s.vals, err = a.bind(s.vals[:0], s.st); err == nil {
		err = a.finish()
	}
	if err != nil {
		clear(s.vals)
	}
	return err
}

type result exec.Result

func (r result) LastInsertId() (int64, error) { return r.LastInsertRowID, nil }
func (r result) RowsAffected() (int64, error) { return r.Changes, nil }
