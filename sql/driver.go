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
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

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

// OpenConnector parses a data source name: DIR[?key=URI&foreign_keys=1]. The key
// is needed where the database does not exist yet; an existing one remembers its
// own. A key never travels in a name as bytes, only as a URI. Foreign keys are
// enforced if foreign_keys is 1, on or true. Unknown parameters are errors.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	dir, query, _ := strings.Cut(dsn, "?")
	if dir == "" {
		return nil, errors.New("byokdb: the data source name begins with the database's directory")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("byokdb: %w", err)
	}
	c := &dsnConnector{d: d, dir: dir, turn: newTurn()}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("byokdb: the parameters of the data source name do not parse; escape & and ; in the key's URI")
	}
	for name, values := range params {
		if len(values) != 1 {
			return nil, fmt.Errorf("byokdb: the data source name has more than one %s", name)
		}
		if err := c.set(name, values[0]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// set takes one parameter of a data source name.
func (c *dsnConnector) set(name, value string) error {
	switch name {
	case "key":
		c.keyURI = value
		return nil
	case "foreign_keys":
		switch strings.ToLower(value) {
		case "1", "on", "true":
			c.foreignKeys = true
			return nil
		case "0", "off", "false":
			return nil
		}
		return fmt.Errorf("byokdb: foreign_keys in the data source name is %q; it may be 1 or 0", value)
	}
	return fmt.Errorf("byokdb: unknown parameter %q in the data source name; there are key and foreign_keys", name)
}

// dsnConnector opens the engine with its first connection and closes it when
// the sql.DB is closed.
type dsnConnector struct {
	d           *Driver
	dir, keyURI string
	foreignKeys bool

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
		s, err := c.d.engines.acquire(ctx, c.dir, c.keyURI)
		if err != nil {
			return nil, fmt.Errorf("byokdb: %w", numbered(err))
		}
		c.s = s
	}
	cn := newConn(c.s.db, c.s.eng)
	cn.s.SetForeignKeys(c.foreignKeys)
	return cn, nil
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

// Connector connects a sql.DB with an engine that the program has open.
type Connector struct {
	db  *exec.Database
	eng *engine.DB
}

// NewConnector returns a connector for sql.OpenDB. Closing the sql.DB leaves
// the engine open; close it after the sql.DB.
func NewConnector(db *engine.DB) *Connector {
	return &Connector{db: exec.NewDatabase(db), eng: db}
}

// Connect returns a new connection.
func (c *Connector) Connect(context.Context) (driver.Conn, error) { return newConn(c.db, c.eng), nil }

// Driver returns a driver that can open other databases.
func (c *Connector) Driver() driver.Driver { return &Driver{} }
