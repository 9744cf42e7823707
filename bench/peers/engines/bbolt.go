package engines

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/byokdb/byokdb/bench/peers/work"
)

type boltStore struct{ db *bbolt.DB }

var bucket = []byte(collection)

// openBolt opens bbolt as etcd does: the free list as a map, and written to the
// file only where opening matters more than writing. The cache is the system's.
func openBolt(dir string, o work.Options) (work.Store, error) {
	db, err := bbolt.Open(filepath.Join(dir, "db.bolt"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: !o.Quiet,
	})
	if err != nil {
		return nil, err
	}
	// Batch waits until so many callers are there, or 10 ms.
	db.MaxBatchSize = work.Writers
	if !o.Quiet {
		err = db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucket)
			return err
		})
	}
	return &boltStore{db}, err
}

func (s *boltStore) Write(n int, row func(i int) (key, value []byte)) error {
	return s.db.Update(func(tx *bbolt.Tx) (err error) {
		b := tx.Bucket(bucket)
		for i := 0; i < n && err == nil; i++ {
			k, v := row(i)
			// bbolt keeps the value's slice until the commit; keys are copied.
			err = b.Put(k, append(make([]byte, 0, len(v)), v...))
		}
		return err
	})
}

func (s *boltStore) Put(key, value []byte, together bool) error {
	do := s.db.Update
	if together {
		do = s.db.Batch
	}
	return do(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
}

func (s *boltStore) Get(key, buf []byte) (value []byte, found bool, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucket).Get(key)
		value, found = append(buf, v...), v != nil
		return nil
	})
	return value, found, err
}

func (s *boltStore) View(fn func(get func(key, buf []byte) ([]byte, bool, error)) error) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		return fn(func(key, buf []byte) ([]byte, bool, error) {
			v := b.Get(key)
			return append(buf, v...), v != nil, nil
		})
	})
}

func (s *boltStore) Walk(from []byte, n int, backwards bool, visit func(key, value []byte)) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		cur := tx.Bucket(bucket).Cursor()
		k, v, step := boltStart(cur, from, backwards)
		for ; n != 0 && k != nil; k, v = step() {
			visit(k, v)
			n--
		}
		return nil
	})
}

func boltStart(cur *bbolt.Cursor, from []byte, backwards bool) (k, v []byte, step func() ([]byte, []byte)) {
	switch {
	case !backwards && from == nil:
		k, v = cur.First()
		return k, v, cur.Next
	case !backwards:
		k, v = cur.Seek(from)
		return k, v, cur.Next
	case from == nil:
		k, v = cur.Last()
		return k, v, cur.Prev
	}
	if k, _ = cur.Seek(from); k == nil {
		k, v = cur.Last()
	} else {
		k, v = cur.Prev()
	}
	return k, v, cur.Prev
}

// Compact copies the database, as the bbolt command does, and takes the place of
// the file.
func (s *boltStore) Compact() error {
	path := s.db.Path()
	to, err := bbolt.Open(path+".new", 0o600, nil)
	if err != nil {
		return err
	}
	err = bbolt.Compact(to, s.db, 1<<20)
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s *boltStore) Settle(time.Duration) error { return nil }
func (s *boltStore) Close() error               { return s.db.Close() }
