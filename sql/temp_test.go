package sql_test

import (
	stdsql "database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/timebubble"
	bsql "github.com/byokdb/byokdb/sql"
)

func connOf(t *testing.T, db *stdsql.DB) *stdsql.Conn {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // a second Close does nothing
	return c
}

func connExec(t *testing.T, c *stdsql.Conn, text string) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// tempCollections are the collections of temporary objects that there are.
func tempCollections(t *testing.T, eng *engine.DB) (list []string) {
	t.Helper()
	err := eng.View(func(tx *engine.Tx) error {
		names, err := tx.Collections()
		list = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "sql/tmp/") })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func noTable(err error) bool { return err != nil && strings.Contains(err.Error(), "no such table") }

// TestTempIsOfOneConnection has two connections run the same texts, prepared
// before and after one of them made temporary objects.
func TestTempIsOfOneConnection(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (a); insert into t values ('main'); create table log (x)`)
	a, b := connOf(t, db), connOf(t, db)
	const query = `select a from t`
	before := map[*stdsql.Conn]*stdsql.Stmt{}
	for _, c := range []*stdsql.Conn{a, b} {
		st, err := c.PrepareContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		before[c] = st
		if got := one[string](t, c, query); got != "main" {
			t.Fatal(got)
		}
	}
	connExec(t, a, `create temp table t (a); insert into t values ('temp a');
		create temp trigger g after insert on main.t begin insert into log values ('a: ' || new.a); end;
		create temp view v as select a || '!' as a from t`)
	for range 3 {
		for c, want := range map[*stdsql.Conn]string{a: "temp a", b: "main"} {
			var prepared string
			if err := before[c].QueryRowContext(t.Context()).Scan(&prepared); err != nil {
				t.Fatal(err)
			}
			if got := one[string](t, c, query); got != want || prepared != want {
				t.Errorf("%q and, prepared before, %q; want %q", got, prepared, want)
			}
			if got := one[string](t, c, `select a from t where a <> 'x'`); got != want {
				t.Errorf("without its literal: %q, want %q", got, want)
			}
		}
	}
	if got := one[string](t, a, `select a from v`); got != "temp a!" {
		t.Error(got)
	}
	connExec(t, b, `insert into t values ('by b')`)
	connExec(t, a, `insert into main.t values ('by a')`)
	if got := one[string](t, db, `select group_concat(x) from log`); got != "a: by a" {
		t.Errorf("the trigger wrote %q", got)
	}
	for _, c := range []*stdsql.Conn{b, connOf(t, db)} {
		n := one[int](t, c, `select (select count(*) from temp.sqlite_master) + (select count(*) from pragma_database_list where name = 'temp')
			+ (select count(*) from sqlite_master where name in ('g', 'v')) + (select count(*) from pragma_table_list where schema = 'temp' and name <> 'sqlite_temp_schema')`)
		if n != 0 {
			t.Errorf("another connection sees %d temporary objects", n)
		}
		if _, err := c.ExecContext(t.Context(), `select * from v`); !noTable(err) {
			t.Errorf("another connection's view: %v", err)
		}
	}
	connExec(t, b, `create temp table t (a, b); insert into t values ('temp b', 1)`)
	for c, want := range map[*stdsql.Conn]string{a: "temp a", b: "temp b"} {
		if got := one[string](t, c, query); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := one[string](t, db, `pragma integrity_check`); got != "ok" {
		t.Error(got)
	}
	connExec(t, b, `drop table t`)
	if got := one[string](t, b, query); got != "main" {
		t.Errorf("after DROP: %q", got)
	}
	connExec(t, b, `alter table t rename to other`) // the trigger of a is left alone
	connExec(t, b, `insert into other values ('later')`)
	connExec(t, a, `insert into other values ('later')`)
	connExec(t, b, `create table t (a)`)
	connExec(t, a, `insert into main.t values ('again')`)
	if got := one[string](t, db, `select group_concat(x) from log`); got != "a: by a,a: again" {
		t.Errorf("the trigger wrote %q", got)
	}
}

// TestTempStaysWithItsConnection has one connection go from hand to hand: what one
// user made, the next one finds, and nobody once it is closed.
func TestTempStaysWithItsConnection(t *testing.T) {
	eng := openEngine(t)
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	mustExec(t, db, `create table t (a); insert into t values ('main')`)
	st, err := db.PrepareContext(t.Context(), `select a from t`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	read := func(want string) {
		t.Helper()
		var got string
		if err := st.QueryRowContext(t.Context()).Scan(&got); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	for range 3 {
		read("main")
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{`create temp table t (a unique)`, `insert into t values ('temp')`} {
			if _, err := tx.ExecContext(t.Context(), text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		read("temp")
		mustExec(t, db, `insert into t values ('more')`)
		if n := one[int](t, db, `select count(*) from temp.t`); n != 2 {
			t.Errorf("%d rows", n)
		}
		if list := tempCollections(t, eng); len(list) != 3 {
			t.Errorf("%q", list)
		}
		mustExec(t, db, `drop table t`)
	}
	mustExec(t, db, `create temp table t (a)`)
	db.SetMaxIdleConns(0) // closes the connection
	if list := tempCollections(t, eng); len(list) != 0 {
		t.Errorf("left of a connection that was closed: %q", list)
	}
	read("main")
}

// TestTempIsDroppedLater closes a connection while another one has the writer.
func TestTempIsDroppedLater(t *testing.T) {
	eng := openEngine(t)
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	defer func() { _ = db.Close() }()
	db.SetMaxIdleConns(0)
	mustExec(t, db, `create table t (a)`)
	c := connOf(t, db)
	connExec(t, c, `create temp table x (a); insert into x values (1)`)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil { // does not wait
		t.Fatal(err)
	}
	if list := tempCollections(t, eng); len(list) != 2 {
		t.Errorf("%q", list)
	}
	if _, err := tx.ExecContext(t.Context(), `insert into t values (1)`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `insert into t values (2)`)
	if list := tempCollections(t, eng); len(list) != 0 {
		t.Errorf("after the next write: %q", list)
	}
	if n := count(t, db, "t"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

// TestTempOfTwoConnectors has two connectors on one engine: the second drops
// nothing of the first.
func TestTempOfTwoConnectors(t *testing.T) {
	eng := openEngine(t)
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	defer func() { _ = db.Close() }()
	c := connOf(t, db)
	connExec(t, c, `create temp table x (a); insert into x values (1)`)
	other := stdsql.OpenDB(bsql.NewConnector(eng))
	defer func() { _ = other.Close() }()
	mustExec(t, other, `create table t (a); insert into t values (1)`)
	if n := one[int](t, c, `select count(*) from x`); n != 1 {
		t.Error(n)
	}
}

// TestTempLeftBehind ends the engine before its connections, as a crash would,
// and opens the database, and a copy of it, in each way.
func TestTempLeftBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d.byok")
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	openIt := func(at string) *engine.DB {
		eng, err := engine.Open(t.Context(), at, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return eng
	}
	crash := func(eng *engine.DB, copies string) {
		db := stdsql.OpenDB(bsql.NewConnector(eng))
		mustExec(t, db, `create table if not exists t (a)`)
		c := connOf(t, db)
		connExec(t, c, `create temp table t (a, b unique); insert into t values (1, 2)`)
		mustExec(t, db, `insert into t values (3)`)
		if copies != "" {
			connExec(t, c, `vacuum into '`+copies+`'`)
		}
		if err := errors.Join(eng.Close(), c.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(dir, "copy")
	crash(openIt(path), copied)

	for _, at := range []string{path, copied} {
		eng := openIt(at)
		if list := tempCollections(t, eng); len(list) != 3 {
			t.Errorf("the crash left %q", list)
		}
		db := stdsql.OpenDB(bsql.NewConnector(eng))
		if n := count(t, db, "t"); n != 1 {
			t.Errorf("%d rows", n)
		}
		mustExec(t, db, `insert into t values (4)`)
		if list := tempCollections(t, eng); len(list) != 0 {
			t.Errorf("after the first write: %q", list)
		}
		if err := errors.Join(db.Close(), eng.Close()); err != nil {
			t.Fatal(err)
		}
	}
	crash(openIt(path), "")
	db := openDSN(t, path) // drops them at once
	if n := count(t, db, "t"); n != 3 {
		t.Errorf("%d rows", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	eng := openIt(path)
	defer func() { _ = eng.Close() }()
	if list := tempCollections(t, eng); len(list) != 0 {
		t.Errorf("after opening by name: %q", list)
	}
	if err := eng.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTempInReadOnlyTransactions(t *testing.T) {
	db := open(t)
	c := connOf(t, db)
	connExec(t, c, `create temp table x (a); insert into x values (1)`)
	tx, err := c.BeginTx(t.Context(), &stdsql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, tx, `select a from x`); n != 1 {
		t.Error(n)
	}
	for _, text := range []string{`insert into x values (2)`, `create temp table y (a)`, `drop table x`} {
		if _, err := tx.ExecContext(t.Context(), text); code(err) != 8 {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	connExec(t, c, `insert into x values (2)`)
}

// TestTempAndTheKey takes the key away, until memory is wiped, from a connection
// with temporary objects.
func TestTempAndTheKey(t *testing.T) {
	timebubble.Parallel(t)
	timebubble.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		x := newSQLRig(t, engine.Policy{Deadline: 3 * time.Minute})
		c, gone := connOf(t, x.db), connOf(t, x.db)
		connExec(t, c, `create temp table t (a, b); insert into t values (1, 'temp'); create temp view v as select b from t`)
		connExec(t, gone, `create temp table t (a)`)
		st, err := c.PrepareContext(t.Context(), `select b from t where a = ?`)
		x.must(err)
		defer func() { _ = st.Close() }()
		for _, state := range []engine.State{engine.Suspended, engine.Paused} {
			x.key.away()
			x.await(state)
			for _, text := range []string{`insert into t values (2, 'x')`, `create temp table y (a)`, `select * from v`, `select * from temp.sqlite_master`, `drop table t`} {
				if _, err := c.ExecContext(t.Context(), text); !isKeyError(err) {
					t.Errorf("%v: %s: %v", state, text, err)
				}
			}
			var b string
			if err := st.QueryRowContext(t.Context(), 1).Scan(&b); !isKeyError(err) {
				t.Errorf("%v: %v", state, err)
			}
			if state == engine.Paused {
				x.must(gone.Close())
				x.db.SetMaxIdleConns(0) // closes it without the key
			}
			x.key.there()
			x.await(engine.Active)
			if err := st.QueryRowContext(t.Context(), 1).Scan(&b); err != nil || b != "temp" {
				t.Errorf("%v: %q, %v", state, b, err)
			}
			if got := one[string](t, c, `select group_concat(b) from v`); got != "temp" {
				t.Errorf("%v: %q", state, got)
			}
		}
		if list := tempCollections(t, x.eng); len(list) != 4 {
			t.Errorf("%q", list)
		}
		connExec(t, c, `insert into t values (2, 'more')`)
		if list := tempCollections(t, x.eng); len(list) != 2 {
			t.Errorf("%q", list)
		}
		x.must(x.eng.Verify(t.Context()))
	})
}
