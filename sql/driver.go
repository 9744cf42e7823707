// Package sql gives byokdb's SQL to Go programs: a driver for database/sql
// named "byokdb".
//
//	import _ "github.com/byokdb/byokdb/sql"
//
//	db, err := sql.Open("byokdb", "orders.byok?key=local:dev.key")
//
// A program that has the engine open already shares it: see [NewConnector].
package sql

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/exec"
)

// DriverName is the name under which the driver is registered.
const DriverName = "byokdb"

func init() { //nolint:gochecknoinits // how database/sql learns of drivers
	stdsql.Register(DriverName, &Driver{})
}

// Driver opens databases by data source name. All sql.DB of one Driver that
// name the same directory share one engine. Its zero value is ready.
type Driver struct{ engines registry }

// Open is for callers that know no connector; database/sql does.
func (d *Driver) Open(dsn string) (driver.Conn, error) {
	c, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	return c.Connect(context.Background())
}

// OpenConnector parses a data source name: DIR[?parameter=value&…], as
// docs/sql.md lists them. The key is needed where the database does not exist
// yet; an existing one remembers its own. A key never travels in a name as
// bytes, only as a URI. Unknown parameters are errors.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	dir, o, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	return &dsnConnector{d: d, dir: dir, o: o, turn: newTurn()}, nil
}

// dsnConnector opens the engine with its first connection and closes it when
// the sql.DB is closed.
type dsnConnector struct {
	d   *Driver
	dir string
	o   dsnOptions

	turn   turn // of who opens or closes
	s      *shared
	closed bool
}

// Connect returns a new connection. The first one waits for the KMS.
func (c *dsnConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.turn.take(ctx); err != nil {
		return nil, numbered(err)
	}
	defer c.turn.give()
	switch {
	case c.closed:
		return nil, numbered(engine.ErrClosed)
	case c.s == nil:
		s, err := c.d.engines.acquire(ctx, c.dir, c.o)
		if err != nil {
			return nil, fmt.Errorf("byokdb: %w", numbered(err))
		}
		c.s = s
	}
	return newConn(c.s.db, c.s.eng, c.o.session), nil
}

// Driver returns the driver.
func (c *dsnConnector) Driver() driver.Driver { return c.d }

// Close is called by sql.DB.Close.
func (c *dsnConnector) Close() error {
	_ = c.turn.take(context.Background()) // without an end there is no error
	defer c.turn.give()
	c.closed = true
	if c.s == nil {
		return nil
	}
	s := c.s
	c.s = nil
	return numbered(c.d.engines.release(s))
}

// Connector connects a sql.DB with an engine that the program has open. Its
// fields are what connections begin with; set them before the first one.
type Connector struct {
	ForeignKeys bool          // they are enforced, as PRAGMA foreign_keys = ON does
	BusyTimeout time.Duration // how long to wait for another writer; 5 s when 0, negative: not at all

	// StatementMemory is how many bytes a statement may hold to sort, group and
	// join before rows go to sealed temporary files; 256 MiB when 0, at least 1 MiB.
	StatementMemory int64

	db  *exec.Database
	eng *engine.DB
}

// NewConnector returns a connector for sql.OpenDB. Closing the sql.DB leaves
// the engine open; close it after the sql.DB.
func NewConnector(db *engine.DB) *Connector {
	return &Connector{db: exec.NewDatabase(db), eng: db}
}

// Connect returns a new connection.
func (c *Connector) Connect(context.Context) (driver.Conn, error) {
	set := exec.Settings{ForeignKeys: c.ForeignKeys, BusyTimeout: c.BusyTimeout, StatementMemory: c.StatementMemory}
	return newConn(c.db, c.eng, set), nil
}

// Driver returns a driver that can open other databases.
func (c *Connector) Driver() driver.Driver { return &Driver{} }
