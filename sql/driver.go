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
	"sync"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/exec"
)

// DriverName is the name under which the driver is registered.
const DriverName = "byokdb"

func init() { //nolint:gochecknoinits // how database/sql learns of drivers
	stdsql.Register(DriverName, &Driver{})
}

// Driver opens databases by data source name. Its zero value is ready.
type Driver struct {
	mu   sync.Mutex
	open map[string]*shared // by absolute directory
}

// shared is an engine that several connections of this process use.
type shared struct {
	key  crypt.Provider
	eng  *engine.DB
	db   *exec.Database
	refs int
}

// Open is for callers that know no connector; database/sql does.
func (d *Driver) Open(dsn string) (driver.Conn, error) {
	c, err := d.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	return c.Connect(context.Background())
}

// OpenConnector parses a data source name: DIR[?key=URI]. The key is needed
// where the database does not exist yet; an existing one remembers its own. A
// key never travels in a name as bytes, only as a URI. Unknown parameters are
// errors.
func (d *Driver) OpenConnector(dsn string) (driver.Connector, error) {
	dir, query, _ := strings.Cut(dsn, "?")
	if dir == "" {
		return nil, errors.New("byokdb: the data source name begins with the database's directory")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("byokdb: %w", err)
	}
	c := &dsnConnector{d: d, dir: dir}
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("byokdb: the parameters of the data source name do not parse; escape & and ; in the key's URI")
	}
	for name, values := range params {
		switch {
		case name != "key":
			return nil, fmt.Errorf("byokdb: unknown parameter %q in the data source name; there is key", name)
		case len(values) != 1:
			return nil, errors.New("byokdb: the data source name has more than one key")
		}
		c.keyURI = values[0]
	}
	return c, nil
}

// acquire opens a directory's engine, or shares the open one.
func (d *Driver) acquire(ctx context.Context, dir, keyURI string) (*shared, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.open[dir]; s != nil {
		s.refs++
		return s, nil
	}
	if keyURI == "" {
		info, err := engine.Stat(dir)
		if err != nil {
			return nil, fmt.Errorf("byokdb: no key in the data source name: %w", err)
		}
		keyURI = info.KeyURI
	}
	key, err := keyuri.Open(ctx, keyURI)
	if err != nil {
		return nil, fmt.Errorf("byokdb: open key: %w", err)
	}
	eng, err := engine.Open(ctx, dir, key, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("byokdb: %w", err), key.Close())
	}
	s := &shared{key: key, eng: eng, db: exec.NewDatabase(eng), refs: 1}
	if d.open == nil {
		d.open = make(map[string]*shared)
	}
	d.open[dir] = s
	return s, nil
}

// release closes an engine after its last user.
func (d *Driver) release(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.open[dir]
	if s.refs--; s.refs > 0 {
		return nil
	}
	delete(d.open, dir)
	return errors.Join(s.eng.Close(), s.key.Close())
}

// dsnConnector opens the engine with its first connection and closes it when
// the sql.DB is closed.
type dsnConnector struct {
	d           *Driver
	dir, keyURI string

	mu     sync.Mutex
	s      *shared
	closed bool
}

// Connect returns a new connection.
func (c *dsnConnector) Connect(ctx context.Context) (driver.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, engine.ErrClosed
	case c.s == nil:
		s, err := c.d.acquire(ctx, c.dir, c.keyURI)
		if err != nil {
			return nil, err
		}
		c.s = s
	}
	return newConn(c.s.db, c.s.eng), nil
}

// Driver returns the driver.
func (c *dsnConnector) Driver() driver.Driver { return c.d }

// Close is called by sql.DB.Close.
func (c *dsnConnector) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed = true; c.s == nil {
		return nil
	}
	c.s = nil
	return c.d.release(c.dir)
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
