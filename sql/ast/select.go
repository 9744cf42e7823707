package ast

import "github.com/sqlc-dev/meyer/ast"

// SelectStmt and the names below it belong to queries.
//
//nolint:revive // aliases: the names are documented where they are declared
type (
	SelectStmt     = ast.SelectStmt
	SelectCore     = ast.SelectCore
	CompoundOp     = ast.CompoundOp
	Distinct       = ast.Distinct
	SelectQuery    = ast.SelectQuery
	ValuesClause   = ast.ValuesClause
	ResultColumn   = ast.ResultColumn
	JoinType       = ast.JoinType
	JoinOperator   = ast.JoinOperator
	TableRef       = ast.TableRef
	SortOrder      = ast.SortOrder
	NullsOrder     = ast.NullsOrder
	OrderingTerm   = ast.OrderingTerm
	Limit          = ast.Limit
	With           = ast.With
	Materialized   = ast.Materialized
	CTE            = ast.CTE
	FrameType      = ast.FrameType
	FrameBoundType = ast.FrameBoundType
	FrameExclude   = ast.FrameExclude
	FrameBound     = ast.FrameBound
	WindowDef      = ast.WindowDef
)

// The values of the enumeration that DistinctNone belongs to.
const (
	DistinctNone     = ast.DistinctNone
	DistinctDistinct = ast.DistinctDistinct
	DistinctAll      = ast.DistinctAll
)

// The values of the enumeration that JoinInner belongs to.
const (
	JoinInner   = ast.JoinInner
	JoinCross   = ast.JoinCross
	JoinNatural = ast.JoinNatural
	JoinLeft    = ast.JoinLeft
	JoinRight   = ast.JoinRight
	JoinOuter   = ast.JoinOuter
	JoinComma   = ast.JoinComma
)

// The values of the enumeration that SortDefault belongs to.
const (
	SortDefault = ast.SortDefault
	SortAsc     = ast.SortAsc
	SortDesc    = ast.SortDesc
)

// The values of the enumeration that NullsDefault belongs to.
const (
	NullsDefault = ast.NullsDefault
	NullsFirst   = ast.NullsFirst
	NullsLast    = ast.NullsLast
)

// The values of the enumeration that MaterializedAny belongs to.
const (
	MaterializedAny = ast.MaterializedAny
	MaterializedYes = ast.MaterializedYes
	MaterializedNo  = ast.MaterializedNo
)

// The values of the enumeration that FrameNone belongs to.
const (
	FrameNone   = ast.FrameNone
	FrameRange  = ast.FrameRange
	FrameRows   = ast.FrameRows
	FrameGroups = ast.FrameGroups
)

// The values of the enumeration that BoundUnboundedPreceding belongs to.
const (
	BoundUnboundedPreceding = ast.BoundUnboundedPreceding
	BoundPreceding          = ast.BoundPreceding
	BoundCurrentRow         = ast.BoundCurrentRow
	BoundFollowing          = ast.BoundFollowing
	BoundUnboundedFollowing = ast.BoundUnboundedFollowing
)

// The values of the enumeration that ExcludeNone belongs to.
const (
	ExcludeNone       = ast.ExcludeNone
	ExcludeNoOthers   = ast.ExcludeNoOthers
	ExcludeCurrentRow = ast.ExcludeCurrentRow
	ExcludeGroup      = ast.ExcludeGroup
	ExcludeTies       = ast.ExcludeTies
)
