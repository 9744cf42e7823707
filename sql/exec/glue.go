package exec

import (
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/record"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

func errorf(format string, args ...any) error { return sqlerr.Errorf(format, args...) }

// unsupported is the error for what parses and is not executed yet.
func unsupported(feature string) error { return sqlerr.Unsupported(feature + " yet") }

func mismatch() error { return sqlerr.New(sqlerr.Mismatch, "datatype mismatch") }

func itoa(n int) string { return strconv.Itoa(n) }

func compare(a, b value.Value, c value.Collation) int { return value.Compare(a, b, c) }

// truth returns v as a condition; known is false for NULL.
func truth(v value.Value) (is, known bool) {
	if v.Kind() == value.Int {
		return v.Int() != 0, true
	}
	t := value.TruthOf(v)
	return t == value.True, t != value.Unknown
}

func applyAffinity(v value.Value, a value.Affinity) value.Value { return value.Apply(v, a) }

func arithmetic(op ast.Operator) func(a, b value.Value) value.Value {
	switch op {
	case ast.OpAdd:
		return value.Add
	case ast.OpSub:
		return value.Sub
	case ast.OpMul:
		return value.Mul
	case ast.OpDiv:
		return value.Div
	case ast.OpMod:
		return value.Rem
	case ast.OpConcat:
		return value.Concat
	case ast.OpBitAnd:
		return value.BitAnd
	case ast.OpBitOr:
		return value.BitOr
	case ast.OpLShift:
		return value.ShiftLeft
	case ast.OpRShift:
		return value.ShiftRight
	default:
		return nil
	}
}

// What a table's rows and indexes look like in their collections:
//
//	row:         row id (8 B) or the primary key's tuple → record of all columns, the row id's own as NULL
//	index entry: tuple of the indexed columns ‖ key of the row → empty, or the key of the row if it is no row id
//
// Source: sql/record.

func appendRowID(dst []byte, id int64) []byte { return record.AppendRowID(dst, id) }

func rowIDOf(key []byte) (int64, error) { return record.RowID(key) }

func appendKeyValue(dst []byte, v value.Value, kc keyColumn) []byte {
	cols := [1]record.KeyColumn{{Collation: kc.coll, Desc: kc.desc}}
	vals := [1]value.Value{v}
	return record.AppendKey(dst, cols[:], vals[:])
}

func encodeRow(vals []value.Value) []byte { return record.Encode(nil, vals) }

// rowKeyOfEntry returns the key of the row that an index entry belongs to.
func rowKeyOfEntry(t *schema.Table, key, val []byte) []byte {
	if t.PrimaryKey == nil && len(key) >= 8 {
		return key[len(key)-8:]
	}
	return val
}

func entryValue(t *schema.Table, rowKey []byte) []byte {
	if t.PrimaryKey == nil {
		return nil
	}
	return rowKey
}

func kindName(k value.Kind) string {
	return [...]string{"NULL", "INT", "REAL", "TEXT", "BLOB"}[k]
}

func strictName(declType string) string { return strings.ToUpper(declType) }

// fitsStrict reports whether a STRICT column takes v; an integer becomes a
// real in a REAL column.
func fitsStrict(v *value.Value, declType string) bool {
	k := v.Kind()
	if k == value.Null {
		return true
	}
	switch strictName(declType) {
	case "INT", "INTEGER":
		return k == value.Int
	case "REAL":
		return k == value.Float
	case "TEXT":
		return k == value.Text
	case "BLOB":
		return k == value.Blob
	}
	return true // ANY
}
