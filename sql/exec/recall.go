package exec

import "github.com/byokdb/byokdb/sql/value"

// recall keeps rows that a join has looked up by their key, so that a key that
// comes again is not looked up again. Only where the table stays as it is while the
// statement runs. It gives up where keys hardly ever come again, and takes no more
// rows when there is no memory for them.
type recall struct {
	f     *frame
	slots []int            // the registers of a row
	rows  map[string]int32 // by key: where the row lies in vals, noRow for none
	vals  []value.Value
	mem   int64
	full  bool

	nLookups, nHits int // since the last look at whether it pays
	window          int // lookups until the next
}

const noRow = -1

// Limits of a recall: lookups before it begins, lookups before it is looked at
// whether one in recallPays was a hit, and bytes.
const (
	recallAfter  = 64
	recallWindow = 8 << 10
	recallPays   = 64
	recallMax    = 32 << 20
)

// find puts the row of a key into the registers. known: it is one that was looked
// up before; there: it exists.
func (r *recall) find(key []byte) (known, there bool) {
	r.nLookups++
	if r.rows == nil {
		return false, false
	}
	at, ok := r.rows[string(key)]
	switch {
	case !ok:
		return false, false
	case at == noRow:
		r.nHits++
		return true, false
	}
	r.nHits++
	row := r.vals[int(at):]
	for i, s := range r.slots {
		r.f.regs[s] = row[i]
	}
	return true, true
}

// keep keeps what a lookup of a key that is not known gave: the row in the
// registers, which aliases nothing, or that there is none.
func (r *recall) keep(key []byte, there bool) {
	if r.nLookups >= r.window {
		r.look()
	}
	if r.full || r.nLookups < recallAfter && r.rows == nil {
		return
	}
	if r.rows == nil {
		r.rows = map[string]int32{}
	}
	n := int64(len(key) + 64)
	at := int32(noRow)
	if there {
		at = int32(len(r.vals))
		for _, s := range r.slots {
			v := r.f.regs[s]
			r.vals = append(r.vals, v)
			n += valueSize + int64(len(v.Str()))
		}
	}
	r.rows[string(key)] = at
	r.mem += n
	r.full = r.f.keep(n, r.mem) || r.mem > min(recallMax, r.f.s.memory/8)
}

// look gives up where it does not pay.
func (r *recall) look() {
	if r.nHits*recallPays < r.nLookups {
		r.close()
		r.full = true
	}
	r.nLookups, r.nHits, r.window = 0, 0, max(2*r.window, recallWindow)
}

// close drops the rows.
func (r *recall) close() {
	if r == nil {
		return
	}
	clear(r.rows)
	clear(r.vals)
	r.rows, r.vals = nil, nil
	r.f.shrink(r.mem)
	r.mem = 0
}
