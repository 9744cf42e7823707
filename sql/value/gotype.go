package value

import (
	"fmt"
	"strings"
	"time"
)

// TimeLayout is how a time.Time is written as text, which the date functions
// read.
const TimeLayout = "2006-01-02 15:04:05.999999999-07:00"

// FromGo returns the value of what database/sql passes to a driver: nil, int64, int,
// float64, bool (1 or 0), []byte (copied; nil is NULL), string or time.Time
// (text in TimeLayout). Other types are an error.
func FromGo(x any) (Value, error) {
	switch x := x.(type) {
	case nil:
		return Value{}, nil
	case int64:
		return NewInt(x), nil
	case int:
		return NewInt(int64(x)), nil
	case float64:
		return NewFloat(x), nil
	case bool:
		return NewBool(x), nil
	case []byte:
		if x == nil {
			return Value{}, nil
		}
		return NewBlob(string(x)), nil
	case string:
		return NewText(x), nil
	case time.Time:
		return NewText(x.Format(TimeLayout)), nil
	default:
		return Value{}, fmt.Errorf("a value of Go type %T is not supported; pass one of the types of driver.Value", x)
	}
}

// Go returns v as nil, int64, float64, string or []byte (copied).
func (v Value) Go() any {
	switch v.kind {
	case Int:
		return v.Int()
	case Float:
		return v.Float()
	case Text:
		return v.s
	case Blob:
		return []byte(v.s)
	default:
		return nil
	}
}

// Shown tells how the values of a column show in Go, beyond their storage
// class.
type Shown uint8

// What declared types show as.
const (
	AsStored  Shown = iota
	AsInstant       // DATE, DATETIME, TIMESTAMP: time.Time
	AsBool          // BOOL, BOOLEAN: bool
)

// ShownAs returns how the values of a column of a declared type show.
func ShownAs(declType string) Shown {
	switch name, _, _ := strings.Cut(strings.ToUpper(declType), "("); strings.TrimSpace(name) {
	case "DATE", "DATETIME", "TIMESTAMP":
		return AsInstant
	case "BOOL", "BOOLEAN":
		return AsBool
	default:
		return AsStored
	}
}

// GoAs returns v as Go does, or as a time.Time or a bool where s says so and v
// is one.
func (v Value) GoAs(s Shown) any {
	switch {
	case s == AsInstant:
		return v.goTime()
	case s == AsBool && v.kind == Int:
		return v.Int() != 0
	default:
		return v.Go()
	}
}

// timeLayouts are what a text in a column of instants may look like.
var timeLayouts = [...]string{
	TimeLayout,
	"2006-01-02T15:04:05.999999999-07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	"2006-01-02",
}

// goTime returns a value of a column of instants as a time where it is one: a
// text in one of timeLayouts, UTC if it names no zone, or seconds since 1970
// (milliseconds, when there are too many of them for seconds). Anything else
// stays what it is.
func (v Value) goTime() any {
	switch v.kind {
	case Int:
		const secondsMax = 1e12 // the year 33658
		if n := v.Int(); n > secondsMax || n < -secondsMax {
			return time.UnixMilli(n).UTC()
		}
		return time.Unix(v.Int(), 0).UTC()
	case Text:
		s := strings.TrimSuffix(v.Str(), "Z")
		for _, layout := range timeLayouts {
			if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
				return t
			}
		}
	default:
	}
	return v.Go()
}
