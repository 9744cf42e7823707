package value

import (
	"math"
	"slices"
)

// FloatFormat says how a real is written as text: one of SQLite's printf
// conversions with its flags. The zero value is of no use: Verb is required.
type FloatFormat struct {
	Verb      byte // f, e, E, g or G
	Sign      byte // what a positive number begins with: '+', ' ' or 0
	Precision int  // digits after the point, or significant ones for g; 6 when negative
	Width     int  // the least length in bytes
	Left      bool // "-": pad on the right
	Zero      bool // "0": pad with zeros; infinity is 9.0e+999
	Alternate bool // "#": always a point, keep trailing zeros
	Exact     bool // "!": up to 20 digits instead of 16, always a digit after the point
	Thousands bool // ",": separate thousands
}

// precisionMax bounds FloatFormat.Precision.
const precisionMax = 100_000_000

// formatText is how a real becomes text: %!.17g.
var formatText = FloatFormat{Verb: 'g', Precision: 17, Exact: true}

// FormatQuote is how a real is written as an SQL literal: %!0.17g.
var FormatQuote = FloatFormat{Verb: 'g', Precision: 17, Exact: true, Zero: true}

// Append appends r as text to dst.
func (f *FloatFormat) Append(dst []byte, r float64) []byte {
	if math.IsNaN(r) {
		if f.Zero {
			return append(dst, "null"...)
		}
		return f.pad(append(dst, "NaN"...), len(dst), false)
	}
	precision, verb := f.rounding()
	round := precision
	switch verb {
	case 'f':
		round = -precision
	case 'e':
		round = precision + 1
	}
	limit := 16
	if f.Exact {
		limit = 20
	}
	var d decimal
	d.decodeFloat(r, round, limit)
	if d.inf {
		if !f.Zero {
			return f.appendInf(dst, d.neg)
		}
		d.buf[0] = '9'
		d.first, d.n, d.point = 0, 1, 1000
	}
	start := len(dst)
	sign := f.Sign
	if d.neg {
		sign = '-'
		if f.Alternate && f.Sign == 0 && verb == 'f' && d.point <= round {
			sign = 0 // it shows as zero
		}
	}
	if sign != 0 {
		dst = append(dst, sign)
	}
	exp := d.point - 1
	trim := f.Exact
	if verb == 'g' {
		precision--
		trim = !f.Alternate
		if exp < -4 || exp > precision {
			verb = 'e'
		} else {
			precision -= exp
			verb = 'f'
		}
	}
	lead := exp
	if verb == 'e' {
		lead = 0
	}
	dst = f.appendDigits(dst, &d, lead, precision, trim)
	if verb == 'e' {
		dst = appendExponent(dst, 'E'|f.Verb&0x20, exp)
	}
	return f.pad(dst, start, sign != 0)
}

// rounding returns the precision, with its default and limits, and the verb in
// lower case.
func (f *FloatFormat) rounding() (precision int, verb byte) {
	verb = f.Verb | 0x20
	precision = f.Precision
	if precision < 0 {
		precision = 6
	}
	if precision == 0 && verb == 'g' {
		precision = 1
	}
	return min(precision, precisionMax), verb
}

func (f *FloatFormat) appendInf(dst []byte, neg bool) []byte {
	start := len(dst)
	if neg {
		dst = append(dst, '-')
	} else if f.Sign != 0 {
		dst = append(dst, f.Sign)
	}
	return f.pad(append(dst, "Inf"...), start, false)
}

// appendDigits appends the digits of d: those before the point, of which the
// first is worth pow(10, lead), and precision digits after it.
func (f *FloatFormat) appendDigits(dst []byte, d *decimal, lead, precision int, trim bool) []byte {
	digits := d.digits()
	point := precision > 0 || f.Alternate || f.Exact
	if lead < 0 {
		dst = append(dst, '0')
	}
	for ; lead >= 0; lead-- {
		c := byte('0')
		if len(digits) > 0 {
			c, digits = digits[0], digits[1:]
		}
		dst = append(dst, c)
		if f.Thousands && lead%3 == 0 && lead > 1 {
			dst = append(dst, ',')
		}
	}
	if point {
		dst = append(dst, '.')
	}
	for ; lead < -1 && precision > 0; lead++ {
		dst = append(dst, '0')
		precision--
	}
	if n := min(precision, len(digits)); n > 0 {
		dst = append(dst, digits[:n]...)
		precision -= n
	}
	if !trim {
		dst = appendN(dst, '0', precision)
	}
	if trim && point {
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
		if dst[len(dst)-1] == '.' {
			if f.Exact {
				dst = append(dst, '0')
			} else {
				dst = dst[:len(dst)-1]
			}
		}
	}
	return dst
}

// appendExponent appends an exponent of at least two digits.
func appendExponent(dst []byte, letter byte, exp int) []byte {
	sign := byte('+')
	if exp < 0 {
		sign, exp = '-', -exp
	}
	dst = append(dst, letter, sign)
	if exp >= 100 {
		dst = append(dst, byte('0'+exp/100))
		exp %= 100
	}
	return append(dst, byte('0'+exp/10), byte('0'+exp%10))
}

// pad widens what was appended from start on to the width.
func (f *FloatFormat) pad(dst []byte, start int, signed bool) []byte {
	n := f.Width - (len(dst) - start)
	if n <= 0 {
		return dst
	}
	if f.Left {
		return appendN(dst, ' ', n)
	}
	fill := byte(' ')
	at := start
	if f.Zero {
		fill = '0'
		if signed {
			at++
		}
	}
	tail := len(dst)
	dst = appendN(dst, fill, n)
	copy(dst[at+n:], dst[at:tail])
	for i := at; i < at+n; i++ {
		dst[i] = fill
	}
	return dst
}

// appendN appends c n times; not at all if n is not positive.
func appendN(dst []byte, c byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	dst = slices.Grow(dst, n)
	for range n {
		dst = append(dst, c)
	}
	return dst
}
