package exec

import (
	"encoding/binary"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/value"
)

// Rows that do not fit into memory go to temporary files of the transaction
// (engine.Spill), in blocks of about spillBlock bytes. A row in a block is its
// size (uvarint) and its values (spillrow.go).
//
// A file must not be written or read within an operation of the transaction:
// not by what scanIter.walk calls.

// spillBlock is the size in bytes from which a block is written. A large row
// makes a larger one.
const spillBlock = 32 << 10

// spillFile is a temporary file that is made when the first block is written.
type spillFile struct {
	f     *frame
	size  int // of a block, in bytes; spillBlock when 0
	spill *engine.Spill
	block []byte // that is being filled
	row   []byte // scratch
	mem   int64  // accounted for

	nBlocks int // that were written
}

// spillRun is a sequence of rows in a file.
type spillRun struct {
	file    *spillFile
	blocks  []engine.SpillBlock
	firsts  []int64 // number of the first row of each block
	n       int64   // rows that are in blocks
	largest int     // block, in bytes
}

// add puts a row at the end of a run.
func (r *spillRun) add(row []value.Value) error {
	w := r.file
	if len(w.block) == 0 {
		r.firsts = append(r.firsts, r.n)
	}
	w.row = appendSpilled(w.row[:0], row)
	w.block = binary.AppendUvarint(w.block, uint64(len(w.row)))
	w.block = append(w.block, w.row...)
	r.n++
	if len(w.block) >= w.blockSize() {
		return r.flush()
	}
	return nil
}

func (w *spillFile) blockSize() int {
	if w.size > 0 {
		return w.size
	}
	return spillBlock
}

// flush writes the last block. One run is filled at a time.
func (r *spillRun) flush() error {
	w := r.file
	if len(w.block) == 0 {
		return nil
	}
	if w.spill == nil {
		s, err := w.f.newSpill()
		if err != nil {
			return err
		}
		w.spill = s
	}
	b, err := w.spill.Append(w.block)
	if err != nil {
		return err
	}
	r.blocks = append(r.blocks, b)
	w.nBlocks++
	r.largest = max(r.largest, len(w.block))
	if cap(w.block) > 4*spillBlock {
		clear(w.block[:cap(w.block)])
		w.block = nil
	}
	if cap(w.row) > 4*spillBlock {
		clear(w.row[:cap(w.row)])
		w.row = nil
	}
	w.block = w.block[:0]
	w.account()
	return w.f.tick()
}

// account counts the memory of the file's buffers and of its list of blocks.
func (w *spillFile) account() {
	const perBlock = 32
	n := int64(cap(w.block) + cap(w.row) + 2*w.blockSize()) // into which the engine packs and seals
	n += int64(w.nBlocks) * perBlock
	w.f.keep(n-w.mem, 0)
	w.mem = n
}

// written drops the buffers, when nothing more is added.
func (w *spillFile) written() {
	clear(w.block[:cap(w.block)])
	clear(w.row[:cap(w.row)])
	w.block, w.row = nil, nil
	if w.spill != nil {
		w.account()
	}
}

// close removes the file.
func (w *spillFile) close() {
	if w == nil {
		return
	}
	if w.spill != nil {
		w.spill.Close()
		delete(w.f.top().spills, w.spill)
		w.spill = nil
	}
	w.written()
	w.f.shrink(w.mem)
	w.mem = 0
}

// newSpill makes a temporary file, which ends with the statement.
func (f *frame) newSpill() (*engine.Spill, error) {
	s, err := f.tx.NewSpill()
	if err != nil {
		return nil, err
	}
	f.s.d.nSpills.Add(1)
	top := f.top()
	if top.spills == nil {
		top.spills = map[*engine.Spill]struct{}{}
	}
	top.spills[s] = struct{}{}
	return s, nil
}

// closeSpills removes the files that a statement, when it ends, has left.
func (f *frame) closeSpills() {
	for s := range f.spills {
		s.Close()
	}
	f.spills = nil
}

// runReader reads the rows of a run in their order.
type runReader struct {
	run  *spillRun
	next int    // block
	buf  []byte // memory of the block that is read
	rest []byte // of it
	row  []value.Value
	mem  int64
}

// width is the number of values in a row.
func newRunReader(run *spillRun, width int) *runReader {
	return &runReader{run: run, row: make([]value.Value, width)}
}

// read puts the next row into r.row; false: there are no more. The row is valid
// until the next call, its values are for ever.
func (r *runReader) read() (bool, error) {
	if len(r.rest) == 0 {
		if r.next == len(r.run.blocks) {
			return false, nil
		}
		if err := r.load(r.next); err != nil {
			return false, err
		}
	}
	b, err := r.raw()
	if err != nil {
		return false, err
	}
	if b, err = readSpilled(r.row, b); err == nil && len(b) > 0 {
		err = errSpilled
	}
	return err == nil, err
}

// load reads a block.
func (r *runReader) load(i int) error {
	buf, err := r.run.file.spill.Read(r.buf[:0], r.run.blocks[i])
	r.buf = buf
	if err != nil {
		return err
	}
	r.rest, r.next = buf, i+1
	if n := int64(cap(r.buf)); n != r.mem {
		r.run.file.f.keep(n-r.mem, 0)
		r.mem = n
	}
	return nil
}

// raw takes the next row off the block without decoding it.
func (r *runReader) raw() ([]byte, error) {
	b, n := rawSpilled(r.rest)
	if n <= 0 {
		return nil, errSpilled
	}
	r.rest = r.rest[n:]
	return b, nil
}

// rawSpilled returns the row at the beginning of a part of a block, and how many
// bytes it takes; 0: there is none.
func rawSpilled(rest []byte) (row []byte, size int) {
	n, head := binary.Uvarint(rest)
	if head <= 0 || n > uint64(len(rest)-head) {
		return nil, 0
	}
	size = head + int(n)
	return rest[head:size], size
}

func (r *runReader) close() {
	clear(r.buf[:cap(r.buf)])
	clear(r.row)
	r.buf, r.rest = nil, nil
	r.run.file.f.release(r.mem)
	r.mem = 0
}
