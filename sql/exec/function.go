package exec

import (
	"github.com/byokdb/byokdb/internal/clock"
	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// functionContext returns what functions know of the statement.
func (f *frame) functionContext() *fn.Context {
	if f.fn == nil {
		f.fn = &fn.Context{Now: clock.System().Now(), Poll: f.poll}
		if f.s != nil {
			f.fn.Changes, f.fn.TotalChanges, f.fn.LastInsertRowID = f.s.changes, f.s.totalChanges, f.s.lastInsertRowID
		}
	}
	return f.fn
}

func knownScalar(name string) bool {
	found := false
	fn.Scalars(func(s *fn.Scalar) bool {
		found = s.Name == name
		return !found
	})
	_, special := specials[name]
	return found || special
}

// scalarCall compiles a call of the registry.
func (c *compiler) scalarCall(name string, args []*expr) (*expr, error) {
	s, err := fn.LookupScalar(name, len(args))
	if err != nil {
		return nil, sqlerr.Errorf("%s", err.Error())
	}
	coll, where := collationOfAll(args), c.deterministic
	call := func(f *frame, args []value.Value) (value.Value, error) {
		c := f.functionContext()
		c.Collation, c.UsedClock = coll, false
		v, err := s.Call(c, args)
		if c.Stopped != nil {
			err, c.Stopped = c.Stopped, nil
			return v, err
		}
		if err != nil {
			return v, &sqlerr.Error{Code: sqlerr.Generic, ExtendedCode: sqlerr.Generic, Offset: -1, Err: err}
		}
		if where != "" && c.UsedClock {
			return v, errorf("non-deterministic use of %s() in %s", s.Name, where)
		}
		return v, nil
	}
	e := computed(func(f *frame) (value.Value, error) {
		base := len(f.stack)
		for _, a := range args {
			if a.slot >= 0 {
				f.stack = append(f.stack, f.regs[a.slot])
				continue
			}
			v, err := a.eval(f)
			if err != nil {
				f.stack = f.stack[:base]
				return v, err
			}
			f.stack = append(f.stack, v)
		}
		v, err := call(f, f.stack[base:])
		f.stack = f.stack[:base]
		return v, err
	}, args...)
	if len(args) == 1 && args[0].slot >= 0 { // the argument lies where it is read
		at := args[0].slot
		e.eval = func(f *frame) (value.Value, error) { return call(f, f.regs[at:at+1:at+1]) }
	}
	e.konst = e.konst && (s.Pure || s.Steady)
	if e.konst {
		e.eval = c.once(e.eval)
	}
	return e, nil
}

// once has eval, which is the same for the whole statement, run once for each run
// of it: the value stays in a register until the frame is cleared.
func (c *compiler) once(eval evalFn) evalFn {
	at := c.regs(2) // the value, and whether it is there
	return func(f *frame) (value.Value, error) {
		if at[1] >= len(f.regs) { // evaluated while the statement is compiled
			return eval(f)
		}
		if !f.regs[at[1]].IsNull() {
			return f.regs[at[0]], nil
		}
		v, err := eval(f)
		if err == nil {
			f.regs[at[0]], f.regs[at[1]] = v, value.NewInt(1)
		}
		return v, err
	}
}

func knownAggregate(name string) bool {
	found := false
	fn.Aggregates(func(d *fn.AggregateDef) bool {
		found = d.Name == name
		return !found
	})
	return found
}

func checkAggregate(name string, nArgs int, star bool) error {
	if nArgs == 0 && !star && name != "count" {
		return errorf("wrong number of arguments to function %s()", name)
	}
	if _, ok := fn.LookupAggregate(name, nArgs); !ok {
		return errorf("wrong number of arguments to function %s()", name)
	}
	return nil
}

// accumulator is one aggregation of one group. step reports whether the row
// is, so far, the one with the least or greatest value.
type accumulator interface {
	step(args []value.Value) (bool, error)
	final() (value.Value, error)
}

func newAccumulator(call *aggCall) (accumulator, error) {
	switch call.name {
	case "min":
		return &extremeAccumulator{coll: call.coll, sign: -1}, nil
	case "max":
		return &extremeAccumulator{coll: call.coll, sign: 1}, nil
	}
	def, ok := fn.LookupAggregate(call.name, len(call.args))
	if !ok {
		return nil, errorf("wrong number of arguments to function %s()", call.name)
	}
	return registered{def.New()}, nil
}

// registered is an aggregate of the registry.
type registered struct{ fn.Aggregate }

func (r registered) step(args []value.Value) (bool, error) {
	if err := r.Step(args); err != nil {
		return false, sqlerr.Errorf("%s", err.Error())
	}
	return false, nil
}

func (r registered) final() (value.Value, error) {
	v, err := r.Final()
	if err != nil {
		return v, sqlerr.Errorf("%s", err.Error())
	}
	return v, nil
}

// extremeAccumulator is min() and max().
type extremeAccumulator struct {
	best value.Value
	coll value.Collation
	sign int
}

func (a *extremeAccumulator) step(args []value.Value) (bool, error) {
	v := args[0]
	if v.IsNull() || !a.best.IsNull() && compare(v, a.best, a.coll)*a.sign <= 0 {
		return false, nil
	}
	a.best = record.Own(v)
	return true, nil
}

func (a *extremeAccumulator) final() (value.Value, error) { return a.best, nil }
