package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/resolve"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// Altered says what ALTER TABLE leaves to the caller.
type Altered struct {
	Before, After *Table
	Dropped       int  // index in Before.Columns of the column to take out of every row, -1 when none
	Test          bool // a column was added of which the rows must be tested
}

// AlterOptions say how ALTER TABLE works.
type AlterOptions struct {
	Functions   func(name string) *resolve.Table // tables that are functions; nil for another name
	Legacy      bool                             // PRAGMA legacy_alter_table: views and triggers are left as they are
	ForeignKeys bool                             // they are enforced
}

// AlterTable changes the records as the statement says, those of views and
// triggers that name what it renames included. Rows stay as they are:
// those written before ADD COLUMN are short of the new column, which then has
// its default; after DROP COLUMN the caller rewrites the rows of After.
//
// A view or trigger that means nothing, before or after, is an error.
func AlterTable(tx *engine.Tx, s *Schema, st parse.Stmt, o AlterOptions) (*Altered, error) {
	n, ok := st.Stmt.(*ast.AlterTableStmt)
	if !ok {
		return nil, sqlerr.New(sqlerr.Misuse, "not an ALTER TABLE statement")
	}
	t, err := s.altered(n)
	if err != nil {
		return nil, err
	}
	a := &alteration{tx: tx, s: s, in: s.Of(t), t: t, n: n, st: st, AlterOptions: o, writers: map[Place]*writer{}}
	a.names = newNameCatalog(s, o.Functions)
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
	if err != nil {
		return nil, err
	}
	after, err := a.finish()
	if err != nil {
		return nil, err
	}
	out.After = after.Table(name)
	return out, nil
}

// altered finds the table that the statement is about.
func (s *Schema) altered(n *ast.AlterTableStmt) (*Table, error) {
	t := s.Find(n.Table)
	switch {
	case t == nil && isSystemTable(n.Table.Name.Name):
		return nil, sqlerr.Errorf("table %s may not be altered", n.Table.Name.Name)
	case t == nil:
		return nil, sqlerr.Errorf("no such table: %s", asWritten(n.Table))
	case strings.HasPrefix(fold(t.Name), "sqlite_"):
		return nil, sqlerr.Errorf("table %s may not be altered", t.Name)
	case !t.IsView():
		return t, nil
	}
	switch n.Action {
	case ast.AlterRenameColumn:
		return nil, sqlerr.Errorf("cannot rename columns of view \"%s\"", t.Name)
	case ast.AlterDropColumn:
		return nil, sqlerr.Errorf("cannot drop column from view \"%s\"", t.Name)
	case ast.AlterAddColumn:
		return nil, sqlerr.Errorf("Cannot add a column to a view")
	default:
		return nil, sqlerr.Errorf("view %s may not be altered", t.Name)
	}
}

func isSystemTable(name string) bool {
	switch fold(name) {
	case "sqlite_schema", "sqlite_master", "sqlite_sequence", "sqlite_temp_schema", "sqlite_temp_master":
		return true
	}
	return false
}

// alteration is one ALTER TABLE at work.
type alteration struct {
	AlterOptions
	tx    *engine.Tx
	s     *Schema // as the connection sees it
	in    *Schema // of the table's database alone
	t     *Table
	n     *ast.AlterTableStmt
	st    parse.Stmt
	names *nameCatalog // what names stand for before it

	writers map[Place]*writer
	when    string // how errors of what it leaves behind begin, after the object's name
}

// writer returns what changes the records of a database.
func (a *alteration) writer(p Place) (*writer, error) {
	if a.writers[p] == nil {
		w, err := newWriter(a.tx, p)
		if err != nil {
			return nil, err
		}
		a.writers[p] = w
	}
	return a.writers[p], nil
}

func (a *alteration) put(p Place, o Object) error {
	w, err := a.writer(p)
	if err != nil {
		return err
	}
	return w.put(o)
}

// finish reads the schema anew and tests what the table's views and triggers
// have become. It returns the schema of the table's database alone.
func (a *alteration) finish() (*Schema, error) {
	if _, err := a.writer(a.in.Place()); err != nil {
		return nil, err
	}
	for _, w := range a.writers {
		if err := w.finish(); err != nil {
			return nil, err
		}
	}
	in, err := a.reload(a.in.Place())
	if err != nil {
		return nil, err
	}
	if a.n.Action == ast.AlterAddColumn {
		return in, nil
	}
	whole := in
	if a.s.joined != nil {
		main, temp := a.s.joined.main, in
		if !a.t.IsTemp() {
			main = in
			if temp, err = a.reload(a.s.joined.temp.Place()); err != nil {
				return nil, err
			}
		}
		whole = Join(main, temp)
	}
	return in, a.test(newNameCatalog(whole, a.Functions), a.when)
}

// reload reads a catalog that was changed. What does not make a schema is the
// statement's fault.
func (a *alteration) reload(p Place) (*Schema, error) {
	return loadWith(a.tx, p, func(o Object, err error) error {
		var fault *sqlerr.Error
		if !errors.As(err, &fault) || isLoop(fault) { // that of a loop is as in CREATE TABLE
			return err
		}
		return faultIn(o, a.when, fault)
	})
}

func (a *alteration) addColumn() (test bool, err error) {
	def := a.n.ColumnDef
	a.when = "after add column"
	if a.t.Column(def.Name.Name) >= 0 {
		return false, sqlerr.Errorf("duplicate column name: %s", def.Name.Name)
	}
	if isRowID(def.Name.Name) && !a.t.WithoutRowID {
		return false, sqlerr.Errorf("cannot add rowid alias: %s", def.Name.Name)
	}
	st, n, err := a.definition()
	if err != nil {
		return false, err
	}
	end := endOfColumns(st, n)
	text := a.st.Text[def.Pos()-a.st.Pos : def.End()-a.st.Pos]
	if test, err = a.checkNewColumn(def); err != nil {
		return false, err
	}
	return test, a.putTable(apply(st, []edit{{end, end, ", " + text}}))
}

// checkNewColumn refuses what rows that exist could not satisfy; test: it
// depends on the rows.
func (a *alteration) checkNewColumn(def *ast.ColumnDef) (test bool, err error) {
	var notNull, value, check, variable, generated, hasDefault bool
	for _, k := range def.Constraints {
		if k.Kind == ast.ColumnGenerated && hasDefault {
			return false, sqlerr.Errorf("error in generated column \"%s\"", def.Name.Name)
		}
		if hasDefault = hasDefault || k.Kind == ast.ColumnDefault; hasDefault && generated {
			return false, sqlerr.Errorf("cannot use DEFAULT on a generated column")
		}
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
			variable = !isConstant(k.Expr)
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

// isConstant reports whether a default is a literal, whatever its sign and its
// parentheses: one that rows may have without being written.
func isConstant(e ast.Expr) bool {
	switch n := e.(type) {
	case *ast.Literal:
		return n.Kind < ast.LitCurrentDate
	case *ast.Ident: // a bare word is a text; TRUE and FALSE are numbers
		return true
	case *ast.ParenExpr:
		return isConstant(n.X)
	case *ast.UnaryExpr:
		return n.Op != ast.OpNot && isConstant(n.X)
	case *ast.CastExpr:
		return isConstant(n.X)
	}
	return false
}

func (a *alteration) empty() (empty bool, err error) {
	c, err := a.tx.Collection(a.t.Collection())
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
		return -1, sqlerr.Errorf("no such column: \"%s\"", a.n.Column.Raw)
	}
	if err := a.droppable(i); err != nil {
		return -1, err
	}
	if err := a.test(a.names, ""); err != nil {
		return -1, err
	}
	a.when = "after drop column"
	return i, a.edit(func(x *text) []edit {
		n, ok := x.st.Stmt.(*ast.CreateTableStmt)
		if !ok || x.temp != a.t.IsTemp() || fold(x.object.Name) != fold(a.t.Name) {
			return x.singleQuotes()
		}
		cut := edit{start: n.Columns[i].Pos()}
		if i < len(n.Columns)-1 {
			cut.end = n.Columns[i+1].Pos()
		} else { // with the comma before it
			cut.start, cut.end = behindBlanks(x.st, n.Columns[i-1].End()), endOfColumns(x.st, n)
		}
		outside := slices.DeleteFunc(x.singleQuotes(), func(e edit) bool { return e.start >= cut.start && e.end <= cut.end })
		return append(outside, cut)
	}, nil)
}

// endOfColumns returns where the list of columns ends: the comma before the
// constraints, or the closing parenthesis.
func endOfColumns(st parse.Stmt, n *ast.CreateTableStmt) int {
	return behindBlanks(st, n.Columns[len(n.Columns)-1].End())
}

// behindBlanks returns the place of the token that begins at or behind pos.
func behindBlanks(st parse.Stmt, pos int) int {
	for text := st.Text[pos-st.Pos:]; text != ""; text = st.Text[pos-st.Pos:] {
		var n int
		switch {
		case strings.HasPrefix(text, "--"):
			n = strings.IndexByte(text, '\n') + 1
		case strings.HasPrefix(text, "/*"):
			n = strings.Index(text, "*/") + 2
		case strings.IndexByte(" \t\n\f\r", text[0]) >= 0:
			n = 1
		default:
			return pos
		}
		pos += n
	}
	return pos
}

func (a *alteration) droppable(i int) error {
	c := &a.t.Columns[i]
	switch {
	case isRowID(c.Name) && !a.t.WithoutRowID:
		return sqlerr.Errorf("cannot drop rowid alias: %s", a.n.Column.Name)
	case c.PKIndex > 0:
		return sqlerr.Errorf("cannot drop PRIMARY KEY column: \"%s\"", a.n.Column.Name)
	}
	_, n, err := a.definition()
	if err != nil {
		return err
	}
	for _, k := range n.Columns[i].Constraints {
		if k.Kind == ast.ColumnUnique {
			return sqlerr.Errorf("cannot drop UNIQUE column: \"%s\"", a.n.Column.Name)
		}
	}
	if len(a.t.Columns) == 1 {
		return sqlerr.Errorf("cannot drop column \"%s\": no other columns exist", a.n.Column.Name)
	}
	return nil
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
	return a.put(t.place, Object{Type: "table", Name: t.Name, Table: t.Name, Root: t.Root, SQL: sql, id: t.id})
}
