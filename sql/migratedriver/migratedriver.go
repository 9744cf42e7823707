// Package migratedriver lets golang-migrate work on byokdb. It is a module of
// its own, so that golang-migrate is a dependency only of programs that use it.
//
//	d, err := migratedriver.WithInstance(db, migratedriver.Config{})
//	m, err := migrate.NewWithInstance("iofs", source, "byokdb", d)
//
// As a URL, with the data source name behind the scheme:
//
//	byokdb://orders.byok?key=local:dev.key&x-migrations-table=versions
package migratedriver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/golang-migrate/migrate/v4/database"

	bsql "github.com/byokdb/byokdb/sql"
)

// TableDefault is the table that holds the version if Config names none.
const TableDefault = "schema_migrations"

// scheme is that of URLs, and the name under which the driver is registered.
const scheme = "byokdb"

func init() { //nolint:gochecknoinits // how golang-migrate learns of drivers
	database.Register(scheme, &Driver{})
}

// Config says how to keep the version. The zero value is ready.
type Config struct {
	Table string // that holds the version; TableDefault when empty
}

// Driver runs migrations on one database. Each migration is one transaction:
// after an error nothing of it remains, and the version is marked as dirty, as
// golang-migrate does for every database.
type Driver struct {
	db     *sql.DB
	table  string // quoted
	owned  bool
	locked atomic.Bool
}

var _ database.Driver = (*Driver)(nil)

// WithInstance returns a driver on an open database, which stays the caller's
// to close.
func WithInstance(db *sql.DB, c Config) (*Driver, error) {
	if c.Table == "" {
		c.Table = TableDefault
	}
	d := &Driver{db: db, table: quote(c.Table)}
	_, err := db.ExecContext(context.Background(), "CREATE TABLE IF NOT EXISTS "+d.table+" (version INTEGER NOT NULL, dirty BOOLEAN NOT NULL)")
	if err != nil {
		return nil, fmt.Errorf("make the table of the version: %w", err)
	}
	return d, nil
}

// Open is called by golang-migrate with the URL of a database.
func (d *Driver) Open(rawURL string) (database.Driver, error) {
	dsn, ok := strings.CutPrefix(rawURL, scheme+"://")
	if !ok {
		return nil, fmt.Errorf("the URL of a database begins with %s://", scheme)
	}
	dsn, c, err := splitConfig(dsn)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(bsql.DriverName, dsn)
	if err != nil {
		return nil, err
	}
	out, err := WithInstance(db, c)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	out.owned = true
	return out, nil
}

// splitConfig takes the parameters of golang-migrate, x-…, out of a data source
// name.
func splitConfig(dsn string) (string, Config, error) {
	dir, query, _ := strings.Cut(dsn, "?")
	var c Config
	var rest []string
	for part := range strings.SplitSeq(query, "&") {
		name, text, _ := strings.Cut(part, "=")
		if !strings.HasPrefix(name, "x-") {
			if part != "" {
				rest = append(rest, part)
			}
			continue
		}
		value, err := url.QueryUnescape(text)
		switch {
		case err != nil:
			return "", c, fmt.Errorf("parameter %s: %w", name, err)
		case name == "x-migrations-table":
			c.Table = value
		default:
			return "", c, fmt.Errorf("unknown parameter %q; there is x-migrations-table", name)
		}
	}
	if len(rest) > 0 {
		dir += "?" + strings.Join(rest, "&")
	}
	return dir, c, nil
}

// Close closes what Open opened.
func (d *Driver) Close() error {
	if !d.owned {
		return nil
	}
	return d.db.Close()
}

// Lock keeps others that use this Driver away. Other processes cannot open the
// database at the same time; other Drivers of this process are not kept away.
func (d *Driver) Lock() error {
	if !d.locked.CompareAndSwap(false, true) {
		return database.ErrLocked
	}
	return nil
}

// Unlock ends Lock.
func (d *Driver) Unlock() error {
	if !d.locked.CompareAndSwap(true, false) {
		return database.ErrNotLocked
	}
	return nil
}

// Run runs the statements of a migration, all of them or none.
func (d *Driver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return fmt.Errorf("read migration: %w", err)
	}
	err = d.change(func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, string(text))
		return err
	})
	if err != nil {
		return &database.Error{OrigErr: err, Err: "migration failed", Query: text, Line: lineOf(text, err)}
	}
	return nil
}

// lineOf returns the line of an error that knows its place, 0 for others.
func lineOf(text []byte, err error) uint {
	e, ok := errors.AsType[*bsql.Error](err)
	if !ok || e.Offset < 0 || e.Offset > len(text) {
		return 0
	}
	return uint(strings.Count(string(text[:e.Offset]), "\n")) + 1
}

// SetVersion keeps the version; -1 stands for none.
func (d *Driver) SetVersion(version int, dirty bool) error {
	err := d.change(func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+d.table); err != nil { //nolint:gosec // the name is quoted
			return err
		}
		if version < 0 && !dirty {
			return nil
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO "+d.table+" (version, dirty) VALUES (?, ?)", version, dirty) //nolint:gosec // the name is quoted
		return err
	})
	if err != nil {
		return fmt.Errorf("keep version %d: %w", version, err)
	}
	return nil
}

// Version returns the version, -1 when there is none.
func (d *Driver) Version() (version int, dirty bool, err error) {
	err = d.db.QueryRowContext(context.Background(), "SELECT version, dirty FROM "+d.table+" LIMIT 1").Scan(&version, &dirty)
	if errors.Is(err, sql.ErrNoRows) {
		return database.NilVersion, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the version: %w", err)
	}
	return version, dirty, nil
}

// Drop drops every view and table, in one transaction.
func (d *Driver) Drop() (err error) {
	ctx := context.Background()
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Tables that refer to one another go in any order. The pragma ends with the
	// connection's use.
	var enforced bool
	if err := conn.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&enforced); err != nil {
		return err
	}
	if enforced {
		if _, err := conn.ExecContext(ctx, "PRAGMA foreign_keys = OFF"); err != nil {
			return err
		}
		defer func() {
			_, on := conn.ExecContext(ctx, "PRAGMA foreign_keys = ON")
			err = errors.Join(err, on)
		}()
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := dropAll(ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func dropAll(ctx context.Context, tx *sql.Tx) (err error) {
	rows, err := tx.QueryContext(ctx, `SELECT type, name FROM sqlite_master
		WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY type DESC`)
	if err != nil {
		return err
	}
	var texts []string
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return errors.Join(err, rows.Close())
		}
		texts = append(texts, "DROP "+kind+" "+quote(name))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, text := range texts {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// change runs fn in a transaction.
func (d *Driver) change(fn func(ctx context.Context, tx *sql.Tx) error) error {
	ctx := context.Background()
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
