package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// schemaSource is sqlite_schema, also known as sqlite_master.
func (c *compiler) schemaSource() *source {
	src := c.virtual([]string{"type", "name", "tbl_name", "rootpage", "sql"}, nil, func(s *schema.Schema, _ []value.Value) [][]value.Value {
		var rows [][]value.Value
		add := func(kind, name, table string, root uint64, sql string) {
			rows = append(rows, []value.Value{
				text(kind), text(name), text(table), integer(int64(root)), optional(sql), integer(int64(len(rows)) + 1),
			})
		}
		sequence := false
		for _, o := range s.Objects {
			add(o.Type, o.Name, o.Table, o.Root, o.SQL)
			t := s.Table(o.Name)
			if o.Type != "table" || t == nil {
				continue
			}
			if t.PrimaryKey != nil && !t.WithoutRowID { // the rows are in it: it has no record of its own
				add("index", primaryName(t), o.Table, o.Root, "")
			}
			if t.AutoIncrement && !sequence {
				sequence = true
				add("table", sequenceName, sequenceName, 0, "CREATE TABLE sqlite_sequence(name,seq)")
			}
		}
		return rows
	})
	src.numberRows(c)
	for i := range src.cols {
		src.cols[i].aff, src.cols[i].hasAff, src.cols[i].declType = value.AffinityText, true, "TEXT"
	}
	src.cols[3].aff, src.cols[3].declType = value.AffinityInteger, "INT"
	return src
}

// numberRows has the last value of each computed row be its rowid.
func (src *source) numberRows(c *compiler) {
	n, ok := src.node.(*rowsNode)
	if !ok {
		return
	}
	src.rowID = c.regs(1)[0]
	n.out = append(slices.Clone(n.out), src.rowID)
}

// virtual makes a source of rows that are computed from the schema.
func (c *compiler) virtual(names []string, args []*expr, rows func(s *schema.Schema, args []value.Value) [][]value.Value) *source {
	src := &source{rowID: -1, slots: c.regs(len(names))}
	for _, name := range names {
		src.cols = append(src.cols, column{name: name})
	}
	src.node = &rowsNode{out: src.slots, rows: func(f *frame) (out [][]value.Value, err error) {
		vals := make([]value.Value, len(args))
		for i, a := range args {
			if vals[i], err = a.eval(f); err != nil {
				return nil, err
			}
		}
		err = f.withSchema(func(s *schema.Schema) error { out = rows(s, vals); return nil })
		return out, err
	}}
	return src
}

// pragmaSource is a pragma without an argument as a table.
func (c *compiler) pragmaSource(name string) *source {
	tp, ok := lookupTablePragma(strings.TrimPrefix(fold(name), "pragma_"))
	if !ok || !strings.HasPrefix(fold(name), "pragma_") {
		return nil
	}
	return c.virtual(tp.cols, nil, func(s *schema.Schema, _ []value.Value) [][]value.Value { return tp.rows(s, "") })
}

// tableFunction is json_each() or json_tree(), or a pragma with its argument as a
// table: pragma_table_info('t').
func (c *compiler) tableFunction(sc *scope, ref *ast.TableRef) (*source, error) {
	if src, err := c.jsonSource(sc, ref); src != nil || err != nil {
		return src, err
	}
	name := ref.Name.Name.Name
	tp, ok := lookupTablePragma(strings.TrimPrefix(fold(name), "pragma_"))
	if !ok || !strings.HasPrefix(fold(name), "pragma_") {
		return nil, unsupported("the table-valued function " + name)
	}
	if len(ref.Args) > 1 {
		return nil, errorf("too many arguments on %s() - max 1", name)
	}
	args, err := c.list(sc, ref.Args)
	if err != nil {
		return nil, err
	}
	lateral := false
	for _, a := range args {
		lateral = lateral || a.refs != 0
	}
	src := c.virtual(tp.cols, args, func(s *schema.Schema, vals []value.Value) [][]value.Value {
		arg := ""
		if len(vals) > 0 {
			arg = vals[0].AsText()
		}
		return tp.rows(s, arg)
	})
	src.lateral = lateral
	return src, nil
}
