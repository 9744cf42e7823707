package fn

import "strings"

// jsonParser reads JSON and JSON5 and appends JSONB to b.
type jsonParser struct {
	s      string
	size   int // of the text with what follows a zero byte
	b      []byte
	depth  int
	nonStd bool // something was JSON5 and not JSON
	at     int  // where the error is, or the character of one of the tokens below
}

// What element returns in place of the index after an element.
const (
	jsonEnd      = 0
	jsonBad      = -1
	jsonEndBrace = -2 // }
	jsonEndBrack = -3 // ]
	jsonComma    = -4
	jsonColon    = -5
)

// newJSONParser returns a parser of s, which ends at a zero byte.
func newJSONParser(s string) jsonParser {
	cut := beforeNUL(s)
	return jsonParser{s: cut, size: len(s), b: make([]byte, 0, len(cut)+9)}
}

// document parses the whole text and reports whether it is JSON.
func (p *jsonParser) document() bool {
	i := p.element(0)
	if i <= 0 {
		return false
	}
	i = p.skipSpace(i)
	if i < len(p.s) {
		if i += json5Space(p.s[i:]); i < len(p.s) {
			return false
		}
		p.nonStd = true
	}
	return true
}

// add appends an element of kind.
func (p *jsonParser) add(kind jsonKind, content string) { p.b = appendNode(p.b, kind, content) }

// open appends the head of a container that begins at i in the text, with room
// for a size that it cannot exceed, and returns where its content begins.
func (p *jsonParser) open(kind jsonKind, i int) int {
	p.b = appendHead(p.b, kind, uint32(p.size-i))
	return len(p.b)
}

// shut writes the size into the head at i of a container whose content began at
// start.
func (p *jsonParser) shut(i, start int) {
	p.b, _ = setSize(p.b, i, uint32(len(p.b)-start))
	p.depth--
}

// char returns the byte at i, 0 after the end.
func (p *jsonParser) char(i int) byte {
	if i < len(p.s) {
		return p.s[i]
	}
	return 0
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (p *jsonParser) skipSpace(i int) int {
	for i < len(p.s) && isJSONSpace(p.s[i]) {
		i++
	}
	return i
}

// fail notes where the error is.
func (p *jsonParser) fail(i int) int {
	p.at = i
	return jsonBad
}

// element parses the element at i and returns the index after it, or one of the
// codes above.
func (p *jsonParser) element(i int) int {
	for {
		i = p.skipSpace(i)
		switch c := p.char(i); c {
		case 0:
			return jsonEnd
		case '\v', '\f', '/', 0xc2, 0xe1, 0xe2, 0xe3, 0xef:
			k := json5Space(p.s[i:])
			if k == 0 {
				return p.fail(i)
			}
			i += k
			p.nonStd = true
			continue
		case '{':
			return p.object(i)
		case '[':
			return p.array(i)
		case '"', '\'':
			return p.str(i)
		case '}', ']', ',', ':':
			p.at = i
			return -2 - strings.IndexByte("}],:", c)
		case '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			return p.number(i)
		default:
			return p.word(i)
		}
	}
}

// enter counts a level of nesting.
func (p *jsonParser) enter(i int) bool {
	p.depth++
	if p.depth > jsonDepthMax {
		p.at = i
		return false
	}
	return true
}

// separator reads what follows an element: a comma, or the end, whose code is
// end. It returns the index of the character, and which it was.
func (p *jsonParser) separator(i, end int) (at, code int) {
	i = p.skipSpace(i)
	c := p.char(i)
	if c == ',' {
		return i, jsonComma
	}
	if c == '}' && end == jsonEndBrace || c == ']' && end == jsonEndBrack {
		return i, end
	}
	if x := p.element(i); x == jsonComma || x == end {
		return p.at, x
	}
	return i, jsonBad
}

func (p *jsonParser) array(i int) int {
	head := len(p.b)
	start := p.open(jsonArray, i)
	if !p.enter(i) {
		return jsonBad
	}
	for j := i + 1; ; j++ {
		x := p.element(j)
		if x == jsonEndBrack {
			p.nonStd = p.nonStd || len(p.b) > start // a comma before the end
			p.shut(head, start)
			return p.at + 1
		}
		if x <= 0 {
			if x != jsonBad {
				p.at = j
			}
			return jsonBad
		}
		at, code := p.separator(x, jsonEndBrack)
		switch code {
		case jsonEndBrack:
			p.shut(head, start)
			return at + 1
		case jsonBad:
			return p.fail(at)
		}
		j = at
	}
}

func (p *jsonParser) object(i int) int {
	head := len(p.b)
	start := p.open(jsonObject, i)
	if !p.enter(i) {
		return jsonBad
	}
	for j := i + 1; ; j++ {
		label := len(p.b)
		x := p.element(j)
		if x == jsonEndBrace {
			p.nonStd = p.nonStd || len(p.b) > start
			p.shut(head, start)
			return p.at + 1
		}
		if x <= 0 {
			j += json5Space(p.s[min(j, len(p.s)):])
			k := p.identifier(j)
			if k == j {
				if x != jsonBad {
					p.at = j
				}
				return jsonBad
			}
			x = k
		}
		if !jsonKind(p.b[label] & 15).isText() {
			return p.fail(j)
		}
		if x = p.colon(x); x < 0 {
			return jsonBad
		}
		j = x
		if x = p.element(j); x <= 0 {
			if x != jsonBad {
				p.at = j
			}
			return jsonBad
		}
		at, code := p.separator(x, jsonEndBrace)
		switch code {
		case jsonEndBrace:
			p.shut(head, start)
			return at + 1
		case jsonBad:
			return p.fail(at)
		}
		j = at
	}
}

// colon reads a colon and returns the index after it, or jsonBad.
func (p *jsonParser) colon(i int) int {
	i = p.skipSpace(i)
	if p.char(i) == ':' {
		return i + 1
	}
	if x := p.element(i); x != jsonColon {
		if x != jsonBad {
			p.at = i
		}
		return jsonBad
	}
	return p.at + 1
}

// identifier reads a label without quotes and returns the index after it, i if
// there is none.
func (p *jsonParser) identifier(i int) int {
	kind := jsonText
	j := i
	for {
		c := p.char(j)
		switch {
		case c == '\\' && p.char(j+1) == 'u' && p.hex(j+2, 4):
			kind = jsonTextJ
		case c == '_' || c == '$' || isLetter(c) || c >= 0x80 && (j == i || json5Space(p.s[j:]) == 0):
		case j > i && isDigitByte(c):
		default:
			if j > i {
				p.add(kind, p.s[i:j])
				p.nonStd = true
			}
			return j
		}
		j++
	}
}

func isDigitByte(c byte) bool { return c-'0' < 10 }

func isAlnum(c byte) bool { return isDigitByte(c) || isLetter(c) }

// hex reports whether the n bytes from i on are hexadecimal digits.
func (p *jsonParser) hex(i, n int) bool {
	for k := range n {
		if !isHex(p.char(i + k)) {
			return false
		}
	}
	return true
}

// str parses a string in either kind of quotes.
func (p *jsonParser) str(i int) int {
	quote := p.s[i]
	kind := jsonText
	if quote == '\'' {
		p.nonStd = true
	}
	for j := i + 1; ; j++ {
		c := p.char(j)
		switch {
		case c == quote:
			p.add(kind, p.s[i+1:j])
			return j + 1
		case c == '\\':
			size, std := p.escape(j + 1)
			if size == 0 {
				return p.fail(j + 1)
			}
			if !std {
				kind = jsonText5
				p.nonStd = true
			} else if kind == jsonText {
				kind = jsonTextJ
			}
			j += size
		case c == 0:
			return p.fail(j)
		case c < 0x20:
			kind = jsonText5
			p.nonStd = true
		case c == '"':
			kind = jsonText5
		}
	}
}

// escape returns the size of what the parser skips of the escape after a
// backslash, 0 if it is none, and whether it is one of JSON.
func (p *jsonParser) escape(i int) (size int, std bool) {
	switch c := p.char(i); c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1, true
	case 'u':
		if p.hex(i+1, 4) {
			return 1, true
		}
	case '\'', 'v', '\n':
		return 1, false
	case '0':
		if !isDigitByte(p.char(i + 1)) {
			return 1, false
		}
	case 0xe2:
		if p.char(i+1) == 0x80 && p.char(i+2)&^1 == 0xa8 {
			return 1, false
		}
	case 'x':
		if p.hex(i+1, 2) {
			return 1, false
		}
	case '\r':
		if p.char(i+1) == '\n' {
			return 2, false
		}
		return 1, false
	}
	return 0, false
}

// json5Space returns the size of the white space and comments that s begins
// with.
func json5Space(s string) int {
	n := 0
	for {
		k := json5SpaceOne(s[n:])
		if k == 0 {
			return n
		}
		n += k
	}
}

func json5SpaceOne(s string) int {
	if s == "" {
		return 0
	}
	switch {
	case isSpace(s[0]):
		return 1
	case strings.HasPrefix(s, "/*") && len(s) > 2:
		end := strings.Index(s[2:], "*/")
		if end < 0 {
			return 0
		}
		return end + 4
	case strings.HasPrefix(s, "//"):
		for j := 2; j < len(s); j++ {
			switch {
			case s[j] == '\n' || s[j] == '\r':
				return j + 1
			case strings.HasPrefix(s[j:], "\u2028"), strings.HasPrefix(s[j:], "\u2029"):
				return j + 3
			}
		}
		return len(s)
	}
	for _, space := range [...]string{
		"\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
		"\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff",
	} {
		if s[0] >= 0x80 && strings.HasPrefix(s, space) {
			return len(space)
		}
	}
	return 0
}
