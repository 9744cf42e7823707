package value

import (
	"fmt"
	"time"
)

// TimeLayout is how a time.Time is written as text, which the date functions
// read.
const TimeLayout = "2006-01-02 15:04:05.999999999-07:00"

// FromGo returns the value of what database/sql passes to a driver: nil, int64,
// float64, bool (1 or 0), []byte (copied; nil is NULL), string or time.Time
// (text in TimeLayout). Other types are an error.
func FromGo(x any) (Value, error) {
	switch x := x.(type) {
	case nil:
		return Value{}, nil
	case int64:
		return NewInt(x), nil
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
