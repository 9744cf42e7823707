package schema

import (
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// Load reads the schema that tx sees. It parses every CREATE text: callers
// keep the result for as long as Version returns the same number.
//
// Errors: those of the engine, and code 11 for records that do not make a schema.
func Load(tx *engine.Tx) (*Schema, error) { return loadAt(tx, Main) }

func loadAt(tx *engine.Tx, p Place) (*Schema, error) {
	return loadWith(tx, p, func(o Object, err error) error {
		return sqlerr.Wrap(sqlerr.Corrupt, err, "malformed database schema (%s)", o.Name)
	})
}

// loadWith is loadAt with the error of an object that makes no part of a schema.
func loadWith(tx *engine.Tx, p Place, fault func(o Object, err error) error) (*Schema, error) {
	version, err := versionAt(tx, p)
	if err != nil {
		return nil, err
	}
	s := &Schema{
		Version: version, place: p, tables: map[string]*Table{}, indexes: map[string]*Index{},
		triggers: map[string]*Trigger{}, references: map[string][]Reference{}, mainTriggers: map[string][]*Trigger{},
	}
	if s.Objects, err = readObjects(tx, p); err != nil {
		return nil, err
	}
	for _, o := range s.Objects {
		if err := s.add(o); err != nil {
			return nil, fault(o, err)
		}
	}
	for _, t := range s.Tables {
		for _, ix := range t.Indexes {
			if ix.Root == 0 {
				return nil, corrupt("index %s has no record", ix.Name)
			}
		}
	}
	return s, s.loadStats(tx)
}

func readObjects(tx *engine.Tx, p Place) (list []Object, err error) {
	c, err := tx.Collection(p.catalog())
	if errors.Is(err, engine.ErrNoCollection) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	cur := c.Cursor([]byte(prefixObject), []byte{prefixObject[0] + 1})
	defer func() { err = errors.Join(err, cur.Close()) }()
	for cur.Next() {
		o, err := decodeObject(cur.Key(), cur.Value())
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	if err := cur.Err(); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return list, nil
}

// add enters one record. A table's record comes before those of its indexes.
func (s *Schema) add(o Object) error {
	if o.Type == "index" && o.SQL == "" {
		return s.attach(o)
	}
	st, err := parse.One(o.SQL)
	if err != nil {
		return err
	}
	switch n := st.Stmt.(type) {
	case *ast.CreateTableStmt:
		t, err := buildTable(n, st)
		if err != nil {
			return err
		}
		t.SQL, t.Root, t.id = o.SQL, o.Root, o.id
		s.enter(t)
	case *ast.CreateViewStmt:
		t := buildView(n)
		t.SQL, t.id = o.SQL, o.id
		s.enter(t)
	case *ast.CreateIndexStmt:
		t := s.Table(o.Table)
		if t == nil {
			return sqlerr.Errorf("no such table: %s", o.Table)
		}
		ix, err := buildIndex(n, t)
		if err != nil {
			return err
		}
		ix.SQL, ix.Root, ix.id = o.SQL, o.Root, o.id
		t.Indexes = append(t.Indexes, ix)
		s.indexes[fold(ix.Name)] = ix
	case *ast.CreateTriggerStmt:
		return s.addTrigger(n, o)
	default:
		return sqlerr.Errorf("not a CREATE statement")
	}
	return nil
}

func (s *Schema) enter(t *Table) {
	t.place = s.place
	s.Tables = append(s.Tables, t)
	s.tables[fold(t.Name)] = t
	for i := range t.ForeignKeys {
		k := &t.ForeignKeys[i]
		s.references[fold(k.Parent)] = append(s.references[fold(k.Parent)], Reference{t, k})
	}
}

// attach gives the index that a constraint made its root.
func (s *Schema) attach(o Object) error {
	t := s.Table(o.Table)
	if t == nil {
		return sqlerr.Errorf("no such table: %s", o.Table)
	}
	for _, ix := range t.Indexes {
		if ast.SameName(ix.Name, o.Name) {
			ix.Root, ix.id = o.Root, o.id
			s.indexes[fold(ix.Name)] = ix
			return nil
		}
	}
	return sqlerr.Errorf("no constraint of table %s makes it", t.Name)
}
