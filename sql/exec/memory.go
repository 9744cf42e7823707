package exec

import "github.com/byokdb/byokdb/sql/sqlerr"

// memoryMax is how many bytes one statement may hold for sorting, grouping,
// distinct rows, hash tables and materialized subqueries, unless Settings say
// otherwise. Most of them go to a temporary file before that.
const memoryMax = 256 << 20

// memoryTotal is how many bytes the statements of one database hold together
// before they go to files earlier than each alone would.
const memoryTotal = 4 * memoryMax

// StatementMemoryMin is the least that Settings.StatementMemory can be, in bytes.
const StatementMemoryMin = 1 << 20

// memoryGrain is by how much a statement takes of the database's memory at once.
const memoryGrain = 1 << 20

// hold accounts for n bytes more that cannot go to a file.
func (f *frame) hold(n int64) error {
	f.mem += n
	if f.mem > f.granted {
		return f.grow()
	}
	return nil
}

func (f *frame) release(n int64) { f.mem -= n }

// grow takes more of the database's memory, up to the statement's limit. What
// all statements hold together does not stop one that has no other way.
func (f *frame) grow() error {
	if f.mem > f.s.memory {
		return sqlerr.New(sqlerr.NoMem, "statement needs more than %d MiB of memory to sort, group or join", f.s.memory>>20)
	}
	f.grant()
	return nil
}

// grant takes what f.mem says of the database's memory.
func (f *frame) grant() {
	want := (f.mem/memoryGrain + 1) * memoryGrain
	more := want - f.granted
	f.granted, f.borrowed = want, f.borrowed+more
	f.s.d.held.Add(more)
}

// keep accounts for n bytes more that an operator can put into a file, of which
// it holds own altogether. It reports whether the operator should do that now.
func (f *frame) keep(n, own int64) (full bool) {
	f.mem += n
	if f.mem > f.granted {
		f.grant()
	}
	s := f.s
	if s.spillAfter > 0 {
		return own >= s.spillAfter
	}
	switch {
	case own < s.memory/32: // whatever the others hold: a file for every row helps nobody
		return false
	case own >= s.memory/2, f.mem >= s.memory/4*3: // what cannot go to a file needs room, and so do buffers
		return true
	}
	return s.d.held.Load() > s.d.memoryTotal
}

// shrink is release for an operator that has put its rows into a file.
func (f *frame) shrink(n int64) {
	f.release(n)
	if f.mem < f.granted-memoryGrain && f.borrowed > 0 {
		back := min(f.granted-(f.mem/memoryGrain+1)*memoryGrain, f.borrowed)
		f.granted, f.borrowed = f.granted-back, f.borrowed-back
		f.s.d.held.Add(-back)
	}
}

// giveBack returns all that the frame has taken of the database's memory.
func (f *frame) giveBack() {
	if f.borrowed > 0 {
		f.s.d.held.Add(-f.borrowed)
	}
	f.granted, f.borrowed = 0, 0
}
