package exec

import (
	"context"
	"maps"
	"math"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// pollInterval is how many steps of the innermost loops pass between two looks
// at the context.
const pollInterval = 256

// frame is one running statement: its registers and everything that it holds
// beside the plan, which is shared and immutable.
type frame struct {
	run // what goes at its end

	args  []value.Value
	regs  []value.Value
	subs  []subState
	kept  []keptHash
	colls []*engine.Collection // of collsOf
	plan  *plan
	key   []byte        // scratch for keys
	stack []value.Value // arguments of function calls
	cells []record.Cell // scratch for rows that are read

	spare     []value.Value // room for rows that a scan reads ahead, empty
	spareKeys *entryKeys    // the same for keys of rows; or nil

	collsOf handles // what colls were got from
}

// run is what a frame holds of one run of its statement.
type run struct {
	ctx   context.Context
	s     *Session
	tx    *engine.Tx
	mem   int64 // bytes that it holds; see memory.go
	ticks int

	returned  *buffer // rows of RETURNING
	fn        *fn.Context
	changes   int64
	nextRowID int64
	nextKnown bool
	nextOf    uint64           // the root of the table that nextRowID is of
	nextIDs   map[uint64]int64 // of other tables

	granted  int64                      // bytes that it may hold before it looks at the limits again
	borrowed int64                      // of the database's memory
	spills   map[*engine.Spill]struct{} // temporary files of the statement; in its own frame alone

	root *frame // of the statement, in the frame of a program; nil in its own

	// What the frame of a statement holds for its programs.
	firing     []*schema.Trigger     // under way, the innermost last; nil for actions of foreign keys
	idle       map[*program][]*frame // to be used again; they hold no rows
	violations int64                 // of immediate foreign keys
	pinned     []pin                 // the innermost last
	sequences  []*sequence           // of AUTOINCREMENT tables that have been inserted into
}

// pin keeps programs from writing to a table while a frame deletes a row of it that
// is in the way of one that it changes.
type pin struct {
	table *schema.Table
	by    *frame
}

// nextID returns the next row id of a table, if it is known. What a statement
// knows it shares with its programs.
func (f *frame) nextID(root uint64) (int64, bool) {
	top := f.top()
	if top.nextKnown && top.nextOf == root {
		return top.nextRowID, true
	}
	if top.nextKnown {
		if top.nextIDs == nil {
			top.nextIDs = map[uint64]int64{}
		}
		top.nextIDs[top.nextOf] = top.nextRowID
		top.nextKnown = false
	}
	next, ok := top.nextIDs[root]
	if !ok && f.s.tx == f.tx {
		next, ok = f.s.rowIDs[root]
	}
	if ok {
		f.setNextID(root, next)
	}
	return next, ok
}

func (f *frame) setNextID(root uint64, next int64) {
	top := f.top()
	top.nextRowID, top.nextKnown, top.nextOf = next, true, root
}

// keepRowIDs remembers the next row ids for the following statements of the
// transaction.
func (f *frame) keepRowIDs() {
	if f.s.tx != f.tx || !f.nextKnown && f.nextIDs == nil {
		return
	}
	if f.s.rowIDs == nil {
		f.s.rowIDs = map[uint64]int64{}
	}
	maps.Copy(f.s.rowIDs, f.nextIDs)
	if f.nextKnown {
		f.s.rowIDs[f.nextOf] = f.nextRowID
	}
}

// usedRowID is called when a row was inserted. Programs may have made the next row
// id known since that of the row was chosen.
func (f *frame) usedRowID(root uint64, id int64) {
	top := f.top()
	switch {
	case !top.nextKnown || top.nextOf != root:
		if next, ok := top.nextIDs[root]; ok && id >= next {
			f.forgetRowID(root)
		}
	case id < top.nextRowID:
	case id == math.MaxInt64:
		f.forgetRowID(root)
	default:
		top.nextRowID = id + 1
	}
}

// forgetRowID is called when a row of a table goes away: its id may be the one
// to give out next.
func (f *frame) forgetRowID(root uint64) {
	top := f.top()
	if top.nextOf == root {
		top.nextKnown = false
	}
	delete(top.nextIDs, root)
	delete(f.s.rowIDs, root)
}

// subState is what a subquery that depends on nothing outside of itself gave.
type subState struct {
	done bool
	val  value.Value
	set  *valueSet
}

func (p *plan) newFrame() *frame {
	return &frame{
		plan:  p,
		regs:  make([]value.Value, p.nRegs),
		subs:  make([]subState, p.nSubs),
		kept:  make([]keptHash, p.nKept),
		colls: make([]*engine.Collection, len(p.collNames)),
	}
}

// collection opens the i-th collection of the plan once.
func (f *frame) collection(i int) (*engine.Collection, error) {
	if c := f.colls[i]; c != nil {
		return c, nil
	}
	c, err := f.tx.Collection(f.plan.collNames[i])
	if err != nil {
		return nil, err
	}
	f.colls[i] = c
	return c, nil
}

// tick is called once per row of every loop.
func (f *frame) tick() error {
	f.ticks++
	if f.ticks%pollInterval != 0 {
		return nil
	}
	if err := f.interrupted(); err != nil {
		return err
	}
	return f.tx.Check()
}

// poll returns why the statement must end, if it must, also while the transaction
// is at work.
func (f *frame) poll() error {
	if f.ctx == nil || f.tx == nil { // it is being compiled, or needs no transaction
		return nil
	}
	if err := f.interrupted(); err != nil {
		return err
	}
	return f.tx.Poll()
}

func (f *frame) interrupted() error {
	if err := f.ctx.Err(); err != nil {
		return sqlerr.Wrap(sqlerr.Interrupt, err, "interrupted")
	}
	return nil
}

// ticked is tick for n rows at once.
func (f *frame) ticked(n int) error {
	if f.ticks%pollInterval+n < pollInterval {
		f.ticks += n
		return nil
	}
	f.ticks += n - (f.ticks+n)%pollInterval - 1
	return f.tick()
}

// handles says for how long collections can be used: in the same transaction,
// while none of them was dropped.
type handles struct {
	tx  *engine.Tx
	gen uint64 // Session.collsGen
}

// begin readies the frame for a run. args are copied.
func (f *frame) begin(ctx context.Context, s *Session, tx *engine.Tx, args []value.Value) {
	f.ctx, f.s, f.tx = ctx, s, tx
	f.args = append(f.args[:0], args...)
	if of := (handles{tx, s.collsGen}); f.collsOf != of {
		clear(f.colls)
		f.collsOf = of
	}
}

// clearSubs drops what subqueries gave.
func (f *frame) clearSubs() {
	for i := range f.subs {
		f.subs[i].set.close(f)
	}
	clear(f.subs)
}

// clear drops every row that the frame holds, so that it can be used again.
func (f *frame) clear() {
	f.clearSubs()
	f.dropKept()
	f.giveBack()
	clear(f.regs)
	clear(f.args)
	clear(f.key[:cap(f.key)])
	clear(f.stack[:cap(f.stack)])
	clear(f.cells) // the type of a cell can tell 0 from 1
	if cap(f.spare) > idleScratchMax/valueSize {
		f.spare = nil
	}
	f.args, f.key, f.stack = f.args[:0], f.key[:0], f.stack[:0]
	f.run = run{}
}
