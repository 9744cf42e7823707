package memtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/byokdb/byokdb/engine"
)

// Sizes of what is written.
const (
	nRecords  = 50_000
	nBulkRows = 20_000
	batchSize = 500
	nDeleted  = batchSize / 10 // of each batch
	nLarge    = 6
)

// collection is where the records are; one more has a marked name.
const collection = "records"

// Records writes and reads records in every way that package engine has, with
// several goroutines.
func (p *Program) Records(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for w := range errs {
		wg.Go(func() {
			for b := w; b < nRecords/batchSize && errs[w] == nil; b += len(errs) {
				if errs[w] = p.batch(b); errs[w] == nil && b%5 == 0 {
					errs[w] = p.read(b)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, p.large(), p.bulk(ctx), p.walk(), p.whole(ctx))...)
}

// batch writes one transaction, with a part that is undone and one that is
// deleted again.
func (p *Program) batch(b int) error {
	return p.Engine.Update(func(tx *engine.Tx) error {
		c, err := tx.CreateCollectionIfNotExists(collection)
		if err != nil {
			return err
		}
		for i := range batchSize {
			n := b*batchSize + i
			if err := c.Put(p.Marks.Key(KVKey, n), p.Marks.Bytes(KVValue, n)); err != nil {
				return err
			}
		}
		sp := tx.Savepoint()
		for i := range 50 {
			if err := c.Put(p.Marks.Key(KVKey, nRecords+i), p.Marks.Bytes(KVValue, i)); err != nil {
				return err
			}
		}
		if err := tx.RollbackTo(sp); err != nil {
			return err
		}
		for i := range nDeleted {
			if err := c.Delete(p.Marks.Key(KVKey, b*batchSize+i*10)); err != nil {
				return err
			}
		}
		return nil
	})
}

// read looks up what a batch wrote.
func (p *Program) read(b int) error {
	return p.Engine.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		if err != nil {
			return err
		}
		for i := range batchSize {
			n := b*batchSize + i
			v, err := c.Get(p.Marks.Key(KVKey, n))
			switch {
			case errors.Is(err, engine.ErrNotFound) && i%10 == 0:
			case err != nil:
				return err
			case !bytes.Equal(v, p.Marks.Bytes(KVValue, n)):
				return fmt.Errorf("record %d has another value", n)
			}
			if _, err := c.UnsafeGet(p.Marks.Key(KVKey, n)); err != nil && !errors.Is(err, engine.ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

// large writes and reads large values, copied and streamed.
func (p *Program) large() error {
	for i := range nLarge {
		size := 100 << 10
		if i%3 == 2 {
			size = 3 << 20
		}
		err := p.Engine.Update(func(tx *engine.Tx) error {
			c, err := tx.CreateCollectionIfNotExists(string(p.Marks.Append(nil, Collection)))
			if err != nil {
				return err
			}
			v := p.Marks.Large(LargeValue, size)
			if i%2 == 0 {
				return c.Put(fmt.Appendf(nil, "large %d", i), v)
			}
			return c.PutReader(fmt.Appendf(nil, "large %d", i), int64(size), bytes.NewReader(v))
		})
		if err != nil {
			return err
		}
	}
	return p.Engine.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(string(p.Marks.Append(nil, Collection)))
		if err != nil {
			return err
		}
		for i := range nLarge {
			key := fmt.Appendf(nil, "large %d", i)
			v, err := c.Get(key)
			if err != nil {
				return err
			}
			r, err := c.GetReader(key)
			if err != nil {
				return err
			}
			streamed, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(v, streamed) {
				return errors.Join(errors.New("a streamed value differs"), err)
			}
		}
		return nil
	})
}

func (p *Program) bulk(ctx context.Context) error {
	_, err := p.Engine.Bulk(ctx, "bulk", func(yield func(k, v []byte) bool) {
		for n := range nBulkRows {
			if !yield(p.Marks.Key(BulkRow, n), p.Marks.Large(BulkRow, 60)) {
				return
			}
		}
	})
	return err
}

// walk goes through all records both ways and returns an error unless they are
// what batch has written.
func (p *Program) walk() error {
	return p.Engine.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		if err != nil {
			return err
		}
		cur := c.Cursor(nil, nil)
		forth, back := 0, 0
		for cur.Next() {
			forth++
			if !bytes.HasPrefix(cur.Value(), p.Marks.Append(nil, KVValue)) || len(cur.Key()) != MarkSize+8 {
				return errors.New("a record has another value")
			}
		}
		for cur.Prev() {
			if back++; !bytes.HasPrefix(cur.UnsafeKey(), p.Marks.Append(nil, KVKey)) {
				return errors.New("a record has another key")
			}
		}
		for i := range 100 {
			cur.Seek(p.Marks.Key(KVKey, i*400+1))
		}
		if want := nRecords - nRecords/batchSize*nDeleted; forth != want || back != want {
			return fmt.Errorf("%d records forth and %d back, not %d", forth, back, want)
		}
		return errors.Join(cur.Err(), cur.Close())
	})
}

// whole runs what works on the database as a whole.
func (p *Program) whole(ctx context.Context) error {
	return errors.Join(p.Engine.Compact(ctx), p.Engine.Verify(ctx), p.Engine.Backup(ctx, io.Discard))
}
