package engine

import (
	"bytes"
	"errors"
	"testing"

	"github.com/byokdb/byokdb/engine/internal/memtable"
)

// rewriter encodes the operations that it is given.
type rewriter struct{ encoded }

func (r *rewriter) set(key []byte, kind memtable.Kind, value []byte) error {
	id, user := splitKey(key)
	if kind == memtable.Tombstone {
		r.op(opDelete, id, user)
		return nil
	}
	r.op(opPut, id, user)
	r.value(bytes.Clone(value)) // large values are not copied
	return nil
}

func (r *rewriter) create(id uint32, name string) error {
	r.op(opCreate, id, []byte(name))
	return nil
}

func (r *rewriter) drop(id uint32) error {
	r.op(opDrop, id, nil)
	return nil
}

// payload returns what the log is given.
func (e *encoded) payload() []byte { return bytes.Join(e.parts(nil), nil) }

// FuzzBatch reads the payload of a frame; what is read is written as it was, and
// read again from the form that commits apply.
func FuzzBatch(f *testing.F) {
	for _, size := range []int{5, largeValueMin} {
		b := beginBatch(nil, 1)
		b.op(opPut, 1, []byte("key"))
		b.value(make([]byte, size))
		b.endBatch()
		f.Add(b.payload())
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var again []byte
		err := batches(payload, func(commit uint64, ops []byte) error {
			r := rewriter{beginBatch(nil, commit)}
			if err := applyOps(ops, &r); err != nil {
				return err
			}
			r.endBatch()
			second := rewriter{beginBatch(nil, commit)}
			if err := r.apply(&second); err != nil {
				t.Fatalf("what was encoded does not apply: %v", err)
			}
			second.endBatch()
			if !bytes.Equal(second.payload(), r.payload()) {
				t.Fatalf("%x became %x", r.payload(), second.payload())
			}
			again = append(again, r.payload()...)
			return nil
		})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if !bytes.Equal(again, payload) {
			t.Fatalf("%x became %x", payload, again)
		}
	})
}
