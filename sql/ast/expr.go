package ast

import "github.com/sqlc-dev/meyer/ast"

// QuoteStyle and the names below it belong to expressions.
//
//nolint:revive // aliases: the names are documented where they are declared
type (
	QuoteStyle    = ast.QuoteStyle
	Ident         = ast.Ident
	QualifiedName = ast.QualifiedName
	QualifiedRef  = ast.QualifiedRef
	Star          = ast.Star
	LiteralKind   = ast.LiteralKind
	Literal       = ast.Literal
	ParamKind     = ast.ParamKind
	BindParam     = ast.BindParam
	Operator      = ast.Operator
	BinaryExpr    = ast.BinaryExpr
	UnaryExpr     = ast.UnaryExpr
	ParenExpr     = ast.ParenExpr
	LikeExpr      = ast.LikeExpr
	IsExpr        = ast.IsExpr
	NullTest      = ast.NullTest
	NullCheckExpr = ast.NullCheckExpr
	BetweenExpr   = ast.BetweenExpr
	InExpr        = ast.InExpr
	CaseExpr      = ast.CaseExpr
	CaseWhen      = ast.CaseWhen
	CastExpr      = ast.CastExpr
	CollateExpr   = ast.CollateExpr
	FuncCall      = ast.FuncCall
	ExistsExpr    = ast.ExistsExpr
	SubqueryExpr  = ast.SubqueryExpr
	VectorExpr    = ast.VectorExpr
	RaiseExpr     = ast.RaiseExpr
	TypeName      = ast.TypeName
)

// The values of the enumeration that QuoteNone belongs to.
const (
	QuoteNone   = ast.QuoteNone
	QuoteDouble = ast.QuoteDouble
	QuoteBack   = ast.QuoteBack
	QuoteSquare = ast.QuoteSquare
	QuoteSingle = ast.QuoteSingle
)

// The values of the enumeration that LitNull belongs to.
const (
	LitNull             = ast.LitNull
	LitInteger          = ast.LitInteger
	LitFloat            = ast.LitFloat
	LitString           = ast.LitString
	LitBlob             = ast.LitBlob
	LitCurrentDate      = ast.LitCurrentDate
	LitCurrentTime      = ast.LitCurrentTime
	LitCurrentTimestamp = ast.LitCurrentTimestamp
)

// The values of the enumeration that ParamAnon belongs to.
const (
	ParamAnon   = ast.ParamAnon
	ParamNumber = ast.ParamNumber
	ParamColon  = ast.ParamColon
	ParamAt     = ast.ParamAt
	ParamDollar = ast.ParamDollar
)

// The values of the enumeration that OpNone belongs to.
const (
	OpNone   = ast.OpNone
	OpOr     = ast.OpOr
	OpAnd    = ast.OpAnd
	OpEq     = ast.OpEq
	OpNe     = ast.OpNe
	OpLt     = ast.OpLt
	OpLe     = ast.OpLe
	OpGt     = ast.OpGt
	OpGe     = ast.OpGe
	OpBitAnd = ast.OpBitAnd
	OpBitOr  = ast.OpBitOr
	OpLShift = ast.OpLShift
	OpRShift = ast.OpRShift
	OpAdd    = ast.OpAdd
	OpSub    = ast.OpSub
	OpMul    = ast.OpMul
	OpDiv    = ast.OpDiv
	OpMod    = ast.OpMod
	OpConcat = ast.OpConcat
	OpPtr    = ast.OpPtr
	OpPtr2   = ast.OpPtr2
	OpNot    = ast.OpNot
	OpBitNot = ast.OpBitNot
	OpPlus   = ast.OpPlus
	OpMinus  = ast.OpMinus
)

// The values of the enumeration that TestIsNull belongs to.
const (
	TestIsNull       = ast.TestIsNull
	TestNotNull      = ast.TestNotNull
	TestNotNullWords = ast.TestNotNullWords
)
