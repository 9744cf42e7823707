package fn

// jsonInvalid is what a broken escape stands for.
const jsonInvalid = 0x99999

// unescapeJSON returns the text of a string with escapes. Broken ones vanish.
func unescapeJSON(s []byte) string {
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
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
func unescapeOne(s []byte) (c uint32, size int) {
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
		if len(s) < 4 {
			return jsonInvalid, len(s)
		}
		return looseHex(s[2:4]), 4
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
		c, n := readLoose(s[skip:])
		return c, skip + n
	}
	return jsonInvalid, 2
}

// unescapeUnicode reads \uXXXX, or two of them that are a surrogate pair.
func unescapeUnicode(s []byte) (c uint32, size int) {
	if len(s) < 6 {
		return jsonInvalid, len(s)
	}
	c = looseHex(s[2:6])
	if c&0xfc00 == 0xd800 && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if low := looseHex(s[8:12]); low&0xfc00 == 0xdc00 {
			return (c&0x3ff)<<10 + low&0x3ff + 0x10000, 12
		}
	}
	return c, 6
}

// looseHex returns the number that s is in hexadecimal. In a malformed blob other
// bytes than digits count for what they do in SQLite.
func looseHex(s []byte) (c uint32) {
	for _, h := range s {
		c = c<<4 | uint32((h+9*(h>>6&1))&15)
	}
	return c
}

// readLoose reads one character of s, which is not empty, of up to 4 bytes and
// whatever value.
func readLoose(s []byte) (c uint32, size int) {
	b := s[0]
	if b < 0xc0 {
		return uint32(b), 1
	}
	c, size = leadBits(b), 1
	for size < min(len(s), 4) && s[size]&0xc0 == 0x80 {
		c = c<<6 | uint32(s[size]&0x3f)
		size++
	}
	return c, size
}

// skipEscapedLines returns the size of the escaped ends of lines that s begins
// with.
func skipEscapedLines(s []byte) int {
	i := 0
	for i+1 < len(s) && s[i] == '\\' {
		switch rest := s[i:]; {
		case rest[1] == '\r' && len(rest) > 2 && rest[2] == '\n':
			i += 3
		case rest[1] == '\r' || rest[1] == '\n':
			i += 2
		case isLineSeparator(rest[1:]):
			i += 4
		default:
			return i
		}
	}
	return i
}

// isLineSeparator reports whether s begins with U+2028 or U+2029.
func isLineSeparator(s []byte) bool {
	return len(s) >= 3 && s[0] == 0xe2 && s[1] == 0x80 && s[2]&^1 == 0xa8
}

// sameLabel compares two labels. One that is not raw has escapes.
func sameLabel(a []byte, rawA bool, b []byte, rawB bool) bool {
	if rawA && rawB {
		return string(a) == string(b)
	}
	for {
		x, n := labelRune(a, rawA)
		y, k := labelRune(b, rawB)
		if x != y {
			return false
		}
		if x == 0 {
			return true
		}
		a, b = a[n:], b[k:]
	}
}

// labelRune reads the first character of a label, 0 at its end.
func labelRune(s []byte, raw bool) (c uint32, size int) {
	switch {
	case len(s) == 0:
		return 0, 0
	case raw || s[0] != '\\':
		return readLoose(s)
	}
	return unescapeOne(s)
}
