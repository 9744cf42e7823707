package exec

import (
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// call compiles a function call, aggregates included.
func (c *compiler) call(sc *scope, n *ast.FuncCall) (*expr, error) {
	name := strings.ToLower(n.Name.Name)
	if len(n.Args) == 0 && !n.Star && (len(n.OrderBy) > 0 || n.Distinct && knownScalar(name)) { // said of no argument
		m := *n
		m.OrderBy, m.Distinct = nil, n.Distinct && !knownScalar(name)
		n = &m
	}
	if n.Over != nil {
		return c.windowCall(sc, name, n)
	}
	if isAggregate(name, n) {
		return c.aggregateCall(sc, name, n)
	}
	if _, ok := windowOnly[name]; ok {
		return nil, errorf("misuse of window function %s()", n.Name.Name)
	}
	if n.Star || n.Filter != nil || n.Distinct || len(n.OrderBy) > 0 {
		if !knownScalar(name) {
			return nil, errorf("no such function: %s", n.Name.Name)
		}
		switch {
		case n.Filter != nil:
			return nil, errorf("FILTER may not be used with non-aggregate %s()", n.Name.Name)
		case n.Distinct:
			return nil, errorf("DISTINCT is not supported for non-aggregate %s()", n.Name.Name)
		case len(n.OrderBy) > 0:
			return nil, errorf("ORDER BY may not be used with non-aggregate %s()", n.Name.Name)
		}
		return nil, errorf("wrong number of arguments to function %s()", n.Name.Name)
	}
	if name == "likelihood" && len(n.Args) == 2 && !isProbability(n.Args[1]) {
		return nil, errorf("second argument to %s() must be a constant between 0.0 and 1.0", n.Name.Name)
	}
	args, err := c.list(sc, n.Args)
	if err != nil {
		return nil, err
	}
	return c.callNamed(n.Name.Name, args)
}

func (c *compiler) callExprs(sc *scope, name string, es ...ast.Expr) (*expr, error) {
	args, err := c.list(sc, es)
	if err != nil {
		return nil, err
	}
	return c.callNamed(name, args)
}

// callNamed compiles a scalar function. Those that look at their arguments'
// collation, do not evaluate all of them, or ask the session are done here.
func (c *compiler) callNamed(name string, args []*expr) (*expr, error) {
	lower := strings.ToLower(name)
	if sp, ok := specials[lower]; ok {
		if len(args) < sp.min || (sp.max >= 0 && len(args) > sp.max) {
			return nil, errorf("wrong number of arguments to function %s()", name)
		}
		return sp.compile(args), nil
	}
	return c.scalarCall(name, args)
}

type special struct {
	min, max int
	compile  func(args []*expr) *expr
}

var specials = map[string]special{
	"coalesce":          {2, -1, coalesce},
	"ifnull":            {2, 2, coalesce},
	"iif":               {2, -1, iif},
	"if":                {2, -1, iif},
	"nullif":            {2, 2, nullIf},
	"min":               {2, -1, func(a []*expr) *expr { return extreme(a, -1) }},
	"max":               {2, -1, func(a []*expr) *expr { return extreme(a, 1) }},
	"likely":            {1, 1, same},
	"unlikely":          {1, 1, same},
	"likelihood":        {2, 2, same},
	"changes":           {0, 0, ofSession(func(s *Session) int64 { return s.changes })},
	"total_changes":     {0, 0, ofSession(func(s *Session) int64 { return s.totalChanges })},
	"last_insert_rowid": {0, 0, ofSession(func(s *Session) int64 { return s.lastInsertRowID })},
	"length":            {1, 1, length},
	"match":             {2, 2, noMatch},

	"sqlite_compileoption_used": {1, 1, compileOptionUsed},
	"sqlite_compileoption_get":  {1, 1, compileOptionGet},
}

// noMatch is match(), which in SQLite only the tables of full-text search have.
func noMatch([]*expr) *expr {
	return &expr{slot: -1, eval: func(*frame) (value.Value, error) {
		return value.Value{}, errorf("unable to use function MATCH in the requested context")
	}}
}

// length has the planner know what it is the length of: that can be told from an
// encoded row.
func length(args []*expr) *expr {
	e := computed(func(f *frame) (value.Value, error) {
		v, err := args[0].eval(f)
		if err != nil {
			return v, err
		}
		return fn.Length(v), nil
	}, args[0])
	if at := args[0].slot; at >= 0 {
		e.lengthOf = args[0]
		e.eval = func(f *frame) (value.Value, error) { return fn.Length(f.regs[at]), nil }
	}
	return e
}

func same(args []*expr) *expr { return computed(args[0].eval, args[0]) }

func ofSession(get func(s *Session) int64) func([]*expr) *expr {
	return func([]*expr) *expr {
		return &expr{slot: -1, eval: func(f *frame) (value.Value, error) { return value.NewInt(get(f.s)), nil }}
	}
}

func coalesce(args []*expr) *expr {
	return computed(func(f *frame) (v value.Value, err error) {
		for _, a := range args {
			if v, err = a.eval(f); err != nil || !v.IsNull() {
				return v, err
			}
		}
		return v, nil
	}, args...)
}

// iif is CASE WHEN with pairs of arguments and perhaps a last one alone.
func iif(args []*expr) *expr {
	return computed(func(f *frame) (value.Value, error) {
		i := 0
		for ; i+1 < len(args); i += 2 {
			v, err := args[i].eval(f)
			if err != nil {
				return v, err
			}
			if t, known := truth(v); known && t {
				return args[i+1].eval(f)
			}
		}
		if i < len(args) {
			return args[i].eval(f)
		}
		return value.Value{}, nil
	}, args...)
}

func collationOfAll(args []*expr) value.Collation { return collated(args).coll }

// comparedBy is collationOfAll of a function that compares.
func comparedBy(args []*expr) value.Collation {
	x := collated(args)
	x.missing.need()
	return x.coll
}

// collated returns the first one that has a collation.
func collated(args []*expr) *expr {
	for _, a := range args {
		if a.collBy != collNone {
			return a
		}
	}
	return &expr{coll: value.Binary}
}

func nullIf(args []*expr) *expr {
	coll := comparedBy(args)
	return computed(func(f *frame) (value.Value, error) {
		a, err := args[0].eval(f)
		if err != nil {
			return a, err
		}
		b, err := args[1].eval(f)
		if err != nil {
			return b, err
		}
		if !a.IsNull() && !b.IsNull() && compare(a, b, coll) == 0 {
			return value.Value{}, nil
		}
		return a, nil
	}, args...)
}

func extreme(args []*expr, sign int) *expr {
	coll := comparedBy(args)
	return computed(func(f *frame) (value.Value, error) {
		var best value.Value
		for i, a := range args {
			v, err := a.eval(f)
			if err != nil || v.IsNull() {
				return value.Value{}, err
			}
			c := compare(v, best, coll) * sign
			if i == 0 || c > 0 || c == 0 && sign < 0 { // of equals min takes the last, max the first
				best = v
			}
		}
		return best, nil
	}, args...)
}

// containsAggregate looks for aggregate calls, in subqueries too: they may be
// over the rows around them.
func containsAggregate(e ast.Expr) bool { return findAggregate(e, true) != nil }

// findAggregate returns an aggregate call, in subqueries only if they count.
func findAggregate(e ast.Expr, subqueries bool) (found *ast.FuncCall) {
	ast.Walk(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectStmt:
			return subqueries && found == nil
		case *ast.FuncCall:
			if n.Over == nil && isAggregate(strings.ToLower(n.Name.Name), n) {
				found = n
			}
		}
		return found == nil
	})
	return found
}
