package engine

import (
	"encoding/binary"
	"fmt"

	"github.com/byokdb/byokdb/engine/internal/memtable"
)

// A batch is the encoded form of one commit: what the log's frames carry, one
// or more per frame.
//
//	commit number (8 B, big-endian) ‖ size of the rest (4 B) ‖ operations
//
//	operation: code (1 B) ‖ collection id (4 B) ‖ n (4 B) ‖ n bytes
//	           put only:  ‖ m (4 B) ‖ m bytes
//
// put and delete name a record by its user key; create carries the
// collection's name; drop carries nothing. FORMAT.md §5.
const batchHeaderSize = 12

// operationSize is at least what an operation takes beside names, keys and
// values, in bytes.
const operationSize = 17

// Operation codes. They are on disk.
const (
	opPut    = 1
	opDelete = 2
	opCreate = 3
	opDrop   = 4
)

var errBatch = fmt.Errorf("%w: a batch in the log does not parse", ErrCorrupt)

// An encoded is a batch, or several one behind the other. Its large values stay
// where they are, in the memory of the transactions that wrote them.
type encoded struct {
	buf   []byte // all but the large values
	large []largeValue
	size  int64 // of everything, in bytes

	collections bool // some are created or dropped
}

// A largeValue belongs into the encoding before buf[at].
type largeValue struct {
	at    int
	value []byte
}

// largeValueMin is the size in bytes from which on a value is not copied.
const largeValueMin = 4 << 10

// beginBatch returns a batch in buf, whose contents are overwritten; endBatch
// fills in its size.
func beginBatch(buf []byte, commit uint64) encoded {
	buf = binary.BigEndian.AppendUint64(buf[:0], commit)
	return encoded{buf: append(buf, 0, 0, 0, 0)}
}

func (e *encoded) endBatch() {
	for _, l := range e.large {
		e.size += int64(len(l.value))
	}
	e.size += int64(len(e.buf))
	binary.BigEndian.PutUint32(e.buf[8:], uint32(e.size-batchHeaderSize))
}

func (e *encoded) op(code byte, collection uint32, a []byte) {
	e.collections = e.collections || code == opCreate || code == opDrop
	e.buf = append(e.buf, code)
	e.buf = binary.BigEndian.AppendUint32(e.buf, collection)
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(len(a)))
	e.buf = append(e.buf, a...)
}

// value ends a put. A large value must stay as it is as long as e is in use.
func (e *encoded) value(v []byte) {
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(len(v)))
	if len(v) < largeValueMin {
		e.buf = append(e.buf, v...)
		return
	}
	e.large = append(e.large, largeValue{at: len(e.buf), value: v})
}

// commit returns the number of the first batch.
func (e *encoded) commit() uint64 { return binary.BigEndian.Uint64(e.buf) }

// add appends batches.
func (e *encoded) add(more *encoded) {
	for _, l := range more.large {
		e.large = append(e.large, largeValue{at: len(e.buf) + l.at, value: l.value})
	}
	e.buf = append(e.buf, more.buf...)
	e.size += more.size
}

// parts appends the pieces of the encoding, in order, to dst.
func (e *encoded) parts(dst [][]byte) [][]byte {
	from := 0
	for _, l := range e.large {
		dst = append(dst, e.buf[from:l.at], l.value)
		from = l.at
	}
	return append(dst, e.buf[from:])
}

// reset wipes what is e's own and forgets the rest.
func (e *encoded) reset() {
	clear(e.buf)
	clear(e.large)
	e.buf, e.large, e.size, e.collections = e.buf[:0], e.large[:0], 0, false
	if cap(e.buf) > groupKeepMax {
		e.buf = nil
	}
}

// A group is what waits to be written to the log: one payload of a frame after
// the other. The memory of a group that was reset is used again.
type group []encoded

// framePayloadMax is the size in bytes up to which batches share a frame: it
// bounds the memory in which the log seals them.
const framePayloadMax = 4 << 20

// add appends a batch, whose own memory is copied.
func (g group) add(batch *encoded) group {
	if n := len(g); n == 0 || g[n-1].size+batch.size > framePayloadMax {
		if n < cap(g) {
			g = g[:n+1]
		} else {
			g = append(g, encoded{})
		}
	}
	g[len(g)-1].add(batch)
	return g
}

// reset wipes the group and keeps the memory of its first payload.
func (g group) reset() group {
	for i := range g {
		if g[i].reset(); i > 0 {
			g[i] = encoded{}
		}
	}
	return g[:0]
}

// applier receives the operations of a batch. Slices are valid during the call.
type applier interface {
	set(key []byte, kind memtable.Kind, value []byte) error // key: collection id ‖ user key
	create(id uint32, name string) error
	drop(id uint32) error
}

// batches calls fn for every batch in a frame's payload.
func batches(payload []byte, fn func(commit uint64, ops []byte) error) error {
	for len(payload) > 0 {
		if len(payload) < batchHeaderSize {
			return errBatch
		}
		commit := binary.BigEndian.Uint64(payload)
		n := uint64(binary.BigEndian.Uint32(payload[8:]))
		payload = payload[batchHeaderSize:]
		if n > uint64(len(payload)) {
			return errBatch
		}
		if err := fn(commit, payload[:n]); err != nil {
			return err
		}
		payload = payload[n:]
	}
	return nil
}

// apply feeds the operations of the one batch in e to a.
func (e *encoded) apply(a applier) error {
	r := opReader{buf: e.buf, off: batchHeaderSize, large: e.large}
	return r.apply(a)
}

// applyOps feeds a batch's operations to a.
func applyOps(ops []byte, a applier) error {
	r := opReader{buf: ops}
	return r.apply(a)
}

// An opReader takes a batch's operations apart.
type opReader struct {
	buf   []byte
	off   int
	large []largeValue // not in buf
}

// number reads four bytes.
func (r *opReader) number() (uint32, bool) {
	b, ok := r.bytes(4)
	if !ok {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

func (r *opReader) bytes(n uint32) ([]byte, bool) {
	if uint64(n) > uint64(len(r.buf)-r.off) {
		return nil, false
	}
	b := r.buf[r.off : r.off+int(n)]
	r.off += int(n)
	return b, true
}

// sized reads a size and as many bytes.
func (r *opReader) sized() ([]byte, bool) {
	n, ok := r.number()
	if !ok {
		return nil, false
	}
	if len(r.large) > 0 && r.large[0].at == r.off {
		b := r.large[0].value
		r.large = r.large[1:]
		return b, true
	}
	return r.bytes(n)
}

func (r *opReader) apply(a applier) error {
	for r.off < len(r.buf) {
		head, ok := r.bytes(5)
		if !ok {
			return errBatch
		}
		arg, ok := r.sized()
		if !ok {
			return errBatch
		}
		var err error
		switch code, id := head[0], head[1:]; code {
		case opPut:
			value, ok := r.sized()
			if !ok {
				return errBatch
			}
			err = setOp(a, id, arg, memtable.Put, value)
		case opDelete:
			err = setOp(a, id, arg, memtable.Tombstone, nil)
		case opCreate:
			err = a.create(binary.BigEndian.Uint32(id), string(arg))
		case opDrop:
			if len(arg) != 0 {
				return errBatch
			}
			err = a.drop(binary.BigEndian.Uint32(id))
		default:
			return fmt.Errorf("%w: operation %d", errBatch, code)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setOp passes one record on. Its internal key is assembled on the stack where
// it is short enough.
func setOp(a applier, collection, key []byte, kind memtable.Kind, value []byte) error {
	if len(key) > KeySizeMax || len(value) > ValueSizeMax {
		return errBatch
	}
	var stack [128]byte
	k := append(append(stack[:0], collection...), key...)
	return a.set(k, kind, value)
}

// collectionIDSize is the number of bytes before the key in an internal key.
const collectionIDSize = 4

// collectionPrefix returns the first four bytes of a collection's keys.
func collectionPrefix(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }
