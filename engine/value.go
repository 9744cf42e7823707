package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/internal/offheap"
	"github.com/byokdb/byokdb/pager"
)

// valueChunk is how much of a value is read or written at a time, in bytes: the
// transaction is locked for that long, and a pause waits.
const valueChunk = 256 << 10

// ValueReader reads one value piece by piece, as it was when the reader was made.
// A large one that is in a run is held a chunk of 256 KiB at a time. Every Read
// checks the key's lease. A reader belongs to its transaction and ends with it.
type ValueReader struct {
	tx     *Tx
	mem    []byte             // the value, in memory that lives as long as the transaction
	run    *pager.ValueReader // or where it is read from
	size   int64
	off    int64
	closed bool
}

// newReader registers a reader with the transaction. tx.mu is held.
func (tx *Tx) newReader(mem []byte, run *pager.ValueReader) *ValueReader {
	r := &ValueReader{tx: tx, mem: mem, run: run, size: int64(len(mem))}
	if run != nil {
		r.size = run.Size()
		if tx.readers == nil {
			tx.readers = make(map[*ValueReader]struct{})
		}
		tx.readers[r] = struct{}{}
	}
	return r
}

// Size returns the size of the value in bytes.
func (r *ValueReader) Size() int64 { return r.size }

// Read reads at most 256 KiB. What is in p is data only if the error is nil.
// Errors: io.EOF at the end; *KeyError, after which Read goes on where it was if
// the key comes back before memory is wiped; ErrTxClosed and whatever else ended
// the transaction; ErrCorrupt; ErrClosed.
func (r *ValueReader) Read(p []byte) (int, error) {
	if err := r.enter(); err != nil {
		return 0, err
	}
	defer r.tx.leave()
	if r.off >= r.size {
		return 0, io.EOF
	}
	p = p[:min(len(p), valueChunk)]
	var n int
	var err error
	if r.run == nil {
		n = copy(p, r.mem[r.off:])
	} else if _, err = r.run.Seek(r.off, io.SeekStart); err == nil {
		n, err = r.run.Read(p)
	}
	r.off += int64(n)
	return n, translate(err)
}

// Seek sets where the next Read begins; it may lie behind the end.
func (r *ValueReader) Seek(offset int64, whence int) (int64, error) {
	if err := r.enter(); err != nil {
		return 0, err
	}
	defer r.tx.leave()
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, fmt.Errorf("seek in value: there is no whence %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in value: offset %d is before the beginning", offset)
	}
	r.off = offset
	return offset, nil
}

// enter begins an operation. When it returns nil, tx.leave must follow.
func (r *ValueReader) enter() error {
	if err := r.tx.enter(); err != nil {
		return err
	}
	if r.closed {
		r.tx.leave()
		return ErrClosed
	}
	return nil
}

// Close gives back what the reader holds. Closing again does nothing.
func (r *ValueReader) Close() error {
	r.tx.mu.Lock()
	defer r.tx.mu.Unlock()
	return r.release()
}

// release is Close with tx.mu held.
func (r *ValueReader) release() error {
	r.closed, r.mem = true, nil
	if r.run == nil {
		return nil
	}
	delete(r.tx.readers, r)
	err := r.run.Close()
	r.run = nil
	return err
}

// GetReader returns a reader of the value of key, which need not be held whole.
// It is to be closed, or the transaction ended. Errors: as Get.
func (c *Collection) GetReader(key []byte) (*ValueReader, error) {
	tx := c.tx
	if err := tx.enter(); err != nil {
		return nil, err
	}
	defer tx.leave()
	if len(key) > KeySizeMax {
		return nil, ErrNotFound
	}
	mem, run, err := c.open(key)
	if err != nil {
		return nil, err
	}
	return tx.newReader(mem, run), nil
}

// open finds the value of key where it lies, or copies it if that is a page.
// tx.mu is held.
func (c *Collection) open(key []byte) (mem []byte, run *pager.ValueReader, err error) {
	tx := c.tx
	k := c.internalKey(key)
	mems := tx.view().mems
	if tx.writes != nil && tx.nWrites > 0 {
		mems = append([]*memtable.View{tx.writes.Still()}, mems...)
	}
	for _, m := range mems {
		if value, kind, ok := m.Get(k); ok {
			if kind == memtable.Tombstone {
				return nil, nil, ErrNotFound
			}
			return value, nil, nil
		}
	}
	run, value, found, err := tx.view().version.open(tx.valueBuf[:0], k)
	if err != nil {
		return nil, nil, translate(err)
	}
	if !found {
		return nil, nil, ErrNotFound
	}
	if run != nil {
		return nil, run, nil
	}
	tx.valueBuf = value
	return tx.kept.keep(value), nil, nil
}

// open is get that returns a large value as a reader and appends any other to
// dst. A tombstone is not found.
func (v *version) open(dst, key []byte) (large *pager.ValueReader, value []byte, found bool, err error) {
	for l := range v.levels {
		runs := v.levels[l]
		if l > 0 {
			runs = nil
			if r := v.find(l, key); r != nil {
				runs = []*run{r}
			}
		}
		for _, r := range runs {
			if !r.overlaps(key, key) {
				continue
			}
			large, value, kind, found, err := r.Open(dst, key)
			if found || err != nil {
				return large, value, found && kind == pager.Put, err
			}
		}
	}
	return nil, dst, false, nil
}

// PutReader sets the value of key to what r holds, which must be size bytes and
// no more. They are read into the transaction's memory, at most 256 KiB at a
// time, without holding the transaction: r may use it. The key's lease is checked
// between the pieces.
//
// After an error nothing of the value is in the transaction. Errors: ErrValueSize
// when r ends before or goes on behind; r's own; as Put.
func (c *Collection) PutReader(key []byte, size int64, r io.Reader) error {
	tx := c.tx
	switch {
	case len(key) > KeySizeMax:
		return ErrKeyTooLarge
	case size > ValueSizeMax:
		return ErrValueTooLarge
	case size < 0:
		return fmt.Errorf("put value: %w: %d bytes", ErrValueSize, size)
	}
	buf, err := offheap.Alloc(int(max(1, min(size, valueChunk))))
	if err != nil {
		return err
	}
	defer func() { _ = offheap.Free(buf) }() // wiped all the same; only address space is lost
	w, err := c.reserve(key, int(size))
	if err != nil {
		return err
	}
	err = w.fill(r, buf)
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.err != nil {
		return tx.err // and with the transaction, what was reserved has ended
	}
	if err == nil {
		err = tx.db.guard.Check()
	}
	if err != nil {
		tx.writes.Drop(w.to)
		return err
	}
	tx.writes.Insert(w.to)
	tx.nWrites++
	tx.nBytes += int64(len(key)) + size + operationSize
	return nil
}

// A valueWriter fills what a transaction reserved for a value.
type valueWriter struct {
	tx *Tx
	to memtable.Reserved
	n  int // bytes there
}

// reserve makes room for a value in the transaction.
func (c *Collection) reserve(key []byte, size int) (*valueWriter, error) {
	tx := c.tx
	if err := tx.enterWrite(); err != nil {
		return nil, err
	}
	defer tx.leave()
	if n := int64(len(key)+size) + operationSize; tx.nBytes+n > TxSizeMax {
		tx.nBytes += n // too large from now on, as after Put
		return nil, ErrTxTooLarge
	}
	to, err := tx.writes.Reserve(c.internalKey(key), size)
	return &valueWriter{tx: tx, to: to}, err
}

// fill reads the whole value by way of buf, in which nothing stays while r is
// being waited for.
func (w *valueWriter) fill(r io.Reader, buf []byte) error {
	size := len(w.to.Value()) // of the slice, which is this function's own
	for w.n < size {
		n, err := readSome(r, buf[:min(len(buf), size-w.n)])
		if n > 0 {
			if err := w.write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case w.n == size:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("put value: %w: %d bytes of %d", ErrValueSize, w.n, size)
		case err != nil:
			return fmt.Errorf("put value: %w", err)
		}
	}
	n, err := readSome(r, buf[:1])
	clear(buf[:1])
	if n > 0 {
		return fmt.Errorf("put value: %w: more than %d bytes", ErrValueSize, size)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("put value: %w", err)
	}
	return nil
}

// write appends a piece and wipes it.
func (w *valueWriter) write(piece []byte) error {
	defer clear(piece)
	if err := w.tx.enter(); err != nil {
		return err
	}
	defer w.tx.leave()
	w.n += copy(w.to.Value()[w.n:], piece)
	return nil
}

// readSome reads at least a byte, or returns an error.
func readSome(r io.Reader, p []byte) (int, error) {
	for range 100 {
		n, err := r.Read(p)
		if n < 0 || n > len(p) {
			return 0, errors.New("the reader returned an impossible count")
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}
