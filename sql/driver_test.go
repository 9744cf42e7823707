package sql_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// open opens a database through its data source name.
func open(t *testing.T) *stdsql.DB {
	t.Helper()
	dir := t.TempDir()
	dsn := filepath.Join(dir, "d.byok") + "?key=" + url.QueryEscape("local:"+filepath.Join(dir, "dev.key"))
	db, err := stdsql.Open("byokdb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func mustExec(t *testing.T, db *stdsql.DB, query string, args ...any) stdsql.Result {
	t.Helper()
	r, err := db.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return r
}

func TestTypesGoThereAndBack(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (id integer primary key, r real, s text, b blob, at datetime, ok boolean, n int)`)
	at := time.Date(2026, 11, 23, 8, 30, 15, 250_000_000, time.UTC)
	r := mustExec(t, db, `insert into t (r, s, b, at, ok) values (?, ?, ?, ?, ?)`, 1.5, "zwölf", []byte{0, 255}, at, true)
	if id, err := r.LastInsertId(); err != nil || id != 1 {
		t.Errorf("last insert id %d, %v", id, err)
	}
	var (
		id   int64
		real float64
		s    string
		b    []byte
		when time.Time
		ok   bool
		n    stdsql.NullInt64
	)
	row := db.QueryRowContext(t.Context(), `select id, r, s, b, at, ok, n from t where id = ?`, 1)
	if err := row.Scan(&id, &real, &s, &b, &when, &ok, &n); err != nil {
		t.Fatal(err)
	}
	if id != 1 || real != 1.5 || s != "zwölf" || string(b) != "\x00\xff" || !when.Equal(at) || !ok || n.Valid {
		t.Error(id, real, s, b, when, ok, n)
	}
}

func TestParameters(t *testing.T) {
	db := open(t)
	for _, c := range []struct {
		query string
		args  []any
		want  string
	}{
		{`select ?||?`, []any{"a", "b"}, "ab"},
		{`select ?2||?1`, []any{"a", "b"}, "ba"},
		{`select :x||@y||$z||:x`, []any{stdsql.Named("x", "1"), stdsql.Named("y", "2"), stdsql.Named("z", "3")}, "1231"},
		{`select 'none'`, nil, "none"},
	} {
		var got string
		if err := db.QueryRowContext(t.Context(), c.query, c.args...).Scan(&got); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.query, got, err, c.want)
		}
		st, err := db.PrepareContext(t.Context(), c.query)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.QueryRowContext(t.Context(), c.args...).Scan(&got); err != nil || got != c.want {
			t.Errorf("prepared %s: %q, %v; want %q", c.query, got, err, c.want)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, args := range [][]any{{}, {1}, {1, 2, 3}} {
		if _, err := db.ExecContext(t.Context(), `select ?, ?`, args...); err == nil {
			t.Errorf("two parameters take %d arguments", len(args))
		}
	}
}

func TestManyStatements(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (a); insert into t values (?), (?); -- done
		insert into t select a + 10 from t where a = ?;`, 1, 2, 2)
	var n, sum int
	if err := db.QueryRowContext(t.Context(), `insert into t values (100); select count(*), sum(a) from t`).Scan(&n, &sum); err != nil || n != 4 || sum != 115 {
		t.Errorf("%d rows, sum %d, %v", n, sum, err)
	}
	if _, err := db.PrepareContext(t.Context(), `select 1; select 2`); err == nil {
		t.Error("two statements were prepared as one")
	}
	mustExec(t, db, ` ; -- nothing`)
}

func TestTransactions(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (a integer primary key)`)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`insert into t values (1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`insert into t values (2), (1)`); err == nil {
		t.Fatal("a duplicate was taken")
	}
	var n int
	if err := tx.QueryRow(`select count(*) from t`).Scan(&n); err != nil || n != 1 {
		t.Errorf("the transaction sees %d rows, %v: a failed statement leaves nothing", n, err)
	}
	snapshot, err := db.BeginTx(t.Context(), &stdsql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.QueryRow(`select count(*) from t`).Scan(&n); err != nil || n != 0 {
		t.Errorf("the snapshot sees %d rows, %v", n, err)
	}
	var se *bsql.Error
	if _, err := snapshot.Exec(`delete from t`); !errors.As(err, &se) || se.Code != 8 {
		t.Errorf("write in a read-only transaction: %v", err)
	}
	if err := snapshot.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.BeginTx(t.Context(), &stdsql.TxOptions{Isolation: stdsql.LevelReadUncommitted}); err == nil {
		t.Error("read uncommitted is offered")
	}
}

func TestErrorsAreNumbered(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (a integer primary key, b text unique not null, c check (c > 0))`)
	mustExec(t, db, `insert into t values (1, 'x', 1)`)
	for _, c := range []struct {
		query          string
		code, extended int
		message        string
	}{
		{`select * from nowhere`, 1, 1, "no such table: nowhere"},
		{`insert into t values (1, 'y', 1)`, 19, 1555, "UNIQUE constraint failed: t.a"},
		{`insert into t values (2, 'x', 1)`, 19, 2067, "UNIQUE constraint failed: t.b"},
		{`insert into t values (2, null, 1)`, 19, 1299, "NOT NULL constraint failed: t.b"},
		{`insert into t values (2, 'y', 0)`, 19, 275, "CHECK constraint failed: c > 0"},
		{`insert into t values ('x', 'y', 1)`, 20, 20, "datatype mismatch"},
		{`selct 1`, 1, 1, `near "selct": syntax error`},
	} {
		_, err := db.ExecContext(t.Context(), c.query)
		var se *bsql.Error
		if !errors.As(err, &se) || se.Code != c.code || se.ExtendedCode != c.extended || se.Message != c.message {
			t.Errorf("%s: %#v", c.query, err)
		}
	}
}

func TestContextEndsAStatement(t *testing.T) {
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.ExecContext(ctx, `create table t (a)`); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	rows, err := db.QueryContext(ctx, `with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n`)
	if err == nil {
		for rows.Next() {
			t.Error("an endless query has a result")
		}
		err = errors.Join(rows.Err(), rows.Close())
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestConnectionsShareOneEngine(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (a integer primary key, who int)`)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				if _, err := db.ExecContext(t.Context(), `insert into t (who) values (?)`, w); err != nil {
					t.Error(err)
				}
				var n int
				if err := db.QueryRowContext(t.Context(), `select count(*) from t where who = ?`, w).Scan(&n); err != nil || n != i+1 {
					t.Errorf("%d of %d rows, %v", n, i+1, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestConnectorSharesTheProgramsEngine(t *testing.T) {
	dir := t.TempDir()
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.Open(t.Context(), filepath.Join(dir, "e.byok"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	mustExec(t, db, `create table t (a)`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := eng.View(func(tx *engine.Tx) error {
		names, err := tx.Collections()
		if len(names) == 0 {
			t.Error("the table left no collection")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := eng.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := errors.Join(eng.Close(), key.Close()); err != nil {
		t.Error(err)
	}
}

func TestForeignKeysInDSN(t *testing.T) {
	dir := t.TempDir()
	dsn := filepath.Join(dir, "d.byok") + "?foreign_keys=1&key=" + url.QueryEscape("local:"+filepath.Join(dir, "dev.key"))
	db, err := stdsql.Open("byokdb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	mustExec(t, db, `create table p (id integer primary key); create table c (p references p deferrable initially deferred)`)
	var se *bsql.Error
	if _, err := db.ExecContext(t.Context(), `insert into c values (1)`); !errors.As(err, &se) || se.ExtendedCode != 787 {
		t.Errorf("a row without a parent: %v", err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`insert into c values (1)`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); !errors.As(err, &se) || se.ExtendedCode != 787 || se.Message != "FOREIGN KEY constraint failed" {
		t.Errorf("commit without a parent: %v", err)
	}
	// The connection is as good as new, and the setting stays with it.
	db.SetMaxOpenConns(1)
	for range 2 {
		if _, err := db.ExecContext(t.Context(), `insert into c values (2)`); err == nil {
			t.Error("foreign keys are no longer enforced")
		}
	}
	mustExec(t, db, `insert into p values (2); insert into c values (2)`)
}

func TestDSNErrors(t *testing.T) {
	for _, dsn := range []string{"", "?key=local:x", "dir?cipher=none", "dir?key=a&key=b", "dir?key=%zz", "dir?foreign_keys=maybe", "dir?foreign_keys=1&foreign_keys=0"} {
		db, err := stdsql.Open("byokdb", dsn)
		if err == nil {
			err = errors.Join(db.PingContext(t.Context()), db.Close())
		}
		if err == nil {
			t.Errorf("%q was taken", dsn)
		}
	}
	db, err := stdsql.Open("byokdb", filepath.Join(t.TempDir(), "absent"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("an absent database without a key: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func Example() {
	db, err := stdsql.Open("byokdb", "example.byok?key=local:example.key")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	// The directory is made with the first statement:
	//	db.Exec(`create table orders (id integer primary key, total real)`)
	fmt.Println(db.Stats().OpenConnections)
	// Output: 0
}

// TestTextsShareAPlan has connections run texts that differ in literals alone
// at the same time, with results open beside one another.
func TestTextsShareAPlan(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (id integer primary key, v text)`)
	for i := range 50 {
		mustExec(t, db, fmt.Sprintf(`insert into t values (%d, 'v''%d')`, i, i))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 100 {
				a, b := (g*7+n)%50, (g+n*3)%50
				tx, err := db.BeginTx(t.Context(), &stdsql.TxOptions{ReadOnly: n%2 == 0})
				if err != nil {
					t.Error(err)
					return
				}
				outer, err := tx.QueryContext(t.Context(), fmt.Sprintf(`select v from t where id >= %d order by id limit 2`, a))
				if err != nil {
					t.Error(err)
					return
				}
				for i := 0; outer.Next(); i++ {
					var v, w string
					if err := outer.Scan(&v); err != nil || v != fmt.Sprintf("v'%d", a+i) {
						t.Errorf("%d: %q, %v", a+i, v, err)
					}
					if err := tx.QueryRowContext(t.Context(), fmt.Sprintf(`select v from t where id >= %d order by id limit 2`, b)).Scan(&w); err != nil || w != fmt.Sprintf("v'%d", b) {
						t.Errorf("%d: %q, %v", b, w, err)
					}
					if err := db.QueryRowContext(t.Context(), fmt.Sprintf(`select v from t where v = 'v''%d'`, b)).Scan(&w); err != nil || w != fmt.Sprintf("v'%d", b) {
						t.Errorf("%d: %q, %v", b, w, err)
					}
				}
				if err := errors.Join(outer.Err(), outer.Close(), tx.Rollback()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
