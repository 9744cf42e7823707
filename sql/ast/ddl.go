package ast

import "github.com/sqlc-dev/meyer/ast"

// CreateTableStmt and the names below it belong to statements that change the schema.
//
//nolint:revive // aliases: the names are documented where they are declared
type (
	CreateTableStmt        = ast.CreateTableStmt
	TableOption            = ast.TableOption
	ColumnDef              = ast.ColumnDef
	ColumnName             = ast.ColumnName
	ColumnConstraintKind   = ast.ColumnConstraintKind
	ColumnConstraint       = ast.ColumnConstraint
	TableConstraintKind    = ast.TableConstraintKind
	TableConstraint        = ast.TableConstraint
	IndexedColumn          = ast.IndexedColumn
	ForeignKeyAction       = ast.ForeignKeyAction
	ForeignKeyClause       = ast.ForeignKeyClause
	ForeignKeyArg          = ast.ForeignKeyArg
	DeferClause            = ast.DeferClause
	CreateIndexStmt        = ast.CreateIndexStmt
	CreateViewStmt         = ast.CreateViewStmt
	TriggerTime            = ast.TriggerTime
	CreateTriggerStmt      = ast.CreateTriggerStmt
	CreateVirtualTableStmt = ast.CreateVirtualTableStmt
	AlterAction            = ast.AlterAction
	AlterTableStmt         = ast.AlterTableStmt
	DropTableStmt          = ast.DropTableStmt
	DropViewStmt           = ast.DropViewStmt
	DropIndexStmt          = ast.DropIndexStmt
	DropTriggerStmt        = ast.DropTriggerStmt
)

// The values of the enumeration that ColumnNull belongs to.
const (
	ColumnNull       = ast.ColumnNull
	ColumnNotNull    = ast.ColumnNotNull
	ColumnPrimaryKey = ast.ColumnPrimaryKey
	ColumnUnique     = ast.ColumnUnique
	ColumnCheck      = ast.ColumnCheck
	ColumnDefault    = ast.ColumnDefault
	ColumnCollate    = ast.ColumnCollate
	ColumnReferences = ast.ColumnReferences
	ColumnGenerated  = ast.ColumnGenerated
	ColumnDeferrable = ast.ColumnDeferrable
)

// The values of the enumeration that TablePrimaryKey belongs to.
const (
	TablePrimaryKey = ast.TablePrimaryKey
	TableUnique     = ast.TableUnique
	TableCheck      = ast.TableCheck
	TableForeignKey = ast.TableForeignKey
)

// The values of the enumeration that FKNoAction belongs to.
const (
	FKNoAction   = ast.FKNoAction
	FKSetNull    = ast.FKSetNull
	FKSetDefault = ast.FKSetDefault
	FKCascade    = ast.FKCascade
	FKRestrict   = ast.FKRestrict
)

// The values of the enumeration that TriggerBefore belongs to.
const (
	TriggerBefore    = ast.TriggerBefore
	TriggerAfter     = ast.TriggerAfter
	TriggerInsteadOf = ast.TriggerInsteadOf
)

// The values of the enumeration that AlterRenameTable belongs to.
const (
	AlterRenameTable        = ast.AlterRenameTable
	AlterRenameColumn       = ast.AlterRenameColumn
	AlterAddColumn          = ast.AlterAddColumn
	AlterDropColumn         = ast.AlterDropColumn
	AlterDropConstraint     = ast.AlterDropConstraint
	AlterDropNotNull        = ast.AlterDropNotNull
	AlterSetNotNull         = ast.AlterSetNotNull
	AlterAddConstraintCheck = ast.AlterAddConstraintCheck
)
