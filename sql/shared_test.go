package sql_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

func openDSN(t *testing.T, dsn string) *stdsql.DB {
	t.Helper()
	db, err := stdsql.Open(bsql.DriverName, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a second Close does nothing
	return db
}

func keyParam(file string) string { return "?key=" + url.QueryEscape("local:"+file) }

func count(t *testing.T, db *stdsql.DB, table string) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), `select count(*) from `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOneEnginePerDirectory(t *testing.T) {
	dir := t.TempDir()
	path, key := filepath.Join(dir, "d.byok"), keyParam(filepath.Join(dir, "a.key"))
	a := openDSN(t, path+key)
	mustExec(t, a, `create table t (a)`)

	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	b := openDSN(t, filepath.Join(link, "d.byok")) // through a link, with the key that the database remembers
	mustExec(t, b, `insert into t values (1)`)
	if n := count(t, a, "t"); n != 1 {
		t.Errorf("one sees %d rows of the other", n)
	}
	var other *stdsql.DB
	for _, file := range []string{"absent.key", "b.key"} {
		if file == "b.key" {
			other = openDSN(t, filepath.Join(dir, "other.byok")+keyParam(filepath.Join(dir, file)))
			mustExec(t, other, `create table t (a)`)
		}
		err := openDSN(t, path+keyParam(filepath.Join(dir, file))).PingContext(t.Context())
		var se *bsql.Error
		if !errors.Is(err, engine.ErrWrongKey) || !errors.As(err, &se) || se.Code != 23 {
			t.Errorf("an open database under %s: %v", file, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, b, "t"); n != 1 {
		t.Errorf("%d rows after one of two was closed", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, openDSN(t, path), "t"); n != 1 {
		t.Errorf("%d rows after reopening", n)
	}
}

func TestOpeningAndClosingConcurrently(t *testing.T) {
	dir := t.TempDir()
	dsn := filepath.Join(dir, "d.byok") + keyParam(filepath.Join(dir, "a.key"))
	mustExec(t, openDSN(t, dsn), `create table t (a)`)
	var wg sync.WaitGroup
	const workers, rounds = 6, 5
	for range workers {
		wg.Go(func() {
			for range rounds {
				db, err := stdsql.Open(bsql.DriverName, dsn)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = db.ExecContext(t.Context(), `insert into t values (1)`)
				if err := errors.Join(err, db.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, openDSN(t, dsn), "t"); n != workers*rounds {
		t.Errorf("%d rows of %d", n, workers*rounds)
	}
}

func TestATextsTransactionEndsWithItsConnection(t *testing.T) {
	dir := t.TempDir()
	dsn := filepath.Join(dir, "d.byok") + keyParam(filepath.Join(dir, "a.key"))
	a, b := openDSN(t, dsn), openDSN(t, dsn)
	mustExec(t, a, `create table t (a)`)
	mustExec(t, a, `begin; insert into t values (1)`)
	mustExec(t, b, `insert into t values (2)`) // not held up: the pool closed the connection
	if _, err := a.ExecContext(t.Context(), `commit`); err == nil {
		t.Error("a transaction outlived its connection")
	}
	if n := count(t, a, "t"); n != 1 {
		t.Errorf("%d rows", n)
	}

	c, err := a.Conn(t.Context()) // one connection, kept
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{`begin`, `insert into t values (3)`, `commit`} {
		if _, err := c.ExecContext(t.Context(), query); err != nil {
			t.Fatal(query, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, b, "t"); n != 2 {
		t.Errorf("%d rows", n)
	}
}

func TestAFaultyTextExecutesNothing(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (a)`)
	for _, c := range []struct {
		query  string
		args   []any
		code   int
		offset int
	}{
		{`insert into t values (1); selct 2`, nil, 1, 26},
		{`insert into t values (?); insert into t values (?)`, []any{1}, 25, -1},
		{`insert into t values (?); insert into t values (?)`, []any{1, 2, 3}, 25, -1},
		{`insert into t values (:a); insert into t values (:a)`, []any{stdsql.Named("a", 1), stdsql.Named("b", 1)}, 25, -1},
	} {
		_, err := db.ExecContext(t.Context(), c.query, c.args...)
		var se *bsql.Error
		if !errors.As(err, &se) || se.Code != c.code || se.Offset != c.offset {
			t.Errorf("%s: %#v", c.query, err)
		}
	}
	if n := count(t, db, "t"); n != 0 {
		t.Errorf("%d rows were written", n)
	}
	mustExec(t, db, "\ufeff"+`insert into t values (:a); insert into t values (:a + ?)`, 10, stdsql.Named("a", 1))
	var got int
	if err := db.QueryRowContext(t.Context(), `select sum(a) from t`).Scan(&got); err != nil || got != 12 {
		t.Errorf("%d, %v", got, err)
	}
}

func TestNamesAndPositionsTogether(t *testing.T) {
	db := open(t)
	for _, c := range []struct {
		query string
		args  []any
		want  string // empty: an error
	}{
		{`select ?||:a||?`, []any{stdsql.Named("a", "n"), "1", "2"}, "1n2"},
		{`select ?||:a||?`, []any{"1", "2", stdsql.Named("a", "n")}, "1n2"},
		{`select :a||@b||$c`, []any{"1", "2", "3"}, "123"},
		{`select :a||?`, []any{stdsql.Named("a", "n"), stdsql.Named("b", "m")}, ""},
		{`select ?||?`, []any{"1", stdsql.Named("b", "m")}, ""},
		{`select :a`, []any{"1", "2"}, ""},
	} {
		var direct, prepared string
		err := db.QueryRowContext(t.Context(), c.query, c.args...).Scan(&direct)
		st, perr := db.PrepareContext(t.Context(), c.query)
		if perr != nil {
			t.Fatal(perr)
		}
		perr = st.QueryRowContext(t.Context(), c.args...).Scan(&prepared)
		if direct != c.want || prepared != c.want || (err == nil) != (c.want != "") || (perr == nil) != (c.want != "") {
			t.Errorf("%s: %q %v, prepared %q %v; want %q", c.query, direct, err, prepared, perr, c.want)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestColumnTypes(t *testing.T) {
	db := open(t)
	mustExec(t, db, `create table t (i integer, r real, s varchar(10), b blob, at datetime, ok boolean)`)
	mustExec(t, db, `insert into t values (null, null, null, null, null, null)`)
	rows, err := db.QueryContext(t.Context(), `select i, r, s, b, at, ok, i + 1 from t`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // checked by Err
	types, err := rows.ColumnTypes()
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name string
		scan any
	}{
		{"INTEGER", stdsql.NullInt64{}},
		{"REAL", stdsql.NullFloat64{}},
		{"VARCHAR(10)", stdsql.NullString{}},
		{"BLOB", nil},
		{"DATETIME", stdsql.NullTime{}},
		{"BOOLEAN", stdsql.NullBool{}},
		{"", nil},
	}
	dest := make([]any, len(types))
	for i, c := range types {
		typ := reflect.TypeFor[any]()
		if want[i].scan != nil {
			typ = reflect.TypeOf(want[i].scan)
		}
		if nullable, ok := c.Nullable(); c.DatabaseTypeName() != want[i].name || c.ScanType() != typ || !nullable || !ok {
			t.Errorf("column %d: %s, %v", i, c.DatabaseTypeName(), c.ScanType())
		}
		dest[i] = reflect.New(c.ScanType()).Interface()
	}
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	if err := rows.Scan(dest...); err != nil {
		t.Errorf("NULL into the scan types: %v", err)
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

// fakeKMS is a provider whose key can be disabled.
type fakeKMS struct {
	crypt.Provider
	disabled atomic.Bool
}

func (f *fakeKMS) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	if f.disabled.Load() {
		return nil, crypt.Receipt{}, &crypt.ProviderError{Class: crypt.ClassDenied, Op: "unwrap", Detail: "the key is disabled"}
	}
	return f.Provider.Unwrap(ctx, w, c)
}

func TestKeyErrorsComeThrough(t *testing.T) {
	dir := t.TempDir()
	local, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "a.key"))
	if err != nil {
		t.Fatal(err)
	}
	kms := &fakeKMS{Provider: local}
	eng, err := engine.Open(t.Context(), filepath.Join(dir, "d.byok"), kms, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	mustExec(t, db, `create table t (a)`)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `insert into t values (1)`); err != nil {
		t.Fatal(err)
	}
	kms.disabled.Store(true)
	if err := eng.ProbeKey(t.Context()); err == nil {
		t.Fatal("the probe found a disabled key good")
	}
	_, execErr := db.ExecContext(t.Context(), `insert into t values (2)`)
	var n int
	for what, err := range map[string]error{
		"ping":   db.PingContext(t.Context()),
		"exec":   execErr,
		"query":  db.QueryRowContext(t.Context(), `select count(*) from t`).Scan(&n),
		"commit": tx.Commit(),
	} {
		var key *engine.KeyError
		var se *bsql.Error
		if !errors.Is(err, engine.ErrKeyUnavailable) || !errors.As(err, &key) || key.Class != crypt.ClassDenied {
			t.Errorf("%s: %v is no key error", what, err)
		}
		if !errors.As(err, &se) || se.Code != 23 {
			t.Errorf("%s: %v has no code", what, err)
		}
	}
	kms.disabled.Store(false)
	if err := eng.ProbeKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, `insert into t values (3)`)
	if n := count(t, db, "t"); n != 1 {
		t.Errorf("%d rows: one was not committed, one refused", n)
	}
	if err := eng.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("ping of a closed engine: %v", err)
	}
	if err := errors.Join(db.Close(), local.Close()); err != nil {
		t.Error(err)
	}
}
