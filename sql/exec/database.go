package exec

import (
	"sync"
	"sync/atomic"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/schema"
)

// plansMax is how many plans a database keeps; beyond it all are dropped, the
// ones in use come back.
const plansMax = 1000

// Database compiles and runs statements on an engine. It is safe for
// concurrent use; sessions are made of it.
type Database struct {
	db *engine.DB
	planCache

	// seen is the version of the schema at a commit, which read-only transactions
	// that begin there need not read.
	seen atomic.Pointer[seenVersion]

	held        atomic.Int64 // bytes of memory that statements have taken; see memory.go
	memoryTotal int64
	nSpills     atomic.Int64 // temporary files that were made

	sessionsMu sync.Mutex
	sessions   map[*Session]struct{}

	litter    atomic.Bool    // there may be temporary objects to drop
	litterMu  sync.Mutex     // never held while something else is waited for
	abandoned []schema.Place // temporary objects of sessions that have ended

	asWritten bool // literals stay where they are; for tests, which compare
}

// NewDatabase returns a database on db, which stays the caller's to close. When
// db wipes memory, the plans go too: they hold the literals of statements.
func NewDatabase(db *engine.DB) *Database {
	d := &Database{db: db, sessions: map[*Session]struct{}{}, memoryTotal: memoryTotal}
	d.clearPlans()
	d.litter.Store(true) // of a crash
	db.OnWipe(d.forget)
	return d
}

type seenVersion struct{ base, version uint64 }

// version returns the version of the schema that tx sees.
func (d *Database) version(tx *engine.Tx) (uint64, error) {
	if tx.Writable() {
		return schema.Version(tx)
	}
	base := tx.Base()
	if s := d.seen.Load(); s != nil && s.base == base && base != 0 {
		return s.version, nil
	}
	v, err := schema.Version(tx)
	if err == nil {
		d.seen.Store(&seenVersion{base, v})
	}
	return v, err
}

// schemaOf returns the schema that tx sees.
func (d *Database) schemaOf(tx *engine.Tx) (*schema.Schema, error) {
	v, err := schema.Version(tx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	s := d.schema
	d.mu.Unlock()
	if s != nil && s.Version == v {
		return s, nil
	}
	if s, err = schema.Load(tx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := tx.Check(); err != nil { // memory may have been wiped: nothing is kept any more
		return nil, err
	}
	d.schema = s
	return s, nil
}

// controlPlan returns the plan of BEGIN and its kin, nil for other statements.
func (d *Database) controlPlan(text string, st parse.Stmt) (*plan, error) {
	switch st.Stmt.(type) {
	case *ast.BeginStmt, *ast.CommitStmt, *ast.RollbackStmt, *ast.SavepointStmt, *ast.ReleaseStmt:
	default:
		return nil, nil //nolint:nilnil // other statements need a schema
	}
	p, err := compile(&schema.Schema{}, st, false)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep(text, p) // foreign keys do not matter to it
	return p, nil
}
