package exec

import (
	"errors"
	"slices"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// target is the table that a statement changes, with what it takes to write a
// row: constraints, indexes, defaults.
type target struct {
	t       *schema.Table
	src     *source // the row in registers: that to be written, or that found
	rows    int     // collection
	indexes []*targetIndex
	checks  []*check
	layout  *rowLayout // all columns
	// defaults are by column, nil for NULL.
	defaults []*expr
	// conflict is what the statement says for all constraints (INSERT OR …).
	conflict ast.ConflictAction
	order    []*targetIndex // see uniqueOrder; of an UPDATE those that it may change
	again    []*targetIndex // all, for a row that programs may have put others in the way of
	changed  []*targetIndex // the indexes whose records an UPDATE may change beside the row's key
	// ev is what changes set off, by schema.Event; nil for nothing.
	ev [3]*events
}

type targetIndex struct {
	ix    *schema.Index
	coll  int
	key   []keyColumn
	exprs []*expr // by key column, nil for a plain one
	where *expr   // partial
	reads []int   // registers of the columns that decide about its records
}

type check struct {
	x    *expr
	name string
}

// target compiles what writing to a table takes; sc receives the table as its
// first source, all of whose columns are read.
func (c *compiler) target(sc *scope, q *ast.QualifiedName, alias *ast.Ident) (*target, error) {
	t := c.schema.Find(q)
	switch {
	case t == nil && c.catalogNamed(q) != "":
		return nil, errorf("table %s may not be modified", q.Name.Name)
	case t == nil:
		return nil, c.noTable(q)
	case t.IsView():
		return nil, errorf("cannot modify %s because it is a view", t.Name)
	}
	src, err := c.tableSource(t)
	if err != nil {
		return nil, err
	}
	if alias != nil {
		src.name = alias.Name
	}
	src.qualify(q, alias)
	for i := range src.used {
		src.used[i] = true
	}
	sc.sources = append(sc.sources, src)
	tg := &target{t: t, src: src, rows: c.collection(t.Collection()), layout: c.layout(src)}
	tg.defaults = make([]*expr, len(t.Columns))
	for i := range t.Columns {
		if e := t.Columns[i].Default; e != nil {
			x, err := c.expr(&scope{}, e)
			if err != nil {
				return nil, err
			}
			tg.defaults[i] = x
		}
	}
	own := &scope{sources: []*source{src}}
	for _, ix := range t.Indexes {
		ti := &targetIndex{ix: ix, coll: c.collection(ix.Collection()), key: indexKey(ix)}
		if err := c.indexExprs(own, ti); err != nil {
			return nil, err
		}
		tg.indexes = append(tg.indexes, ti)
	}
	for _, ck := range t.Checks {
		x, err := c.expr(own, ck.Expr)
		if err != nil {
			return nil, err
		}
		name := ck.Name
		if name == "" {
			name = ck.Text
		}
		tg.checks = append(tg.checks, &check{x, name})
	}
	return tg, nil
}

// indexExprs compiles what an index computes of a row.
func (c *compiler) indexExprs(own *scope, ti *targetIndex) (err error) {
	c.deterministic = "an index"
	defer func() { c.deterministic = "" }()
	ti.exprs = make([]*expr, len(ti.key))
	src, reads := own.sources[0], len(c.reads)
	defer func() { ti.reads = append(ti.reads, c.reads[reads:]...) }()
	for i, col := range ti.ix.Columns {
		if col.Expr == nil {
			ti.reads = append(ti.reads, src.slots[col.Column])
			continue
		}
		if ti.exprs[i], err = c.expr(own, col.Expr); err != nil {
			return err
		}
	}
	if ti.ix.Where != nil {
		ti.where, err = c.expr(own, ti.ix.Where)
	}
	return err
}

// errSkip ends the work on one row without an error: OR IGNORE.
var errSkip = errors.New("row skipped")

// key encodes the key of the row in the registers.
func (tg *target) key(f *frame) []byte {
	return rowKeyIn(f, tg.src)
}

// rowKeyIn encodes the key of the row that a table's source has in its registers.
func rowKeyIn(f *frame, src *source) []byte {
	t := src.table
	if t.PrimaryKey == nil {
		return appendRowID(nil, f.regs[src.rowID].Int())
	}
	var key []byte
	for i, c := range t.PrimaryKey {
		key = appendKeyValue(key, f.regs[src.slots[c]], keyColumn{col: c, coll: t.PKCollations[i]})
	}
	return key
}

// entry encodes the index record of the row in the registers; nil: a partial
// index does not hold the row. The first prefix bytes are the indexed values.
func (tg *target) entry(f *frame, ti *targetIndex, rowKey []byte) (entry []byte, prefix int, hasNull bool, err error) {
	if ti.where != nil {
		ok, err := passes(f, []*expr{ti.where})
		if err != nil || !ok {
			return nil, 0, false, err
		}
	}
	for i, kc := range ti.key {
		var v value.Value
		if x := ti.exprs[i]; x != nil {
			if v, err = x.eval(f); err != nil {
				return nil, 0, false, err
			}
		} else {
			v = f.regs[tg.src.slots[kc.col]]
		}
		hasNull = hasNull || v.IsNull()
		entry = appendKeyValue(entry, v, kc)
	}
	prefix = len(entry)
	return append(entry, rowKey...), prefix, hasNull, nil
}

// affinities gives the values in the registers the storage class of their
// columns; STRICT tables refuse what does not fit.
func (tg *target) affinities(f *frame) error {
	for i := range tg.t.Columns {
		col := &tg.t.Columns[i]
		slot := tg.src.slots[i]
		if slot == tg.src.rowID || col.Generated != nil {
			continue
		}
		if err := tg.store(f, i, f.regs[slot]); err != nil {
			return err
		}
	}
	return tg.generate(f)
}

// store puts a value into the register of column i as the column holds it.
func (tg *target) store(f *frame, i int, v value.Value) error {
	col := &tg.t.Columns[i]
	v = applyAffinity(v, col.Affinity)
	if tg.t.Strict && !fitsStrict(&v, col.DeclType) {
		return sqlerr.New(sqlerr.ConstraintDataType, "cannot store %s value in %s column %s.%s",
			kindName(v.Kind()), strictName(col.DeclType), tg.t.Name, col.Name)
	}
	f.regs[tg.src.slots[i]] = v
	return nil
}

// generate computes the generated columns of the row in the registers.
func (tg *target) generate(f *frame) error {
	for _, g := range tg.src.generated {
		v, err := g.x.eval(f)
		if err != nil {
			return err
		}
		if err := tg.store(f, g.col, v); err != nil {
			return err
		}
	}
	return nil
}

// notNull tests NOT NULL columns; a default replaces NULL under OR REPLACE.
func (tg *target) notNull(f *frame) error {
	replaced := false
	for i := range tg.t.Columns {
		col := &tg.t.Columns[i]
		slot := tg.src.slots[i]
		if !col.NotNull || slot == tg.src.rowID || col.Generated != nil || !f.regs[slot].IsNull() {
			continue
		}
		action := tg.action(col.NotNullConflict)
		if action == ast.ConflictReplace && tg.defaults[i] != nil {
			v, err := tg.defaults[i].eval(f)
			if err != nil {
				return err
			}
			if !v.IsNull() {
				f.regs[slot], replaced = applyAffinity(v, col.Affinity), true
				continue
			}
		}
		if err := tg.nullError(i); err != nil {
			return err
		}
	}
	if replaced {
		if err := tg.generate(f); err != nil {
			return err
		}
	}
	for _, g := range tg.src.generated {
		if tg.t.Columns[g.col].NotNull && f.regs[tg.src.slots[g.col]].IsNull() {
			return tg.nullError(g.col)
		}
	}
	return nil
}

func (tg *target) nullError(i int) error {
	col := &tg.t.Columns[i]
	action := tg.action(col.NotNullConflict)
	if action == ast.ConflictIgnore {
		return errSkip
	}
	return conflictError(action, sqlerr.New(sqlerr.ConstraintNotNull, "NOT NULL constraint failed: %s.%s", tg.t.Name, col.Name))
}

func (tg *target) check(f *frame) error {
	for _, ck := range tg.checks {
		v, err := ck.x.eval(f)
		if err != nil {
			return err
		}
		if t, known := truth(v); t || !known {
			continue
		}
		if tg.conflict == ast.ConflictIgnore {
			return errSkip
		}
		action := tg.conflict
		if action == ast.ConflictReplace {
			action = ast.ConflictAbort
		}
		return conflictError(action, sqlerr.New(sqlerr.ConstraintCheck, "CHECK constraint failed: %s", ck.name))
	}
	return nil
}

// action is what to do about a constraint that says own.
func (tg *target) action(own ast.ConflictAction) ast.ConflictAction {
	if tg.conflict != ast.ConflictDefault {
		return tg.conflict
	}
	if own != ast.ConflictDefault {
		return own
	}
	return ast.ConflictAbort
}

// actionError carries what a failed constraint does to the statement: FAIL
// keeps the rows before it, ROLLBACK ends the transaction.
type actionError struct {
	action ast.ConflictAction
	err    error
}

func (e *actionError) Error() string { return e.err.Error() }
func (e *actionError) Unwrap() error { return e.err }

func conflictError(action ast.ConflictAction, err error) error {
	if action == ast.ConflictFail || action == ast.ConflictRollback {
		return &actionError{action, err}
	}
	return err
}

// writable fails in a program that was set off while a frame around it had the
// table pinned.
func (tg *target) writable(f *frame) error {
	for _, p := range f.top().pinned {
		if p.table == tg.t && p.by != f {
			return sqlerr.New(sqlerr.ConstraintPinned, "constraint failed: triggers may not write to table %s while an UPDATE of it deletes a row in its way", tg.t.Name)
		}
	}
	return nil
}

// put writes the row in the registers with its index records.
func (tg *target) put(f *frame, key []byte) error {
	if err := tg.writable(f); err != nil {
		return err
	}
	rows, err := f.collection(tg.rows)
	if err != nil {
		return err
	}
	if err := rows.Put(key, encodeRow(tg.values(f))); err != nil {
		return err
	}
	for _, ti := range tg.indexes {
		entry, _, _, err := tg.entry(f, ti, key)
		if err != nil {
			return err
		}
		if entry == nil {
			continue
		}
		c, err := f.collection(ti.coll)
		if err != nil {
			return err
		}
		if err := c.Put(entry, entryValue(tg.t, key)); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the row in the registers with its index records.
func (tg *target) remove(f *frame, key []byte) error {
	if err := tg.writable(f); err != nil {
		return err
	}
	f.forgetRowID(tg.t.Root)
	for _, ti := range tg.indexes {
		entry, _, _, err := tg.entry(f, ti, key)
		if err != nil {
			return err
		}
		if entry == nil {
			continue
		}
		c, err := f.collection(ti.coll)
		if err != nil {
			return err
		}
		if err := c.Delete(entry); err != nil {
			return err
		}
	}
	rows, err := f.collection(tg.rows)
	if err != nil {
		return err
	}
	return rows.Delete(key)
}

// load reads the row with a key into the registers.
func (tg *target) load(f *frame, key []byte) (bool, error) {
	rows, err := f.collection(tg.rows)
	if err != nil {
		return false, err
	}
	row, err := rows.UnsafeGet(key)
	if errors.Is(err, engine.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, tg.layout.load(f, key, row)
}

// removeKey deletes another row than the one in the registers, which stay as
// they are. Triggers see it if they are recursive; one that says IGNORE may keep
// the row.
func (tg *target) removeKey(f *frame, key []byte) (outcome, error) {
	regs := tg.save(f)
	defer tg.restore(f, regs)
	ok, err := tg.load(f, key)
	if err != nil || !ok {
		return free, err
	}
	ev := tg.ev[schema.Delete]
	if ev == nil {
		return free, tg.remove(f, key)
	}
	triggers := f.s.recursiveTriggers
	if err := tg.removeRow(f, key, triggers, false, nil); err != nil && !errors.Is(err, errSkip) {
		return free, err
	}
	if ev.runsPrograms(triggers) {
		return freed, nil
	}
	return free, nil
}

// removeRow deletes the row in the registers with all that this sets off.
// errSkip: a trigger kept the row, or deleted it.
func (tg *target) removeRow(f *frame, key []byte, triggers, counts bool, returns *returning) error {
	ev := tg.ev[schema.Delete]
	if ev == nil {
		ev = &events{}
	}
	var old []value.Value
	if tg.ev[schema.Delete] != nil {
		old = tg.save(f)
	}
	if triggers && len(ev.before) > 0 {
		if err := fireAll(f, ev.before, old, nil); err != nil {
			return err
		}
		ok, err := tg.load(f, key)
		if err != nil {
			return err
		}
		if !ok {
			return errSkip
		}
	}
	if err := ev.keys.check(f, old, nil, key); err != nil {
		return err
	}
	if err := tg.remove(f, key); err != nil {
		return err
	}
	if counts {
		f.changes++
	}
	if err := ev.keys.act(f, old, nil); err != nil {
		return err
	}
	if err := returns.add(f); err != nil {
		return err
	}
	if !triggers {
		return nil
	}
	return fireAll(f, ev.after, old, nil)
}

// replaces reports whether a conflict may delete another row.
func (tg *target) replaces() bool {
	return slices.ContainsFunc(tg.order, func(ti *targetIndex) bool { return tg.action(tg.ownAction(ti)) == ast.ConflictReplace })
}

// ownAction is what an index says about conflicts, or the key if ti is nil.
func (tg *target) ownAction(ti *targetIndex) ast.ConflictAction {
	if ti == nil {
		return tg.t.PKConflict
	}
	return ti.ix.OnConflict
}

// conflictOf is what a statement says for all constraints; what set off the
// program around it goes first.
func (c *compiler) conflictOf(own ast.ConflictAction) ast.ConflictAction {
	if c.conflict != ast.ConflictDefault {
		return c.conflict
	}
	return own
}

func (tg *target) save(f *frame) []value.Value {
	kept := make([]value.Value, len(tg.src.slots)+1)
	for i, s := range tg.src.slots {
		kept[i] = f.regs[s]
	}
	if tg.src.rowID >= 0 {
		kept[len(kept)-1] = f.regs[tg.src.rowID]
	}
	return kept
}

func (tg *target) restore(f *frame, kept []value.Value) {
	for i, s := range tg.src.slots {
		f.regs[s] = kept[i]
	}
	if tg.src.rowID >= 0 {
		f.regs[tg.src.rowID] = kept[len(kept)-1]
	}
}
