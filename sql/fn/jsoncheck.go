package fn

import "strings"

// badHead is the fault of a content that its head is at.
const badHead = -1

// check looks at all of the element at i, which is in the document, and returns
// the offset of the first error, from 1; 0 if there is none. depth is how deep
// the element is, from 1.
func (d *jsonDoc) check(i, depth int) int {
	if depth > jsonDepthMax {
		return i + 1
	}
	head, size := d.header(i)
	s := d.content(i, head, size)
	bad := 0
	switch k := d.kind(i); k {
	case jsonNull, jsonTrue, jsonFalse:
		if head+size != 1 {
			bad = badHead
		}
	case jsonInt:
		bad = checkInt(s)
	case jsonInt5:
		bad = checkInt5(s)
	case jsonReal, jsonReal5:
		bad = checkReal(s, k == jsonReal5)
	case jsonText:
		bad = checkText(s)
	case jsonTextJ, jsonText5:
		bad = checkEscapes(s, k == jsonText5)
	case jsonTextRaw:
	case jsonArray, jsonObject:
		return d.checkInside(i+head, i+head+size, depth+1, k == jsonObject)
	default:
		bad = badHead
	}
	switch bad {
	case badHead:
		return i + 1
	case 0:
		return 0
	}
	return i + head + bad
}

// checkInside is check of the elements from i to end.
func (d *jsonDoc) checkInside(i, end, depth int, pairs bool) int {
	n := 0
	for ; i < end; n++ {
		head, size := d.header(i)
		if head == 0 || i+head+size > end {
			return i + 1
		}
		if pairs && n%2 == 0 && !d.kind(i).isText() {
			return i + 1
		}
		if bad := d.check(i, depth); bad != 0 {
			return bad
		}
		i += head + size
	}
	if pairs && n%2 != 0 {
		return i + 1
	}
	return 0
}

// The functions below return the place of the first error in a content, from 1,
// 0 or badHead.

func checkInt(s []byte) int {
	i := 0
	if len(s) > 0 && s[0] == '-' {
		i = 1
	}
	if i == len(s) {
		return badHead
	}
	for ; i < len(s); i++ {
		if !isDigitByte(s[i]) {
			return i + 1
		}
	}
	return 0
}

func checkInt5(s []byte) int {
	i := 0
	if len(s) > 0 && s[0] == '-' {
		i = 1
	}
	if len(s) < i+3 || s[i] != '0' {
		return badHead
	}
	if s[i+1]|0x20 != 'x' {
		return i + 2
	}
	for i += 2; i < len(s); i++ {
		if !isHex(s[i]) {
			return i + 1
		}
	}
	return 0
}

// checkReal is for both kinds of reals: five says that digits may miss.
func checkReal(s []byte, five bool) int {
	i := 0
	if len(s) > 0 && s[0] == '-' {
		i = 1
	}
	if len(s) < i+2 {
		return badHead
	}
	point, exp := false, false
	switch {
	case s[i] == '.':
		if !five || !isDigitByte(s[i+1]) {
			return i + 1
		}
		i += 2
		point = true
	case s[i] == '0' && !five:
		if len(s) < i+3 || s[i+1] != '.' && s[i+1]|0x20 != 'e' {
			return i + 1
		}
		i++
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case isDigitByte(c):
		case c == '.':
			if point || exp || !five && (i+1 == len(s) || !isDigitByte(s[i+1])) {
				return i + 1
			}
			point = true
		case c|0x20 == 'e':
			if exp || i+1 == len(s) {
				return i + 1
			}
			if s[i+1] == '+' || s[i+1] == '-' {
				i++
				if i+1 == len(s) {
					return i + 1
				}
			}
			exp = true
		default:
			return i + 1
		}
	}
	if !point && !exp {
		return badHead
	}
	return 0
}

func checkText(s []byte) int {
	for i, c := range s {
		if c < 0x20 || c == '"' || c == '\\' {
			return i + 1
		}
	}
	return 0
}

// checkEscapes is for text with escapes, of JSON or of JSON5.
func checkEscapes(s []byte, five bool) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c < 0x20:
			if !five {
				return i + 1
			}
		case c != '\\':
		case i+1 == len(s):
			return i + 1
		case strings.IndexByte("\"\\/bfnrt\x00", s[i+1]) >= 0: // SQLite lets the zero byte pass
			i++
		case s[i+1] == 'u':
			if i+5 >= len(s) || !isHex(s[i+2]) || !isHex(s[i+3]) || !isHex(s[i+4]) || !isHex(s[i+5]) {
				return i + 1
			}
			i++
		case !five:
			return i + 1
		default:
			r, n := unescapeOne(s[i:])
			if r == jsonInvalid {
				return i + 1
			}
			i += n - 1
		}
	}
	return 0
}
