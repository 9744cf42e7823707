package sql

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// TestSpillErrors: errors of temporary files have SQLite's codes, and pass
// through.
func TestSpillErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		code sqlerr.Code
		text string
	}{
		{fmt.Errorf("%w: %w: write: %w", engine.ErrSpill, engine.ErrSpillFull, syscall.ENOSPC), sqlerr.Full, "database or disk is full"},
		{fmt.Errorf("%w: write: %w", engine.ErrSpill, syscall.EIO), sqlerr.IOErr, "disk I/O error"},
		{fmt.Errorf("%w: tmp/00000001.tmp", engine.ErrCorrupt), sqlerr.Corrupt, "database is malformed"},
	} {
		var e *Error
		if got := numbered(c.err); !errors.As(got, &e) || e.Code != c.code || e.Message != c.text || !errors.Is(got, c.err) {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}

// TestSpillFails: where no temporary file can be made, the statement that needs
// one is undone, and its transaction goes on.
func TestSpillFails(t *testing.T) {
	dir := t.TempDir()
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.Open(t.Context(), filepath.Join(dir, "d.byok"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := NewConnector(eng)
	c.StatementMemory = 1 << 20
	db := stdsql.OpenDB(c)
	t.Cleanup(func() {
		if err := errors.Join(db.Close(), eng.Close()); err != nil {
			t.Error(err)
		}
	})
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
	tmp := filepath.Join(dir, "d.byok", "tmp")
	if err := os.WriteFile(tmp, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := exec(big); !errors.As(err, &e) || e.Code != sqlerr.IOErr || !errors.Is(err, engine.ErrSpill) {
		t.Fatalf("error %v", err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 1 {
		t.Fatalf("%d rows, %v", n, err)
	}
	if err := errors.Join(os.Remove(tmp), exec(big), tx.Commit()); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n); err != nil || n != 30001 {
		t.Fatalf("%d rows, %v", n, err)
	}
}
