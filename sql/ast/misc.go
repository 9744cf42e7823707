package ast

import "github.com/sqlc-dev/meyer/ast"

// TransactionType and the names below it belong to transactions, PRAGMA and the rest.
//
//nolint:revive // aliases: the names are documented where they are declared
type (
	TransactionType = ast.TransactionType
	BeginStmt       = ast.BeginStmt
	CommitStmt      = ast.CommitStmt
	RollbackStmt    = ast.RollbackStmt
	SavepointStmt   = ast.SavepointStmt
	ReleaseStmt     = ast.ReleaseStmt
	AttachStmt      = ast.AttachStmt
	DetachStmt      = ast.DetachStmt
	PragmaStmt      = ast.PragmaStmt
	VacuumStmt      = ast.VacuumStmt
	AnalyzeStmt     = ast.AnalyzeStmt
	ReindexStmt     = ast.ReindexStmt
	ExplainStmt     = ast.ExplainStmt
)

// The values of the enumeration that TxnDeferred belongs to.
const (
	TxnDeferred  = ast.TxnDeferred
	TxnImmediate = ast.TxnImmediate
	TxnExclusive = ast.TxnExclusive
)
