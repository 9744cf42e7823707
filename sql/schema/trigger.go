package schema

import (
	"errors"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// Event is what a trigger waits for.
type Event int

// The events.
const (
	Insert Event = iota
	Update
	Delete
)

// Trigger is a trigger on a table or view.
type Trigger struct {
	Name     string
	Table    *Table
	Time     ast.TriggerTime
	Event    Event
	UpdateOf []string // nil: an update of any column
	When     ast.Expr // or nil
	Body     []ast.Stmt
	SQL      string

	id   uint64 // of its record
	on   string // name of its table
	temp bool   // Table is nil where that is one of main
}

// Reference is a foreign key seen from its parent.
type Reference struct {
	Child *Table
	Key   *ForeignKey
}

// Trigger returns a trigger by name in any case, or nil.
func (s *Schema) Trigger(name string) *Trigger {
	name = fold(name)
	if temp := s.tempFirst(); temp != nil && temp.triggers[name] != nil {
		return temp.triggers[name]
	}
	return s.triggers[name]
}

// References returns the foreign keys whose parent has this name, in order of
// creation.
func (s *Schema) References(parent string) []Reference { return s.references[fold(parent)] }

func buildTrigger(n *ast.CreateTriggerStmt, t *Table) *Trigger {
	g := &Trigger{Name: n.Name.Name.Name, Table: t, Time: n.Time, When: n.When, Body: n.Body}
	switch {
	case ast.SameName(n.Event, "INSERT"):
		g.Event = Insert
	case ast.SameName(n.Event, "UPDATE"):
		g.Event = Update
	default:
		g.Event = Delete
	}
	for _, c := range n.UpdateOf {
		g.UpdateOf = append(g.UpdateOf, c.Name)
	}
	return g
}

func (s *Schema) addTrigger(n *ast.CreateTriggerStmt, o Object) error {
	t := s.Table(o.Table)
	foreign := s.Place().temp() && o.Root == onMain
	switch {
	case foreign:
		t = nil
	case t == nil:
		return sqlerr.Errorf("no such table: %s", o.Table)
	}
	g := buildTrigger(n, t)
	g.SQL, g.id, g.on, g.temp = o.SQL, o.id, o.Table, s.Place().temp()
	if foreign {
		s.mainTriggers[fold(o.Table)] = append(s.mainTriggers[fold(o.Table)], g)
	} else {
		t.Triggers = append(t.Triggers, g)
	}
	s.triggers[fold(g.Name)] = g
	return nil
}

// CreateTrigger keeps a trigger; whether its body means anything shows when it
// is used.
func CreateTrigger(tx *engine.Tx, s *Schema, st parse.Stmt) error {
	n, ok := st.Stmt.(*ast.CreateTriggerStmt)
	if !ok {
		return sqlerr.New(sqlerr.Misuse, "not a CREATE TRIGGER statement")
	}
	in, t, err := s.triggerTable(n)
	if err != nil {
		return err
	}
	name := n.Name.Name.Name
	if err := checkReserved(name); err != nil {
		return err
	}
	if in.Trigger(name) != nil {
		if n.IfNotExists {
			return nil
		}
		return sqlerr.Errorf("trigger %s already exists", name)
	}
	if err := checkTriggerTime(n, t); err != nil {
		return err
	}
	if err := checkTriggerBody(n, in.Place().temp()); err != nil {
		return err
	}
	if !in.Place().temp() {
		parts := make([]ast.Node, 0, len(n.Body)+1)
		for _, stmt := range n.Body {
			parts = append(parts, stmt)
		}
		if n.When != nil {
			parts = append(parts, n.When)
		}
		if err := checkForeign("trigger", name, parts...); err != nil {
			return err
		}
	}
	w, err := newWriter(tx, in.Place())
	if err != nil {
		return err
	}
	o := Object{Type: "trigger", Name: name, Table: t.Name, SQL: "CREATE TRIGGER " + verbatim(st, n.Name), id: w.nextID()}
	if in.Place().temp() && !t.IsTemp() {
		o.Root = onMain
	}
	if err := w.put(o); err != nil {
		return err
	}
	return w.finish()
}

// triggerTable returns the schema in which CREATE TRIGGER makes a trigger, and
// the table or view that it is on. A trigger on a temporary table is temporary.
func (s *Schema) triggerTable(n *ast.CreateTriggerStmt) (in *Schema, t *Table, err error) {
	t = s.Find(n.Table)
	switch {
	case n.Temp && n.Name.Schema != nil:
		return nil, nil, sqlerr.Errorf("temporary trigger may not have qualified name")
	case n.Temp:
		in = s.Catalog("temp")
	case n.Name.Schema != nil:
		if in = s.Catalog(n.Name.Schema.Name); in == nil {
			return nil, nil, sqlerr.Errorf("unknown database %s", n.Name.Schema.Name)
		}
	case t != nil:
		in = s.Of(t)
	default:
		in = s.mainOnly()
	}
	table := n.Table.Name.Name
	if !in.Place().temp() {
		if q := n.Table.Schema; q != nil && fold(q.Name) != "main" {
			return nil, nil, sqlerr.Errorf("trigger %s cannot reference objects in database %s", n.Name.Name.Name, q.Name)
		}
		t = in.Table(table)
	}
	if t != nil {
		return in, t, nil
	}
	if in.system(table) {
		return nil, nil, sqlerr.Errorf("cannot create trigger on system table")
	}
	if in.Place().temp() {
		return nil, nil, sqlerr.Errorf("no such table: %s", asWritten(n.Table))
	}
	return nil, nil, sqlerr.Errorf("no such table: main.%s", table)
}

func checkTriggerTime(n *ast.CreateTriggerStmt, t *Table) error {
	switch {
	case t.IsView() && n.Time != ast.TriggerInsteadOf:
		when := "BEFORE"
		if n.Time == ast.TriggerAfter {
			when = "AFTER"
		}
		return sqlerr.Errorf("cannot create %s trigger on view: %s", when, n.Table.Name.Name)
	case !t.IsView() && n.Time == ast.TriggerInsteadOf:
		return sqlerr.Errorf("cannot create INSTEAD OF trigger on table: %s", n.Table.Name.Name)
	}
	return nil
}

// checkTriggerBody refuses what no trigger may do, and changes to tables with
// qualified names, which a temporary one may make.
func checkTriggerBody(n *ast.CreateTriggerStmt, temp bool) error {
	for _, stmt := range n.Body {
		if err := checkTriggerChange(stmt, temp); err != nil {
			return err
		}
	}
	var err error
	ast.Walk(n, func(c ast.Node) bool {
		if _, ok := c.(*ast.BindParam); ok {
			err = sqlerr.Errorf("trigger cannot use variables")
		}
		return err == nil
	})
	return err
}

// checkTriggerChange refuses what a change of rows may not say in a trigger.
func checkTriggerChange(stmt ast.Stmt, temp bool) error {
	var q *ast.QualifiedName
	var indexedBy *ast.Ident
	var notIndexed bool
	var returning []*ast.ResultColumn
	switch b := stmt.(type) {
	case *ast.InsertStmt:
		q, returning = b.Table, b.Returning
	case *ast.UpdateStmt:
		q, indexedBy, notIndexed, returning = b.Table, b.IndexedBy, b.NotIndexed, b.Returning
	case *ast.DeleteStmt:
		q, indexedBy, notIndexed, returning = b.Table, b.IndexedBy, b.NotIndexed, b.Returning
	}
	const not = "the %s clause is not allowed on UPDATE or DELETE statements within triggers"
	switch {
	case q != nil && q.Schema != nil && !temp:
		return sqlerr.Errorf("qualified table names are not allowed on INSERT, UPDATE, and DELETE statements within triggers")
	case indexedBy != nil:
		return sqlerr.Errorf(not, "INDEXED BY")
	case notIndexed:
		return sqlerr.Errorf(not, "NOT INDEXED")
	case len(returning) > 0:
		return sqlerr.Errorf("cannot use RETURNING in a trigger")
	}
	return nil
}

// DropTrigger removes a trigger. It returns false and no error when IF EXISTS
// finds none.
func DropTrigger(tx *engine.Tx, s *Schema, n *ast.DropTriggerStmt) (bool, error) {
	g := s.qualified(n.Name).Trigger(n.Name.Name.Name)
	switch {
	case g == nil && n.IfExists:
		return false, nil
	case g == nil:
		return false, sqlerr.Errorf("no such trigger: %s", asWritten(n.Name))
	}
	in := s.mainOnly()
	if g.temp {
		in = s.joined.temp
	}
	w, err := newWriter(tx, in.Place())
	if err != nil {
		return false, err
	}
	return true, errors.Join(w.remove(g.id), w.finish())
}

// dropTriggers removes the triggers of a table or view.
func (w *writer) dropTriggers(t *Table) error {
	for _, g := range t.Triggers {
		if err := w.remove(g.id); err != nil {
			return err
		}
	}
	return nil
}
