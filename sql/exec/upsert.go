package exec

import (
	"errors"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
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
	excluded []int
	ev       *events // what the update sets off
}

func (c *compiler) upsert(ins *inserter, own *scope, u *ast.Upsert) (*upsert, error) {
	up := &upsert{nothing: u.DoNothing, any: len(u.Target) == 0}
	if !up.any {
		if err := up.match(ins.t, u); err != nil {
			return nil, err
		}
	}
	if up.nothing {
		return up, nil
	}
	excluded := &source{name: "excluded", rowID: -1, cols: ins.src.cols, slots: c.regs(len(ins.src.slots)), index: 1, excluded: true}
	up.excluded = excluded.slots
	sc := &scope{parent: own.parent, sources: []*source{ins.src, excluded}}
	// An unqualified name is the table's: excluded is only reached by its name.
	hidden := make([]column, len(excluded.cols))
	copy(hidden, excluded.cols)
	for i := range hidden {
		hidden[i].hidden = true
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

// match finds the constraint that an ON CONFLICT target names.
func (up *upsert) match(t *schema.Table, u *ast.Upsert) error {
	var cols []int
	if ix := matchExpressions(t, u); ix != nil {
		up.index = ix
		return nil
	}
	collated := map[int]string{} // columns that the target names with a collation: only an index with that one is meant
	for _, term := range u.Target {
		e := unparen(term.Expr)
		collation := ""
		if ce, ok := e.(*ast.CollateExpr); ok {
			e, collation = unparen(ce.X), ce.Name.Name
		}
		id, ok := e.(*ast.Ident)
		if !ok {
			return errNoConflictTarget()
		}
		col := t.Column(id.Name)
		if col < 0 && !isRowIDName(id.Name) {
			return errorf("no such column: %s", id.Name)
		}
		cols = append(cols, col)
		if collation != "" {
			collated[col] = collation
		}
	}
	if len(cols) == 1 && (cols[0] < 0 || cols[0] == t.RowID) && t.PrimaryKey == nil && len(collated) == 0 {
		up.table = true
		return nil
	}
	meant := func(col int, coll value.Collation) bool {
		name, ok := collated[col]
		return !ok || schema.SameName(name, coll.String())
	}
	all := true
	for i, col := range t.PrimaryKey {
		all = all && meant(col, t.PKCollations[i])
	}
	if all && sameColumns(cols, t.PrimaryKey) {
		up.table = true
		return nil
	}
	for _, ix := range t.Indexes {
		if !ix.Unique || (ix.Where != nil && u.TargetWhere == nil) {
			continue
		}
		var of []int
		all := true
		for _, c := range ix.Columns {
			of = append(of, c.Column)
			all = all && meant(c.Column, c.Collation)
		}
		if all && sameColumns(cols, of) {
			up.index = ix
			return nil
		}
	}
	return errNoConflictTarget()
}

func errNoConflictTarget() error {
	return errorf("ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint")
}

// matchExpressions finds the unique index whose terms, expressions among them,
// are those of an ON CONFLICT target.
func matchExpressions(t *schema.Table, u *ast.Upsert) *schema.Index {
	for _, ix := range t.Indexes {
		if !ix.Unique || len(ix.Columns) != len(u.Target) || (ix.Where != nil && u.TargetWhere == nil) {
			continue
		}
		found, hasExpr := true, false
		for _, c := range ix.Columns {
			hasExpr = hasExpr || c.Expr != nil
			found = found && slices.ContainsFunc(u.Target, func(term *ast.OrderingTerm) bool { return sameTerm(t, c, term.Expr) })
		}
		if found && hasExpr {
			return ix
		}
	}
	return nil
}

func sameTerm(t *schema.Table, c schema.IndexColumn, e ast.Expr) bool {
	e = unparen(e)
	if ce, ok := e.(*ast.CollateExpr); ok {
		if coll, ok := value.CollationByName(ce.Name.Name); !ok || coll != c.Collation {
			return false
		}
		e = unparen(ce.X)
	}
	if c.Expr == nil {
		id, ok := e.(*ast.Ident)
		return ok && t.Column(id.Name) == c.Column
	}
	return schema.SameName(ast.String(unparen(c.Expr)), ast.String(e))
}

func sameColumns(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	set := map[int]bool{}
	for _, c := range a {
		set[c] = true
	}
	for _, c := range b {
		if !set[c] {
			return false
		}
	}
	return len(set) == len(b)
}

// updateOther is DO UPDATE: the row in the way is changed instead.
func (ins *inserter) updateOther(f *frame, up *upsert, other []byte) error {
	for i, s := range ins.src.slots {
		f.regs[up.excluded[i]] = f.regs[s]
	}
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
	err = ins.change(f, up.set, other, up.ev, ins.conflicts, func() error {
		f.changes++
		return ins.returns.add(f)
	})
	if errors.Is(err, errSkip) {
		return nil
	}
	return err
}
