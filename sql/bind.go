package sql

import (
	"database/sql/driver"
	"slices"

	"github.com/byokdb/byokdb/sql/exec"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// arguments are what a text is given. :a, @a and $a take the argument of their
// name, in every statement of the text. All other parameters, and those whose
// name no argument has, take the arguments without a name in the order of the
// parameters' numbers, a statement after the other.
type arguments struct {
	all  []driver.NamedValue
	next int    // arguments without a name before it are taken
	used []bool // which ones with a name were taken; nil when none has one
}

func newArguments(all []driver.NamedValue) arguments {
	a := arguments{all: all}
	for i := range all {
		if all[i].Name != "" {
			a.used = make([]bool, len(all))
			break
		}
	}
	return a
}

// take returns the argument of a parameter; false: there is none left.
func (a *arguments) take(param string) (driver.Value, bool) {
	if a.used != nil && len(param) > 1 && param[0] != '?' {
		for i := range a.all {
			if a.all[i].Name == param[1:] {
				a.used[i] = true
				return a.all[i].Value, true
			}
		}
	}
	for a.next < len(a.all) {
		arg := &a.all[a.next]
		a.next++
		if arg.Name == "" {
			return arg.Value, true
		}
	}
	return nil, false
}

// bind appends the values of a statement's parameters to dst, by number.
func (a *arguments) bind(dst []value.Value, st *exec.Stmt) ([]value.Value, error) {
	n := st.NumParams()
	dst = slices.Grow(dst, n)
	for i := range n {
		arg, ok := a.take(st.ParamName(i))
		if !ok {
			return dst, a.missing(i, st.ParamName(i))
		}
		v, err := value.FromGo(arg)
		if err != nil {
			return dst, sqlerr.Wrap(sqlerr.Misuse, err, "parameter %d", i+1)
		}
		dst = append(dst, v)
	}
	return dst, nil
}

// check returns what bind and finish would, for all statements of a text,
// before the first of them is executed.
func (a *arguments) check(list []parse.Stmt) error {
	trial := arguments{all: a.all, used: slices.Clone(a.used)}
	for _, st := range list {
		for i, name := range st.Params {
			if _, ok := trial.take(name); !ok {
				return trial.missing(i, name)
			}
		}
	}
	return trial.finish()
}

// finish returns an error when an argument was not taken.
func (a *arguments) finish() error {
	for i := range a.all {
		switch name := a.all[i].Name; {
		case name != "" && !a.used[i]:
			return sqlerr.New(sqlerr.Range, "no parameter is named %s", name)
		case name == "" && i >= a.next:
			return sqlerr.New(sqlerr.Range, "too many arguments: %d given, %d taken", len(a.all), i)
		}
	}
	return nil
}

func (a *arguments) missing(i int, name string) error {
	if name == "" {
		name = "?"
	}
	return sqlerr.New(sqlerr.Range, "no argument for parameter %d (%s): %d given", i+1, name, len(a.all))
}
