// Package difftest compares byokdb with SQLite itself: the same expressions,
// generated and written by hand, are evaluated by both. It is a module of its
// own because SQLite needs cgo.
//
//	go test -tags sqlite_math_functions ./...
package difftest

import (
	"database/sql"
	"fmt"
	"iter"
	"math"
	"regexp"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the judge

	"github.com/byokdb/byokdb/sql/value"
)

// Expr is one SQL expression with arguments for its parameters ?1, ?2 and so on.
type Expr struct {
	SQL  string
	Args []value.Value

	// Eval evaluates the expression without a parser: the code under test.
	Eval func(args []value.Value) (value.Value, error)

	// AnyError says that of several things that are wrong with the arguments
	// either may be the error.
	AnyError bool

	// Garbled finds texts of SQLite that are no answer; nil: all are.
	Garbled *regexp.Regexp

	// ULP is by how many units in the last place a real may differ.
	ULP uint64
}

// Evaluator evaluates expressions: Direct, or a whole database.
type Evaluator interface {
	Evaluate(e *Expr) (value.Value, error)
}

// Direct evaluates an expression by its Eval.
type Direct struct{}

// Evaluate returns what Eval does.
func (Direct) Evaluate(e *Expr) (value.Value, error) { return e.Eval(e.Args) }

// Database evaluates expressions as SELECT through a database/sql driver.
type Database struct {
	db    *sql.DB
	stmts map[string]*sql.Stmt
}

// NewDatabase returns an evaluator over db, which it does not close.
func NewDatabase(db *sql.DB) *Database {
	return &Database{db: db, stmts: make(map[string]*sql.Stmt)}
}

// OpenSQLite returns the judge, closed with the test.
func OpenSQLite(tb testing.TB) *Database {
	tb.Helper()
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return NewDatabase(db)
}

// Query runs a statement and returns its rows.
func (d *Database) Query(query string, args ...value.Value) ([][]value.Value, error) {
	stmt, ok := d.stmts[query]
	if !ok {
		var err error
		if stmt, err = d.db.Prepare(query); err != nil {
			return nil, err
		}
		d.stmts[query] = stmt
	}
	goArgs := make([]any, len(args))
	for i, a := range args {
		goArgs[i] = a.Go()
	}
	rows, err := stmt.Query(goArgs...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]value.Value
	for rows.Next() {
		cells := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]value.Value, len(columns))
		for i := range cells {
			if row[i], err = value.FromGo(cells[i]); err != nil {
				return nil, err
			}
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// Evaluate runs SELECT e.
func (d *Database) Evaluate(e *Expr) (value.Value, error) {
	rows, err := d.Query("SELECT "+e.SQL, e.Args...)
	if err != nil {
		return value.Value{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return value.Value{}, fmt.Errorf("%d rows", len(rows))
	}
	return rows[0][0], nil
}

// failuresMax is how many differences Exprs shows.
const failuresMax = 25

// Exprs evaluates expressions with both and fails the test on every difference
// in kind, value or error text.
func Exprs(t *testing.T, judge, ours Evaluator, exprs iter.Seq[Expr]) {
	t.Helper()
	n, failures := 0, 0
	for e := range exprs {
		n++
		want, wantErr := judge.Evaluate(&e)
		got, err := ours.Evaluate(&e)
		if sameError(err, wantErr) && (err != nil || Same(got, want, e.ULP)) {
			continue
		}
		if e.AnyError && err != nil && wantErr != nil {
			continue
		}
		if e.Garbled != nil && wantErr == nil && e.Garbled.MatchString(want.AsText()) {
			continue
		}
		failures++
		if failures <= failuresMax {
			t.Errorf("%s with %s\n\tis     %s\n\tSQLite %s", e.SQL, showAll(e.Args), result(got, err), result(want, wantErr))
		}
	}
	switch {
	case n == 0:
		t.Error("no expression was compared")
	case failures > 0:
		t.Errorf("%d of %d expressions differ", failures, n)
	default:
		t.Logf("%d expressions", n)
	}
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Error() == b.Error()
}

// Same reports whether two values are of one kind and the same, reals up to ulp
// units in the last place.
func Same(a, b value.Value, ulp uint64) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	if a.Kind() != value.Float {
		return a.Kind() == value.Null || a.Int() == b.Int() && a.Str() == b.Str() ||
			a.Kind() >= value.Text && a.Str() == b.Str()
	}
	x, y := a.Float(), b.Float()
	if x == y {
		return true
	}
	d := int64(math.Float64bits(x)) - int64(math.Float64bits(y))
	return math.Signbit(x) == math.Signbit(y) && uint64(max(d, -d)) <= ulp ||
		ulp > 0 && math.Abs(x) < 1e-15 && math.Abs(y) < 1e-15
}

// Show returns v as an SQL literal that a reader can tell apart from others.
func Show(v value.Value) string {
	switch v.Kind() {
	case value.Null:
		return "NULL"
	case value.Float:
		return fmt.Sprintf("%v(real %x)", v.Float(), v.Float())
	case value.Text:
		return fmt.Sprintf("%.300q", v.Str())
	case value.Blob:
		return fmt.Sprintf("x'%.300x'", v.Str())
	default:
		return fmt.Sprint(v.Int())
	}
}

func showAll(vs []value.Value) string {
	parts := make([]string, len(vs))
	for i := range vs {
		parts[i] = Show(vs[i])
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func result(v value.Value, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return Show(v)
}
