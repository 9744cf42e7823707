package ingest

import (
	"context"
	stdsql "database/sql"
	"path/filepath"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// openDB opens a new database, which is verified whole at the end.
func openDB(t *testing.T) *stdsql.DB {
	t.Helper()
	dir := t.TempDir()
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.Open(t.Context(), filepath.Join(dir, "db.byok"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := eng.Verify(context.Background()); err != nil {
			t.Error(err)
		}
		if err := eng.Close(); err != nil {
			t.Error(err)
		}
		if err := key.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
