package engine_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/internal/vfs/memfs"
	bsql "github.com/byokdb/byokdb/sql"
)

// TestSpillErrorsInSQL: a full disk and a failing one end the statement that
// needs a temporary file, with SQLite's codes, at whatever call; transaction,
// connection and database go on.
func TestSpillErrorsInSQL(t *testing.T) {
	f := memfs.New(t.TempDir())
	if err := errors.Join(f.MkdirAll("/data"), f.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(t.TempDir(), "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	o := &engine.Options{}
	o.SetFS(f)
	eng, err := engine.Open(t.Context(), "/data/d.byok", key, o)
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close() //nolint:errcheck // the test closes it
	c := bsql.NewConnector(eng)
	c.StatementMemory = 1 << 20
	db := stdsql.OpenDB(c)
	defer db.Close() //nolint:errcheck // nothing to report
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string) error {
		_, err := tx.ExecContext(context.Background(), query)
		return err
	}
	if err := errors.Join(exec("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)"), exec("INSERT INTO t VALUES (1, 'kept')")); err != nil {
		t.Fatal(err)
	}
	const big = "INSERT INTO t(b) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT 'some text of a row ' || i FROM n ORDER BY 1 DESC"
	nFailed := 0
	for _, fault := range []struct {
		err  error
		code int
		text string
	}{{syscall.ENOSPC, 13, "database or disk is full"}, {syscall.EIO, 10, "disk I/O error"}} {
		for _, after := range []int64{0, 1, 2, 5, 20} {
			f.SetFault(&memfs.Fault{
				Err: fault.err, After: after, Short: true,
				Only: func(op memfs.Op, path string) bool { return op == memfs.OpWrite && strings.Contains(path, "/tmp/") },
			})
			err := exec(big)
			f.SetFault(nil)
			var se *bsql.Error
			if !errors.As(err, &se) || se.Code != fault.code || !strings.HasPrefix(se.Message, fault.text) || !errors.Is(err, fault.err) || errors.Is(err, engine.ErrFailed) {
				t.Fatalf("after %d: %v", after, err)
			}
			nFailed++
			if names, _ := f.Files("/data/d.byok/tmp"); len(names) != 0 {
				t.Errorf("files are left: %v", names)
			}
			var n int
			if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
				t.Fatalf("%d rows, %v", n, err)
			}
		}
	}
	if nFailed != 10 {
		t.Errorf("%d statements failed", nFailed)
	}
	if err := errors.Join(exec(big), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(eng.Verify(t.Context()), db.Close(), eng.Close()); err != nil {
		t.Fatal(err)
	}
}
