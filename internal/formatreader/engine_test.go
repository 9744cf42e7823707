package formatreader

import (
	"archive/tar"
	"bytes"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// TestListsWhatTheEngineLists makes databases with every feature of the
// storage format and compares the two readers: after a close, of a crash
// copy, and again after the engine has opened that. Which source of a key is
// the newest (C19) decides nearly every record of it.
func TestListsWhatTheEngineLists(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	for _, o := range []engine.Options{
		{MemtableSize: 64 << 10, PageSize: 4096},
		{MemtableSize: 96 << 10},
		{MemtableSize: 64 << 20, PageSize: 65536}, // all in the log
		{MemtableSize: 64 << 10, PageSize: 4096, Sync: engine.SyncOff},
	} {
		t.Run(fmt.Sprintf("memtable %d page %d sync %d", o.MemtableSize, o.PageSize, o.Sync), func(t *testing.T) {
			base := t.TempDir()
			dir, key := filepath.Join(base, "d.byok"), filepath.Join(base, "dev.key")
			db := openEngine(t, dir, key, &o)
			load(t, db, rand.New(rand.NewPCG(seed, 0)))
			want := listEngine(t, db)
			levels := db.Status().RunsPerLevel
			deep := 0
			for _, n := range levels[1:] {
				deep += n
			}
			if o.MemtableSize < 1<<20 && deep == 0 {
				t.Errorf("nothing was compacted: runs per level %v", levels)
			}
			crashed, backup := copyOpen(t, dir), unpacked(t, db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			for _, d := range []string{dir, crashed, backup} {
				check(t, d, key, want)
			}
			db = openEngine(t, crashed, key, &o)
			update(t, db, "a", func(c *engine.Collection) error { return c.Put([]byte("after"), []byte("the crash")) })
			want = listEngine(t, db)
			if err := errors.Join(db.Verify(t.Context()), db.Close()); err != nil {
				t.Fatal(err)
			}
			check(t, crashed, key, want)
			db = openEngine(t, crashed, key, &o)
			update(t, db, "streamed", func(c *engine.Collection) error {
				return c.PutReader([]byte("k"), 1<<20, bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 1<<16)))
			})
			want = listEngine(t, db)
			if err := errors.Join(db.Compact(t.Context()), db.Close()); err != nil {
				t.Fatal(err)
			}
			check(t, crashed, key, want)
		})
	}
}

// unpacked takes a backup and unpacks it: what comes out is a database (§8).
func unpacked(t *testing.T, db *engine.DB) string {
	t.Helper()
	var stream bytes.Buffer
	if err := db.Backup(t.Context(), &stream); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "unpacked.byok")
	for r := tar.NewReader(&stream); ; {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, filepath.FromSlash(entry.Name)), b)
	}
}

func check(t *testing.T, dir, key string, want map[string][]Record) {
	t.Helper()
	got, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	if n := compare(t, got, want); n < 1000 {
		t.Errorf("only %d records were compared", n)
	}
}

// load writes, changes, deletes and drops, in many small transactions.
func load(t *testing.T, db *engine.DB, rnd *rand.Rand) {
	t.Helper()
	var loads []*engine.Bulk
	for round := range 40 {
		if round == 10 {
			loads = append(loads, beginBulk(t, db, "b"), beginBulk(t, db, "loaded"))
		}
		if round >= 30 && len(loads) > 0 { // over what was flushed meanwhile
			if _, err := loads[0].Commit(); err != nil {
				t.Fatal(err)
			}
			loads = loads[1:]
		}
		name := string(rune('a' + round%4))
		update(t, db, name, func(c *engine.Collection) error {
			for range 100 {
				key := fmt.Appendf(nil, "key %06d", rnd.IntN(2000))
				if rnd.IntN(4) == 0 {
					if err := c.Delete(key); err != nil {
						return err
					}
					continue
				}
				value := bytes.Repeat([]byte{byte(rnd.Uint32())}, rnd.IntN(200))
				if rnd.IntN(2) == 0 { // that does not compress
					for i := range value {
						value[i] = byte(rnd.Uint32())
					}
				}
				if err := c.Put(key, value); err != nil {
					return err
				}
			}
			return nil
		})
		if round == 20 {
			err := db.Update(func(tx *engine.Tx) error { return tx.DropCollection("d") })
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	update(t, db, "a", func(c *engine.Collection) error {
		for _, n := range []int{1023, 1024, 1025, 4096, 16384, 16385, 262143, 262144, 262145, 3 << 18} {
			value := make([]byte, n)
			for i := range value {
				value[i] = byte(rnd.Uint32())
			}
			if err := c.Put(fmt.Appendf(nil, "large %d", n), value); err != nil {
				return err
			}
		}
		return errors.Join(c.Put(nil, nil), c.Put([]byte{0}, []byte("zero")),
			c.Put(bytes.Repeat([]byte{'k'}, 32768), []byte("the longest key")), c.Put([]byte(strings.Repeat("z", 300)), nil))
	})
	update(t, db, "emptied", func(c *engine.Collection) error {
		return errors.Join(c.Put([]byte("k"), []byte("v")), c.Delete([]byte("k")))
	})
	update(t, db, "dropped at last", func(c *engine.Collection) error { return c.Put([]byte("k"), []byte("v")) })
	if err := db.Update(func(tx *engine.Tx) error { return tx.DropCollection("dropped at last") }); err != nil {
		t.Fatal(err)
	}
}

// beginBulk begins a bulk load over some of the keys of load.
func beginBulk(t *testing.T, db *engine.DB, collection string) *engine.Bulk {
	t.Helper()
	b, err := db.NewBulk(t.Context(), collection)
	for i := 0; i < 2000 && err == nil; i += 3 {
		err = b.Add(fmt.Appendf(nil, "key %06d", i), []byte("bulk"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReadsSQL writes rows of every storage class and compares what the two
// readers make of schema, rows and indexes.
func TestReadsSQL(t *testing.T) {
	base := t.TempDir()
	dir, key := filepath.Join(base, "d.byok"), filepath.Join(base, "dev.key")
	db := openEngine(t, dir, key, nil)
	sqldb := stdsql.OpenDB(bsql.NewConnector(db))
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := sqldb.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`create table r (a integer primary key, v)`)
	exec(`create index rv on r (v desc)`)
	exec(`create table p (x text not null collate nocase, y blob not null, z real, primary key (x, y)) without rowid`)
	exec(`create index pz on p (z)`)
	exec(`create view w as select * from r`)
	exec(`create trigger g after insert on r when new.v = 'none' begin delete from p; end`)
	values := []any{
		nil, int64(0), int64(1), int64(-1), int64(127), int64(128), int64(-32769), int64(1 << 22), int64(1 << 31), int64(1 << 46),
		int64(math.MaxInt64), int64(math.MinInt64), 0.5, -0.25, 1.5, -1234567.75, 3e300, -3e300, 1e18, math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64,
		"", "text", "zero\x00in it", "zwölf",
		[]byte{},
		[]byte{0, 1, 255},
	}
	for i, v := range values {
		exec(`insert into r values (?, ?)`, i-5, v)
		exec(`insert into p values (?, ?, ?)`, fmt.Sprintf("Name %d", i), []byte{byte(i), 0}, float64(i)/4-2)
	}
	exec(`alter table r add column late default 7`)
	exec(`insert into r values (1000, 2, 3)`)
	want := selectAll(t, sqldb, `select a, v from r order by a`)
	wantP := selectAll(t, sqldb, `select x, y, z from p order by x, y`)
	master := selectAll(t, sqldb, `select type, name, tbl_name, sql from sqlite_master order by name`)
	if err := errors.Join(sqldb.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}

	got, err := Open(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := got.Schema()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Object{}
	for _, o := range objects {
		byName[o.Name] = o
	}
	if len(byName) != len(master) {
		t.Errorf("%d objects, sqlite_master has %d", len(byName), len(master))
	}
	for _, m := range master {
		o := byName[m[1].(string)] //nolint:errcheck // a name is text
		if text, _ := m[3].(string); o.Type != m[0] || o.Table != m[2] || o.SQL != text {
			t.Errorf("%v: read as %+v", m, o)
		}
	}
	compareRows(t, got, byName["r"], want)
	comparePrimaryKey(t, got, byName["p"], wantP)
	compareIndex(t, got, byName["rv"], want)
}

func execSQL(t *testing.T, db *engine.DB, query string) {
	t.Helper()
	sqldb := stdsql.OpenDB(bsql.NewConnector(db))
	_, err := sqldb.ExecContext(t.Context(), query)
	if err := errors.Join(err, sqldb.Close()); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func selectAll(tb testing.TB, db *stdsql.DB, query string) (out [][]any) {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			tb.Fatal(err)
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	for rows.Next() {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		if err := rows.Scan(to...); err != nil {
			tb.Fatal(err)
		}
		out = append(out, row)
	}
	return out
}

func compareRows(t *testing.T, db *Database, o Object, want [][]any) {
	t.Helper()
	records, err := db.Rows(o)
	if err != nil || len(records) != len(want) {
		t.Fatalf("%d rows of %s, want %d: %v", len(records), o.Name, len(want), err)
	}
	for i, r := range records {
		rowid, err := DecodeRowid(r.Key)
		if err != nil {
			t.Fatal(err)
		}
		row, err := DecodeRecord(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if row[0] != nil || rowid != want[i][0] || !reflect.DeepEqual(row[1], want[i][1]) {
			t.Errorf("row %d: %v %v, want %v", i, rowid, row, want[i])
		}
	}
}

func comparePrimaryKey(t *testing.T, db *Database, o Object, want [][]any) {
	t.Helper()
	records, err := db.Rows(o)
	if err != nil || len(records) != len(want) {
		t.Fatalf("%d rows of %s, want %d: %v", len(records), o.Name, len(want), err)
	}
	for i, r := range records {
		columns, rest, err := DecodeKey(r.Key, 2, nil)
		if err != nil || len(rest) > 0 {
			t.Fatal(err, rest)
		}
		row, err := DecodeRecord(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := want[i][0].(string)
		if columns[0] != Fold(name, "NOCASE") || !reflect.DeepEqual(columns[1], want[i][1]) || !reflect.DeepEqual(row, want[i]) {
			t.Errorf("row %d: key %v, row %v, want %v", i, columns, row, want[i])
		}
	}
}

// compareIndex compares the entries of a descending index on the second column
// with the rows.
func compareIndex(t *testing.T, db *Database, o Object, rows [][]any) {
	t.Helper()
	byRowid := map[any]any{}
	for _, r := range rows {
		byRowid[r[0]] = r[1]
	}
	records, err := db.Rows(o)
	if err != nil || len(records) != len(rows) {
		t.Fatalf("%d entries of %s, want %d: %v", len(records), o.Name, len(rows), err)
	}
	for i, r := range records {
		columns, rest, err := DecodeKey(r.Key, 1, []bool{true})
		if err != nil {
			t.Fatal(err)
		}
		rowid, err := DecodeRowid(rest)
		if err != nil {
			t.Fatal(err)
		}
		want := byRowid[rowid]
		if f, ok := want.(float64); ok { // one form for 1 and 1.0
			if n, isInt := columns[0].(int64); isInt {
				columns[0] = float64(n)
			}
			if columns[0] == f {
				continue
			}
		}
		if !reflect.DeepEqual(columns[0], want) {
			t.Errorf("entry %d of rowid %d: %v (%T), want %v (%T)", i, rowid, columns[0], columns[0], want, want)
		}
	}
}
