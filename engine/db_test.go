package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestCreateWriteReopen(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "orders.byok"), newFakeKey("k1")
	db := openTest(t, dir, key, nil)
	put(t, db, "orders", "a", "1")
	put(t, db, "orders", "b", "2")
	mustGet(t, db, "orders", "a", "1")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir, key, &Options{MustExist: true})
	mustGet(t, db, "orders", "b", "2")
	err := db.View(func(tx *Tx) error {
		c, err := tx.Collection("orders")
		if err != nil {
			return err
		}
		_, err = c.Get([]byte("c"))
		return err
	})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("get of an absent key: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	ctx, key := t.Context(), newFakeKey("k1")
	base := t.TempDir()
	if _, err := Open(ctx, filepath.Join(base, "absent"), key, &Options{MustExist: true}); !errors.Is(err, ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	other := filepath.Join(base, "other")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "letter.txt"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, other, key, nil); !errors.Is(err, ErrNotDatabase) {
		t.Errorf("other: %v", err)
	}
	dir := filepath.Join(base, "db")
	db := openTest(t, dir, key, nil)
	if _, err := Open(ctx, dir, key, nil); !errors.Is(err, ErrInUse) {
		t.Errorf("open twice: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, dir, newFakeKey("k2"), nil); !errors.Is(err, ErrWrongKey) || !strings.Contains(err.Error(), "k1") {
		t.Errorf("wrong key: %v", err)
	}
	if _, err := Open(ctx, dir, key, &Options{MustCreate: true}); !errors.Is(err, ErrExist) {
		t.Errorf("must create: %v", err)
	}
}

func TestTransactionIsolation(t *testing.T) {
	db := openTest(t, t.TempDir(), newFakeKey("k"), nil)
	put(t, db, "c", "x", "old")
	reader, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		if err := c.Put([]byte("x"), []byte("new")); err != nil {
			return err
		}
		v, err := c.Get([]byte("x"))
		if err == nil && string(v) != "new" {
			t.Errorf("own write reads %q", v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := reader.Collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Get([]byte("x")); err != nil || string(v) != "old" {
		t.Errorf("snapshot reads %q, %v", v, err)
	}
	if err := c.Put([]byte("x"), nil); !errors.Is(err, ErrReadOnly) {
		t.Errorf("put in a read-only transaction: %v", err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get([]byte("x")); !errors.Is(err, ErrTxClosed) {
		t.Errorf("get after the end: %v", err)
	}
	mustGet(t, db, "c", "x", "new")
	boom := errors.New("boom")
	if err := db.Update(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if err != nil {
			return err
		}
		if err := c.Delete([]byte("x")); err != nil {
			return err
		}
		return boom
	}); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	mustGet(t, db, "c", "x", "new")
}

func TestSavepoint(t *testing.T) {
	db := openTest(t, t.TempDir(), newFakeKey("k"), nil)
	err := db.Update(func(tx *Tx) error {
		c, err := tx.CreateCollection("c")
		if err != nil {
			return err
		}
		if err := c.Put([]byte("a"), []byte("1")); err != nil {
			return err
		}
		sp := tx.Savepoint()
		for range 2 {
			if err := c.Put([]byte("a"), []byte("2")); err != nil {
				return err
			}
			if _, err := tx.CreateCollection("d"); err != nil {
				return err
			}
			if err := tx.RollbackTo(sp); err != nil {
				return err
			}
			if v, err := c.Get([]byte("a")); err != nil || string(v) != "1" {
				t.Errorf("a = %q, %v", v, err)
			}
			if _, err := tx.Collection("d"); !errors.Is(err, ErrNoCollection) {
				t.Errorf("collection d: %v", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustGet(t, db, "c", "a", "1")
}

func TestConcurrentReadersAndWriters(t *testing.T) {
	db := openTest(t, t.TempDir(), newFakeKey("k"), &Options{MemtableSize: 256 << 10, CacheSize: 1 << 20})
	put(t, db, "c", "sum", "0")
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				err := db.Update(func(tx *Tx) error {
					c, err := tx.Collection("c")
					if err != nil {
						return err
					}
					for j := range 20 {
						if err := c.Put(fmt.Appendf(nil, "w%d-%d-%d", w, i, j), bytes.Repeat([]byte{byte(w)}, 200)); err != nil {
							return err
						}
					}
					return c.Put([]byte("sum"), fmt.Appendf(nil, "%d", i))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				err := db.View(func(tx *Tx) error {
					c, err := tx.Collection("c")
					if err != nil {
						return err
					}
					cur := c.Cursor(nil, nil)
					n := 0
					for cur.Next() {
						n++
					}
					if n%20 != 1 {
						t.Errorf("%d records: a commit is visible in part", n)
					}
					return errors.Join(cur.Err(), cur.Close())
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestMarkerNeverOnDisk looks for a marker in every byte of every file.
func TestMarkerNeverOnDisk(t *testing.T) {
	const marker = "MARKER-7f3a"
	dir := filepath.Join(t.TempDir(), "m.byok")
	db := openTest(t, dir, newFakeKey("k"), &Options{MemtableSize: 64 << 10})
	for i := range 200 {
		put(t, db, marker+"-collection", fmt.Sprint(marker, i), strings.Repeat(marker, 100))
	}
	scan := func(dir string) {
		files := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			files++
			if bytes.Contains(b, []byte("MARKER")) || strings.Contains(path, "MARKER") {
				t.Errorf("the marker is in %s", path)
			}
			return err
		})
		if err != nil || files < 3 {
			t.Fatalf("scanned %d files, %v", files, err)
		}
	}
	scan(crashCopy(t, db, dir))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	scan(dir)
}
