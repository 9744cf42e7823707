package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// sequenceName is the table of the greatest row ids that AUTOINCREMENT tables
// ever had. Its rows are the counters that sql/schema keeps: it is there from
// the first such table on, and has one row for each that ever had a row.
const sequenceName = "sqlite_sequence"

func (c *compiler) isSequence(name string) bool {
	return strings.EqualFold(name, sequenceName) && hasAutoIncrement(c.schema)
}

func hasAutoIncrement(s *schema.Schema) bool {
	for _, t := range s.Tables {
		if t.AutoIncrement {
			return true
		}
	}
	return false
}

func (c *compiler) sequenceSource() *source {
	src := &source{name: sequenceName, rowID: -1, slots: c.regs(2), cols: []column{{name: "name", aff: value.AffinityBlob, hasAff: true}, {name: "seq", aff: value.AffinityBlob, hasAff: true}}}
	src.node = &rowsNode{out: src.slots, rows: func(f *frame) (rows [][]value.Value, err error) {
		err = f.withSchema(func(s *schema.Schema) error {
			for _, t := range s.Tables {
				if !t.AutoIncrement {
					continue
				}
				seq, known, err := schema.Sequence(f.tx, t)
				if err != nil {
					return err
				}
				if known {
					rows = append(rows, []value.Value{text(t.Name), integer(seq)})
				}
			}
			return nil
		})
		return rows, err
	}}
	return src
}

// sequenceTable is how statements that change it see the table.
func sequenceTable() *schema.Table {
	return &schema.Table{Name: sequenceName, RowID: -1, Columns: []schema.Column{{Name: "name"}, {Name: "seq"}}}
}

// writeSequence changes one row of the table; nil stands for none.
func (f *frame) writeSequence(old, after []value.Value) error {
	return f.withSchema(func(s *schema.Schema) error {
		if old != nil && (after == nil || !strings.EqualFold(old[0].AsText(), after[0].AsText())) {
			if t := s.Table(old[0].AsText()); t != nil && t.AutoIncrement {
				if err := schema.DropSequence(f.tx, t); err != nil {
					return err
				}
				f.forgetRowID(t.Root)
			}
		}
		if after == nil {
			return nil
		}
		t := s.Table(after[0].AsText())
		if t == nil || !t.AutoIncrement {
			return unsupported("rows of sqlite_sequence for anything but a table with AUTOINCREMENT")
		}
		f.forgetRowID(t.Root)
		return schema.SetSequence(f.tx, t, value.Cast(after[1], value.AffinityInteger).Int())
	})
}
