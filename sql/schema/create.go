package schema

import (
	"fmt"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// The operations below change the records in tx and leave s as it is: after
// one of them callers Load again. After an error the transaction must be
// rolled back to where it was before.

// CreateTable makes a table, its collection and those of its constraints'
// indexes. It returns nil and no error when IF NOT EXISTS finds the name taken.
// CREATE TABLE … AS SELECT is for the caller: see TableText.
func CreateTable(tx *engine.Tx, s *Schema, st parse.Stmt) (*Table, error) {
	n, ok := st.Stmt.(*ast.CreateTableStmt)
	if !ok {
		return nil, sqlerr.New(sqlerr.Misuse, "not a CREATE TABLE statement")
	}
	in, err := s.creates(n.Name, n.Temp)
	if err != nil {
		return nil, err
	}
	if taken, err := in.nameTaken(n.Name, "table", n.IfNotExists); taken || err != nil {
		return nil, err
	}
	t, err := buildTable(n, st)
	if err != nil {
		return nil, err
	}
	if t.contradicts {
		return nil, sqlerr.Errorf("conflicting ON CONFLICT clauses specified")
	}
	w, err := newWriter(tx, in.Place())
	if err != nil {
		return nil, err
	}
	t.place, t.id = in.Place(), w.nextID()
	t.Root, t.SQL = t.id, "CREATE TABLE "+verbatim(st, n.Name)
	if _, err := tx.CreateCollection(t.Collection()); err != nil {
		return nil, fmt.Errorf("create table: %w", err)
	}
	if err := w.put(Object{Type: "table", Name: t.Name, Table: t.Name, Root: t.Root, SQL: t.SQL, id: t.id}); err != nil {
		return nil, err
	}
	for _, ix := range t.Indexes {
		if err := w.addIndex(ix); err != nil {
			return nil, err
		}
	}
	return t, w.finish()
}

// CreateIndex makes an index without records: the caller fills it from the
// table's rows. It returns nil and no error when IF NOT EXISTS finds the name taken.
func CreateIndex(tx *engine.Tx, s *Schema, st parse.Stmt) (*Index, error) {
	n, ok := st.Stmt.(*ast.CreateIndexStmt)
	if !ok {
		return nil, sqlerr.New(sqlerr.Misuse, "not a CREATE INDEX statement")
	}
	in, err := s.indexed(n)
	if err != nil {
		return nil, err
	}
	t := in.Table(n.Table.Name)
	switch {
	case t == nil && in.Place().temp() && s.Table(n.Table.Name) != nil:
		return nil, sqlerr.Errorf("cannot create a TEMP index on non-TEMP table \"%s\"", n.Table.Name)
	case t == nil && in.system(n.Table.Name):
		return nil, sqlerr.Errorf("table %s may not be indexed", n.Table.Name)
	case t == nil:
		return nil, sqlerr.Errorf("no such table: %s.%s", in.Name(), n.Table.Name)
	case t.IsView():
		return nil, sqlerr.Errorf("views may not be indexed")
	}
	if taken, err := in.nameTaken(n.Name, "index", n.IfNotExists); taken || err != nil {
		return nil, err
	}
	ix, err := buildIndex(n, t)
	if err != nil {
		return nil, err
	}
	ix.SQL = "CREATE INDEX " + verbatim(st, n.Name)
	if n.Unique {
		ix.SQL = "CREATE UNIQUE INDEX " + verbatim(st, n.Name)
	}
	w, err := newWriter(tx, in.Place())
	if err != nil {
		return nil, err
	}
	if err := w.addIndex(ix); err != nil {
		return nil, err
	}
	return ix, w.finish()
}

// CreateView keeps a view; whether its query means anything shows when it is used.
func CreateView(tx *engine.Tx, s *Schema, st parse.Stmt) error {
	n, ok := st.Stmt.(*ast.CreateViewStmt)
	if !ok {
		return sqlerr.New(sqlerr.Misuse, "not a CREATE VIEW statement")
	}
	in, err := s.creates(n.Name, n.Temp)
	if err != nil {
		return err
	}
	if taken, err := in.nameTaken(n.Name, "view", n.IfNotExists); taken || err != nil {
		return err
	}
	if !in.Place().temp() {
		err = checkForeign("view", n.Name.Name.Name, n.Select)
	}
	ast.Walk(n.Select, func(c ast.Node) bool {
		if _, ok := c.(*ast.BindParam); ok {
			err = sqlerr.Errorf("parameters are not allowed in views")
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	w, err := newWriter(tx, in.Place())
	if err != nil {
		return err
	}
	name := n.Name.Name.Name
	o := Object{Type: "view", Name: name, Table: name, SQL: "CREATE VIEW " + verbatim(st, n.Name), id: w.nextID()}
	if err := w.put(o); err != nil {
		return err
	}
	return w.finish()
}

// addIndex gives an index its root, collection and record.
func (w *writer) addIndex(ix *Index) error {
	ix.id = w.nextID()
	ix.Root = ix.id
	if _, err := w.tx.CreateCollection(ix.Collection()); err != nil {
		return fmt.Errorf("create index: %w", err)
	}
	return w.put(Object{Type: "index", Name: ix.Name, Table: ix.Table.Name, Root: ix.Root, SQL: ix.SQL, id: ix.id})
}

// nameTaken reports that the object exists and that this is no error, because
// of IF NOT EXISTS; it returns an error for a name that cannot be given.
func (s *Schema) nameTaken(q *ast.QualifiedName, kind string, ifNotExists bool) (bool, error) {
	name := q.Name.Name
	if err := checkReserved(name); err != nil {
		return false, err
	}
	t, ix := s.Table(name), s.Index(name)
	switch {
	case kind == "index" && t != nil:
		return false, sqlerr.Errorf("there is already a table named %s", name)
	case kind != "index" && ix != nil:
		return false, sqlerr.Errorf("there is already an index named %s", name)
	case t == nil && ix == nil:
		return false, nil
	case ifNotExists:
		return true, nil
	case ix != nil:
		return false, sqlerr.Errorf("index %s already exists", name)
	case t.IsView():
		return false, sqlerr.Errorf("view %s already exists", name)
	}
	return false, sqlerr.Errorf("table %s already exists", name)
}

func checkReserved(name string) error {
	if strings.HasPrefix(fold(name), "sqlite_") {
		return sqlerr.Errorf("object name reserved for internal use: %s", name)
	}
	return nil
}

// indexed returns the schema in which CREATE INDEX makes an index: without a
// qualifier, that of the table.
func (s *Schema) indexed(n *ast.CreateIndexStmt) (*Schema, error) {
	if n.Name.Schema != nil {
		return s.creates(n.Name, false)
	}
	if t := s.Table(n.Table.Name); t != nil {
		return s.Of(t), nil
	}
	return s.mainOnly(), nil
}

// verbatim returns the text of a CREATE statement from the object's name on.
// What is before it SQLite keeps in one normal form, without IF NOT EXISTS.
func verbatim(st parse.Stmt, name *ast.QualifiedName) string {
	return st.Text[name.Name.Pos()-st.Pos:]
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
