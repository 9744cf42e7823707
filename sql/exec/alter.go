package exec

import (
	"github.com/byokdb/byokdb/sql/resolve"
	"github.com/byokdb/byokdb/sql/schema"
)

// alterOptions are what ALTER TABLE is told.
func (f *frame) alterOptions(s *schema.Schema) schema.AlterOptions {
	return schema.AlterOptions{Functions: functionTables(s), Legacy: f.s.legacyAlter, ForeignKeys: f.s.foreignKeys}
}

// functionTables finds the columns of tables that are functions.
func functionTables(s *schema.Schema) func(name string) *resolve.Table {
	return func(name string) *resolve.Table {
		c := &compiler{schema: s}
		src, err := c.tableFunction(&scope{}, name, nil)
		if src == nil || err != nil {
			return nil
		}
		t := &resolve.Table{Name: name, RowID: -1, HasRowID: true, Function: true}
		for i := range src.cols {
			t.Columns = append(t.Columns, src.cols[i].name)
			t.Hidden = append(t.Hidden, src.cols[i].input)
		}
		return t
	}
}
