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
	if err := s.dropTempTriggers(tx, t); err != nil {
		return false, err
	}
	w, err := newWriter(tx, t.place)
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
	if err := tx.DropCollection(t.Collection()); err != nil {
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
	if err := s.dropTempTriggers(tx, t); err != nil {
		return false, err
	}
	w, err := newWriter(tx, t.place)
	if err != nil {
		return false, err
	}
	return true, errors.Join(w.dropTriggers(t), w.remove(t.id), w.finish())
}

// DropIndex removes an index. It returns false and no error when IF EXISTS finds none.
func DropIndex(tx *engine.Tx, s *Schema, n *ast.DropIndexStmt) (bool, error) {
	ix := s.qualified(n.Name).Index(n.Name.Name.Name)
	switch {
	case ix == nil && n.IfExists:
		return false, nil
	case ix == nil:
		return false, sqlerr.Errorf("no such index: %s", asWritten(n.Name))
	case ix.Origin != OriginCreate:
		return false, sqlerr.Errorf("index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped")
	}
	w, err := newWriter(tx, ix.Table.place)
	if err != nil {
		return false, err
	}
	return true, errors.Join(w.dropIndex(ix), w.finish())
}

func (w *writer) dropIndex(ix *Index) error {
	if err := w.tx.DropCollection(ix.Collection()); err != nil {
		return fmt.Errorf("drop index: %w", err)
	}
	return w.remove(ix.id)
}

// target finds what a DROP or ALTER names; nil and no error: IF EXISTS.
func (s *Schema) target(q *ast.QualifiedName, ifExists bool, kind string) (*Table, error) {
	name := q.Name.Name
	t := s.Find(q)
	switch {
	case t != nil, ifExists:
		return t, nil
	}
	switch fold(name) {
	case "sqlite_schema", "sqlite_master", "sqlite_sequence", "sqlite_temp_schema", "sqlite_temp_master":
		return nil, sqlerr.Errorf("table %s may not be dropped", name)
	}
	return nil, sqlerr.Errorf("no such %s: %s", kind, asWritten(q))
}

// system reports whether a name is that of a table which the database itself has.
func (s *Schema) system(name string) bool {
	switch fold(name) {
	case "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema":
		return true
	case "sqlite_sequence":
		for _, t := range s.Tables {
			if t.AutoIncrement {
				return true
			}
		}
	}
	return false
}

// qualified returns the schema that a name is looked up in; an empty one for a
// database that there is not.
func (s *Schema) qualified(q *ast.QualifiedName) *Schema {
	if q.Schema == nil {
		return s
	}
	if c := s.Catalog(q.Schema.Name); c != nil {
		return c
	}
	return &Schema{}
}

func asWritten(q *ast.QualifiedName) string {
	if q.Schema == nil {
		return q.Name.Name
	}
	return q.Schema.Name + "." + q.Name.Name
}
