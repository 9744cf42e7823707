package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// totalNode computes aggregates over all rows of in, as aggregateNode does in one
// group: count, sum, total, avg, min and max, with FILTER, without DISTINCT,
// ORDER BY and columns beside them. Rows of a stored table it reads encoded.
type totalNode struct {
	in    node
	calls []totalCall
	scan  *scanNode // in, if its rows can be read encoded
	loads []int     // columns that are read into registers before
}

// totalCall is one aggregate call.
type totalCall struct {
	call *aggCall
	what totalKind
	from totalArg
	at   int // the register of the argument, or its column in an encoded row
	sign int // of an extreme: -1 for the least

	filter *rowTest
}

// allRows reports whether the result is the number of rows.
func (c *totalCall) allRows() bool { return c.what == totalRows && c.filter == nil }

type totalKind uint8

const (
	totalRows   totalKind = iota // count(*)
	totalValues                  // count(x)
	totalSum                     // and total, avg
	totalExtreme
)

type totalArg uint8

const (
	argNone totalArg = iota
	argRegister
	argCell
	argLength // length() of a column in an encoded row
	argComputed
)

// total returns n as a totalNode, if it can be one.
func (n *aggregateNode) total() node {
	if t, ok := n.in.(*transientNode); ok {
		plain, hashed, both := *n, *n, *t
		plain.in, hashed.in = t.plain, t.hashed
		both.plain, both.hashed = plain.total(), hashed.total()
		return &both
	}
	if len(n.by) > 0 || len(n.bare) > 0 || n.first || n.subs {
		return n
	}
	t := &totalNode{in: n.in}
	if s, ok := n.in.(*scanNode); ok && s.index < 0 && s.layout.computed == nil {
		t.scan = s
	}
	for _, call := range n.calls {
		c, ok := t.callOf(call)
		if !ok {
			return n
		}
		t.calls = append(t.calls, c)
	}
	slices.Sort(t.loads)
	t.loads = slices.Compact(t.loads)
	return t
}

func (n *totalNode) callOf(call *aggCall) (c totalCall, ok bool) {
	if call.distinct || len(call.order) > 0 || len(call.args) > 1 {
		return c, false
	}
	c.call = call
	switch call.name {
	case "count":
		if len(call.args) == 1 && !notNull(call.args[0]) {
			c.what = totalValues
		}
	case "sum", "total", "avg":
		c.what = totalSum
	case "min":
		c.what, c.sign = totalExtreme, -1
	case "max":
		c.what, c.sign = totalExtreme, 1
	default:
		return c, false
	}
	if len(call.args) == 1 && c.what != totalRows {
		c.from, c.at = n.argument(call.args[0])
	}
	if call.filter != nil {
		t := rowTest{x: call.filter}
		if n.scan != nil {
			t = n.scan.layout.rowTestOf(call.filter)
			n.loads, t.cells = append(n.loads, t.cells...), nil
		}
		c.filter = &t
	}
	return c, true
}

// notNull reports whether x is a literal other than NULL, as in count(1).
func notNull(x *expr) bool {
	if !x.literal {
		return false
	}
	v, err := x.eval(nil)
	return err == nil && !v.IsNull()
}

// argument says where the argument of a call is found.
func (n *totalNode) argument(x *expr) (totalArg, int) {
	if n.scan != nil {
		l := n.scan.layout
		if at := slices.Index(l.slots, x.slot); x.slot >= 0 && at >= 0 {
			return argCell, at
		}
		if x.lengthOf != nil {
			if at := slices.Index(l.slots, x.lengthOf.slot); at >= 0 {
				return argLength, at
			}
		}
		if x.slot < 0 {
			n.loads = append(n.loads, l.cellsOf(x)...)
		}
	}
	if x.slot >= 0 {
		return argRegister, x.slot
	}
	return argComputed, 0
}

// totals are the aggregates of one run of a totalNode.
type totals struct {
	n    *totalNode
	f    *frame
	rows int64   // that there were
	list []total // but for the calls that want no more than that
}

type total struct {
	*totalCall
	filter boundTest
	n      int64
	sum    *fn.Sum
	best   value.Value
}

func (n *totalNode) newTotals(f *frame) *totals {
	ts := &totals{n: n, f: f, list: make([]total, 0, len(n.calls))}
	for i := range n.calls {
		if n.calls[i].allRows() {
			continue
		}
		ts.list = append(ts.list, total{totalCall: &n.calls[i]})
		t := &ts.list[len(ts.list)-1]
		if t.what == totalSum {
			def, _ := fn.LookupAggregate(t.call.name, 1)
			t.sum, _ = def.New().(*fn.Sum) // New makes nothing else
		}
		switch c := t.totalCall; {
		case c.filter == nil:
		case n.scan != nil:
			t.filter = c.filter.bind(f, n.scan.layout)
		default:
			t.filter = boundTest{rowTest: c.filter}
		}
	}
	return ts
}

// addRow adds an encoded row.
func (ts *totals) addRow(r *rowReader, row []byte) error {
	ts.rows++
	if len(ts.n.loads) > 0 {
		if err := r.load(row, ts.n.loads); err != nil {
			return err
		}
	}
	for i := range ts.list {
		t := &ts.list[i]
		if t.filter.rowTest != nil {
			if ok, err := r.pass(&t.filter, row); err != nil {
				return err
			} else if !ok {
				continue
			}
		}
		var err error
		switch t.from {
		case argCell:
			err = t.addCell(r, row)
		case argLength:
			err = t.addLength(r, row)
		default:
			err = t.add(ts.f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addRegisters adds the row in the registers.
func (ts *totals) addRegisters() error {
	ts.rows++
	for i := range ts.list {
		t := &ts.list[i]
		if t.filter.rowTest != nil {
			if ok, err := isTrue(ts.f, t.filter.x); err != nil {
				return err
			} else if !ok {
				continue
			}
		}
		if err := t.add(ts.f); err != nil {
			return err
		}
	}
	return nil
}

// add adds the argument in the registers.
func (t *total) add(f *frame) error {
	switch t.from {
	case argNone:
		t.n++
	case argRegister:
		t.addValue(&f.regs[t.at])
	default:
		v, err := t.call.args[0].eval(f)
		if err != nil {
			return err
		}
		t.addValue(&v)
	}
	return nil
}

// addCell adds a column of an encoded row.
func (t *total) addCell(r *rowReader, row []byte) error {
	c := &r.cells[t.at]
	if c.Missing() {
		t.addValue(&r.l.defaults[t.at])
		return nil
	}
	switch k := c.Kind(); {
	case k == value.Null:
		return nil
	case t.what == totalValues:
		t.n++
		return nil
	case t.what == totalSum && k == value.Int:
		t.sum.AddInt(c.Int(row))
		return nil
	case t.what == totalSum && k == value.Float:
		x, err := c.Float(row)
		if err == nil {
			t.sum.AddReal(x)
		}
		return err
	case k == value.Int && t.best.Kind() == value.Int:
		t.addExtreme(c.Int(row))
		return nil
	}
	var v value.Value
	if err := c.LoadUnsafe(row, &v); err != nil {
		return err
	}
	t.addValue(&v)
	return nil
}

// addLength adds the length of a column of an encoded row.
func (t *total) addLength(r *rowReader, row []byte) error {
	v, err := r.value(row, t.at)
	if err != nil {
		return err
	}
	v = fn.Length(v)
	t.addValue(&v)
	return nil
}

// addExtreme adds an integer to one.
func (t *total) addExtreme(i int64) {
	if best := t.best.Int(); t.sign > 0 && i > best || t.sign < 0 && i < best {
		t.best = value.NewInt(i)
	}
}

func (t *total) addValue(v *value.Value) {
	k := v.Kind()
	if k == value.Null {
		return
	}
	switch t.what {
	case totalRows, totalValues:
		t.n++
	case totalSum:
		switch k {
		case value.Int:
			t.sum.AddInt(v.Int())
		case value.Float:
			t.sum.AddReal(v.Float())
		default:
			_ = t.sum.Step([]value.Value{*v}) // has no errors
		}
	case totalExtreme:
		if k == value.Int && t.best.Kind() == value.Int {
			t.addExtreme(v.Int())
			return
		}
		if t.best.IsNull() || compare(*v, t.best, t.call.coll)*t.sign > 0 {
			t.best = record.Own(*v)
		}
	}
}

func (ts *totals) results() error {
	for i := range ts.n.calls {
		if c := &ts.n.calls[i]; c.allRows() {
			ts.f.regs[c.call.slot] = value.NewInt(ts.rows)
		}
	}
	for i := range ts.list {
		t := &ts.list[i]
		v := t.best
		switch t.what {
		case totalRows, totalValues:
			v = value.NewInt(t.n)
		case totalSum:
			var err error
			if v, err = t.sum.Final(); err != nil {
				return sqlerr.Errorf("%s", err.Error())
			}
		case totalExtreme:
		}
		ts.f.regs[t.call.slot] = v
	}
	return ts.f.tick()
}

// totalIter gives the one row of the results.
type totalIter struct {
	ts *totals // nil when it was given
}

func (n *totalNode) open(f *frame) (iter, error) {
	in, err := n.in.open(f)
	if err != nil {
		return nil, err
	}
	defer in.close()
	ts := n.newTotals(f)
	switch it, ok := in.(*scanIter); {
	case ok && it.n.bare() && len(ts.list) == 0: // nobody reads the row id either
		it.visit = it.count
		err = it.total(ts)
	case ok && n.scan != nil:
		if it.row == nil {
			it.row = newRowReader(f, it.n.layout, nil)
		}
		it.row.noID = ts.cellsAlone(it.row)
		err = it.total(ts)
	default:
		err = walk(f, in, true, func() (bool, error) { return true, ts.addRegisters() })
	}
	if err != nil {
		return nil, err
	}
	return &totalIter{ts}, nil
}

// cellsAlone reports whether nothing but columns of encoded rows is looked at:
// no register, so not the row id either.
func (ts *totals) cellsAlone(r *rowReader) bool {
	return !slices.ContainsFunc(r.tests, func(t boundTest) bool { return t.kind == testAny }) &&
		!slices.ContainsFunc(ts.list, func(t total) bool {
			return t.filter.rowTest != nil || t.from == argRegister || t.from == argComputed
		})
}

// total adds all rows of the scan.
func (it *scanIter) total(ts *totals) error {
	it.all = ts
	for {
		ok, err := it.advance()
		if err != nil || !ok {
			return err
		}
	}
}

// bare reports whether no column but the row id is read, and all rows pass.
func (n *scanNode) bare() bool {
	return len(n.layout.cols) == 0 && n.layout.computed == nil && len(n.conds) == 0 && (n.index < 0 || n.cover != nil)
}

// count takes a row of which nothing is read.
func (it *scanIter) count(_, _ []byte) bool {
	it.nSteps++
	it.all.rows++
	return true
}

func (it *totalIter) next() (bool, error) {
	ts := it.ts
	if ts == nil {
		return false, nil
	}
	it.ts = nil
	return true, ts.results()
}

func (*totalIter) close() {}
