package fn

import (
	"slices"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// printf is printf(format, …): the conversions of SQLite, not those of C.
//
// Source: https://sqlite.org/printf.html.
func printf(_ *Context, args []value.Value) (value.Value, error) {
	if len(args) == 0 || args[0].IsNull() {
		return value.Value{}, nil
	}
	p := printer{args: args[1:]}
	format := beforeNUL(args[0].AsText())
	for format != "" {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			p.out = append(p.out, format...)
			break
		}
		p.out = append(p.out, format[:i]...)
		format = format[i+1:]
		if format == "" {
			p.out = append(p.out, '%')
			break
		}
		var f conversion
		format = p.parse(&f, format)
		if !p.convert(&f) {
			break
		}
		if len(p.out) > MaxLength {
			return value.Value{}, ErrTooBig
		}
	}
	if p.tooBig {
		return value.Value{}, ErrTooBig
	}
	return text(string(p.out))
}

// conversion is one conversion of a format.
type conversion struct {
	verb      byte // 0 if the format ended before it
	sign      byte // '+', ' ' or 0
	left      bool // "-"
	alternate bool // "#"
	exact     bool // "!": count characters, not bytes
	zero      bool // "0"
	thousands bool // ","
	width     int
	precision int // -1 if there is none
}

// printer is a printf under way.
type printer struct {
	out    []byte
	args   []value.Value
	tooBig bool
}

// next returns the next argument, NULL if there is none.
func (p *printer) next() value.Value {
	if len(p.args) == 0 {
		return value.Value{}
	}
	v := p.args[0]
	p.args = p.args[1:]
	return v
}

// parse reads a conversion after its "%" and returns what follows it.
func (p *printer) parse(f *conversion, s string) string {
	f.precision = -1
	for s != "" {
		c := s[0]
		switch {
		case c == '-':
			f.left = true
		case c == '+', c == ' ':
			f.sign = c
		case c == '#':
			f.alternate = true
		case c == '!':
			f.exact = true
		case c == '0':
			f.zero = true
		case c == ',':
			f.thousands = true
		case c >= '1' && c <= '9':
			f.width, s = digits(s)
			if s == "" || s[0] != '.' && s[0] != 'l' {
				return f.take(s)
			}
			continue
		case c == '*':
			f.width = int(int32(p.next().AsInt()))
			if f.width < 0 {
				f.left = true
				f.width = -f.width
			}
			s = s[1:]
			if s == "" || s[0] != '.' && s[0] != 'l' {
				return f.take(s)
			}
			continue
		case c == '.':
			s = p.parsePrecision(f, s[1:])
			if s == "" || s[0] != 'l' {
				return f.take(s)
			}
			continue
		case c == 'l':
			s = strings.TrimPrefix(s[1:], "l")
			return f.take(s)
		default:
			return f.take(s)
		}
		s = s[1:]
	}
	return s
}

// parsePrecision reads what follows a point.
func (p *printer) parsePrecision(f *conversion, s string) string {
	if strings.HasPrefix(s, "*") {
		f.precision = int(int32(p.next().AsInt()))
		if f.precision < 0 {
			f.precision = -f.precision
		}
		return s[1:]
	}
	f.precision, s = digits(s)
	return s
}

// take sets the verb to the first byte of s.
func (f *conversion) take(s string) string {
	if s == "" {
		return s
	}
	f.verb = s[0]
	return s[1:]
}

// digits reads a number of any length, modulo 2^31.
func digits(s string) (n int, rest string) {
	var u uint32
	i := 0
	for ; i < len(s) && s[i]-'0' < 10; i++ {
		u = u*10 + uint32(s[i]-'0')
	}
	return int(u & 0x7fffffff), s[i:]
}

// convert appends one conversion. It returns false if there is no such one,
// which ends the output.
func (p *printer) convert(f *conversion) bool {
	if f.width > MaxLength || f.precision > MaxLength && f.verb != 's' && f.verb != 'z' {
		p.tooBig = true
		return false
	}
	switch f.verb {
	case '%':
		p.out = f.appendPadded(p.out, "%")
	case 'd', 'i', 'r':
		i := p.next().AsInt()
		u, sign := uint64(i), f.sign
		if i < 0 {
			u, sign = -u, '-'
		}
		p.out = f.appendInteger(p.out, u, 10, sign)
	case 'u':
		p.out = f.appendInteger(p.out, uint64(p.next().AsInt()), 10, 0)
	case 'o':
		p.out = f.appendInteger(p.out, uint64(p.next().AsInt()), 8, 0)
	case 'x', 'X', 'p':
		p.out = f.appendInteger(p.out, uint64(p.next().AsInt()), 16, 0)
	case 'e', 'E', 'f', 'g', 'G':
		format := value.FloatFormat{
			Verb: f.verb, Sign: f.sign, Precision: f.precision, Width: f.width, Left: f.left,
			Zero: f.zero, Alternate: f.alternate, Exact: f.exact, Thousands: f.thousands,
		}
		p.out = format.Append(p.out, p.next().AsFloat())
	case 'c':
		p.convertChar(f)
	case 's', 'z':
		p.out = f.appendString(p.out, beforeNUL(p.next().AsText()))
	case 'q', 'Q', 'w':
		p.convertQuoted(f)
	case 'j', 'J':
		p.convertJSON(f)
	case 'n':
	default:
		return false
	}
	return true
}

// appendInteger appends a magnitude with its sign.
func (f *conversion) appendInteger(dst []byte, u uint64, base int, sign byte) []byte {
	var buf [80]byte
	s := strconv.AppendUint(buf[:0], u, base)
	if f.verb == 'X' || f.verb == 'p' {
		s = []byte(upperASCII(string(s)))
	}
	if f.verb == 'r' {
		s = append(s, ordinal(u)...)
	}
	precision := f.precision
	if f.zero {
		n := f.width
		if sign != 0 {
			n--
		}
		precision = max(precision, n)
	}
	if n := precision - len(s); n > 0 {
		s = slices.Insert(s, 0, slices.Repeat([]byte{'0'}, n)...)
	}
	if f.thousands && (f.verb == 'd' || f.verb == 'i' || f.verb == 'u') {
		for i := len(s) - 3; i > 0; i -= 3 {
			s = slices.Insert(s, i, ',')
		}
	}
	prefix := ""
	if f.alternate && u != 0 {
		switch f.verb {
		case 'o':
			prefix = "0"
		case 'x', 'p':
			prefix = "0x"
		case 'X':
			prefix = "0X"
		}
	}
	if sign != 0 {
		prefix += string(sign)
	}
	return f.appendPadded(dst, prefix+string(s))
}

// ordinal returns the English ending of a number.
func ordinal(u uint64) string {
	if u/10%10 == 1 {
		return "th"
	}
	switch u % 10 {
	case 1:
		return "st"
	case 2:
		return "nd"
	case 3:
		return "rd"
	}
	return "th"
}

// appendPadded appends s, widened with spaces.
func (f *conversion) appendPadded(dst []byte, s string) []byte {
	n := f.width - len(s)
	if f.exact && f.width > 0 {
		n = f.width - len(s) + continuations(s)
	}
	if n <= 0 {
		return append(dst, s...)
	}
	dst = slices.Grow(dst, n+len(s))
	if f.left {
		dst = append(dst, s...)
	}
	for range n {
		dst = append(dst, ' ')
	}
	if !f.left {
		dst = append(dst, s...)
	}
	return dst
}

// continuations returns the number of continuation bytes of s.
func continuations(s string) int {
	n := 0
	for i := range len(s) {
		if s[i]&0xc0 == 0x80 {
			n++
		}
	}
	return n
}

func (f *conversion) appendString(dst []byte, s string) []byte {
	return f.appendPadded(dst, f.cut(s))
}

// cut returns the first bytes of s, characters if exact, up to the precision.
func (f *conversion) cut(s string) string {
	if f.precision < 0 {
		return s
	}
	if !f.exact {
		return s[:min(f.precision, len(s))]
	}
	i := 0
	for n := f.precision; n > 0 && i < len(s); n-- {
		i += skipChar(s[i:])
	}
	return s[:i]
}

// convertChar appends the first character of the argument, as often as the
// precision says. Without one, it is a zero byte.
func (p *printer) convertChar(f *conversion) {
	v := p.next()
	s := v.AsText()
	if s == "" {
		s = "\x00"
	}
	n := 1
	if s[0] >= 0xc0 {
		for n < 4 && n < len(s) && s[n]&0xc0 == 0x80 {
			n++
		}
	}
	c := s[:n]
	f.exact = true
	if f.precision > 1 {
		f.width -= f.precision - 1
		if f.width > 1 && !f.left {
			p.out = append(p.out, strings.Repeat(" ", f.width-1)...)
			f.width = 0
		}
		if len(c)*f.precision > MaxLength {
			p.tooBig = true
			return
		}
		p.out = append(p.out, strings.Repeat(c, f.precision-1)...)
	}
	p.out = f.appendPadded(p.out, c)
}

// convertQuoted is %q, %Q and %w.
func (p *printer) convertQuoted(f *conversion) {
	v := p.next()
	if v.IsNull() {
		s := "(NULL)"
		if f.verb == 'Q' {
			s = "NULL"
		}
		s = s[:min(len(s), cutAt(f.precision, len(s)))]
		p.out = f.appendPadded(p.out, s)
		return
	}
	quote := byte('\'')
	if f.verb == 'w' {
		quote = '"'
		f.alternate = false
	}
	p.out = f.appendPadded(p.out, string(f.appendQuoted(nil, v.AsText(), quote, f.verb == 'Q')))
}

// cutAt returns the precision, or n if there is none.
func cutAt(precision, n int) int {
	if precision < 0 {
		return n
	}
	return precision
}

// appendQuoted appends s with its quotes doubled, and quotes around it if
// enclosed. If alternate, control characters are escaped for unistr().
func (f *conversion) appendQuoted(dst []byte, s string, quote byte, enclosed bool) []byte {
	s = f.cut(beforeNUL(s))
	escape := f.alternate
	if escape && enclosed {
		escape = strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 })
	}
	switch {
	case enclosed && escape:
		dst = append(dst, "unistr('"...)
	case enclosed:
		dst = append(dst, quote)
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c == quote, escape && c == '\\':
			dst = append(dst, c, c)
		case escape && c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	if enclosed {
		dst = append(dst, quote)
		if escape {
			dst = append(dst, ')')
		}
	}
	return dst
}

// convertJSON is %J, a JSON string, and %j, the same without its quotes.
func (p *printer) convertJSON(f *conversion) {
	v := p.next()
	var b []byte
	switch {
	case v.IsNull() && f.verb == 'J':
		b = append(b, "null"...)
	case !v.IsNull():
		s := beforeNUL(v.AsText())
		n := len(f.cut(s))
		for f.exact && n < len(s) && s[n]&0xc0 == 0x80 {
			n++ // of a character without a first byte
		}
		b = appendJSONString(b, viewBytes(s[:n]))
		if f.verb == 'j' {
			b = b[1 : len(b)-1]
		}
	}
	p.out = f.appendPadded(p.out, string(b))
}
