package exec

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// windowRun is one window function on one partition.
type windowRun struct {
	p    *partition
	call *placedCall

	offsets      offsets
	offsetsKnown bool

	acc    accumulator // of the rows [lo, hi)
	lo, hi int
	last   value.Value // its result
	known  bool

	tiles int64 // of ntile

	start, end int // of the frame of the row before, in a RANGE
}

func (r *windowRun) arg(i, n int) (value.Value, error) {
	row, err := r.p.row(i)
	if err != nil {
		return value.Value{}, err
	}
	return row[r.call.args[n]], nil
}

// value computes the function for row i.
func (r *windowRun) value(i int) (value.Value, error) {
	p, n := r.p, r.p.n
	if r.call.name == "row_number" {
		return value.NewInt(int64(i) + 1), nil
	}
	from, to, err := p.group(i)
	if err != nil {
		return value.Value{}, err
	}
	switch r.call.name {
	case "rank":
		return value.NewInt(int64(from) + 1), nil
	case "dense_rank":
		peer, err := p.peer(i)
		return value.NewInt(int64(peer) + 1), err
	case "percent_rank":
		if n == 1 {
			return value.NewFloat(0), nil
		}
		return value.NewFloat(float64(from) / float64(n-1)), nil
	case "cume_dist":
		return value.NewFloat(float64(to) / float64(n)), nil
	case "ntile":
		return r.ntile(i)
	case "lag":
		return r.neighbour(i, -1)
	case "lead":
		return r.neighbour(i, +1)
	}
	if !r.offsetsKnown {
		if r.offsets, err = r.call.frame.offsets(p.it.f); err != nil {
			return value.Value{}, err
		}
		r.offsetsKnown = true
	}
	lo, hi, err := r.frameOf(i)
	if err != nil {
		return value.Value{}, err
	}
	switch r.call.name {
	case "first_value":
		return r.nth(i, lo, hi, 1)
	case "last_value":
		return r.lastOf(i, lo, hi)
	case "nth_value":
		v, err := r.arg(i, 1)
		if err != nil {
			return v, err
		}
		v = applyAffinity(v, value.AffinityInteger)
		if v.Kind() != value.Int || v.Int() <= 0 {
			return value.Value{}, errorf("second argument to nth_value must be a positive integer")
		}
		return r.nth(i, lo, hi, v.Int())
	}
	return r.aggregate(i, lo, hi)
}

func (r *windowRun) ntile(i int) (value.Value, error) {
	if i == 0 {
		v, err := r.arg(0, 0)
		if err != nil {
			return v, err
		}
		r.tiles = value.Cast(v, value.AffinityInteger).Int()
	}
	if r.tiles <= 0 {
		return value.Value{}, errorf("argument of ntile must be a positive integer")
	}
	total, row := int64(r.p.n), int64(i)
	size := total / r.tiles
	if size == 0 {
		return value.NewInt(row + 1), nil
	}
	nLarge := total - r.tiles*size
	if small := nLarge * (size + 1); row >= small {
		return value.NewInt(1 + nLarge + (row-small)/size), nil
	}
	return value.NewInt(1 + row/(size+1)), nil
}

// neighbour is lag and lead.
func (r *windowRun) neighbour(i int, sign int64) (value.Value, error) {
	distance := int64(1)
	known := true
	if len(r.call.args) > 1 {
		v, err := r.arg(i, 1)
		if err != nil {
			return v, err
		}
		distance, known = asRowID(value.Add(value.NewInt(0), v)) // as it is subtracted from the row's number
	}
	n := int64(r.p.n)
	if known && distance >= -n && distance <= n {
		if at := int64(i) + sign*distance; at >= 0 && at < n {
			return r.arg(int(at), 0)
		}
	}
	if len(r.call.args) > 2 {
		return r.arg(i, 2)
	}
	return value.Value{}, nil
}

// nth returns the argument in the n-th row of the frame, from 1.
func (r *windowRun) nth(i, lo, hi int, n int64) (value.Value, error) {
	e := r.call.frame.exclude
	if e == ast.ExcludeNone || e == ast.ExcludeNoOthers {
		if n <= int64(hi-lo) {
			return r.arg(lo+int(n)-1, 0)
		}
		return value.Value{}, nil
	}
	for j := lo; j < hi; j++ {
		if err := r.p.it.f.tick(); err != nil {
			return value.Value{}, err
		}
		out, err := r.p.excluded(e, i, j)
		if err != nil {
			return value.Value{}, err
		}
		if out {
			continue
		}
		if n--; n == 0 {
			return r.arg(j, 0)
		}
	}
	return value.Value{}, nil
}

func (r *windowRun) lastOf(i, lo, hi int) (value.Value, error) {
	for j := hi - 1; j >= lo; j-- {
		out, err := r.p.excluded(r.call.frame.exclude, i, j)
		if err != nil {
			return value.Value{}, err
		}
		if !out {
			return r.arg(j, 0)
		}
	}
	return value.Value{}, nil
}

// aggregate runs an aggregate over the frame [lo, hi). What the rows before
// have in common with it is kept, where rows can be taken out again. SQLite does
// that too, which shows: a sum that was one of reals stays a real.
func (r *windowRun) aggregate(i, lo, hi int) (value.Value, error) {
	e := r.call.frame.exclude
	excludes := e != ast.ExcludeNone && e != ast.ExcludeNoOthers
	lo = min(lo, hi)
	if r.offsets.none(&r.call.frame) {
		lo, hi = 0, 0
	}
	if r.known && !excludes && lo == r.lo && hi == r.hi {
		return r.last, nil
	}
	if excludes || r.acc == nil || lo < r.lo || hi < r.hi || lo > r.lo && r.inverter() == nil {
		acc, err := newAccumulator(&r.call.aggCall)
		if err != nil {
			return value.Value{}, err
		}
		r.acc, r.lo, r.hi = acc, lo, lo
		if r.inverter() != nil {
			r.lo, r.hi = 0, 0
		}
	}
	if err := r.move(i, lo, hi); err != nil {
		return value.Value{}, err
	}
	v, err := r.acc.final()
	r.last, r.known = v, err == nil
	return v, err
}

// move makes [lo, hi) of the rows in the accumulator. As in SQLite all rows of
// the partition come in, also those before the first frame. Which go before
// others come is SQLite's order too: the last digit of a sum depends on it.
func (r *windowRun) move(i, lo, hi int) error {
	s := &r.call.frame
	late := s.kind == ast.FrameRange && (s.startType == ast.BoundFollowing || s.endType == ast.BoundPreceding)
	for r.hi < hi {
		out := false
		var err error
		if !late && r.lo < lo {
			if out = i > 0; !out {
				out, err = r.full()
			}
		}
		switch {
		case err != nil:
		case out:
			err = r.forget()
		default:
			r.hi++
			err = r.step(i, r.hi-1)
		}
		if err != nil {
			return err
		}
	}
	for r.lo < lo {
		if err := r.forget(); err != nil {
			return err
		}
	}
	return nil
}

// step gives the accumulator row j, if the frame of row i has it and FILTER lets
// it in.
func (r *windowRun) step(i, j int) error {
	if err := r.p.it.f.tick(); err != nil {
		return err
	}
	if e := r.call.frame.exclude; e != ast.ExcludeNone && e != ast.ExcludeNoOthers {
		if out, err := r.p.excluded(e, i, j); err != nil || out {
			return err
		}
	}
	row, err := r.p.row(j)
	if err != nil || !r.counts(row) {
		return err
	}
	_, err = r.acc.step(r.args(row))
	return err
}

// forget takes the first row out of the accumulator.
func (r *windowRun) forget() error {
	if err := r.p.it.f.tick(); err != nil {
		return err
	}
	row, err := r.p.row(r.lo)
	if err != nil {
		return err
	}
	if r.counts(row) {
		r.inverter().Inverse(r.args(row))
	}
	r.lo++
	return nil
}

// full reports whether a frame between two FOLLOWING that are no RANGE has its
// rows: each more takes another out.
func (r *windowRun) full() (bool, error) {
	s := &r.call.frame
	if s.endType != ast.BoundFollowing || r.hi == r.p.n {
		return false, nil
	}
	n := r.hi - r.lo
	if s.kind == ast.FrameGroups {
		from, err := r.p.peer(r.lo)
		if err != nil {
			return false, err
		}
		to, err := r.p.peer(r.hi)
		if err != nil {
			return false, err
		}
		n = to - from
	}
	return n > r.offsets.to-r.offsets.from, nil
}

// inverter returns the accumulator as one that gives rows back, or nil. With
// EXCLUDE, if only of NO OTHERS, SQLite adds up anew.
func (r *windowRun) inverter() fn.Inverter {
	if reg, ok := r.acc.(registered); ok && r.call.frame.exclude == ast.ExcludeNone {
		inv, _ := reg.Aggregate.(fn.Inverter)
		return inv
	}
	return nil
}

func (r *windowRun) args(row []value.Value) []value.Value {
	out := make([]value.Value, len(r.call.args))
	for k, at := range r.call.args {
		out[k] = row[at]
	}
	return out
}

// counts reports whether FILTER lets a row in.
func (r *windowRun) counts(row []value.Value) bool {
	if r.call.filter < 0 {
		return true
	}
	is, known := truth(row[r.call.filter])
	return known && is
}
