package resolve

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// join finds the columns of USING and NATURAL, and collects the conditions of ON.
func (r *resolver) join(p *part) error {
	for i, it := range p.items {
		if i == 0 {
			if it.ref.On != nil { // FROM t ON …: no table is before it
				p.where = append(p.where, it.ref.On)
			}
			continue
		}
		if err := r.usingOf(p, i); err != nil {
			return err
		}
		for _, name := range it.using {
			if err := checkUsing(p, i, name); err != nil {
				return err
			}
		}
		if it.using == nil && it.ref.On != nil {
			p.where = append(p.where, it.ref.On)
		}
	}
	return nil
}

func (r *resolver) usingOf(p *part, i int) error {
	it := p.items[i]
	natural := it.ref.Join != nil && it.ref.Join.Type&ast.JoinNatural != 0
	if natural && (it.ref.On != nil || len(it.ref.Using) > 0) {
		return sqlerr.Errorf("a NATURAL join may not have an ON or USING clause")
	}
	for _, id := range it.ref.Using {
		it.using = append(it.using, id.Name)
	}
	if !natural {
		return nil
	}
	for j, name := range it.table.Columns {
		if !it.table.hides(j) && onLeft(p, 0, i, name) >= 0 {
			it.using = append(it.using, name)
		}
	}
	return nil
}

// onLeft returns the first item between two places that has a column, -1 when
// none has.
func onLeft(p *part, from, to int, name string) int {
	for i := from; i < to; i++ {
		if p.items[i].table.column(name) >= 0 {
			return i
		}
	}
	return -1
}

func checkUsing(p *part, i int, name string) error {
	left := onLeft(p, 0, i, name)
	if p.items[i].table.column(name) < 0 || left < 0 {
		return sqlerr.Errorf("cannot join using column %s - column not present in both tables", name)
	}
	if !p.items[0].before {
		return nil
	}
	for left = onLeft(p, left+1, i, name); left >= 0; left = onLeft(p, left+1, i, name) {
		if !p.items[left].uses(name) {
			return sqlerr.Errorf("ambiguous reference to %s in USING()", name)
		}
	}
	return nil
}

// uses reports whether an item is joined by a column of this name.
func (it *item) uses(name string) bool {
	return slices.ContainsFunc(it.using, func(s string) bool { return same(s, name) })
}
