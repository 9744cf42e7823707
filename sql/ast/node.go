package ast

import (
	"strings"

	"github.com/sqlc-dev/meyer/ast"
)

// Node and the names below it are the roots of the tree.
//
//nolint:revive // aliases: the names are documented where they are declared
type (
	Node = ast.Node
	Stmt = ast.Stmt
	Expr = ast.Expr
	Span = ast.Span
)

// Walk calls fn for n and, unless fn returns false, for its descendants in
// source order.
func Walk(n Node, fn func(Node) bool) { ast.Walk(n, fn) }

// String renders n as SQL that parses to the same tree.
func String(n Node) string { return ast.String(n) }

// Unparen takes the parentheses off an expression.
func Unparen(e Expr) Expr {
	for {
		p, ok := e.(*ParenExpr)
		if !ok {
			return e
		}
		e = p.X
	}
}

// OpName returns what joins two terms of a compound, in capitals: UNION ALL.
func OpName(op CompoundOp) string {
	name := strings.ToUpper(op.Op)
	if op.All {
		name += " ALL"
	}
	return name
}
