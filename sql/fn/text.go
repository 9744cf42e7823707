package fn

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// textFunctions returns the functions of text and blobs.
func textFunctions() []Scalar {
	return []Scalar{
		pure("char", 0, -1, char),
		pure("concat", 1, -1, concat),
		pure("concat_ws", 2, -1, concatWS),
		pure("format", 0, -1, printf),
		pure("printf", 0, -1, printf),
		pure("glob", 2, 2, glob),
		pure("hex", 1, 1, hexOf),
		pure("instr", 2, 2, instr),
		pure("length", 1, 1, length),
		{Name: "like", MinArgs: 2, MaxArgs: 3, Call: like},
		pure("lower", 1, 1, lower),
		pure("ltrim", 1, 2, trimmer(true, false)),
		pure("octet_length", 1, 1, octetLength),
		pure("quote", 1, 1, quote),
		pure("replace", 3, 3, replace),
		pure("rtrim", 1, 2, trimmer(false, true)),
		pure("substr", 2, 3, substr),
		pure("substring", 2, 3, substr),
		pure("trim", 1, 2, trimmer(true, true)),
		pure("unhex", 1, 2, unhex),
		pure("unicode", 1, 1, unicodeOf),
		pure("unistr", 1, 1, unistr),
		pure("unistr_quote", 1, 1, unistrQuote),
		pure("upper", 1, 1, upper),
		pure("zeroblob", 1, 1, zeroblob),
	}
}

func anyNull(args []value.Value) bool {
	for i := range args {
		if args[i].IsNull() {
			return true
		}
	}
	return false
}

func char(_ *Context, args []value.Value) (value.Value, error) {
	var buf []byte
	for i := range args {
		x := args[i].AsInt()
		if x < 0 || x > 0x10ffff {
			x = 0xfffd
		}
		buf = appendRune(buf, uint32(x))
	}
	return value.NewText(string(buf)), nil
}

func concat(_ *Context, args []value.Value) (value.Value, error) {
	return joined(args, "")
}

func concatWS(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsNull() {
		return value.Value{}, nil
	}
	return joined(args[1:], args[0].AsText())
}

// joined returns the arguments that are not NULL as one text.
func joined(args []value.Value, separator string) (value.Value, error) {
	var buf []byte
	first := true
	for i := range args {
		if args[i].IsNull() {
			continue
		}
		if !first {
			buf = append(buf, separator...)
		}
		first = false
		buf = args[i].AppendText(buf)
		if len(buf) > MaxLength {
			return value.Value{}, ErrTooBig
		}
	}
	return value.NewText(string(buf)), nil
}

func hexOf(_ *Context, args []value.Value) (value.Value, error) {
	s := args[0].AsText()
	if 2*len(s) > MaxLength {
		return value.Value{}, ErrTooBig
	}
	return value.NewText(upperASCII(hex.EncodeToString([]byte(s)))), nil
}

func instr(_ *Context, args []value.Value) (value.Value, error) {
	if anyNull(args) {
		return value.Value{}, nil
	}
	haystack, needle := args[0].AsText(), args[1].AsText()
	if args[0].Kind() == value.Blob && args[1].Kind() == value.Blob {
		return value.NewInt(int64(strings.Index(haystack, needle) + 1)), nil
	}
	if strings.HasPrefix(haystack, needle) {
		return value.NewInt(1), nil
	}
	if continues(needle[0]) { // no other character begins like that
		return value.NewInt(0), nil
	}
	at := strings.Index(haystack, needle)
	n := int64(1)
	for i := 1; i <= at; i++ {
		if !continues(haystack[i]) {
			n++
		}
	}
	if at < 0 {
		n = 0
	}
	return value.NewInt(n), nil
}

// continues reports whether c goes on with a character of UTF-8.
func continues(c byte) bool { return c&0xc0 == 0x80 }

func length(_ *Context, args []value.Value) (value.Value, error) { return Length(args[0]), nil }

// Length returns length(v): the characters of a text up to its first zero byte, the
// bytes of a blob, the length of a number as text, NULL of NULL.
func Length(v value.Value) value.Value {
	switch v.Kind() {
	case value.Null:
		return v
	case value.Text:
		return value.NewInt(int64(textLength(v.Str())))
	case value.Blob:
		return value.NewInt(int64(len(v.Str())))
	default:
		var buf [32]byte
		return value.NewInt(int64(len(v.AppendText(buf[:0]))))
	}
}

func octetLength(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsNull() {
		return args[0], nil
	}
	return value.NewInt(int64(len(args[0].AsText()))), nil
}

func lower(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsNull() {
		return args[0], nil
	}
	return value.NewText(mapASCII(args[0].AsText(), 'A', 'Z')), nil
}

func upper(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsNull() {
		return args[0], nil
	}
	return value.NewText(upperASCII(args[0].AsText())), nil
}

func upperASCII(s string) string { return mapASCII(s, 'a', 'z') }

// mapASCII returns s with the letters from lo to hi in the other case.
func mapASCII(s string, lo, hi byte) string {
	for i := range len(s) {
		if s[i] < lo || s[i] > hi {
			continue
		}
		b := []byte(s)
		for ; i < len(b); i++ {
			if b[i] >= lo && b[i] <= hi {
				b[i] ^= 0x20
			}
		}
		return string(b)
	}
	return s
}

// trimmer returns trim(), ltrim() or rtrim().
func trimmer(left, right bool) func(*Context, []value.Value) (value.Value, error) {
	return func(c *Context, args []value.Value) (value.Value, error) {
		if anyNull(args) {
			return value.Value{}, nil
		}
		s := args[0].AsText()
		set := " "
		if len(args) == 2 {
			set = beforeNUL(args[1].AsText())
		}
		var err error
		if left {
			s, err = trimWith(c, s, set, strings.CutPrefix)
		}
		if right && err == nil {
			s, err = trimWith(c, s, set, strings.CutSuffix)
		}
		return value.NewText(s), err
	}
}

// trimWith cuts characters of set from s as long as there are any.
func trimWith(c *Context, s, set string, cut func(s, affix string) (string, bool)) (string, error) {
	for {
		found := false
		rest := set
		for len(rest) > 0 && !found {
			n := skipChar(rest)
			s, found = cut(s, rest[:n])
			rest = rest[n:]
		}
		if !found {
			return s, nil
		}
		if err := c.spent(len(set) - len(rest)); err != nil {
			return s, err
		}
	}
}

func replace(_ *Context, args []value.Value) (value.Value, error) {
	if anyNull(args[:2]) {
		return value.Value{}, nil
	}
	s, old, with := args[0].AsText(), args[1].AsText(), args[2].AsText()
	if old == "" || old[0] == 0 {
		return value.NewText(s), nil // whatever the third is
	}
	if args[2].IsNull() {
		return value.Value{}, nil
	}
	if n := strings.Count(s, old); len(s)+n*(len(with)-len(old)) > MaxLength {
		return value.Value{}, ErrTooBig
	}
	return value.NewText(strings.ReplaceAll(s, old, with)), nil
}

func substr(_ *Context, args []value.Value) (value.Value, error) {
	if anyNull(args) {
		return value.Value{}, nil
	}
	v := args[0]
	first, n := args[1].AsInt(), int64(math.MaxInt64)
	if len(args) == 3 {
		n = args[2].AsInt()
	}
	if v.Kind() == value.Blob {
		s := v.Str()
		if s == "" {
			return value.Value{}, nil // as SQLite has it
		}
		first, n = span(first, n, int64(len(s)))
		first = min(first, int64(len(s)))
		n = min(n, int64(len(s))-first)
		return value.NewBlob(s[first : first+n]), nil
	}
	s := beforeNUL(v.AsText())
	size := int64(0)
	if first < 0 {
		for rest := s; rest != ""; rest = rest[skipChar(rest):] {
			size++
		}
	}
	first, n = span(first, n, size)
	s = s[runesSize(s, first):]
	return value.NewText(s[:runesSize(s, n)]), nil
}

// span returns the index and number of the characters that substr(x, first, n)
// is, of size there are; size is not looked at if first is positive.
func span(first, n, size int64) (index, count int64) {
	switch {
	case first < 0:
		first += size
		if first < 0 {
			if n < 0 {
				n = 0
			} else {
				n += first
			}
			first = 0
		}
	case first > 0:
		first--
	case n > 0:
		n--
	}
	if n < 0 {
		if n < -first {
			n = first
		} else {
			n = -n
		}
		first -= n
	}
	return first, n
}

// runesSize returns the size of the first n characters of s.
func runesSize(s string, n int64) int {
	i := 0
	for ; n > 0 && i < len(s); n-- {
		i += skipRune(s[i:])
	}
	return i
}

func unhex(_ *Context, args []value.Value) (value.Value, error) {
	if anyNull(args) {
		return value.Value{}, nil
	}
	s, pass := beforeNUL(args[0].AsText()), ""
	if len(args) == 2 {
		pass = args[1].AsText()
	}
	out := make([]byte, 0, len(s)/2)
	for len(s) > 0 {
		if !isHex(s[0]) {
			c, n := readRune(s)
			if !hasRune(pass, c) {
				return value.Value{}, nil
			}
			s = s[n:]
			continue
		}
		if len(s) < 2 || !isHex(s[1]) {
			return value.Value{}, nil
		}
		out = append(out, hexVal(s[0])<<4|hexVal(s[1]))
		s = s[2:]
	}
	return value.NewBlob(string(out)), nil
}

func hasRune(s string, c rune) bool {
	for len(s) > 0 {
		r, n := readRune(s)
		if r == c {
			return true
		}
		s = s[n:]
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// hexVal returns the value of a hexadecimal digit.
func hexVal(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func unicodeOf(_ *Context, args []value.Value) (value.Value, error) {
	s := beforeNUL(args[0].AsText())
	if s == "" {
		return value.Value{}, nil
	}
	c, _ := readRune(s)
	return value.NewInt(int64(c)), nil
}

func zeroblob(_ *Context, args []value.Value) (value.Value, error) {
	n := max(args[0].AsInt(), 0)
	if n > MaxLength {
		return value.Value{}, ErrTooBig
	}
	return value.NewBlob(strings.Repeat("\x00", int(n))), nil
}

func quote(_ *Context, args []value.Value) (value.Value, error) {
	return text(string(AppendQuoted(nil, args[0])))
}

func unistrQuote(_ *Context, args []value.Value) (value.Value, error) {
	v := args[0]
	if v.Kind() != value.Text {
		return text(string(AppendQuoted(nil, v)))
	}
	f := conversion{alternate: true, precision: -1}
	return text(string(f.appendQuoted(nil, v.Str(), '\'', true)))
}

// AppendQuoted appends v as an SQL literal, as quote() writes it. A text ends at
// its first zero byte, which no literal can hold.
func AppendQuoted(dst []byte, v value.Value) []byte {
	switch v.Kind() {
	case value.Null:
		return append(dst, "NULL"...)
	case value.Float:
		return value.FormatQuote.Append(dst, v.Float())
	case value.Blob:
		dst = append(dst, "X'"...)
		for _, c := range []byte(v.Str()) {
			dst = append(dst, upperHex[c>>4], upperHex[c&15])
		}
		return append(dst, '\'')
	case value.Text:
		dst = append(dst, '\'')
		s := beforeNUL(v.Str())
		for {
			i := strings.IndexByte(s, '\'')
			if i < 0 {
				break
			}
			dst = append(dst, s[:i+1]...)
			dst = append(dst, '\'')
			s = s[i+1:]
		}
		return append(append(dst, s...), '\'')
	default:
		return v.AppendText(dst)
	}
}

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

var errUnicodeEscape = errors.New("invalid Unicode escape")

func unistr(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsNull() {
		return args[0], nil
	}
	s := args[0].AsText()
	var out []byte
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || strings.IndexByte(s[:i], 0) >= 0 {
			return value.NewText(string(append(out, s...))), nil
		}
		out = append(out, s[:i]...)
		s = s[i+1:]
		if strings.HasPrefix(s, `\`) {
			out = append(out, '\\')
			s = s[1:]
			continue
		}
		digits := 4
		switch {
		case strings.HasPrefix(s, "+"):
			digits, s = 6, s[1:]
		case strings.HasPrefix(s, "u"):
			s = s[1:]
		case strings.HasPrefix(s, "U"):
			digits, s = 8, s[1:]
		}
		c, ok := hexRune(s, digits)
		if !ok {
			return value.Value{}, errUnicodeEscape
		}
		out = appendRune(out, c)
		s = s[digits:]
	}
}

// hexRune returns the number that the first n bytes of s are in hexadecimal.
func hexRune(s string, n int) (c uint32, ok bool) {
	if len(s) < n {
		return 0, false
	}
	for i := range n {
		if !isHex(s[i]) {
			return 0, false
		}
		c = c<<4 | uint32(hexVal(s[i]))
	}
	return c, true
}
