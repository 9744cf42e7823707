package sql

import (
	"context"
	"errors"
	"io"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// Error is what SQL fails with: codes as SQLite numbers them, a message as
// SQLite words it, the byte offset in the statement, -1 when unknown. It never
// holds a row. Errors of the engine are reached through errors.Is and
// errors.As: engine.ErrKeyUnavailable and *engine.KeyError among them.
type Error = sqlerr.Error

// numbered gives errors of the layers below a code. Others stay what they are.
func numbered(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // the end of rows, never wrapped
		return err
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	for _, m := range [...]struct {
		cause   error
		code    sqlerr.Code
		message string
	}{
		{engine.ErrKeyUnavailable, sqlerr.Auth, "not authorized"},
		{engine.ErrErased, sqlerr.Auth, "not authorized"},
		{engine.ErrWrongKey, sqlerr.Auth, "not authorized"},
		{context.Canceled, sqlerr.Interrupt, "interrupted"},
		{context.DeadlineExceeded, sqlerr.Interrupt, "interrupted"},
		{engine.ErrNotExist, sqlerr.CantOpen, "unable to open database"},
		{engine.ErrTooNew, sqlerr.CantOpen, "unable to open database"},
		{engine.ErrNotDatabase, sqlerr.NotADB, "unable to open database"},
		{engine.ErrInUse, sqlerr.Busy, "database is locked"},
		{engine.ErrCorrupt, sqlerr.Corrupt, "database is malformed"},
		{record.ErrCorrupt, sqlerr.Corrupt, "database is malformed"},
		{record.ErrTooNew, sqlerr.CantOpen, "unable to read the table"},
		{engine.ErrSpillFull, sqlerr.Full, "database or disk is full"},
		{engine.ErrDiskFull, sqlerr.Full, "database or disk is full"},
		{engine.ErrSpill, sqlerr.IOErr, "disk I/O error"},
		{engine.ErrFailed, sqlerr.IOErr, "disk I/O error"},
		{engine.ErrReadOnly, sqlerr.ReadOnly, "attempt to write a readonly database"},
		{engine.ErrKeyTooLarge, sqlerr.TooBig, "string or blob too big"},
		{engine.ErrValueTooLarge, sqlerr.TooBig, "string or blob too big"},
		{engine.ErrTxTooLarge, sqlerr.TooBig, "transaction too big"},
		{engine.ErrClosed, sqlerr.Misuse, "the connection cannot be used"},
	} {
		if errors.Is(err, m.cause) {
			return sqlerr.Wrap(m.code, err, "%s", m.message)
		}
	}
	return err
}

// moved returns err with its offset counted from the start of the whole text,
// in which the statement begins at byte pos.
func moved(err error, pos int) error {
	e, ok := err.(*Error) //nolint:errorlint // a wrapped one counts from elsewhere
	if !ok || e.Offset < 0 {
		return err
	}
	c := *e
	c.Offset += pos
	return &c
}
