package sql_test

import (
	stdsql "database/sql"
	"path/filepath"
	"testing"
)

// TestVacuumInto: the copy is a database that opens by its directory alone.
func TestVacuumInto(t *testing.T) {
	db := open(t)
	mustExec(t, db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
	mustExec(t, db, "INSERT INTO t(v) VALUES (?), (?)", "a", "b")
	to := filepath.Join(t.TempDir(), "copy.byok")
	mustExec(t, db, "VACUUM INTO ?", to)
	mustExec(t, db, "DELETE FROM t; VACUUM")
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "VACUUM"); err == nil {
		t.Error("VACUUM in a transaction")
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	copied, err := stdsql.Open("byokdb", to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}()
	var n int
	var state string
	if err := copied.QueryRowContext(t.Context(), "SELECT count(*), (SELECT integrity_check FROM pragma_integrity_check) FROM t").Scan(&n, &state); err != nil {
		t.Fatal(err)
	}
	if n != 2 || state != "ok" {
		t.Errorf("the copy has %d rows, and is %s", n, state)
	}
}
