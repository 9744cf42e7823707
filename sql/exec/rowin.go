package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/value"
)

// rowsIn is (x, y, …) IN (SELECT …).
type rowsIn struct {
	q      *subquery
	xs     []*expr
	cmps   []comparison
	refs   uint64 // sources of the FROM clause around it that it reads
	listed bool   // an index is asked for its rows
}

// listRows finds (x, y, …) IN (SELECT …) some of whose columns are the next ones
// of the key.
func (a *access) listRows(s *source, pool []*expr, bound uint64) bool {
	for _, x := range pool {
		if x.rows == nil || x.rows.refs&^bound != 0 {
			continue
		}
		var cols []int
		for _, kc := range a.key[a.depth():] {
			i := x.rows.column(s, kc)
			if i < 0 {
				break
			}
			cols = append(cols, i)
		}
		if len(cols) > 0 {
			a.inRows, a.inCols, a.isIn = x.rows, cols, true
			return true
		}
	}
	return false
}

// column returns which of x, y, … a key column holds and can be asked for, -1 for
// none.
func (in *rowsIn) column(s *source, kc keyColumn) int {
	for i, x := range in.xs {
		if kc.is(s, x) && (kc.col == -1 || in.cmps[i].finds(kc, x)) {
			return i
		}
	}
	return -1
}

// each calls fn for the rows without NULL, for some more than once.
func (in *rowsIn) each(f *frame, fn func(row []value.Value) error) error {
	if in.q.correlated {
		row := make([]value.Value, len(in.q.out))
		return in.q.each(f, func() error {
			for i, s := range in.q.out {
				row[i] = f.regs[s]
			}
			if slices.ContainsFunc(row, value.Value.IsNull) {
				return nil
			}
			return fn(row)
		})
	}
	set, err := in.set(f)
	if err != nil {
		return err
	}
	for i := range set.rows.n {
		row, err := set.rows.row(i)
		if err == nil {
			err = f.tick()
		}
		if err == nil {
			err = fn(row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inSelectRows compiles it. Where one of x, y, … is NULL, or the subquery reads the
// row around it, the subquery runs each time.
func inSelectRows(q *subquery, xs []*expr, refs uint64) *expr {
	in := &rowsIn{q: q, xs: xs, cmps: make([]comparison, len(xs)), refs: refs}
	for i, x := range xs {
		in.cmps[i] = comparisonOf(x, q.comparedAs(i))
	}
	return &expr{slot: -1, rows: in, eval: func(f *frame) (value.Value, error) {
		left, null := make([]value.Value, len(xs)), false
		for i, x := range xs {
			v, err := x.eval(f)
			if err != nil {
				return v, err
			}
			left[i], null = v, null || v.IsNull()
		}
		if null || q.correlated {
			return in.scan(f, left)
		}
		return in.look(f, left)
	}}
}

// answer makes the value of the expression of what was found.
func (in *rowsIn) answer(found, unknown bool, err error) (value.Value, error) {
	if err != nil || unknown && !found {
		return value.Value{}, err
	}
	return value.NewBool(found), nil
}

// scan compares with each row of the subquery.
func (in *rowsIn) scan(f *frame, left []value.Value) (value.Value, error) {
	found, unknown := false, false
	row := make([]value.Value, len(left))
	err := in.q.each(f, func() error {
		for i, s := range in.q.out {
			row[i] = f.regs[s]
		}
		equal, known := in.equal(left, row)
		found, unknown = found || equal, unknown || !known
		return nil
	})
	return in.answer(found, unknown, err)
}

// equal compares two rows: not known if NULL decides.
func (in *rowsIn) equal(left, row []value.Value) (equal, known bool) {
	known = true
	for i, v := range row {
		if v.IsNull() || left[i].IsNull() {
			known = false
		} else if in.cmps[i].order(left[i], v) != 0 {
			return false, true
		}
	}
	return known, known
}

// look finds a row without NULL in what the subquery has given.
func (in *rowsIn) look(f *frame, left []value.Value) (value.Value, error) {
	set, err := in.set(f)
	if err != nil {
		return value.Value{}, err
	}
	in.key(f, left)
	found, err := set.keys.has(f.key)
	if err != nil || found {
		return in.answer(found, false, err)
	}
	for i := range set.vals.n {
		row, err := set.vals.row(i)
		if err != nil {
			return value.Value{}, err
		}
		if _, known := in.equal(left, row); !known {
			return value.Value{}, nil
		}
		if err := f.tick(); err != nil {
			return value.Value{}, err
		}
	}
	return value.NewBool(false), nil
}

// key encodes a row without NULL into the frame's scratch.
func (in *rowsIn) key(f *frame, row []value.Value) {
	f.key = f.key[:0]
	for i, v := range row {
		f.key = appendKey(f.key, in.cmps[i].convert(v), in.cmps[i].coll)
	}
}

// set runs the subquery once: the rows without NULL become keys, the others are
// kept as they are.
func (in *rowsIn) set(f *frame) (*valueSet, error) {
	st := &f.subs[in.q.id]
	if st.done {
		return st.set, nil
	}
	st.set.close(f)
	set := &valueSet{keys: newKeySet(f), vals: &buffer{slots: in.q.out}, rows: &buffer{slots: in.q.out}}
	st.set = set
	row := make([]value.Value, len(in.q.out))
	err := in.q.each(f, func() error {
		for i, s := range in.q.out {
			row[i] = f.regs[s]
		}
		if slices.ContainsFunc(row, value.Value.IsNull) {
			return set.vals.save(f)
		}
		in.key(f, row)
		if _, ok := set.keys.keys[string(f.key)]; ok {
			return nil
		}
		if err := set.keys.put(f.key); err != nil || !in.listed {
			return err
		}
		return set.rows.save(f)
	})
	if err == nil {
		err = set.keys.settle()
	}
	st.done = err == nil
	return set, err
}
