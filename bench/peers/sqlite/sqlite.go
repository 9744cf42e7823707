// Package sqlite opens SQLite through any of its bindings, for work in SQL and
// as an ordered key-value store. It imports none of them: some register the same
// name, or link the same C functions, and are in programs of their own.
package sqlite

import (
	stdsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/byokdb/byokdb/bench/peers/work"
)

// A Binding is one way to SQLite.
type Binding struct {
	Name      string
	Driver    string // registered with database/sql
	Encrypted bool
	Memory    bool
	Params    string   // of the data source name, from "?" on
	Pragmas   []string // after the data source name's, before those of all
}

// SQL returns the binding for work in SQL.
func (b Binding) SQL() work.SQLEngine {
	return work.SQLEngine{
		Name: b.Name, Encrypted: b.Encrypted, Volatile: b.Memory,
		Open: func(dir string, cache int64) (*stdsql.DB, func() error, error) {
			db, err := b.open(dir, cache)
			if err != nil {
				return nil, nil, err
			}
			return db, db.Close, nil
		},
	}
}

// Store returns the binding as a key-value store.
func (b Binding) Store() work.Engine {
	return work.Engine{
		Name: b.Name, Encrypted: b.Encrypted,
		Open: func(dir string, o work.Options) (work.Store, error) { return b.openStore(dir, o) },
	}
}

// open opens a database with one connection, which has the settings for as long
// as it lives: a commit that returned survives power loss.
func (b Binding) open(dir string, cache int64) (*stdsql.DB, error) {
	name := "file:" + filepath.Join(dir, "db.sqlite") + b.Params
	if b.Memory {
		name = "file::memory:"
	}
	db, err := stdsql.Open(b.Driver, name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	pragmas := append([]string{}, b.Pragmas...)
	if !b.Memory {
		pragmas = append(pragmas, "journal_mode = WAL", "synchronous = FULL")
	}
	pragmas = append(pragmas, fmt.Sprintf("cache_size = -%d", cache>>10), "temp_store = MEMORY")
	for _, p := range pragmas {
		if _, err := db.Exec("PRAGMA " + p); err != nil {
			return nil, errors.Join(fmt.Errorf("PRAGMA %s: %w", p, err), db.Close())
		}
	}
	if err := b.verify(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// verify refuses to measure a database that is not as it should be.
func (b Binding) verify(db *stdsql.DB) error {
	var mode string
	var sync int
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if err := db.QueryRow("PRAGMA synchronous").Scan(&sync); err != nil {
		return err
	}
	if !b.Memory && (mode != "wal" || sync != 2) {
		return fmt.Errorf("%s: journal_mode is %s, synchronous %d", b.Name, mode, sync)
	}
	return nil
}

type store struct {
	db       *stdsql.DB
	put, get *stdsql.Stmt
	walk     [2][2]*stdsql.Stmt // backwards, with a first key
	all      []*stdsql.Stmt
}

func (b Binding) openStore(dir string, o work.Options) (work.Store, error) {
	db, err := b.open(dir, o.Cache)
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &store{db: db}
	for _, p := range []struct {
		to   **stdsql.Stmt
		text string
	}{
		{&s.put, "INSERT INTO kv VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v"},
		{&s.get, "SELECT v FROM kv WHERE k = ?"},
		{&s.walk[0][0], "SELECT k, v FROM kv ORDER BY k LIMIT ?"},
		{&s.walk[0][1], "SELECT k, v FROM kv WHERE k >= ? ORDER BY k LIMIT ?"},
		{&s.walk[1][0], "SELECT k, v FROM kv ORDER BY k DESC LIMIT ?"},
		{&s.walk[1][1], "SELECT k, v FROM kv WHERE k < ? ORDER BY k DESC LIMIT ?"},
	} {
		if *p.to, err = db.Prepare(p.text); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.all = append(s.all, *p.to)
	}
	return s, nil
}

func (s *store) Write(n int, row func(i int) (key, value []byte)) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	put := tx.Stmt(s.put)
	for i := range n {
		k, v := row(i)
		if _, err := put.Exec(k, v); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return errors.Join(put.Close(), tx.Commit())
}

// Put waits for its turn in Go: the pool has one connection.
func (s *store) Put(key, value []byte, _ bool) error {
	_, err := s.put.Exec(key, value)
	return err
}

func (s *store) Get(key, buf []byte) ([]byte, bool, error) { return get(s.get, key, buf) }

func get(stmt *stdsql.Stmt, key, buf []byte) (value []byte, found bool, err error) {
	rows, err := stmt.Query(key)
	if err != nil {
		return buf, false, err
	}
	if rows.Next() {
		var v stdsql.RawBytes
		if err := rows.Scan(&v); err != nil {
			return buf, false, errors.Join(err, rows.Close())
		}
		buf, found = append(buf, v...), true
	}
	return buf, found, errors.Join(rows.Err(), rows.Close())
}

func (s *store) View(fn func(get func(key, buf []byte) ([]byte, bool, error)) error) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	stmt := tx.Stmt(s.get)
	err = fn(func(key, buf []byte) ([]byte, bool, error) { return get(stmt, key, buf) })
	return errors.Join(err, stmt.Close(), tx.Rollback())
}

func (s *store) Walk(from []byte, n int, backwards bool, visit func(key, value []byte)) error {
	i := 0
	if backwards {
		i = 1
	}
	var rows *stdsql.Rows
	var err error
	if from == nil {
		rows, err = s.walk[i][0].Query(n)
	} else {
		rows, err = s.walk[i][1].Query(from, n)
	}
	if err != nil {
		return err
	}
	var k, v stdsql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&k, &v); err != nil {
			return errors.Join(err, rows.Close())
		}
		visit(k, v)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// Settle writes what is in the log into the file.
func (s *store) Settle(time.Duration) error {
	_, err := s.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

func (s *store) Compact() error {
	_, err := s.db.Exec("VACUUM")
	return errors.Join(err, s.Settle(0))
}

func (s *store) Close() error {
	var errs []error
	for _, stmt := range s.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, s.db.Close())...)
}
