package engine

import (
	"encoding/binary"
	"errors"
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

// Operation codes. They are on disk.
const (
	opPut    = 1
	opDelete = 2
	opCreate = 3
	opDrop   = 4
)

var errBatch = errors.New("a batch in the log does not parse")

// beginBatch appends a header whose size endBatch fills in.
func beginBatch(dst []byte, commit uint64) []byte {
	dst = binary.BigEndian.AppendUint64(dst, commit)
	return append(dst, 0, 0, 0, 0)
}

func endBatch(batch []byte) {
	binary.BigEndian.PutUint32(batch[8:], uint32(len(batch)-batchHeaderSize))
}

func appendOp(dst []byte, code byte, collection uint32, a []byte) []byte {
	dst = append(dst, code)
	dst = binary.BigEndian.AppendUint32(dst, collection)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(a)))
	return append(dst, a...)
}

func appendValue(dst, v []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	return append(dst, v...)
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

// applyOps feeds a batch's operations to a.
func applyOps(ops []byte, a applier) error {
	for len(ops) > 0 {
		if len(ops) < 9 {
			return errBatch
		}
		code, head := ops[0], ops[1:5]
		n := uint64(binary.BigEndian.Uint32(ops[5:]))
		if ops = ops[9:]; n > uint64(len(ops)) {
			return errBatch
		}
		arg := ops[:n]
		ops = ops[n:]
		var err error
		switch code {
		case opPut:
			if len(ops) < 4 {
				return errBatch
			}
			m := uint64(binary.BigEndian.Uint32(ops))
			if ops = ops[4:]; m > uint64(len(ops)) {
				return errBatch
			}
			err = setOp(a, head, arg, memtable.Put, ops[:m])
			ops = ops[m:]
		case opDelete:
			err = setOp(a, head, arg, memtable.Tombstone, nil)
		case opCreate:
			err = a.create(binary.BigEndian.Uint32(head), string(arg))
		case opDrop:
			err = a.drop(binary.BigEndian.Uint32(head))
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

// collectionPrefix returns the first four bytes of a collection's keys.
func collectionPrefix(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }
