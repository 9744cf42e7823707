package schema

import (
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// DropTable removes a table with its rows and indexes. It returns false and no
// error when IF EXISTS finds none.
func DropTable(tx *engine.Tx, s *Schema, n *ast.DropTableStmt) (bool, error) {
	t, err := s.target(n.Name, n.IfExists, "table")
	if t == nil || err != nil {
		return false, err
	}
	if t.IsView() {
		return false, sqlerr.Errorf("use DROP VIEW to delete view %s", t.Name)
	}
	w, err := newWriter(tx)
	if err != nil {
		return false, err
	}
	for _, ix := range t.Indexes {
		if err := w.dropIndex(ix); err != nil {
			return false, err
		}
	}
	if err := w.dropTriggers(t); err != nil {
		return false, err
	}
	if err := tx.DropCollection(TableCollection(t.Root)); err != nil {
		return false, fmt.Errorf("drop table: %w", err)
	}
	if err := w.coll.Delete(numberKey(prefixSeq, t.Root)); err != nil {
		return false, fmt.Errorf("drop table: %w", err)
	}
	return true, errors.Join(w.remove(t.id), w.finish())
}

// DropView removes a view. It returns false and no error when IF EXISTS finds none.
func DropView(tx *engine.Tx, s *Schema, n *ast.DropViewStmt) (bool, error) {
	t, err := s.target(n.Name, n.IfExists, "view")
	if t == nil || err != nil {
		return false, err
	}
	if !t.IsView() {
		return false, sqlerr.Errorf("use DROP TABLE to delete table %s", t.Name)
	}
	w, err := newWriter(tx)
	if err != nil {
		return false, err
	}
	return true, errors.Join(w.dropTriggers(t), w.remove(t.id), w.finish())
}

// DropIndex removes an index. It returns false and no error when IF EXISTS finds none.
func DropIndex(tx *engine.Tx, s *Schema, n *ast.DropIndexStmt) (bool, error) {
	if err := checkDatabase(n.Name); err != nil {
		return false, err
	}
	ix := s.Index(n.Name.Name.Name)
	switch {
	case ix == nil && n.IfExists:
		return false, nil
	case ix == nil:
		return false, sqlerr.Errorf("no such index: %s", n.Name.Name.Name)
	case ix.Origin != OriginCreate:
		return false, sqlerr.Errorf("index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped")
	}
	w, err := newWriter(tx)
	if err != nil {
		return false, err
	}
	return true, errors.Join(w.dropIndex(ix), w.finish())
}

func (w *writer) dropIndex(ix *Index) error {
	if err := w.tx.DropCollection(IndexCollection(ix.Root)); err != nil {
		return fmt.Errorf("drop index: %w", err)
	}
	return w.remove(ix.id)
}

// target finds what a DROP or ALTER names; nil and no error: IF EXISTS.
func (s *Schema) target(q *ast.QualifiedName, ifExists bool, kind string) (*Table, error) {
	if err := checkDatabase(q); err != nil {
		return nil, err
	}
	name := q.Name.Name
	t := s.Table(name)
	switch {
	case t != nil, ifExists:
		return t, nil
	case fold(name) == "sqlite_schema", fold(name) == "sqlite_master", fold(name) == "sqlite_sequence":
		return nil, sqlerr.Errorf("table %s may not be dropped", name)
	}
	return nil, sqlerr.Errorf("no such %s: %s", kind, name)
}
