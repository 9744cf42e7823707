package difftest

import (
	"context"
	stdsql "database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"

	"github.com/byokdb/byokdb/crypt/localkey"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/exec"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

var (
	statements = flag.Int("statements", 3000, "how many generated statements to compare")
	seed       = flag.Uint64("seed", 2, "seed of the generated statements; 0 for a random one")
)

// seeded returns the seed, a random one for 0, and says which.
func seeded(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d", s)
	return s
}

// both runs every statement on byokdb and on SQLite.
type both struct {
	t       *testing.T
	db      *engine.DB
	options *engine.Options
	s       *exec.Session
	spilled bool
	lite    *stdsql.Conn
	// compared and rows count the statements that both ran, and what they gave.
	compared, rows int
	excused        int      // of them, those to which SQLite has several answers
	exact          bool     // errors must agree in the gist of their text
	verbatim       bool     // errors must agree in their text
	last           error    // of byokdb's last statement
	log            []string // what changed the tables, for the report of a difference
}

func openBoth(t *testing.T) *both {
	t.Helper()
	b, _ := openBothWith(t, nil)
	return b
}

func openBothWith(t *testing.T, o *engine.Options) (*both, *engine.DB) {
	t.Helper()
	b, end, err := openPair(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	b.t = t
	return b, b.db
}

// openPair opens both in a directory; end closes them.
func openPair(dir string, o *engine.Options) (b *both, end func(), err error) {
	ctx := context.Background()
	key, err := localkey.Open(ctx, "local:"+dir+"/dev.key")
	if err != nil {
		return nil, nil, err
	}
	if o == nil {
		o = &engine.Options{Sync: engine.SyncOff}
	}
	db, err := engine.Open(ctx, dir+"/db", key, o)
	if err != nil {
		return nil, nil, err
	}
	lite, err := stdsql.Open("sqlite3", ":memory:")
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	conn, err := lite.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, lite.Close(), db.Close())
	}
	s := exec.NewDatabase(db).NewSession()
	end = func() {
		_ = s.Close()
		_ = conn.Close()
		_ = lite.Close()
		_ = db.Close()
	}
	return &both{db: db, options: o, s: s, lite: conn}, end, nil
}

// spill has every sort, group and join of byokdb go to a temporary file.
func (b *both) spill() {
	b.spilled = true
	b.s.Configure(exec.Settings{SpillAfter: 1})
}

// compaction stands in the log for what compact does.
const compaction = "-- compact"

func (b *both) compact() {
	b.t.Helper()
	b.log = append(b.log, compaction)
	if err := b.db.Compact(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

// ours returns the rows of a statement as text, types included.
func (b *both) ours(text string) (rows []string, err error) {
	ctx := context.Background()
	st, _, err := b.s.Prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	r, err := b.s.Query(ctx, st, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // the end of its rows says it
	dst := make([]value.Value, len(st.Columns()))
	for {
		err := r.Next(dst)
		if errors.Is(err, io.EOF) {
			return rows, r.Close()
		}
		if err != nil {
			return nil, err
		}
		var cells []string
		for _, v := range dst {
			cells = append(cells, show(v.Go(), v.Kind() == value.Blob))
		}
		rows = append(rows, strings.Join(cells, "|"))
	}
}

func (b *both) theirs(text string) (rows []string, err error) {
	r, err := b.lite.QueryContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // r.Err says it
	cols, err := r.Columns()
	if err != nil {
		return nil, err
	}
	for r.Next() {
		vals := make([]any, len(cols))
		ptrs := make([]any, len(cols))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := r.Scan(ptrs...); err != nil {
			return nil, err
		}
		var cells []string
		for _, v := range vals {
			_, blob := v.([]byte)
			cells = append(cells, show(v, blob))
		}
		rows = append(rows, strings.Join(cells, "|"))
	}
	return rows, r.Err()
}

func show(v any, blob bool) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case int64:
		return "i" + strconv.FormatInt(v, 10)
	case float64:
		if v == 0 {
			v = 0 // -0.0 equals 0.0
		}
		return "r" + strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return strconv.Quote(v)
	case []byte:
		if blob {
			return fmt.Sprintf("x%x", v)
		}
		return strconv.Quote(string(v))
	}
	return fmt.Sprint(v)
}

// code is what two errors must agree on. Which one of two unique keys is in the
// way is nobody's promise.
func code(err error) int {
	c := 0
	if e, ok := errors.AsType[*sqlerr.Error](err); ok {
		c = e.ExtendedCode
	}
	if e, ok := errors.AsType[sqlite3.Error](err); ok {
		c = int(e.ExtendedCode)
	}
	if c == sqlerr.ConstraintPrimaryKey {
		c = sqlerr.ConstraintUnique
	}
	return c
}

// change runs a statement that changes tables and compares what it gives.
func (b *both) change(text string) {
	b.t.Helper()
	b.compare(text, false)
	b.log = append(b.log, text)
}

// compare runs a statement on both; sorted says that the order of rows counts.
func (b *both) compare(text string, sorted bool) {
	b.t.Helper()
	if kind, what := b.difference(text, sorted); kind != same {
		b.fail(text, sorted, kind, what)
	}
}

// kindOfDifference says in what byokdb and SQLite differ.
type kindOfDifference int

const (
	same kindOfDifference = iota
	oneFails
	otherError
	otherRows
)

// difference runs a statement on both and says in what they differ.
func (b *both) difference(text string, sorted bool) (kindOfDifference, string) {
	got, gotErr := b.ours(text)
	want, wantErr := b.theirs(text)
	b.last = gotErr
	if gotErr != nil && strings.Contains(gotErr.Error(), "integer overflow") {
		return same, "" // overflow: which condition is evaluated first is nobody's promise
	}
	if gotErr != nil && wantErr == nil && besideZero.MatchString(text) && unknownName.MatchString(gotErr.Error()) {
		return same, ""
	}
	if b.verbatim && gotErr != nil && wantErr != nil && misused.MatchString(wantErr.Error()) {
		return same, "" // of two faults ALTER TABLE knows the other one alone
	}
	if gotErr != nil || wantErr != nil {
		got, want := code(gotErr), code(wantErr)
		if manyRows.MatchString(text) {
			got, want = eitherFault(got), eitherFault(want)
		}
		what := fmt.Sprintf("byokdb error: %v (%d)\nSQLite error: %v (%d)", gotErr, code(gotErr), wantErr, code(wantErr))
		switch {
		case (gotErr == nil) != (wantErr == nil):
			return oneFails, what
		case got != want || b.exact && gist(gotErr) != gist(wantErr) || b.verbatim && unqualified(gotErr) != unqualified(wantErr):
			return otherError, what
		}
		return same, ""
	}
	b.compared++
	b.rows += len(want)
	got, want = normal(text, got, sorted), normal(text, want, sorted)
	if slices.Equal(got, want) {
		return same, ""
	}
	if b.undefined(text, got, want, sorted) {
		b.excused++
		return same, ""
	}
	if !sorted && len(want) > 5 {
		got, want = besides(got, want), besides(want, got)
	}
	return otherRows, fmt.Sprintf("byokdb: %s\nSQLite: %s", strings.Join(got, "\n        "), strings.Join(want, "\n        "))
}

// unqualified is an error without the table before a column that is missing: of two
// places where it is named, either may be told.
func unqualified(err error) string {
	return missingColumn.ReplaceAllString(err.Error(), "no such column: $2")
}

var missingColumn = regexp.MustCompile(`no such column: ([^"]+\.)?([^".]+)$`)

// misused is what ALTER TABLE leaves to those who read a view.
var misused = regexp.MustCompile(`misuse of|aggregate functions are not allowed`)

// besideZero is where SQLite drops an operand before it knows its names.
var (
	besideZero  = regexp.MustCompile(`(?i)\bAND 0\b|\b0 AND\b`)
	unknownName = regexp.MustCompile(`^(no such column|ambiguous column name): `)
)

// besides are the rows of a that b does not have as often.
func besides(a, b []string) (out []string) {
	left := map[string]int{}
	for _, row := range b {
		left[row]++
	}
	for _, row := range a {
		if left[row]--; left[row] < 0 {
			out = append(out, row)
		}
	}
	return append(out, "and others")
}

// fail reports a difference with the fewest statements that show it.
func (b *both) fail(text string, sorted bool, kind kindOfDifference, what string) {
	b.t.Helper()
	r := &reduction{b: b, sorted: sorted, kind: kind, log: b.log, text: text, what: what}
	r.run()
	b.t.Errorf("%s\n-- %s --\n%s", r.what, r.note, strings.Join(append(slices.Clone(r.log), r.text), ";\n"))
}

// manyRows finds changes whose rows come in an order that follows from the plan:
// which one fails first, and for what, is nobody's promise.
var manyRows = regexp.MustCompile(`^UPDATE .* (FROM|WHERE [^i]|WHERE id [^=])|^UPDATE [^W]*$|^INSERT .* SELECT`)

// eitherFault makes one of the codes of what may be wrong with a row.
func eitherFault(code int) int {
	switch code {
	case sqlerr.ConstraintNotNull, sqlerr.ConstraintUnique, sqlerr.ConstraintPrimaryKey, sqlerr.ConstraintRowID:
		return sqlerr.ConstraintCheck
	}
	return code
}

var faultAfter = regexp.MustCompile(`^error in .* (after [a-z ]+): `)

// gist is what two messages must agree on: not which of several objects is at
// fault, nor how a name is written.
func gist(err error) string {
	text := err.Error()
	if m := faultAfter.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	text, _, _ = strings.Cut(text, ":")
	return text
}

var (
	mergesEqual = regexp.MustCompile(`UNION|INTERSECT|EXCEPT|DISTINCT |GROUP BY|min\(|max\(`)
	wholeNumber = regexp.MustCompile(`(^|\|)r-?[0-9][0-9.]*(e[+-]?[0-9]+)?`)
	wholeBlob   = regexp.MustCompile(`(^|\|)(x(?:2d)?(?:3[0-9])+)2e30\b`) // a whole number as a blob
	spacesAtEnd = regexp.MustCompile(` +"`)
	changes     = regexp.MustCompile(`\b(INSERT|UPDATE|DELETE|REPLACE INTO)\b`)
)

// asInteger writes a real, with the bar that may be before it, as the integer
// that equals it if there is one.
func asInteger(cell string) string {
	digits := strings.Trim(cell, "|r")
	r, err := strconv.ParseFloat(digits, 64)
	if err != nil || r != math.Trunc(r) || r < math.MinInt64 || r >= math.MaxInt64 {
		return cell
	}
	return strings.Replace(cell, "r"+digits, "i"+strconv.FormatInt(int64(r), 10), 1)
}

// normal leaves out of rows what is nobody's promise: their order unless sorted
// and, of equal values, which one stands for all.
func normal(text string, rows []string, sorted bool) []string {
	if mergesEqual.MatchString(text) { // 1 and 1.0, 'a' and 'A' or 'a '
		for i := range rows {
			rows[i] = wholeNumber.ReplaceAllStringFunc(rows[i], asInteger)
			rows[i] = wholeBlob.ReplaceAllString(rows[i], "${1}${2}")
			rows[i] = strings.ToLower(spacesAtEnd.ReplaceAllString(rows[i], `"`))
		}
	}
	if !sorted {
		slices.Sort(rows)
	}
	return rows
}

var (
	compoundCTE = regexp.MustCompile(`^WITH c1\(p, q\) AS (NOT MATERIALIZED |MATERIALIZED )?\(`)
	compounds   = regexp.MustCompile(`UNION|INTERSECT|EXCEPT`)
	minMax      = regexp.MustCompile(`\b(min|max)\(([a-z0-9]+(?:\.[a-z0-9]+)?)\)`)
)

// undefined reports whether SQLite has several answers to a query and promises
// none of them:
//
//   - it moves conditions into the selects of a compound, unless it must keep
//     its rows, and makes indexes over it, both with the affinities and the collations
//     of single selects. byokdb must give one of these answers.
//   - of equal values UNION, DISTINCT, GROUP BY, min and max keep the one that comes
//     first or last, which shows through typeof, LIKE or ||. SQLite must give
//     another answer when it reads its tables backwards.
//   - it reads some rows in the same order all the same, and so min and max keep the
//     same one of 'a' and 'A', which shows in groups and with LIMIT. Both must agree
//     where min and max tell them apart, and where it does not show.
func (b *both) undefined(text string, got, want []string, sorted bool) bool {
	if changes.MatchString(text) {
		return false
	}
	answer := func(text, pragma string) []string {
		b.pragma(pragma, "ON", "OFF")
		defer b.pragma(pragma, "OFF", "ON")
		rows, err := b.theirs(text)
		if err != nil {
			return want
		}
		return normal(text, rows, sorted)
	}
	if compounds.MatchString(text) {
		kept := compoundCTE.ReplaceAllString(text, "WITH c1(p, q) AS MATERIALIZED (")
		if slices.Equal(got, answer(kept, "")) || slices.Equal(got, answer(text, "automatic_index")) || slices.Equal(got, answer(kept, "automatic_index")) {
			return true
		}
	}
	if minMax.MatchString(text) && b.agree(minMax.ReplaceAllString(text, "rtrim(lower($1($2)))"), sorted) &&
		b.agree(minMax.ReplaceAllString(text, "$1($2 COLLATE BINARY)"), sorted) {
		return true
	}
	return mergesEqual.MatchString(text) && !slices.Equal(want, answer(text, "reverse_unordered_selects"))
}

// agree reports whether both give the same rows.
func (b *both) agree(text string, sorted bool) bool {
	got, gotErr := b.ours(text)
	want, wantErr := b.theirs(text)
	return gotErr == nil && wantErr == nil && slices.Equal(normal(text, got, sorted), normal(text, want, sorted))
}

// pragma sets reverse_unordered_selects to on, automatic_index to off in SQLite.
func (b *both) pragma(name, on, off string) {
	b.t.Helper()
	switch name {
	case "reverse_unordered_selects":
		b.lites("PRAGMA reverse_unordered_selects = " + on)
	case "automatic_index":
		b.lites("PRAGMA automatic_index = " + off)
	}
}
