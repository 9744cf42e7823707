package memtest

import (
	"bytes"
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/byokdb/byokdb/crypt"
	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
)

// Policy has the shape of a real one with short times, but for the time that a
// probe may take on a busy machine.
var Policy = engine.Policy{ProbeInterval: 300 * time.Millisecond, ProbeTimeout: 30 * time.Second, Deadline: time.Second}

// Program is the program whose memory is searched.
type Program struct {
	Marks  *Marks
	Engine *engine.DB
	SQL    *stdsql.DB
	key    crypt.Provider
	held   held
}

// held is what the program has open while its database is paused or closed.
type held struct {
	reading, writing *engine.Tx
	cursor           *engine.Cursor
	rows             *stdsql.Rows
	stmts            []*stdsql.Stmt
	stop             context.CancelFunc
	traffic          sync.WaitGroup
}

// Open opens the database.
func Open(ctx context.Context, dir, uri string, m *Marks, o engine.Options) (*Program, error) {
	key, err := keyuri.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	o.Policy, o.MemtableSize = Policy, 1<<20
	eng, err := engine.Open(ctx, dir, key, &o)
	if err != nil {
		return nil, errors.Join(err, key.Close())
	}
	c := bsql.NewConnector(eng)
	c.StatementMemory = 4 << 20 // the larger statements go through temporary files
	return &Program{Marks: m, Engine: eng, SQL: stdsql.OpenDB(c), key: key}, nil
}

// Hold opens transactions, cursors and statements, and starts goroutines that
// work until they are refused.
func (p *Program) Hold(ctx context.Context) error {
	h := &p.held
	var err error
	if h.reading, err = p.Engine.Begin(false); err != nil {
		return err
	}
	c, err := h.reading.Collection(collection)
	if err != nil {
		return err
	}
	h.cursor = c.Cursor(nil, nil)
	for range 1000 {
		if !h.cursor.Next() || len(h.cursor.Value()) == 0 {
			return errors.New("the cursor ends early")
		}
	}
	if h.rows, err = p.SQL.QueryContext(ctx, "SELECT length(txt), n FROM t ORDER BY txt"); err != nil { //nolint:sqlclosecheck // held on purpose
		return err
	}
	for range 10 {
		if !h.rows.Next() {
			return errors.New("the rows end early")
		}
	}
	if names, err := filepath.Glob(filepath.Join(p.Engine.Status().Dir, "tmp", "*")); err != nil || len(names) == 0 {
		return fmt.Errorf("the sort is in memory alone: %w", err)
	}
	for range 4 {
		st, err := p.SQL.PrepareContext(ctx, "SELECT txt FROM t WHERE id < 50 AND txt <> '"+p.Marks.Text(HeldStatement, 1)+"'") //nolint:gosec,sqlclosecheck // a literal, and held, on purpose
		if err != nil {
			return err
		}
		h.stmts = append(h.stmts, st)
		if err := readStmt(ctx, st); err != nil {
			return err
		}
	}
	traffic, stop := context.WithCancel(ctx)
	h.stop = stop
	for g := range 3 {
		h.traffic.Go(func() { p.work(traffic, g) })
	}
	if h.writing, err = p.Engine.Begin(true); err != nil {
		return err
	}
	if c, err = h.writing.Collection(collection); err != nil {
		return err
	}
	for n := range 1000 {
		if err := c.Put(p.Marks.Key(KVKey, 2*nRecords+n), p.Marks.Bytes(KVValue, n)); err != nil {
			return err
		}
	}
	return nil
}

func readStmt(ctx context.Context, st *stdsql.Stmt) error {
	rows, err := st.QueryContext(ctx)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return errors.Join(rows.Err(), rows.Close())
}

// work reads until it is refused.
func (p *Program) work(ctx context.Context, g int) {
	for n := g; ; n++ {
		if p.read(n%(nRecords/batchSize)) != nil {
			return
		}
		if _, err := p.all(ctx, "SELECT * FROM t WHERE txt >= ? ORDER BY j LIMIT 50", p.Marks.Text(SQLText, n%nRows)); err != nil {
			return
		}
	}
}

// Refused returns once everything that was held open has ended with an error
// that names the key.
func (p *Program) Refused() error {
	h := &p.held
	h.traffic.Wait()
	var err error
	_, gerr := h.reading.Collection(collection)
	for what, got := range map[string]error{"snapshot": gerr, "writer": h.writing.Commit(), "cursor": cursorError(h.cursor), "rows": rowsError(h.rows)} {
		if !errors.Is(got, engine.ErrKeyUnavailable) {
			err = errors.Join(err, fmt.Errorf("%s: no refusal but %w", what, got))
		}
	}
	return err
}

func cursorError(c *engine.Cursor) error {
	if c.Next() {
		return errors.New("a record")
	}
	return c.Err()
}

func rowsError(r *stdsql.Rows) error {
	if r.Next() {
		return errors.New("a row")
	}
	return errors.Join(r.Err(), r.Close())
}

// Check returns nil when all rows are there and held statements work.
func (p *Program) Check(ctx context.Context) error {
	if err := p.walk(); err != nil {
		return err
	}
	for _, c := range []struct {
		text string
		want int
	}{
		{"SELECT * FROM t WHERE txt IS NOT NULL", nRows},
		{"SELECT txt FROM lit WHERE n < 100000", nLiterals},
		{"SELECT name, o FROM nd", nIngested},
		{"SELECT name FROM csv", nIngested},
	} {
		if got, err := p.all(ctx, c.text); err != nil || got != c.want {
			return fmt.Errorf("%s: %d rows, not %d: %w", c.text, got, c.want, err)
		}
	}
	for _, st := range p.held.stmts {
		if err := readStmt(ctx, st); err != nil {
			return fmt.Errorf("held statement: %w", err)
		}
	}
	return p.Engine.View(func(tx *engine.Tx) error {
		c, err := tx.Collection(string(p.Marks.Append(nil, Collection)))
		if err != nil {
			return err
		}
		v, err := c.Get([]byte("large 2"))
		if err == nil && !bytes.Equal(v, p.Marks.Large(LargeValue, 3<<20)) {
			err = errors.New("a large value differs")
		}
		return err
	})
}

// Release lets go of what is held.
func (p *Program) Release() error {
	h := &p.held
	if h.stop == nil {
		return nil
	}
	h.stop()
	h.traffic.Wait()
	_ = h.rows.Close() // it may have ended
	_ = h.reading.Rollback()
	_ = h.writing.Rollback()
	var err error
	for _, st := range h.stmts {
		err = errors.Join(err, st.Close())
	}
	p.held = held{}
	return err
}

// Close closes the database under whatever is still open, once goroutines that
// work have ended.
func (p *Program) Close() error {
	if p.held.stop != nil {
		p.held.stop()
		p.held.traffic.Wait()
	}
	err := p.Engine.Close()
	return errors.Join(err, p.SQL.Close(), p.key.Close())
}
