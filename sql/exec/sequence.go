package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// sequenceTable shows the greatest row id that each AUTOINCREMENT table ever
// had. It can be changed, as dumps and tools do; a name must be that of such a
// table.
const sequenceTable = "sqlite_sequence"

// hasSequence reports whether there is a table with AUTOINCREMENT: only then is
// there a sqlite_sequence.
func (c *compiler) hasSequence() bool {
	for _, t := range c.schema.Tables {
		if t.AutoIncrement {
			return true
		}
	}
	return false
}

func (c *compiler) isSequence(q *ast.QualifiedName) bool {
	return fold(q.Name.Name) == sequenceTable && (q.Schema == nil || isMain(q.Schema.Name)) && c.hasSequence()
}

// sequenceSource reads sqlite_sequence.
func (c *compiler) sequenceSource() *source {
	src := &source{rowID: -1, slots: c.regs(2), cols: []column{{name: "name"}, {name: "seq"}}}
	src.node = &rowsNode{out: src.slots, rows: func(f *frame) (rows [][]value.Value, err error) {
		err = f.withSchema(func(s *schema.Schema) error {
			for _, t := range s.Tables {
				if !t.AutoIncrement {
					continue
				}
				seq, found, err := schema.Sequence(f.tx, t)
				if err != nil {
					return err
				}
				if found {
					rows = append(rows, []value.Value{text(t.Name), integer(seq)})
				}
			}
			return nil
		})
		return rows, err
	}}
	return src
}

// insertSequence is INSERT INTO sqlite_sequence.
func (c *compiler) insertSequence(p *plan, n *ast.InsertStmt) error {
	if n.DefaultValues || len(n.Upserts) > 0 || len(n.Returning) > 0 || n.OrConflict != ast.ConflictDefault && n.OrConflict != ast.ConflictReplace {
		return unsupported("this form of INSERT INTO sqlite_sequence")
	}
	sc, err := c.with(nil, n.With)
	if err != nil {
		return err
	}
	q, err := c.selectStmt(sc, n.Select)
	if err != nil {
		return err
	}
	name, seq := 0, 1
	if len(n.Columns) > 0 {
		name, seq = -1, -1
		for i, id := range n.Columns {
			switch fold(id.Name) {
			case "name":
				name = i
			case "seq":
				seq = i
			default:
				return errorf("table %s has no column named %s", sequenceTable, id.Name)
			}
		}
	}
	if len(q.out) != 2 || name < 0 || seq < 0 {
		return errorf("a row of %s has a name and a seq", sequenceTable)
	}
	p.run = func(f *frame) error {
		return f.changeSequence(q, func(t *schema.Table) error { return setSequence(f, t, f.regs[q.out[seq]]) }, name)
	}
	return nil
}

// updateSequence is UPDATE sqlite_sequence SET seq = ….
func (c *compiler) updateSequence(p *plan, n *ast.UpdateStmt) error {
	set := n.Set
	if len(set) != 1 || len(set[0].Columns) != 1 || fold(set[0].Columns[0].Name) != "seq" || len(n.From) > 0 || len(n.Returning) > 0 || len(n.OrderBy) > 0 || n.Limit != nil {
		return unsupported("UPDATE sqlite_sequence other than SET seq = …")
	}
	q, err := c.sequenceQuery(n.With, n.Table, n.Alias, n.Where, set[0].Value)
	if err != nil {
		return err
	}
	p.run = func(f *frame) error {
		return f.changeSequence(q, func(t *schema.Table) error { return setSequence(f, t, f.regs[q.out[1]]) }, 0)
	}
	return nil
}

// deleteSequence is DELETE FROM sqlite_sequence.
func (c *compiler) deleteSequence(p *plan, n *ast.DeleteStmt) error {
	if len(n.Returning) > 0 || len(n.OrderBy) > 0 || n.Limit != nil {
		return unsupported("RETURNING, ORDER BY and LIMIT in DELETE FROM sqlite_sequence")
	}
	q, err := c.sequenceQuery(n.With, n.Table, n.Alias, n.Where, nil)
	if err != nil {
		return err
	}
	p.run = func(f *frame) error {
		return f.changeSequence(q, func(t *schema.Table) error { return schema.DropSequence(f.tx, t) }, 0)
	}
	return nil
}

// sequenceQuery selects the names of the rows to change, and a value for each.
func (c *compiler) sequenceQuery(with *ast.With, table *ast.QualifiedName, alias *ast.Ident, where, seq ast.Expr) (*query, error) {
	cols := []*ast.ResultColumn{{Expr: &ast.Ident{Name: "name"}}}
	if seq != nil {
		cols = append(cols, &ast.ResultColumn{Expr: seq})
	}
	return c.selectStmt(nil, &ast.SelectStmt{With: with, Cores: []ast.SelectCore{&ast.SelectQuery{
		Columns: cols, From: []*ast.TableRef{{Name: table, Alias: alias}}, Where: where,
	}}})
}

// changeSequence calls change for the table of each row, whose name is column
// name of q.
func (f *frame) changeSequence(q *query, change func(t *schema.Table) error, name int) error {
	return f.withSchema(func(s *schema.Schema) error {
		return q.each(f, func() error {
			of := f.regs[q.out[name]].AsText()
			t := s.Table(of)
			if t == nil || !t.AutoIncrement {
				return errorf("no table with AUTOINCREMENT is named %s", of)
			}
			f.changes++
			delete(f.s.rowIDs, t.Root)
			return change(t)
		})
	})
}

func setSequence(f *frame, t *schema.Table, v value.Value) error {
	v = applyAffinity(v, value.AffinityInteger)
	if v.Kind() != value.Int {
		return mismatch()
	}
	return schema.SetSequence(f.tx, t, v.Int())
}
