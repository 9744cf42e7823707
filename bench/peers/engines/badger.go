package engines

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/byokdb/byokdb/bench/peers/work"
)

type badgerStore struct{ db *badger.DB }

// indexCache is what Badger's documentation asks for with encryption, in bytes.
const indexCache = 100 << 20

// openBadger opens Badger with its AES-256-CTR. Its two caches share the budget.
func openBadger(dir string, o work.Options) (work.Store, error) {
	key := sha256.Sum256([]byte("a key for measurements"))
	index := min(indexCache, o.Cache/2)
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "badger")).
		WithEncryptionKey(key[:]).WithIndexCacheSize(index).WithBlockCacheSize(o.Cache - index).
		WithSyncWrites(true).WithLogger(nil).WithMetricsEnabled(false))
	if err != nil {
		return nil, err
	}
	return &badgerStore{db}, nil
}

func (s *badgerStore) Write(n int, row func(i int) (key, value []byte)) error {
	return s.db.Update(func(tx *badger.Txn) error {
		for i := range n { // Badger keeps both slices until the commit
			k, v := row(i)
			b := make([]byte, len(k)+len(v))
			copy(b[copy(b, k):], v)
			if err := tx.Set(b[:len(k):len(k)], b[len(k):]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *badgerStore) Put(key, value []byte, _ bool) error {
	return s.db.Update(func(tx *badger.Txn) error { return tx.Set(key, value) })
}

func (s *badgerStore) Get(key, buf []byte) (value []byte, found bool, err error) {
	err = s.db.View(func(tx *badger.Txn) error {
		value, found, err = getBadger(tx, key, buf)
		return err
	})
	return value, found, err
}

func getBadger(tx *badger.Txn, key, buf []byte) ([]byte, bool, error) {
	item, err := tx.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return buf, false, nil
	}
	if err != nil {
		return buf, false, err
	}
	err = item.Value(func(v []byte) error {
		buf = append(buf, v...)
		return nil
	})
	return buf, err == nil, err
}

func (s *badgerStore) View(fn func(get func(key, buf []byte) ([]byte, bool, error)) error) error {
	return s.db.View(func(tx *badger.Txn) error {
		return fn(func(key, buf []byte) ([]byte, bool, error) { return getBadger(tx, key, buf) })
	})
}

func (s *badgerStore) Walk(from []byte, n int, backwards bool, visit func(key, value []byte)) error {
	return s.db.View(func(tx *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Reverse = backwards
		if n > 0 {
			o.PrefetchSize = min(o.PrefetchSize, n)
		}
		it := tx.NewIterator(o)
		defer it.Close()
		if from == nil {
			it.Rewind()
		} else {
			it.Seek(from)
		}
		if backwards && from != nil && it.Valid() && string(it.Item().Key()) == string(from) {
			it.Next() // Seek is to the last key that is not greater
		}
		for ; n != 0 && it.Valid(); it.Next() {
			item := it.Item()
			err := item.Value(func(v []byte) error {
				visit(item.Key(), v)
				return nil
			})
			if err != nil {
				return err
			}
			n--
		}
		return nil
	})
}

func (s *badgerStore) Settle(quiet time.Duration) error {
	last := ""
	await(quiet, func() bool {
		var shape []byte
		for _, l := range s.db.Levels() {
			shape = append(shape, byte(l.NumTables), byte(l.NumTables>>8), byte(l.Size), byte(l.Size>>8), byte(l.Size>>16))
		}
		changed := string(shape) != last
		last = string(shape)
		return changed
	})
	return nil
}

func (s *badgerStore) Compact() error { return s.db.Flatten(2) }

func (s *badgerStore) Close() error { return s.db.Close() }
