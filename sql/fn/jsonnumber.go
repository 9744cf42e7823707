package fn

import "strings"

// number parses a number of JSON5 at i.
func (p *jsonParser) number(i int) int {
	start := i
	c := p.s[i]
	switch c {
	case '.':
		if !isDigitByte(p.char(i + 1)) {
			return p.fail(i)
		}
		p.nonStd = true
		return p.digits(i, start, true, true)
	case '+':
		p.nonStd = true
	}
	if c == '+' || c == '-' {
		i++
		if !isDigitByte(p.char(i)) {
			if hasFold(p.s[i:], "inf") {
				return p.infinity(i, c == '-')
			}
			if p.char(i) != '.' {
				return p.fail(start)
			}
			p.nonStd = true
			return p.digits(i-1, start, true, false)
		}
	}
	if p.s[i] == '0' {
		switch {
		case p.char(i+1)|0x20 == 'x' && isHex(p.char(i+2)):
			p.nonStd = true
			j := i + 3
			for isHex(p.char(j)) {
				j++
			}
			p.add(jsonInt5, strings.TrimPrefix(p.s[start:j], "+"))
			return j
		case isDigitByte(p.char(i + 1)):
			return p.fail(start + 1)
		}
	}
	return p.digits(i, start, false, false)
}

// infinity parses what follows the sign of an infinity.
func (p *jsonParser) infinity(i int, neg bool) int {
	p.nonStd = true
	if neg {
		p.add(jsonReal, "-9e999")
	} else {
		p.add(jsonReal, "9e999")
	}
	if hasFold(p.s[i+3:], "inity") {
		return i + 8
	}
	return i + 3
}

// hasFold reports whether s begins with prefix, in any case of letters.
func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// digits parses the rest of a number that begins at start, from the byte after
// i on. five says that it is not plain JSON, point that it had its point.
func (p *jsonParser) digits(i, start int, five, point bool) int {
	seenE := false
	// afterPoint accepts "1." and "1.e5", which are JSON5.
	afterPoint := func(j int) bool {
		if p.s[j-1] >= '0' {
			return true
		}
		if p.s[j-1] != '.' || j-2 < start || !isDigitByte(p.s[j-2]) {
			p.at = j
			return false
		}
		p.nonStd = true
		five = true
		return true
	}
	j := i + 1
	for ; ; j++ {
		c := p.char(j)
		if isDigitByte(c) {
			continue
		}
		if c == '.' {
			if point {
				return p.fail(j)
			}
			point = true
			continue
		}
		if c|0x20 != 'e' {
			break
		}
		if !afterPoint(j) {
			return jsonBad
		}
		if seenE {
			return p.fail(j)
		}
		point, seenE = true, true
		if s := p.char(j + 1); s == '+' || s == '-' {
			j++
		}
		if !isDigitByte(p.char(j + 1)) {
			return p.fail(j)
		}
	}
	if !afterPoint(j) {
		return jsonBad
	}
	kind := jsonInt
	switch {
	case point && five:
		kind = jsonReal5
	case point:
		kind = jsonReal
	case five:
		kind = jsonInt5
	}
	p.add(kind, strings.TrimPrefix(p.s[start:j], "+"))
	return j
}

// jsonWords are the words that stand for values.
var jsonWords = []struct {
	word    string
	fold    bool // in any case of letters; not plain JSON
	kind    jsonKind
	content string
}{
	{"true", false, jsonTrue, ""},
	{"false", false, jsonFalse, ""},
	{"null", false, jsonNull, ""},
	{"inf", true, jsonReal, "9e999"},
	{"infinity", true, jsonReal, "9e999"},
	{"NaN", true, jsonNull, ""},
	{"QNaN", true, jsonNull, ""},
	{"SNaN", true, jsonNull, ""},
}

func (p *jsonParser) word(i int) int {
	rest := p.s[i:]
	for _, w := range jsonWords {
		if w.fold && !hasFold(rest, w.word) || !w.fold && !strings.HasPrefix(rest, w.word) || isAlnum(p.char(i+len(w.word))) {
			continue
		}
		p.add(w.kind, w.content)
		p.nonStd = p.nonStd || w.fold
		return i + len(w.word)
	}
	return p.fail(i)
}
