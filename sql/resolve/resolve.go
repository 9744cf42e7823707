// Package resolve says what the names in the text of a view or trigger stand
// for, as SQLite finds it when a table is altered: what ALTER TABLE has to edit,
// and what it would break.
//
// It knows names alone. Whether functions exist, and what types there are, it
// leaves to the compiler, which looks at a text when it is used.
//
// A SELECT is first expanded: its FROM clause gets tables, its stars columns.
// Then the names in its expressions are looked up, from the innermost SELECT
// outwards. The order of both is SQLite's, and so is which error comes first.
package resolve

import (
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// Table is a table, a view, or a table that is a function.
type Table struct {
	Database string // main or temp, "" for a function
	Name     string
	Columns  []string // of a view nil before they are asked for
	Hidden   []bool   // columns that a star leaves out; nil: none
	RowID    int      // index of the INTEGER PRIMARY KEY, -1 when there is none
	HasRowID bool     // rowid, oid and _rowid_ are names of the row's key
	Function bool     // it may have arguments
	Indexes  []string

	View        *ast.SelectStmt // nil for a table
	ViewColumns []string        // the names in CREATE VIEW v(…), nil when there are none
	Text        string          // that the spans in View count from begins at Pos
	Pos         int

	noExpand []bool // columns that stand for one that USING merged
	known    bool   // View: Columns are known
	active   bool   // View: they are being found
}

// Catalog finds tables.
type Catalog interface {
	// Find returns a table, view or function of a database in lower case, always
	// the same one for a name; nil when there is none. The database "" stands for
	// temp and then main.
	Find(database, name string) *Table
}

// Text is what an object of the schema was made by.
type Text struct {
	SQL  string
	Pos  int  // what the spans of its nodes begin at
	Temp bool // it is a temporary object, whose names are looked up in both databases
}

// Names are what the names in a text stand for. Each name is there once.
type Names struct {
	Columns []Column
	Tables  []TableName
	Strings []*ast.Ident // in double quotes, that no column has: texts
}

// Column is a name that stands for a column.
type Column struct {
	Table *Table
	Index int // in Table.Columns; -1 for the row id, and for the column that is the row id
	Name  *ast.Ident
}

// TableName is a name that stands for a table, not for an alias of it.
type TableName struct {
	Table *Table
	Name  *ast.Ident
}

// resolver is at work on one text.
type resolver struct {
	cat   Catalog
	text  Text
	names *Names
	noted map[int]bool // by their places

	silent  int      // not 0: nothing is noted
	with    *withs   // the WITH clauses in sight
	trigger *trigger // whose rows NEW and OLD are; or nil
	fault   error    // the last one, where an expression goes on after it
	depth   int
	nParts  int
	used    map[*ast.CTE]bool
	tables  map[*ast.InExpr]*ast.SelectStmt // x IN table as a SELECT
}

// Limits on SELECTs that nest, and on all of a text.
const (
	depthMax = 100
	partsMax = 20000
)

func newResolver(cat Catalog, text Text) *resolver {
	return &resolver{cat: cat, text: text, names: &Names{}, noted: map[int]bool{}, used: map[*ast.CTE]bool{}, tables: map[*ast.InExpr]*ast.SelectStmt{}}
}

// View resolves the query of a view.
func View(cat Catalog, text Text, q *ast.SelectStmt) (*Names, error) {
	r := newResolver(cat, text)
	if _, err := r.query(q, nil); err != nil {
		return nil, err
	}
	r.noteUnused(q)
	return r.names, nil
}

// query expands and resolves a SELECT.
func (r *resolver) query(q *ast.SelectStmt, outer *context) (*compound, error) {
	c := r.compound(q)
	if err := r.expand(c, len(c.parts)-1); err != nil {
		return nil, err
	}
	return c, r.resolve(c, outer)
}

// found notes what a name stands for. Names that expanding a star made have no
// place in the text.
func (r *resolver) found(t *Table, index int, name *ast.Ident) {
	if r.silent == 0 && name.End() > 0 && !r.noted[name.Pos()] {
		r.noted[name.Pos()] = true
		r.names.Columns = append(r.names.Columns, Column{t, index, name})
	}
}

func (r *resolver) foundTable(t *Table, name *ast.Ident) {
	if r.silent == 0 && name != nil && name.End() > 0 && !r.noted[name.Pos()] {
		r.noted[name.Pos()] = true
		r.names.Tables = append(r.names.Tables, TableName{t, name})
	}
}

func (r *resolver) foundString(name *ast.Ident) {
	if r.silent == 0 && name.End() > 0 && !r.noted[name.Pos()] {
		r.noted[name.Pos()] = true
		r.names.Strings = append(r.names.Strings, name)
	}
}

// find looks a table up by the name that a text has for it.
func (r *resolver) find(q *ast.QualifiedName) (*Table, error) {
	database, written := "", q.Name.Name
	switch {
	case q.Schema != nil:
		database, written = fold(q.Schema.Name), q.Schema.Name+"."+written
	case !r.text.Temp:
		database, written = "main", "main."+written
	}
	if t := r.cat.Find(database, q.Name.Name); t != nil {
		return t, nil
	}
	return nil, sqlerr.Errorf("no such table: %s", written)
}

// view finds the columns of a view by resolving its query.
func (r *resolver) view(t *Table) error {
	switch {
	case t.View == nil || t.known:
		return nil
	case t.active:
		return sqlerr.Errorf("view %s is circularly defined", t.Name)
	}
	t.active = true
	defer func() { t.active = false }()
	in := newResolver(r.cat, Text{SQL: t.Text, Pos: t.Pos, Temp: t.Database == "temp"})
	in.silent, in.depth = 1, r.depth+1
	c, err := in.query(t.View, nil)
	if err != nil {
		return err
	}
	results := c.parts[0].results
	t.Columns, t.noExpand = in.columnNames(results)
	if t.ViewColumns != nil {
		t.Columns, t.noExpand = t.ViewColumns, nil
	}
	t.known = true
	return nil
}

// source is an expression as it was written.
func (r *resolver) source(n ast.Node) string {
	from, to := n.Pos()-r.text.Pos, n.End()-r.text.Pos
	if from < 0 || to > len(r.text.SQL) || from > to {
		return ""
	}
	return strings.TrimSpace(r.text.SQL[from:to])
}

// column returns the index of a column by name in any case, -1 when there is none.
func (t *Table) column(name string) int {
	for i := range t.Columns {
		if same(t.Columns[i], name) {
			return i
		}
	}
	return -1
}

// index is a column as it is noted: the row id, whatever it is called, is -1.
func (t *Table) index(i int) int {
	if i == t.RowID {
		return -1
	}
	return i
}

func (t *Table) hides(i int) bool { return i < len(t.Hidden) && t.Hidden[i] }

func isRowID(name string) bool {
	return same(name, "rowid") || same(name, "_rowid_") || same(name, "oid")
}

func same(a, b string) bool { return ast.SameName(a, b) }

func fold(name string) string { return ast.Fold(name) }

// plain is an expression without parentheses and COLLATE around it.
func plain(e ast.Expr) ast.Expr {
	for {
		switch n := e.(type) {
		case *ast.ParenExpr:
			e = n.X
		case *ast.CollateExpr:
			e = n.X
		default:
			return e
		}
	}
}
