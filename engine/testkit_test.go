package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
)

// fakeKey is a KMS key in memory with a switch.
type fakeKey struct {
	id string

	mu    sync.Mutex
	err   error             // what every call returns
	deks  map[string][]byte // on the heap alone: a search of memory must not find copies on stacks
	calls int

	material  string // the newest; it wraps from now on
	canRewrap bool
	nWrapped  int
}

func newFakeKey(id string) *fakeKey {
	return &fakeKey{id: id, deks: make(map[string][]byte)}
}

func (k *fakeKey) KeyID() string     { return k.id }
func (k *fakeKey) URI() string       { return "fake:" + k.id }
func (k *fakeKey) Development() bool { return true }
func (k *fakeKey) Close() error      { return nil }

// set makes every call fail with a class; ClassNone makes them work again.
func (k *fakeKey) set(class crypt.Class) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = nil
	if class != crypt.ClassNone {
		k.err = &crypt.ProviderError{Class: class, Op: "unwrap", KeyID: k.id, Code: "FakeException", RequestID: "req-1", Detail: "switched off by the test"}
	}
}

func (k *fakeKey) begin() error {
	k.calls++
	return k.err
}

func (k *fakeKey) Check(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.begin()
}

func (k *fakeKey) CurrentMaterial(context.Context) (string, crypt.Receipt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.material, crypt.Receipt{}, k.begin()
}

func (k *fakeKey) Generate(_ context.Context, c crypt.Context) (*crypt.Secret, crypt.Wrapped, crypt.Receipt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.begin(); err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	dek, err := crypt.RandomSecret()
	if err != nil {
		return nil, crypt.Wrapped{}, crypt.Receipt{}, err
	}
	w := k.wrap(c)
	err = dek.Use(func(b []byte) error {
		k.deks[string(w.Bytes)] = bytes.Clone(b)
		return nil
	})
	return dek, w, crypt.Receipt{RequestID: "req-0"}, err
}

func (k *fakeKey) Unwrap(_ context.Context, w crypt.Wrapped, _ crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.begin(); err != nil {
		return nil, crypt.Receipt{}, err
	}
	b, ok := k.deks[string(w.Bytes)]
	if !ok {
		return nil, crypt.Receipt{}, &crypt.ProviderError{Class: crypt.ClassTampered, Op: "unwrap", KeyID: k.id, Err: errors.New("unknown ciphertext")}
	}
	dek, err := crypt.NewSecret(bytes.Clone(b)) // which it wipes
	return dek, crypt.Receipt{RequestID: "req-2"}, err
}

// wrap returns a new ciphertext; no two are alike.
func (k *fakeKey) wrap(c crypt.Context) crypt.Wrapped {
	k.nWrapped++
	b := append([]byte("wrapped:"), c.Canonical()...)
	return crypt.Wrapped{Bytes: fmt.Appendf(b, "#%d", k.nWrapped), MaterialID: k.material}
}

func (k *fakeKey) Rewrap(_ context.Context, w crypt.Wrapped, c crypt.Context) (crypt.Wrapped, crypt.Receipt, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.canRewrap {
		return crypt.Wrapped{}, crypt.Receipt{}, crypt.ErrNotSupported
	}
	if err := k.begin(); err != nil {
		return crypt.Wrapped{}, crypt.Receipt{}, err
	}
	next := k.wrap(c)
	k.deks[string(next.Bytes)] = k.deks[string(w.Bytes)]
	return next, crypt.Receipt{RequestID: "req-3", MaterialID: k.material}, nil
}

// openTest opens a database that is verified and closed at the end of the test.
func openTest(tb testing.TB, dir string, key crypt.Provider, o *Options) *DB {
	tb.Helper()
	db, err := Open(tb.Context(), dir, key, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Verify(context.Background()); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrKeyUnavailable) {
			tb.Errorf("Verify: %v", err)
		}
		if err := db.Close(); err != nil && !errors.Is(err, ErrClosed) {
			tb.Errorf("Close: %v", err)
		}
	})
	return db
}

// put writes one record in a transaction of its own.
func put(tb testing.TB, db *DB, collection, key, value string) {
	tb.Helper()
	err := db.Update(func(tx *Tx) error {
		c, err := tx.CreateCollectionIfNotExists(collection)
		if err != nil {
			return err
		}
		return c.Put([]byte(key), []byte(value))
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// putMany puts n entries in one transaction, whose keys are their numbers.
func putMany(tb testing.TB, db *DB, collection string, n int, value func(i int) []byte) {
	tb.Helper()
	err := db.Update(func(tx *Tx) error {
		c, err := tx.CreateCollectionIfNotExists(collection)
		for i := 0; i < n && err == nil; i++ {
			err = c.Put(fmt.Append(nil, i), value(i))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func mustGet(tb testing.TB, db *DB, collection, key, want string) {
	tb.Helper()
	err := db.View(func(tx *Tx) error {
		c, err := tx.Collection(collection)
		if err != nil {
			return err
		}
		v, err := c.Get([]byte(key))
		if err == nil && string(v) != want {
			tb.Errorf("%s/%s = %q, want %q", collection, key, v, want)
		}
		return err
	})
	if err != nil {
		tb.Fatalf("get %s/%s: %v", collection, key, err)
	}
}

// crashCopy copies an open database's directory as a crash of the process
// leaves it: at one moment, as far as the catalog's switches go.
func crashCopy(tb testing.TB, db *DB, dir string) string {
	tb.Helper()
	db.session.manifestMu.Lock()
	defer db.session.manifestMu.Unlock()
	for range 100 {
		to := filepath.Join(tb.TempDir(), "copy.byok")
		err := os.CopyFS(to, os.DirFS(dir))
		if err == nil {
			return to
		}
		if !errors.Is(err, fs.ErrNotExist) { // a run that was replaced went while it was copied
			tb.Fatal(err)
		}
	}
	tb.Fatal("runs go faster than they are copied")
	return ""
}

// memFS returns a file system in memory with a durable directory /data.
func memFS(tb testing.TB) *memfs.FS {
	tb.Helper()
	scratch := tb.TempDir()
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() { // bbolt syncs its file: in memory that is fast
		dir, err := os.MkdirTemp("/dev/shm", "byokdb-test-") //nolint:usetesting // TempDir cannot choose the place
		if err == nil {
			scratch = dir
			tb.Cleanup(func() {
				if err := os.RemoveAll(dir); err != nil {
					tb.Error(err)
				}
			})
		}
	}
	f := memfs.New(scratch)
	if err := errors.Join(f.MkdirAll("/data"), f.SyncDir("/")); err != nil {
		tb.Fatal(err)
	}
	return f
}

// memDir is where tests on a memFS have their database.
const memDir = "/data/m.byok"

// smallOptions make a tree of several levels and many log segments of little
// data, and closing fast.
func smallOptions(f *memfs.FS) *Options {
	return &Options{
		MemtableSize: 16 << 10, CacheSize: 1 << 20, PageSize: 4 << 10,
		fs: f, segmentSize: 64 << 10, scrub: func() error { return nil },
	}
}

// testSeed returns a seed for random tests and prints it; the flag fixes it.
func testSeed(tb testing.TB, fixed uint64) uint64 {
	tb.Helper()
	seed := fixed
	if seed == 0 {
		seed = rand.Uint64()
	}
	tb.Logf("seed %d", seed)
	return seed
}
