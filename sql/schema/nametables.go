package schema

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/resolve"
)

// nameCatalog finds the tables that the names in views and triggers stand for.
type nameCatalog struct {
	s         *Schema // as a connection sees it
	functions func(name string) *resolve.Table
	tables    map[*Table]*resolve.Table
	system    map[string]*resolve.Table // by database and name
}

func newNameCatalog(s *Schema, functions func(name string) *resolve.Table) *nameCatalog {
	return &nameCatalog{s: s, functions: functions, tables: map[*Table]*resolve.Table{}, system: map[string]*resolve.Table{}}
}

// Find implements resolve.Catalog.
func (c *nameCatalog) Find(database, name string) *resolve.Table {
	for _, in := range []string{"temp", "main"} {
		if database != "" && database != in {
			continue
		}
		s := c.s.Catalog(in)
		if t := c.systemTable(s, in, fold(name)); t != nil {
			return t
		}
		if t := s.Table(name); t != nil {
			return c.table(t)
		}
	}
	if c.functions == nil {
		return nil
	}
	key := "function " + fold(name)
	if t, ok := c.system[key]; ok {
		return t
	}
	c.system[key] = c.functions(name)
	return c.system[key]
}

// systemTable is a table that no object of the schema is.
func (c *nameCatalog) systemTable(s *Schema, in, name string) *resolve.Table {
	t := &resolve.Table{Database: in, RowID: -1, HasRowID: true}
	switch {
	case in == "main" && (name == "sqlite_master" || name == "sqlite_schema"):
		t.Name = "sqlite_master"
	case in == "temp" && (name == "sqlite_temp_master" || name == "sqlite_temp_schema"):
		t.Name = "sqlite_temp_master"
	case name == "sqlite_sequence" && s.hasAutoIncrement():
		t.Name = name
	default:
		return nil
	}
	t.Columns = []string{"type", "name", "tbl_name", "rootpage", "sql"}
	if t.Name == name && name == "sqlite_sequence" {
		t.Columns = []string{"name", "seq"}
	}
	key := in + "." + t.Name
	if c.system[key] == nil {
		c.system[key] = t
	}
	return c.system[key]
}

func (s *Schema) hasAutoIncrement() bool {
	for _, t := range s.Tables {
		if t.AutoIncrement {
			return true
		}
	}
	return false
}

// table is a table or view as names see it.
func (c *nameCatalog) table(t *Table) *resolve.Table {
	if known := c.tables[t]; known != nil {
		return known
	}
	out := &resolve.Table{Database: t.Database(), Name: t.Name, RowID: t.RowID, HasRowID: t.PrimaryKey == nil && !t.IsView()}
	for i := range t.Columns {
		out.Columns = append(out.Columns, t.Columns[i].Name)
	}
	for _, ix := range t.Indexes {
		out.Indexes = append(out.Indexes, ix.Name)
	}
	if t.IsView() {
		out.RowID = -1
		out.View, out.ViewColumns, out.Text = t.View, t.ViewColumns, t.SQL
	}
	c.tables[t] = out
	return out
}

// resolve finds what the names in a view or trigger stand for.
func (c *nameCatalog) resolve(s *Schema, o Object, st parse.Stmt) (*resolve.Names, error) {
	in := resolve.Text{SQL: st.Text, Pos: st.Pos, Temp: s.Place().temp()}
	switch n := st.Stmt.(type) {
	case *ast.CreateViewStmt:
		return resolve.View(c, in, n.Select)
	case *ast.CreateTriggerStmt:
		on := s.Table(o.Table)
		if in.Temp && o.Root == onMain {
			on = c.s.mainOnly().Table(o.Table)
		}
		if on == nil { // another connection dropped a table of main: the trigger does nothing
			return &resolve.Names{}, nil
		}
		return resolve.Trigger(c, in, n, c.table(on))
	}
	return &resolve.Names{}, nil
}
