package exec

import (
	"errors"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// programDepthMax is how deep triggers and actions of foreign keys may set off
// one another, SQLite's own.
const programDepthMax = 1000

// program is what a trigger does, or the action of a foreign key, for one row.
// It runs in frames of its own.
type program struct {
	trigger  *schema.Trigger // nil: the action of a foreign key
	restrict bool            // RESTRICT, which a deferred constraint is without
	old, new *source         // the row before and after; nil where there is none
	when     *expr           // or nil
	steps    []step
	plan     *plan
}

// step is one statement of a program.
type step struct {
	run   runFunc
	query *query // SELECT: its rows go nowhere
}

// programKey says what a program was compiled of. Conflict is what the
// statement that sets it off says for all statements in it.
type programKey struct {
	trigger  *schema.Trigger
	key      *schema.ForeignKey
	update   bool
	conflict ast.ConflictAction
}

// programOf returns the program of a key, compiled once per statement; fill
// compiles it, with names as s has them. A program that sets off itself finds
// itself half made.
func (c *compiler) programOf(key programKey, s *schema.Schema, fill func(c *compiler, p *program) error) (*program, error) {
	if p := c.programs[key]; p != nil {
		return p, nil
	}
	if c.programs == nil {
		c.programs = map[programKey]*program{}
	}
	p := &program{trigger: key.trigger}
	c.programs[key] = p
	in := &compiler{
		schema: s, stmt: c.stmt, programs: c.programs, foreignKeys: c.foreignKeys,
		conflict: key.conflict, inProgram: true, stored: s.Qualifier() != "" || !s.HasTemp(),
	}
	if err := fill(in, p); err != nil {
		return nil, err
	}
	c.missing = append(c.missing, in.missing...)
	p.plan = &plan{nRegs: in.nRegs, nSubs: in.nSubs, collNames: in.collNames}
	return p, nil
}

// rowSource makes a source with registers for one row of another one. Its
// columns are reached by their qualified names alone, and have, as in SQLite,
// collations but no affinities, but for the row id.
func (c *compiler) rowSource(name string, like *source) *source {
	s := &source{name: name, rowID: -1, slots: c.regs(len(like.slots)), cols: slices.Clone(like.cols), qualifiedOnly: true}
	for i := range s.cols {
		s.cols[i].hidden = true
		if like.rowID < 0 || like.slots[i] != like.rowID {
			s.cols[i].aff, s.cols[i].hasAff = value.AffinityBlob, false
		}
	}
	if like.rowID >= 0 {
		s.rowID = c.regs(1)[0]
		for i, slot := range like.slots {
			if slot == like.rowID {
				s.slots[i] = s.rowID
			}
		}
	}
	return s
}

// rows gives a program the sources OLD and NEW and returns their scope.
func (c *compiler) programRows(p *program, like *source, old, new bool) *scope {
	sc := &scope{}
	add := func(name string) *source {
		s := c.rowSource(name, like)
		s.index = len(sc.sources)
		sc.sources = append(sc.sources, s)
		return s
	}
	if old {
		p.old = add("old")
	}
	if new {
		p.new = add("new")
	}
	return sc
}

// addStep compiles one statement of a program.
func (c *compiler) addStep(p *program, stmt ast.Stmt) error {
	in := &plan{}
	if err := c.statement(in, stmt); err != nil {
		return err
	}
	p.steps = append(p.steps, step{run: in.run, query: in.query})
	return nil
}

// fire runs a program for a row, whose values before and after are laid out as
// target.save does. errSkip: the row is left as it is.
func (p *program) fire(f *frame, old, new []value.Value) error {
	top := f.top()
	if p.trigger != nil && !f.s.recursiveTriggers && slices.Contains(top.firing, p.trigger) {
		return nil
	}
	if p.restrict && f.s.deferForeignKeys {
		return nil
	}
	if len(top.firing) >= programDepthMax {
		return errorf("triggers nested too deep")
	}
	if err := top.tick(); err != nil {
		return err
	}
	in := top.programFrame(p)
	defer top.putFrame(p, in)
	in.ctx, in.s, in.tx, in.root, in.fn, in.mem, in.granted = f.ctx, f.s, f.tx, top, top.functionContext(), f.mem, f.granted
	fillRow(in, p.old, old)
	fillRow(in, p.new, new)
	if p.when != nil {
		ok, err := passes(in, []*expr{p.when})
		if err != nil || !ok {
			return err
		}
	}
	top.firing = append(top.firing, p.trigger)
	defer func() { top.firing = top.firing[:len(top.firing)-1] }()
	s := f.s
	changes, last := s.changes, s.lastInsertRowID
	defer func() { s.changes, s.lastInsertRowID = changes, last }()
	return p.run(in)
}

func (p *program) run(f *frame) error {
	for _, st := range p.steps {
		if st.run == nil {
			if err := st.query.each(f, func() error { return nil }); err != nil {
				return err
			}
			continue
		}
		err := st.run(f)
		if err != nil && !errors.Is(err, errSkip) {
			return err // what a step has changed counts at its end
		}
		f.s.changes = f.changes
		f.s.totalChanges += f.changes
		f.changes = 0
		f.clearSubs()
		if err != nil {
			return err
		}
	}
	return nil
}

func fillRow(f *frame, s *source, row []value.Value) {
	if s == nil || row == nil {
		return
	}
	for i, slot := range s.slots {
		f.regs[slot] = row[i]
	}
	if s.rowID >= 0 {
		f.regs[s.rowID] = row[len(row)-1]
	}
}

// top returns the frame of the statement that f belongs to.
func (f *frame) top() *frame {
	if f.root != nil {
		return f.root
	}
	return f
}

// programFrame returns a frame for a program; putFrame takes it back, empty.
func (f *frame) programFrame(p *program) *frame {
	if idle := f.idle[p]; len(idle) > 0 {
		f.idle[p] = idle[:len(idle)-1]
		return idle[len(idle)-1]
	}
	return p.plan.newFrame()
}

func (f *frame) putFrame(p *program, in *frame) {
	in.clear()
	if f.idle == nil {
		f.idle = map[*program][]*frame{}
	}
	f.idle[p] = append(f.idle[p], in)
}
