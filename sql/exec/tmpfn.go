package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

func knownScalar(name string) bool { return false }
func knownAggregate(name string) bool {
	return name == "count" || name == "sum" || name == "total" || name == "avg" || name == "group_concat"
}
func checkAggregate(name string, n int, star bool) error { return nil }
func lookupScalar(name string, n int) (func([]value.Value) (value.Value, error), bool, error) {
	switch strings.ToLower(name) {
	case "abs":
		return func(a []value.Value) (value.Value, error) {
			if value.Compare(a[0], value.NewInt(0), 0) < 0 {
				return value.Neg(a[0]), nil
			}
			return a[0], nil
		}, true, nil
	case "length":
		return func(a []value.Value) (value.Value, error) {
			if a[0].IsNull() {
				return a[0], nil
			}
			return value.NewInt(int64(len(a[0].AsText()))), nil
		}, true, nil
	case "typeof":
		return func(a []value.Value) (value.Value, error) { return value.NewText(a[0].Kind().String()), nil }, true, nil
	case "upper":
		return func(a []value.Value) (value.Value, error) { return value.NewText(strings.ToUpper(a[0].AsText())), nil }, true, nil
	}
	return nil, false, errorf("no such function: %s", name)
}

type accumulator interface {
	step([]value.Value) (bool, error)
	final() (value.Value, error)
}
type acc struct {
	c *aggCall
	n int64
	v value.Value
}

func newAccumulator(c *aggCall) (accumulator, error) { return &acc{c: c}, nil }
func (a *acc) step(v []value.Value) (bool, error) {
	if len(v) > 0 && v[0].IsNull() {
		return false, nil
	}
	a.n++
	switch a.c.name {
	case "min", "max":
		o := 0
		if !a.v.IsNull() {
			o = value.Compare(v[0], a.v, a.c.coll)
		}
		if a.v.IsNull() || a.c.name == "min" && o < 0 || a.c.name == "max" && o > 0 {
			a.v = v[0]
			return true, nil
		}
	case "sum", "avg", "total":
		if a.v.IsNull() {
			a.v = v[0].NumericArg()
			if a.c.name != "sum" {
				a.v = value.NewFloat(a.v.AsFloat())
			}
		} else {
			a.v = value.Add(a.v, v[0])
		}
	}
	return false, nil
}
func (a *acc) final() (value.Value, error) {
	switch a.c.name {
	case "count":
		return value.NewInt(a.n), nil
	case "avg":
		return value.Div(a.v, value.NewInt(a.n)), nil
	}
	return a.v, nil
}

var _ ast.Expr
