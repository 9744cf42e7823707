package ingest

import (
	"bytes"
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"strings"

	bsql "github.com/byokdb/byokdb/sql"
)

// DumpTable keeps how far a dump has been read while it is not done. It is made
// and dropped in the transactions of the rows that it is about. Who drops it by
// hand gives the rest of the dump up.
const DumpTable = "byokdb_import"

// dumpBatchSize is how much of a dump is read in one transaction, bytes.
const dumpBatchSize = 32 << 20

// ErrOtherDump means that the database holds a part of another dump than the one
// at hand: go on with that one, or drop DumpTable to keep the part as it is.
var ErrOtherDump = errors.New("another dump has been read in part")

// DumpOptions says how to read a dump. The zero value is safe.
type DumpOptions struct {
	BatchSize int64 // bytes of text in one transaction; 32 MiB when 0
	// Progress is called after each batch with what is durable: statements, and
	// the bytes of input that they came from.
	Progress func(statements, bytes int64)
}

// DumpResult says what was done.
type DumpResult struct {
	Statements int64 // in all, those of earlier calls included
	Bytes      int64
	Resumed    int64 // statements that an earlier call had read
}

// DumpError says where the reading of a dump ended, and how much of it is
// durable. It repeats nothing of the dump but names of tables and columns.
type DumpError struct {
	Statement int64 // that failed, from 1
	Line      int64 // that it begins on, from 1; 0 when unknown
	Durable   int64 // statements before it that are there for good
	Err       error
}

// Error names the place and what is durable.
func (e *DumpError) Error() string {
	at := ""
	if e.Line > 0 {
		at = fmt.Sprintf(" (line %d)", e.Line)
	}
	left := "nothing was written"
	if e.Durable > 0 {
		left = fmt.Sprintf("%d statements before it are durable", e.Durable)
	}
	return fmt.Sprintf("statement %d%s: %v; %s", e.Statement, at, e.Err, left)
}

// Unwrap returns the cause.
func (e *DumpError) Unwrap() error { return e.Err }

// Dump runs the SQL text that `sqlite3 file .dump` writes, statement by
// statement as it is read.
//
// Text up to 32 MiB is one transaction: all of it is there afterwards, or
// nothing. More is several; a table, [DumpTable], says in each of them how far
// the dump has been read. After a crash or an error the same call with the same
// text goes on there; the part that is there is compared by a hash. Foreign keys
// are not enforced meanwhile. What SQLite keeps for its planner is left out.
//
// Errors: *[DumpError], always; it wraps the cause: ctx's error, ErrFormat (not
// SQL, cut short, or what sqlite3 wrote when it met errors), ErrOtherDump,
// ErrRecordTooLarge, *sql.Error. DumpResult is valid with an error too.
func Dump(ctx context.Context, db *stdsql.DB, r io.Reader, o DumpOptions) (DumpResult, error) {
	if o.BatchSize <= 0 {
		o.BatchSize = dumpBatchSize
	}
	d := &dump{o: o, src: newStatementReader(r), prepared: map[string]*stdsql.Stmt{}}
	err := d.run(ctx, db)
	if err != nil {
		err = &DumpError{Statement: d.n, Line: d.src.line, Durable: d.durable, Err: err}
	}
	d.res.Statements, d.res.Bytes = d.durable, d.durableSize
	return d.res, err
}

// dump is one call of Dump.
type dump struct {
	o           DumpOptions
	src         *statementReader
	conn        *stdsql.Conn
	prepared    map[string]*stdsql.Stmt
	n           int64 // statements read
	durable     int64 // of them
	durableSize int64 // bytes of input
	recorded    bool  // DumpTable is there
	open        bool  // a transaction
	group       group
	enforced    bool // foreign keys were, before
	framed      bool // the text has a BEGIN that no COMMIT has answered
	res         DumpResult
}

func (d *dump) run(ctx context.Context, db *stdsql.DB) (err error) {
	if d.conn, err = db.Conn(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.conn.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&d.enforced); err != nil {
		return err
	}
	if _, err := d.conn.ExecContext(ctx, "PRAGMA foreign_keys = OFF"); err != nil {
		return err
	}
	if err := d.resume(ctx); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := d.src.next()
		if err == io.EOF { //nolint:errorlint // next returns io.EOF as it is
			return d.finish(ctx)
		}
		d.n++
		if err != nil {
			return err
		}
		if err := d.statement(ctx, text); err != nil {
			return err
		}
		if d.src.offset-d.durableSize >= d.o.BatchSize {
			if err := d.commit(ctx, false); err != nil {
				return err
			}
		}
	}
}

// close undoes what is not committed and gives the connection back.
func (d *dump) close() error {
	var err error
	for _, st := range d.prepared {
		err = errors.Join(err, st.Close())
	}
	if d.open {
		_, rollback := d.conn.ExecContext(context.Background(), "ROLLBACK")
		err = errors.Join(err, rollback)
	}
	if d.enforced {
		_, on := d.conn.ExecContext(context.Background(), "PRAGMA foreign_keys = ON")
		err = errors.Join(err, on)
	}
	return errors.Join(err, d.conn.Close())
}

// resume passes over what an earlier call has read.
func (d *dump) resume(ctx context.Context) error {
	var n int
	err := d.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", DumpTable).Scan(&n)
	if err != nil || n == 0 {
		return err
	}
	var statements, bytes int64
	var sum []byte
	err = d.conn.QueryRowContext(ctx, "SELECT statements, bytes, sha256, framed FROM "+DumpTable).Scan(&statements, &bytes, &sum, &d.framed)
	if err != nil {
		return fmt.Errorf("read table %s: %w", DumpTable, err)
	}
	err = d.src.skip(bytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read input: %w", err)
	}
	if err != nil || string(d.src.sum.Sum(nil)) != string(sum) {
		return fmt.Errorf("%w: its first %d statements are there, and the input does not begin with them; drop table %s to keep them as they are",
			ErrOtherDump, statements, DumpTable)
	}
	d.recorded = true
	d.n, d.durable, d.durableSize, d.res.Resumed = statements, statements, bytes, statements
	return nil
}

// statement runs one statement, or leaves it out where the import does itself
// what it says.
func (d *dump) statement(ctx context.Context, text []byte) error {
	if bytes.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("%w: there is a zero byte in it", ErrFormat)
	}
	kind := d.src.kind()
	first, _, _ := strings.Cut(kind, " ")
	switch first {
	case "BEGIN":
		d.framed = true
		return nil
	case "COMMIT", "END":
		d.framed = false
		return nil
	case "ROLLBACK":
		return fmt.Errorf("%w: the text takes itself back: sqlite3 met errors when it wrote it", ErrFormat)
	case "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "VACUUM":
		return fmt.Errorf("%w: %s has no place in a dump", ErrFormat, first)
	case "ANALYZE":
		return nil
	}
	switch {
	case strings.HasPrefix(kind, "PRAGMA FOREIGN_KEYS"):
		return nil
	case strings.HasPrefix(kind, "PRAGMA WRITABLE_SCHEMA"):
		return fmt.Errorf("%w: the dump has virtual tables, which byokdb does not have", ErrFormat)
	case strings.HasPrefix(kind, "INSERT INTO SQLITE_STAT"), strings.HasPrefix(kind, "DELETE FROM SQLITE_STAT"):
		return nil
	}
	if !d.open {
		if _, err := d.conn.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		d.open = true
	}
	if ins, ok := parseInsert(text); ok {
		return d.insert(ctx, ins, len(text))
	}
	if err := d.flush(ctx); err != nil {
		return err
	}
	_, err := d.conn.ExecContext(ctx, string(text))
	e, ok := errors.AsType[*bsql.Error](err)
	if ok && kind == "DELETE FROM SQLITE_SEQUENCE" && strings.HasPrefix(e.Message, "no such table: sqlite_sequence") {
		return nil // all tables with AUTOINCREMENT were dropped before the dump was written
	}
	return err
}

// Rows that go into one INSERT: as many as fit.
const (
	groupRowsMax = 100
	groupArgsMax = 1000
	groupSizeMax = 1 << 20 // bytes of text
)

// group is rows of one table that wait to be inserted together.
type group struct {
	insertion // of the first row
	rows      []groupRow
	size      int // bytes of text
}

type groupRow struct {
	args    []any
	n, line int64 // the statement that it comes from
}

// full reports whether no further row fits.
func (g *group) full() bool { return len(g.rows) == g.max() || g.size >= groupSizeMax }

func (g *group) max() int { return max(1, min(groupRowsMax, groupArgsMax/len(g.args))) }

// insert takes a row; it is inserted together with those that follow it.
func (d *dump) insert(ctx context.Context, ins insertion, size int) error {
	if len(d.group.rows) > 0 && (d.group.head != ins.head || len(d.group.args) != len(ins.args)) {
		if err := d.flush(ctx); err != nil {
			return err
		}
	}
	if len(d.group.rows) == 0 {
		d.group.insertion = ins
	}
	d.group.rows = append(d.group.rows, groupRow{ins.args, d.n, d.src.line})
	d.group.size += size
	if d.group.full() {
		return d.flush(ctx)
	}
	return nil
}

// flush inserts the rows that wait: in one statement if there are as many as
// that takes, else, and to find the row that fails, one by one.
func (d *dump) flush(ctx context.Context) error {
	g := d.group
	d.group = group{rows: g.rows[:0]}
	if n := len(g.rows); n > 1 && n == g.max() {
		args := make([]any, 0, n*len(g.args))
		for _, r := range g.rows {
			args = append(args, r.args...)
		}
		if err := d.execute(ctx, g.text(n), args); err == nil {
			return nil
		}
	}
	for _, r := range g.rows {
		if err := d.execute(ctx, g.text(1), r.args); err != nil {
			d.n, d.src.line = r.n, r.line
			return err
		}
	}
	return nil
}

// execute runs a statement that is prepared once.
func (d *dump) execute(ctx context.Context, text string, args []any) error {
	const preparedMax = 200
	st := d.prepared[text]
	if st == nil {
		if len(d.prepared) >= preparedMax {
			for text, st := range d.prepared {
				if err := st.Close(); err != nil {
					return err
				}
				delete(d.prepared, text)
			}
		}
		var err error
		if st, err = d.conn.PrepareContext(ctx, text); err != nil {
			return err
		}
		d.prepared[text] = st
	}
	_, err := st.ExecContext(ctx, args...)
	return err
}

// finish commits the last batch.
func (d *dump) finish(ctx context.Context) error {
	if d.framed {
		return fmt.Errorf("%w: the input ends before COMMIT: it is cut short", ErrFormat)
	}
	if d.n == 0 {
		return ErrEmpty
	}
	return d.commit(ctx, true)
}

// commit makes a batch durable, together with the place where it ends.
func (d *dump) commit(ctx context.Context, last bool) error {
	if err := d.flush(ctx); err != nil {
		return err
	}
	var texts []string
	if !d.open {
		texts = append(texts, "BEGIN")
	}
	var args []any
	switch {
	case last && d.recorded:
		texts = append(texts, "DROP TABLE "+DumpTable)
	case !last && !d.recorded:
		texts = append(texts, "CREATE TABLE "+DumpTable+" (statements INTEGER NOT NULL, bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, framed BOOLEAN NOT NULL)",
			"INSERT INTO "+DumpTable+" (statements, bytes, sha256, framed) VALUES (?, ?, ?, ?)")
		args = []any{d.n, d.src.offset, d.src.sum.Sum(nil), d.framed}
	case !last:
		texts = append(texts, "UPDATE "+DumpTable+" SET statements = ?, bytes = ?, sha256 = ?, framed = ?")
		args = []any{d.n, d.src.offset, d.src.sum.Sum(nil), d.framed}
	}
	for _, text := range texts {
		var a []any
		if strings.Contains(text, "?") {
			a = args
		}
		if _, err := d.conn.ExecContext(ctx, text, a...); err != nil {
			return err
		}
		d.open = true
	}
	if !d.open {
		return nil
	}
	d.open = false // COMMIT ends the transaction in any case
	if _, err := d.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	d.recorded = !last
	d.durable, d.durableSize = d.n, d.src.offset
	if d.o.Progress != nil {
		d.o.Progress(d.durable, d.durableSize)
	}
	return nil
}
