package schema

import (
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// checkGenerated refuses generated columns that cannot be computed.
func checkGenerated(t *Table) error {
	written := false
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.Generated == nil {
			written = true
			continue
		}
		if err := checkNames(c.Generated, t, inGenerated); err != nil {
			return err
		}
	}
	if !written && len(t.Columns) > 0 {
		return sqlerr.Errorf("must have at least one non-generated column")
	}
	_, err := t.generationOrder()
	return err
}

// GenerationOrder returns the generated columns in an order in which each
// depends on those before it alone.
func (t *Table) GenerationOrder() []int {
	order, err := t.generationOrder()
	if err != nil { // refused when the table was made
		return nil
	}
	return order
}

func (t *Table) generationOrder() ([]int, error) {
	var order []int
	const visiting, done = 1, 2
	state := make([]int, len(t.Columns))
	var visit func(i int) error
	visit = func(i int) (err error) {
		c := &t.Columns[i]
		switch {
		case c.Generated == nil || state[i] == done:
			return nil
		case state[i] == visiting:
			return sqlerr.Errorf(loopText+" on \"%s\"", t.lastUncomputable())
		}
		state[i] = visiting
		columnNames(c.Generated, func(_, id *ast.Ident) {
			if j := t.Column(id.Name); j >= 0 && err == nil {
				err = visit(j)
			}
		})
		state[i] = done
		order = append(order, i)
		return err
	}
	for i := range t.Columns {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return order, nil
}

const loopText = "generated column loop"

func isLoop(e *sqlerr.Error) bool { return strings.HasPrefix(e.Message, loopText) }

// lastUncomputable names the last column that depends on a loop: SQLite names it.
func (t *Table) lastUncomputable() (name string) {
	ready := make([]bool, len(t.Columns))
	for progress := true; progress; {
		progress, name = false, ""
		for i := range t.Columns {
			c := &t.Columns[i]
			if ready[i] {
				continue
			}
			all := true
			if c.Generated != nil {
				columnNames(c.Generated, func(_, id *ast.Ident) {
					j := t.Column(id.Name)
					all = all && (j < 0 || ready[j])
				})
			}
			if ready[i] = all; all {
				progress = true
			} else {
				name = c.Name
			}
		}
	}
	return name
}
