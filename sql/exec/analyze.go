package exec

import (
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// analyze compiles ANALYZE, ANALYZE table and ANALYZE index: the rows of
// schema.StatsTable about them are counted anew.
func (c *compiler) analyze(p *plan, n *ast.AnalyzeStmt) error {
	p.write, p.ddl = true, true
	name := ""
	database := "main"
	switch {
	case n.Name == nil:
	case n.Name.Schema == nil && c.schema.Catalog(n.Name.Name.Name) != nil:
		database = n.Name.Name.Name
	default:
		in, err := c.database(n.Name)
		if err != nil {
			return err
		}
		if n.Name.Schema != nil {
			database = n.Name.Schema.Name
		}
		name = n.Name.Name.Name
		t, ix := in.Table(name), in.Index(name)
		switch {
		case t != nil && !t.IsView():
			database = t.Database()
		case ix != nil:
			database = ix.Table.Database()
		case fold(name) != "sqlite_schema" && fold(name) != "sqlite_master":
			return errorf("no such table: %s%s", in.Qualifier(), name)
		}
	}
	needsTemp := schema.NeedsTemp(n)
	p.run = func(f *frame) error {
		if needsTemp {
			f.s.openTemp()
		}
		return f.withSchema(func(s *schema.Schema) error { return f.analyze(s.Catalog(database), name) })
	}
	return nil
}

// stat is one row of schema.StatsTable.
type stat struct{ table, index, counts value.Value }

func (f *frame) analyze(s *schema.Schema, name string) error {
	var stats []stat
	var done []string
	for _, t := range s.Tables {
		if t.IsView() || strings.HasPrefix(fold(t.Name), "sqlite_") {
			continue
		}
		var only *schema.Index
		if name != "" && fold(name) != fold(t.Name) {
			if only = s.Index(name); only == nil || only.Table != t {
				continue
			}
		}
		list, err := f.count(t)
		if err != nil {
			return err
		}
		stats, done = append(stats, list...), append(done, t.Name)
	}
	if err := schema.CreateStats(f.tx, s); err != nil {
		return err
	}
	table := s.Name() + "." + schema.StatsTable
	for _, name := range done {
		if err := f.statement("DELETE FROM "+table+" WHERE tbl = ?", value.NewText(name)); err != nil {
			return err
		}
	}
	for _, st := range stats {
		if err := f.statement("INSERT INTO "+table+" VALUES (?, ?, ?)", st.table, st.index, st.counts); err != nil {
			return err
		}
	}
	// The schema was loaded with the version above before the rows were there.
	return f.withSchema(func(now *schema.Schema) error { return schema.CreateStats(f.tx, now.Catalog(s.Name())) })
}

// statement runs a statement inside of another one.
func (f *frame) statement(text string, args ...value.Value) error {
	st, err := parse.One(text)
	if err != nil {
		return err
	}
	return f.withSchema(func(s *schema.Schema) error {
		p, err := compile(s, st, false)
		if err != nil {
			return err
		}
		in := p.newFrame()
		in.begin(f.ctx, f.s, f.tx, args)
		defer in.clear()
		return p.run(in)
	})
}

// count counts a table and its indexes. An empty table has no statistics.
func (f *frame) count(t *schema.Table) ([]stat, error) {
	var own []record.KeyColumn
	for i := range t.PrimaryKey {
		own = append(own, record.KeyColumn{Collation: t.PKCollations[i]})
	}
	rows, counts, err := f.countKeys(t.Collection(), own)
	if err != nil || rows == 0 {
		return nil, err
	}
	var out []stat
	name := value.NewText(t.Name)
	if len(own) > 0 {
		out = append(out, stat{name, name, counts})
	}
	whole := len(own) > 0
	for _, ix := range t.Indexes {
		cols := make([]record.KeyColumn, len(ix.Columns))
		for i, ic := range ix.Columns {
			cols[i] = record.KeyColumn{Collation: ic.Collation, Desc: ic.Desc}
		}
		n, counts, err := f.countKeys(ix.Collection(), cols)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			continue
		}
		whole = whole || ix.Where == nil
		out = append(out, stat{name, value.NewText(ix.Name), counts})
	}
	if !whole {
		out = append(out, stat{name, value.Value{}, value.NewText(strconv.FormatInt(rows, 10))})
	}
	return out, nil
}

// countKeys counts the keys of a collection and, for 1, 2, … columns, how many
// of them agree in those, on average.
func (f *frame) countKeys(collection string, cols []record.KeyColumn) (rows int64, counts value.Value, err error) {
	c, err := f.tx.Collection(collection)
	if err != nil {
		return 0, counts, err
	}
	cur := c.Cursor(nil, nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	distinct := make([]int64, len(cols))
	var last []byte
	defer func() { clear(last[:cap(last)]) }()
	var ends []int
	visit := func(key, _ []byte) bool {
		rows++
		if ends, err = record.AppendKeyEnds(ends[:0], key, cols); err != nil {
			return false
		}
		same := 0
		for same < len(key) && same < len(last) && key[same] == last[same] {
			same++
		}
		for i, end := range ends {
			if end > same || rows == 1 {
				distinct[i]++
			}
		}
		last = append(last[:0], key...)
		return true
	}
	for cur.Walk(walkMax, false, false, visit) {
		if err == nil {
			err = f.ticked(walkMax)
		}
		if err != nil {
			return 0, counts, err
		}
	}
	if err == nil {
		err = cur.Err()
	}
	text := strconv.AppendInt(nil, rows, 10)
	for _, d := range distinct {
		d = max(d, 1)
		n := (rows + d - 1) / d
		if n == 2 && rows*10 <= d*11 { // nearly unique
			n = 1
		}
		text = strconv.AppendInt(append(text, ' '), n, 10)
	}
	return rows, value.NewText(string(text)), err
}

// dropStats forgets the statistics of what was dropped.
func (f *frame) dropStats(database, column, name string) error {
	s, err := f.s.schemaOf(f.tx)
	if err != nil || s.Catalog(database).Table(schema.StatsTable) == nil || fold(name) == schema.StatsTable {
		return err
	}
	return f.statement("DELETE FROM "+database+"."+schema.StatsTable+" WHERE "+column+" = ? COLLATE NOCASE", value.NewText(name))
}
