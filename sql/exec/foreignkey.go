package exec

import (
	"bytes"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// Foreign keys are counted, as SQLite does: a change that leaves a child
// without a parent adds one to a counter, a change that mends one takes one
// away. The counter of immediate constraints must be zero at the end of the
// statement, that of deferred ones at the end of the transaction. It is below
// zero, which is a failure too, when more is mended than was broken: rows that
// were without a parent before keys were enforced.
//
// Source: https://www.sqlite.org/foreignkeys.html §4.2, §6.

// keyChecks are the foreign keys that a change to a row of a table concerns.
type keyChecks struct {
	children []*childCheck  // the table's own REFERENCES
	parents  []*parentCheck // REFERENCES of others to it
}

// childCheck looks for the parent of a row.
type childCheck struct {
	deferred bool
	cols     []int // of the child
	affs     []value.Affinity
	params   []int  // registers of the key to look for
	lookup   *query // nil: there is no parent table
	self     []int  // the parent's columns when it is the same table
	rowID    int    // of the parent, the column that is it
	atOnce   bool   // nothing else in the statement can mend a violation
}

// parentCheck looks for the children of a row.
type parentCheck struct {
	deferred bool
	cols     []int // of the parent
	params   []int
	scan     *query
	child    *source
	self     bool
	action   *program // or nil
}

func errForeignKey() error {
	return sqlerr.New(sqlerr.ConstraintForeignKey, "FOREIGN KEY constraint failed")
}

func (c *compiler) keyChecks(tg *target, e schema.Event, changed []bool, triggers bool) (*keyChecks, error) {
	k := &keyChecks{}
	t := tg.t
	if changed != nil && !c.keysChanged(t, changed) {
		return nil, nil //nolint:nilnil // no foreign key is concerned
	}
	for i := range slices.Backward(t.ForeignKeys) {
		fk := &t.ForeignKeys[i]
		self := fold(fk.Parent) == fold(t.Name)
		if changed != nil && !self && !anyOf(fk.Columns, changed) {
			continue
		}
		ch, err := c.childCheck(t, fk, self)
		if err != nil {
			return nil, err
		}
		ch.atOnce = e == schema.Insert && c.singleRow && !triggers && !fk.Deferred
		k.children = append(k.children, ch)
	}
	for _, ref := range slices.Backward(c.schema.Of(t).References(t.Name)) {
		cols, ok := parentKey(t, ref.Key)
		switch {
		case !ok && (c.noTriggers || e == schema.Insert && c.singleRow && !triggers && !ref.Key.Deferred):
			continue
		case !ok && changed != nil && !namesChanged(t, ref.Key, changed):
			continue
		case !ok:
			return nil, keyMismatch(ref.Child, ref.Key)
		case changed != nil && !anyOf(cols, changed):
			continue
		}
		pc, err := c.parentCheck(tg, ref, cols)
		if err == nil && e != schema.Insert {
			pc.action, err = c.keyAction(tg, ref, cols, e == schema.Update)
		}
		if err != nil {
			return nil, err
		}
		k.parents = append(k.parents, pc)
	}
	if len(k.children)+len(k.parents) == 0 {
		return nil, nil //nolint:nilnil // no foreign key is concerned
	}
	return k, nil
}

// keysChanged reports whether an UPDATE sets a column of a foreign key, of the
// table or to it.
func (c *compiler) keysChanged(t *schema.Table, changed []bool) bool {
	for i := range t.ForeignKeys {
		if anyOf(t.ForeignKeys[i].Columns, changed) {
			return true
		}
	}
	return slices.ContainsFunc(c.schema.Of(t).References(t.Name), func(ref schema.Reference) bool {
		cols, ok := parentKey(t, ref.Key)
		return ok && anyOf(cols, changed) || !ok && namesChanged(t, ref.Key, changed)
	})
}

func anyOf(cols []int, set []bool) bool {
	return slices.ContainsFunc(cols, func(c int) bool { return set[c] })
}

// namesChanged is anyOf for a key that no unique index of the parent has.
func namesChanged(t *schema.Table, fk *schema.ForeignKey, changed []bool) bool {
	for i := range t.Columns {
		named := slices.ContainsFunc(fk.ParentCols, func(n string) bool { return t.Column(n) == i })
		if changed[i] && (named || fk.ParentCols == nil && t.Columns[i].PKIndex > 0) {
			return true
		}
	}
	return false
}

func keyMismatch(child *schema.Table, fk *schema.ForeignKey) error {
	return errorf("foreign key mismatch - %q referencing %q", child.Name, fk.Parent)
}

// parentKey returns the columns of a parent that a foreign key names, in its
// order; false: they are no key of the parent.
func parentKey(t *schema.Table, fk *schema.ForeignKey) ([]int, bool) {
	n := len(fk.Columns)
	if t.IsView() {
		return nil, false
	}
	if fk.ParentCols == nil {
		switch {
		case n == 1 && t.RowID >= 0:
			return []int{t.RowID}, true
		case len(t.PrimaryKey) == n:
			return t.PrimaryKey, true
		}
		for _, ix := range t.Indexes {
			if ix.Origin == schema.OriginPrimaryKey && len(ix.Columns) == n {
				return indexedColumns(ix), true
			}
		}
		return nil, false
	}
	cols := make([]int, n)
	for i, name := range fk.ParentCols {
		if cols[i] = t.Column(name); cols[i] < 0 {
			return nil, false
		}
	}
	if n == 1 && cols[0] == t.RowID {
		return cols, true
	}
	if len(t.PrimaryKey) == n && sameColumns(cols, t.PrimaryKey) && ownCollations(t, t.PrimaryKey, t.PKCollations) {
		return cols, true
	}
	for _, ix := range t.Indexes {
		if !ix.Unique || ix.Where != nil || !sameColumns(cols, indexedColumns(ix)) {
			continue
		}
		colls := make([]value.Collation, 0, n)
		for _, c := range ix.Columns {
			colls = append(colls, c.Collation)
		}
		if ownCollations(t, indexedColumns(ix), colls) {
			return cols, true
		}
	}
	return nil, false
}

func indexedColumns(ix *schema.Index) []int {
	out := make([]int, len(ix.Columns))
	for i, c := range ix.Columns {
		out[i] = c.Column
	}
	return out
}

func ownCollations(t *schema.Table, cols []int, colls []value.Collation) bool {
	for i, c := range cols {
		if c < 0 || t.Columns[c].Collation != colls[i] {
			return false
		}
	}
	return true
}

func (c *compiler) childCheck(t *schema.Table, fk *schema.ForeignKey, self bool) (*childCheck, error) {
	ch := &childCheck{deferred: fk.Deferred, cols: fk.Columns}
	parent := c.schema.Of(t).Table(fk.Parent)
	if parent == nil {
		if c.noTriggers {
			return ch, nil
		}
		return nil, errorf("no such table: %s.%s", t.Database(), fk.Parent)
	}
	cols, ok := parentKey(parent, fk)
	if !ok {
		if c.noTriggers {
			return ch, nil
		}
		return nil, keyMismatch(t, fk)
	}
	if self {
		ch.self, ch.rowID = cols, parent.RowID
	}
	src, err := c.tableSource(parent)
	if err != nil {
		return nil, err
	}
	ch.params = c.regs(len(cols))
	var conds []*expr
	for i, col := range cols {
		ch.affs = append(ch.affs, parent.Columns[col].Affinity)
		conds = append(conds, compareExprs(ast.OpEq, columnOf(src, col), &expr{slot: -1, eval: readSlot(ch.params[i])}))
	}
	ch.lookup = c.keyQuery(src, conds)
	return ch, nil
}

// columnOf compiles a column of a source that stands alone.
func columnOf(src *source, col int) *expr {
	cl := &src.cols[col]
	slot := src.use(col)
	return &expr{
		slot: slot, eval: readSlot(slot), aff: cl.aff, hasAff: true, coll: cl.coll, collBy: collColumn,
		refs: 1, reads: []int{slot},
	}
}

func (c *compiler) keyQuery(src *source, conds []*expr) *query {
	return &query{node: c.join(&scope{sources: []*source{src}}, conds, wanted{})}
}

func (c *compiler) parentCheck(tg *target, ref schema.Reference, cols []int) (*parentCheck, error) {
	src, err := c.tableSource(ref.Child)
	if err != nil {
		return nil, err
	}
	pc := &parentCheck{deferred: ref.Key.Deferred, cols: cols, child: src, params: c.regs(len(cols)), self: ref.Child == tg.t}
	var conds []*expr
	for i, col := range cols {
		p := &tg.src.cols[col]
		param := &expr{slot: -1, eval: readSlot(pc.params[i]), aff: p.aff, hasAff: true, coll: p.coll, collBy: collExplicit}
		conds = append(conds, compareExprs(ast.OpEq, param, columnOf(src, ref.Key.Columns[i])))
	}
	for _, col := range ref.Child.PrimaryKey {
		src.use(col)
	}
	pc.scan = c.keyQuery(src, conds)
	return pc, nil
}

// check counts what taking away the row old and adding the row new breaks and
// mends; nil stands for none. key is that of old.
func (k *keyChecks) check(f *frame, old, new []value.Value, key []byte) error {
	if k == nil {
		return nil
	}
	for _, ch := range k.children {
		if old != nil {
			if err := ch.check(f, old, -1); err != nil {
				return err
			}
		}
		if new != nil {
			if err := ch.check(f, new, +1); err != nil {
				return err
			}
		}
	}
	for _, pc := range k.parents {
		if new != nil {
			if err := pc.check(f, new, -1, nil); err != nil {
				return err
			}
		}
		if old != nil {
			if err := pc.check(f, old, +1, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// acts reports whether foreign keys have actions.
func (k *keyChecks) acts() bool {
	return k != nil && slices.ContainsFunc(k.parents, func(pc *parentCheck) bool { return pc.action != nil })
}

// act runs the actions of the foreign keys to a row that was changed or, with
// new nil, deleted.
func (k *keyChecks) act(f *frame, old, new []value.Value) error {
	if k == nil {
		return nil
	}
	for _, pc := range k.parents {
		if pc.action != nil {
			if err := pc.action.fire(f, old, new); err != nil {
				return err
			}
		}
	}
	return nil
}

func (ch *childCheck) check(f *frame, row []value.Value, n int64) error {
	if n < 0 && f.noViolations(ch.deferred) {
		return nil
	}
	own := ch.self != nil && n > 0
	for i, col := range ch.cols {
		v := row[col]
		if v.IsNull() {
			return nil
		}
		if ch.lookup == nil {
			continue
		}
		f.regs[ch.params[i]] = applyAffinity(v, ch.affs[i])
		if own { // SQLite compares a key other than the row id as it is
			if ch.self[i] == ch.rowID {
				v = f.regs[ch.params[i]]
			}
			p := row[ch.self[i]]
			own = !p.IsNull() && compare(v, p, value.Binary) == 0
		}
	}
	if own {
		return nil
	}
	if ch.lookup != nil {
		found, err := ch.lookup.first(f)
		if err != nil || found {
			return err
		}
	} else if n > 0 {
		return nil
	}
	if ch.atOnce && n > 0 && !f.s.deferForeignKeys {
		return errForeignKey()
	}
	f.countViolations(ch.deferred, n)
	return nil
}

func (pc *parentCheck) check(f *frame, row []value.Value, n int64, key []byte) error {
	if n < 0 && f.noViolations(pc.deferred) {
		return nil
	}
	for i, col := range pc.cols {
		if row[col].IsNull() {
			return nil
		}
		f.regs[pc.params[i]] = row[col]
	}
	return pc.scan.each(f, func() error {
		if pc.self && n > 0 && bytes.Equal(rowKeyIn(f, pc.child), key) {
			return nil
		}
		f.countViolations(pc.deferred, n)
		return nil
	})
}

// countViolations adds to the counter that a constraint belongs to.
func (f *frame) countViolations(deferred bool, n int64) {
	switch {
	case deferred:
		f.s.violations.deferred += n
	case f.s.deferForeignKeys:
		f.s.violations.immediate += n
	default:
		f.top().violations += n
	}
}

func (f *frame) noViolations(deferred bool) bool {
	v := &f.s.violations
	if deferred {
		return v.deferred == 0 && v.immediate == 0
	}
	return f.top().violations == 0 && v.immediate == 0
}

// violations counts what the transaction must mend before it commits.
type violations struct {
	deferred  int64 // of deferred constraints
	immediate int64 // of others, under PRAGMA defer_foreign_keys
}

// any reports whether the transaction cannot commit. SQLite adds the two up.
func (v violations) any() bool { return v.deferred+v.immediate != 0 }

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
