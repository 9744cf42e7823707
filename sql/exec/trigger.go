package exec

import (
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// events are what a change of one kind to a row of a table sets off.
type events struct {
	before, after []*program
	keys          *keyChecks // nil: no foreign key is concerned
}

// runsPrograms reports whether a change may run programs, those of triggers if
// they are to fire.
func (ev *events) runsPrograms(triggers bool) bool {
	return triggers && ev.hasTriggers() || ev.keys.acts()
}

func (ev *events) hasTriggers() bool { return ev != nil && len(ev.before)+len(ev.after) > 0 }

// events compiles what changes of one kind set off; nil when that is nothing.
// changed are the columns that an UPDATE sets.
func (c *compiler) events(tg *target, e schema.Event, changed []bool) (*events, error) {
	return c.eventsUnder(tg.conflict, tg, e, changed)
}

// replaceEvents compiles what REPLACE sets off when it deletes a row.
func (c *compiler) replaceEvents(tg *target) (*events, error) {
	return c.eventsUnder(ast.ConflictReplace, tg, schema.Delete, nil)
}

// eventsUnder is events where all statements of triggers do about conflicts what
// conflict says, unless it says nothing.
func (c *compiler) eventsUnder(conflict ast.ConflictAction, tg *target, e schema.Event, changed []bool) (*events, error) {
	ev := &events{}
	if !c.noTriggers {
		for _, g := range c.schema.Fires(tg.t) {
			if g.Event != e || !concerns(g, tg.t, changed) {
				continue
			}
			p, err := c.triggerProgram(g, tg, conflict)
			if err != nil {
				return nil, err
			}
			if g.Time == ast.TriggerBefore {
				ev.before = append(ev.before, p)
			} else {
				ev.after = append(ev.after, p)
			}
		}
	}
	if c.foreignKeys && tg.src.table != nil {
		var err error
		if ev.keys, err = c.keyChecks(tg, e, changed, len(ev.before)+len(ev.after) > 0); err != nil {
			return nil, err
		}
	}
	if len(ev.before)+len(ev.after) == 0 && ev.keys == nil {
		return nil, nil //nolint:nilnil // nothing is set off
	}
	return ev, nil
}

func concerns(g *schema.Trigger, t *schema.Table, changed []bool) bool {
	if g.UpdateOf == nil {
		return true
	}
	return slices.ContainsFunc(g.UpdateOf, func(name string) bool {
		i := t.Column(name)
		return i >= 0 && changed[i]
	})
}

// changedColumns are the columns that assignments set, and those that are
// generated of them.
func (a *assignments) changedColumns(tg *target) []bool {
	changed := make([]bool, len(tg.t.Columns))
	for _, col := range a.cols {
		if col < 0 {
			col = tg.t.RowID
		}
		if col >= 0 {
			changed[col] = true
		}
	}
	for _, g := range tg.src.generated {
		for _, j := range g.reads {
			changed[g.col] = changed[g.col] || changed[j]
		}
	}
	return changed
}

func (c *compiler) triggerProgram(g *schema.Trigger, tg *target, conflict ast.ConflictAction) (*program, error) {
	return c.programOf(programKey{trigger: g, conflict: conflict}, c.schema.Within(g.IsTemp()), func(c *compiler, p *program) (err error) {
		sc := c.programRows(p, tg.src, g.Event != schema.Insert, g.Event != schema.Delete)
		c.outer = sc
		if g.When != nil {
			if p.when, err = c.expr(sc, g.When); err != nil {
				return err
			}
		}
		for _, stmt := range g.Body {
			if err := c.addStep(p, stmt); err != nil {
				return err
			}
		}
		return nil
	})
}

func fireAll(f *frame, list []*program, old, new []value.Value) error {
	for _, p := range list {
		if err := p.fire(f, old, new); err != nil {
			return err
		}
	}
	return nil
}

// raise compiles RAISE().
func (c *compiler) raise(sc *scope, n *ast.RaiseExpr) (*expr, error) {
	if !c.inProgram {
		return nil, errorf("RAISE() may only be used within a trigger-program")
	}
	action := map[string]ast.ConflictAction{
		"ABORT": ast.ConflictAbort, "FAIL": ast.ConflictFail, "ROLLBACK": ast.ConflictRollback,
	}[strings.ToUpper(n.Action)]
	if action == ast.ConflictDefault { // IGNORE
		return &expr{slot: -1, eval: func(*frame) (value.Value, error) { return value.Value{}, errSkip }}, nil
	}
	message, err := c.expr(sc, n.Message)
	if err != nil {
		return nil, err
	}
	return &expr{slot: -1, eval: func(f *frame) (value.Value, error) {
		v, err := message.eval(f)
		if err != nil {
			return v, err
		}
		return value.Value{}, conflictError(action, sqlerr.New(sqlerr.ConstraintTrigger, "%s", v.AsText()))
	}}, nil
}
