package exec

import (
	"errors"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// upsert is one ON CONFLICT clause.
type upsert struct {
	any      bool // no target: every constraint
	table    bool // the table's key
	index    *schema.Index
	nothing  bool
	set      *assignments
	where    *expr
	excluded []int   // registers of the row as it was to be, its row id last if it has one
	target   *target // as the update writes it
	ev       *events // what the update sets off
}

// upsert compiles the clause with this number of all.
func (c *compiler) upsert(ins *inserter, own *scope, u *ast.Upsert, number, all int) (*upsert, error) {
	up := &upsert{nothing: u.DoNothing, any: len(u.Target) == 0}
	if !up.any {
		found, err := c.match(up, ins, u)
		if err != nil {
			return nil, err
		}
		if !found {
			which := ""
			if all > 1 {
				which = sqlerr.Ordinal(number) + " "
			}
			return nil, errorf("%sON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint", which)
		}
	}
	if up.nothing {
		return up, nil
	}
	excluded := &source{name: "excluded", rowID: -1, cols: ins.src.cols, slots: c.regs(len(ins.src.slots)), index: 1, excluded: true}
	up.excluded = excluded.slots
	if ins.src.rowID >= 0 {
		excluded.rowID = c.regs(1)[0]
		up.excluded = append(slices.Clone(up.excluded), excluded.rowID)
	}
	if ins.given == nil && ins.givesValues() {
		ins.given = c.regs(len(ins.src.slots))
	}
	sc := &scope{parent: own.parent, sources: []*source{ins.src, excluded}}
	// An unqualified name is the table's: excluded is only reached by its name.
	// In SQLite its columns have no affinity and no collation.
	hidden := make([]column, len(excluded.cols))
	for i := range hidden {
		hidden[i] = column{name: excluded.cols[i].name, declType: excluded.cols[i].declType, hidden: true}
	}
	excluded.cols = hidden
	var err error
	if up.set, err = c.assignments(ins.target, sc, u.Set); err != nil {
		return nil, err
	}
	if u.Where != nil {
		up.where, err = c.expr(sc, u.Where)
	}
	return up, err
}

// conflictTarget is what an ON CONFLICT clause names.
type conflictTarget struct {
	sc    *scope // of the table alone
	terms []string
	colls []string // by term, "" where it names none
	where string
	some  bool // there is a WHERE
}

// match finds the constraint that the target of an ON CONFLICT clause names.
func (c *compiler) match(up *upsert, ins *inserter, u *ast.Upsert) (found bool, err error) {
	ct := &conflictTarget{sc: &scope{sources: []*source{ins.src}}}
	for _, term := range u.Target {
		e, coll := uncollated(term.Expr)
		if _, err := c.expr(ct.sc, e); err != nil {
			return false, err
		}
		name := ""
		if coll != nil {
			name = coll.Name.Name
		}
		ct.terms, ct.colls = append(ct.terms, sameForm(ct.sc, nil, e)), append(ct.colls, name)
	}
	if ct.some = u.TargetWhere != nil; ct.some {
		if _, err := c.expr(ct.sc, u.TargetWhere); err != nil {
			return false, err
		}
		ct.where = sameForm(ct.sc, nil, u.TargetWhere)
	}
	t := ins.t
	if t.PrimaryKey == nil && len(ct.terms) == 1 && ct.colls[0] == "" && ct.terms[0] == (&match{src: ins.src, col: -1}).form() {
		up.table = true
		return true, nil
	}
	for _, ti := range ins.uniqueOrder(nil) {
		switch {
		case ti == nil && t.PrimaryKey != nil && ct.names(ins.src, ownKey(t)):
			up.table = true
			return true, nil
		case ti != nil && ct.names(ins.src, ti.ix):
			up.index = ti.ix
			return true, nil
		}
	}
	return false, nil
}

// ownKey is the key of a table that is stored by it, as if it were an index.
func ownKey(t *schema.Table) *schema.Index {
	ix := &schema.Index{Unique: true}
	for i, col := range t.PrimaryKey {
		ix.Columns = append(ix.Columns, schema.IndexColumn{Column: col, Collation: t.PKCollations[i]})
	}
	return ix
}

// names reports whether the terms of the target are those of a unique index, in
// any order, and its WHERE that of the index.
func (ct *conflictTarget) names(src *source, ix *schema.Index) bool {
	if len(ix.Columns) != len(ct.terms) {
		return false
	}
	if ix.Where != nil && (!ct.some || ct.where == "" || ct.where != sameForm(ct.sc, nil, ix.Where)) {
		return false
	}
	return !slices.ContainsFunc(ix.Columns, func(c schema.IndexColumn) bool {
		form := (&match{src: src, col: c.Column}).form()
		if c.Expr != nil {
			inner, _ := uncollated(c.Expr)
			form = sameForm(ct.sc, nil, inner)
		}
		return !ct.has(form, c.Collation)
	})
}

func (ct *conflictTarget) has(form string, coll value.Collation) bool {
	for i, term := range ct.terms {
		if term != "" && term == form && (ct.colls[i] == "" || ast.SameName(ct.colls[i], coll.String())) {
			return true
		}
	}
	return false
}

// givesValues reports whether excluded has values as they were given, if the row id
// is in the way: SQLite has not applied the affinities of the columns then, unless
// something was computed of them.
func (ins *inserter) givesValues() bool {
	return ins.t.PrimaryKey == nil && len(ins.src.generated) == 0 && len(ins.checks) == 0
}

// setExcluded puts the row as it was to be into the registers of excluded. first:
// its row id is in the way, and nothing else was looked at before it.
func (ins *inserter) setExcluded(f *frame, up *upsert, first bool) {
	for i, s := range ins.src.slots {
		v := f.regs[s]
		if first && ins.given != nil && i != ins.t.RowID && !f.regs[ins.given[i]].IsNull() { // NULL may have become the default
			v = f.regs[ins.given[i]]
			if ins.t.Columns[i].Affinity == value.AffinityReal && v.Kind() == value.Int {
				v = value.NewFloat(float64(v.Int()))
			}
		}
		f.regs[up.excluded[i]] = v
	}
	if n := len(ins.src.slots); len(up.excluded) > n {
		f.regs[up.excluded[n]] = f.regs[ins.src.rowID]
	}
}

// updateOther is DO UPDATE: the row in the way is changed instead.
func (ins *inserter) updateOther(f *frame, up *upsert, ix *schema.Index, other []byte) error {
	ins.setExcluded(f, up, ix == nil && len(ins.order) > 0 && ins.order[0] == nil)
	ok, err := ins.load(f, other)
	if err != nil || !ok {
		return err
	}
	if up.where != nil {
		pass, err := passes(f, []*expr{up.where})
		if err != nil || !pass {
			return err
		}
	}
	if err := up.set.compute(f); err != nil {
		return err
	}
	err = up.target.change(f, up.set, other, up.ev, up.target.conflicts, ins.returns)
	if errors.Is(err, errSkip) {
		return nil
	}
	return err
}
