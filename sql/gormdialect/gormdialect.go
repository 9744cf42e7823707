// Package gormdialect lets GORM work on byokdb. It is a module of its own, so
// that GORM is a dependency only of programs that use it.
//
//	db, err := gorm.Open(gormdialect.Open("orders.byok?key=local:dev.key"), &gorm.Config{})
//
// Types and names are those of GORM's own dialect for SQLite: a schema that one
// of them made is taken for up to date by the other.
package gormdialect

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"

	bsql "github.com/byokdb/byokdb/sql"
)

// Dialector is GORM's dialect for byokdb.
type Dialector struct {
	dsn  string
	pool gorm.ConnPool
}

var (
	_ gorm.Dialector                     = (*Dialector)(nil)
	_ gorm.SavePointerDialectorInterface = (*Dialector)(nil)
	_ gorm.ErrorTranslator               = (*Dialector)(nil)
)

// Open returns a dialect that opens the database of a data source name of the
// driver "byokdb".
func Open(dsn string) *Dialector { return &Dialector{dsn: dsn} }

// New returns a dialect on an open *sql.DB, such as one of
// sql.OpenDB(bsql.NewConnector(engine)).
func New(pool gorm.ConnPool) *Dialector { return &Dialector{pool: pool} }

// Name returns "sqlite": plugins and models that know the dialect of SQLite
// find it here.
func (d *Dialector) Name() string { return "sqlite" }

// Initialize is called by gorm.Open.
func (d *Dialector) Initialize(db *gorm.DB) error {
	db.ConnPool = d.pool
	if d.pool == nil {
		pool, err := sql.Open(bsql.DriverName, d.dsn)
		if err != nil {
			return err
		}
		db.ConnPool = pool
	}
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses:        []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses:        []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses:        []string{"DELETE", "FROM", "WHERE", "RETURNING"},
		LastInsertIDReversed: true,
	})
	db.ClauseBuilders["INSERT"] = buildInsert
	db.ClauseBuilders["LIMIT"] = buildLimit
	db.ClauseBuilders["FOR"] = buildLocking
	return nil
}

// buildInsert puts a modifier such as OR IGNORE before INTO.
func buildInsert(c clause.Clause, b clause.Builder) {
	insert, ok := c.Expression.(clause.Insert)
	if !ok {
		c.Build(b)
		return
	}
	write(b, "INSERT ")
	if insert.Modifier != "" {
		write(b, insert.Modifier, " ")
	}
	write(b, "INTO ")
	table := insert.Table
	if table.Name == "" {
		table = clause.Table{Name: clause.CurrentTable}
	}
	b.WriteQuoted(table)
}

// buildLimit writes the LIMIT that an OFFSET needs.
func buildLimit(c clause.Clause, b clause.Builder) {
	limit, ok := c.Expression.(clause.Limit)
	if !ok {
		return
	}
	n := -1
	if limit.Limit != nil && *limit.Limit >= 0 {
		n = *limit.Limit
	}
	if n < 0 && limit.Offset <= 0 {
		return
	}
	write(b, "LIMIT ", strconv.Itoa(n))
	if limit.Offset > 0 {
		write(b, " OFFSET ", strconv.Itoa(limit.Offset))
	}
}

// buildLocking leaves out FOR UPDATE: there is one writer at a time.
func buildLocking(c clause.Clause, b clause.Builder) {
	if _, ok := c.Expression.(clause.Locking); !ok {
		c.Build(b)
	}
}

func write(w clause.Writer, parts ...string) {
	for _, p := range parts {
		_, _ = w.WriteString(p) // a strings.Builder: it cannot fail
	}
}

// DefaultValueOf returns what stands for a field's default in one of several
// rows, of which another one has a value: the dialect has no word for it there.
func (d *Dialector) DefaultValueOf(field *schema.Field) clause.Expression {
	switch {
	case field.AutoIncrement || !field.HasDefaultValue || field.DefaultValue == "(-)":
		return clause.Expr{SQL: "NULL"}
	case field.DefaultValueInterface != nil:
		return clause.Expr{SQL: "?", Vars: []any{field.DefaultValueInterface}}
	case field.DefaultValue != "":
		return clause.Expr{SQL: field.DefaultValue}
	}
	return clause.Expr{SQL: "NULL"}
}

// Migrator returns what changes the schema.
func (d *Dialector) Migrator(db *gorm.DB) gorm.Migrator {
	return Migrator{migrator.Migrator{Config: migrator.Config{
		DB: db, Dialector: d, CreateIndexAfterCreateTable: true,
	}}}
}

// BindVarTo writes a parameter.
func (d *Dialector) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) { write(w, "?") }

// QuoteTo writes a name in backquotes. A dot parts a table from its column; what
// stands in backquotes already stays as it is.
func (d *Dialector) QuoteTo(w clause.Writer, name string) {
	for i, part := range splitName(name) {
		if i > 0 {
			write(w, ".")
		}
		if len(part) < 2 || part[0] != '`' || part[len(part)-1] != '`' {
			part = "`" + strings.ReplaceAll(part, "`", "``") + "`"
		}
		write(w, part)
	}
}

// splitName cuts a name at its dots outside of backquotes.
func splitName(name string) []string {
	var out []string
	quoted, begin := false, 0
	for i := range len(name) {
		switch {
		case name[i] == '`':
			quoted = !quoted
		case name[i] == '.' && !quoted:
			out = append(out, name[begin:i])
			begin = i + 1
		}
	}
	return append(out, name[begin:])
}

// Explain returns a statement with its arguments in it, for logs and for the
// defaults and views that GORM writes.
func (d *Dialector) Explain(text string, vars ...any) string {
	return logger.ExplainSQL(text, nil, `'`, vars...)
}

// DataTypeOf returns the declared type of a field's column.
func (d *Dialector) DataTypeOf(field *schema.Field) string {
	switch field.DataType {
	case schema.Bool:
		return "numeric"
	case schema.Int, schema.Uint:
		if field.AutoIncrement {
			return "integer PRIMARY KEY AUTOINCREMENT"
		}
		return "integer"
	case schema.Float:
		return "real"
	case schema.String:
		return "text"
	case schema.Time:
		if t, ok := field.TagSettings["TYPE"]; ok {
			return t
		}
		return "datetime"
	case schema.Bytes:
		return "blob"
	}
	return string(field.DataType)
}

// SavePoint begins what RollbackTo undoes.
func (d *Dialector) SavePoint(tx *gorm.DB, name string) error {
	return tx.Exec("SAVEPOINT " + name).Error
}

// RollbackTo undoes what came after SavePoint.
func (d *Dialector) RollbackTo(tx *gorm.DB, name string) error {
	return tx.Exec("ROLLBACK TO SAVEPOINT " + name).Error
}

// Translate puts GORM's error in front of that of a constraint, where
// gorm.Config.TranslateError asks for it; both are found by errors.Is and
// errors.As.
func (d *Dialector) Translate(err error) error {
	e, ok := errors.AsType[*bsql.Error](err)
	if !ok {
		return err
	}
	const (
		checkFailed      = 275
		foreignKeyFailed = 787
		primaryKeyTaken  = 1555
		uniqueTaken      = 2067
		rowIDTaken       = 2579
	)
	var known error
	switch e.ExtendedCode {
	case primaryKeyTaken, uniqueTaken, rowIDTaken:
		known = gorm.ErrDuplicatedKey
	case foreignKeyFailed:
		known = gorm.ErrForeignKeyViolated
	case checkFailed:
		known = gorm.ErrCheckConstraintViolated
	default:
		return err
	}
	return fmt.Errorf("%w: %w", known, err)
}
