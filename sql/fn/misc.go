package fn

import (
	"crypto/rand"
	"encoding/binary"
	"math"

	"github.com/byokdb/byokdb/sql/value"
)

// miscFunctions returns the functions that are neither of text, numbers, dates
// nor JSON.
func miscFunctions() []Scalar {
	collated := func(s Scalar) Scalar {
		s.UsesCollation = true
		return s
	}
	return []Scalar{
		{Name: "changes", Call: func(c *Context, _ []value.Value) (value.Value, error) { return value.NewInt(c.Changes), nil }},
		{Name: "total_changes", Call: func(c *Context, _ []value.Value) (value.Value, error) { return value.NewInt(c.TotalChanges), nil }},
		{Name: "last_insert_rowid", Call: func(c *Context, _ []value.Value) (value.Value, error) { return value.NewInt(c.LastInsertRowID), nil }},
		{Name: "sqlite_version", Call: version},
		{Name: "random", Call: random},
		{Name: "randomblob", MinArgs: 1, MaxArgs: 1, Call: randomblob},
		pure("coalesce", 2, -1, coalesce),
		pure("ifnull", 2, 2, coalesce),
		pure("iif", 2, -1, iif),
		pure("if", 2, -1, iif),
		pure("likelihood", 2, 2, first),
		pure("likely", 1, 1, first),
		pure("unlikely", 1, 1, first),
		collated(pure("nullif", 2, 2, nullif)),
		collated(pure("max", 2, -1, func(c *Context, args []value.Value) (value.Value, error) { return extreme(c, args, 1), nil })),
		collated(pure("min", 2, -1, func(c *Context, args []value.Value) (value.Value, error) { return extreme(c, args, -1), nil })),
		pure("typeof", 1, 1, typeOf),
		pure("subtype", 1, 1, subtype),
	}
}

func version(c *Context, _ []value.Value) (value.Value, error) {
	if c.Version != "" {
		return value.NewText(c.Version), nil
	}
	return value.NewText(SQLiteVersion), nil
}

// random never returns the smallest integer, of which abs() is an error.
func random(*Context, []value.Value) (value.Value, error) {
	var b [8]byte
	rand.Read(b[:])
	n := int64(binary.LittleEndian.Uint64(b[:]))
	if n < 0 {
		n = -(n & math.MaxInt64)
	}
	return value.NewInt(n), nil
}

func randomblob(_ *Context, args []value.Value) (value.Value, error) {
	n := max(args[0].AsInt(), 1)
	if n > MaxLength {
		return value.Value{}, ErrTooBig
	}
	b := make([]byte, n)
	rand.Read(b)
	return value.NewBlob(string(b)), nil
}

func coalesce(_ *Context, args []value.Value) (value.Value, error) {
	for i := range args {
		if !args[i].IsNull() {
			return args[i], nil
		}
	}
	return value.Value{}, nil
}

// iif is iif(condition, then[, condition, then]…[, else]).
func iif(_ *Context, args []value.Value) (value.Value, error) {
	for ; len(args) >= 2; args = args[2:] {
		if value.TruthOf(args[0]) == value.True {
			return args[1], nil
		}
	}
	if len(args) == 1 {
		return args[0], nil
	}
	return value.Value{}, nil
}

func first(_ *Context, args []value.Value) (value.Value, error) { return args[0], nil }

func nullif(c *Context, args []value.Value) (value.Value, error) {
	if value.Compare(args[0], args[1], c.Collation) == 0 {
		return value.Value{}, nil
	}
	return args[0], nil
}

// extreme returns the least argument, or the greatest if sign is positive, and
// NULL if any is.
func extreme(c *Context, args []value.Value, sign int) value.Value {
	best := args[0]
	if anyNull(args) {
		return value.Value{}
	}
	for _, v := range args[1:] {
		d := value.Compare(v, best, c.Collation)
		if d*sign > 0 || d == 0 && sign < 0 {
			best = v
		}
	}
	return best
}

func typeOf(_ *Context, args []value.Value) (value.Value, error) {
	return value.NewText(args[0].Kind().String()), nil
}

// subtype returns 74 for JSON, as SQLite does.
func subtype(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsJSON() || args[0].IsJSONB() {
		return value.NewInt('J'), nil
	}
	return value.NewInt(0), nil
}
