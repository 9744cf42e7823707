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
	w, err := newWriter(tx, t.place)
	if err != nil {
		return nil, err
	}
	a := &alteration{s: s.Of(t), t: t, n: n, st: st, w: w}
	if !t.IsTemp() && s.joined != nil {
		a.temp = s.joined.temp
	}
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
	after, err := loadAt(tx, t.place)
	var fault *sqlerr.Error
	if n.Action == ast.AlterAddColumn && errors.As(err, &fault) && fault.Code == sqlerr.Corrupt {
		err = sqlerr.Errorf("error in table %s after add column: %v", t.Name, errors.Unwrap(err))
	}
	if err != nil {
		return nil, err
	}
	out.After = after.Table(name)
	return out, nil
}

// alteration is one ALTER TABLE at work.
type alteration struct {
	s    *Schema // of the table's database alone
	temp *Schema // whose views and triggers may name a table of main; or nil
	t    *Table
	n    *ast.AlterTableStmt
	st   parse.Stmt
	w    *writer
}

// readers calls fn for each view and trigger, with the other one nil, that may
// name the table.
func (a *alteration) readers(fn func(v *Table, g *Trigger) error) error {
	for _, s := range []*Schema{a.s, a.temp} {
		if s == nil {
			continue
		}
		for _, o := range s.Objects {
			v, g := s.tables[fold(o.Name)], s.triggers[fold(o.Name)]
			var err error
			switch {
			case o.Type == "view" && v != nil:
				err = fn(v, nil)
			case o.Type == "trigger" && g != nil:
				err = fn(nil, g)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// notUsed refuses what would break a view or trigger: those that read the
// table and hold the name of the column.
func (a *alteration) notUsed(what, column string) error {
	return a.readers(func(v *Table, g *Trigger) error {
		switch {
		case v != nil && mentions(v.View, a.t.Name) && holdsWord(v.View, column):
			return a.usedError(what, "view", v.Name)
		case g != nil && g.uses(a.t, column):
			return a.usedError(what, "trigger", g.Name)
		}
		return nil
	})
}

func (a *alteration) usedError(what, kind, name string) error {
	return sqlerr.Unsupported(fmt.Sprintf("%s of table %s while %s %s reads it: drop the %s first", what, a.t.Name, kind, name, kind))
}

// notShadowed refuses to rename a table in a view or trigger that gives its
// name to something else too.
func (a *alteration) notShadowed() error {
	return a.readers(func(v *Table, g *Trigger) error {
		if v != nil && mentions(v.View, a.t.Name) && (shadows(v.View, a.t.Name) || a.otherToo(v.View, v.IsTemp())) {
			return a.usedError("renaming", "view", v.Name)
		}
		if g == nil {
			return nil
		}
		for _, stmt := range g.Body {
			if shadows(stmt, a.t.Name) || a.otherToo(stmt, g.temp) {
				return a.usedError("renaming", "trigger", g.Name)
			}
		}
		if g.When != nil && a.otherToo(g.When, g.temp) {
			return a.usedError("renaming", "trigger", g.Name)
		}
		return nil
	})
}

// otherToo reports whether a text of a temporary object names main's table
// where temp has one of that name: names alone do not say what is to be edited.
func (a *alteration) otherToo(n ast.Node, temp bool) (found bool) {
	in := a.temp
	if a.t.IsTemp() {
		in = a.s
	}
	if !temp || in == nil || in.Table(a.t.Name) == nil {
		return false
	}
	ast.Walk(n, func(n ast.Node) bool {
		if q, ok := n.(*ast.QualifiedName); ok && q.Schema != nil && fold(q.Schema.Name) == "main" && fold(q.Name.Name) == fold(a.t.Name) {
			found = true
		}
		return !found
	})
	return found
}

// rewrite edits the text of every object and writes those that change.
func (w *writer) rewrite(objects []Object, edits func(parse.Stmt, Object) []edit, change func(*Object)) error {
	for _, o := range objects {
		before := o
		if o.SQL != "" {
			st, err := parse.One(o.SQL)
			if err != nil {
				return err
			}
			o.SQL = apply(st, edits(st, o))
		}
		change(&o)
		if o != before {
			if err := w.put(o); err != nil {
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
	if a.s.Index(to) != nil || a.s.Table(to) != nil {
		return sqlerr.Errorf("there is already another table or index with this name: %s", to)
	}
	if err := a.notShadowed(); err != nil {
		return err
	}
	auto := "sqlite_autoindex_" + from + "_"
	foreign := func(o Object) bool { return a.t.IsTemp() && o.Type == "trigger" && o.Root == onMain }
	if err := a.renameInTemp(); err != nil {
		return err
	}
	return a.w.rewrite(a.s.Objects, func(st parse.Stmt, o Object) []edit {
		return renameTable(st.Stmt, from, quote(to), !foreign(o))
	}, func(o *Object) {
		if fold(o.Table) != fold(from) || foreign(*o) {
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

// renameInTemp renames a table of main in temporary views and triggers: in
// their texts unless the name is that of a temporary table there, and in any case
// where a trigger is on it.
func (a *alteration) renameInTemp() error {
	if a.temp == nil {
		return nil
	}
	from, to := a.t.Name, a.n.NewName.Name
	w, err := newWriter(a.w.tx, a.temp.place)
	if err != nil {
		return err
	}
	its := func(o Object) bool { return o.Type == "trigger" && o.Root == onMain && fold(o.Table) == fold(from) }
	err = w.rewrite(a.temp.Objects, func(st parse.Stmt, o Object) []edit {
		n, isTrigger := st.Stmt.(*ast.CreateTriggerStmt)
		switch {
		case o.Type != "view" && !isTrigger:
			return nil
		case a.temp.Table(from) == nil:
			return renameTable(st.Stmt, from, quote(to), its(o))
		case its(o):
			return []edit{replace(n.Table.Name, quote(to))}
		}
		return nil
	}, func(o *Object) {
		if its(*o) {
			o.Table = to
		}
	})
	return errors.Join(err, w.finish())
}

func (a *alteration) renameColumn() error {
	from, to := a.n.Column.Name, a.n.NewName.Name
	i := a.t.Column(from)
	if i < 0 {
		return sqlerr.Errorf("no such column: \"%s\"", from)
	}
	if j := a.t.Column(to); j >= 0 && j != i {
		return sqlerr.Errorf("error in table %s after rename: duplicate column name: %s", a.t.Name, to)
	}
	if err := a.notUsed("renaming a column", from); err != nil {
		return err
	}
	quoted := !isNameByte(a.st.Text[a.n.NewName.Pos()-a.st.Pos])
	return a.w.rewrite(a.s.Objects, func(st parse.Stmt, _ Object) []edit {
		edits := renameColumn(st.Stmt, a.t.Name, from, quote(to))
		for i, e := range edits {
			if !quoted && isNameByte(st.Text[e.start-st.Pos]) {
				edits[i].text = to
			}
		}
		return edits
	}, func(*Object) {})
}

// isNameByte reports whether a name without quotes may begin with c: a new name
// is written without them where both it and the one before it were.
func isNameByte(c byte) bool {
	return c == '_' || c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
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
	c, err := a.w.tx.Collection(a.t.Collection())
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
	cut := edit{start: n.Columns[i].Pos()}
	if i < len(n.Columns)-1 {
		cut.end = n.Columns[i+1].Pos()
	} else { // with the comma before it
		cut.start, cut.end = behindBlanks(st, n.Columns[i-1].End()), endOfColumns(st, n)
	}
	return i, a.putTable(apply(st, []edit{cut}))
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
	case c.PKIndex > 0:
		return sqlerr.Errorf("cannot drop PRIMARY KEY column: \"%s\"", a.n.Column.Name)
	case len(a.t.Columns) == 1:
		return sqlerr.Errorf("cannot drop column \"%s\": no other columns exist", a.n.Column.Name)
	}
	for _, ix := range a.t.Indexes {
		keyed := slices.ContainsFunc(ix.Columns, func(k IndexColumn) bool { return k.Column == i || k.Expr != nil && uses(k.Expr, c.Name) })
		switch {
		case keyed && ix.Origin != OriginCreate && len(ix.Columns) > 1:
			return sqlerr.Errorf("error in table %s after drop column: no such column: %s", a.t.Name, c.Name)
		case keyed && ix.Origin != OriginCreate:
			return sqlerr.Errorf("cannot drop UNIQUE column: \"%s\"", a.n.Column.Name)
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
