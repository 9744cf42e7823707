package ast

import "github.com/sqlc-dev/meyer/ast"

// ConflictAction and the names below it belong to statements that change rows.
//
//nolint:revive // aliases: the names are documented where they are declared
type (
	ConflictAction = ast.ConflictAction
	InsertStmt     = ast.InsertStmt
	Upsert         = ast.Upsert
	SetPair        = ast.SetPair
	UpdateStmt     = ast.UpdateStmt
	DeleteStmt     = ast.DeleteStmt
)

// The values of the enumeration that ConflictDefault belongs to.
const (
	ConflictDefault  = ast.ConflictDefault
	ConflictRollback = ast.ConflictRollback
	ConflictAbort    = ast.ConflictAbort
	ConflictFail     = ast.ConflictFail
	ConflictIgnore   = ast.ConflictIgnore
	ConflictReplace  = ast.ConflictReplace
)
