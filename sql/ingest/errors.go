package ingest

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the input and of the request. None of them, nor any text around
// them, repeats what the input holds.
var (
	// ErrEmpty means that the input holds no record at all: there is nothing
	// to make a table from.
	ErrEmpty = errors.New("the input holds no record")
	// ErrFormat means that the input is not in the format asked for, or that
	// a format is not known.
	ErrFormat = errors.New("not in this format")
	// ErrRecordTooLarge means that one record is larger than RecordSizeMax.
	ErrRecordTooLarge = errors.New("record is too large")
	// ErrTooManyColumns means that the data needs more than ColumnsMax columns.
	ErrTooManyColumns = errors.New("too many columns")
)

// Error says where an ingestion ended and how much of it is durable. The
// batch that was under way is not in the table; all before it are.
type Error struct {
	Table       string
	Record      int64 // the record that failed, from 1; 0 when no single one did
	Line        int64 // the line that the record ends or fails on, from 1; 0 when unknown
	Offset      int64 // bytes of input before the failure, about
	RowsDurable int64 // rows of this ingestion that are in the table for good
	Skip        int64 // records to skip to go on behind the last durable row
	Err         error
}

// Error names the table, the place and what is durable.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ingest into %s: ", e.Table)
	if e.Record > 0 {
		fmt.Fprintf(&b, "record %d", e.Record)
		if e.Line > 0 {
			fmt.Fprintf(&b, " (line %d, byte %d)", e.Line, e.Offset)
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%v; %d rows are durable, the rest was not written", e.Err, e.RowsDurable)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
