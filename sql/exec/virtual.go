package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// schemaSource is the sqlite_schema of a database, also known as sqlite_master.
func (c *compiler) schemaSource(database string) *source {
	src := c.virtual([]string{"type", "name", "tbl_name", "rootpage", "sql"}, func(s *schema.Schema) [][]value.Value {
		var rows [][]value.Value
		add := func(kind, name, table string, root uint64, sql string) {
			rows = append(rows, []value.Value{
				text(kind), text(name), text(table), integer(int64(root)), optional(sql), integer(int64(len(rows)) + 1),
			})
		}
		sequence := false
		s = s.Catalog(database)
		for _, o := range s.Objects {
			add(o.Type, o.Name, o.Table, o.RootPage(), o.SQL)
			t := s.Table(o.Name)
			if o.Type != "table" || t == nil {
				continue
			}
			if t.PrimaryKey != nil && !t.WithoutRowID { // the rows are in it: it has no record of its own
				add("index", primaryName(t), o.Table, o.RootPage(), "")
			}
			if t.AutoIncrement && !sequence {
				sequence = true
				add("table", sequenceName, sequenceName, 0, "CREATE TABLE sqlite_sequence(name,seq)")
			}
		}
		return rows
	})
	src.numberRows(c)
	src.db = database
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
func (c *compiler) virtual(names []string, rows func(s *schema.Schema) [][]value.Value) *source {
	src := &source{rowID: -1, slots: c.regs(len(names))}
	for _, name := range names {
		src.cols = append(src.cols, column{name: name, aff: value.AffinityBlob, hasAff: true})
	}
	src.node = &rowsNode{out: src.slots, rows: func(f *frame) (out [][]value.Value, err error) {
		err = f.withSchema(func(s *schema.Schema) error { out = rows(s); return nil })
		return out, err
	}}
	return src
}

// isTableFunction reports whether a name is that of a table which takes arguments.
func isTableFunction(name string) bool {
	name = fold(name)
	return slices.Contains(jsonTables, name) || strings.HasPrefix(name, "pragma_")
}

// pragmaSource is a pragma as a table, nil for another name.
func (c *compiler) pragmaSource(name string, nArgs int) (*source, error) {
	short, ok := strings.CutPrefix(fold(name), "pragma_")
	if !ok {
		return nil, nil //nolint:nilnil // it may be another table
	}
	tp, ok := lookupTablePragma(short)
	if !ok {
		tp, ok = settingPragma(short)
	}
	if !ok {
		return nil, nil //nolint:nilnil // as above
	}
	if nArgs > len(tp.hidden) {
		return nil, errorf("too many arguments on %s() - max %d", name, len(tp.hidden))
	}
	src := &source{db: "main", rowID: -1, slots: c.regs(len(tp.cols))}
	for _, name := range tp.cols {
		src.cols = append(src.cols, column{name: name, aff: value.AffinityBlob, hasAff: true})
	}
	c.addInputs(src, tp.hidden)
	switch short {
	case "table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list":
		src.inputs.strict = true
	}
	if tp.fill == nil {
		src.node = &rowsNode{out: src.slots, rows: func(f *frame) (out [][]value.Value, err error) {
			err = tp.with(f, src, func(s *schema.Schema, arg string, vals []value.Value) error {
				out, err = tp.answer(f, s, arg)
				for i := range out {
					out[i] = append(out[i], vals...)
				}
				return err
			})
			return out, err
		}}
		return src, nil
	}
	src.node = &filledNode{out: src.slots, fill: func(f *frame, add addFn) error {
		return tp.with(f, src, func(s *schema.Schema, arg string, vals []value.Value) error {
			return tp.fill(f, s, arg, func(row []value.Value) error { return add(append(row, vals...)) })
		})
	}}
	return src, nil
}

// with calls fn with the schema and the argument that the hidden columns of src
// have, and the values of all of them.
func (tp *tablePragma) with(f *frame, src *source, fn func(s *schema.Schema, arg string, vals []value.Value) error) error {
	vals := make([]value.Value, len(tp.hidden))
	if err := src.inputs.values(f, vals); err != nil {
		return err
	}
	arg, database := "", ""
	for i, v := range vals {
		switch {
		case v.IsNull():
		case tp.hidden[i] == "arg":
			arg = v.AsText()
		default:
			database = v.AsText()
		}
	}
	return f.withSchema(func(s *schema.Schema) error {
		if database != "" {
			if s = s.Catalog(database); s == nil {
				return errorf("unknown database '%s'", strings.ReplaceAll(database, "'", "''"))
			}
		}
		return fn(s, arg, vals)
	})
}

// tableFunction is json_each() or another of its kind, or a pragma as a table:
// pragma_table_info('t'); nil for another name.
func (c *compiler) tableFunction(sc *scope, name string, exprs []ast.Expr) (*source, error) {
	if !isTableFunction(name) {
		return nil, nil //nolint:nilnil // it may be another table
	}
	src, err := c.jsonSource(name, len(exprs))
	if src == nil && err == nil {
		src, err = c.pragmaSource(name, len(exprs))
	}
	if src != nil && len(exprs) > 0 {
		sc.later = append(sc.later, func() error { return c.arguments(sc, src, exprs) })
	}
	return src, err
}
