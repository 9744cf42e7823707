package fn

import "unicode/utf8"

// Text of SQLite is UTF-8 that nobody checks: every function has to do
// something with every sequence of bytes, and to agree with SQLite on what.

// leadBits returns the bits of a character that its lead byte holds.
func leadBits(b byte) uint32 {
	switch {
	case b < 0xe0:
		return uint32(b & 0x1f)
	case b < 0xf0:
		return uint32(b & 0x0f)
	case b < 0xf8:
		return uint32(b & 0x07)
	case b < 0xfc:
		return uint32(b & 0x03)
	case b < 0xfe:
		return uint32(b & 0x01)
	}
	return 0
}

// readRune reads one character of s, which is not empty: a lead byte and all
// the continuation bytes that follow.
func readRune(s string) (c rune, size int) {
	b := s[0]
	if b < 0xc0 {
		return rune(b), 1
	}
	c = rune(leadBits(b))
	size = 1
	for size < len(s) && s[size]&0xc0 == 0x80 {
		c = c<<6 | rune(s[size]&0x3f)
		size++
	}
	if c < 0x80 || c&^0x7ff == 0xd800 || c&^1 == 0xfffe {
		c = utf8.RuneError
	}
	return c, size
}

// skipRune returns the size of the first character of s for length() and
// substr(): a byte and, unless it is ASCII, the continuation bytes after it.
func skipRune(s string) int {
	n := 1
	if s[0] >= 0x80 {
		for n < len(s) && s[n]&0xc0 == 0x80 {
			n++
		}
	}
	return n
}

// skipChar returns the size of the first character of s where only lead bytes
// take continuation bytes with them.
func skipChar(s string) int {
	n := 1
	if s[0] >= 0xc0 {
		for n < len(s) && s[n]&0xc0 == 0x80 {
			n++
		}
	}
	return n
}

// countRunes returns the number of characters of s.
func countRunes(s string) int {
	n := 0
	for len(s) > 0 {
		if len(s) >= 8 && startsASCII(s) {
			s = s[8:]
			n += 8
			continue
		}
		s = s[skipRune(s):]
		n++
	}
	return n
}

// textLength returns the number of characters of s up to its first zero byte. As
// long as there are none but ASCII, eight bytes are looked at once.
func textLength(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		if (w|(w-ones))&tops != 0 { // a byte above 0x7f, or a zero byte
			break
		}
	}
	if i == len(s) {
		return i
	}
	return i + countRunes(beforeNUL(s[i:]))
}

// startsASCII reports whether the first 8 bytes of s, which has as many, are
// ASCII. They are read as two words.
func startsASCII(s string) bool {
	_ = s[7]
	a := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
	b := uint32(s[4]) | uint32(s[5])<<8 | uint32(s[6])<<16 | uint32(s[7])<<24
	return (a|b)&0x80808080 == 0
}

// appendRune appends c as UTF-8 whatever it is, surrogates too.
func appendRune(dst []byte, c uint32) []byte {
	switch {
	case c < 0x80:
		return append(dst, byte(c))
	case c < 0x800:
		return append(dst, 0xc0|byte(c>>6), 0x80|byte(c&0x3f))
	case c < 0x10000:
		return append(dst, 0xe0|byte(c>>12), 0x80|byte(c>>6&0x3f), 0x80|byte(c&0x3f))
	}
	return append(dst, 0xf0|byte(c>>18&7), 0x80|byte(c>>12&0x3f), 0x80|byte(c>>6&0x3f), 0x80|byte(c&0x3f))
}
