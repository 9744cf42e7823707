package fn

import (
	"math"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// Aggregate is one aggregation under way. It is not safe for concurrent use.
type Aggregate interface {
	// Step takes the arguments of one row, which it does not keep.
	Step(args []value.Value) error
	// Final returns the result so far; Step may follow.
	Final() (value.Value, error)
}

// Inverter is an aggregation from which rows can be taken out again, in the
// order in which they came.
type Inverter interface {
	// Inverse takes out the row with these arguments.
	Inverse(args []value.Value)
}

// AggregateDef is an aggregate function. DISTINCT, FILTER and ORDER BY are the
// caller's.
type AggregateDef struct {
	Name          string
	MinArgs       int
	MaxArgs       int
	UsesCollation bool // NewCollated is to be called with the collation of the argument
	New           func() Aggregate

	// NewCollated is New for a collation; nil unless UsesCollation.
	NewCollated func(value.Collation) Aggregate
}

// LookupAggregate returns the aggregate function of a name, in any case, that
// takes nArgs arguments; count(*) has none.
func LookupAggregate(name string, nArgs int) (*AggregateDef, bool) {
	d := aggregates[strings.ToLower(name)]
	if d == nil || nArgs < d.MinArgs || nArgs > d.MaxArgs {
		return nil, false
	}
	return d, true
}

// Aggregates calls yield for each aggregate function in no order until it
// returns false.
func Aggregates(yield func(*AggregateDef) bool) {
	for _, d := range aggregates {
		if !yield(d) {
			return
		}
	}
}

// aggregates holds the aggregate functions by name. It does not change.
var aggregates = map[string]*AggregateDef{
	"count":              {Name: "count", MinArgs: 0, MaxArgs: 1, New: func() Aggregate { return new(count) }},
	"sum":                {Name: "sum", MinArgs: 1, MaxArgs: 1, New: func() Aggregate { return &Sum{final: (*Sum).sum} }},
	"total":              {Name: "total", MinArgs: 1, MaxArgs: 1, New: func() Aggregate { return &Sum{final: (*Sum).total} }},
	"avg":                {Name: "avg", MinArgs: 1, MaxArgs: 1, New: func() Aggregate { return &Sum{final: (*Sum).avg} }},
	"min":                extremeDef("min", -1),
	"max":                extremeDef("max", +1),
	"group_concat":       {Name: "group_concat", MinArgs: 1, MaxArgs: 2, New: func() Aggregate { return new(groupConcat) }},
	"string_agg":         {Name: "string_agg", MinArgs: 2, MaxArgs: 2, New: func() Aggregate { return new(groupConcat) }},
	"json_group_array":   jsonGroupDef("json_group_array", false, false),
	"json_group_object":  jsonGroupDef("json_group_object", true, false),
	"jsonb_group_array":  jsonGroupDef("jsonb_group_array", false, true),
	"jsonb_group_object": jsonGroupDef("jsonb_group_object", true, true),
}

type count struct{ n int64 }

func (c *count) Step(args []value.Value) error {
	if len(args) == 0 || !args[0].IsNull() {
		c.n++
	}
	return nil
}

// Inverse takes a row out again.
func (c *count) Inverse(args []value.Value) {
	if len(args) == 0 || !args[0].IsNull() {
		c.n--
	}
}

func (c *count) Final() (value.Value, error) { return value.NewInt(c.n), nil }

// Sum is sum(), total() and avg(). It adds integers as such, and turns to reals,
// with the error carried along (Kahan, Babuška and Neumaier), at the first real
// or overflow.
type Sum struct {
	final    func(*Sum) (value.Value, error)
	n        int64 // values that were not NULL
	whole    int64 // the sum while it is one of integers
	real     float64
	err      float64 // what real lacks
	approx   bool    // real and err are in use
	overflow bool    // integers alone, and they overflowed
}

// Step adds a value of any kind.
func (s *Sum) Step(args []value.Value) error {
	v := args[0].NumericArg()
	switch v.Kind() {
	case value.Null:
	case value.Int:
		s.AddInt(v.Int())
	default:
		s.AddReal(v.AsFloat())
	}
	return nil
}

// AddInt is Step for an integer.
func (s *Sum) AddInt(i int64) {
	s.n++
	if !s.approx {
		t := s.whole + i
		if (t > s.whole) == (i > 0) {
			s.whole = t
			return
		}
		s.overflow, s.approx = true, true
		s.start(s.whole)
	}
	s.addInt(i)
}

// AddReal is Step for a real.
func (s *Sum) AddReal(r float64) {
	s.n++
	if !s.approx {
		s.approx = true
		s.start(s.whole)
	}
	s.overflow = false
	s.add(r)
}

// Inverse takes a row out again. A sum that was one of reals stays a real, and
// does not get the digits back that adding lost.
func (s *Sum) Inverse(args []value.Value) {
	v := args[0].NumericArg()
	if v.IsNull() {
		return
	}
	s.n--
	if v.Kind() != value.Int {
		s.add(-v.AsFloat())
		return
	}
	i := v.Int()
	if !s.approx {
		t := s.whole - i
		if (t < s.whole) == (i > 0) {
			s.whole = t
			return
		}
		s.overflow, s.approx = true, true
		s.start(s.whole)
	}
	if i == math.MinInt64 { // has no opposite
		s.addInt(math.MaxInt64)
		i = -1
	}
	s.addInt(-i)
}

// exactInt is the magnitude from which on an integer is added in two parts.
const exactInt = 1 << 52

// start sets the sum to i.
func (s *Sum) start(i int64) {
	if i > -exactInt && i < exactInt {
		s.real, s.err = float64(i), 0
		return
	}
	small := i % 16384
	s.real, s.err = float64(i-small), float64(small)
}

func (s *Sum) addInt(i int64) {
	if i > -exactInt && i < exactInt {
		s.add(float64(i))
		return
	}
	small := i % 16384
	s.add(float64(i - small))
	s.add(float64(small))
}

func (s *Sum) add(r float64) {
	t := s.real + r
	if math.Abs(s.real) > math.Abs(r) {
		s.err += s.real - t + r
	} else {
		s.err += r - t + s.real
	}
	s.real = t
}

// Final returns the result so far.
func (s *Sum) Final() (value.Value, error) { return s.final(s) }

// float returns the sum as a real.
func (s *Sum) float() float64 {
	if !s.approx {
		return float64(s.whole)
	}
	if math.IsInf(s.err, 0) || math.IsNaN(s.err) {
		return s.real
	}
	return s.real + s.err
}

func (s *Sum) sum() (value.Value, error) {
	switch {
	case s.n == 0:
		return value.Value{}, nil
	case !s.approx:
		return value.NewInt(s.whole), nil
	case s.overflow:
		return value.Value{}, errOverflow
	}
	return value.NewFloat(s.float()), nil
}

func (s *Sum) total() (value.Value, error) { return value.NewFloat(s.float()), nil }

func (s *Sum) avg() (value.Value, error) {
	if s.n == 0 {
		return value.Value{}, nil
	}
	return value.NewFloat(s.float() / float64(s.n)), nil
}

// extremum is min() and max().
type extremum struct {
	best      value.Value
	collation value.Collation
	sign      int
}

func extremeDef(name string, sign int) *AggregateDef {
	collated := func(c value.Collation) Aggregate { return &extremum{collation: c, sign: sign} }
	return &AggregateDef{
		Name: name, MinArgs: 1, MaxArgs: 1, UsesCollation: true,
		New:         func() Aggregate { return collated(value.Binary) },
		NewCollated: collated,
	}
}

// Step takes the value over if it is better. Better says so beforehand.
func (e *extremum) Step(args []value.Value) error {
	if e.Better(args[0]) {
		e.best = args[0]
	}
	return nil
}

// Better reports whether Step would take v over: whoever shows other columns of
// the row that holds the extremum asks before.
func (e *extremum) Better(v value.Value) bool {
	if v.IsNull() {
		return false
	}
	return e.best.IsNull() || value.Compare(v, e.best, e.collation)*e.sign > 0
}

func (e *extremum) Final() (value.Value, error) { return e.best, nil }

// groupConcat is group_concat() and string_agg().
type groupConcat struct {
	buf  []byte
	some bool
}

func (g *groupConcat) Step(args []value.Value) error {
	if args[0].IsNull() {
		return nil
	}
	if g.some {
		if len(args) == 1 {
			g.buf = append(g.buf, ',')
		} else {
			g.buf = args[1].AppendText(g.buf)
		}
	}
	g.some = true
	g.buf = args[0].AppendText(g.buf)
	if len(g.buf) > MaxLength {
		return ErrTooBig
	}
	return nil
}

func (g *groupConcat) Final() (value.Value, error) {
	if !g.some {
		return value.Value{}, nil
	}
	return value.NewText(string(g.buf)), nil
}
