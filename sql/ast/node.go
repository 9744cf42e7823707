package ast

import "github.com/sqlc-dev/meyer/ast"

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
