package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// sequenceName is the table of the greatest row ids that AUTOINCREMENT tables
// ever had. Its rows are the counters that sql/schema keeps: it is there from
// the first such table on, and has one row for each that was inserted into.
const sequenceName = "sqlite_sequence"

// sequence is the greatest row id that an AUTOINCREMENT table ever had, as a statement
// knows it. It is stored when the statement ends.
type sequence struct {
	table    *schema.Table
	greatest int64
	known    bool // there was an INSERT into the table
	changed  bool
}

func (f *frame) sequence(t *schema.Table) (*sequence, error) {
	top := f.top()
	for _, seq := range top.sequences {
		if seq.table.Root == t.Root {
			return seq, nil
		}
	}
	greatest, known, err := schema.Sequence(f.tx, t)
	if err != nil {
		return nil, err
	}
	seq := &sequence{table: t, greatest: greatest, known: known}
	top.sequences = append(top.sequences, seq)
	return seq, nil
}

// countsFrom0 is called before an INSERT into an AUTOINCREMENT table, be it of no rows.
func (f *frame) countsFrom0(t *schema.Table) error {
	seq, err := f.sequence(t)
	if err == nil && !seq.known {
		seq.known, seq.changed = true, true
	}
	return err
}

// gaveOut notes a row id that an AUTOINCREMENT table has given out.
func (f *frame) gaveOut(t *schema.Table, id int64) error {
	seq, err := f.sequence(t)
	if err == nil && (!seq.known || id > seq.greatest) {
		seq.greatest, seq.known, seq.changed = max(id, 0), true, true
	}
	return err
}

// keepSequences stores what the statement has given out.
func (f *frame) keepSequences() error {
	for _, seq := range f.sequences {
		if !seq.changed {
			continue
		}
		if err := schema.SetSequence(f.tx, seq.table, seq.greatest); err != nil {
			return err
		}
		seq.changed = false
	}
	return nil
}

// forgetSequence is called when the stored one of a table is changed by itself.
func (f *frame) forgetSequence(t *schema.Table) {
	top := f.top()
	top.sequences = slices.DeleteFunc(top.sequences, func(seq *sequence) bool { return seq.table.Root == t.Root })
	f.forgetRowID(t.Root)
}

// sequenceOf returns the schema whose sequenceName a name stands for, nil when it
// stands for something else.
func (c *compiler) sequenceOf(q *ast.QualifiedName) *schema.Schema {
	if !ast.SameName(q.Name.Name, sequenceName) {
		return nil
	}
	for _, name := range []string{"temp", "main"} { // as all names are looked up
		s := c.schema.Catalog(name)
		wanted := q.Schema == nil && (name == "main" || c.schema.Qualifier() == "")
		if (wanted || q.Schema != nil && fold(q.Schema.Name) == name) && hasAutoIncrement(s) {
			return s
		}
	}
	return nil
}

func hasAutoIncrement(s *schema.Schema) bool {
	for _, t := range s.Tables {
		if t.AutoIncrement {
			return true
		}
	}
	return false
}

// sequenceSource is the table of a database.
func (c *compiler) sequenceSource(database string) *source {
	src := &source{name: sequenceName, db: database, rowID: -1, slots: c.regs(2), cols: []column{{name: "name", aff: value.AffinityBlob, hasAff: true}, {name: "seq", aff: value.AffinityBlob, hasAff: true}}}
	src.node = &rowsNode{out: src.slots, rows: func(f *frame) (rows [][]value.Value, err error) {
		err = f.withSchema(func(s *schema.Schema) error {
			s = s.Catalog(database)
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

// writeSequence changes one row of the table; nil stands for none.
func (f *frame) writeSequence(database string, old, after []value.Value) error {
	return f.withSchema(func(s *schema.Schema) error {
		s = s.Catalog(database)
		if old != nil && (after == nil || !ast.SameName(old[0].AsText(), after[0].AsText())) {
			if t := s.Table(old[0].AsText()); t != nil && t.AutoIncrement {
				if err := schema.DropSequence(f.tx, t); err != nil {
					return err
				}
				f.forgetSequence(t)
			}
		}
		if after == nil {
			return nil
		}
		t := s.Table(after[0].AsText())
		if t == nil || !t.AutoIncrement {
			return unsupported("rows of sqlite_sequence for anything but a table with AUTOINCREMENT")
		}
		f.forgetSequence(t)
		return schema.SetSequence(f.tx, t, value.Cast(after[1], value.AffinityInteger).Int())
	})
}
