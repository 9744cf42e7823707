package engines

import (
	"context"
	stdsql "database/sql"
	"errors"
	"path/filepath"

	"github.com/byokdb/byokdb/bench/peers/work"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// SQL is byokdb for work in SQL.
func SQL() work.SQLEngine { return work.SQLEngine{Name: "byokdb", Encrypted: true, Open: openSQL} }

func openSQL(dir string, cache int64) (*stdsql.DB, func() error, error) {
	ctx := context.Background()
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		return nil, nil, err
	}
	eng, err := engine.Open(ctx, filepath.Join(dir, "db.byok"), key, &engine.Options{CacheSize: cache})
	if err != nil {
		return nil, nil, errors.Join(err, key.Close())
	}
	db := stdsql.OpenDB(bsql.NewConnector(eng))
	db.SetMaxOpenConns(1)
	return db, func() error { return errors.Join(db.Close(), eng.Close(), key.Close()) }, nil
}
