package engine

import (
	"bytes"
	"errors"
	"testing"

	"github.com/byokdb/byokdb/engine/internal/memtable"
)

// rewriter writes the operations that it is given as a batch has them.
type rewriter struct{ ops []byte }

func (r *rewriter) set(key []byte, kind memtable.Kind, value []byte) error {
	id, user := splitKey(key)
	if kind == memtable.Tombstone {
		r.ops = appendOp(r.ops, opDelete, id, user)
		return nil
	}
	r.ops = appendValue(appendOp(r.ops, opPut, id, user), value)
	return nil
}

func (r *rewriter) create(id uint32, name string) error {
	r.ops = appendOp(r.ops, opCreate, id, []byte(name))
	return nil
}

func (r *rewriter) drop(id uint32) error {
	r.ops = appendOp(r.ops, opDrop, id, nil)
	return nil
}

// FuzzBatch reads the payload of a frame; what is read is written as it was.
func FuzzBatch(f *testing.F) {
	b := appendValue(appendOp(beginBatch(nil, 1), opPut, 1, []byte("key")), []byte("value"))
	endBatch(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, payload []byte) {
		var again []byte
		err := batches(payload, func(commit uint64, ops []byte) error {
			var r rewriter
			if err := applyOps(ops, &r); err != nil {
				return err
			}
			from := len(again)
			again = append(beginBatch(again, commit), r.ops...)
			endBatch(again[from:])
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
