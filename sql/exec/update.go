package exec

import (
	"bytes"
	"errors"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// assignments are the SET clause: values computed into registers of their own
// before any column changes.
type assignments struct {
	exprs []*expr
	vals  []int // registers of the new values
	cols  []int // the columns, -1 for the row id
	multi []multiAssign
}

// multiAssign is (a, b) = (SELECT …).
type multiAssign struct {
	q    *subquery
	vals []int
}

func (c *compiler) assignments(tg *target, sc *scope, pairs []*ast.SetPair) (*assignments, error) {
	a := &assignments{}
	for _, p := range pairs {
		var cols []int
		for _, id := range p.Columns {
			col := tg.t.Column(id.Name)
			if col < 0 && (!isRowIDName(id.Name) || tg.src.rowID < 0) {
				return nil, errorf("no such column: %s", id.Name)
			}
			if err := tg.notGenerated(col, "UPDATE", id); err != nil {
				return nil, err
			}
			cols = append(cols, col)
		}
		if len(cols) == 1 && vector(p.Value) == nil {
			x, err := c.expr(sc, p.Value)
			if err != nil {
				return nil, err
			}
			a.add(c, cols[0], x)
			continue
		}
		if sub, ok := ast.Unparen(p.Value).(*ast.SubqueryExpr); ok {
			q, err := c.subquery(sc, sub.Select)
			if err != nil {
				return nil, err
			}
			if len(q.cols) != len(cols) {
				return nil, errorf("%d columns assigned %d values", len(cols), len(q.cols))
			}
			m := multiAssign{q: q, vals: c.regs(len(cols))}
			a.multi = append(a.multi, m)
			for i, col := range cols {
				a.add(c, col, &expr{slot: -1, eval: readSlot(m.vals[i])})
			}
			continue
		}
		elems := vector(p.Value)
		if len(elems) != len(cols) {
			return nil, errorf("%d columns assigned %d values", len(cols), max(len(elems), 1))
		}
		for i, col := range cols {
			x, err := c.expr(sc, elems[i])
			if err != nil {
				return nil, err
			}
			a.add(c, col, x)
		}
	}
	return a, nil
}

func (a *assignments) add(c *compiler, col int, x *expr) {
	a.exprs, a.cols, a.vals = append(a.exprs, x), append(a.cols, col), append(a.vals, c.regs(1)[0])
}

// compute evaluates the right sides.
func (a *assignments) compute(f *frame) error {
	for _, m := range a.multi {
		found, err := m.q.first(f)
		if err != nil {
			return err
		}
		for i, s := range m.q.out {
			v := value.Value{}
			if found {
				v = f.regs[s]
			}
			f.regs[m.vals[i]] = v
		}
	}
	for i, x := range a.exprs {
		v, err := x.eval(f)
		if err != nil {
			return err
		}
		f.regs[a.vals[i]] = v
	}
	return nil
}

// assign puts the new values into the row's registers.
func (a *assignments) assign(f *frame, tg *target) error {
	for i, col := range a.cols {
		slot := tg.src.rowID
		if col >= 0 {
			slot = tg.src.slots[col]
		}
		v := f.regs[a.vals[i]]
		if slot == tg.src.rowID {
			if v = applyAffinity(v, value.AffinityInteger); v.Kind() != value.Int {
				return mismatch()
			}
		}
		f.regs[slot] = v
	}
	return nil
}

// change turns the row in the registers, stored under key, into the one that
// the assignments say. The registers hold the new row afterwards.
//
// What foreign keys set off comes before RETURNING, triggers after it; the change
// counts before both.
func (tg *target) change(f *frame, a *assignments, key []byte, ev *events, resolve resolver, returns *returning) error {
	old := tg.save(f)
	stored := old
	if err := a.assign(f, tg); err != nil {
		return err
	}
	if ev != nil && len(ev.before) > 0 {
		var err error
		if stored, err = tg.beforeUpdate(f, a, ev, key, old); err != nil {
			return err
		}
	}
	for _, step := range []func(*frame) error{tg.affinities, tg.notNull, tg.check} {
		if err := step(f); err != nil {
			tg.restoreOnSkip(f, err, stored)
			return err
		}
	}
	newKey := tg.key(f)
	indexes := tg.changed
	if !bytes.Equal(key, newKey) {
		indexes = tg.indexes
	}
	o, err := tg.unique(f, newKey, key, resolve)
	if err == nil && o == freed {
		stored, err = tg.stored(f, key)
		indexes = tg.indexes
	}
	switch {
	case err != nil:
		return err
	case o == settled:
		return errSkip
	}
	if ev == nil {
		if err := tg.exchange(f, indexes, key, newKey, stored); err != nil {
			return err
		}
		f.changes++
		return returns.add(f)
	}
	if err := tg.exchangeKeys(f, ev, indexes, key, newKey, old, stored); err != nil {
		return err
	}
	f.changes++
	after := tg.save(f)
	if err := ev.keys.act(f, old, after); err != nil {
		return err
	}
	if err := returns.add(f); err != nil {
		return err
	}
	return fireAll(f, ev.after, old, after)
}

// stored returns the row under key, which is being changed, as what deleting rows
// in its way set off has left it. errSkip: it is gone.
func (tg *target) stored(f *frame, key []byte) ([]value.Value, error) {
	regs := tg.save(f)
	defer tg.restore(f, regs)
	ok, err := tg.load(f, key)
	if err == nil && !ok {
		err = errSkip
	}
	return tg.save(f), err
}

// beforeUpdate fires the triggers that come before the change. They may have
// changed the row, which is read again, or deleted it: errSkip. It returns the
// row as it is stored; the registers hold the new one.
func (tg *target) beforeUpdate(f *frame, a *assignments, ev *events, key []byte, old []value.Value) ([]value.Value, error) {
	if err := tg.affinities(f); err != nil {
		return nil, err
	}
	if err := fireAll(f, ev.before, old, tg.save(f)); err != nil {
		return nil, err
	}
	ok, err := tg.load(f, key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errSkip
	}
	stored := tg.save(f)
	return stored, a.assign(f, tg)
}

// exchangeKeys is exchange with foreign keys: the old row is gone when the
// parents of the new one are looked for.
func (tg *target) exchangeKeys(f *frame, ev *events, indexes []*targetIndex, key, newKey []byte, old, stored []value.Value) error {
	if ev.keys == nil {
		return tg.exchange(f, indexes, key, newKey, stored)
	}
	after := tg.save(f)
	if err := ev.keys.check(f, old, nil, key); err != nil {
		return err
	}
	tg.restore(f, stored)
	if err := tg.remove(f, key); err != nil {
		return err
	}
	tg.restore(f, after)
	if err := ev.keys.check(f, nil, after, nil); err != nil {
		return err
	}
	return tg.put(f, newKey)
}

// exchange writes the row in the registers in the place of the stored one; indexes are
// those whose records may differ.
func (tg *target) exchange(f *frame, indexes []*targetIndex, key, newKey []byte, stored []value.Value) error {
	if err := tg.writable(f); err != nil {
		return err
	}
	newEntries, err := tg.entries(f, indexes, newKey)
	if err != nil {
		return err
	}
	var oldEntries [][]byte
	if len(indexes) > 0 {
		after := tg.save(f)
		tg.restore(f, stored)
		if oldEntries, err = tg.entries(f, indexes, key); err != nil {
			return err
		}
		tg.restore(f, after)
	}
	for i, ti := range indexes {
		if bytes.Equal(oldEntries[i], newEntries[i]) {
			continue
		}
		c, err := f.collection(ti.coll)
		if err != nil {
			return err
		}
		if oldEntries[i] != nil {
			if err := c.Delete(oldEntries[i]); err != nil {
				return err
			}
		}
		if newEntries[i] != nil {
			if err := c.Put(newEntries[i], entryValue(tg.t, newKey)); err != nil {
				return err
			}
		}
	}
	return tg.replaceRow(f, key, newKey)
}

func (tg *target) restoreOnSkip(f *frame, err error, old []value.Value) {
	if errors.Is(err, errSkip) {
		tg.restore(f, old)
	}
}

// entries encodes the records of indexes for the row in the registers.
func (tg *target) entries(f *frame, indexes []*targetIndex, key []byte) ([][]byte, error) {
	out := make([][]byte, len(indexes))
	for i, ti := range indexes {
		e, _, _, err := tg.entry(f, ti, key)
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

func (tg *target) replaceRow(f *frame, key, newKey []byte) error {
	rows, err := f.collection(tg.rows)
	if err != nil {
		return err
	}
	if !bytes.Equal(key, newKey) {
		f.forgetRowID(tg.t.Root)
		if err := rows.Delete(key); err != nil {
			return err
		}
	}
	return rows.Put(newKey, encodeRow(tg.values(f)))
}

// values are the stored columns of the row in the registers; NULL stands for
// the others.
func (tg *target) values(f *frame) []value.Value {
	vals := make([]value.Value, len(tg.src.slots))
	for i, slot := range tg.src.slots {
		if col := &tg.t.Columns[i]; slot != tg.src.rowID && (col.Generated == nil || col.Stored) {
			vals[i] = f.regs[slot]
		}
	}
	return vals
}

// updater is the plan of an UPDATE.
type updater struct {
	*target
	node    node
	set     *assignments
	early   bool // the new values are computed while the rows are looked for
	returns *returning
}

func (c *compiler) update(p *plan, n *ast.UpdateStmt) error {
	if len(n.OrderBy) > 0 || n.Limit != nil {
		return unsupported("ORDER BY and LIMIT in UPDATE")
	}
	if v := c.instead(n.Table, schema.Update, n.Set); v != nil {
		return c.updateView(p, v, n)
	}
	var err error
	outer := c.with(c.outer, n.With)
	sc := &scope{parent: outer}
	u := &updater{}
	if u.target, err = c.target(sc, n.Table, n.Alias); err != nil {
		return err
	}
	if err := u.src.hint(n.IndexedBy, n.NotIndexed); err != nil {
		return err
	}
	u.conflict = c.conflictOf(n.OrConflict)
	if err := c.updateFrom(sc, n.From); err != nil {
		return err
	}
	subqueries := c.nSubs
	if u.set, err = c.assignments(u.target, sc, n.Set); err != nil {
		return err
	}
	u.orderChanged(u.set)
	u.early = c.nSubs > subqueries || len(n.From) > 0
	where, err := c.conditions(sc, n.Where)
	if err != nil {
		return err
	}
	own := &scope{parent: outer, sources: sc.sources[:1]}
	if u.returns, err = c.returning(p, own, n.Returning); err != nil {
		return err
	}
	if err := checkJoins(sc); err != nil {
		return err
	}
	u.node = c.join(sc, where, wanted{})
	p.run = u.run
	if len(n.From) > 0 {
		p.run = u.runFrom
	}
	return c.updateEvents(u)
}

func (c *compiler) updateEvents(u *updater) (err error) {
	if u.ev[schema.Update], err = c.events(u.target, schema.Update, u.set.changedColumns(u.target)); err != nil {
		return err
	}
	if u.replaces() {
		u.ev[schema.Delete], err = c.replaceEvents(u.target)
	}
	return err
}

func (c *compiler) conditions(sc *scope, where ast.Expr) ([]*expr, error) {
	var out []*expr
	for _, e := range conjuncts(where, nil) {
		x, err := c.exprIn(sc, e)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// found collects the rows to change before the first one changes, so that
// the statement does not meet its own rows.
func (tg *target) found(f *frame, n node, extra []int, early *assignments) (*buffer, error) {
	kept := &buffer{slots: append(tg.keySlots(), extra...)}
	q := &query{node: n}
	err := q.each(f, func() error {
		if early != nil {
			if err := early.compute(f); err != nil {
				return err
			}
		}
		return kept.save(f)
	})
	return kept, err
}

func (tg *target) keySlots() []int {
	if tg.t.PrimaryKey == nil {
		return []int{tg.src.rowID}
	}
	var out []int
	for _, c := range tg.t.PrimaryKey {
		out = append(out, tg.src.slots[c])
	}
	return out
}

func (u *updater) run(f *frame) error {
	var early *assignments
	var extra []int
	if u.early {
		early, extra = u.set, u.set.vals
	}
	kept, err := u.found(f, u.node, extra, early)
	defer kept.close(f)
	if err != nil {
		return err
	}
	for i := range kept.n {
		if err := f.tick(); err != nil {
			return err
		}
		if err := kept.load(f, i); err != nil {
			return err
		}
		if err := u.updateRow(f); err != nil && !errors.Is(err, errSkip) {
			return err
		}
	}
	return nil
}

func (u *updater) updateRow(f *frame) error {
	key := u.key(f)
	ok, err := u.load(f, key)
	if err != nil || !ok {
		return err // replaced by an earlier row of this statement
	}
	if !u.early {
		if err := u.set.compute(f); err != nil {
			return err
		}
	}
	return u.change(f, u.set, key, u.ev[schema.Update], u.resolve, u.returns)
}

// resolve is what UPDATE does about a conflict. As in SQLite triggers may not
// write to the table while they see a row deleted that an index has in the way.
func (u *updater) resolve(f *frame, ix *schema.Index, other []byte) (outcome, error) {
	if ix == nil && u.t.PrimaryKey == nil || !f.s.recursiveTriggers || !u.ev[schema.Delete].hasTriggers() {
		return u.conflicts(f, ix, other)
	}
	top := f.top()
	top.pinned = append(top.pinned, pin{table: u.t, by: f})
	defer func() { top.pinned = top.pinned[:len(top.pinned)-1] }()
	return u.conflicts(f, ix, other)
}

// deleter is the plan of a DELETE.
type deleter struct {
	*target
	node    node
	returns *returning
}

func (c *compiler) delete(p *plan, n *ast.DeleteStmt) error {
	if len(n.OrderBy) > 0 || n.Limit != nil {
		return unsupported("ORDER BY and LIMIT in DELETE")
	}
	if v := c.instead(n.Table, schema.Delete, nil); v != nil {
		return c.deleteView(p, v, n)
	}
	var err error
	outer := c.with(c.outer, n.With)
	sc := &scope{parent: outer}
	d := &deleter{}
	if d.target, err = c.target(sc, n.Table, n.Alias); err != nil {
		return err
	}
	if err := d.src.hint(n.IndexedBy, n.NotIndexed); err != nil {
		return err
	}
	where, err := c.conditions(sc, n.Where)
	if err != nil {
		return err
	}
	if d.returns, err = c.returning(p, sc, n.Returning); err != nil {
		return err
	}
	d.node = c.join(sc, where, wanted{})
	p.run = d.run
	d.ev[schema.Delete], err = c.events(d.target, schema.Delete, nil)
	return err
}

func (d *deleter) run(f *frame) error {
	kept, err := d.found(f, d.node, nil, nil)
	defer kept.close(f)
	if err != nil {
		return err
	}
	for i := range kept.n {
		if err := f.tick(); err != nil {
			return err
		}
		if err := kept.load(f, i); err != nil {
			return err
		}
		key := d.key(f)
		ok, err := d.load(f, key)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := d.removeRow(f, key, true, true, d.returns); err != nil && !errors.Is(err, errSkip) {
			return err
		}
	}
	return nil
}

func exists(rows *engine.Collection, key []byte) (bool, error) {
	_, err := rows.UnsafeGet(key)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
