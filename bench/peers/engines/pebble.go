package engines

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/byokdb/byokdb/bench/peers/aesfs"
	"github.com/byokdb/byokdb/bench/peers/work"
)

type pebbleStore struct{ db *pebble.DB }

func openPebble(dir string, o work.Options) (work.Store, error) {
	return openPebbleOn(vfs.Default, filepath.Join(dir, "pebble"), o)
}

// openPebbleAES opens Pebble on files that are encrypted as CockroachDB's are.
func openPebbleAES(dir string, o work.Options) (work.Store, error) {
	key := sha256.Sum256([]byte("a key for measurements"))
	fs, err := aesfs.New(vfs.Default, key[:])
	if err != nil {
		return nil, err
	}
	return openPebbleOn(fs, filepath.Join(dir, "pebble-aes"), o)
}

// openPebbleOn has the settings that CockroachDB gives Pebble, where they are
// not those for many cores and disks.
func openPebbleOn(fs vfs.FS, dir string, o work.Options) (work.Store, error) {
	opts := &pebble.Options{
		FS: fs, Logger: silent{}, CacheSize: o.Cache,
		FormatMajorVersion:    pebble.FormatNewest,
		MemTableSize:          64 << 20,
		L0CompactionThreshold: 2,
		L0StopWritesThreshold: 1000,
		LBaseMaxBytes:         64 << 20,
	}
	for i := range opts.Levels {
		opts.Levels[i].BlockSize = 32 << 10
		opts.Levels[i].IndexBlockSize = 256 << 10
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].FilterType = pebble.TableFilter
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, err
	}
	return &pebbleStore{db}, nil
}

// silent drops what Pebble logs.
type silent struct{}

func (silent) Infof(string, ...any)           {}
func (silent) Errorf(string, ...any)          {}
func (silent) Fatalf(format string, _ ...any) { panic("pebble: " + format) }

func (s *pebbleStore) Write(n int, row func(i int) (key, value []byte)) error {
	b := s.db.NewBatch()
	for i := range n {
		k, v := row(i)
		if err := b.Set(k, v, nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	return errors.Join(b.Commit(pebble.Sync), b.Close())
}

func (s *pebbleStore) Put(key, value []byte, _ bool) error {
	return s.db.Set(key, value, pebble.Sync)
}

func (s *pebbleStore) Get(key, buf []byte) ([]byte, bool, error) { return getPebble(s.db, key, buf) }

func getPebble(r pebble.Reader, key, buf []byte) ([]byte, bool, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return buf, false, nil
	}
	if err != nil {
		return buf, false, err
	}
	buf = append(buf, v...)
	return buf, true, closer.Close()
}

func (s *pebbleStore) View(fn func(get func(key, buf []byte) ([]byte, bool, error)) error) error {
	snap := s.db.NewSnapshot()
	err := fn(func(key, buf []byte) ([]byte, bool, error) { return getPebble(snap, key, buf) })
	return errors.Join(err, snap.Close())
}

func (s *pebbleStore) Walk(from []byte, n int, backwards bool, visit func(key, value []byte)) error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	var ok bool
	step := it.Next
	switch {
	case backwards && from == nil:
		ok, step = it.Last(), it.Prev
	case backwards:
		ok, step = it.SeekLT(from), it.Prev
	case from == nil:
		ok = it.First()
	default:
		ok = it.SeekGE(from)
	}
	for ; n != 0 && ok; ok = step() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		visit(it.Key(), v)
		n--
	}
	return errors.Join(it.Error(), it.Close())
}

func (s *pebbleStore) Settle(quiet time.Duration) error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	await(quiet, func() bool {
		m := s.db.Metrics()
		return m.Flush.NumInProgress > 0 || m.Compact.NumInProgress > 0
	})
	return nil
}

func (s *pebbleStore) Compact() error {
	return s.db.Compact(context.Background(), []byte{0}, bytes.Repeat([]byte{0xff}, work.KeySize+1), true)
}

func (s *pebbleStore) Close() error { return s.db.Close() }
