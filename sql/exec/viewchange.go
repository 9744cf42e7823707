package exec

import (
	"errors"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// viewChange is an UPDATE or DELETE of a view: what its INSTEAD OF triggers do
// for each row. sqlite_sequence is changed in the same way, without triggers.
type viewChange struct {
	*target
	ev      *events
	node    node // the rows to change
	set     *assignments
	early   bool // the new values are computed while the rows are looked for
	returns *returning
}

// instead returns the view that a statement names if triggers stand for the
// change, which is one of the columns set, or sqlite_sequence; nil for anything
// else.
func (c *compiler) instead(q *ast.QualifiedName, e schema.Event, set []*ast.SetPair) *schema.Table {
	if s := c.sequenceOf(q); s != nil {
		return s.SequenceTable()
	}
	t := c.schema.Find(q)
	if t == nil || !t.IsView() {
		return nil
	}
	for _, g := range c.schema.Fires(t) {
		if g.Event == e && (g.UpdateOf == nil || slices.ContainsFunc(set, func(p *ast.SetPair) bool { return setsAny(p, g.UpdateOf) })) {
			return t
		}
	}
	return nil
}

func setsAny(p *ast.SetPair, names []string) bool {
	return slices.ContainsFunc(p.Columns, func(id *ast.Ident) bool {
		return slices.ContainsFunc(names, func(n string) bool { return ast.SameName(n, id.Name) })
	})
}

// viewTarget makes a target of a view; sc receives the view as its first
// source.
func (c *compiler) viewTarget(sc *scope, t *schema.Table, alias *ast.Ident) (*target, error) {
	var src *source
	var err error
	if t.IsView() {
		src, err = c.viewSource(t)
	} else {
		src = c.sequenceSource(t.Database())
	}
	if err != nil {
		return nil, err
	}
	src.name = t.Name
	if alias != nil {
		src.name = alias.Name
	}
	shown := *t
	shown.Columns = nil
	for _, col := range src.cols {
		shown.Columns = append(shown.Columns, schema.Column{Name: col.name, DeclType: col.declType})
	}
	sc.sources = append(sc.sources, src)
	return &target{t: &shown, src: src, defaults: make([]*expr, len(shown.Columns))}, nil
}

func (c *compiler) updateView(p *plan, t *schema.Table, n *ast.UpdateStmt) error {
	var err error
	outer := c.with(c.outer, n.With)
	sc := &scope{parent: outer}
	u := &viewChange{}
	if u.target, err = c.viewTarget(sc, t, n.Alias); err != nil {
		return err
	}
	u.conflict = c.conflictOf(n.OrConflict)
	if err := c.updateFrom(sc, n.From); err != nil {
		return err
	}
	if u.set, err = c.assignments(u.target, sc, n.Set); err != nil {
		return err
	}
	u.early = len(n.From) > 0
	where, err := c.conditions(sc, n.Where)
	if err != nil {
		return err
	}
	if u.returns, err = c.returning(p, &scope{parent: outer, sources: sc.sources[:1]}, n.Returning); err != nil {
		return err
	}
	if err := checkJoins(sc); err != nil {
		return err
	}
	u.node = c.join(sc, where, wanted{})
	u.ev, err = c.events(u.target, schema.Update, u.set.changedColumns(u.target))
	p.run = u.run
	return err
}

func (c *compiler) deleteView(p *plan, t *schema.Table, n *ast.DeleteStmt) error {
	var err error
	outer := c.with(c.outer, n.With)
	sc := &scope{parent: outer}
	d := &viewChange{}
	if d.target, err = c.viewTarget(sc, t, n.Alias); err != nil {
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
	d.ev, err = c.events(d.target, schema.Delete, nil)
	p.run = d.run
	return err
}

// run looks all rows up before the first trigger fires.
func (u *viewChange) run(f *frame) error {
	slots := append([]int(nil), u.src.slots...)
	if u.early {
		slots = append(slots, u.set.vals...)
	}
	kept := &buffer{slots: slots}
	defer kept.close(f)
	q := &query{node: u.node}
	err := q.each(f, func() error {
		if u.early {
			if err := u.set.compute(f); err != nil {
				return err
			}
		}
		return kept.save(f)
	})
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
		if err := u.row(f); err != nil && !errors.Is(err, errSkip) {
			return err
		}
	}
	return nil
}

func (u *viewChange) row(f *frame) error {
	old := u.save(f)
	var after []value.Value
	if u.set != nil {
		if !u.early {
			if err := u.set.compute(f); err != nil {
				return err
			}
		}
		if err := u.set.assign(f, u.target); err != nil {
			return err
		}
		after = u.save(f)
	}
	if err := u.returns.add(f); err != nil {
		return err
	}
	if !u.t.IsView() {
		f.changes++
		return f.writeSequence(u.t.Database(), old, after)
	}
	if u.ev == nil { // UPDATE OF other columns
		return nil
	}
	return fireAll(f, u.ev.after, old, after)
}

// insertView inserts the row that the query has in its registers.
func (ins *inserter) insertView(f *frame) error {
	if err := ins.fill(f); err != nil {
		return err
	}
	if err := ins.returns.add(f); err != nil {
		return err
	}
	if !ins.t.IsView() {
		f.changes++
		return f.writeSequence(ins.t.Database(), nil, ins.save(f))
	}
	return fireAll(f, ins.ev[schema.Insert].after, nil, ins.save(f))
}
