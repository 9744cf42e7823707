package sql

import (
	stdsql "database/sql"
	"database/sql/driver"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/byokdb/byokdb/sql/exec"
	"github.com/byokdb/byokdb/sql/value"
)

// rows is the result of a query.
type rows struct {
	r    *exec.Rows
	cols []exec.ColumnInfo
	kind []columnKind
	buf  []value.Value

	// Room for kind and buf: enough for most results.
	kindRoom [8]columnKind
	bufRoom  [8]value.Value
}

var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
)

// columnKind tells how a declared type shows in Go beyond the storage class.
type columnKind uint8

const (
	plain   columnKind = iota
	instant            // DATE, DATETIME, TIMESTAMP: time.Time
	boolean            // BOOL, BOOLEAN: bool
)

func newRows(r *exec.Rows) *rows {
	out := &rows{r: r, cols: r.Columns()}
	n := len(out.cols)
	out.kind, out.buf = out.kindRoom[:0], out.bufRoom[:0]
	if n > len(out.bufRoom) {
		out.kind, out.buf = make([]columnKind, n), make([]value.Value, n)
	}
	out.kind, out.buf = out.kind[:n], out.buf[:n]
	for i, c := range out.cols {
		out.kind[i] = kindOf(c.DeclType)
	}
	return out
}

func kindOf(declType string) columnKind {
	if declType == "" || strings.IndexByte("dDtTbB ", declType[0]) < 0 {
		return plain
	}
	switch name, _, _ := strings.Cut(strings.ToUpper(declType), "("); strings.TrimSpace(name) {
	case "DATE", "DATETIME", "TIMESTAMP":
		return instant
	case "BOOL", "BOOLEAN":
		return boolean
	default:
		return plain
	}
}

// Columns returns the names.
func (r *rows) Columns() []string {
	out := make([]string, len(r.cols))
	for i, c := range r.cols {
		out[i] = c.Name
	}
	return out
}

// Close ends the query.
func (r *rows) Close() error {
	clear(r.buf)
	return numbered(r.r.Close())
}

// Next converts the next row.
func (r *rows) Next(dest []driver.Value) error {
	if err := r.r.Next(r.buf); err != nil {
		return numbered(err)
	}
	for i, v := range r.buf {
		switch r.kind[i] {
		case instant:
			dest[i] = goTime(v)
		case boolean:
			if dest[i] = v.Go(); v.Kind() == value.Int {
				dest[i] = v.Int() != 0
			}
		default:
			dest[i] = v.Go()
		}
	}
	clear(r.buf) // what is handed out is not held here, too
	return nil
}

// timeLayouts are what a text in a column of instants may look like.
var timeLayouts = [...]string{
	value.TimeLayout,
	"2006-01-02T15:04:05.999999999-07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	"2006-01-02",
}

// goTime returns a value of a column of instants as a time where it is one: a
// text in one of timeLayouts, UTC if it names no zone, or seconds since 1970
// (milliseconds, when there are too many of them for seconds). Anything else
// stays what it is.
func goTime(v value.Value) any {
	switch v.Kind() {
	case value.Int:
		const secondsMax = 1e12 // the year 33658
		if n := v.Int(); n > secondsMax || n < -secondsMax {
			return time.UnixMilli(n).UTC()
		}
		return time.Unix(v.Int(), 0).UTC()
	case value.Text:
		s := strings.TrimSuffix(v.Str(), "Z")
		for _, layout := range timeLayouts {
			if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
				return t
			}
		}
	default:
	}
	return v.Go()
}

// ColumnTypeDatabaseTypeName returns the declared type, in upper case; "" for
// an expression.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return strings.ToUpper(r.cols[i].DeclType) }

// ColumnTypeNullable reports that every column may be NULL: a result does not
// know what a join made of it.
func (r *rows) ColumnTypeNullable(int) (nullable, ok bool) { return true, true }

// ColumnTypeScanType returns a type that takes NULL and what the declared type
// promises; any for a column that promises nothing. A column that is not of a
// STRICT table may hold other values.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	switch r.kind[i] {
	case instant:
		return reflect.TypeFor[stdsql.NullTime]()
	case boolean:
		return reflect.TypeFor[stdsql.NullBool]()
	default:
	}
	switch value.AffinityOf(r.cols[i].DeclType) {
	case value.AffinityInteger:
		return reflect.TypeFor[stdsql.NullInt64]()
	case value.AffinityReal:
		return reflect.TypeFor[stdsql.NullFloat64]()
	case value.AffinityText:
		return reflect.TypeFor[stdsql.NullString]()
	default:
		return reflect.TypeFor[any]()
	}
}

// noRows is the result of a text without statements.
type noRows struct{}

func (noRows) Columns() []string         { return nil }
func (noRows) Close() error              { return nil }
func (noRows) Next([]driver.Value) error { return io.EOF }
