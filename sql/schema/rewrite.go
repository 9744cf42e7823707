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

// tableTokens returns what names a table in the text of a table or index: its
// own name, with inExprs the qualifier in expressions and, with keys, the parent
// in foreign keys.
func tableTokens(st ast.Stmt, table string, inExprs, keys bool) []ast.Node {
	var out []ast.Node
	name := func(id *ast.Ident) {
		if id != nil && fold(id.Name) == fold(table) {
			out = append(out, id)
		}
	}
	exprs := func(e ast.Expr) {
		if inExprs {
			columnNames(e, func(q, _ *ast.Ident) { name(q) })
		}
	}
	switch n := st.(type) {
	case *ast.CreateTableStmt:
		name(n.Name.Name)
		tableParts(n, exprs, func(r *ast.ForeignKeyClause) {
			if keys {
				name(r.Table)
			}
		})
	case *ast.CreateIndexStmt:
		name(n.Table)
		for _, o := range n.Columns {
			exprs(o.Expr)
		}
		exprs(n.Where)
	}
	return out
}

// columnTokens returns what names a column of table in the text of a table or
// index.
func columnTokens(st ast.Stmt, table, column string) []ast.Node {
	var out []ast.Node
	name := func(id *ast.Ident) {
		if fold(id.Name) == fold(column) {
			out = append(out, id)
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
				if k.Kind == ast.LitString && fold(k.Value) == fold(column) {
					out = append(out, k)
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
