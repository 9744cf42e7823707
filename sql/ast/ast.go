// Package ast is the syntax tree of the SQLite dialect. Its names are aliases
// of the parser library's, so that nothing is converted between the two while
// the rest of the project imports this package alone: another parser replaces
// the aliases with types of the same shape and fills them in sql/parse.
//
// A tree is immutable once it is parsed; plans and schemas share it.
package ast
