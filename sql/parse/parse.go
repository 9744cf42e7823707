// Package parse turns SQL text into syntax trees and enforces the limits that
// keep a hostile text from exhausting the process. It alone knows the parser
// library.
package parse

import (
	"errors"
	"strings"

	"github.com/sqlc-dev/meyer/parser"
	"github.com/sqlc-dev/meyer/token"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// Limits on one text, those of SQLite but for lengthMax.
const (
	lengthMax        = 16 << 20 // bytes of text
	depthMax         = 1000     // nesting of one expression tree
	columnsMax       = 2000     // columns of a table, an index, a result or a SET
	compoundTermsMax = 500      // SELECTs in one compound
	paramsMax        = 32766    // the highest parameter number
	functionArgsMax  = 127
)

// Stmt is one statement of a text.
type Stmt struct {
	Stmt ast.Stmt
	Text string // the statement as written, without the semicolon and the blanks around it
	Pos  int    // byte offset of Text in the whole text; node spans count from the whole text too

	// Params holds the parameters by number: Params[i] belongs to number i+1
	// and is the spelling with its sigil (":a", "?3"), "" for a plain ? and
	// for a number that no parameter has.
	Params []string
}

// Statements parses a text of any number of statements.
//
// Errors are *sqlerr.Error with the byte offset of the fault, worded as SQLite
// words them: near "x": syntax error, incomplete input, and the limits.
// Safe for concurrent use.
func Statements(text string) ([]Stmt, error) {
	if len(text) > lengthMax {
		return nil, sqlerr.New(sqlerr.TooBig, "statement too long (maximum %d bytes)", lengthMax)
	}
	nodes, err := parser.ParseString(text)
	if err != nil {
		return nil, translate(err)
	}
	out := make([]Stmt, 0, len(nodes))
	for _, n := range nodes {
		s := Stmt{Stmt: n, Pos: n.Pos(), Text: trim(text[n.Pos():n.End()])}
		params, err := check(n)
		if err != nil {
			return nil, err
		}
		if s.Params, err = number(params); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// One parses a text of exactly one statement, such as one kept in the schema.
func One(text string) (Stmt, error) {
	list, err := Statements(text)
	if err != nil {
		return Stmt{}, err
	}
	if len(list) != 1 {
		return Stmt{}, sqlerr.Errorf("expected one statement, found %d", len(list))
	}
	return list[0], nil
}

// Expr parses one expression, such as a default kept in the schema.
func Expr(text string) (ast.Expr, error) {
	s, err := One("SELECT " + text)
	if err != nil {
		return nil, err
	}
	if sel, ok := s.Stmt.(*ast.SelectStmt); ok && len(sel.Cores) == 1 && sel.With == nil {
		if q, ok := sel.Cores[0].(*ast.SelectQuery); ok && len(q.Columns) == 1 && q.From == nil && q.Columns[0].Alias == nil {
			return q.Columns[0].Expr, nil
		}
	}
	return nil, sqlerr.Errorf("expected one expression")
}

// trim drops the semicolon and the blanks around a statement.
func trim(text string) string {
	return strings.TrimSpace(strings.TrimSuffix(text, ";"))
}

func translate(err error) error {
	var perr *parser.Error
	if !errors.As(err, &perr) {
		return sqlerr.Wrap(sqlerr.Generic, err, "parse")
	}
	e := sqlerr.Errorf("%s", perr.Message)
	e.Offset = perr.Offset
	return e
}

// IsKeyword reports whether a word means something without quotes.
func IsKeyword(word string) bool { return token.Lookup(word) != token.ID }
