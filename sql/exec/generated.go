package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// generated is a column computed of others of its row.
type generated struct {
	col    int
	x      *expr
	reads  []int // columns
	stored bool
}

// generatedColumns compiles the generated columns of a table.
func (c *compiler) generatedColumns(src *source) error {
	order := src.table.GenerationOrder()
	if len(order) == 0 {
		return nil
	}
	saved := c.deterministic
	c.deterministic = "a generated column"
	defer func() { c.deterministic = saved }()
	own := &scope{sources: []*source{src}}
	used := src.used
	defer func() { src.used = used }()
	for _, i := range order {
		col := &src.table.Columns[i]
		src.used = make([]bool, len(used))
		x, err := c.expr(own, col.Generated)
		if err != nil {
			return err
		}
		g := &generated{col: i, x: x, stored: col.Stored}
		for j, u := range src.used {
			if u {
				g.reads = append(g.reads, j)
			}
		}
		src.generated = append(src.generated, g)
	}
	return nil
}

// useGenerated marks what a generated column that is not stored reads.
func (s *source) useGenerated(col int) {
	for _, g := range s.generated {
		if g.col == col && !g.stored {
			for _, j := range g.reads {
				s.use(j)
			}
		}
	}
}

// computedColumn is a column that is computed when a row is read.
type computedColumn struct {
	slot int
	x    *expr
	aff  value.Affinity
}

// compute fills the registers of columns that are not stored.
func (l *rowLayout) compute(f *frame) error {
	for i := range l.computed {
		g := &l.computed[i]
		v, err := g.x.eval(f)
		if err != nil {
			return err
		}
		f.regs[g.slot] = applyAffinity(v, g.aff)
	}
	return nil
}

// written are the columns that INSERT without a list of columns fills.
func (tg *target) written() []int {
	var out []int
	for i := range tg.t.Columns {
		if tg.t.Columns[i].Generated == nil {
			out = append(out, i)
		}
	}
	return out
}

// notGenerated refuses to write a generated column.
func (tg *target) notGenerated(col int, verb string, id *ast.Ident) error {
	if col >= 0 && tg.t.Columns[col].Generated != nil {
		return errorf("cannot %s generated column \"%s\"", verb, id.Name)
	}
	return nil
}
