package exec

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
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
	returns  *returning
}

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

func (c *compiler) insert(p *plan, n *ast.InsertStmt) error {
	sc, err := c.with(c.outer, n.With)
	if err != nil {
		return err
	}
	view := c.instead(n.Table, schema.Insert, nil)
	ins := &inserter{rowID: -1, view: view != nil}
	if !n.DefaultValues {
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
	for _, u := range n.Upserts {
		up, err := c.upsert(ins, own, u)
		if err != nil {
			return err
		}
		ins.upserts = append(ins.upserts, up)
	}
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

func (c *compiler) insertEvents(ins *inserter) (err error) {
	for _, up := range ins.upserts {
		if up.set != nil {
			if up.ev, err = c.events(ins.target, schema.Update, up.set.changedColumns(ins.target)); err != nil {
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
		if ins.ev[schema.Delete], err = c.events(ins.target, schema.Delete, nil); err != nil {
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
	excluded := &source{name: "excluded", rowID: -1, cols: ins.src.cols, slots: c.regs(len(ins.src.slots)), index: 1}
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
	for _, term := range u.Target {
		e := unparen(term.Expr)
		if ce, ok := e.(*ast.CollateExpr); ok {
			e = unparen(ce.X)
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
	}
	if len(cols) == 1 && (cols[0] < 0 || cols[0] == t.RowID) && t.PrimaryKey == nil {
		up.table = true
		return nil
	}
	if sameColumns(cols, t.PrimaryKey) {
		up.table = true
		return nil
	}
	for _, ix := range t.Indexes {
		if !ix.Unique || (ix.Where != nil && u.TargetWhere == nil) {
			continue
		}
		var of []int
		for _, c := range ix.Columns {
			of = append(of, c.Column)
		}
		if sameColumns(cols, of) {
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
	return strings.EqualFold(ast.String(unparen(c.Expr)), ast.String(e))
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

func (ins *inserter) run(f *frame) error {
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
		kept.load(f, i)
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
	}
	for _, step := range []func(*frame) error{ins.affinities, ins.notNull, ins.check} {
		if err := step(f); err != nil {
			return err
		}
	}
	key := ins.key(f)
	done, err := ins.unique(f, key, nil, ins.resolve)
	if err != nil || done {
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
		if ins.t.AutoIncrement {
			if err := f.bumpSequence(ins.t, id); err != nil {
				return err
			}
		}
	}
	f.changes++
	return ins.returns.add(f)
}

// chooseRowID takes the row id that the statement gives or the next free one.
func (ins *inserter) chooseRowID(f *frame) error {
	slot := ins.src.rowID
	if err := ins.givenRowID(f); err != nil {
		return err
	}
	if !f.regs[slot].IsNull() {
		f.forgetRowID(ins.t.Root)
		return nil
	}
	if !f.nextKnown {
		next, ok := f.s.rowIDs[ins.t.Root]
		if !ok || f.s.tx != f.tx {
			var err error
			if next, err = ins.nextRowID(f); err != nil {
				return err
			}
		}
		f.nextRowID, f.nextKnown, f.nextOf = next, true, ins.t.Root
	}
	f.regs[slot] = value.NewInt(f.nextRowID)
	return nil
}

// givenRowID puts the row id that the statement gives into its register, or NULL.
func (ins *inserter) givenRowID(f *frame) error {
	slot := ins.src.rowID
	if ins.t.RowID < 0 {
		f.regs[slot] = value.Value{}
		if ins.rowID >= 0 {
			f.regs[slot] = f.regs[ins.query.out[ins.rowID]]
		}
	}
	v := f.regs[slot]
	if v.IsNull() {
		return nil
	}
	if v = applyAffinity(v, value.AffinityInteger); v.Kind() != value.Int {
		return mismatch()
	}
	f.regs[slot] = v
	return nil
}

// nextRowID is one more than the greatest in the table, or than the greatest
// there ever was for AUTOINCREMENT.
func (ins *inserter) nextRowID(f *frame) (int64, error) {
	rows, err := f.collection(ins.rows)
	if err != nil {
		return 0, err
	}
	greatest := int64(0)
	cur := rows.Cursor(nil, nil)
	if cur.Prev() {
		greatest, err = rowIDOf(cur.UnsafeKey())
	} else {
		err = cur.Err()
	}
	_ = cur.Close() // releases memory alone
	if err != nil {
		return 0, err
	}
	if ins.t.AutoIncrement {
		seq, _, err := schema.Sequence(f.tx, ins.t)
		if err != nil {
			return 0, err
		}
		greatest = max(greatest, seq)
	}
	if greatest == math.MaxInt64 {
		if ins.t.AutoIncrement {
			return 0, sqlerr.New(sqlerr.Full, "database or disk is full")
		}
		return ins.freeRowID(rows)
	}
	return max(greatest, 0) + 1, nil
}

// freeRowID finds a gap from below when the greatest row id is taken.
func (ins *inserter) freeRowID(rows *engine.Collection) (int64, error) {
	cur := rows.Cursor(appendRowID(nil, 1), nil)
	defer cur.Close() //nolint:errcheck // releases memory alone
	want := int64(1)
	for cur.Next() {
		id, err := rowIDOf(cur.UnsafeKey())
		if err != nil {
			return 0, err
		}
		if id != want {
			return want, nil
		}
		want++
	}
	if err := cur.Err(); err != nil {
		return 0, err
	}
	return 0, sqlerr.New(sqlerr.Full, "database or disk is full")
}

// resolver decides about a row that another one stands in the way of: done
// means that nothing is left to do for it.
type resolver func(f *frame, ix *schema.Index, other []byte) (done bool, err error)

// unique looks for rows that the one in the registers may not stand beside.
// own is the key of the row that it replaces, nil for none.
func (tg *target) unique(f *frame, key, own []byte, resolve resolver) (bool, error) {
	rows, err := f.collection(tg.rows)
	if err != nil {
		return false, err
	}
	if !bytes.Equal(key, own) {
		found, err := exists(rows, key)
		if err != nil {
			return false, err
		}
		if found {
			if done, err := resolve(f, nil, key); done || err != nil {
				return done, err
			}
		}
	}
	for _, ti := range tg.indexes {
		if !ti.ix.Unique {
			continue
		}
		entry, prefix, hasNull, err := tg.entry(f, ti, nil)
		if err != nil {
			return false, err
		}
		if entry == nil || hasNull {
			continue
		}
		other, err := tg.holder(f, ti, entry[:prefix])
		if err != nil {
			return false, err
		}
		if other == nil || bytes.Equal(other, own) {
			continue
		}
		if done, err := resolve(f, ti.ix, other); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// holder returns the key of the row that an index holds under these values.
func (tg *target) holder(f *frame, ti *targetIndex, prefix []byte) ([]byte, error) {
	c, err := f.collection(ti.coll)
	if err != nil {
		return nil, err
	}
	cur := c.Cursor(prefix, prefixEnd(prefix))
	defer cur.Close() //nolint:errcheck // releases memory alone
	if !cur.Next() {
		return nil, cur.Err()
	}
	return bytes.Clone(rowKeyOfEntry(tg.t, cur.UnsafeKey(), cur.UnsafeValue())), nil
}

// resolve is what INSERT does about a conflict.
func (ins *inserter) resolve(f *frame, ix *schema.Index, other []byte) (bool, error) {
	for _, up := range ins.upserts {
		if !up.any && (ix == nil) != up.table || !up.any && ix != nil && up.index != ix {
			continue
		}
		if up.nothing {
			return true, nil
		}
		return true, ins.updateOther(f, up, other)
	}
	return ins.conflicts(f, ix, other)
}

// conflicts applies the conflict action of the statement or the constraint.
func (tg *target) conflicts(f *frame, ix *schema.Index, other []byte) (bool, error) {
	own := tg.t.PKConflict
	if ix != nil {
		own = ix.OnConflict
	}
	switch action := tg.action(own); action {
	case ast.ConflictIgnore:
		return true, nil
	case ast.ConflictReplace:
		return false, tg.removeKey(f, other)
	default:
		return false, conflictError(action, tg.uniqueError(ix))
	}
}

func (tg *target) uniqueError(ix *schema.Index) error {
	t := tg.t
	code := sqlerr.ConstraintUnique
	var cols []int
	switch {
	case ix != nil && slices.ContainsFunc(ix.Columns, func(c schema.IndexColumn) bool { return c.Expr != nil }):
		return sqlerr.New(code, "UNIQUE constraint failed: index '%s'", ix.Name)
	case ix != nil:
		if ix.Origin == schema.OriginPrimaryKey {
			code = sqlerr.ConstraintPrimaryKey
		}
		for _, c := range ix.Columns {
			cols = append(cols, c.Column)
		}
	case t.PrimaryKey != nil:
		code, cols = sqlerr.ConstraintPrimaryKey, t.PrimaryKey
	case t.RowID >= 0:
		code, cols = sqlerr.ConstraintPrimaryKey, []int{t.RowID}
	default:
		return sqlerr.New(sqlerr.ConstraintRowID, "UNIQUE constraint failed: %s.rowid", t.Name)
	}
	var names []string
	for _, c := range cols {
		names = append(names, t.Name+"."+t.Columns[c].Name)
	}
	return sqlerr.New(code, "UNIQUE constraint failed: %s", strings.Join(names, ", "))
}
