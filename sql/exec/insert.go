package exec

import (
	"errors"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// inserter is the plan of an INSERT.
type inserter struct {
	*target
	view     bool   // or sqlite_sequence
	query    *query // the rows; nil: DEFAULT VALUES
	buffered bool   // the query reads the table: run it to the end first
	from     []int  // for each column the position in the query's row, -1: default
	rowID    int    // position of an explicit row id, -1 for none
	upserts  []*upsert
	given    []int // registers of the values before affinities, for excluded; or nil
	returns  *returning
}

func (c *compiler) insert(p *plan, n *ast.InsertStmt) error {
	var err error
	sc := c.with(c.outer, n.With)
	view := c.instead(n.Table, schema.Insert, nil)
	ins := &inserter{rowID: -1, view: view != nil}
	if !n.DefaultValues {
		if err := checkSingleRow(n); err != nil {
			return err
		}
		if ins.query, err = c.selectStmt(sc, n.Select); err != nil {
			return err
		}
	}
	reads := len(c.collNames)
	own := &scope{parent: sc}
	if view != nil {
		ins.target, err = c.viewTarget(own, view, n.Alias)
	} else {
		ins.target, err = c.target(own, n.Table, n.Alias)
	}
	if err != nil {
		return err
	}
	ins.buffered = ins.query != nil && ins.rows < reads
	ins.conflict = n.OrConflict
	if n.Replace {
		ins.conflict = ast.ConflictReplace
	}
	ins.conflict = c.conflictOf(ins.conflict)
	if err := ins.columns(n); err != nil {
		return err
	}
	if view != nil && len(n.Upserts) > 0 {
		return errorf("cannot UPSERT a view")
	}
	for i, u := range n.Upserts {
		up, err := c.upsert(ins, own, u, i+1, len(n.Upserts))
		if err != nil {
			return err
		}
		ins.upserts = append(ins.upserts, up)
	}
	ins.orderUnique(ins.upserts)
	if ins.returns, err = c.returning(p, own, n.Returning); err != nil {
		return err
	}
	p.run = ins.run
	c.singleRow = isSingleRow(n) && !c.inProgram && !ins.replaces()
	return c.insertEvents(ins)
}

// isSingleRow reports whether an INSERT gives one row.
func isSingleRow(n *ast.InsertStmt) bool {
	if n.DefaultValues {
		return true
	}
	if len(n.Select.Cores) != 1 || n.Select.With != nil {
		return false
	}
	v, ok := n.Select.Cores[0].(*ast.ValuesClause)
	return ok && len(v.Rows) == 1
}

// checkSingleRow refuses aggregates in a row of VALUES, which is no SELECT here.
func checkSingleRow(n *ast.InsertStmt) error {
	if !isSingleRow(n) {
		return nil
	}
	v, _ := n.Select.Cores[0].(*ast.ValuesClause)
	for _, e := range v.Rows[0] {
		if call := findAggregate(e, false); call != nil {
			return errorf("misuse of aggregate function %s()", call.Name.Name)
		}
	}
	return nil
}

func (c *compiler) insertEvents(ins *inserter) (err error) {
	for _, up := range ins.upserts {
		if up.set != nil {
			updated := *ins.target
			up.target = &updated
			up.target.conflict = ast.ConflictAbort // as in SQLite it goes before what the INSERT says, and statements in triggers
			up.target.orderChanged(up.set)
			up.ev, err = c.events(up.target, schema.Update, up.set.changedColumns(up.target))
			if err != nil {
				return err
			}
			ins.buffered = ins.buffered || ins.query != nil && up.ev != nil
			c.singleRow = c.singleRow && up.ev == nil
		}
	}
	if ins.ev[schema.Insert], err = c.events(ins.target, schema.Insert, nil); err != nil {
		return err
	}
	if !ins.view && ins.replaces() {
		if ins.ev[schema.Delete], err = c.replaceEvents(ins.target); err != nil {
			return err
		}
	}
	if ins.query != nil && (ins.ev[schema.Insert] != nil || ins.ev[schema.Delete] != nil) {
		ins.buffered = true
	}
	return nil
}

// columns maps the columns of the statement to those of the table.
func (ins *inserter) columns(n *ast.InsertStmt) error {
	t := ins.t
	ins.from = make([]int, len(t.Columns))
	for i := range ins.from {
		ins.from[i] = -1
	}
	if n.DefaultValues {
		return nil
	}
	if len(n.Columns) == 0 {
		written := ins.written()
		if len(ins.query.out) != len(written) {
			return errorf("table %s has %d columns but %d values were supplied", t.Name, len(written), len(ins.query.out))
		}
		for i, col := range written {
			ins.from[col] = i
		}
		return nil
	}
	if len(ins.query.out) != len(n.Columns) {
		return errorf("%d values for %d columns", len(ins.query.out), len(n.Columns))
	}
	for i, id := range n.Columns {
		col := t.Column(id.Name)
		if err := ins.notGenerated(col, "INSERT into", id); err != nil {
			return err
		}
		switch {
		case col >= 0:
			if ins.from[col] < 0 {
				ins.from[col] = i
			}
		case isRowIDName(id.Name) && ins.src.rowID >= 0:
			if t.RowID >= 0 {
				ins.from[t.RowID] = i
			} else {
				ins.rowID = i
			}
		default:
			return errorf("table %s has no column named %s", t.Name, id.Name)
		}
	}
	return nil
}

func (ins *inserter) run(f *frame) error {
	if ins.t.AutoIncrement && !ins.view {
		if err := f.countsFrom0(ins.t); err != nil {
			return err
		}
	}
	if ins.query == nil {
		return ins.row(f)
	}
	if !ins.buffered {
		return ins.query.each(f, func() error { return ins.row(f) })
	}
	kept := &buffer{slots: ins.query.out}
	defer kept.close(f)
	if err := ins.query.each(f, func() error { return kept.save(f) }); err != nil {
		return err
	}
	for i := range kept.n {
		if err := kept.load(f, i); err != nil {
			return err
		}
		if err := ins.row(f); err != nil {
			return err
		}
	}
	return nil
}

// row inserts the row that the query has in its registers.
func (ins *inserter) row(f *frame) error {
	err := ins.insertRow(f)
	if err != nil && errors.Is(err, errSkip) {
		return nil
	}
	return err
}

func (ins *inserter) insertRow(f *frame) error {
	if ins.view {
		return ins.insertView(f)
	}
	if err := ins.fill(f); err != nil {
		return err
	}
	ev := ins.ev[schema.Insert]
	if ev != nil && len(ev.before) > 0 {
		if err := ins.beforeInsert(f, ev); err != nil {
			return err
		}
	}
	if ins.src.rowID >= 0 {
		if err := ins.chooseRowID(f); err != nil {
			return err
		}
		if ins.t.AutoIncrement { // an id counts as given out even if the row then gives way to another
			id := f.regs[ins.src.rowID].Int()
			if err := f.gaveOut(ins.t, id); err != nil {
				return err
			}
			f.usedRowID(ins.t.Root, id)
		}
	}
	for i, slot := range ins.given {
		f.regs[slot] = f.regs[ins.src.slots[i]]
	}
	for _, step := range []func(*frame) error{ins.affinities, ins.notNull, ins.check} {
		if err := step(f); err != nil {
			return err
		}
	}
	key := ins.key(f)
	if o, err := ins.unique(f, key, nil, ins.resolve); err != nil || o == settled {
		return err
	}
	if ev != nil {
		if err := ev.keys.check(f, nil, ins.save(f), nil); err != nil {
			return err
		}
	}
	if err := ins.put(f, key); err != nil {
		return err
	}
	if err := ins.inserted(f); err != nil {
		return err
	}
	if ev == nil || len(ev.after) == 0 {
		return nil
	}
	return fireAll(f, ev.after, nil, ins.save(f))
}

// fill puts the values that the statement gives into the registers of the row.
func (ins *inserter) fill(f *frame) error {
	for i, at := range ins.from {
		var v value.Value
		var err error
		if at >= 0 {
			v = f.regs[ins.query.out[at]]
		} else if d := ins.defaults[i]; d != nil {
			v, err = d.eval(f)
		}
		if err != nil {
			return err
		}
		f.regs[ins.src.slots[i]] = v
	}
	return nil
}

// beforeInsert fires the triggers that come before the row is there. Its row
// id is −1 when the statement does not give it.
func (ins *inserter) beforeInsert(f *frame, ev *events) error {
	kept := ins.save(f)
	if slot := ins.src.rowID; slot >= 0 {
		if err := ins.givenRowID(f); err != nil {
			return err
		}
		if f.regs[slot].IsNull() {
			f.regs[slot] = value.NewInt(-1)
		}
	}
	if err := ins.affinities(f); err != nil {
		return err
	}
	if err := fireAll(f, ev.before, nil, ins.save(f)); err != nil {
		return err
	}
	ins.restore(f, kept)
	return nil
}

// inserted is called when the row in the registers was written.
func (ins *inserter) inserted(f *frame) error {
	if ins.src.rowID >= 0 {
		id := f.regs[ins.src.rowID].Int()
		f.s.lastInsertRowID = id
		f.usedRowID(ins.t.Root, id)
	}
	f.changes++
	return ins.returns.add(f)
}

// resolve is what INSERT does about a conflict.
func (ins *inserter) resolve(f *frame, ix *schema.Index, other []byte) (outcome, error) {
	for _, up := range ins.upserts {
		if !up.any && (ix == nil) != up.table || !up.any && ix != nil && up.index != ix {
			continue
		}
		if up.nothing {
			return settled, nil
		}
		return settled, ins.updateOther(f, up, ix, other)
	}
	return ins.conflicts(f, ix, other)
}
