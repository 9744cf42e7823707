package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/internal/timebubble"
)

// rowsOf yields records of the given keys, each with a value that names the source.
func rowsOf(source string, keys ...string) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for _, k := range keys {
			if !yield([]byte(k), []byte(source)) {
				return
			}
		}
	}
}

func keysFrom(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("%06d", i))
	}
	return out
}

// list returns the records of a collection as "key=value".
func list(tb testing.TB, tx *Tx, collection string) []string {
	tb.Helper()
	c, err := tx.Collection(collection)
	if errors.Is(err, ErrNoCollection) {
		return nil
	}
	if err != nil {
		tb.Fatal(err)
	}
	cur := c.Cursor(nil, nil)
	var out []string
	for cur.Next() {
		out = append(out, string(cur.Key())+"="+string(cur.Value()))
	}
	if err := cur.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

func mustList(tb testing.TB, db *DB, collection string, want ...string) {
	tb.Helper()
	err := db.View(func(tx *Tx) error {
		if got := list(tb, tx, collection); !slices.Equal(got, want) {
			tb.Errorf("%s holds %d records %.80q, want %d %.80q", collection, len(got), got, len(want), want)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func mustBulk(tb testing.TB, db *DB, collection, source string, keys ...string) BulkReport {
	tb.Helper()
	r, err := db.Bulk(tb.Context(), collection, rowsOf(source, keys...))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// mustRuns checks that the directory holds the files of the tree and no others.
func mustRuns(tb testing.TB, db *DB, dir string) {
	tb.Helper()
	names, err := db.opts.fs.List(filepath.Join(dir, runDir))
	if err != nil {
		tb.Fatal(err)
	}
	if st := db.Status(); len(names) != st.Runs {
		tb.Errorf("%d files for %d runs: %v", len(names), st.Runs, names)
	}
}

func TestBulk(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "b.byok"), newFakeKey("k")
	db := openTest(t, dir, key, nil)
	put(t, db, "other", "x", "y")
	before, err := db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	keys := keysFrom(0, 5000)
	r := mustBulk(t, db, "c", "bulk", keys...)
	if r.Records != 5000 || r.KeyBytes != 30000 || r.ValueBytes != 20000 || r.Runs != 1 || r.RunBytes == 0 || r.Commit != 2 {
		t.Errorf("report %+v", r)
	}
	var want []string
	for _, k := range keys {
		want = append(want, k+"=bulk")
	}
	if st := db.Status(); st.Commit != 2 || st.RunsPerLevel[lastLevel] != 1 {
		t.Errorf("commit %d, runs %v: want it at the last level", st.Commit, st.RunsPerLevel)
	}
	if got := list(t, before, "c"); len(got) != 0 {
		t.Errorf("a view taken before sees %d records", len(got))
	}
	if err := before.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustList(t, db, "c", want...)
	for _, db := range []*DB{db, openTest(t, crashCopy(t, db, dir), key, nil)} { // durable at once
		mustList(t, db, "c", want...)
		put(t, db, "c", "000001", "later")
		changed := slices.Clone(want)
		changed[1] = "000001=later"
		mustList(t, db, "c", changed...)
		mustList(t, db, "other", "x=y")
	}
	if r := mustBulk(t, db, "empty", ""); r.Records != 0 || r.Runs != 0 {
		t.Errorf("an empty load: %+v", r)
	}
	if err := db.View(func(tx *Tx) error {
		_, err := tx.Collection("empty")
		return err
	}); err != nil {
		t.Errorf("an empty load made no collection: %v", err)
	}
}

// TestBulkPrecedence loads over records that are in memtables, in level 0 and
// below, and over which later ones are written.
func TestBulkPrecedence(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "b.byok"), newFakeKey("k")
	db := openTest(t, dir, key, nil)
	mustBulk(t, db, "c", "first", "a", "b", "c", "d", "e")
	early, err := db.NewBulk(t.Context(), "c") // its run has a lower number than the next flush's
	if err != nil {
		t.Fatal(err)
	}
	if err := early.Add([]byte("b"), []byte("early")); err != nil {
		t.Fatal(err)
	}
	put(t, db, "c", "b", "flushed during the load")
	put(t, db, "c", "d", "flushed during the load")
	flush(t, db)
	put(t, db, "c", "e", "in memory during the load")
	for _, k := range []string{"c", "d", "e"} {
		if err := early.Add([]byte(k), []byte("early")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := early.Commit(); err != nil {
		t.Fatal(err)
	}
	want := []string{"a=first", "b=early", "c=early", "d=early", "e=early"}
	mustList(t, db, "c", want...)
	put(t, db, "c", "c", "after")
	want[2] = "c=after"
	mustList(t, db, "c", want...)
	if st := db.Status(); st.RunsPerLevel[0] != 3 {
		t.Errorf("runs %v: want 3 in level 0", st.RunsPerLevel)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openTest(t, dir, key, nil)
	mustList(t, db, "c", want...)
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustList(t, db, "c", want...)
	db.session.stop() // compactions would move what is placed now
	for _, x := range []struct {
		level int
		keys  []string
	}{
		{lastLevel - 1, []string{"a0", "b0"}},
		{lastLevel, []string{"x", "y"}},
		{lastLevel - 2, []string{"a1", "z"}}, // over y
		{lastLevel, []string{"zz"}},
		{lastLevel, []string{"g", "h"}}, // below a1 and z, which reach over it
		{lastLevel - 1, []string{"ea", "ga"}},
		{lastLevel - 3, []string{"a1"}},
		{lastLevel - 4, []string{"a1", "a2"}},
		{lastLevel - 5, []string{"a1", "a2"}},
		{0, []string{"a2", "z"}},
		{lastLevel, []string{"m", "n"}}, // below runs of every level
	} {
		first := append(collectionPrefix(1), x.keys[0]...)
		level, err := db.session.version.levelFor(first, append(collectionPrefix(1), x.keys[1%len(x.keys)]...))
		if level != x.level || err != nil {
			t.Errorf("%v go to level %d, want %d; %v", x.keys, level, x.level, err)
		}
		plant(t, db, 1, uint8(level), x.keys...)
	}
}

func TestBulkRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b.byok")
	db := openTest(t, dir, newFakeKey("k"), nil)
	if _, err := db.NewBulk(t.Context(), ""); !errors.Is(err, ErrCollectionName) {
		t.Errorf("no name: %v", err)
	}
	put(t, db, "c", "k", "v")
	b, err := db.NewBulk(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		key, value string
		want       error
	}{
		{"", "the empty key is the first", nil},
		{"", "", ErrOrder},
		{"b", "", nil},
		{"b", "", ErrOrder},
		{"a", "", ErrOrder},
		{strings.Repeat("c", KeySizeMax), "", nil},
		{strings.Repeat("c", KeySizeMax+1), "", ErrKeyTooLarge},
		{"d", strings.Repeat("v", ValueSizeMax+1), ErrValueTooLarge},
		{"d", "d", nil},
	} {
		if err := b.Add([]byte(x.key), []byte(x.value)); !errors.Is(err, x.want) {
			t.Errorf("key of %d bytes: %v, want %v", len(x.key), err, x.want)
		}
	}
	if r, err := b.Commit(); err != nil || r.Records != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := b.Add([]byte("e"), nil); !errors.Is(err, ErrTxClosed) {
		t.Errorf("Add after Commit: %v", err)
	}
	if _, err := b.Commit(); !errors.Is(err, ErrTxClosed) {
		t.Errorf("Commit again: %v", err)
	}
	b.Abort()
	mustGet(t, db, "c", "d", "d")
	if _, err := db.Bulk(t.Context(), "c", rowsOf("x", "y", "x")); !errors.Is(err, ErrOrder) {
		t.Errorf("Bulk out of order: %v", err)
	}
	mustRuns(t, db, dir)
}

// TestBulkConflicts changes collections under a load.
func TestBulkConflicts(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "b.byok"), newFakeKey("k")
	db := openTest(t, dir, key, nil)
	put(t, db, "old", "k", "v")
	into := func(name string) *Bulk {
		t.Helper()
		b, err := db.NewBulk(t.Context(), name)
		if err == nil {
			err = b.Add([]byte("a"), []byte("bulk"))
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	dropped, made, kept, aborted := into("old"), into("new"), into("kept"), into("aborted")
	put(t, db, "new", "k", "v")
	put(t, db, "beside", "k", "v") // with an id above kept's
	if err := db.Update(func(tx *Tx) error { return tx.DropCollection("old") }); err != nil {
		t.Fatal(err)
	}
	put(t, db, "old", "k", "another")
	if _, err := dropped.Commit(); !errors.Is(err, ErrNoCollection) {
		t.Errorf("into a dropped collection: %v", err)
	}
	if _, err := made.Commit(); !errors.Is(err, ErrCollectionExists) {
		t.Errorf("into a collection that was made: %v", err)
	}
	if _, err := kept.Commit(); err != nil {
		t.Error(err)
	}
	aborted.Abort()
	aborted.Abort()
	if _, err := aborted.Commit(); !errors.Is(err, ErrTxClosed) {
		t.Errorf("Commit after Abort: %v", err)
	}
	check := func(db *DB) {
		t.Helper()
		mustList(t, db, "old", "k=another")
		mustList(t, db, "new", "k=v")
		mustList(t, db, "beside", "k=v")
		mustList(t, db, "kept", "a=bulk")
		if n := db.Status().Collections; n != 4 {
			t.Errorf("%d collections", n)
		}
	}
	check(db)
	mustRuns(t, db, dir)
	check(openTest(t, crashCopy(t, db, dir), key, nil))
	if err := db.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(db)
}

// writeOn writes to collection "c" until the channel is closed.
func writeOn(db *DB, stop <-chan struct{}) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := db.Update(func(tx *Tx) error {
			c, err := tx.Collection("c")
			for j := range 50 {
				if err == nil {
					err = c.Put(fmt.Appendf(nil, "w%07d", (i*7919+j*104729)%1_000_000), make([]byte, 100))
				}
			}
			return err
		}); err != nil {
			return err
		}
	}
}

// TestBulkBesideWriters loads while others write, and while compactions run.
func TestBulkBesideWriters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "b.byok")
	db := openTest(t, dir, newFakeKey("k"), &Options{MemtableSize: 64 << 10, Sync: SyncOff})
	put(t, db, "c", "w", "")
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- writeOn(db, stop) }()
	model := map[string]string{}
	for round := range 8 {
		var keys []string
		for i := range 1500 {
			keys = append(keys, fmt.Sprintf("%s%07d", []string{"b", "w", "x"}[i/500], (i%500)*2000+round))
		}
		mustBulk(t, db, "c", fmt.Sprint(round), keys...)
		for _, k := range keys {
			model[k] = fmt.Sprint(round)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := db.View(func(tx *Tx) error {
		for _, kv := range list(t, tx, "c") {
			k, v, _ := strings.Cut(kv, "=")
			if want, ours := model[k]; ours {
				if n++; v != want && k[0] != 'w' { // those the writer may have replaced
					t.Errorf("%s = %q, want %q", k, v, want)
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(model) || n != 8*1500 {
		t.Errorf("%d records of loads, want %d", n, len(model))
	}
}

// TestBulkWithoutTheKey denies the key in the middle of loads.
func TestBulkWithoutTheKey(t *testing.T) {
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		key := newFakeKey("k")
		db := bubble(t, key, Policy{Deadline: time.Hour}, Options{})
		put(t, db, "c", "k", "v")
		var loads [3]*Bulk
		for i := range loads {
			b, err := db.NewBulk(t.Context(), fmt.Sprintf("load %d", i))
			if err == nil {
				err = b.Add([]byte("a"), []byte("secret"))
			}
			if err != nil {
				t.Fatal(err)
			}
			loads[i] = b
		}
		key.set(crypt.ClassDenied)
		time.Sleep(db.policy.Bound())
		if err := loads[0].Add([]byte("b"), nil); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("Add, suspended: %v", err)
		}
		if _, err := loads[1].Commit(); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("Commit, suspended: %v", err)
		}
		if _, err := db.NewBulk(t.Context(), "c"); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("NewBulk, suspended: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if err := loads[2].Add([]byte("b"), nil); !errors.Is(err, ErrKeyUnavailable) {
			t.Errorf("Add, paused: %v", err)
		}
		names, err := db.opts.fs.List(filepath.Join(db.dir, runDir))
		if err != nil || len(names) != 0 {
			t.Errorf("files %v are left, %v", names, err)
		}
		key.set(crypt.ClassNone)
		time.Sleep(time.Minute)
		for i, b := range loads {
			if err := b.Add([]byte("c"), nil); !errors.Is(err, ErrKeyUnavailable) {
				t.Errorf("load %d goes on: %v", i, err)
			}
		}
		mustList(t, db, "c", "k=v")
		if n := db.Status().Collections; n != 1 {
			t.Errorf("%d collections", n)
		}
		mustBulk(t, db, "after", "s", "a")
	})
}

// TestBulkEnds ends loads by their context and by Close.
func TestBulkEnds(t *testing.T) {
	dir, key := filepath.Join(t.TempDir(), "b.byok"), newFakeKey("k")
	db := openTest(t, dir, key, nil)
	ctx, cancel := context.WithCancel(t.Context())
	b, err := db.NewBulk(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := db.NewBulk(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*Bulk{b, other} {
		if err := x.Add([]byte("k"), nil); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if _, err := b.Commit(); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit after its context's end: %v", err)
	}
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := db.NewBulk(ctx, "waits for the writer"); !errors.Is(err, context.Canceled) {
		t.Errorf("NewBulk while a transaction is open: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := other.Add([]byte("l"), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	if _, err := other.Commit(); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit after Close: %v", err)
	}
	names, err := db.opts.fs.List(filepath.Join(dir, runDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(names) != 0 {
		t.Errorf("files %v are left, %v", names, err)
	}
}

// BenchmarkIngest loads sorted rows of 16 B + 100 B, half of which compresses: as
// one bulk load, and in durable batches of 1000. An iteration loads a million.
func BenchmarkIngest(b *testing.B) {
	const n, batch = 1_000_000, 1000
	value := make([]byte, 100)
	rnd := rand.New(rand.NewPCG(1, 2))
	key := make([]byte, 16)
	row := func(i int) ([]byte, []byte) {
		binary.BigEndian.PutUint64(key[8:], uint64(i))
		for j := 0; j < 48; j += 8 {
			binary.LittleEndian.PutUint64(value[j:], rnd.Uint64())
		}
		return key, value
	}
	for name, load := range map[string]func(db *DB) error{
		"bulk": func(db *DB) error {
			_, err := db.Bulk(b.Context(), "c", func(yield func(k, v []byte) bool) {
				for i := range n {
					if !yield(row(i)) {
						return
					}
				}
			})
			return err
		},
		"update": func(db *DB) error {
			for i := 0; i < n; i += batch {
				if err := db.Update(func(tx *Tx) error {
					c, err := tx.CreateCollectionIfNotExists("c")
					for j := range batch {
						if err == nil {
							err = c.Put(row(i + j))
						}
					}
					return err
				}); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			nLoads := 0
			for b.Loop() {
				b.StopTimer()
				nLoads++
				dir := filepath.Join(b.TempDir(), fmt.Sprint(nLoads))
				db, err := Open(b.Context(), dir, newFakeKey("k"), nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := load(db); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
