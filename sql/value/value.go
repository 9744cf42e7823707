// Package value holds SQL values and what SQLite says about them: storage
// classes, affinity, comparison, conversion and arithmetic.
package value

import "math"

// Kind is a storage class. The order is SQLite's order of comparison between
// classes, in which integers and reals are one class.
type Kind uint8

// The storage classes.
const (
	Null Kind = iota
	Int
	Float
	Text
	Blob
)

// String returns the name that typeof() gives.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Int:
		return "integer"
	case Float:
		return "real"
	case Text:
		return "text"
	default:
		return "blob"
	}
}

// Value is one SQL value. The zero Value is NULL. Text and blobs are immutable:
// whoever makes a Value hands the bytes over.
type Value struct {
	s    string // Text and Blob: the bytes
	n    uint64 // Int: two's complement; Float: IEEE 754 bits; Text and Blob: a subtype
	kind Kind
}

// NewInt returns an integer.
func NewInt(i int64) Value { return Value{kind: Int, n: uint64(i)} }

// NewFloat returns a real. SQLite has no NaN: it becomes NULL.
func NewFloat(f float64) Value {
	if math.IsNaN(f) {
		return Value{}
	}
	return Value{kind: Float, n: math.Float64bits(f)}
}

// NewText returns a text.
func NewText(s string) Value { return Value{kind: Text, s: s} }

// NewJSON returns a text that a JSON function made. It is text in every way, but
// the JSON functions take it for JSON where they would quote other text.
func NewJSON(s string) Value { return Value{kind: Text, s: s, n: subtypeJSON} }

// NewJSONB returns a blob that a JSON function made, of which subtype() tells.
// Whether a blob is JSONB its bytes say.
func NewJSONB(s string) Value { return Value{kind: Blob, s: s, n: subtypeJSON} }

// subtypeJSON marks what NewJSON and NewJSONB made, in n.
const subtypeJSON = 1

// NewBlob returns a blob of the bytes in s.
func NewBlob(s string) Value { return Value{kind: Blob, s: s} }

// NewBool returns 1 or 0.
func NewBool(b bool) Value {
	if b {
		return NewInt(1)
	}
	return NewInt(0)
}

// Kind returns the storage class.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is NULL.
func (v Value) IsNull() bool { return v.kind == Null }

// IsJSON reports whether v was made by NewJSON. Whoever stores a value forgets
// that.
func (v Value) IsJSON() bool { return v.kind == Text && v.n == subtypeJSON }

// IsJSONB reports whether v was made by NewJSONB.
func (v Value) IsJSONB() bool { return v.kind == Blob && v.n == subtypeJSON }

// Int returns the integer of an Int.
func (v Value) Int() int64 { return int64(v.n) }

// Float returns the real of a Float.
func (v Value) Float() float64 { return math.Float64frombits(v.n) }

// Str returns the bytes of a Text or Blob.
func (v Value) Str() string { return v.s }
