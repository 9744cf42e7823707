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
	db     *engine.DB
	mu     sync.Mutex
	plans  [2]map[string]*plan // without and with foreign keys
	shapes [2]map[string]*plan // of texts whose literals were taken out
	schema *schema.Schema

	// seen is the version of the schema at a commit, which read-only transactions
	// that begin there need not read.
	seen atomic.Pointer[seenVersion]

	held        atomic.Int64 // bytes of memory that statements have taken; see memory.go
	memoryTotal int64
	nSpills     atomic.Int64 // temporary files that were made

	sessionsMu sync.Mutex
	sessions   map[*Session]struct{}

	asWritten bool // literals stay where they are; for tests, which compare
}

// NewDatabase returns a database on db, which stays the caller's to close. When
// db wipes memory, the plans go too: they hold the literals of statements.
func NewDatabase(db *engine.DB) *Database {
	d := &Database{db: db, plans: noPlans(), shapes: noPlans(), sessions: map[*Session]struct{}{}, memoryTotal: memoryTotal}
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

func noPlans() [2]map[string]*plan { return [2]map[string]*plan{{}, {}} }

// planKind is the index in Database.plans.
func planKind(foreignKeys bool) int {
	if foreignKeys {
		return 1
	}
	return 0
}

// cached returns the plan of a text, nil when there is none. Foreign keys do
// not matter to BEGIN and its kin.
func (d *Database) cached(text string, foreignKeys bool) *plan {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.plans[planKind(foreignKeys)][text]; p != nil || !foreignKeys {
		return p
	}
	if p := d.plans[planKind(false)][text]; p != nil && p.control {
		return p
	}
	return nil
}

// planOf returns the plan of a statement for the schema that tx sees.
func (d *Database) planOf(tx *engine.Tx, text string, parsed *parse.Stmt, foreignKeys bool) (*plan, error) {
	version, err := schema.Version(tx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	p := d.plans[planKind(foreignKeys)][text]
	d.mu.Unlock()
	if p != nil && p.version == version {
		return p, nil
	}
	s, err := d.schemaOf(tx)
	if err != nil {
		return nil, err
	}
	if parsed == nil {
		st, err := parse.One(text)
		if err != nil {
			return nil, err
		}
		parsed = &st
	}
	if p, err = compile(s, *parsed, foreignKeys); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := tx.Check(); err != nil { // memory may have been wiped: nothing is kept any more
		return nil, err
	}
	d.keep(text, p)
	return p, nil
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

// keep puts a plan into the cache. d.mu is held.
func (d *Database) keep(text string, p *plan) { keepPlan(d.plans[planKind(p.keys)], text, p) }

func keepPlan(plans map[string]*plan, text string, p *plan) {
	if len(plans) >= plansMax {
		clear(plans)
	}
	plans[text] = p
}
