package ingest

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
)

// insertion is an INSERT of one row of literals, as a dump has it: the text up to
// its values, and the values.
type insertion struct {
	head string // INSERT INTO t VALUES
	args []any
}

// text returns the INSERT of n such rows, with parameters for the values.
func (i insertion) text(n int) string {
	row := "(" + strings.Repeat("?,", len(i.args)-1) + "?)"
	return i.head + strings.Repeat(row+",", n-1) + row
}

// parseInsert takes such a statement apart; false for any other.
func parseInsert(text []byte) (insertion, bool) {
	l := &literals{text: text}
	if !l.words("INSERT", "INTO") || !l.name() {
		return insertion{}, false
	}
	if l.byte('(') {
		for {
			if !l.name() {
				return insertion{}, false
			}
			if l.byte(')') {
				break
			}
			if !l.byte(',') {
				return insertion{}, false
			}
		}
	}
	if !l.words("VALUES") {
		return insertion{}, false
	}
	head := string(l.text[:l.at])
	if !l.byte('(') {
		return insertion{}, false
	}
	var args []any
	for {
		v, ok := l.value()
		if !ok {
			return insertion{}, false
		}
		args = append(args, v)
		if l.byte(')') {
			break
		}
		if !l.byte(',') {
			return insertion{}, false
		}
	}
	if l.byte(';'); l.at != len(l.text) {
		return insertion{}, false
	}
	return insertion{head: head, args: args}, true
}

// literals reads the tokens of an INSERT.
type literals struct {
	text []byte
	at   int
}

func (l *literals) blank() {
	for l.at < len(l.text) && strings.IndexByte(" \t\r\n\f", l.text[l.at]) >= 0 {
		l.at++
	}
}

// byte takes c if it comes next.
func (l *literals) byte(c byte) bool {
	l.blank()
	if l.at < len(l.text) && l.text[l.at] == c {
		l.at++
		return true
	}
	return false
}

func (l *literals) word() string {
	l.blank()
	from := l.at
	for l.at < len(l.text) && isWordByte(l.text[l.at]) {
		l.at++
	}
	return string(l.text[from:l.at])
}

func (l *literals) words(want ...string) bool {
	for _, w := range want {
		if !strings.EqualFold(l.word(), w) {
			return false
		}
	}
	return true
}

// name takes a name, in quotes or not.
func (l *literals) name() bool {
	l.blank()
	if l.at >= len(l.text) {
		return false
	}
	switch c := l.text[l.at]; c {
	case '"', '`', '\'':
		_, ok := l.quoted(c)
		return ok
	case '[':
		_, ok := l.quoted(']')
		return ok
	}
	return l.word() != ""
}

// quoted takes a text that ends with c, which stands doubled in it.
func (l *literals) quoted(c byte) (string, bool) {
	l.at++
	from, doubled := l.at, false
	for ; l.at < len(l.text); l.at++ {
		if l.text[l.at] != c {
			continue
		}
		if l.at+1 < len(l.text) && l.text[l.at+1] == c && c != ']' {
			doubled = true
			l.at++
			continue
		}
		s := string(l.text[from:l.at])
		l.at++
		if doubled {
			s = strings.ReplaceAll(s, string([]byte{c, c}), string(c))
		}
		return s, true
	}
	return "", false
}

// value takes a literal: nil, int64, float64, string or []byte.
func (l *literals) value() (any, bool) {
	l.blank()
	if l.at >= len(l.text) {
		return nil, false
	}
	switch c := l.text[l.at]; {
	case c == '\'':
		s, ok := l.quoted('\'')
		return s, ok
	case (c == 'x' || c == 'X') && l.at+1 < len(l.text) && l.text[l.at+1] == '\'':
		l.at++
		s, ok := l.quoted('\'')
		if !ok {
			return nil, false
		}
		b, err := hex.DecodeString(s)
		return b, err == nil
	case c == '-' || c >= '0' && c <= '9':
		return l.number()
	}
	return nil, strings.EqualFold(l.word(), "NULL")
}

// number takes an integer or a real; an integer beyond 64 bits is a real, one
// beyond the largest real is infinite, as in SQLite.
func (l *literals) number() (any, bool) {
	from, real := l.at, false
	if l.text[l.at] == '-' {
		l.at++
	}
	for ; l.at < len(l.text); l.at++ {
		c := l.text[l.at]
		sign := (c == '+' || c == '-') && upper(l.text[l.at-1]) == 'E'
		if c == '.' || upper(c) == 'E' {
			real = true
		} else if !sign && (c < '0' || c > '9') {
			break
		}
	}
	s := string(l.text[from:l.at])
	if l.at < len(l.text) && isWordByte(l.text[l.at]) || strings.HasSuffix(s, "-") {
		return nil, false // 0x10, 1_000
	}
	if !real {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, true
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil || math.IsInf(f, 0)
}
