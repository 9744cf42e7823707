package main

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// database is an open database with its key and its database/sql handle.
type database struct {
	info *engine.Info
	key  crypt.Provider
	eng  *engine.DB
	sql  *stdsql.DB
}

// openDir opens the database in dir with the key that its catalog names.
func openDir(ctx context.Context, dir string) (*database, error) {
	info, err := engine.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.State == engine.Erased {
		return nil, fmt.Errorf("%s: %w", dir, engine.ErrErased)
	}
	key, err := keyuri.Open(ctx, info.KeyURI)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	eng, err := engine.Open(ctx, dir, key, &engine.Options{MustExist: true, MinPosition: minPositionOf(ctx)})
	if err != nil {
		return nil, errors.Join(err, key.Close())
	}
	return &database{info: info, key: key, eng: eng, sql: stdsql.OpenDB(bsql.NewConnector(eng))}, nil
}

// Close closes everything; the first call counts.
func (d *database) Close() error {
	if d.eng == nil {
		return nil
	}
	err := errors.Join(d.sql.Close(), d.eng.Close(), d.key.Close())
	d.eng = nil
	return err
}

// withDatabase opens dir, calls fn and closes.
func withDatabase(ctx context.Context, dir string, fn func(d *database) error) error {
	d, err := openDir(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(fn(d), d.Close())
}

// describe says an error so that a person knows what to do.
func describe(err error) string {
	if ke, ok := errors.AsType[*engine.KeyError](err); ok {
		err = ke // it says all, whatever was being done
	}
	text := printable(err.Error())
	if errors.Is(err, engine.ErrInUse) {
		return text + "; end that process, or ask through it"
	}
	return text
}

// stamp formats a time to the second, in the local zone.
func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// keyLabel shows a key; a development key is always marked as one.
func keyLabel(id string, development bool) string {
	if development {
		return printable(id) + " (development key: protects nothing)"
	}
	return printable(id)
}
