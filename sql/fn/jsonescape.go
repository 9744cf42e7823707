package fn

import "strings"

// jsonInvalid is what a broken escape stands for.
const jsonInvalid = 0x99999

// appendText5 appends a string of JSON5 as one of JSON.
func appendText5(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for s != "" {
		c := s[0]
		switch {
		case c == '"' || c < 0x20:
			dst = appendJSONEscape(dst, c)
			s = s[1:]
			continue
		case c != '\\' || len(s) < 2:
			dst = append(dst, c)
			s = s[1:]
			continue
		}
		size := 2
		switch s[1] {
		case '\'':
			dst = append(dst, '\'')
		case 'v':
			dst = append(dst, `\u000b`...)
		case 'x':
			dst = append(append(dst, `\u00`...), s[2:min(4, len(s))]...)
			size = 4
		case '0':
			dst = append(dst, `\u0000`...)
		case '\r':
			if len(s) > 2 && s[2] == '\n' {
				size = 3
			}
		case '\n':
		case 0xe2:
			size = 4
		default:
			dst = append(dst, s[:2]...)
		}
		s = s[min(size, len(s)):]
	}
	return append(dst, '"')
}

// unescapeJSON returns the text of a string with escapes. Broken ones vanish.
func unescapeJSON(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	out := []byte(s[:i])
	for s = s[i:]; s != ""; {
		if s[0] != '\\' {
			out = append(out, s[0])
			s = s[1:]
			continue
		}
		c, n := unescapeOne(s)
		if c != jsonInvalid {
			out = appendRune(out, c)
		}
		s = s[n:]
	}
	return string(out)
}

// unescapeOne reads the escape that s begins with and returns its size.
func unescapeOne(s string) (c uint32, size int) {
	if len(s) < 2 {
		return jsonInvalid, len(s)
	}
	switch s[1] {
	case 'u':
		return unescapeUnicode(s)
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'v':
		return '\v', 2
	case '0':
		if len(s) > 2 && isDigitByte(s[2]) {
			return jsonInvalid, 2
		}
		return 0, 2
	case '\'', '"', '/', '\\':
		return uint32(s[1]), 2
	case 'x':
		c, ok := hexRune(s[2:], 2)
		if !ok {
			return jsonInvalid, len(s)
		}
		return c, 4
	case 0xe2, '\r', '\n':
		skip := skipEscapedLines(s)
		switch {
		case skip == 0:
			return jsonInvalid, len(s)
		case skip == len(s):
			return 0, skip
		case s[skip] == '\\':
			c, n := unescapeOne(s[skip:])
			return c, skip + n
		}
		r, n := readRune(s[skip:])
		return uint32(r), skip + n
	}
	return jsonInvalid, 2
}

// unescapeUnicode reads \uXXXX, or two of them that are a surrogate pair.
func unescapeUnicode(s string) (c uint32, size int) {
	c, ok := hexRune(s[2:], 4)
	if !ok {
		return jsonInvalid, len(s)
	}
	if c&0xfc00 == 0xd800 && strings.HasPrefix(s[6:], `\u`) {
		if low, ok := hexRune(s[8:], 4); ok && low&0xfc00 == 0xdc00 {
			return (c&0x3ff)<<10 + low&0x3ff + 0x10000, 12
		}
	}
	return c, 6
}

// skipEscapedLines returns the size of the escaped ends of lines that s begins
// with.
func skipEscapedLines(s string) int {
	i := 0
	for {
		rest := s[i:]
		switch {
		case strings.HasPrefix(rest, "\\\r\n"):
			i += 3
		case strings.HasPrefix(rest, "\\\n"), strings.HasPrefix(rest, "\\\r"):
			i += 2
		case strings.HasPrefix(rest, "\\\u2028"), strings.HasPrefix(rest, "\\\u2029"):
			i += 4
		default:
			return i
		}
	}
}
