package sql

import (
	stdsql "database/sql"
	"database/sql/driver"
	"io"
	"reflect"
	"strings"

	"github.com/byokdb/byokdb/sql/exec"
	"github.com/byokdb/byokdb/sql/value"
)

// rows is the result of a query, for database/sql.
type rows exec.Rows

var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
)

func (r *rows) result() *exec.Rows { return (*exec.Rows)(r) }

func (r *rows) column(i int) *exec.ColumnInfo { return &r.result().Columns()[i] }

// Columns returns the names.
func (r *rows) Columns() []string { return r.result().Names() }

// Close ends the query.
func (r *rows) Close() error { return numbered(r.result().Close()) }

// Next converts the next row.
func (r *rows) Next(dest []driver.Value) error {
	cols := r.result().Columns()
	err := r.result().Visit(func(i int, v value.Value) { dest[i] = v.GoAs(cols[i].Shown) })
	if err != nil {
		clear(dest)
		return numbered(err)
	}
	return nil
}

// ColumnTypeDatabaseTypeName returns the declared type, in upper case; "" for
// an expression.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return strings.ToUpper(r.column(i).DeclType) }

// ColumnTypeNullable reports that every column may be NULL: a result does not
// know what a join made of it.
func (r *rows) ColumnTypeNullable(int) (nullable, ok bool) { return true, true }

// ColumnTypeScanType returns a type that takes NULL and what the declared type
// promises; any for a column that promises nothing. A column that is not of a
// STRICT table may hold other values.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	switch r.column(i).Shown {
	case value.AsInstant:
		return reflect.TypeFor[stdsql.NullTime]()
	case value.AsBool:
		return reflect.TypeFor[stdsql.NullBool]()
	default:
	}
	switch value.AffinityOf(r.column(i).DeclType) {
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
