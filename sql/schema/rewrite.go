package schema

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
)

// edit replaces a part of a CREATE text; the rest stays as it was written.
type edit struct {
	start, end int // in the whole text, as node spans count
	text       string
}

func replace(n ast.Node, text string) edit { return edit{n.Pos(), n.End(), text} }

// apply returns the statement's text with the edits made. They must not overlap.
func apply(st parse.Stmt, edits []edit) string {
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	out, at := "", 0
	for _, e := range edits {
		out += st.Text[at:e.start-st.Pos] + e.text
		at = e.end - st.Pos
	}
	return out + st.Text[at:]
}

// renameTable returns the edits that give table another name in the text of an
// object: its own name, the qualifier in expressions, the parent in foreign
// keys, what a view or trigger reads and changes, and with its the table that a
// trigger is on.
func renameTable(st ast.Stmt, from, to string, its bool) []edit {
	var out []edit
	name := func(id *ast.Ident) {
		if id != nil && fold(id.Name) == fold(from) {
			out = append(out, replace(id, to))
		}
	}
	exprs := func(e ast.Expr) {
		columnNames(e, func(q, _ *ast.Ident) { name(q) })
	}
	switch n := st.(type) {
	case *ast.CreateTableStmt:
		name(n.Name.Name)
		tableParts(n, exprs, func(r *ast.ForeignKeyClause) { name(r.Table) })
	case *ast.CreateIndexStmt:
		name(n.Table)
		for _, o := range n.Columns {
			exprs(o.Expr)
		}
		exprs(n.Where)
	case *ast.CreateViewStmt:
		out = append(out, tableNames(n.Select, from, to)...)
	case *ast.CreateTriggerStmt:
		if its {
			name(n.Table.Name)
		}
		if n.When != nil {
			out = append(out, tableNames(n.When, from, to)...)
		}
		for _, stmt := range n.Body {
			out = append(out, tableNames(stmt, from, to)...)
		}
	}
	return out
}

// tableNames returns the edits that rename a table in a statement.
func tableNames(stmt ast.Node, from, to string) []edit {
	var out []edit
	ast.Walk(stmt, func(n ast.Node) bool {
		var id *ast.Ident
		switch n := n.(type) {
		case *ast.QualifiedName:
			id = n.Name
		case *ast.QualifiedRef:
			id = n.Parts[len(n.Parts)-2]
		case *ast.Star:
			id = n.Table
		}
		if id != nil && fold(id.Name) == fold(from) {
			out = append(out, replace(id, to))
		}
		return true
	})
	return out
}

// shadows reports whether a statement gives the name of a table to something
// else: an alias, a common table expression.
func shadows(stmt ast.Node, table string) bool {
	found := false
	ast.Walk(stmt, func(n ast.Node) bool {
		var id *ast.Ident
		switch n := n.(type) {
		case *ast.TableRef:
			id = n.Alias
		case *ast.CTE:
			id = n.Name
		case *ast.InsertStmt:
			id = n.Alias
		case *ast.UpdateStmt:
			id = n.Alias
		case *ast.DeleteStmt:
			id = n.Alias
		}
		found = found || id != nil && fold(id.Name) == fold(table)
		return !found
	})
	return found
}

// renameColumn returns the edits that give a column of table another name in
// the text of a table or index.
func renameColumn(st ast.Stmt, table, from, to string) []edit {
	var out []edit
	name := func(id *ast.Ident) {
		if fold(id.Name) == fold(from) {
			out = append(out, replace(id, to))
		}
	}
	exprs := func(e ast.Expr) {
		columnNames(e, func(_, c *ast.Ident) { name(c) })
	}
	keys := func(list []*ast.OrderingTerm) {
		for _, o := range list {
			e := o.Expr
			if c, ok := e.(*ast.CollateExpr); ok {
				e = c.X
			}
			if k, ok := e.(*ast.Literal); ok {
				if k.Kind == ast.LitString && fold(k.Value) == fold(from) {
					out = append(out, replace(k, to))
				}
				continue
			}
			exprs(e)
		}
	}
	switch n := st.(type) {
	case *ast.CreateIndexStmt:
		if fold(n.Table.Name) == fold(table) {
			keys(n.Columns)
			exprs(n.Where)
		}
	case *ast.CreateTableStmt:
		own := fold(n.Name.Name.Name) == fold(table)
		tableParts(n, func(e ast.Expr) {
			if own {
				exprs(e)
			}
		}, func(r *ast.ForeignKeyClause) {
			for _, c := range r.Columns {
				if fold(r.Table.Name) == fold(table) {
					name(c.Name)
				}
			}
		})
		if !own {
			break
		}
		for _, c := range n.Columns {
			name(c.Name)
		}
		for _, k := range n.Constraints {
			keys(k.Columns)
			for _, c := range k.FKColumns {
				name(c.Name)
			}
		}
	}
	return out
}

// tableParts calls expr for each CHECK and generated column and ref for each REFERENCES of a table.
func tableParts(n *ast.CreateTableStmt, expr func(ast.Expr), ref func(*ast.ForeignKeyClause)) {
	for _, c := range n.Columns {
		for _, k := range c.Constraints {
			if k.Kind == ast.ColumnCheck || k.Kind == ast.ColumnGenerated {
				expr(k.Expr)
			}
			if k.References != nil {
				ref(k.References)
			}
		}
	}
	for _, k := range n.Constraints {
		if k.Kind == ast.TableCheck {
			expr(k.Expr)
		}
		if k.References != nil {
			ref(k.References)
		}
	}
}

// holdsWord reports whether word is among the names of a statement.
func holdsWord(stmt ast.Node, word string) bool {
	found := false
	ast.Walk(stmt, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && fold(id.Name) == fold(word) {
			found = true
		}
		return !found
	})
	return found
}

// mentions reports whether a statement reads or changes table, or something of
// that name.
func mentions(q ast.Node, table string) bool {
	found := false
	ast.Walk(q, func(n ast.Node) bool {
		if name, ok := n.(*ast.QualifiedName); ok && fold(name.Name.Name) == fold(table) {
			found = true
		}
		return !found
	})
	return found
}
