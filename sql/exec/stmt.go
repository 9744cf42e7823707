package exec

import (
	"context"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/value"
)

// Stmt is a prepared statement of a session.
type Stmt struct {
	s      *Session
	text   string
	parsed *parse.Stmt // nil when the plan was there, or after a wipe
	plan   *plan       // nil after a wipe
	idle   *frame      // to be used again; it holds no rows

	// What the plan says, for the time when there is none.
	params         []string
	write, control bool

	kept   bool   // by Keep
	lifted uint64 // Session.lifts, if the plan's parameters are the literals of text; else 0
}

// Prepare compiles the first statement of text and returns what follows it. A
// text of nothing but blanks and comments gives a nil Stmt.
//
// Errors: *sqlerr.Error, those of the engine.
func (s *Session) Prepare(ctx context.Context, text string) (*Stmt, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prepare(ctx, text)
}

// prepare is Prepare with s.mu held.
func (s *Session) prepare(ctx context.Context, text string) (*Stmt, string, error) {
	first, tail := text, "" // of a text with a plan: it was cut before
	cached := s.cached(first)
	if cached == nil {
		first, tail = split(text)
		cached = s.cached(first)
	}
	st := &Stmt{s: s, text: first}
	if cached == nil {
		list, err := parse.Statements(first)
		if err != nil {
			return nil, "", err
		}
		if len(list) == 0 {
			return nil, tail, nil
		}
		st.parsed = &list[0]
		if len(list) > 1 { // a trigger and what follows it
			st.text, tail = list[0].Text, first[list[1].Pos:]
			first = st.text
		}
		if cached, err = s.d.controlPlan(first, list[0]); err != nil {
			return nil, "", err
		}
	}
	// A plan of another version of the schema is made anew when it is run.
	// Control needs no schema: a transaction that the key ended must be left somehow.
	if cached != nil {
		st.use(cached)
		return st, tail, nil
	}
	tx := s.tx
	if tx == nil {
		var err error
		if tx, err = s.begin(ctx, false); err != nil {
			return nil, "", err
		}
		defer s.endOwn(tx) //nolint:errcheck // a snapshot has nothing to lose
	}
	p, err := s.planOf(tx, first, st.parsed)
	if err != nil {
		return nil, "", err
	}
	st.use(p)
	return st, tail, nil
}

func (st *Stmt) use(p *plan) {
	st.plan, st.params, st.write, st.control = p, p.params, p.write, p.control
}

// NumParams returns the number of parameters.
func (st *Stmt) NumParams() int { return len(st.params) }

// ParamName returns the name of parameter i, from 0, with its sigil; "" when it
// has none.
func (st *Stmt) ParamName(i int) string { return st.params[i] }

// ReadOnly reports whether the statement leaves the database as it is.
func (st *Stmt) ReadOnly() bool { return !st.write && !st.control }

// rows returns the state of a new run; the frame is that of an earlier run if
// it is over.
func (st *Stmt) rows(ctx context.Context, tx *engine.Tx, args []value.Value) *Rows {
	f := st.idle
	if f == nil && !st.kept {
		f = st.plan.idle.Swap(nil)
	}
	if f == nil {
		f = st.plan.newFrame()
	}
	st.idle = nil
	f.begin(ctx, st.s, tx, args)
	return &Rows{s: st.s, f: f, plan: st.plan, cols: st.plan.infos, st: st, gen: st.s.gen}
}

// ColumnInfo describes a column of a result.
type ColumnInfo struct {
	Name     string
	DeclType string // of the table's column that it is, "" for an expression
	Table    string // the table, "" for an expression

	Shown value.Shown // how its values show in Go
}

// Columns describes the result, nil for a statement without one, and after a
// wipe of memory until the statement has run again. It is not to be changed.
func (st *Stmt) Columns() []ColumnInfo { return st.plan.columns() }

func (p *plan) columns() []ColumnInfo {
	if p == nil {
		return nil
	}
	return p.infos
}

// describe computes what columns returns.
func (p *plan) describe() {
	if p.query == nil {
		return
	}
	p.infos = make([]ColumnInfo, len(p.query.cols))
	for i, c := range p.query.cols {
		p.infos[i] = ColumnInfo{Name: c.name, DeclType: c.declType, Table: c.table, Shown: value.ShownAs(c.declType)}
	}
}

// Keep has a wipe of memory reach a statement that is not used at once: what
// was compiled goes, and comes back when the statement runs again. Close must be
// called.
func (st *Stmt) Keep() {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if st.s.stmts == nil {
		st.s.stmts = map[*Stmt]struct{}{}
	}
	st.s.stmts[st] = struct{}{}
	st.kept = true
}

// Close releases the statement; its plan stays in the database's cache.
func (st *Stmt) Close() {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	delete(st.s.stmts, st)
}
