package sql_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/timebubble"
	bsql "github.com/byokdb/byokdb/sql"
	"github.com/byokdb/byokdb/sql/ingest"
)

// What SQL has under way when the key goes. Statements that take a step at a time
// run in a bubble, through every event; endless ones run in real time, and
// nothing but the key can end them.

// switchKey is a key that a test takes away.
type switchKey struct {
	crypt.Provider
	class atomic.Uint32 // crypt.Class
	hung  atomic.Bool
}

func (k *switchKey) Unwrap(ctx context.Context, w crypt.Wrapped, c crypt.Context) (*crypt.Secret, crypt.Receipt, error) {
	if k.hung.Load() {
		<-ctx.Done()
		return nil, crypt.Receipt{}, &crypt.ProviderError{Class: crypt.ClassUnreachable, Op: "unwrap", Err: ctx.Err()}
	}
	if class := crypt.Class(k.class.Load()); class != crypt.ClassNone {
		return nil, crypt.Receipt{}, &crypt.ProviderError{Class: class, Op: "unwrap", Code: "FakeException"}
	}
	return k.Provider.Unwrap(ctx, w, c)
}

func (k *switchKey) away()  { k.class.Store(uint32(crypt.ClassDenied)) }
func (k *switchKey) there() { k.class.Store(uint32(crypt.ClassNone)); k.hung.Store(false) }

// sqlRig is a database with a table t of a thousand rows.
type sqlRig struct {
	t     *testing.T
	key   *switchKey
	eng   *engine.DB
	db    *stdsql.DB
	event string // what happens, of TestSQLInFlight
	tmp   string // the directory of temporary files
}

const sqlRows = 1000

func newSQLRig(t *testing.T, p engine.Policy) *sqlRig {
	t.Helper()
	dir := t.TempDir()
	local, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	x := &sqlRig{t: t, key: &switchKey{Provider: local}}
	if x.eng, err = engine.Open(t.Context(), filepath.Join(dir, "d.byok"), x.key, &engine.Options{Policy: p}); err != nil {
		t.Fatal(err)
	}
	c := bsql.NewConnector(x.eng)
	c.StatementMemory = 1 << 20 // what is large is in temporary files
	x.db, x.tmp = stdsql.OpenDB(c), filepath.Join(dir, "d.byok", "tmp")
	t.Cleanup(func() {
		if err := x.db.Close(); err != nil {
			t.Error(err)
		}
		if err := x.eng.Close(); err != nil && !errors.Is(err, engine.ErrClosed) {
			t.Error(err)
		}
	})
	mustExec(t, x.db, `create table t (a integer primary key, b text)`)
	mustExec(t, x.db, `with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
		insert into t select i, 'row ' || i from n`, sqlRows)
	return x
}

// await waits for a state of the key.
func (x *sqlRig) await(want engine.State) {
	x.t.Helper()
	for i := 0; x.eng.Status().Key.State != want; i++ {
		if i == 2000 {
			x.t.Fatalf(x.event+": the key never is %v", want)
		}
		time.Sleep(x.eng.Status().Key.Policy.ProbeInterval / 20)
	}
	for want == engine.Active && x.eng.Check() != nil {
		time.Sleep(time.Millisecond)
	}
}

func (x *sqlRig) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *sqlRig) count(where string) (n int) {
	x.t.Helper()
	x.must(x.db.QueryRowContext(x.t.Context(), `select count(*) from t where `+where).Scan(&n))
	return n
}

// isKeyError reports whether database/sql let the key's error through, whole.
func isKeyError(err error) bool {
	var ke *engine.KeyError
	var se *bsql.Error
	return errors.Is(err, engine.ErrKeyUnavailable) && errors.As(err, &ke) && ke.State != engine.Active &&
		errors.As(err, &se) && se.Code == 23 // SQLITE_AUTH
}

// sqlFlight is something under way: a step of it, and its end, which returns how
// many rows with b = 'new' were promised.
type sqlFlight struct {
	step func() error
	over func() (promised int)
}

// spilled begins a query of 30,000 rows that does not fit into memory.
func spilled(query string) func(x *sqlRig) sqlFlight {
	return func(x *sqlRig) sqlFlight {
		rows, err := x.db.QueryContext(x.t.Context(), `with v as materialized (select a, b from t limit 30) `+query)
		x.must(err)
		if !rows.Next() {
			x.t.Fatal(rows.Err())
		}
		if len(x.spillFiles()) == 0 {
			x.t.Errorf("%s: nothing is in a file", query)
		}
		return sqlFlight{step: func() error {
			for range 700 { // more than a block has
				if !rows.Next() {
					return rows.Err()
				}
			}
			return nil
		}, over: func() int {
			err := rows.Close()
			if names := x.spillFiles(); len(names) > 0 {
				x.t.Errorf("%s: files are left: %v", x.event, names)
			}
			return nothingPromised(err)
		}}
	}
}

func (x *sqlRig) spillFiles() []string {
	names, err := filepath.Glob(filepath.Join(x.tmp, "*"))
	x.must(err)
	return names
}

func nothingPromised(err ...error) int {
	_ = err
	return 0
}

var sqlFlights = []struct {
	name    string
	resumes bool // it goes on when the key is back before the wipe
	fresh   bool // each step is an operation of its own
	begin   func(x *sqlRig) sqlFlight
}{
	{name: "rows", resumes: false, begin: func(x *sqlRig) sqlFlight {
		rows, err := x.db.QueryContext(x.t.Context(), `select a, b from t order by a`)
		x.must(err)
		n := 0
		f := sqlFlight{step: func() error {
			var a int
			var b string
			if !rows.Next() {
				if rows.Err() == nil {
					x.t.Error("rows end without an error")
				}
				return rows.Err()
			}
			n++
			if err := rows.Scan(&a, &b); err != nil || a != n || b != fmt.Sprintf("row %d", n) {
				x.t.Errorf(x.event+": row %d is %d, %q, %v", n, a, b, err)
			}
			return nil
		}, over: func() int { return nothingPromised(rows.Close()) }}
		x.must(f.step())
		return f
	}},
	{name: "sorted rows", begin: func(x *sqlRig) sqlFlight {
		rows, err := x.db.QueryContext(x.t.Context(), `select b from t order by b desc, a`)
		x.must(err)
		if !rows.Next() {
			x.t.Fatal(rows.Err())
		}
		return sqlFlight{step: func() error {
			if rows.Next() {
				return nil
			}
			return rows.Err()
		}, over: func() int { return nothingPromised(rows.Close()) }}
	}},
	{name: "spilled rows", begin: spilled(`select t.b, v.b from t, v order by t.b || v.b`)},
	{name: "spilled groups", begin: spilled(`select t.b || v.b, count(*) from t, v group by 1`)},
	{name: "spilled distinct rows", begin: spilled(`select distinct t.b || v.b as c from t, v limit 20000, 8000`)},
	{name: "spilled partition", begin: spilled(`select count(*) over (order by t.b, v.b rows 9 preceding), lag(t.b || v.b, 3000) over (order by t.b, v.b) from t, v`)},
	{name: "spilled set", begin: spilled(`select t.b || v.b from t, v where t.b || v.b in (select t.b || v.b from t, v)`)},
	{name: "spilled recursion", begin: spilled(`select * from (with recursive n(b) as (select t.b || v.b from t, v union select b || '+' from n where b < 'row 2' and length(b) < 30 order by 1) select b from n)`)},
	{name: "spilled returned rows", begin: func(x *sqlRig) sqlFlight {
		rows, err := x.db.QueryContext(x.t.Context(), `with recursive n(i) as (select 1 union all select i + 1 from n where i < 4000)
			insert into t (b) select 'new' from n returning b, printf('%0100d', a)`)
		x.must(err)
		if !rows.Next() || len(x.spillFiles()) == 0 {
			x.t.Fatal(rows.Err(), x.spillFiles())
		}
		return sqlFlight{step: func() error {
			for range 700 {
				if !rows.Next() {
					return rows.Err()
				}
			}
			return nil
		}, over: func() int {
			_ = rows.Close()
			if names := x.spillFiles(); len(names) > 0 {
				x.t.Errorf("%s: files are left: %v", x.event, names)
			}
			return 4000
		}}
	}},
	{name: "windowed rows", begin: func(x *sqlRig) sqlFlight {
		rows, err := x.db.QueryContext(x.t.Context(), `select b, lag(b) over w, group_concat(b) over w from t window w as (order by a)`)
		x.must(err)
		if !rows.Next() {
			x.t.Fatal(rows.Err())
		}
		return sqlFlight{step: func() error {
			if rows.Next() {
				return nil
			}
			return rows.Err()
		}, over: func() int { return nothingPromised(rows.Close()) }}
	}},
	{name: "returned rows", begin: func(x *sqlRig) sqlFlight {
		rows, err := x.db.QueryContext(x.t.Context(), `insert into t (b) values ('new'), ('new'), ('new') returning b`)
		x.must(err)
		if !rows.Next() {
			x.t.Fatal(rows.Err())
		}
		return sqlFlight{step: func() error {
			if rows.Next() {
				return nil
			}
			return rows.Err()
		}, over: func() int { _ = rows.Close(); return 3 }}
	}},
	{name: "prepared statement", resumes: true, fresh: true, begin: func(x *sqlRig) sqlFlight {
		st, err := x.db.PrepareContext(x.t.Context(), `select b from t where a = ?`)
		x.must(err)
		step := func() error {
			var b string
			err := st.QueryRowContext(x.t.Context(), 7).Scan(&b)
			if err == nil && b != "row 7" {
				x.t.Errorf(x.event+": it reads %q", b)
			}
			return err
		}
		x.must(step())
		return sqlFlight{step: step, over: func() int { return nothingPromised(st.Close()) }}
	}},
	{name: "insert in a transaction", resumes: true, begin: func(x *sqlRig) sqlFlight {
		tx, err := x.db.BeginTx(x.t.Context(), nil)
		x.must(err)
		n := 0
		step := func() error {
			_, err := tx.ExecContext(x.t.Context(), `insert into t (b) values ('new'), ('new')`)
			if err == nil {
				n += 2
			}
			return err
		}
		x.must(step())
		return sqlFlight{step: step, over: func() int {
			if tx.Commit() != nil {
				return 0
			}
			return n
		}}
	}},
	{name: "commit", begin: func(x *sqlRig) sqlFlight {
		tx, err := x.db.BeginTx(x.t.Context(), nil)
		x.must(err)
		_, err = tx.ExecContext(x.t.Context(), `insert into t (b) values ('new')`)
		x.must(err)
		done, promised := false, 0
		return sqlFlight{step: func() error {
			if !done {
				if done, err = true, tx.Commit(); err == nil {
					promised = 1
				}
			}
			return err
		}, over: func() int { return promised }}
	}},
	{name: "insert", resumes: true, fresh: true, begin: func(x *sqlRig) sqlFlight {
		n := 0
		return sqlFlight{step: func() error {
			_, err := x.db.ExecContext(x.t.Context(), `insert into t (b) values ('new')`)
			if err == nil {
				n++
			}
			return err
		}, over: func() int { return n }}
	}},
	{name: "insert waits for the writer", begin: func(x *sqlRig) sqlFlight {
		tx, err := x.db.BeginTx(x.t.Context(), nil)
		x.must(err)
		conn, err := x.db.Conn(x.t.Context())
		x.must(err)
		_, err = conn.ExecContext(x.t.Context(), `pragma busy_timeout = 86400000`)
		x.must(err)
		done := make(chan error, 1)
		go func() {
			_, err := conn.ExecContext(x.t.Context(), `insert into t (b) values ('never')`)
			done <- err
		}()
		var ended error
		return sqlFlight{step: func() error {
			if ended == nil {
				ended = <-done
			}
			return ended
		}, over: func() int { return nothingPromised(tx.Rollback(), conn.Close()) }}
	}},
	{name: "text transaction", resumes: true, begin: func(x *sqlRig) sqlFlight {
		conn, err := x.db.Conn(x.t.Context())
		x.must(err)
		for _, text := range []string{`begin`, `insert into t (b) values ('never')`, `savepoint s`} {
			_, err := conn.ExecContext(x.t.Context(), text)
			x.must(err)
		}
		return sqlFlight{step: func() error {
			_, err := conn.ExecContext(x.t.Context(), `insert into t (b) values ('never')`)
			return err
		}, over: func() int {
			// Whatever has become of it, ROLLBACK leaves it, and the connection serves
			// again when the key does.
			if _, err := conn.ExecContext(context.Background(), `rollback`); err != nil && !isKeyError(err) && x.eng.Check() == nil {
				x.t.Errorf(x.event+": rollback: %v", err)
			}
			if x.eng.Check() == nil {
				var n int
				if err := conn.QueryRowContext(context.Background(), `select count(*) from t where b = 'never'`).Scan(&n); err != nil || n != 0 {
					x.t.Errorf(x.event+": after the rollback: %d rows, %v", n, err)
				}
			}
			return nothingPromised(conn.Close())
		}}
	}},
}

func TestSQLInFlight(t *testing.T) {
	timebubble.Parallel(t)
	if len(sqlFlights) == 0 {
		t.Fatal("nothing is under way")
	}
	for _, c := range sqlFlights {
		t.Run(c.name, func(t *testing.T) {
			timebubble.Parallel(t)
			timebubble.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				x := newSQLRig(t, engine.Policy{Deadline: 3 * time.Minute})
				promised := 0
				for _, x.event = range []string{"denied", "lease ran out", "back unnoticed", "paused", "closed"} {
					f := c.begin(x)
					synctest.Wait()
					promised += x.happens(c.resumes, c.fresh, f)
					if x.event == "closed" {
						return
					}
					if n := x.count("b = 'new'"); n != promised {
						t.Errorf("%s: %d rows are there, %d were promised", x.event, n, promised)
					}
					if n := x.count("b like 'row %'"); n != sqlRows || x.count("b = 'never'") != 0 {
						t.Errorf("%s: %d rows of %d", x.event, n, sqlRows)
					}
					x.must(x.eng.Verify(t.Context()))
				}
			})
		})
	}
}

// happens lets an event happen to a flight, and ends it with the key there.
func (x *sqlRig) happens(resumes, fresh bool, f sqlFlight) (promised int) {
	x.t.Helper()
	waits := !resumes && !fresh
	switch x.event {
	case "denied", "lease ran out":
		if x.key.hung.Store(x.event != "denied"); x.event == "denied" {
			x.key.away()
		}
		x.await(engine.Suspended)
		x.refused(f)
		x.key.there()
		x.await(engine.Active)
		if err := f.step(); resumes && err != nil {
			x.t.Errorf(x.event+": it does not go on with the key: %v", err)
		}
		return f.over()
	case "back unnoticed":
		x.key.away()
		x.await(engine.Suspended)
		x.key.there()
		x.await(engine.Active)
		if err := f.step(); err != nil && (!waits || !isKeyError(err)) {
			x.t.Errorf(x.event+": the key is back and nobody had looked: %v", err)
		}
		return f.over()
	case "paused":
		x.key.away()
		x.await(engine.Paused)
		time.Sleep(time.Second)
		x.refused(f)
		if !fresh { // a transaction of before keeps the writer until it is ended
			promised = f.over()
		}
		x.key.there()
		x.await(engine.Active)
		if err := f.step(); fresh != (err == nil) {
			x.t.Errorf(x.event+": after a wipe of memory: %v", err)
		}
		if fresh {
			promised = f.over()
		}
		return promised
	default:
		x.must(x.eng.Close())
		if err := f.step(); !errors.Is(err, engine.ErrClosed) {
			x.t.Errorf(x.event+": it ends with %v", err)
		}
		return f.over()
	}
}

// refused checks that something ends with the key's error at the first step but
// one: database/sql may have a row in its hands.
func (x *sqlRig) refused(f sqlFlight) {
	x.t.Helper()
	err := f.step()
	if err == nil {
		err = f.step()
	}
	if !isKeyError(err) {
		x.t.Fatalf(x.event+": it ends with %v", err)
	}
}

// endless is a table without an end.
const endless = `with recursive n(i) as (select 1 union all select i + 1 from n) `

// shortPolicy notices soon, and leaves a busy machine time to probe.
var shortPolicy = engine.Policy{ProbeInterval: 100 * time.Millisecond, ProbeTimeout: 5 * time.Second, Deadline: time.Hour}

// manyA is a text with which a comparison by LIKE takes seconds, and one by GLOB.
const manyA = `replace(hex(zeroblob(24000)), '0', 'a')`

// TestKeyEndsEndlessStatements: nothing but the key ends them.
func TestKeyEndsEndlessStatements(t *testing.T) {
	for i, query := range []string{
		endless + `select count(*) from n`,
		endless + `select i from n where i < 0`,
		endless + `select i from n where i % 100000 = 0 order by i desc`,
		endless + `select i % 3, sum(i) from n group by 1`,
		endless + `select i, 'spilled ' || i from n order by -i`,
		endless + `select i, count(*) from n group by 1`,
		endless + `select distinct i from n limit -1 offset 1000000000`,
		endless + `select 7 except select i from n`,
		endless + `select row_number() over (order by i) from n`,
		endless + `select 'none' in (select i || 'th' from n)`,
		endless + `select (1, 'none') in (select i, 'a text ' || i from n)`,
		`with recursive n(i, s) as (select 1, 's' union select i + 1, 'a text ' || i from n) select count(*) from n`,
		`with recursive n(i, s) as (select 1, 's' union select i * 2 + column1, 'a text ' || i from n, (values (0), (1)) order by 1) select count(*) from n`,
		endless + `select t.a from t, (select i from n limit -1) m where m.i = t.a`,
		`select count(*) from t a, t b, t c, t d where a.b < b.b or c.b > d.b`,
		endless + `insert into t (b) select 'never' from n where i % 1000 = 0`,
		endless + `update t set b = 'never' where a = (select count(*) from n)`,
		`select count(*) from t where b || ` + manyA + ` like '%' || ` + manyA + ` || 'b'`,
		`select count(*) from t where a in (5, 3, 9, 1) and ` + manyA + ` || b like '%' || ` + manyA + ` || 'b'`,
		`update t set b = 'never' where ` + manyA + ` || b glob '*' || ` + manyA + ` || 'b'`,
	} {
		for _, inTx := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/%v", i, inTx), func(t *testing.T) {
				x := newSQLRig(t, shortPolicy)
				conn, err := x.db.Conn(t.Context())
				x.must(err)
				if inTx {
					_, err := conn.ExecContext(t.Context(), `begin; insert into t (b) values ('new')`)
					x.must(err)
				}
				done := make(chan error, 1)
				go func() {
					rows, err := conn.QueryContext(t.Context(), query)
					if err == nil {
						for rows.Next() {
						}
						err = errors.Join(rows.Err(), rows.Close())
					}
					done <- err
				}()
				x.key.away()
				if err := <-done; !isKeyError(err) {
					t.Errorf("%s: it ends with %v", query, err)
				}
				if names := x.spillFiles(); len(names) > 0 {
					t.Errorf("%s: files are left: %v", query, names)
				}
				x.key.there()
				x.await(engine.Active)
				want := 0
				if inTx { // the statement is undone, and the transaction goes on
					want = 1
					_, err := conn.ExecContext(t.Context(), `commit`)
					x.must(err)
				}
				x.must(conn.Close())
				if n, never := x.count("b = 'new'"), x.count("b = 'never'"); n != want || never != 0 {
					t.Errorf("%d rows of the transaction, %d of a statement that failed", n, never)
				}
			})
		}
	}
}

// endlessNDJSON is a stream without an end.
type endlessNDJSON struct{ n int }

func (r *endlessNDJSON) Read(p []byte) (int, error) {
	n := 0
	for {
		line := fmt.Sprintf("{\"a\": %d, \"b\": \"new\"}\n", sqlRows+1+r.n)
		if n+len(line) > len(p) {
			if n == 0 {
				return 0, io.ErrShortBuffer
			}
			return n, nil
		}
		n += copy(p[n:], line)
		r.n++
	}
}

// TestKeyEndsIngest: the error says how far it got, and that is what is there.
func TestKeyEndsIngest(t *testing.T) {
	x := newSQLRig(t, shortPolicy)
	began := make(chan struct{})
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		_, err := ingest.Ingest(t.Context(), x.db, "t", &endlessNDJSON{}, ingest.Options{
			BatchRows: 100, Progress: func(int64, int64) { once.Do(func() { close(began) }) },
		})
		done <- err
	}()
	<-began
	x.key.away()
	err := <-done
	var ie *ingest.Error
	if !isKeyError(err) || !errors.As(err, &ie) {
		t.Fatalf("it ends with %v", err)
	}
	x.key.there()
	x.await(engine.Active)
	if n := x.count("b = 'new'"); int64(n) != ie.RowsDurable || n == 0 {
		t.Errorf("%d rows are there, the error says %d", n, ie.RowsDurable)
	}
}

// TestKeyEndsPool has many connections at work, half of them with a context that
// ends at the same time.
func TestKeyEndsPool(t *testing.T) {
	x := newSQLRig(t, shortPolicy)
	for round := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var promised atomic.Int64
		ready := make(chan struct{}, 16)
		for w := range 16 {
			wg.Go(func() {
				use := t.Context()
				if w%2 == 1 {
					use = ctx
				}
				for i := 0; ; i++ {
					var err error
					if w < 4 {
						if _, err = x.db.ExecContext(use, `insert into t (b) values (?)`, fmt.Sprintf("pool %d", round)); err == nil {
							promised.Add(1)
						}
					} else {
						var n int
						err = x.db.QueryRowContext(use, `select count(*) from t where b like 'row %'`).Scan(&n)
						if err == nil && n != sqlRows {
							t.Errorf("%d rows", n)
						}
					}
					if i == 0 {
						ready <- struct{}{}
					}
					if err != nil {
						if !isKeyError(err) && (w%2 == 0 || !errors.Is(err, context.Canceled)) {
							t.Errorf("worker %d ends with %v", w, err)
						}
						return
					}
				}
			})
		}
		for range 16 {
			<-ready
		}
		x.key.away()
		cancel()
		wg.Wait()
		x.key.there()
		x.await(engine.Active)
		n := int64(x.count(fmt.Sprintf("b = 'pool %d'", round)))
		// A commit may have been done when its context's end was seen.
		if n < promised.Load() || n > promised.Load()+2 {
			t.Errorf("%d rows are there, %d were promised", n, promised.Load())
		}
		if open := x.db.Stats().InUse; open != 0 {
			t.Errorf("%d connections stay in use", open)
		}
	}
	x.must(x.eng.Verify(t.Context()))
}
