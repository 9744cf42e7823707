package exec

import (
	"errors"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// vacuum compiles VACUUM, which compacts the database, and VACUUM INTO, which
// makes a copy of it in a directory. Neither runs inside of a transaction.
func (c *compiler) vacuum(p *plan, n *ast.VacuumStmt) error {
	if n.Schema != nil && c.schema.Catalog(n.Schema.Name) == nil {
		return errorf("unknown database %s", n.Schema.Name)
	}
	if n.Schema != nil && !isMain(n.Schema.Name) { // as in SQLite, which does nothing about it
		p.run = func(*frame) error { return nil }
		return nil
	}
	var into *expr
	if n.Into != nil {
		var err error
		if into, err = c.expr(&scope{}, n.Into); err != nil {
			return err
		}
		if !into.konst || c.nSubs > 0 {
			return unsupported("VACUUM INTO with an expression of more than literals and parameters")
		}
	}
	p.control = true
	p.run = func(f *frame) error {
		if f.s.tx != nil {
			return errorf("cannot VACUUM from within a transaction")
		}
		if into == nil {
			return f.s.unlocked(func(db *engine.DB) error { return db.Compact(f.ctx) })
		}
		dir, err := into.eval(f)
		if err != nil {
			return err
		}
		if dir.Kind() != value.Text {
			return errorf("non-text filename")
		}
		err = f.s.unlocked(func(db *engine.DB) error { _, err := db.CopyTo(f.ctx, dir.Str()); return err })
		if errors.Is(err, engine.ErrExist) {
			return sqlerr.Wrap(sqlerr.Generic, err, "output file already exists")
		}
		return err
	}
	return nil
}

// unlocked runs what takes long and holds no rows: memory may be wiped meanwhile.
// It is called with s.mu held.
func (s *Session) unlocked(fn func(db *engine.DB) error) error {
	s.mu.Unlock()
	defer s.mu.Lock()
	return fn(s.d.db)
}
