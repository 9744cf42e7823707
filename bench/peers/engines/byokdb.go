// Package engines opens byokdb and its key-value peers, each configured as its
// documentation says for many small rows and durable commits.
package engines

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/byokdb/byokdb/bench/peers/work"
	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
)

// All are the engines, byokdb first.
func All() []work.Engine {
	return []work.Engine{
		{Name: "byokdb", Encrypted: true, Open: openByokdb},
		{Name: "bbolt", Open: openBolt},
		{Name: "Pebble", Open: openPebble},
		{Name: "Pebble-AES", Encrypted: true, Open: openPebbleAES},
		{Name: "Badger-AES", Encrypted: true, Open: openBadger},
	}
}

// await returns when busy was false for the time of quiet.
func await(quiet time.Duration, busy func() bool) {
	for since := time.Now(); time.Since(since) < quiet; time.Sleep(min(10*time.Millisecond, quiet)) {
		if busy() {
			since = time.Now()
		}
	}
}

type byokdb struct {
	key crypt.Provider
	db  *engine.DB
}

const collection = "c"

func openByokdb(dir string, o work.Options) (work.Store, error) {
	ctx := context.Background()
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		return nil, err
	}
	db, err := engine.Open(ctx, filepath.Join(dir, "db.byok"), key, &engine.Options{CacheSize: o.Cache})
	if err != nil {
		return nil, errors.Join(err, key.Close())
	}
	s := &byokdb{key, db}
	if o.Quiet {
		return s, nil
	}
	err = db.Update(func(tx *engine.Tx) error {
		_, err := tx.CreateCollectionIfNotExists(collection)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *byokdb) Write(n int, row func(i int) (key, value []byte)) error {
	return s.db.Update(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		for i := 0; i < n && err == nil; i++ {
			err = c.Put(row(i))
		}
		return err
	})
}

func (s *byokdb) Put(key, value []byte, _ bool) error {
	return s.db.Update(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		if err != nil {
			return err
		}
		return c.Put(key, value)
	})
}

func (s *byokdb) Get(key, buf []byte) (value []byte, found bool, err error) {
	err = s.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		if err != nil {
			return err
		}
		value, found, err = getByokdb(c, key, buf)
		return err
	})
	return value, found, err
}

func getByokdb(c *engine.Collection, key, buf []byte) ([]byte, bool, error) {
	v, err := c.Get(key)
	if errors.Is(err, engine.ErrNotFound) {
		return buf, false, nil
	}
	return append(buf, v...), err == nil, err
}

func (s *byokdb) View(fn func(get func(key, buf []byte) ([]byte, bool, error)) error) error {
	return s.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		if err != nil {
			return err
		}
		return fn(func(key, buf []byte) ([]byte, bool, error) { return getByokdb(c, key, buf) })
	})
}

func (s *byokdb) Walk(from []byte, n int, backwards bool, visit func(key, value []byte)) error {
	return s.db.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(collection)
		if err != nil {
			return err
		}
		cur := c.Cursor(from, nil)
		if backwards {
			cur = c.Cursor(nil, from)
		}
		fn := func(key, value []byte) bool {
			visit(key, value)
			return true
		}
		for n != 0 { // the key is looked at for each stretch
			stretch := 4096
			if n > 0 {
				stretch = min(stretch, n)
				n -= stretch
			}
			if !cur.Walk(stretch, backwards, true, fn) {
				break
			}
		}
		// What was read by then counts once the key is known to be there still.
		return errors.Join(cur.Err(), cur.Close(), tx.Check())
	})
}

func (s *byokdb) Settle(quiet time.Duration) error {
	await(quiet, func() bool {
		st := s.db.Status()
		return st.Flushing > 0 || st.Compacting > 0
	})
	return nil
}

func (s *byokdb) Compact() error { return s.db.Compact(context.Background()) }

func (s *byokdb) Close() error { return errors.Join(s.db.Close(), s.key.Close()) }
