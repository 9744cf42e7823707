package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

// TestModel runs random transactions against a plain map, on a tree of several
// levels, with crashes and reopenings in between.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	key, dir := newFakeKey("k"), filepath.Join(t.TempDir(), "m.byok")
	opts := &Options{MemtableSize: 128 << 10, CacheSize: 1 << 20, PageSize: 4 << 10}
	db := openTest(t, dir, key, opts)
	model := map[string]map[string]string{"a": {}, "b": {}}
	for name := range model {
		put(t, db, name, "first", "x")
		model[name]["first"] = "x"
	}
	rounds := 120
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		name := []string{"a", "b"}[rng.IntN(2)]
		commit := rng.IntN(5) > 0
		next := map[string]string{}
		maps.Copy(next, model[name])
		err := db.Update(func(tx *Tx) error {
			c, err := tx.Collection(name)
			if err != nil {
				return err
			}
			if rng.IntN(40) == 0 {
				if err := tx.DropCollection(name); err != nil {
					return err
				}
				if c, err = tx.CreateCollection(name); err != nil {
					return err
				}
				clear(next)
			}
			for range rng.IntN(800) {
				k := fmt.Sprintf("key-%05d", rng.IntN(4000))
				if rng.IntN(4) == 0 {
					delete(next, k)
					err = c.Delete([]byte(k))
				} else {
					next[k] = strings.Repeat(fmt.Sprint(rng.IntN(1000)), 1+rng.IntN(30))
					err = c.Put([]byte(k), []byte(next[k]))
				}
				if err != nil {
					return err
				}
			}
			if !commit {
				return errors.New("not this one")
			}
			return nil
		})
		if commit {
			if err != nil {
				t.Fatal(err)
			}
			model[name] = next
		}
		switch rng.IntN(12) {
		case 0: // crash: go on with a copy of the files
			dir2 := crashCopy(t, db, dir)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			dir = dir2
			db = openTest(t, dir, key, opts)
		case 1:
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = openTest(t, dir, key, opts)
		}
		if round%10 == 9 {
			checkModel(t, rng, db, model)
		}
	}
	checkModel(t, rng, db, model)
	if st := db.Status(); st.Runs == 0 {
		t.Errorf("no run was written: %+v", st)
	}
}

func checkModel(t *testing.T, rng *rand.Rand, db *DB, model map[string]map[string]string) {
	t.Helper()
	err := db.View(func(tx *Tx) error {
		for name, want := range model {
			c, err := tx.Collection(name)
			if err != nil {
				return err
			}
			keys := make([]string, 0, len(want))
			for k := range want {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			cur := c.Cursor(nil, nil)
			i := 0
			for cur.Next() {
				if i >= len(keys) || string(cur.Key()) != keys[i] || string(cur.Value()) != want[keys[i]] {
					t.Fatalf("%s: record %d of %d is %q", name, i, len(keys), cur.Key())
				}
				i++
			}
			if err := cur.Err(); err != nil || i != len(keys) {
				t.Fatalf("%s: %d of %d records, %v", name, i, len(keys), err)
			}
			for cur.Prev() {
				i--
				if string(cur.Key()) != keys[i] {
					t.Fatalf("%s: backwards, record %d is %q", name, i, cur.Key())
				}
			}
			if err := cur.Close(); err != nil || i != 0 {
				t.Fatalf("%s: backwards %d left, %v", name, i, err)
			}
			walk(t, rng, c, keys)
			for range 50 {
				k := fmt.Sprintf("key-%05d", rng.IntN(4000))
				v, err := c.Get([]byte(k))
				if w, ok := want[k]; ok != (err == nil) || string(v) != w {
					t.Fatalf("%s: get %s = %q, %v; want %q, %t", name, k, v, err, w, ok)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// walk moves a bounded cursor about and compares each place.
func walk(t *testing.T, rng *rand.Rand, c *Collection, keys []string) {
	t.Helper()
	lo, hi := fmt.Sprintf("key-%05d", rng.IntN(2000)), fmt.Sprintf("key-%05d", 2000+rng.IntN(2000))
	var in []string
	for _, k := range keys {
		if k >= lo && k < hi {
			in = append(in, k)
		}
	}
	cur := c.Cursor([]byte(lo), []byte(hi))
	defer func() {
		if err := cur.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	i := -1
	for range 300 {
		var ok bool
		switch rng.IntN(8) {
		case 0:
			k := fmt.Sprintf("key-%05d", rng.IntN(4000))
			ok = cur.Seek([]byte(k))
			i, _ = slices.BinarySearch(in, k)
		case 1, 2, 3:
			if ok = cur.Prev(); i >= 0 {
				i--
			} else if len(in) > 0 && i == -1 && ok { // fresh: Prev goes to the last
				i = len(in) - 1
			}
		default:
			ok = cur.Next()
			if i < len(in) {
				i++
			}
		}
		if ok != (i >= 0 && i < len(in)) {
			t.Fatalf("at %d of %d: %t, %v", i, len(in), ok, cur.Err())
		}
		if ok && string(cur.UnsafeKey()) != in[i] {
			t.Fatalf("at %d: %q, want %q", i, cur.UnsafeKey(), in[i])
		}
	}
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
