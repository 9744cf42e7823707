// Package schema says how tables, indexes and views live in the collections of
// an engine, and changes them.
//
// One collection, "sql/schema", holds the version and one record per object
// with its CREATE text as it was written. The rows of a table are in a
// collection named by a number that never changes ("sql/t/00000012"), those of
// an index likewise ("sql/i/00000013"); so to rename is to edit one record.
//
// Everything here happens in the caller's engine transaction: schema changes
// commit and roll back with the rows.
package schema

import (
	"fmt"
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// Column is one column of a table or view.
type Column struct {
	Name            string
	DeclType        string // as written, "" when there is none
	Affinity        value.Affinity
	Collation       value.Collation
	NotNull         bool // declared, or implied by WITHOUT ROWID
	NotNullConflict ast.ConflictAction
	Default         ast.Expr // nil: NULL. Constant: it names no column
	DefaultText     string   // as written, without outer parentheses
	PKIndex         int      // position in the primary key from 1, 0 when not part of it

	Generated ast.Expr // of the row's other columns; nil for a column that is written
	Stored    bool     // Generated: kept in the row; else computed when it is read
}

// ExprColumn is the Column of an index key that is an expression.
const ExprColumn = -2

// IndexColumn is one column of an index.
type IndexColumn struct {
	Column    int      // in Table.Columns, or ExprColumn
	Expr      ast.Expr // of the table's columns, with ExprColumn; deterministic, without an outer COLLATE
	Collation value.Collation
	Desc      bool
}

// Origin says what made an index, in the letters of PRAGMA index_list.
type Origin string

// The origins.
const (
	OriginCreate     Origin = "c"
	OriginUnique     Origin = "u"
	OriginPrimaryKey Origin = "pk"
)

// Index is a secondary index. Every index has records to maintain.
type Index struct {
	Name       string
	Root       uint64 // of the collection IndexCollection(Root)
	Unique     bool
	Origin     Origin
	OnConflict ast.ConflictAction // of the constraint that made it
	Columns    []IndexColumn
	Where      ast.Expr // partial index, or nil
	SQL        string   // "" for an index that a constraint made
	Table      *Table
	Stats      []int64 // by ANALYZE: rows that agree in the first 1, 2, … columns, on average; or nil

	id uint64 // of its record
}

// Check is a CHECK constraint.
type Check struct {
	Name string // "" when it has none
	Expr ast.Expr
	Text string // the expression as written; names an unnamed constraint in messages
}

// ForeignKey is a REFERENCES clause.
type ForeignKey struct {
	Columns    []int    // in Table.Columns
	Parent     string   // table
	ParentCols []string // nil: the parent's primary key
	OnUpdate   ast.ForeignKeyAction
	OnDelete   ast.ForeignKeyAction
	Match      string // "" when there is none
	Deferred   bool   // DEFERRABLE INITIALLY DEFERRED
}

// Table is a table or a view.
//
// Rows are keyed by rowid (PrimaryKey is nil), which RowID may name as a
// column, or by the order-preserving encoding of the columns in PrimaryKey.
type Table struct {
	Name          string
	Root          uint64 // of the collection TableCollection(Root); 0 for a view
	SQL           string
	Columns       []Column
	RowID         int   // index of the INTEGER PRIMARY KEY column, -1 when there is none
	PrimaryKey    []int // columns whose values are the row's key; nil when keyed by rowid
	PKCollations  []value.Collation
	PKDesc        []bool             // what is said of them; rows come in ascending order
	PKConflict    ast.ConflictAction // of the INTEGER PRIMARY KEY or of PrimaryKey
	PKOrder       int                // how many UNIQUE constraints SQLite makes indexes of before that of the primary key
	AutoIncrement bool
	Indexes       []*Index // in order of creation
	Checks        []Check
	ForeignKeys   []ForeignKey
	Triggers      []*Trigger // in order of creation
	contradicts   bool       // two constraints of the same columns say different things about conflicts
	Strict        bool
	WithoutRowID  bool
	Stats         *TableStats // nil: ANALYZE has not looked at it

	View        *ast.SelectStmt // nil for a table
	ViewColumns []string        // the names in CREATE VIEW v(…), nil when there are none

	place Place  // "" is Main
	id    uint64 // of its record
}

// IsView reports whether t is a view.
func (t *Table) IsView() bool { return t.View != nil }

// Column returns the index of a column by name in any case, -1 when there is none.
func (t *Table) Column(name string) int {
	for i := range t.Columns {
		if ast.SameName(t.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

// Schema is what one version of the database holds. It is immutable and safe
// for concurrent use.
type Schema struct {
	Version uint64
	Tables  []*Table // tables and views in order of creation
	Objects []Object // every record in order of creation, for sqlite_schema

	tables     map[string]*Table
	indexes    map[string]*Index
	triggers   map[string]*Trigger
	references map[string][]Reference // by parent

	place        Place                 // "" is Main
	mainTriggers map[string][]*Trigger // of a temporary catalog, by the table of main that they are on

	joined    *joined // of a schema that Join made; else nil
	hidesTemp bool    // names are those of main
}

// Object is one row of sqlite_schema.
type Object struct {
	Type  string // table, index, view or trigger
	Name  string
	Table string
	Root  uint64 // 0 for a view or trigger; see RootPage
	SQL   string // "" stands for NULL

	id uint64
}

// Created returns the indexes in the order in which SQLite makes them; nil stands for
// that of PrimaryKey, which has no records of its own.
func (t *Table) Created() []*Index {
	out := slices.Clone(t.Indexes)
	var key *Index
	switch {
	case t.PrimaryKey != nil:
	case len(out) > 0 && out[0].Origin == OriginPrimaryKey:
		key, out = out[0], out[1:]
	default:
		return out
	}
	return slices.Insert(out, t.PKOrder, key)
}

// Table returns a table or view by name in any case, or nil.
func (s *Schema) Table(name string) *Table {
	name = fold(name)
	if temp := s.tempFirst(); temp != nil && temp.tables[name] != nil {
		return temp.tables[name]
	}
	return s.tables[name]
}

// Index returns an index by name in any case, or nil.
func (s *Schema) Index(name string) *Index {
	name = fold(name)
	if temp := s.tempFirst(); temp != nil && temp.indexes[name] != nil {
		return temp.indexes[name]
	}
	return s.indexes[name]
}

// TableCollection returns the name of the collection of the rows of a table of main.
func TableCollection(root uint64) string { return fmt.Sprintf("sql/t/%08d", root) }

// IndexCollection returns the name of the collection of the records of an index of main.
func IndexCollection(root uint64) string { return fmt.Sprintf("sql/i/%08d", root) }

func fold(name string) string { return ast.Fold(name) }
