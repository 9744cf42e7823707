package exec

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// busyTimeout is how long a statement waits for the writer if its context does
// not end before; PRAGMA busy_timeout changes it for a session.
const busyTimeout = 5 * time.Second

// Session is one connection's state: its transaction and counters. It is not
// safe for concurrent use.
//
// Outside of a transaction each statement has one of its own: a snapshot for a
// query, a writable one, committed at its end, for anything else. BEGIN takes
// the writer at once, in every form: a snapshot cannot become writable later
// without the risk that something was committed in between.
type Session struct {
	d     *Database
	tx    *engine.Tx
	saves []save
	auto  bool   // the transaction was started by SAVEPOINT
	gen   uint64 // counts rollbacks, which end the cursors open in a transaction
	busy  time.Duration

	busyDefault time.Duration // that Reset goes back to

	memory, spillAfter int64 // see Settings

	version      uint64 // of the schema, inside the transaction
	versionKnown bool
	rowIDs       map[uint64]int64 // next row id by table root, inside the transaction

	spare    *engine.Tx // a snapshot that has ended, for the next statement
	collsGen uint64     // changes when collections may have been dropped

	changes, totalChanges, lastInsertRowID int64

	foreignKeys       bool // PRAGMA foreign_keys
	deferForeignKeys  bool // PRAGMA defer_foreign_keys, until the transaction ends
	recursiveTriggers bool
	queryOnly         bool // PRAGMA query_only
	legacyAlter       bool // PRAGMA legacy_alter_table
	violations        violations

	temp *tempState // nil until the first temporary object

	literals parse.Literals // of the statement that PrepareOnce made last
	lifts    uint64         // counts these statements; only the last one's literals are there

	mu    sync.Mutex // held while a statement is compiled or runs; a wipe waits for it
	open  []*Rows    // results that are not closed
	stmts map[*Stmt]struct{}
}

type save struct {
	name       string
	sp         engine.Savepoint
	violations violations
}

// NewSession returns a session. Close must be called.
func (d *Database) NewSession() *Session {
	s := &Session{d: d, busy: busyTimeout, busyDefault: busyTimeout, memory: memoryMax}
	d.sessionsMu.Lock()
	defer d.sessionsMu.Unlock()
	d.sessions[s] = struct{}{}
	return s
}

// InTx reports whether a transaction is open.
func (s *Session) InTx() bool { return s.tx != nil }

// begin takes the writer or a snapshot.
func (s *Session) begin(ctx context.Context, writable bool) (*engine.Tx, error) {
	if !writable {
		return s.snapshot(ctx)
	}
	wait, cancel := context.WithTimeout(ctx, s.busy)
	defer cancel()
	if s.d.litter.Load() {
		_ = s.d.Sweep(wait) // what is left is dropped some other time
	}
	tx, err := s.d.db.BeginContext(wait, true)
	switch {
	case err == nil:
		return tx, nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil, sqlerr.Wrap(sqlerr.Interrupt, err, "interrupted")
	case errors.Is(err, context.DeadlineExceeded) && wait.Err() != nil:
		return nil, sqlerr.New(sqlerr.Busy, "database is locked")
	}
	return nil, err
}

// snapshot begins a read-only transaction.
func (s *Session) snapshot(ctx context.Context) (*engine.Tx, error) {
	tx := s.spare
	if tx == nil {
		return s.d.db.BeginContext(ctx, false)
	}
	s.spare = nil
	same, err := tx.Renew()
	if err != nil {
		return nil, err
	}
	if !same {
		s.collsGen++
	}
	return tx, nil
}

// endOwn ends a statement's own transaction, once nothing that was got from it
// is in use.
func (s *Session) endOwn(tx *engine.Tx) error {
	err := tx.Rollback()
	if err == nil && !tx.Writable() {
		s.spare = tx
	}
	return err
}

// Begin starts a transaction. Errors: SQLite's code 5 when another writer does
// not end in time, those of the engine.
func (s *Session) Begin(ctx context.Context, readOnly bool) error {
	if s.tx != nil {
		return errorf("cannot start a transaction within a transaction")
	}
	tx, err := s.begin(ctx, !readOnly)
	if err != nil {
		return err
	}
	s.tx, s.auto = tx, false
	return nil
}

// Commit ends the transaction. It goes on if foreign keys are violated, which
// is an error of code 787; after any other error it is over.
func (s *Session) Commit(context.Context) error {
	if s.tx == nil {
		return errorf("cannot commit - no transaction is active")
	}
	if s.violations.any() {
		return errors.Join(s.tx.Check(), errForeignKey())
	}
	tx := s.tx
	s.end()
	if !tx.Writable() {
		return tx.Rollback()
	}
	return tx.Commit()
}

// Rollback ends the transaction and undoes it.
func (s *Session) Rollback() error {
	if s.tx == nil {
		return errorf("cannot rollback - no transaction is active")
	}
	tx := s.tx
	s.end()
	return tx.Rollback()
}

func (s *Session) end() {
	s.tx, s.saves, s.auto = nil, nil, false
	s.violations, s.deferForeignKeys = violations{}, false
	s.forget()
}

// forget drops what was known of the transaction's state.
func (s *Session) forget() {
	s.gen++
	s.collsGen++
	s.schemaChanged()
	clear(s.rowIDs)
}

// schemaChanged has the next statement of the transaction read the versions anew.
func (s *Session) schemaChanged() {
	s.versionKnown = false
	if s.temp != nil {
		s.temp.changed()
	}
}

// Reset undoes what is open, for a connection that goes back to its pool. It
// leaves foreign keys, recursive triggers and temporary objects as they are: who
// turned them on or made them, and has one connection, relies on it.
func (s *Session) Reset() {
	if s.tx != nil {
		_ = s.Rollback() // the transaction is over in any case
	}
	s.busy, s.deferForeignKeys = s.busyDefault, false
}

// Close ends the session. It drops what the session knows of texts and rows: the
// next wipe does not reach it, and others may keep it, database/sql for one, which
// has the connections of a statement on a list.
func (s *Session) Close() error {
	s.Reset()
	s.dropTemp()
	s.d.sessionsMu.Lock()
	delete(s.d.sessions, s)
	s.d.sessionsMu.Unlock()
	s.wipe()
	return nil
}

// control runs BEGIN and its kin.
func (s *Session) control(ctx context.Context, stmt ast.Stmt) error {
	switch n := stmt.(type) {
	case *ast.BeginStmt:
		return s.Begin(ctx, false)
	case *ast.CommitStmt:
		return s.Commit(ctx)
	case *ast.RollbackStmt:
		if n.Savepoint != nil {
			return s.rollbackTo(n.Savepoint.Name)
		}
		return s.Rollback()
	case *ast.SavepointStmt:
		if s.tx == nil {
			if err := s.Begin(ctx, false); err != nil {
				return err
			}
			s.auto = true
		}
		if err := s.tx.Check(); err != nil {
			return err
		}
		s.saves = append(s.saves, save{n.Name.Name, s.tx.Savepoint(), s.violations})
		return nil
	case *ast.ReleaseStmt:
		i, err := s.findSave(n.Name.Name)
		if err != nil {
			return err
		}
		if i == 0 && s.auto {
			return s.Commit(ctx)
		}
		s.saves = s.saves[:i]
		return nil
	}
	return unsupported("this statement")
}

func (s *Session) findSave(name string) (int, error) {
	for i, sv := range slices.Backward(s.saves) {
		if ast.SameName(sv.name, name) {
			return i, nil
		}
	}
	return 0, errorf("no such savepoint: %s", name)
}

func (s *Session) rollbackTo(name string) error {
	i, err := s.findSave(name)
	if err != nil {
		return err
	}
	s.forget()
	s.saves = s.saves[:i+1]
	s.violations = s.saves[i].violations
	return s.tx.RollbackTo(s.saves[i].sp)
}

// Result is what a statement did.
type Result struct {
	LastInsertRowID int64
	Changes         int64
}

// Exec runs a statement to its end. args are by parameter number; missing ones
// are NULL.
//
// After an error nothing of the statement remains; the transaction around it
// stays open, but for a constraint that says ROLLBACK.
func (s *Session) Exec(ctx context.Context, st *Stmt, args []value.Value) (Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows, err := s.query(ctx, st, args)
	if err != nil {
		return Result{}, err
	}
	for {
		ok, err := rows.step()
		if err != nil {
			return Result{}, errors.Join(err, rows.end())
		}
		if !ok {
			break
		}
	}
	return Result{LastInsertRowID: s.lastInsertRowID, Changes: rows.changes}, rows.end()
}

// Query runs a statement; what it changes is changed when Query returns, also
// with RETURNING. Close of the rows must be called.
func (s *Session) Query(ctx context.Context, st *Stmt, args []value.Value) (*Rows, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.query(ctx, st, args)
	if err == nil {
		r.link()
	}
	return r, err
}

// query is Query with s.mu held.
func (s *Session) query(ctx context.Context, st *Stmt, args []value.Value) (*Rows, error) {
	if st.lifted != 0 {
		if st.lifted != s.lifts {
			st.plan, st.lifted = nil, 0
		}
		defer s.dropLiterals()
	}
	if st.control {
		f := &frame{run: run{ctx: ctx, s: s}, args: args}
		return &Rows{f: f, plan: st.plan, s: s}, st.plan.run(f)
	}
	own := s.tx == nil
	tx := s.tx
	if own {
		var err error
		if tx, err = s.begin(ctx, st.write); err != nil {
			return nil, err
		}
	}
	r, err := s.start(ctx, st, tx, args)
	if err != nil {
		if own {
			var act *actionError
			if errors.As(err, &act) && act.action == ast.ConflictFail {
				return nil, errors.Join(unwrapAction(err), tx.Commit())
			}
			_ = s.endOwn(tx) // it is over in any case
		}
		return nil, unwrapAction(err)
	}
	if !own {
		return r, nil
	}
	if !st.write {
		r.tx = tx
		s.deferForeignKeys = s.deferForeignKeys && st.plan.pragma // a transaction of its own ends
		return r, nil
	}
	snapshot, err := r.outlive(ctx)
	if err != nil {
		r.finish()
		_ = s.endOwn(tx) // it is over in any case
		return nil, err
	}
	err = tx.Commit()
	r.f.tx, r.tx = snapshot, snapshot
	if err != nil {
		_ = r.end() // a snapshot has nothing to lose
		return nil, err
	}
	return r, nil
}

func unwrapAction(err error) error {
	if act, ok := errors.AsType[*actionError](err); ok {
		return act.err
	}
	return err
}

// start runs what a statement changes and opens its result.
func (s *Session) start(ctx context.Context, st *Stmt, tx *engine.Tx, args []value.Value) (*Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, sqlerr.Wrap(sqlerr.Interrupt, err, "interrupted")
	}
	p, err := s.planFor(st, tx)
	if err != nil {
		return nil, err
	}
	if p.write && (s.queryOnly || !tx.Writable()) {
		return nil, sqlerr.New(sqlerr.ReadOnly, "attempt to write a readonly database")
	}
	if st.lifted != 0 {
		args = s.literals.Values
	}
	r := st.rows(ctx, tx, args)
	f := r.f
	if p.run != nil {
		if err := s.runStatement(f, p); err != nil {
			r.finish()
			return nil, err
		}
		r.changes = f.changes
	}
	switch {
	case p.point != nil:
		r.it = noIter{}
	case p.query != nil:
		if r.it, err = p.query.node.open(f); err != nil {
			r.finish()
			return nil, err
		}
	}
	return r, nil
}

// planFor returns the statement's plan, made anew when the schema has changed.
// Inside a transaction the version is read once: nobody else can change it.
func (s *Session) planFor(st *Stmt, tx *engine.Tx) (*plan, error) {
	version := s.version
	if tx != s.tx || !s.versionKnown {
		v, err := s.d.version(tx)
		if err != nil {
			return nil, err
		}
		version = v
		if tx == s.tx {
			s.version, s.versionKnown = v, true
		}
	}
	var temp *schema.Schema
	if s.temp != nil {
		var err error
		if temp, err = s.tempBefore(tx); err != nil {
			return nil, err
		}
	}
	if st.plan != nil && st.plan.version == version && st.plan.temp == temp && st.plan.keys == s.foreignKeys {
		return st.plan, nil
	}
	if st.lifted != 0 {
		if p, err := s.shapeOf(tx, st.plan.text); err == nil && !p.refused {
			st.plan = p
			return p, nil
		}
		st.lifted = 0 // the text as it is: it plans, or says why not
	}
	p, err := s.planOf(tx, st.text, st.parsed)
	if err == nil {
		st.plan, st.idle = p, nil
	}
	return p, err
}

// runStatement runs what changes something, all of it or nothing.
func (s *Session) runStatement(f *frame, p *plan) error {
	if !p.write {
		return p.run(f)
	}
	sp, before := f.tx.Savepoint(), s.violations
	err := p.run(f)
	if s.tx == nil {
		defer func() { s.violations, s.deferForeignKeys = violations{}, false }()
	}
	var act *actionError
	if err == nil || errors.As(err, &act) && act.action == ast.ConflictFail {
		if f.violations != 0 || s.tx == nil && s.violations.any() {
			err = errForeignKey()
		} else if kept := f.keepSequences(); kept != nil {
			err = kept
		}
	}
	switch {
	case err == nil:
	case errors.As(err, &act) && act.action == ast.ConflictFail:
	case errors.As(err, &act) && act.action == ast.ConflictRollback && s.tx != nil:
		s.changes = 0
		return errors.Join(err, s.Rollback())
	default:
		s.forget()
		s.violations = before
		if p.rows {
			s.changes = 0
		}
		return errors.Join(err, f.tx.RollbackTo(sp))
	}
	if p.ddl {
		s.schemaChanged()
	}
	if !p.rows {
		s.collsGen++
	}
	f.keepRowIDs()
	if p.rows {
		s.changes = f.changes
		s.totalChanges += f.changes
	}
	return err
}
