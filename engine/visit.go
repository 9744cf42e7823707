package engine

import (
	"encoding/binary"
	"errors"

	"github.com/byokdb/byokdb/pager"
)

// Visit looks up keys, in the order in which they are given, and calls fn with the
// number of each and its value, nil where there is no record, until fn returns
// false. It is faster than looking them up one by one.
//
// The bytes stay as they are until fn returns: a pause waits for that, and for all
// keys. So they are to be few, fn is to be short, and must not use the transaction
// or anything of it. The key's lease is checked before every look-up; for what fn
// kept the terms of [Tx.Check] hold.
// Errors: *KeyError, ErrTxClosed, ErrCorrupt.
func (c *Collection) Visit(keys [][]byte, fn func(i int, value []byte) bool) error {
	if err := c.tx.enter(); err != nil {
		return err
	}
	defer c.tx.leave()
	for first := 0; first < len(keys); first += pager.BatchMax {
		goOn, err := c.visit(keys[first:min(first+pager.BatchMax, len(keys))], first, fn)
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

// visit is Visit for the keys of one batch, which begins with number first.
// tx.mu is held.
func (c *Collection) visit(keys [][]byte, first int, fn func(i int, value []byte) bool) (goOn bool, err error) {
	tx := c.tx
	var b pager.Batch
	defer b.Release()
	internal := c.internalKeys(keys)
	v := tx.view().version
	for _, k := range internal[:len(keys)] {
		var r *pager.Run
		if last := v.find(nLevels-1, k); last != nil {
			r = last.Run
		}
		b.Add(r, k)
	}
	b.Find()
	for i := range keys {
		if first+i > 0 {
			if err := tx.db.guard.Check(); err != nil {
				return false, err
			}
		}
		value, err := tx.get(internal[i], &b, i)
		switch {
		case errors.Is(err, ErrNotFound):
			value = nil
		case err != nil:
			return false, err
		case value == nil:
			value = []byte{}
		}
		if !fn(first+i, value) {
			return false, nil
		}
	}
	return true, nil
}

// internalKeys is internalKey for several keys.
func (c *Collection) internalKeys(keys [][]byte) (out [pager.BatchMax][]byte) {
	size := 0
	for _, key := range keys {
		size += collectionIDSize + len(key)
	}
	if cap(c.tx.keyBuf) < size {
		clear(c.tx.keyBuf[:cap(c.tx.keyBuf)])
		c.tx.keyBuf = make([]byte, 0, size)
	}
	buf := c.tx.keyBuf[:0]
	for i, key := range keys {
		at := len(buf)
		buf = append(binary.BigEndian.AppendUint32(buf, c.id), key...)
		out[i] = buf[at:len(buf):len(buf)]
	}
	c.tx.keyBuf = buf
	return out
}
