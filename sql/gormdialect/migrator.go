package gormdialect

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/migrator"
	"gorm.io/gorm/schema"
)

// Migrator changes the schema for GORM. What ALTER TABLE cannot do it does by
// making the table anew, with its rows, indexes and triggers.
type Migrator struct{ migrator.Migrator }

var _ gorm.Migrator = Migrator{}

// CurrentDatabase returns "main".
func (m Migrator) CurrentDatabase() string { return "main" }

// count runs a query that counts. GORM's questions have no error to return: one
// that fails is answered with no, and the statement that follows shows why.
func (m Migrator) count(query string, args ...any) bool {
	var n int
	err := m.DB.Raw(query, args...).Row().Scan(&n)
	return err == nil && n > 0
}

// ask runs fn with the statement of a model or a table's name.
func (m Migrator) ask(value any, fn func(stmt *gorm.Statement) bool) bool {
	var found bool
	err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
		found = fn(stmt)
		return nil
	})
	return err == nil && found
}

// columnName returns the column of a field, or the name itself.
func columnName(stmt *gorm.Statement, name string) string {
	if stmt.Schema != nil {
		if f := stmt.Schema.LookUpField(name); f != nil {
			return f.DBName
		}
	}
	return name
}

// indexName returns the name of a model's index, or the name itself.
func indexName(stmt *gorm.Statement, name string) string {
	if stmt.Schema != nil {
		if ix := stmt.Schema.LookIndex(name); ix != nil {
			return ix.Name
		}
	}
	return name
}

// GetTables returns the names of the tables.
func (m Migrator) GetTables() ([]string, error) {
	var names []string
	err := m.DB.Raw("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid").Scan(&names).Error
	return names, err
}

// HasTable reports whether a table is there.
func (m Migrator) HasTable(value any) bool {
	return m.ask(value, func(stmt *gorm.Statement) bool {
		return m.count("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", stmt.Table)
	})
}

// DropTable drops tables, those that refer to others first, if they are there.
func (m Migrator) DropTable(values ...any) error {
	values = m.ReorderModels(values, false)
	return m.withoutForeignKeys(func(db *gorm.DB) error {
		for _, value := range slices.Backward(values) {
			err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
				return db.Exec("DROP TABLE IF EXISTS ?", clause.Table{Name: stmt.Table}).Error
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// TableType says what a name stands for.
func (m Migrator) TableType(value any) (gorm.TableType, error) {
	out := migrator.TableType{SchemaValue: "main"}
	err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
		out.NameValue = stmt.Table
		return m.DB.Raw("SELECT type FROM sqlite_master WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE", stmt.Table).Row().Scan(&out.TypeValue)
	})
	return out, err
}

// HasColumn reports whether a table has a column.
func (m Migrator) HasColumn(value any, name string) bool {
	return m.ask(value, func(stmt *gorm.Statement) bool {
		return m.count("SELECT count(*) FROM pragma_table_xinfo(?) WHERE name = ? COLLATE NOCASE", stmt.Table, columnName(stmt, name))
	})
}

// column is a row of PRAGMA table_xinfo.
type column struct {
	Name    string
	Type    string
	Notnull bool
	Default sql.NullString `gorm:"column:dflt_value"`
	PK      int            `gorm:"column:pk"`
	Alone   bool           // a UNIQUE constraint has this column alone
}

// ColumnTypes describes the columns of a table.
func (m Migrator) ColumnTypes(value any) ([]gorm.ColumnType, error) {
	var out []gorm.ColumnType
	err := m.RunWithValue(value, func(stmt *gorm.Statement) (err error) {
		var cols []column
		err = m.DB.Raw(`SELECT name, type, "notnull", dflt_value, pk, name IN (
			SELECT max(i.name) FROM pragma_index_list(?) AS l JOIN pragma_index_info(l.name) AS i
			WHERE l.origin = 'u' GROUP BY l.name HAVING count(*) = 1) AS alone
			FROM pragma_table_xinfo(?) ORDER BY cid`, stmt.Table, stmt.Table).Scan(&cols).Error
		if err != nil {
			return err
		}
		rows, err := m.DB.Session(&gorm.Session{}).Table(stmt.Table).Limit(0).Rows()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		types, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		scan := make(map[string]*sql.ColumnType, len(types))
		for _, t := range types {
			scan[t.Name()] = t
		}
		auto := m.count("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE AND sql LIKE '%autoincrement%'", stmt.Table)
		for _, c := range cols {
			out = append(out, c.describe(auto, scan[c.Name]))
		}
		return rows.Err()
	})
	return out, err
}

// describe returns GORM's form of a column.
func (c *column) describe(autoIncrement bool, t *sql.ColumnType) migrator.ColumnType {
	known := func(b bool) sql.NullBool { return sql.NullBool{Bool: b, Valid: true} }
	base, size := splitType(c.Type)
	out := migrator.ColumnType{
		SQLColumnType:      t,
		NameValue:          sql.NullString{String: c.Name, Valid: true},
		DataTypeValue:      sql.NullString{String: base, Valid: true},
		ColumnTypeValue:    sql.NullString{String: c.Type, Valid: true},
		PrimaryKeyValue:    known(c.PK > 0),
		UniqueValue:        known(c.Alone),
		AutoIncrementValue: known(autoIncrement && c.PK > 0),
		NullableValue:      known(!c.Notnull),
	}
	if c.Default.Valid && !strings.EqualFold(c.Default.String, "NULL") {
		out.DefaultValueValue = sql.NullString{String: bare(c.Default.String), Valid: true}
	}
	switch len(size) {
	case 1:
		out.LengthValue = sql.NullInt64{Int64: size[0], Valid: true}
		if strings.EqualFold(base, "decimal") || strings.EqualFold(base, "numeric") {
			out.LengthValue.Valid = false
			out.DecimalSizeValue = sql.NullInt64{Int64: size[0], Valid: true}
		}
	case 2:
		out.DecimalSizeValue = sql.NullInt64{Int64: size[0], Valid: true}
		out.ScaleValue = sql.NullInt64{Int64: size[1], Valid: true}
	}
	return out
}

// splitType cuts "decimal(10, 2)" into the name and the numbers.
func splitType(declared string) (base string, size []int64) {
	base, rest, ok := strings.Cut(declared, "(")
	if !ok {
		return declared, nil
	}
	inside, _, _ := strings.Cut(rest, ")")
	for part := range strings.SplitSeq(inside, ",") {
		n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
		if err != nil {
			return strings.TrimSpace(base), nil
		}
		size = append(size, n)
	}
	return strings.TrimSpace(base), size
}

// bare returns a default without its quotes, as GORM compares it.
func bare(text string) string {
	if len(text) >= 2 && (text[0] == '\'' || text[0] == '"') && text[len(text)-1] == text[0] {
		q := text[:1]
		return strings.ReplaceAll(text[1:len(text)-1], q+q, q)
	}
	return text
}

// DropColumn drops a column, and the indexes that are made for it.
func (m Migrator) DropColumn(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		name := columnName(stmt, name)
		return m.DB.Transaction(func(tx *gorm.DB) error {
			var indexes []string
			err := tx.Raw(`SELECT l.name FROM pragma_index_list(?) AS l JOIN pragma_index_info(l.name) AS i
				WHERE l.origin = 'c' AND i.name = ? COLLATE NOCASE`, stmt.Table, name).Scan(&indexes).Error
			if err != nil {
				return err
			}
			for _, ix := range indexes {
				if err := tx.Exec("DROP INDEX ?", clause.Column{Name: ix}).Error; err != nil {
					return err
				}
			}
			return tx.Exec("ALTER TABLE ? DROP COLUMN ?", clause.Table{Name: stmt.Table}, clause.Column{Name: name}).Error
		})
	})
}

// CreateView makes a view, in place of one of its name with Replace.
func (m Migrator) CreateView(name string, option gorm.ViewOption) error {
	if !option.Replace {
		return m.Migrator.CreateView(name, option)
	}
	option.Replace = false
	return m.DB.Transaction(func(tx *gorm.DB) error {
		if err := tx.Migrator().DropView(name); err != nil {
			return err
		}
		return tx.Migrator().CreateView(name, option)
	})
}

// BuildIndexOptions returns the columns of an index.
func (m Migrator) BuildIndexOptions(opts []schema.IndexOption, stmt *gorm.Statement) []any {
	out := make([]any, 0, len(opts))
	for _, o := range opts {
		text := o.Expression
		if text == "" {
			text = stmt.Quote(o.DBName)
		}
		if o.Collate != "" {
			text += " COLLATE " + o.Collate
		}
		if o.Sort != "" {
			text += " " + o.Sort
		}
		out = append(out, clause.Expr{SQL: text})
	}
	return out
}

// CreateIndex makes an index of a model.
func (m Migrator) CreateIndex(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if stmt.Schema == nil {
			return fmt.Errorf("make index %s: a model is needed, not a table's name", name)
		}
		ix := stmt.Schema.LookIndex(name)
		if ix == nil {
			return fmt.Errorf("make index %s: the model has none of that name", name)
		}
		text := "CREATE "
		if ix.Class != "" {
			text += ix.Class + " "
		}
		text += "INDEX ? ON ??"
		if ix.Where != "" {
			text += " WHERE " + ix.Where
		}
		return m.DB.Exec(text, clause.Column{Name: ix.Name}, clause.Table{Name: stmt.Table}, m.BuildIndexOptions(ix.Fields, stmt)).Error
	})
}

// HasIndex reports whether a table has an index.
func (m Migrator) HasIndex(value any, name string) bool {
	return m.ask(value, func(stmt *gorm.Statement) bool {
		return m.count("SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = ? COLLATE NOCASE AND name = ? COLLATE NOCASE",
			stmt.Table, indexName(stmt, name))
	})
}

// DropIndex drops an index.
func (m Migrator) DropIndex(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		return m.DB.Exec("DROP INDEX ?", clause.Column{Name: indexName(stmt, name)}).Error
	})
}

// GetIndexes describes the indexes of a table, but for those of UNIQUE
// constraints.
func (m Migrator) GetIndexes(value any) ([]gorm.Index, error) {
	var out []gorm.Index
	err := m.RunWithValue(value, func(stmt *gorm.Statement) error {
		var rows []struct {
			Name, Origin, Column string
			Unique               bool
		}
		err := m.DB.Raw(`SELECT l.name, l.origin, l."unique", i.name AS column
			FROM pragma_index_list(?) AS l JOIN pragma_index_info(l.name) AS i
			WHERE l.origin <> 'u' ORDER BY l.seq, i.seqno`, stmt.Table).Scan(&rows).Error
		if err != nil {
			return err
		}
		var last *migrator.Index
		for _, r := range rows {
			if last == nil || last.NameValue != r.Name {
				last = &migrator.Index{
					TableName: stmt.Table, NameValue: r.Name,
					PrimaryKeyValue: sql.NullBool{Bool: r.Origin == "pk", Valid: true},
					UniqueValue:     sql.NullBool{Bool: r.Unique, Valid: true},
				}
				out = append(out, last)
			}
			last.ColumnList = append(last.ColumnList, r.Column)
		}
		return nil
	})
	return out, err
}
