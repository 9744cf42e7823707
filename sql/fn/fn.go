// Package fn holds the SQL functions: a registry of scalar functions and one of
// aggregates, with the results and error texts of SQLite.
package fn

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/byokdb/byokdb/sql/value"
)

// SQLiteVersion is the version of SQLite whose behaviour is followed, and what
// sqlite_version() returns.
const SQLiteVersion = "3.54.1"

// MaxLength is the size in bytes that a text or blob that a function makes may
// have. It is that of the largest value the engine stores.
const MaxLength = 64 << 20

// ErrTooBig means that a function would have made a text or blob of more than
// MaxLength bytes. Retrying does not help.
var ErrTooBig = errors.New("string or blob too big")

// errOverflow is the error of integer arithmetic that has no real to fall back
// to.
var errOverflow = errors.New("integer overflow")

// Context is what functions may know beyond their arguments. It belongs to one
// run of one statement.
type Context struct {
	Now               time.Time // the same all through the statement
	Changes           int64     // rows changed by the last statement of the connection
	TotalChanges      int64     // rows changed since the connection was opened
	LastInsertRowID   int64
	CaseSensitiveLike bool
	Version           string         // what sqlite_version() returns; SQLiteVersion if empty
	Location          *time.Location // of 'localtime' and 'utc'; time.Local if nil

	// UsedClock is set when the result depends on Now or Location.
	UsedClock bool

	// Collation of the call at hand, for the functions with UsesCollation: that
	// of the first argument that has one.
	Collation value.Collation

	// Poll, if there is one, is called now and then by functions that can take long
	// with large arguments. Its error, which Stopped then is, ends the call.
	Poll    func() error
	Stopped error

	work int // since Poll was called
}

// workMax is how much work is done between two calls of Poll: as much as takes
// some hundred microseconds.
const workMax = 1 << 18

// spent counts n steps of work, each of a nanosecond or more, and returns the
// error of Poll when the call is to end.
func (c *Context) spent(n int) error {
	if c.work += n; c.work < workMax {
		return nil
	}
	c.work = 0
	if c.Poll == nil {
		return nil
	}
	c.Stopped = c.Poll()
	return c.Stopped
}

// Scalar is a function of one row.
type Scalar struct {
	Name          string
	MinArgs       int
	MaxArgs       int  // -1: any number
	Pure          bool // the same arguments always give the same result
	Steady        bool // they do within a statement, for which Context.Now is the same
	UsesCollation bool // Context.Collation is to be set before Call

	// Call returns the result for arguments of which there are as many as
	// LookupScalar was told. It keeps neither args nor c. Errors are texts of
	// SQLite.
	Call func(c *Context, args []value.Value) (value.Value, error)
}

// LookupScalar returns the scalar function of a name, in any case, that takes
// nArgs arguments. The errors are "no such function: X" and "wrong number of
// arguments to function X()".
func LookupScalar(name string, nArgs int) (*Scalar, error) {
	lower := strings.ToLower(name)
	s := scalars[lower]
	if s == nil {
		if _, ok := aggregates[lower]; ok {
			return nil, fmt.Errorf("wrong number of arguments to function %s()", name)
		}
		return nil, fmt.Errorf("no such function: %s", name)
	}
	if nArgs < s.MinArgs || s.MaxArgs >= 0 && nArgs > s.MaxArgs {
		return nil, fmt.Errorf("wrong number of arguments to function %s()", name)
	}
	return s, nil
}

// Scalars calls yield for each scalar function in no order until it returns
// false, as pragma_function_list needs.
func Scalars(yield func(*Scalar) bool) {
	for _, s := range scalars {
		if !yield(s) {
			return
		}
	}
}

// scalars holds the scalar functions by name in lower case. It does not change.
var scalars = index(textFunctions(), miscFunctions(), mathFunctions(), dateFunctions(), jsonFunctions())

func index(lists ...[]Scalar) map[string]*Scalar {
	m := make(map[string]*Scalar)
	for _, list := range lists {
		for i := range list {
			m[list[i].Name] = &list[i]
		}
	}
	return m
}

// pure returns a pure function.
func pure(name string, minArgs, maxArgs int, call func(*Context, []value.Value) (value.Value, error)) Scalar {
	return Scalar{Name: name, MinArgs: minArgs, MaxArgs: maxArgs, Pure: true, Call: call}
}

// text returns a text, or ErrTooBig.
func text(s string) (value.Value, error) {
	if len(s) > MaxLength {
		return value.Value{}, ErrTooBig
	}
	return value.NewText(s), nil
}

// beforeNUL returns s up to its first zero byte, where many functions of
// SQLite take a text to end.
func beforeNUL(s string) string {
	if before, _, ok := strings.Cut(s, "\x00"); ok {
		return before
	}
	return s
}
