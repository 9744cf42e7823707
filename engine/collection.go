package engine

import (
	"encoding/binary"
	"slices"

	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/pager"
)

// Collection is a named ordered set of records within a transaction.
type Collection struct {
	tx   *Tx
	id   uint32
	name string
}

// Name returns the collection's name.
func (c *Collection) Name() string { return c.name }

// internalKey returns collection id ‖ key in the transaction's buffer, valid
// until the next call.
func (c *Collection) internalKey(key []byte) []byte {
	b := binary.BigEndian.AppendUint32(c.tx.keyBuf[:0], c.id)
	c.tx.keyBuf = append(b, key...)
	return c.tx.keyBuf
}

// splitKey returns the parts of an internal key.
func splitKey(key []byte) (id uint32, user []byte) {
	return binary.BigEndian.Uint32(key), key[4:]
}

// Get returns the value of key, valid until the transaction ends.
// Errors: ErrNotFound, *KeyError, ErrTxClosed, ErrCorrupt.
func (c *Collection) Get(key []byte) ([]byte, error) {
	if err := c.tx.enter(); err != nil {
		return nil, err
	}
	defer c.tx.leave()
	value, err := c.get(key)
	if err != nil {
		return nil, err
	}
	if len(value) > keepMax && cap(value) <= 2*len(value) {
		c.tx.valueBuf = nil
		c.tx.kept.adopt(value[:cap(value)])
		return slices.Clip(value), nil
	}
	return c.tx.kept.keep(value), nil
}

// UnsafeGet is Get without a copy of its own: the bytes are valid until the
// next call of any method of the transaction, and may be wiped under the
// caller's hands; see [Tx.Check].
func (c *Collection) UnsafeGet(key []byte) ([]byte, error) {
	if err := c.tx.enter(); err != nil {
		return nil, err
	}
	defer c.tx.leave()
	return c.get(key)
}

// get returns the value in the transaction's buffer. tx.mu is held.
func (c *Collection) get(key []byte) ([]byte, error) {
	if len(key) > KeySizeMax {
		return nil, ErrNotFound
	}
	return c.tx.get(c.internalKey(key), nil, 0)
}

// get returns the value of an internal key in the transaction's buffer. b and n
// are those of version.get. tx.mu is held.
func (tx *Tx) get(key []byte, b *pager.Batch, n int) ([]byte, error) {
	if tx.writes != nil && tx.nWrites > 0 {
		if value, kind, ok := tx.writes.Get(key); ok {
			if kind == memtable.Tombstone {
				return nil, ErrNotFound
			}
			tx.valueBuf = append(tx.valueBuf[:0], value...)
			return tx.valueBuf, nil
		}
	}
	value, found, err := tx.view().get(tx.valueBuf[:0], key, b, n)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNotFound
	}
	tx.valueBuf = value
	return value, nil
}

// Put sets the value of key. Both are copied.
// Errors: ErrReadOnly, ErrKeyTooLarge, ErrValueTooLarge, ErrTxTooLarge.
func (c *Collection) Put(key, value []byte) error {
	if len(value) > ValueSizeMax {
		return ErrValueTooLarge
	}
	return c.set(key, memtable.Put, value)
}

// Delete removes the record of key; there need not be one.
func (c *Collection) Delete(key []byte) error {
	return c.set(key, memtable.Tombstone, nil)
}

func (c *Collection) set(key []byte, kind memtable.Kind, value []byte) error {
	if len(key) > KeySizeMax {
		return ErrKeyTooLarge
	}
	tx := c.tx
	if err := tx.enterWrite(); err != nil {
		return err
	}
	defer tx.leave()
	if err := tx.writes.Set(c.internalKey(key), kind, value); err != nil {
		return err
	}
	tx.nWrites++
	tx.nBytes += int64(len(key)+len(value)) + operationSize
	return nil
}

// A keeper holds copies that callers were promised until the transaction ends.
// Its chunks are wiped then. Beyond keepTotal the oldest are left to the garbage
// collector, so that a scan of any length holds no more than its user does.
type keeper struct {
	chunk []byte
	used  int
	older [][]byte
	total int // bytes of older
}

// Sizes of a keeper's chunks and of what it wipes, in bytes.
const (
	keepMin   = 512
	keepMax   = 64 << 10
	keepTotal = 4 << 20
)

// keep returns a copy, which is not nil.
func (k *keeper) keep(b []byte) []byte {
	n := len(b)
	if n == 0 {
		return []byte{}
	}
	if len(k.chunk)-k.used < n {
		k.grow(n)
	}
	out := k.chunk[k.used : k.used+n : k.used+n]
	k.used += copy(out, b)
	return out
}

func (k *keeper) grow(n int) {
	if k.chunk != nil {
		k.adopt(k.chunk)
	}
	k.chunk, k.used = make([]byte, max(n, min(2*len(k.chunk), keepMax), keepMin)), 0
}

// adopt keeps memory that a caller was given as it is.
func (k *keeper) adopt(b []byte) {
	for k.total > keepTotal {
		k.total -= len(k.older[0])
		k.older[0] = nil
		k.older = k.older[1:]
	}
	k.older = append(k.older, b)
	k.total += len(b)
}

func (k *keeper) wipe() {
	clear(k.chunk)
	for _, c := range k.older {
		clear(c)
	}
	*k = keeper{}
}
