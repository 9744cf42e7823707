package ingest

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"strconv"
	"strings"
)

// kind is what the values of a column are.
type kind uint8

const (
	kindNone kind = iota // nothing but NULL so far
	kindBool
	kindInt
	kindReal
	kindNumber // reals and integers that a real would round
	kindText
	kindJSON // arrays or objects, maybe beside other values: each is kept as JSON text
)

// declared returns the type that a CREATE TABLE gives a column of the kind.
func (k kind) declared() string {
	switch k {
	case kindBool:
		return "BOOLEAN"
	case kindInt:
		return "INTEGER"
	case kindReal:
		return "REAL"
	case kindNumber:
		return "NUMERIC"
	case kindJSON:
		return "JSON TEXT"
	default:
		return "TEXT"
	}
}

// kindOfDeclared returns the kind of an existing column, by SQLite's rules of
// affinity.
func kindOfDeclared(t string) kind {
	t = strings.ToUpper(t)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(t, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("JSON"):
		return kindJSON
	case has("BOOL"):
		return kindBool
	case has("INT"):
		return kindInt
	case has("CHAR", "CLOB", "TEXT", "BLOB"), t == "":
		return kindText
	case has("REAL", "FLOA", "DOUB"):
		return kindReal
	default:
		return kindNumber
	}
}

// realExactMax is the largest integer below which a float64 holds every one.
const realExactMax = 1 << 53

// kindOf returns the kind of one value.
func kindOf(v any) kind {
	switch v.(type) {
	case nil:
		return kindNone
	case bool:
		return kindBool
	case int64:
		return kindInt
	case float64:
		return kindReal
	case jsonText:
		return kindJSON
	default:
		return kindText
	}
}

// column is one column of the table and the values seen for it.
type column struct {
	name string
	kind kind
	big  bool // an integer was seen that a float64 would round
	made bool // the table has it
}

// learn widens the kind so that it fits v, a value of the sample.
func (c *column) learn(v any, csv bool) {
	k := kindOf(v)
	if s, ok := v.(string); ok && csv {
		k, v = csvKind(s)
	}
	if i, ok := v.(int64); ok && (i > realExactMax || i < -realExactMax) {
		c.big = true
	}
	switch {
	case k == kindNone || k == c.kind:
	case c.kind == kindNone:
		c.kind = k
	case (c.kind == kindInt || c.kind == kindReal) && (k == kindInt || k == kindReal):
		c.kind = kindReal
	case c.kind == kindJSON || k == kindJSON:
		c.kind = kindJSON
	default:
		c.kind = kindText
	}
}

// table is the target: its columns in order, found by name in any case, as
// SQL compares names.
type table struct {
	name   string
	exists bool
	csv    bool
	cols   []*column
	byName map[string]int // lower-case name: index in cols
	used   []int          // columns that the data has had, in that order
	isUsed map[int]bool
	added  []string
}

// loadTable reads the columns of the table, if there is one.
func loadTable(ctx context.Context, db *stdsql.DB, name string, csv bool) (*table, error) {
	t := &table{name: name, csv: csv, byName: make(map[string]int), isUsed: make(map[int]bool)}
	var n int
	err := db.QueryRowContext(ctx,
		"SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE", name).Scan(&n)
	if err != nil {
		return nil, fmt.Errorf("look for table: %w", err)
	}
	if n == 0 {
		return t, nil
	}
	t.exists = true
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+quoteName(name)+" LIMIT 0") //nolint:gosec // the name is quoted
	if err != nil {
		return nil, fmt.Errorf("read columns of table: %w", err)
	}
	defer rows.Close() //nolint:errcheck // nothing was written through it
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, fmt.Errorf("read columns of table: %w", err)
	}
	for _, ct := range types {
		t.add(&column{name: ct.Name(), kind: kindOfDeclared(ct.DatabaseTypeName()), made: true})
	}
	return t, rows.Err()
}

func (t *table) add(c *column) int {
	t.byName[strings.ToLower(c.name)] = len(t.cols)
	t.cols = append(t.cols, c)
	return len(t.cols) - 1
}

// place returns for each field of rec the index of its column, and makes the
// columns that are missing. Fields whose names differ only in case share a
// column, unless one record has both: then the one that is spelled as the
// column keeps it and the other takes a name with a number behind it.
func (t *table) place(rec record, dst []int) ([]int, error) {
	dst = dst[:0]
	for range rec.fields {
		dst = append(dst, -1)
	}
	taken := make(map[int]bool, len(rec.fields))
	for i, f := range rec.fields { // exact spellings first
		if c, ok := t.byName[strings.ToLower(columnName(f.name))]; ok && t.cols[c].name == columnName(f.name) && !taken[c] {
			dst[i], taken[c] = c, true
		}
	}
	for i, f := range rec.fields {
		for n := 1; dst[i] < 0; n++ {
			name := columnName(f.name)
			if n > 1 {
				name += "_" + strconv.Itoa(n)
			}
			c, ok := t.byName[strings.ToLower(name)]
			if !ok {
				if len(t.cols) >= ColumnsMax {
					return dst, fmt.Errorf("%w: a table has at most %d", ErrTooManyColumns, ColumnsMax)
				}
				c = t.add(&column{name: name})
			}
			if !taken[c] {
				dst[i], taken[c] = c, true
			}
		}
	}
	for _, c := range dst {
		if !t.isUsed[c] {
			t.isUsed[c] = true
			t.used = append(t.used, c)
		}
	}
	return dst, nil
}

// learn lets the columns that are not made yet see the values of rec.
func (t *table) learn(rec record, cols []int) {
	for i, c := range cols {
		if col := t.cols[c]; !col.made {
			col.learn(rec.fields[i].value, t.csv)
		}
	}
}

// settle makes, within tx, the table and the columns that it lacks.
func (t *table) settle(ctx context.Context, tx *stdsql.Tx) error {
	var defs []string
	for _, c := range t.cols {
		if c.made {
			continue
		}
		if c.kind == kindReal && c.big {
			c.kind = kindNumber
		}
		defs = append(defs, quoteName(c.name)+" "+c.kind.declared())
	}
	if len(defs) == 0 && t.exists {
		return nil
	}
	if !t.exists {
		if len(defs) == 0 {
			return fmt.Errorf("%w: the first records have no fields", ErrEmpty)
		}
		text := "CREATE TABLE " + quoteName(t.name) + " (\n  " + strings.Join(defs, ",\n  ") + "\n)" //nolint:gosec // names are quoted
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("create table: %w", err)
		}
		return nil
	}
	for _, def := range defs {
		if _, err := tx.ExecContext(ctx, "ALTER TABLE "+quoteName(t.name)+" ADD COLUMN "+def); err != nil {
			return fmt.Errorf("add column: %w", err)
		}
	}
	return nil
}

// settled says that what settle did is durable.
func (t *table) settled() {
	for _, c := range t.cols {
		if !c.made && t.exists {
			t.added = append(t.added, c.name)
		}
		c.made = true
	}
	t.exists = true
}

// value returns what to store for v in column c.
func (t *table) value(v any, c int) any {
	k := t.cols[c].kind
	switch v := v.(type) {
	case string:
		if t.csv {
			return csvValue(v, k)
		}
		if k == kindJSON {
			return jsonString(v)
		}
	case jsonText:
		return string(v)
	case numberText:
		return string(v)
	case bool:
		if k == kindText || k == kindJSON { // the word, not SQLite's 0 or 1 turned to text
			return strconv.FormatBool(v)
		}
	}
	return v
}

// columnName returns a name that can be quoted: not empty, without NUL.
func columnName(s string) string {
	s = strings.ReplaceAll(s, "\x00", "_")
	if strings.TrimSpace(s) == "" {
		return "field"
	}
	return s
}

// quoteName quotes an identifier.
func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
