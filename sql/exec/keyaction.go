package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
)

// keyAction compiles what ON DELETE or ON UPDATE of a foreign key does to the
// children of a row; nil for NO ACTION.
func (c *compiler) keyAction(tg *target, ref schema.Reference, cols []int, update bool) (*program, error) {
	action := ref.Key.OnDelete
	if update {
		action = ref.Key.OnUpdate
	}
	if action == ast.FKNoAction {
		return nil, nil //nolint:nilnil // no action
	}
	key := programKey{key: ref.Key, update: update, conflict: ast.ConflictAbort}
	return c.programOf(key, c.schema.Within(ref.Child.IsTemp()), func(c *compiler, p *program) error {
		p.restrict = action == ast.FKRestrict
		sc := c.programRows(p, tg.src, true, update)
		b := &actionBuilder{ref: ref, parent: tg.t, cols: cols}
		if update {
			x, err := c.expr(sc, b.keyChanged())
			if err != nil {
				return err
			}
			p.when = x
		}
		c.outer = sc
		return c.addStep(p, b.statement(action, update))
	})
}

// actionBuilder makes the statement of an action.
type actionBuilder struct {
	ref    schema.Reference
	parent *schema.Table
	cols   []int // of the parent
}

func (b *actionBuilder) of(row string, i int) ast.Expr {
	name := b.parent.Columns[b.cols[i]].Name
	return &ast.QualifiedRef{Parts: []*ast.Ident{{Name: row}, {Name: name}}}
}

func (b *actionBuilder) childColumn(i int) *ast.Ident {
	return &ast.Ident{Name: b.ref.Child.Columns[b.ref.Key.Columns[i]].Name}
}

func and(x, y ast.Expr) ast.Expr {
	if x == nil {
		return y
	}
	return &ast.BinaryExpr{Op: ast.OpAnd, X: x, Y: y}
}

// keyChanged holds when the new key of the parent is another one.
func (b *actionBuilder) keyChanged() ast.Expr {
	var same ast.Expr
	for i := range b.cols {
		same = and(same, &ast.IsExpr{X: b.of("old", i), Y: b.of("new", i)})
	}
	return &ast.UnaryExpr{Op: ast.OpNot, X: same}
}

func (b *actionBuilder) statement(action ast.ForeignKeyAction, update bool) ast.Stmt {
	name := &ast.QualifiedName{Name: &ast.Ident{Name: b.ref.Child.Name}}
	var where ast.Expr
	for i := range b.cols {
		where = and(where, &ast.BinaryExpr{Op: ast.OpEq, X: b.of("old", i), Y: b.childColumn(i)})
	}
	switch {
	case action == ast.FKRestrict:
		fail := &ast.RaiseExpr{Action: "ABORT", Message: &ast.Literal{Kind: ast.LitString, Value: "FOREIGN KEY constraint failed"}}
		return &ast.SelectStmt{Cores: []ast.SelectCore{&ast.SelectQuery{
			Columns: []*ast.ResultColumn{{Expr: fail}}, From: []*ast.TableRef{{Name: name}}, Where: where,
		}}}
	case action == ast.FKCascade && !update:
		return &ast.DeleteStmt{Table: name, Where: where}
	}
	up := &ast.UpdateStmt{Table: name, Where: where}
	for i, col := range b.ref.Key.Columns {
		var v ast.Expr = &ast.Literal{Kind: ast.LitNull}
		switch {
		case action == ast.FKCascade:
			v = b.of("new", i)
		case action == ast.FKSetDefault && b.ref.Child.Columns[col].Default != nil:
			v = b.ref.Child.Columns[col].Default
		}
		up.Set = append(up.Set, &ast.SetPair{Columns: []*ast.Ident{b.childColumn(i)}, Value: v})
	}
	return up
}
