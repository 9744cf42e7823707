package exec

import (
	"encoding/binary"
	"math/bits"

	"github.com/byokdb/byokdb/sql/value"
)

// recall keeps rows that a join has looked up by their key, so that a key that
// comes again is not looked up again. Only where the table stays as it is while the
// statement runs. It gives up where keys hardly ever come again, and takes no more
// rows when there is no memory for them.
type recall struct {
	f     *frame
	slots []int            // the registers of a row, but for its id
	byID  idTable          // by a key of 8 bytes: where the row lies in vals, noRow for none
	byKey map[string]int32 // the same by any other key
	vals  []value.Value
	texts map[string]string // short texts in vals: the same in many rows is one in memory
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

// Limits of the texts that rows of a recall share: bytes of one, and how many.
const (
	sharedSizeMax = 64
	sharedMax     = 256
)

// find puts the row of a key into the registers. known: it is one that was looked
// up before; there: it exists.
func (r *recall) find(key []byte) (known, there bool) {
	r.nLookups++
	var at int32
	var ok bool
	if len(key) == idSize {
		at, ok = r.byID.find(binary.BigEndian.Uint64(key))
	} else {
		at, ok = r.byKey[string(key)]
	}
	if !ok {
		return false, false
	}
	r.nHits++
	if at == noRow {
		return true, false
	}
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
	if r.full || r.nLookups < recallAfter && r.n() == 0 {
		return
	}
	n := int64(len(key) + 64)
	at := int32(noRow)
	if there {
		at = int32(len(r.vals))
		for _, s := range r.slots {
			v := r.shared(r.f.regs[s])
			r.vals = append(r.vals, v)
			n += valueSize + int64(len(v.Str()))
		}
	}
	switch {
	case len(key) == idSize:
		r.byID.add(binary.BigEndian.Uint64(key), at)
	case r.byKey == nil:
		r.byKey = map[string]int32{string(key): at}
	default:
		r.byKey[string(key)] = at
	}
	r.mem += n
	r.full = r.f.keep(n, r.mem) || r.mem > min(recallMax, r.f.s.memory/8)
}

// shared returns a text with the memory of one that is the same, if there is one.
func (r *recall) shared(v value.Value) value.Value {
	if v.Kind() != value.Text || len(v.Str()) > sharedSizeMax {
		return v
	}
	text, ok := r.texts[v.Str()]
	switch {
	case ok:
		return value.NewText(text)
	case r.texts == nil:
		r.texts = map[string]string{}
	case len(r.texts) == sharedMax:
		return v
	}
	r.texts[v.Str()] = v.Str()
	return v
}

// n returns how many keys are known.
func (r *recall) n() int { return r.byID.n + len(r.byKey) }

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
	clear(r.byID.slots)
	clear(r.byKey)
	clear(r.vals)
	clear(r.texts)
	r.byID, r.byKey, r.vals, r.texts = idTable{}, nil, nil, nil
	r.f.shrink(r.mem)
	r.mem = 0
}

// idTable is a hash table by keys of 8 bytes, such as row ids: one cache line for
// most lookups.
type idTable struct {
	slots []idSlot // a power of two, at most 7/8 full
	shift uint     // of a hash, to an index of slots
	n     int
}

type idSlot struct {
	id    uint64
	at    int32
	taken bool
}

// idSize is the size of such a key in bytes.
const idSize = 8

// idTableMin is the binary logarithm of the slots of the smallest table.
const idTableMin = 7

// slot returns the slot of a key, or the one where it would be.
func (t *idTable) slot(id uint64) *idSlot {
	mask := len(t.slots) - 1
	for i := int(id * 0x9E3779B97F4A7C15 >> t.shift); ; i++ {
		if s := &t.slots[i&mask]; !s.taken || s.id == id {
			return s
		}
	}
}

func (t *idTable) find(id uint64) (at int32, ok bool) {
	if t.n == 0 {
		return 0, false
	}
	s := t.slot(id)
	return s.at, s.taken
}

// add adds a key that is not there.
func (t *idTable) add(id uint64, at int32) {
	if 8*(t.n+1) > 7*len(t.slots) {
		t.grow()
	}
	*t.slot(id) = idSlot{id, at, true}
	t.n++
}

func (t *idTable) grow() {
	old := t.slots
	size := max(2*len(old), 1<<idTableMin)
	t.slots, t.shift = make([]idSlot, size), 65-uint(bits.Len(uint(size)))
	for i := range old {
		if old[i].taken {
			*t.slot(old[i].id) = old[i]
		}
	}
	clear(old)
}
