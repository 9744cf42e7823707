package value

import (
	"math"
	"strconv"
	"strings"
)

// Text to number. SQLite knows decimal text only: hexadecimal is for literals.

// shape says what parseReal found.
type shape uint8

const (
	shapeNone   shape = iota // no prefix is a number
	shapePrefix              // a prefix is a number
	shapeWhole               // all of it is a number, but for white space around
)

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c-'0' < 10 }

// mantissaMax is the mantissa beyond which parseReal drops digits.
const mantissaMax = (math.MaxUint64 - 9) / 10

// parseReal reads the number that s, or a prefix of s, is. integer reports
// that it has neither a point nor an exponent. Only about 19 digits count.
// A zero byte ends the text, as it does in SQLite.
func parseReal(s string) (r float64, sh shape, integer bool) {
	i := 0
	at := func() byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	for isSpace(at()) {
		i++
	}
	neg := at() == '-'
	if neg || at() == '+' {
		i++
	}
	var m uint64
	exp, seen, full := 0, false, false
	integer = true
	for ; isDigit(at()); i++ {
		seen = true
		if full {
			exp++
			continue
		}
		m = m*10 + uint64(at()-'0')
		full = m >= mantissaMax
	}
	if at() == '.' {
		i++
		for ; isDigit(at()); i++ {
			seen = true
			if m < mantissaMax {
				m = m*10 + uint64(at()-'0')
				exp--
			}
		}
		integer = false
	}
	if !seen {
		return 0, shapeNone, false
	}
	if n, e := exponent(s[i:]); n > 0 {
		i += n
		exp += e
		integer = false
	}
	if m != 0 {
		r = fromDecimal(m, exp)
	}
	if neg {
		r = -r
	}
	for isSpace(at()) {
		i++
	}
	if at() != 0 {
		return r, shapePrefix, integer
	}
	return r, shapeWhole, integer
}

// exponent reads an exponent at the start of s and returns its length, 0 if
// there is none.
func exponent(s string) (n, e int) {
	if len(s) < 2 || s[0]|0x20 != 'e' {
		return 0, 0
	}
	i, sign := 1, 1
	if s[i] == '-' || s[i] == '+' {
		if s[i] == '-' {
			sign = -1
		}
		i++
	}
	first := i
	for ; i < len(s) && isDigit(s[i]); i++ {
		if e < 10000 {
			e = e*10 + int(s[i]-'0')
		}
	}
	if i == first {
		return 0, 0
	}
	return i, sign * min(e, 10000)
}

// parseInt reads the integer that s, or a prefix of s, is, and saturates. ok
// reports that it fits and that all of s was an integer, but for white space
// around it; fits, that the prefix fits.
func parseInt(s string) (n int64, fits, ok bool) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	neg := false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	first := i
	limit := uint64(math.MaxInt64)
	if neg {
		limit++
	}
	var u uint64
	fits = true
	for ; i < len(s) && isDigit(s[i]); i++ {
		c := uint64(s[i] - '0')
		if fits && u > (limit-c)/10 {
			fits = false
			u = limit
		}
		if fits {
			u = u*10 + c
		}
	}
	whole := i > first
	for ; i < len(s); i++ {
		if !isSpace(s[i]) {
			whole = false
			break
		}
	}
	if neg {
		u = -u
	}
	return int64(u), fits, fits && whole
}

// ParseNumber returns the number that all of s is, but for white space around
// it, as numeric affinity converts it: an integer if it is written as one and
// fits, else a real. ok is false if s is not a number.
func ParseNumber(s string) (v Value, ok bool) {
	if n := len(s); n > 0 && n < 19 { // the common case: few digits and nothing else
		i := 0
		if s[0] == '-' {
			i = 1
		}
		var u int64
		for ; i < n && isDigit(s[i]); i++ {
			u = u*10 + int64(s[i]-'0')
		}
		if i == n && isDigit(s[n-1]) {
			if s[0] == '-' {
				u = -u
			}
			return NewInt(u), true
		}
	}
	r, sh, integer := parseReal(s)
	if sh != shapeWhole {
		return Value{}, false
	}
	if integer {
		if i := floatToInt(r); floatIsInt(r, i) {
			return NewInt(i), true
		}
		if i, _, whole := parseInt(s); whole {
			return NewInt(i), true
		}
	}
	return NewFloat(r), true
}

// floatToInt truncates toward zero and saturates.
func floatToInt(r float64) int64 {
	switch {
	case r < -9223372036854774784.0:
		return math.MinInt64
	case r > +9223372036854774784.0:
		return math.MaxInt64
	}
	return int64(r)
}

// floatIsInt reports that r is i, and not so large that digits were lost.
func floatIsInt(r float64, i int64) bool {
	return r == 0 || r == float64(i) && i >= -1<<51 && i < 1<<51
}

// AsInt returns v as an integer, as a function argument that must be one is
// read: reals are truncated, text and blobs read as far as they are a number.
func (v Value) AsInt() int64 {
	switch v.kind {
	case Int:
		return v.Int()
	case Float:
		return floatToInt(v.Float())
	case Text, Blob:
		n, _, _ := parseInt(v.s)
		return n
	default:
		return 0
	}
}

// AsFloat returns v as a real; text and blobs are read as far as they are a
// number, and NULL is 0.
func (v Value) AsFloat() float64 {
	switch v.kind {
	case Int:
		return float64(v.Int())
	case Float:
		return v.Float()
	case Text, Blob:
		r, _, _ := parseReal(v.s)
		return r
	default:
		return 0
	}
}

// AsText returns v as text: numbers are written out, a blob's bytes are taken
// as they are, and NULL is empty.
func (v Value) AsText() string {
	switch v.kind {
	case Int:
		return strconv.FormatInt(v.Int(), 10)
	case Float:
		var buf [32]byte
		return string(formatText.Append(buf[:0], v.Float()))
	default:
		return v.s
	}
}

// AppendText appends AsText to dst.
func (v Value) AppendText(dst []byte) []byte {
	switch v.kind {
	case Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case Float:
		return formatText.Append(dst, v.Float())
	default:
		return append(dst, v.s...)
	}
}

// Numeric returns v as the operand of an arithmetic operator: an integer or a
// real. Text and blobs are read as far as they are a number; NULL stays NULL.
func (v Value) Numeric() Value {
	if v.kind < Text {
		return v
	}
	r, sh, integer := parseReal(v.s)
	if integer || sh == shapeNone {
		if n, fits, whole := parseInt(v.s); whole || fits && sh != shapeWhole {
			return NewInt(n)
		}
	}
	return NewFloat(r)
}

// NumericArg returns text that is a number as that number, and everything else
// as it is: how functions such as sum() and ceil() read an argument.
func (v Value) NumericArg() Value {
	if v.kind == Text {
		if n, ok := ParseNumber(v.s); ok {
			return n
		}
	}
	return v
}

// NumberLiteral returns the value of a numeric literal of SQL: decimal or
// hexadecimal (0x…), with underscores between digits. neg says that a minus
// stands before it, which the smallest integer needs. An integer that does not
// fit becomes a real; a hexadecimal one of more than 64 bits (SQLite: "hex
// literal too big"), or text that is no literal, is not ok.
func NumberLiteral(s string, neg bool) (v Value, ok bool) {
	if strings.IndexByte(s, '_') >= 0 {
		s = strings.ReplaceAll(s, "_", "")
	}
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		digits := strings.TrimLeft(s[2:], "0")
		if digits == "" {
			digits = "0"
		}
		u, err := strconv.ParseUint(digits, 16, 64)
		if err != nil {
			return Value{}, false
		}
		if neg && int64(u) == math.MinInt64 {
			return Value{}, false
		}
		if neg {
			u = -u
		}
		return NewInt(int64(u)), true
	}
	if neg {
		s = "-" + s
	}
	r, sh, integer := parseReal(s)
	if sh != shapeWhole {
		return Value{}, false
	}
	if integer {
		if n, _, whole := parseInt(s); whole {
			return NewInt(n), true
		}
	}
	return NewFloat(r), true
}

// BlobLiteral returns the value of x'hex', given the digits between the quotes.
func BlobLiteral(hex string) (v Value, ok bool) {
	if len(hex)%2 != 0 {
		return Value{}, false
	}
	b := make([]byte, len(hex)/2)
	for i := range b {
		hi, ok1 := hexDigit(hex[2*i])
		lo, ok2 := hexDigit(hex[2*i+1])
		if !ok1 || !ok2 {
			return Value{}, false
		}
		b[i] = hi<<4 | lo
	}
	return NewBlob(string(b)), true
}

func hexDigit(c byte) (d byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
