package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/engine/internal/memtable"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// await waits until cond holds of the session; it is asked after every change.
func await(tb testing.TB, db *DB, cond func(s *session) bool) {
	tb.Helper()
	s := db.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for !cond(s) {
		if s.failed != nil || s.ctx.Err() != nil {
			tb.Fatalf("the session ended: %v", s.failed)
		}
		s.changed.Wait()
	}
}

// flush moves what is in memory to runs.
func flush(tb testing.TB, db *DB) {
	tb.Helper()
	if err := db.acquireWriter(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	err := db.session.freeze()
	db.releaseWriter()
	if err != nil {
		tb.Fatal(err)
	}
	await(tb, db, func(s *session) bool { return len(s.frozen) == 0 })
}

// patterned is a reader of size bytes that can be told from any others.
type patterned struct{ off, size int64 }

func (r *patterned) Read(p []byte) (int, error) {
	if r.off >= r.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), r.size-r.off))
	for i := range n {
		at := uint64(r.off + int64(i))
		p[i] = byte(at ^ at>>8 ^ at>>16*31)
	}
	r.off += int64(n)
	return n, nil
}

// checkPattern compares what a reader holds with a patterned one's bytes.
func checkPattern(tb testing.TB, r *ValueReader, size int64) {
	tb.Helper()
	want := &patterned{size: size}
	got, ref := make([]byte, valueChunk), make([]byte, valueChunk)
	var off int64
	for {
		n, err := r.Read(got)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatalf("at %d of %d: %v", off, size, err)
		}
		if m, err := io.ReadFull(want, ref[:n]); err != nil || !bytes.Equal(got[:n], ref[:m]) {
			tb.Fatalf("bytes from %d on differ", off)
		}
		off += int64(n)
	}
	if off != size || r.Size() != size {
		tb.Fatalf("%d bytes read, Size says %d, want %d", off, r.Size(), size)
	}
}

// in runs fn in a transaction on collection "c", which is made when absent.
func in(tb testing.TB, db *DB, writable bool, fn func(c *Collection)) {
	tb.Helper()
	run := db.View
	if writable {
		run = db.Update
	}
	if err := run(func(tx *Tx) error {
		c, err := tx.Collection("c")
		if writable && errors.Is(err, ErrNoCollection) {
			c, err = tx.CreateCollection("c")
		}
		if err == nil {
			fn(c)
		}
		return err
	}); err != nil {
		tb.Fatal(err)
	}
}

func putPattern(tb testing.TB, c *Collection, key string, size int64) {
	tb.Helper()
	if err := c.PutReader([]byte(key), size, &patterned{size: size}); err != nil {
		tb.Fatal(err)
	}
}

// TestValueStreams writes values from readers and reads them in every way, where
// they are in the transaction, in a memtable, in runs and in merged runs.
func TestValueStreams(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "v.byok"), newFakeKey("k"), nil)
	sizes := []int64{0, 1, 4 << 10, 4<<10 + 1, valueChunk - 1, valueChunk, valueChunk + 1, 1 << 20, 5*valueChunk + 3}
	key := func(i int) string { return fmt.Sprintf("key %02d", i) }
	check := func(c *Collection) {
		t.Helper()
		cur := c.Cursor(nil, nil)
		for i, size := range sizes {
			want, err := io.ReadAll(&patterned{size: size})
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.GetReader([]byte(key(i)))
			if err != nil {
				t.Fatal(err)
			}
			if err := iotest.TestReader(r, want); err != nil {
				t.Errorf("GetReader, %d bytes: %v", size, err)
			}
			v, err := c.Get([]byte(key(i)))
			if err != nil || !bytes.Equal(v, want) {
				t.Errorf("Get: %d bytes of %d, %v", len(v), size, err)
			}
			if !cur.Next() || string(cur.Key()) != key(i) || !bytes.Equal(cur.Value(), want) {
				t.Errorf("the cursor differs at %d: %v", i, cur.Err())
			}
			cr, err := cur.ValueReader()
			if err != nil {
				t.Fatal(err)
			}
			defer checkPattern(t, cr, size) // when the cursor has moved on
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
				t.Errorf("read after Close: %v", err)
			}
		}
		if cur.Next() || cur.Err() != nil {
			t.Errorf("more records, or %v", cur.Err())
		}
		if _, err := cur.ValueReader(); !errors.Is(err, ErrNotFound) {
			t.Errorf("a reader behind the last record: %v", err)
		}
	}
	in(t, db, true, func(c *Collection) {
		for i, size := range sizes {
			putPattern(t, c, key(i), size)
		}
		check(c)
	})
	in(t, db, false, check)
	flush(t, db)
	in(t, db, false, check)
	in(t, db, true, func(c *Collection) { putPattern(t, c, key(7), sizes[7]) })
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := db.Status(); st.RunsPerLevel[lastLevel] != st.Runs {
		t.Errorf("runs %v: want all in the last level", st.RunsPerLevel)
	}
	in(t, db, false, check)
	if n := db.cache.Stats().Overflow; n != 0 {
		t.Errorf("%d bytes of readers are left", n)
	}
}

// TestPutReaderRefuses checks that a reader that does not hold what was said
// leaves nothing in the transaction.
func TestPutReaderRefuses(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "v.byok"), newFakeKey("k"), nil)
	boom := errors.New("boom")
	const size = 3 * valueChunk
	in(t, db, true, func(c *Collection) {
		putPattern(t, c, "k", 10)
		before := c.tx.writes.Len()
		for name, x := range map[string]struct {
			size int64
			r    io.Reader
			want error
		}{
			"short":         {size, &patterned{size: size - 1}, ErrValueSize},
			"empty":         {1, strings.NewReader(""), ErrValueSize},
			"long":          {size, &patterned{size: size + 1}, ErrValueSize},
			"long by much":  {0, strings.NewReader("something"), ErrValueSize},
			"failing":       {size, io.MultiReader(&patterned{size: valueChunk}, iotest.ErrReader(boom)), boom},
			"fails behind":  {10, io.MultiReader(&patterned{size: 10}, iotest.ErrReader(boom)), boom},
			"stuck":         {size, stuck{}, io.ErrNoProgress},
			"negative":      {-1, strings.NewReader(""), ErrValueSize},
			"too large":     {ValueSizeMax + 1, strings.NewReader(""), ErrValueTooLarge},
			"impossible":    {size, impossible{}, nil},
			"one too large": {TxSizeMax, strings.NewReader(""), ErrValueTooLarge},
		} {
			err := c.PutReader([]byte("k"), x.size, x.r)
			if err == nil || x.want != nil && !errors.Is(err, x.want) {
				t.Errorf("%s: %v, want %v", name, err, x.want)
			}
		}
		if err := c.PutReader(make([]byte, KeySizeMax+1), 0, strings.NewReader("")); !errors.Is(err, ErrKeyTooLarge) {
			t.Errorf("a key that is too large: %v", err)
		}
		if n := c.tx.writes.Len(); n != before {
			t.Errorf("%d writes, want %d", n, before)
		}
		r, err := c.GetReader([]byte("k"))
		if err != nil {
			t.Fatal(err)
		}
		checkPattern(t, r, 10)
	})
	in(t, db, false, func(c *Collection) {
		if err := c.PutReader([]byte("k"), 0, strings.NewReader("")); !errors.Is(err, ErrReadOnly) {
			t.Errorf("a read-only transaction: %v", err)
		}
	})
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

type impossible struct{}

func (impossible) Read(p []byte) (int, error) { return len(p) + 1, nil }

// readerFunc is a reader that is its Read.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestPutReaderUsesTransaction copies a value with a reader of the same
// transaction, which also writes meanwhile.
func TestPutReaderUsesTransaction(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "v.byok"), newFakeKey("k"), nil)
	const size = 2<<20 + 5
	in(t, db, true, func(c *Collection) { putPattern(t, c, "from", size) })
	flush(t, db)
	in(t, db, true, func(c *Collection) {
		src, err := c.GetReader([]byte("from"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = c.PutReader([]byte("to"), size, readerFunc(func(p []byte) (int, error) {
			n++
			if err := c.Put(fmt.Appendf(nil, "beside %d", n), []byte("x")); err != nil {
				return 0, err
			}
			return src.Read(p)
		}))
		if err != nil || n < 5 {
			t.Fatalf("%v after %d reads", err, n)
		}
	})
	in(t, db, false, func(c *Collection) {
		r, err := c.GetReader([]byte("to"))
		if err != nil {
			t.Fatal(err)
		}
		checkPattern(t, r, size)
		if _, err := c.Get([]byte("beside 5")); err != nil {
			t.Error(err)
		}
	})
}

// TestPutReaderTransactionEnds ends the transaction while a value is read into it.
func TestPutReaderTransactionEnds(t *testing.T) {
	db := openTest(t, filepath.Join(t.TempDir(), "v.byok"), newFakeKey("k"), nil)
	for name, end := range map[string]func(tx *Tx) error{"Rollback": (*Tx).Rollback, "Commit": (*Tx).Commit} {
		t.Run(name, func(t *testing.T) {
			tx, err := db.Begin(true)
			if err != nil {
				t.Fatal(err)
			}
			c, err := tx.CreateCollection(name)
			if err != nil {
				t.Fatal(err)
			}
			src := &patterned{size: 4 << 20}
			err = c.PutReader([]byte("k"), src.size, readerFunc(func(p []byte) (int, error) {
				if src.off > 2<<20 && tx.Check() == nil {
					if err := end(tx); err != nil {
						t.Error(err)
					}
					put(t, db, "other", "k", "the memory is used again")
				}
				return src.Read(p)
			}))
			if !errors.Is(err, ErrTxClosed) {
				t.Errorf("PutReader: %v", err)
			}
		})
	}
}

// TestValueReaderWithoutTheKey denies the key under readers: they refuse, go on
// when it is back, and end with the wipe.
func TestValueReaderWithoutTheKey(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{Deadline: time.Hour}, Options{})
		const size = 2 << 20
		in(t, db, true, func(c *Collection) { putPattern(t, c, "run", size) })
		flush(t, db)
		in(t, db, true, func(c *Collection) { putPattern(t, c, "memory", size) })
		tx, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		c, err := tx.Collection("c")
		if err != nil {
			t.Fatal(err)
		}
		putPattern(t, c, "own", size)
		readers := map[string]*ValueReader{}
		for _, k := range []string{"run", "memory", "own"} {
			r, err := c.GetReader([]byte(k))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := r.Read(make([]byte, 1000)); n != 1000 || err != nil {
				t.Fatalf("%s: %d bytes, %v", k, n, err)
			}
			readers[k] = r
		}
		key.set(crypt.ClassDenied)
		time.Sleep(db.policy.Bound())
		for k, r := range readers {
			if n, err := r.Read(make([]byte, 1000)); n != 0 || !errors.Is(err, ErrKeyUnavailable) {
				t.Errorf("%s, suspended: %d bytes, %v", k, n, err)
			}
		}
		if err := c.PutReader([]byte("late"), 1, strings.NewReader("x")); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("PutReader, suspended: %v", err)
		}
		key.set(crypt.ClassNone)
		time.Sleep(time.Minute)
		for k, r := range readers {
			if n, err := r.Read(make([]byte, 1000)); n != 1000 || err != nil {
				t.Errorf("%s, back: %d bytes, %v", k, n, err)
			}
		}
		src := &patterned{size: size}
		err = c.PutReader([]byte("half"), size, readerFunc(func(p []byte) (int, error) {
			if src.off > size/2 {
				key.set(crypt.ClassDenied)
				time.Sleep(2 * time.Hour) // wiped meanwhile
			}
			return src.Read(p)
		}))
		if !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("PutReader through a wipe: %v", err)
		}
		for k, r := range readers {
			p := make([]byte, 1000)
			if n, err := r.Read(p); n != 0 || !errors.Is(err, ErrKeyUnavailable) || len(bytes.Trim(p, "\x00")) > 0 {
				t.Errorf("%s, paused: %d bytes, %v", k, n, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if n := db.cache.Stats().Bytes; n != 0 {
			t.Errorf("%d bytes of pages and values are left", n)
		}
	})
}

// TestLargeValuesCommitTogether has committers of large values share groups.
func TestLargeValuesCommitTogether(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "v.byok"), newFakeKey("k")
	db := openTest(t, dir, key, nil)
	in(t, db, true, func(*Collection) {})
	const n = 24
	errs := make(chan error, n)
	size := func(i int) int64 { return int64(i) * 100_003 }
	for i := range n {
		go func() {
			errs <- db.Update(func(tx *Tx) error {
				c, err := tx.Collection("c")
				if err != nil {
					return err
				}
				for _, k := range []string{"a", "b", "c"} {
					if err := c.PutReader(fmt.Appendf(nil, "%s %d", k, i), size(i), &patterned{size: size(i)}); err != nil {
						return err
					}
					if err := c.Put(fmt.Appendf(nil, "%s %d small", k, i), []byte(k)); err != nil {
						return err
					}
				}
				return c.Delete([]byte("nothing"))
			})
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	copied := crashCopy(t, db, dir) // so that all comes from the log
	for _, db := range []*DB{db, openTest(t, copied, key, nil)} {
		in(t, db, false, func(c *Collection) {
			for i := range n {
				for _, k := range []string{"a", "b", "c"} {
					r, err := c.GetReader(fmt.Appendf(nil, "%s %d", k, i))
					if err != nil {
						t.Fatal(err)
					}
					checkPattern(t, r, size(i))
				}
			}
		})
	}
}

// TestEncoded compares a batch whose large values stay where they are with what
// its parts say when they are read in one piece.
func TestEncoded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var g group
	var want []string
	for n := range 150 {
		b := beginBatch(nil, uint64(n+1))
		for i := range 1 + rnd.IntN(5) {
			key := fmt.Appendf(nil, "key %d", i)
			switch rnd.IntN(5) {
			case 0:
				b.op(opDelete, 7, key)
			case 1:
				b.op(opCreate, uint32(n), key)
			case 2:
				b.op(opDrop, uint32(n), nil)
			default:
				v := make([]byte, []int{0, 1, largeValueMin - 1, largeValueMin, 600 << 10}[rnd.IntN(5)])
				for j := range v {
					v[j] = byte(rnd.Uint32())
				}
				b.op(opPut, 7, key)
				b.value(v)
			}
		}
		b.endBatch()
		var l opList
		if err := b.apply(&l); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("commit %d", n+1))
		want = append(want, l...)
		g = g.add(&b)
	}
	var got []string
	for i := range g {
		payload := bytes.Join(g[i].parts(nil), nil)
		if int64(len(payload)) != g[i].size {
			t.Errorf("payload %d has %d bytes, its size says %d", i, len(payload), g[i].size)
		}
		if err := batches(payload, func(commit uint64, ops []byte) error {
			got = append(got, fmt.Sprintf("commit %d", commit))
			return applyOps(ops, (*opList)(&got))
		}); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Error("the parts say something else")
	}
	if len(g) < 2 {
		t.Errorf("%d payloads: nothing was split", len(g))
	}
}

// opList notes operations.
type opList []string

func (l *opList) set(key []byte, kind memtable.Kind, value []byte) error {
	*l = append(*l, fmt.Sprintf("set %x %d %x", key, kind, value))
	return nil
}

func (l *opList) create(id uint32, name string) error {
	*l = append(*l, fmt.Sprintf("create %d %s", id, name))
	return nil
}

func (l *opList) drop(id uint32) error {
	*l = append(*l, fmt.Sprintf("drop %d", id))
	return nil
}
