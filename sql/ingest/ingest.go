// Package ingest reads records from JSON or CSV into an SQL table, which it
// makes from the data when it is absent and widens when new fields come. It also
// runs the dumps that SQLite writes.
package ingest

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is how the input is written.
type Format string

// Formats.
const (
	Auto   Format = "auto"   // JSON when the input begins with '{' or '[', else CSV
	NDJSON Format = "ndjson" // one JSON object a line, or one after another
	JSON   Format = "json"   // one array of objects, or objects one after another
	CSV    Format = "csv"    // RFC 4180 with a header; an empty field is NULL
)

// Limits.
const (
	RecordSizeMax    = 64 << 20 // bytes of one record
	ColumnsMax       = 2000     // columns of a table, as in SQLite
	batchRowsDefault = 1000
	batchSizeMax     = 4 << 20 // bytes of input after which a batch ends early
	sampleRows       = 1000    // records from which the types of columns are learned
	parametersMax    = 1000    // of one INSERT
)

// Options says how to ingest. The zero value is safe.
type Options struct {
	Format    Format // "" is Auto
	BatchRows int    // rows in a transaction; 1000 when 0. A batch ends earlier at 4 MiB
	Skip      int64  // records to leave out at the start, to go on after an Error
	// Progress is called after each batch with the rows that are durable and
	// the bytes of input that they came from.
	Progress func(rows, bytes int64)
}

// Result says what was done.
type Result struct {
	Rows         int64
	Bytes        int64 // of input
	Batches      int64
	Created      bool     // the table was made
	AddedColumns []string // columns added to a table that was there
}

// Ingest reads r to its end into table.
//
// Each batch is one durable transaction, the making or widening of the table
// included, so that nothing is ever half-written. The types of new columns
// are learned from the first 1000 records (or of the batch that brings a new
// field); later values that do not fit are kept as SQLite's flexible typing
// keeps them. A column with nested arrays or objects is one of JSON: every
// value in it, whatever its kind, is valid JSON. Integers stay exact, beyond 64
// bits as text. Memory is bounded by the sample, one batch and one record.
//
// Errors: *[Error], always, with what is durable; it wraps the cause (ctx's
// error, ErrFormat, ErrRecordTooLarge, ErrTooManyColumns, ErrEmpty, or the
// database's). Result is valid with an error too.
func Ingest(ctx context.Context, db *stdsql.DB, table string, r io.Reader, o Options) (Result, error) {
	if o.Format == "" {
		o.Format = Auto
	}
	if o.BatchRows <= 0 {
		o.BatchRows = batchRowsDefault
	}
	g := &ingestion{db: db, o: o, name: table}
	err := g.run(ctx, r)
	if g.t != nil {
		g.res.AddedColumns = g.t.added
	}
	if err != nil {
		if _, ok := errors.AsType[*Error](err); !ok {
			err = g.fail(0, err)
		}
	}
	return g.res, err
}

// ingestion is one call of Ingest.
type ingestion struct {
	db      *stdsql.DB
	o       Options
	name    string
	src     source
	t       *table
	res     Result
	records int64 // read so far
	batch   []record
	size    int // of the records in batch, bytes
	places  []int
}

func (g *ingestion) run(ctx context.Context, r io.Reader) error {
	if strings.TrimSpace(g.name) == "" || strings.ContainsRune(g.name, 0) {
		return errors.New("the table has no usable name")
	}
	var err error
	if g.src, err = newSource(r, g.o.Format); err != nil {
		return err
	}
	_, isCSV := g.src.(*csvSource)
	if g.t, err = loadTable(ctx, g.db, g.name, isCSV); err != nil {
		return err
	}
	g.res.Created = !g.t.exists
	end := false
	for !end {
		var failed error // at record g.records; the whole batches before it are written
		end, failed = g.fill(ctx)
		all := failed == nil && (end || g.size >= batchSizeMax)
		for len(g.batch) >= g.o.BatchRows || all && len(g.batch) > 0 {
			if err := g.flush(ctx); err != nil {
				return err
			}
		}
		if failed != nil && ctx.Err() == nil {
			return g.fail(g.records, failed)
		}
		if failed != nil {
			return failed
		}
	}
	if !g.t.exists {
		return ErrEmpty
	}
	return nil
}

// fill reads the records of the next batch, of the whole sample at first. It
// reports whether the input has ended.
func (g *ingestion) fill(ctx context.Context) (bool, error) {
	want := g.o.BatchRows
	if g.res.Batches == 0 {
		want = max(want, sampleRows)
	}
	for len(g.batch) < want && g.size < batchSizeMax {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		rec, err := g.src.next()
		if err == io.EOF { //nolint:errorlint // next returns io.EOF as it is
			return true, nil
		}
		g.records++
		if err == nil && g.records <= g.o.Skip {
			continue
		}
		if err == nil {
			if g.places, err = g.t.place(rec, g.places); err == nil {
				g.t.learn(rec, g.places)
			}
		}
		if err != nil {
			return false, err
		}
		g.size += rec.size
		g.batch = append(g.batch, rec)
	}
	return false, nil
}

// flush writes up to BatchRows of the records read as one transaction.
func (g *ingestion) flush(ctx context.Context) error {
	n := min(len(g.batch), g.o.BatchRows)
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin batch: %w", err)
	}
	if err = g.t.settle(ctx, tx); err == nil {
		err = g.insert(ctx, tx, g.batch[:n])
	}
	if err != nil {
		return errors.Join(err, rollback(tx))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit batch: %w", err)
	}
	g.t.settled()
	g.res.Rows += int64(n)
	g.res.Bytes = g.batch[n-1].end
	g.res.Batches++
	for _, rec := range g.batch[:n] {
		g.size -= rec.size
	}
	clear(g.batch[:n])
	g.batch = g.batch[:copy(g.batch, g.batch[n:])]
	if g.o.Progress != nil {
		g.o.Progress(g.res.Rows, g.res.Bytes)
	}
	return nil
}

// rollback ends tx; that it had ended by itself is no error.
func rollback(tx *stdsql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, stdsql.ErrTxDone) {
		return fmt.Errorf("roll back batch: %w", err)
	}
	return nil
}

// insert writes records with INSERT statements of as many rows as fit.
func (g *ingestion) insert(ctx context.Context, tx *stdsql.Tx, recs []record) (err error) {
	used := g.t.used
	if len(used) == 0 { // an existing table and records without fields
		return fmt.Errorf("%w: the records have no fields", ErrEmpty)
	}
	slot := make(map[int]int, len(used)) // column: its place in a row
	for i, c := range used {
		slot[c] = i
	}
	rows := max(1, parametersMax/len(used))
	args := make([]any, 0, rows*len(used))
	var stmt *stdsql.Stmt
	prepared := 0
	defer func() {
		if stmt != nil {
			err = errors.Join(err, stmt.Close())
		}
	}()
	for len(recs) > 0 {
		n := min(rows, len(recs))
		if n != prepared {
			if stmt != nil {
				if err := stmt.Close(); err != nil {
					return err
				}
			}
			if stmt, err = tx.PrepareContext(ctx, g.insertText(n)); err != nil {
				return fmt.Errorf("prepare insert: %w", err)
			}
			prepared = n
		}
		args = args[:0]
		for _, rec := range recs[:n] {
			base := len(args)
			for range used {
				args = append(args, nil)
			}
			if g.places, err = g.t.place(rec, g.places); err != nil {
				return err
			}
			for i, c := range g.places {
				args[base+slot[c]] = g.t.value(rec.fields[i].value, c)
			}
		}
		if _, err := stmt.ExecContext(ctx, args...); err != nil {
			return fmt.Errorf("insert rows: %w", err)
		}
		recs = recs[n:]
	}
	return nil
}

// insertText returns the INSERT of n rows.
func (g *ingestion) insertText(n int) string {
	var b strings.Builder
	b.WriteString("INSERT INTO " + quoteName(g.name) + " (")
	for i, c := range g.t.used {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoteName(g.t.cols[c].name))
	}
	row := "(" + strings.Repeat("?, ", len(g.t.used)-1) + "?)"
	b.WriteString(") VALUES " + strings.Repeat(row+", ", n-1) + row)
	return b.String()
}

// fail says where the ingestion stopped; rec is the failing record or 0.
func (g *ingestion) fail(rec int64, err error) *Error {
	e := &Error{Table: g.name, Record: rec, RowsDurable: g.res.Rows, Skip: g.o.Skip + g.res.Rows, Err: err}
	if g.src != nil {
		e.Line, e.Offset = g.src.place()
	}
	return e
}
