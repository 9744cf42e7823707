package formatreader

import (
	"bytes"
	"context"
	"crypto/sha256"
	stdsql "database/sql"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// Databases that a release wrote are kept for ever and must open for ever, in
// testdata/databases/VERSION: a development key, directories and, beside each,
// the listing that was true when it was made.
var keepVersion = flag.String("keep", "", "make the missing databases of this version, such as v0.1; existing ones are never overwritten")

const keptDir = "../../testdata/databases"

// listing writes what a database holds as lines: its records, and its SQL
// tables as SELECT shows them. Long values are a hash.
func listing(tb testing.TB, db *engine.DB) string {
	tb.Helper()
	var b strings.Builder
	records := listEngine(tb, db)
	for _, name := range sortedKeys(records) {
		fmt.Fprintf(&b, "collection %q\n", name)
		for _, r := range records[name] {
			value := fmt.Sprintf("%q", r.Value)
			if len(r.Value) > 24 {
				sum := sha256.Sum256(r.Value)
				value = fmt.Sprintf("%d bytes, SHA-256 %x…", len(r.Value), sum[:8])
			}
			key := fmt.Sprintf("%q", r.Key)
			if len(r.Key) > 200 {
				key = fmt.Sprintf("%d bytes, SHA-256 %x", len(r.Key), sha256.Sum256(r.Key))
			}
			fmt.Fprintf(&b, "  %s = %s\n", key, value)
		}
	}
	if _, ok := records["sql/schema"]; !ok {
		return b.String()
	}
	sqldb := stdsql.OpenDB(bsql.NewConnector(db))
	defer func() {
		if err := sqldb.Close(); err != nil {
			tb.Error(err)
		}
	}()
	for _, row := range selectAll(tb, sqldb, `select type, name, sql from sqlite_master where name <> 'sqlite_sequence' order by type, name`) {
		fmt.Fprintf(&b, "%s %s: %v\n", row...)
		if row[0] == "index" {
			continue
		}
		var lines []string
		for _, r := range selectAll(tb, sqldb, fmt.Sprintf(`select * from %q`, row[1])) {
			line := "  "
			for _, v := range r {
				if text := fmt.Sprint(v); len(text) > 200 {
					v = fmt.Sprintf("SHA-256 %x", sha256.Sum256([]byte(text)))
				}
				line += fmt.Sprintf(" %T %q", v, fmt.Sprint(v))
			}
			lines = append(lines, line+"\n")
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

func sortedKeys(m map[string][]Record) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestKeptDatabases opens a copy of every database that was ever kept, compares
// every row, verifies it, writes on, and opens and verifies it again.
func TestKeptDatabases(t *testing.T) {
	t.Parallel()
	if *keepVersion != "" {
		keep(t, filepath.Join(keptDir, *keepVersion))
	}
	lists, err := filepath.Glob(filepath.Join(keptDir, "*", "*.list"))
	if err != nil || len(lists) < 5 {
		t.Fatalf("%d databases are kept: %v", len(lists), err)
	}
	for _, list := range lists {
		dir := strings.TrimSuffix(list, ".list")
		version := filepath.Dir(dir)
		t.Run(filepath.Base(version)+"/"+filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			base := t.TempDir()
			copied, key := filepath.Join(base, "kept.byok"), filepath.Join(base, "dev.key")
			writeTree(t, copied, readTree(t, dir))
			for _, sub := range []string{"wal", "runs"} { // git keeps no empty directories
				if err := os.MkdirAll(filepath.Join(copied, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(filepath.Join(version, "dev.key"))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, key, b)
			want, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			state := map[string]engine.State{"paused": engine.Paused, "erased": engine.Erased}[filepath.Base(dir)]
			if info, err := engine.Stat(copied); err != nil || info.State != state {
				t.Errorf("%+v, %v; want state %v", info, err, state)
			}
			openKept(t, copied, key, string(want))
		})
	}
}

func openKept(t *testing.T, dir, key, want string) {
	t.Helper()
	own, err := Open(dir, key)
	if strings.HasPrefix(want, "erased") {
		if _, eerr := tryEngine(dir, key, nil); !errors.Is(eerr, engine.ErrErased) || !errors.Is(err, ErrErased) {
			t.Errorf("engine: %v; this reader: %v", eerr, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	db := openEngine(t, dir, key, nil)
	if got := listing(t, db); got != want {
		t.Errorf("the listing differs:\n%s", firstDifference(got, want))
	}
	compare(t, own, listEngine(t, db))
	if err := db.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	update(t, db, "written on", func(c *engine.Collection) error { return c.Put([]byte("k"), bytes.Repeat([]byte("v"), 5000)) })
	if strings.Contains(want, `"sql/schema"`) {
		execSQL(t, db, `insert into kinds (i, r, t, b) values (77, 7.5, 'later', x'07'); create table more (x); insert into more values (1)`)
	}
	want = listing(t, db)
	if err := errors.Join(db.Verify(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = openEngine(t, dir, key, nil)
	if got := listing(t, db); got != want {
		t.Errorf("after writing on the listing differs:\n%s", firstDifference(got, want))
	}
	if err := errors.Join(db.Verify(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// keep makes those of a version's databases that are missing.
func keep(t *testing.T, dir string) {
	t.Helper()
	base := t.TempDir()
	key, kept := filepath.Join(base, "dev.key"), filepath.Join(dir, "dev.key")
	if b, err := os.ReadFile(kept); err == nil {
		writeFile(t, key, b)
	} else {
		openAndClose(t, filepath.Join(base, "first"), key) // makes it
		b, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, kept, b)
		writeFile(t, filepath.Join(dir, ".gitattributes"), []byte("* -text\n"))
	}
	nMade := 0
	for name, make := range map[string]func(t *testing.T, dir, key string) string{
		"levels": keepLevels, "crashed": keepCrashed, "sql": keepSQL, "paused": keepPaused, "erased": keepErased, "rotating": keepRotating,
	} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			continue // what was kept is never overwritten
		}
		from := filepath.Join(base, name)
		list := make(t, from, key)
		files := readTree(t, from)
		shorten(files)
		writeTree(t, filepath.Join(dir, name), files)
		writeFile(t, filepath.Join(dir, name+".list"), []byte(list))
		nMade++
	}
	if nMade == 0 {
		t.Fatalf("%s holds all of them: what was kept is never overwritten", dir)
	}
}

// closed lists a database and closes it.
func closed(t *testing.T, db *engine.DB) string {
	t.Helper()
	list := listing(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return list
}

// keepLevels: runs on several levels, tombstones, dropped collections, large
// values, a rewrapped DEK.
func keepLevels(t *testing.T, dir, key string) string {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 1))
	o := engine.Options{MemtableSize: 4 << 10, PageSize: 4096}
	db := openEngine(t, dir, key, &o)
	levels := func() (n int) {
		for _, runs := range db.Status().RunsPerLevel {
			if runs > 0 {
				n++
			}
		}
		return n
	}
	for round := 0; round < 30 || round < 300 && levels() < 2; round++ {
		if round == 20 {
			update(t, db, "large", func(c *engine.Collection) error {
				return errors.Join(c.Put([]byte("two chunks"), bytes.Repeat([]byte("compressible "), 25000)),
					c.Put(bytes.Repeat([]byte("k"), 32768), nil), c.Put(nil, []byte("an empty key")))
			})
		}
		update(t, db, []string{"a", "b", "gone"}[round%3], func(c *engine.Collection) error {
			for range 12 {
				k, v := fmt.Appendf(nil, "key %03d", rnd.IntN(400)), make([]byte, rnd.IntN(160))
				for i := range v {
					v[i] = byte(rnd.Uint32())
				}
				if err := errors.Join(c.Put(k, v), c.Delete(fmt.Appendf(nil, "key %03d", rnd.IntN(400)))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := db.Update(func(tx *engine.Tx) error { return tx.DropCollection("gone") }); err != nil {
		t.Fatal(err)
	}
	if err := db.Rewrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	if levels() < 2 {
		t.Errorf("runs per level: %v; want two levels at least", db.Status().RunsPerLevel)
	}
	return closed(t, db)
}

// keepCrashed: nothing but a log, over several openings and so several
// segments, with a dropped collection; not closed, and with a torn last frame.
func keepCrashed(t *testing.T, dir, key string) string {
	t.Helper()
	from := dir + ".open"
	for i := range 3 {
		db := openEngine(t, from, key, nil)
		update(t, db, fmt.Sprintf("c%d", i), func(c *engine.Collection) error { return c.Put([]byte("k"), fmt.Append(nil, i)) })
		update(t, db, "c0", func(c *engine.Collection) error {
			return errors.Join(c.Delete([]byte("k")), c.Put(fmt.Append(nil, i), []byte("v")))
		})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := openEngine(t, from, key, nil)
	if err := db.Update(func(tx *engine.Tx) error { return tx.DropCollection("c1") }); err != nil {
		t.Fatal(err)
	}
	update(t, db, "c", func(c *engine.Collection) error { return c.Put([]byte("k"), []byte("v")) })
	list := listing(t, db)
	update(t, db, "c", func(c *engine.Collection) error { return c.Put([]byte("torn"), []byte("v")) })
	files := readTree(t, copyOpen(t, from))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	newest := ""
	for path := range files {
		if filepath.Ext(path) == ".wal" {
			newest = max(newest, path)
		}
	}
	b := bytes.TrimRight(files[newest], "\x00")
	b[len(b)-20] ^= 1
	files[newest] = b
	shorten(files)
	writeTree(t, dir, files)
	return list
}

// shorten takes most of the zeros off that segments end with before they are closed.
func shorten(files map[string][]byte) {
	for path, b := range files {
		if filepath.Ext(path) == ".wal" {
			b = bytes.TrimRight(b, "\x00")
			files[path] = append(b, make([]byte, 1024)...)
		}
	}
}

// keepSQL: every storage class and collation, keys of every form, constraints,
// indexes of every kind, views, a schema that was altered, pragmas.
func keepSQL(t *testing.T, dir, key string) string {
	t.Helper()
	db := openEngine(t, dir, key, &engine.Options{MemtableSize: 8 << 10})
	sqldb := stdsql.OpenDB(bsql.NewConnector(db))
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := sqldb.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`create table kinds (id integer primary key autoincrement, i int, r real, t text collate nocase, b blob, n numeric, u text unique)`)
	exec(`create index kinds_t on kinds (t desc, i)`)
	exec(`create unique index kinds_r on kinds (r, id)`)
	exec(`create table pairs (x text collate rtrim not null, y int not null, z, primary key (x, y desc)) without rowid`)
	exec(`create index pairs_z on pairs (z collate nocase)`)
	exec(`create table plain (v)`)
	exec(`create table child (id int primary key, kind int references kinds (id) check (kind > 0))`)
	exec(`create view both as select k.id, p.z from kinds k join pairs p on p.y = k.id`)
	for i, v := range []any{
		nil, int64(0), int64(1), int64(-1), int64(math.MaxInt64), int64(math.MinInt64), 0.5, -1e300, math.Inf(1),
		"", "Text", "zero\x00 in it", "größer",
		[]byte{},
		[]byte{0, 0xff, 0},
	} {
		exec(`insert into kinds (i, r, t, b, n, u) values (?, ?, ?, ?, ?, ?)`, i, float64(i)/4, fmt.Sprintf("Text %d", i), []byte{byte(i)}, v, fmt.Sprint(i))
		exec(`insert into pairs values (?, ?, ?)`, strings.Repeat("p", i%3)+" ", i, v)
		exec(`insert into plain values (?)`, v)
	}
	exec(`insert into plain values (?)`, bytes.Repeat([]byte("large "), 1000))
	exec(`insert into child values (1, 2), (3, 4)`)
	exec(`delete from kinds where id = 15`)
	exec(`alter table plain add column late text default 'of old rows'`)
	exec(`insert into plain values (1, 'new')`)
	exec(`alter table child rename to children`)
	exec(`create table dropped (x); insert into dropped values (1); drop table dropped`)
	exec(`pragma user_version = 42`)
	if err := sqldb.Close(); err != nil {
		t.Fatal(err)
	}
	return closed(t, db)
}

// withoutKey makes a database whose key goes away, and waits for a state.
func withoutKey(t *testing.T, dir, key string, policy engine.Policy, state engine.State) (list string) {
	t.Helper()
	reached := make(chan struct{})
	away := dir + ".key"
	b, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, away, b)
	db := openEngine(t, dir, away, &engine.Options{Policy: policy, OnEvent: func(e engine.Event) {
		if e.To == state {
			close(reached)
		}
	}})
	update(t, db, "c", func(c *engine.Collection) error { return c.Put([]byte("k"), []byte("v")) })
	list = listing(t, db)
	if err := os.Remove(away); err != nil {
		t.Fatal(err)
	}
	if err := db.ProbeKey(t.Context()); err == nil {
		t.Error("a key that is away was probed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-reached:
	case <-ctx.Done():
		t.Fatalf("state %v was not reached: %+v", state, db.Status().Key)
	}
	if err := db.Close(); err != nil && !errors.Is(err, engine.ErrErased) {
		t.Fatal(err)
	}
	return list
}

func openAndClose(t *testing.T, dir, key string) {
	t.Helper()
	if err := openEngine(t, dir, key, nil).Close(); err != nil {
		t.Fatal(err)
	}
}

// shortPolicy has the shortest deadline, and else the defaults: what is kept
// must open on a slow machine.
var shortPolicy = engine.Policy{Deadline: time.Second}

// keepRotating: in the middle of a rotation, with files under both DEKs.
func keepRotating(t *testing.T, dir, key string) string {
	t.Helper()
	db := openEngine(t, dir, key, &engine.Options{MemtableSize: 4 << 10, PageSize: 4096})
	for i := range 20 {
		if i == 15 {
			db.PauseRotation()
			if err := db.RotateKey(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		update(t, db, "c", func(c *engine.Collection) error {
			return c.Put(fmt.Appendf(nil, "key %d", i%12), bytes.Repeat([]byte{byte(i)}, 900))
		})
	}
	if st := db.Status().Rotation; !st.Underway || st.Files == 0 {
		t.Errorf("%+v", st)
	}
	return closed(t, db)
}

// keepPaused: closed while it was paused, so that the guard record says so.
func keepPaused(t *testing.T, dir, key string) string {
	t.Helper()
	return withoutKey(t, dir, key, shortPolicy, engine.Paused)
}

// keepErased: a tombstone.
func keepErased(t *testing.T, dir, key string) string {
	t.Helper()
	policy := shortPolicy
	policy.OnDeadline = engine.Erase
	withoutKey(t, dir, key, policy, engine.Erased)
	return "erased\n"
}
