package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// schemaSource is sqlite_schema, also known as sqlite_master.
func (c *compiler) schemaSource() *source {
	src := c.virtual([]string{"type", "name", "tbl_name", "rootpage", "sql"}, nil, func(s *schema.Schema, _ []value.Value) [][]value.Value {
		var rows [][]value.Value
		for _, o := range s.Objects {
			rows = append(rows, []value.Value{
				text(o.Type), text(o.Name), text(o.Table), integer(int64(o.Root)), optional(o.SQL),
			})
		}
		if hasAutoIncrement(s) {
			name := text(sequenceName)
			rows = append(rows, []value.Value{text("table"), name, name, integer(0), text("CREATE TABLE sqlite_sequence(name,seq)")})
		}
		return rows
	})
	for i := range src.cols {
		src.cols[i].aff, src.cols[i].hasAff, src.cols[i].declType = value.AffinityText, true, "TEXT"
	}
	src.cols[3].aff, src.cols[3].declType = value.AffinityInteger, "INT"
	return src
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

// tableFunction is a pragma with its argument as a table: pragma_table_info('t').
func (c *compiler) tableFunction(sc *scope, ref *ast.TableRef) (*source, error) {
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
