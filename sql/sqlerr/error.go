// Package sqlerr holds the typed error of the SQL layer, below the packages
// that return it. Package sql gives it to users as sql.Error.
package sqlerr

import (
	"fmt"
	"strconv"
)

// Code is a result code numbered as SQLite does. The low byte of an extended
// code is its primary code.
type Code = int

// MissingCollation is the extended code of a collation that nobody knows.
const MissingCollation Code = Generic | 1<<8 // 257

// The primary codes that byokdb returns.
const (
	Generic    Code = 1 // SQL error or missing object
	Busy       Code = 5
	Locked     Code = 6
	NoMem      Code = 7 // a memory limit of a statement
	ReadOnly   Code = 8
	Interrupt  Code = 9 // the context ended
	IOErr      Code = 10
	Corrupt    Code = 11
	Full       Code = 13
	CantOpen   Code = 14
	Schema     Code = 17
	TooBig     Code = 18
	Constraint Code = 19
	Mismatch   Code = 20
	Misuse     Code = 21
	Auth       Code = 23 // the key is unavailable
	Range      Code = 25
	NotADB     Code = 26
)

// The extended codes of constraints.
const (
	ConstraintCheck      Code = Constraint | 1<<8  // 275
	ConstraintForeignKey Code = Constraint | 3<<8  // 787
	ConstraintNotNull    Code = Constraint | 5<<8  // 1299
	ConstraintPrimaryKey Code = Constraint | 6<<8  // 1555
	ConstraintTrigger    Code = Constraint | 7<<8  // 1811
	ConstraintUnique     Code = Constraint | 8<<8  // 2067
	ConstraintRowID      Code = Constraint | 10<<8 // 2579
	ConstraintPinned     Code = Constraint | 11<<8 // 2835
	ConstraintDataType   Code = Constraint | 12<<8 // 3091
)

// Error is what a statement fails with. It names objects of the schema; it
// never holds a row or a literal other than the token at which a syntax error
// was found.
type Error struct {
	Code         Code   // the primary code
	ExtendedCode Code   // equals Code where SQLite has no finer one
	Message      string // worded as SQLite words it; "": Err says it
	Offset       int    // byte offset in the statement's text, -1 when unknown
	Err          error  // the cause in a lower layer, or nil
}

// Error returns the message.
func (e *Error) Error() string {
	if e.Err != nil && e.Message == "" {
		return e.Err.Error()
	}
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error with a code, primary or extended.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code & 0xff, ExtendedCode: code, Message: fmt.Sprintf(format, args...), Offset: -1}
}

// Wrap returns an error with a cause, which errors.Is and errors.As find.
func Wrap(code Code, err error, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.Err = err
	return e
}

// Errorf returns an error of code 1, the most common.
func Errorf(format string, args ...any) *Error { return New(Generic, format, args...) }

// Unsupported returns the error for what parses and is not executed. Feature
// is a noun phrase: "triggers".
func Unsupported(feature string) *Error { return Errorf("byokdb does not support %s", feature) }

// Ordinal returns a number as messages count: 1st, 2nd, 3rd, 4th.
func Ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}
