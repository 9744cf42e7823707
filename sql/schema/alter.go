package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// Altered says what ALTER TABLE leaves to the caller.
type Altered struct {
	Before, After *Table
	Dropped       int  // index in Before.Columns of the column to take out of every row, -1 when none
	Test          bool // a column was added of which the rows must be tested
}

// AlterTable changes the records as the statement says. Rows stay as they are:
// those written before ADD COLUMN are short of the new column, which then has
// its default; after DROP COLUMN the caller rewrites the rows of After.
//
// A column that a view or trigger names cannot be renamed or dropped, nor a
// table where one gives its name to something else: an error says which.
func AlterTable(tx *engine.Tx, s *Schema, st parse.Stmt) (*Altered, error) {
	n, ok := st.Stmt.(*ast.AlterTableStmt)
	if !ok {
		return nil, sqlerr.New(sqlerr.Misuse, "not an ALTER TABLE statement")
	}
	t, err := s.target(n.Table, false, "table")
	if err != nil {
		return nil, err
	}
	if t.IsView() {
		return nil, sqlerr.Errorf("cannot alter view %s", t.Name)
	}
	w, err := newWriter(tx)
	if err != nil {
		return nil, err
	}
	a := &alteration{s: s, t: t, n: n, st: st, w: w}
	out := &Altered{Before: t, Dropped: -1}
	name := t.Name
	switch n.Action {
	case ast.AlterRenameTable:
		name = n.NewName.Name
		err = a.renameTable()
	case ast.AlterRenameColumn:
		err = a.renameColumn()
	case ast.AlterAddColumn:
		out.Test, err = a.addColumn()
	case ast.AlterDropColumn:
		out.Dropped, err = a.dropColumn()
	default:
		err = sqlerr.Unsupported("ALTER TABLE on constraints")
	}
	if err := errors.Join(err, w.finish()); err != nil {
		return nil, err
	}
	after, err := Load(tx)
	if err != nil {
		return nil, err
	}
	out.After = after.Table(name)
	return out, nil
}

// alteration is one ALTER TABLE at work.
type alteration struct {
	s  *Schema
	t  *Table
	n  *ast.AlterTableStmt
	st parse.Stmt
	w  *writer
}

// notUsed refuses what would break a view or trigger: those that read the
// table and hold the name of the column.
func (a *alteration) notUsed(what, column string) error {
	for _, v := range a.s.Tables {
		if v.IsView() && mentions(v.View, a.t.Name) && holdsWord(v.View, column) {
			return a.usedError(what, "view", v.Name)
		}
		for _, g := range v.Triggers {
			if g.uses(a.t, column) {
				return a.usedError(what, "trigger", g.Name)
			}
		}
	}
	return nil
}

func (a *alteration) usedError(what, kind, name string) error {
	return sqlerr.Unsupported(fmt.Sprintf("%s of table %s while %s %s reads it: drop the %s first", what, a.t.Name, kind, name, kind))
}

// notShadowed refuses to rename a table in a view or trigger that gives its
// name to something else too.
func (a *alteration) notShadowed() error {
	for _, v := range a.s.Tables {
		if v.IsView() && mentions(v.View, a.t.Name) && shadows(v.View, a.t.Name) {
			return a.usedError("renaming", "view", v.Name)
		}
		for _, g := range v.Triggers {
			for _, stmt := range g.Body {
				if shadows(stmt, a.t.Name) {
					return a.usedError("renaming", "trigger", g.Name)
				}
			}
		}
	}
	return nil
}

// rewrite edits the text of every object and writes those that change.
func (a *alteration) rewrite(edits func(ast.Stmt) []edit, change func(*Object)) error {
	for _, o := range a.s.Objects {
		before := o
		change(&o)
		if o.SQL != "" {
			st, err := parse.One(o.SQL)
			if err != nil {
				return err
			}
			o.SQL = apply(st, edits(st.Stmt))
		}
		if o != before {
			if err := a.w.put(o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *alteration) renameTable() error {
	from, to := a.t.Name, a.n.NewName.Name
	if err := checkReserved(to); err != nil {
		return err
	}
	if a.s.Index(to) != nil || a.s.Table(to) != nil && fold(to) != fold(from) {
		return sqlerr.Errorf("there is already another table or index with this name: %s", to)
	}
	if err := a.notShadowed(); err != nil {
		return err
	}
	auto := "sqlite_autoindex_" + from + "_"
	return a.rewrite(func(st ast.Stmt) []edit { return renameTable(st, from, quote(to)) }, func(o *Object) {
		if fold(o.Table) != fold(from) {
			return
		}
		o.Table = to
		if o.Type == "table" {
			o.Name = to
		} else if o.SQL == "" && strings.HasPrefix(fold(o.Name), fold(auto)) {
			o.Name = "sqlite_autoindex_" + to + "_" + o.Name[len(auto):]
		}
	})
}

func (a *alteration) renameColumn() error {
	from, to := a.n.Column.Name, a.n.NewName.Name
	i := a.t.Column(from)
	if i < 0 {
		return sqlerr.Errorf("no such column: \"%s\"", from)
	}
	if j := a.t.Column(to); j >= 0 && j != i {
		return sqlerr.Errorf("duplicate column name: %s", to)
	}
	if err := a.notUsed("renaming a column", from); err != nil {
		return err
	}
	return a.rewrite(func(st ast.Stmt) []edit { return renameColumn(st, a.t.Name, from, quote(to)) }, func(*Object) {})
}

func (a *alteration) addColumn() (test bool, err error) {
	def := a.n.ColumnDef
	if a.t.Column(def.Name.Name) >= 0 {
		return false, sqlerr.Errorf("duplicate column name: %s", def.Name.Name)
	}
	st, n, err := a.definition()
	if err != nil {
		return false, err
	}
	end := n.Columns[len(n.Columns)-1].End()
	text := a.st.Text[def.Pos()-a.st.Pos : def.End()-a.st.Pos]
	if test, err = a.checkNewColumn(def); err != nil {
		return false, err
	}
	return test, a.putTable(apply(st, []edit{{end, end, ", " + text}}))
}

// checkNewColumn refuses what rows that exist could not satisfy; test: it
// depends on the rows.
func (a *alteration) checkNewColumn(def *ast.ColumnDef) (test bool, err error) {
	var notNull, value, check, variable, generated bool
	for _, k := range def.Constraints {
		switch k.Kind {
		case ast.ColumnPrimaryKey:
			return false, sqlerr.Errorf("Cannot add a PRIMARY KEY column")
		case ast.ColumnUnique:
			return false, sqlerr.Errorf("Cannot add a UNIQUE column")
		case ast.ColumnNotNull:
			notNull = true
		case ast.ColumnGenerated:
			generated = true
			if k.GeneratedKind != nil && fold(k.GeneratedKind.Name) == "stored" {
				return false, sqlerr.Errorf("cannot add a STORED column")
			}
		case ast.ColumnCheck:
			check = true
		case ast.ColumnDefault:
			lit, isLit := k.Expr.(*ast.Literal)
			value = !isLit || lit.Kind != ast.LitNull
			_, paren := k.Expr.(*ast.ParenExpr)
			variable = paren || isLit && lit.Kind >= ast.LitCurrentDate
		default: // asks nothing of rows that exist
		}
	}
	if generated && notNull {
		check, notNull = true, false
	}
	test = check || a.t.Strict && value
	if (!notNull || value) && !variable {
		return test, nil
	}
	empty, err := a.empty()
	switch {
	case err != nil || empty:
		return false, err
	case notNull && !value:
		return false, sqlerr.Errorf("Cannot add a NOT NULL column with default value NULL")
	}
	return false, sqlerr.Errorf("Cannot add a column with non-constant default")
}

func (a *alteration) empty() (empty bool, err error) {
	c, err := a.w.tx.Collection(TableCollection(a.t.Root))
	if err != nil {
		return false, fmt.Errorf("alter table: %w", err)
	}
	cur := c.Cursor(nil, nil)
	defer func() { err = errors.Join(err, cur.Close()) }()
	return !cur.Next(), cur.Err()
}

func (a *alteration) dropColumn() (int, error) {
	name := a.n.Column.Name
	i := a.t.Column(name)
	if i < 0 {
		return -1, sqlerr.Errorf("no such column: \"%s\"", name)
	}
	if err := a.droppable(i); err != nil {
		return -1, err
	}
	st, n, err := a.definition()
	if err != nil {
		return -1, err
	}
	cut := edit{start: n.Columns[max(i-1, 0)].End(), end: n.Columns[i].End()}
	if i == 0 {
		cut = edit{start: n.Columns[0].Pos(), end: n.Columns[1].Pos()}
	}
	return i, a.putTable(apply(st, []edit{cut}))
}

func (a *alteration) droppable(i int) error {
	c := &a.t.Columns[i]
	switch {
	case c.PKIndex > 0:
		return sqlerr.Errorf("cannot drop PRIMARY KEY column: \"%s\"", c.Name)
	case len(a.t.Columns) == 1:
		return sqlerr.Errorf("cannot drop column \"%s\": no other columns exist", c.Name)
	}
	for _, ix := range a.t.Indexes {
		keyed := slices.ContainsFunc(ix.Columns, func(k IndexColumn) bool { return k.Column == i || k.Expr != nil && uses(k.Expr, c.Name) })
		switch {
		case keyed && ix.Origin != OriginCreate:
			return sqlerr.Errorf("cannot drop UNIQUE column: \"%s\"", c.Name)
		case keyed || uses(ix.Where, c.Name):
			return sqlerr.Errorf("error in index %s after drop column: no such column: %s", ix.Name, c.Name)
		}
	}
	_, n, err := a.definition()
	if err != nil {
		return err
	}
	var outside bool // a CHECK that stays names the column
	for j, d := range n.Columns {
		for _, k := range d.Constraints {
			outside = outside || j != i && (k.Kind == ast.ColumnCheck || k.Kind == ast.ColumnGenerated) && uses(k.Expr, c.Name)
		}
	}
	for _, k := range n.Constraints {
		outside = outside || k.Kind == ast.TableCheck && uses(k.Expr, c.Name)
	}
	if outside {
		return sqlerr.Errorf("error in table %s after drop column: no such column: %s", a.t.Name, c.Name)
	}
	for _, k := range n.Constraints {
		for _, f := range k.FKColumns {
			if fold(f.Name.Name) == fold(c.Name) {
				return sqlerr.Errorf("error in table %s after drop column: unknown column \"%s\" in foreign key definition", a.t.Name, c.Name)
			}
		}
	}
	return a.notUsed("dropping a column", c.Name)
}

// definition parses the table's text anew: its spans fit the text.
func (a *alteration) definition() (parse.Stmt, *ast.CreateTableStmt, error) {
	st, err := parse.One(a.t.SQL)
	if err != nil {
		return st, nil, err
	}
	n, ok := st.Stmt.(*ast.CreateTableStmt)
	if !ok {
		return st, nil, corrupt("%s is no table", a.t.Name)
	}
	return st, n, nil
}

func (a *alteration) putTable(sql string) error {
	t := a.t
	return a.w.put(Object{Type: "table", Name: t.Name, Table: t.Name, Root: t.Root, SQL: sql, id: t.id})
}
