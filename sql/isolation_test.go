package sql_test

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// openWith opens a database with more parameters in its data source name.
func openWith(t *testing.T, params string) (*stdsql.DB, string) {
	t.Helper()
	dir := t.TempDir()
	dsn := filepath.Join(dir, "d.byok") + "?key=" + url.QueryEscape("local:"+filepath.Join(dir, "dev.key"))
	return openDSN(t, dsn+params), dsn
}

func one[T any](t *testing.T, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *stdsql.Row
}, query string, args ...any,
) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// TestSnapshots has readers hold what they began with while a writer goes on,
// and the writer see itself.
func TestSnapshots(t *testing.T) {
	db := open(t)
	mustExec(t, db, "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
	old, err := db.BeginTx(t.Context(), &stdsql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), "SELECT a FROM t ORDER BY a") // open over all that follows
	if err != nil {
		t.Fatal(err)
	}
	w, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if _, err := w.ExecContext(t.Context(), "INSERT INTO t VALUES (?)", i+2); err != nil {
			t.Fatal(err)
		}
	}
	for who, want := range map[string]struct{ got, want int }{
		"the writer":          {one[int](t, w, "SELECT count(*) FROM t"), 3001},
		"a snapshot":          {one[int](t, old, "SELECT count(*) FROM t"), 1},
		"another connection":  {one[int](t, db, "SELECT count(*) FROM t"), 1},
		"the writer, indexed": {one[int](t, w, "SELECT max(a) FROM t"), 3001},
	} {
		if want.got != want.want {
			t.Errorf("%s sees %d rows, want %d", who, want.got, want.want)
		}
	}
	if _, err := old.ExecContext(t.Context(), "DELETE FROM t"); code(err) != 8 {
		t.Errorf("a write in a read-only transaction: %v", err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, old, "SELECT count(*) FROM t"); n != 1 {
		t.Errorf("after the commit the snapshot sees %d rows", n)
	}
	if n := one[int](t, db, "SELECT count(*) FROM t"); n != 3001 {
		t.Errorf("after the commit others see %d rows", n)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != 1 {
		t.Errorf("a result that was open gave %d rows, %v", n, err)
	}
	if err := old.Commit(); err != nil {
		t.Error(err)
	}
}

// code returns the primary code of an error, 0 for others.
func code(err error) int {
	if e, ok := errors.AsType[*bsql.Error](err); ok {
		return e.Code
	}
	return 0
}

// TestReadersBesideWriter has many readers check, on snapshots, what a writer
// keeps true in every transaction.
func TestReadersBesideWriter(t *testing.T) {
	db := open(t)
	mustExec(t, db, "CREATE TABLE acc (id INTEGER PRIMARY KEY, v INT); CREATE INDEX av ON acc(v)")
	for i := range 20 {
		mustExec(t, db, "INSERT INTO acc VALUES (?, 100)", i)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for reads := 0; ; reads++ {
				select {
				case <-done:
					if reads == 0 {
						t.Error("a reader did not read")
					}
					return
				default:
				}
				var n, sum, byIndex int
				err := db.QueryRowContext(t.Context(), "SELECT count(*), sum(v), (SELECT sum(v) FROM acc WHERE v >= -1000000) FROM acc").Scan(&n, &sum, &byIndex)
				if err != nil || n != 20 || sum != 2000 || byIndex != 2000 {
					t.Errorf("%d rows, %d in sum, %d by the index, %v", n, sum, byIndex, err)
					return
				}
			}
		})
	}
	for i := range 100 {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []int{1, -1} {
			if _, err := tx.ExecContext(t.Context(), "UPDATE acc SET v = v + ? WHERE id = ?", step*(i%7), (i*3+step+20)%20); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
}

// TestBusy waits for another writer as long as the context and the time-out
// allow, and gets its turn when the other one ends.
func TestBusy(t *testing.T) {
	db, dsn := openWith(t, "")
	mustExec(t, db, "CREATE TABLE t (a)")
	impatient := openDSN(t, dsn+"&busy_timeout=0")
	holder, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := impatient.ExecContext(t.Context(), "INSERT INTO t VALUES (1)"); code(err) != 5 {
		t.Errorf("busy_timeout=0: %v", err)
	}
	if _, err := impatient.BeginTx(t.Context(), nil); code(err) != 5 {
		t.Errorf("begin with busy_timeout=0: %v", err)
	}
	if n := one[int](t, impatient, "PRAGMA busy_timeout"); n != 0 {
		t.Errorf("busy_timeout is %d", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	_, err = db.ExecContext(ctx, "INSERT INTO t VALUES (1)")
	cancel()
	if code(err) != 9 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context that ends while it waits: %v", err)
	}
	if n := one[int](t, impatient, "SELECT count(*) FROM t"); n != 0 {
		t.Errorf("a reader is kept out: %d", n)
	}
	waiting, ready := make(chan error, 1), make(chan struct{})
	go func() {
		close(ready)
		_, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES (2)")
		waiting <- err
	}()
	<-ready
	if err := holder.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("the turn never came: %v", err)
	}
}

func TestStatementTimeout(t *testing.T) {
	db := open(t)
	mustExec(t, db, "CREATE TABLE t (a)")
	const endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
	for _, text := range []string{endless + "SELECT count(*) FROM c", "INSERT INTO t " + endless + "SELECT x FROM c", "UPDATE t SET a = (" + endless + "SELECT count(*) FROM c)", endless + "DELETE FROM t WHERE a IN (SELECT x FROM c)"} {
		mustExec(t, db, "DELETE FROM t")
		mustExec(t, db, "INSERT INTO t VALUES (0)")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := db.ExecContext(ctx, text)
		cancel()
		if code(err) != 9 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", text, err)
		}
		if n := one[int](t, db, "SELECT count(*) FROM t"); n != 1 {
			t.Errorf("%s left %d rows", text, n)
		}
	}
	tx, err := db.BeginTx(t.Context(), nil) // a statement that is ended leaves the transaction
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tx.ExecContext(ctx, "INSERT INTO t VALUES (7)"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES (8)"); err != nil {
		t.Error(err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	if n := one[int](t, db, "SELECT sum(a) FROM t"); n != 8 {
		t.Errorf("the sum is %d", n)
	}
}

func TestDSNParameters(t *testing.T) {
	db, dsn := openWith(t, "&foreign_keys=on&statement_memory=1048576&busy_timeout=1234&cache_size=8388608&spill_max=1073741824&sync=interval&compression=more")
	if n := one[int](t, db, "PRAGMA busy_timeout"); n != 1234 {
		t.Errorf("busy_timeout is %d", n)
	}
	mustExec(t, db, "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
	if _, err := db.ExecContext(t.Context(), "INSERT INTO c VALUES (1)"); code(err) != 19 {
		t.Errorf("foreign keys are not enforced: %v", err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO c VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); code(err) != 19 {
		t.Errorf("a commit that violates: %v", err)
	}
	mustExec(t, db, "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)") // the writer is free again
	lax := openDSN(t, dsn+"&foreign_keys=0")
	mustExec(t, lax, "INSERT INTO c VALUES (2)")
	for _, params := range []string{"&cache_size=4096000", "&spill_max=1000", "&sync=full", "&compression=none", "&min_position=" + positionOf(t, dsn)} {
		other := openDSN(t, dsn+params)
		if err := other.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "another "+strings.Split(params[1:], "=")[0]) {
			t.Errorf("%s beside an open engine: %v", params, err)
		}
	}
	if err := openDSN(t, dsn+"&cache_size=8388608&sync=interval&compression=more&must_exist=on").PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	for _, params := range []string{"&foreign_keys=maybe", "&busy_timeout=-1", "&busy_timeout=5s", "&statement_memory=1000", "&statement_memory=1M", "&cache_size=0", "&cache_size=x", "&spill_max=0", "&spill_max=1G", "&sync=none", "&compression=s2", "&min_position=x", "&must_exist=2", "&_fk=1"} {
		if _, err := stdsql.Open("byokdb", dsn+params); err == nil || !strings.Contains(err.Error(), strings.Split(params[1:], "=")[0]) {
			t.Errorf("%s: %v", params, err)
		}
	}
	absent := openDSN(t, filepath.Join(t.TempDir(), "absent")+"?must_exist=1&key="+url.QueryEscape("local:"+filepath.Join(t.TempDir(), "k")))
	if err := absent.PingContext(t.Context()); !errors.Is(err, engine.ErrNotExist) {
		t.Errorf("must_exist: %v", err)
	}
}

// positionOf returns a genuine position, of another database.
func positionOf(t *testing.T, _ string) string {
	t.Helper()
	eng := openEngine(t)
	p, err := eng.Position()
	if err != nil {
		t.Fatal(err)
	}
	return p.String()
}

func openEngine(t *testing.T) *engine.DB {
	t.Helper()
	dir := t.TempDir()
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.Open(t.Context(), filepath.Join(dir, "e.byok"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(eng.Close(), key.Close()); err != nil {
			t.Error(err)
		}
	})
	return eng
}

// TestMinPosition refuses a database that is not that of the position.
func TestMinPosition(t *testing.T) {
	db, dsn := openWith(t, "")
	mustExec(t, db, "CREATE TABLE t (a)")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	stale := openDSN(t, dsn+"&min_position="+positionOf(t, dsn))
	if err := stale.PingContext(t.Context()); err == nil {
		t.Error("a position of another database is taken")
	}
}

func TestConnectorSettings(t *testing.T) {
	c := bsql.NewConnector(openEngine(t))
	c.ForeignKeys, c.BusyTimeout = true, 77*time.Millisecond
	db := stdsql.OpenDB(c)
	if fk, ms := one[int](t, db, "PRAGMA foreign_keys"), one[int](t, db, "PRAGMA busy_timeout"); fk != 1 || ms != 77 {
		t.Errorf("foreign_keys %d, busy_timeout %d", fk, ms)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

type valuer struct{ v driver.Value }

func (v valuer) Value() (driver.Value, error) { return v.v, nil }

type named string

// TestArguments takes what database/sql takes.
func TestArguments(t *testing.T) {
	db := open(t)
	s, i := "text", 7
	var none *string
	at := time.Date(2026, 11, 23, 8, 30, 15, 123456789, time.FixedZone("", -3600))
	for _, c := range []struct {
		arg  any
		want string
	}{
		{nil, "null ∅"},
		{none, "null ∅"},
		{&s, "text text"},
		{&i, "integer 7"},
		{uint8(255), "integer 255"},
		{int64(math.MinInt64), "integer -9223372036854775808"},
		{uint64(math.MaxInt64), "integer 9223372036854775807"},
		{float32(0.5), "real 0.5"},
		{true, "integer 1"},
		{named("n"), "text n"},
		{[]byte("b"), "blob b"},
		{[]byte{}, "blob "},
		{valuer{int64(3)}, "integer 3"},
		{stdsql.NullString{}, "null ∅"},
		{stdsql.Null[float64]{V: 1.5, Valid: true}, "real 1.5"},
		{at, "text 2026-11-23 08:30:15.123456789-01:00"},
		{stdsql.RawBytes("raw"), "blob raw"},
	} {
		var kind string
		var v stdsql.NullString
		if err := db.QueryRowContext(t.Context(), "SELECT typeof(?1), CAST(?1 AS TEXT)", c.arg).Scan(&kind, &v); err != nil {
			t.Errorf("%#v: %v", c.arg, err)
			continue
		}
		if !v.Valid {
			v.String = "∅"
		}
		if got := kind + " " + v.String; got != c.want {
			t.Errorf("%#v is %q, want %q", c.arg, got, c.want)
		}
	}
	for _, arg := range []any{uint64(math.MaxUint64), make(chan int), struct{}{}, map[string]int{}} {
		if err := db.QueryRowContext(t.Context(), "SELECT ?", arg).Scan(new(any)); err == nil {
			t.Errorf("%T was taken", arg)
		}
	}
}

// TestResults tells what changed, whatever way it was asked.
func TestResults(t *testing.T) {
	db := open(t)
	mustExec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)")
	for _, c := range []struct {
		text    string
		id, n   int64
		queries bool
	}{
		{"INSERT INTO t(v) VALUES (1), (2), (3)", 3, 3, false},
		{"INSERT INTO t(v) VALUES (4) RETURNING id", 4, 1, false},
		{"UPDATE t SET v = v * 10", 4, 4, false},
		{"UPDATE t SET v = v RETURNING *", 4, 4, false},
		{"INSERT OR IGNORE INTO t(v) VALUES (10)", 4, 0, false},
		{"INSERT INTO t(id, v) VALUES (99, 1); DELETE FROM t WHERE id < 3", 99, 2, false},
		{"CREATE TABLE u (x)", 99, 0, false},
		{"REPLACE INTO t(v) VALUES (30)", 100, 1, false},
		{"", 0, 0, false},
		{"-- nothing", 0, 0, false},
	} {
		r, err := db.ExecContext(t.Context(), c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		n, err := r.RowsAffected()
		id, idErr := r.LastInsertId()
		if err != nil || idErr != nil || n != c.n || c.text != "" && c.id != 0 && id != c.id {
			t.Errorf("%s: %d rows, id %d, want %d and %d", c.text, n, id, c.n, c.id)
		}
	}
	rows, err := db.QueryContext(t.Context(), "INSERT INTO t(v) VALUES ('a'), ('b') RETURNING id, v")
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Close(); err != nil { // before the first row: everything is done all the same
		t.Fatal(err)
	}
	if n := one[int](t, db, "SELECT count(*) FROM t WHERE v IN ('a', 'b')"); n != 2 {
		t.Errorf("%d rows of a RETURNING whose rows nobody read", n)
	}
}

// TestSavepoints nests them in a transaction of database/sql and on a
// connection.
func TestSavepoints(t *testing.T) {
	db := open(t)
	mustExec(t, db, "CREATE TABLE t (a)")
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			if _, err := conn.ExecContext(t.Context(), text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	}
	run("SAVEPOINT a", "INSERT INTO t VALUES (1)", "SAVEPOINT b", "INSERT INTO t VALUES (2)", "SAVEPOINT B", "INSERT INTO t VALUES (3)",
		"ROLLBACK TO b", "INSERT INTO t VALUES (4)", "RELEASE b", "ROLLBACK TO SAVEPOINT b", "INSERT INTO t VALUES (5)")
	if got := one[string](t, conn, "SELECT group_concat(a) FROM t"); got != "1,5" {
		t.Errorf("inside: %s", got)
	}
	run("RELEASE SAVEPOINT a") // the first one began the transaction: it ends it
	if got := one[string](t, db, "SELECT group_concat(a) FROM t"); got != "1,5" {
		t.Errorf("outside: %s", got)
	}
	for _, text := range []string{"RELEASE a", "ROLLBACK TO nothing", "COMMIT", "ROLLBACK"} {
		if _, err := conn.ExecContext(t.Context(), text); code(err) != 1 {
			t.Errorf("%s without a transaction: %v", text, err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// TestManyPools has pools over one directory in one process, opened and closed
// while others write.
func TestManyPools(t *testing.T) {
	db, dsn := openWith(t, "")
	mustExec(t, db, "CREATE TABLE t (pool INT, n INT)")
	var wg sync.WaitGroup
	for p := range 6 {
		wg.Go(func() {
			for n := range 5 {
				own, err := stdsql.Open("byokdb", dsn)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = own.ExecContext(t.Context(), "INSERT INTO t VALUES (?, ?)", p, n)
				if err := errors.Join(err, own.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := one[int](t, db, "SELECT count(*) FROM t"); n != 30 {
		t.Errorf("%d rows, want 30", n)
	}
}

func ExampleNewConnector() {
	ctx := context.Background()
	key, err := keyuri.Open(ctx, "local:example.key")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = func() (*stdsql.DB, error) { // on an engine that the program has open anyway
		eng, err := engine.Open(ctx, "example.byok", key, nil)
		if err != nil {
			return nil, err
		}
		c := bsql.NewConnector(eng)
		c.ForeignKeys = true
		return stdsql.OpenDB(c), nil
	}
	fmt.Println(key.Close())
	// Output: <nil>
}
