package gormdialect

import (
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
)

// AlterColumn gives a column the type, NOT NULL and default of the model. Its
// other constraints stay.
func (m Migrator) AlterColumn(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		if stmt.Schema == nil {
			return fmt.Errorf("alter column %s: a model is needed, not a table's name", name)
		}
		f := stmt.Schema.LookUpField(name)
		if f == nil {
			return fmt.Errorf("alter column %s: the model has no such field", name)
		}
		full := m.FullDataTypeOf(f)
		return m.rebuild(stmt.Table, func(d *definition) error {
			for _, c := range d.node.Columns {
				if !strings.EqualFold(c.Name.Name, f.DBName) {
					continue
				}
				parts := []string{d.of(c.Name), m.build(full)}
				primary := strings.Contains(strings.ToUpper(full.SQL), "PRIMARY KEY")
				for _, k := range c.Constraints {
					switch k.Kind {
					case ast.ColumnNull, ast.ColumnNotNull, ast.ColumnDefault:
					case ast.ColumnPrimaryKey:
						if !primary {
							parts = append(parts, d.of(k))
						}
					default:
						parts = append(parts, d.of(k))
					}
				}
				d.replace(c.Pos(), c.End(), strings.Join(parts, " "))
				return nil
			}
			return fmt.Errorf("alter column %s: table %s has no such column", f.DBName, stmt.Table)
		})
	})
}

// CreateConstraint adds a constraint of a model to its table.
func (m Migrator) CreateConstraint(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		constraint, table := m.GuessConstraintInterfaceAndTable(stmt, name)
		if constraint == nil {
			return fmt.Errorf("make constraint %s: the model has none of that name", name)
		}
		text, vars := constraint.Build()
		text = m.build(clause.Expr{SQL: text, Vars: vars})
		return m.rebuild(table, func(d *definition) error {
			end := d.node.Columns[len(d.node.Columns)-1].End()
			if n := len(d.node.Constraints); n > 0 {
				end = d.node.Constraints[n-1].End()
			}
			d.replace(end, end, ", "+text)
			return nil
		})
	})
}

// DropConstraint takes a constraint out of a table.
func (m Migrator) DropConstraint(value any, name string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		constraint, table := m.GuessConstraintInterfaceAndTable(stmt, name)
		if constraint != nil {
			name = constraint.GetName()
		}
		return m.rebuild(table, func(d *definition) error {
			before := d.node.Columns[len(d.node.Columns)-1].End()
			for _, k := range d.node.Constraints {
				if k.Name != nil && strings.EqualFold(k.Name.Name, name) {
					d.replace(before, k.End(), "")
					return nil
				}
				before = k.End()
			}
			for _, c := range d.node.Columns {
				for _, k := range c.Constraints {
					if k.Name != nil && strings.EqualFold(k.Name.Name, name) {
						d.replace(k.Pos(), k.End(), "")
						return nil
					}
				}
			}
			return fmt.Errorf("drop constraint %s: table %s has none of that name", name, table)
		})
	})
}

// HasConstraint reports whether a table has a constraint of that name.
func (m Migrator) HasConstraint(value any, name string) bool {
	return m.ask(value, func(stmt *gorm.Statement) bool {
		constraint, table := m.GuessConstraintInterfaceAndTable(stmt, name)
		if constraint != nil {
			name = constraint.GetName()
		}
		d, err := m.define(m.DB, table)
		if err != nil {
			return false
		}
		for _, k := range d.node.Constraints {
			if k.Name != nil && strings.EqualFold(k.Name.Name, name) {
				return true
			}
		}
		for _, c := range d.node.Columns {
			for _, k := range c.Constraints {
				if k.Name != nil && strings.EqualFold(k.Name.Name, name) {
					return true
				}
			}
		}
		return false
	})
}

// RenameIndex gives an index another name.
func (m Migrator) RenameIndex(value any, oldName, newName string) error {
	return m.RunWithValue(value, func(stmt *gorm.Statement) error {
		oldName := indexName(stmt, oldName)
		return m.DB.Transaction(func(tx *gorm.DB) error {
			var text string
			err := tx.Raw("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? COLLATE NOCASE AND name = ? COLLATE NOCASE AND sql IS NOT NULL",
				stmt.Table, oldName).Row().Scan(&text)
			if err != nil {
				return fmt.Errorf("rename index %s: %w", oldName, err)
			}
			st, err := parse.One(text)
			if err != nil {
				return err
			}
			n, ok := st.Stmt.(*ast.CreateIndexStmt)
			if !ok {
				return fmt.Errorf("rename index %s: its text is none of an index", oldName)
			}
			if err := tx.Exec("DROP INDEX ?", clause.Column{Name: oldName}).Error; err != nil {
				return err
			}
			name := n.Name.Name
			return run(tx, text[:name.Pos()]+stmt.Quote(newName)+text[name.End():])
		})
	})
}

// build returns an expression of GORM as text.
func (m Migrator) build(e clause.Expr) string {
	stmt := &gorm.Statement{DB: m.DB}
	e.Build(stmt)
	return m.Explain(stmt.SQL.String(), stmt.Vars...)
}

// definition is the CREATE TABLE text of a table, to be edited.
type definition struct {
	text       string
	node       *ast.CreateTableStmt
	start, end int
	with       string
}

// of returns the text of a part.
func (d *definition) of(n ast.Node) string { return d.text[n.Pos():n.End()] }

// replace sets the one edit that a change makes.
func (d *definition) replace(start, end int, text string) { d.start, d.end, d.with = start, end, text }

// define reads the definition of a table.
func (m Migrator) define(db *gorm.DB, table string) (*definition, error) {
	var text string
	err := db.Raw("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", table).Row().Scan(&text)
	if err != nil {
		return nil, fmt.Errorf("read the definition of table %s: %w", table, err)
	}
	st, err := parse.One(text)
	if err != nil {
		return nil, err
	}
	n, ok := st.Stmt.(*ast.CreateTableStmt)
	if !ok || len(n.Columns) == 0 {
		return nil, fmt.Errorf("table %s has no definition that could be changed", table)
	}
	return &definition{text: text, node: n}, nil
}

// rebuild makes a table anew with a changed definition: the rows, the indexes
// and the triggers are those that it had. It is one transaction.
func (m Migrator) rebuild(table string, change func(d *definition) error) error {
	return m.withoutForeignKeys(func(db *gorm.DB) error {
		return db.Transaction(func(tx *gorm.DB) error {
			d, err := m.define(tx, table)
			if err != nil {
				return err
			}
			if err := change(d); err != nil {
				return err
			}
			if err := m.safe(tx, table); err != nil {
				return err
			}
			if err := m.exchange(tx, table, d); err != nil {
				return err
			}
			return m.check(tx, table)
		})
	})
}

// safe refuses what would delete the rows that refer to those of a table.
func (m Migrator) safe(tx *gorm.DB, table string) error {
	var on bool
	if err := tx.Raw("PRAGMA foreign_keys").Row().Scan(&on); err != nil || !on {
		return err
	}
	if m.referred(tx, table) {
		return fmt.Errorf("table %s cannot be made anew inside of a transaction while foreign keys refer to it: migrate outside of one, or with PRAGMA foreign_keys = OFF", table)
	}
	return nil
}

// referred reports whether another table has a foreign key to one.
func (m Migrator) referred(tx *gorm.DB, table string) bool {
	var n int
	err := tx.Raw(`SELECT count(*) FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f
		WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE AND m.name <> ? COLLATE NOCASE`, table, table).Row().Scan(&n)
	return err != nil || n > 0
}

// check demands that the rows of a table have what their foreign keys refer to,
// where its connection enforces them outside of this change.
func (m Migrator) check(tx *gorm.DB, table string) (err error) {
	if on, ok := tx.Get(enforced); !ok || on != true {
		return nil
	}
	rows, err := tx.Raw("PRAGMA foreign_key_check(" + quoteName(table) + ")").Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if rows.Next() {
		return fmt.Errorf("table %s: %w", table, gorm.ErrForeignKeyViolated)
	}
	return rows.Err()
}

// enforced marks a connection that enforces foreign keys but for now.
const enforced = "byokdb:foreign_keys"

func (m Migrator) exchange(tx *gorm.DB, table string, d *definition) error {
	var others, cols []string
	err := tx.Raw("SELECT sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL ORDER BY rowid", table).Scan(&others).Error
	if err != nil {
		return err
	}
	if err := tx.Raw("SELECT name FROM pragma_table_info(?) ORDER BY cid", table).Scan(&cols).Error; err != nil {
		return err
	}
	for i := range cols {
		cols[i] = quoteName(cols[i])
	}
	given, err := sequence(tx, table, d.node)
	if err != nil {
		return err
	}
	aside := table + "__temp"
	name, list := d.node.Name.Name, strings.Join(cols, ",")
	texts := []string{
		d.text[:name.Pos()] + quoteName(aside) + d.text[name.End():d.start] + d.with + d.text[d.end:],
		fmt.Sprintf("INSERT INTO %s(%s) SELECT %s FROM %s", quoteName(aside), list, list, quoteName(table)),
		"DROP TABLE " + quoteName(table),
		fmt.Sprintf("ALTER TABLE %s RENAME TO %s", quoteName(aside), quoteName(table)),
	}
	for _, text := range append(texts, others...) {
		if err := run(tx, text); err != nil {
			return err
		}
	}
	if given == nil {
		return nil
	}
	if err := tx.Exec("DELETE FROM sqlite_sequence WHERE name = ?", table).Error; err != nil {
		return err
	}
	return tx.Exec("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, *given).Error
}

// sequence returns the greatest id that AUTOINCREMENT has given out in a table,
// nil for none.
func sequence(tx *gorm.DB, table string, n *ast.CreateTableStmt) (*int64, error) {
	for _, c := range n.Columns {
		for _, k := range c.Constraints {
			if !k.AutoIncrement {
				continue
			}
			var given []int64
			err := tx.Raw("SELECT seq FROM sqlite_sequence WHERE name = ? COLLATE NOCASE", table).Scan(&given).Error
			if err != nil || len(given) == 0 {
				return nil, err
			}
			return &given[0], nil
		}
	}
	return nil, nil //nolint:nilnil // no sequence is no error
}

func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// run executes a text in which nothing is a parameter.
func run(db *gorm.DB, text string) error {
	return db.Session(&gorm.Session{NewDB: true}).Exec(text).Error
}

// withoutForeignKeys calls fn on a connection that does not enforce foreign
// keys: dropping a table would otherwise delete what refers to its rows. Inside
// of a transaction that cannot be changed.
func (m Migrator) withoutForeignKeys(fn func(db *gorm.DB) error) error {
	db := m.DB.Session(&gorm.Session{})
	if _, inside := db.Statement.ConnPool.(gorm.TxCommitter); inside {
		return fn(db)
	}
	return db.Connection(func(conn *gorm.DB) (err error) {
		conn = conn.Session(&gorm.Session{})
		var on bool
		if err := conn.Raw("PRAGMA foreign_keys").Row().Scan(&on); err != nil {
			return err
		}
		if !on {
			return fn(conn)
		}
		if err := run(conn, "PRAGMA foreign_keys = OFF"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, run(conn, "PRAGMA foreign_keys = ON")) }()
		return fn(conn.Set(enforced, true).Session(&gorm.Session{}))
	})
}
