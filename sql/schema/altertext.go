package schema

import (
	"errors"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/resolve"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// text is the text of an object that ALTER TABLE may edit.
type text struct {
	object Object
	temp   bool
	st     parse.Stmt
	table  *Table         // that a table is, or an index is on; nil for others
	names  *resolve.Names // of a view or trigger; nil for others
}

// databases are the schemas whose texts may name the table: of temporary
// objects those that may name a table of main.
func (a *alteration) databases() []*Schema {
	if a.s.joined == nil || a.t.IsTemp() {
		return []*Schema{a.in}
	}
	return []*Schema{a.in, a.s.joined.temp}
}

// edit makes edits in the text of every object and writes those that change.
// change may change the rest of a record; or nil.
func (a *alteration) edit(edits func(x *text) []edit, change func(o *Object, temp bool)) error {
	for _, s := range a.databases() {
		for _, o := range s.Objects {
			before, temp := o, s.Place().temp()
			if o.SQL != "" && (s == a.in || o.Type == "view" || o.Type == "trigger") {
				x, err := a.text(s, o)
				if err != nil {
					return err
				}
				o.SQL = apply(x.st, edits(x))
			}
			if change != nil {
				change(&o, temp)
			}
			if o != before {
				if err := a.put(s.Place(), o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// text parses the text of an object and resolves its names.
func (a *alteration) text(s *Schema, o Object) (x *text, err error) {
	x = &text{object: o, temp: s.Place().temp()}
	if x.st, err = parse.One(o.SQL); err != nil {
		return nil, err
	}
	switch {
	case o.Type == "table" || o.Type == "index":
		x.table = s.tables[fold(o.Table)]
	case a.Legacy && a.n.Action == ast.AlterRenameTable: // its names stay
	default:
		x.names, err = a.names.resolve(s, o, x.st)
	}
	when := ""
	if s != a.in && a.n.Action == ast.AlterRenameTable && fold(o.Table) == fold(a.t.Name) {
		when = a.when // as SQLite says it
	}
	return x, faultIn(o, when, err)
}

// faultIn is an error that an object is at fault for.
func faultIn(o Object, when string, err error) error {
	var fault *sqlerr.Error
	if !errors.As(err, &fault) {
		return err
	}
	if when != "" {
		when = " " + when
	}
	return sqlerr.Errorf("error in %s %s%s: %v", o.Type, o.Name, when, fault)
}

// test resolves the names of all views and triggers that may name the table.
func (a *alteration) test(names *nameCatalog, when string) error {
	if a.Legacy {
		return nil
	}
	in := []*Schema{names.s.mainOnly()}
	if names.s.joined != nil {
		in = append(in, names.s.joined.temp)
	}
	for _, s := range in {
		if a.t.IsTemp() && !s.Place().temp() {
			continue
		}
		for _, o := range s.Objects {
			if err := testObject(names, s, o, when != "" && a.n.Action != ast.AlterRenameTable); err != nil {
				return faultIn(o, when, err)
			}
		}
	}
	return nil
}

// testObject resolves the names of an object. With strict, names in double quotes
// in tables and indexes are no texts.
func testObject(names *nameCatalog, s *Schema, o Object, strict bool) error {
	switch {
	case o.Type == "view" || o.Type == "trigger":
		st, err := parse.One(o.SQL)
		if err != nil {
			return err
		}
		_, err = names.resolve(s, o, st)
		return err
	case o.SQL == "" || !strict:
		return nil
	}
	st, err := parse.One(o.SQL)
	if err != nil {
		return err
	}
	x := &text{st: st, table: s.tables[fold(o.Table)]}
	x.texts(func(id *ast.Ident) {
		if err == nil {
			err = notText(id.Name)
		}
	})
	return err
}

// texts calls call for each name in double quotes that stands for a text.
func (x *text) texts(call func(id *ast.Ident)) {
	if x.names != nil {
		for _, id := range x.names.Strings {
			call(id)
		}
		return
	}
	exprs := func(e ast.Expr) {
		columnNames(e, func(q, id *ast.Ident) {
			if q == nil && id.Quote == ast.QuoteDouble && x.table.Column(id.Name) < 0 && (x.table.WithoutRowID || !isRowID(id.Name)) {
				call(id)
			}
		})
	}
	switch n := x.st.Stmt.(type) {
	case *ast.CreateTableStmt:
		tableParts(n, exprs, func(*ast.ForeignKeyClause) {})
	case *ast.CreateIndexStmt:
		for _, o := range n.Columns {
			exprs(o.Expr)
		}
		exprs(n.Where)
	}
}

// singleQuotes returns the edits that have all texts be in single quotes: one in
// double quotes would become a column when one gets its name.
func (x *text) singleQuotes() []edit {
	var out []edit
	x.texts(func(id *ast.Ident) {
		e := replace(id, quoteText(id.Name))
		if x.next(id) == '\'' {
			e.text += " "
		}
		out = append(out, e)
	})
	return out
}

// next is the byte behind a node, 0 at the end.
func (x *text) next(n ast.Node) byte {
	if i := n.End() - x.st.Pos; i < len(x.st.Text) {
		return x.st.Text[i]
	}
	return 0
}

// rename returns the edit that gives a name another text: in quotes if it has
// them, or if they are always wanted.
func (x *text) rename(n ast.Node, to string, quoted bool) edit {
	if !quoted && isNameByte(x.st.Text[n.Pos()-x.st.Pos]) {
		return replace(n, to)
	}
	e := replace(n, quote(to))
	if x.next(n) == '"' {
		e.text += " "
	}
	return e
}

// isNameByte reports whether a name without quotes may begin with c.
func isNameByte(c byte) bool {
	return c == '_' || c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (a *alteration) renameColumn() error {
	from, to := a.n.Column.Name, a.n.NewName.Name
	i := a.t.Column(from)
	switch {
	case i < 0:
		return sqlerr.Errorf("no such column: \"%s\"", a.n.Column.Raw)
	case isRowID(from) && !a.t.WithoutRowID:
		return sqlerr.Errorf("cannot rename from rowid alias: %s", from)
	case isRowID(to) && !a.t.WithoutRowID:
		return sqlerr.Errorf("cannot rename to rowid alias: %s", to)
	}
	if err := a.test(a.names, ""); err != nil {
		return err
	}
	a.when = "after rename"
	quoted := !isNameByte(a.st.Text[a.n.NewName.Pos()-a.st.Pos])
	target, index := a.names.table(a.t), i
	if i == a.t.RowID {
		index = -1
	}
	return a.edit(func(x *text) []edit {
		out := x.singleQuotes()
		if x.names == nil {
			for _, n := range columnTokens(x.st.Stmt, a.t.Name, from) {
				out = append(out, x.rename(n, to, quoted))
			}
			return out
		}
		for _, c := range x.names.Columns {
			if c.Table == target && c.Index == index {
				out = append(out, x.rename(c.Name, to, quoted))
			}
		}
		return out
	}, nil)
}

func (a *alteration) renameTable() error {
	from, to := a.t.Name, a.n.NewName.Name
	if a.in.Index(to) != nil || a.in.Table(to) != nil {
		return sqlerr.Errorf("there is already another table or index with this name: %s", to)
	}
	if err := checkReserved(to); err != nil {
		return err
	}
	a.when = "after rename"
	target := a.names.table(a.t)
	onOther := func(o *Object, temp bool) bool { // it is on a table of the other database
		return temp && o.Type == "trigger" && (o.Root == onMain) == a.t.IsTemp() || temp != a.t.IsTemp() && o.Type != "trigger"
	}
	return a.edit(func(x *text) []edit {
		if n, ok := x.st.Stmt.(*ast.CreateTriggerStmt); ok && a.Legacy {
			if fold(x.object.Table) == fold(from) && !onOther(&x.object, x.temp) {
				return []edit{x.rename(n.Table.Name, to, true)}
			}
			return nil
		}
		var out []edit
		switch {
		case x.names == nil:
			for _, n := range tableTokens(x.st.Stmt, from, !a.Legacy, !a.Legacy || a.ForeignKeys) {
				out = append(out, x.rename(n, to, true))
			}
		case !a.Legacy:
			for _, n := range x.names.Tables {
				if n.Table == target {
					out = append(out, x.rename(n.Name, to, true))
				}
			}
		}
		return out
	}, func(o *Object, temp bool) { renameObject(o, from, to, onOther(o, temp)) })
}

// renameObject gives the record of a table, or of what is on it, its new name.
func renameObject(o *Object, from, to string, other bool) {
	if fold(o.Table) != fold(from) || other || o.Type == "view" {
		return
	}
	o.Table = to
	auto := "sqlite_autoindex_" + fold(from) + "_"
	switch {
	case o.Type == "table":
		o.Name = to
	case o.SQL == "" && len(o.Name) > len(auto) && fold(o.Name[:len(auto)]) == auto:
		o.Name = "sqlite_autoindex_" + to + "_" + o.Name[len(auto):]
	}
}
