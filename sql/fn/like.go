package fn

import (
	"errors"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// patternMax is the size of a LIKE or GLOB pattern, in bytes.
const patternMax = 50000

// NoEscape is the escape character of a LIKE without ESCAPE.
const NoEscape rune = 0

var (
	errPattern = errors.New("LIKE or GLOB pattern too complex")
	errEscape  = errors.New("ESCAPE expression must be a single character")
)

// like is like(pattern, text[, escape]): text LIKE pattern.
func like(c *Context, args []value.Value) (value.Value, error) {
	pattern := args[0].AsText()
	if len(pattern) > patternMax {
		return value.Value{}, errPattern
	}
	escape := NoEscape
	if len(args) == 3 {
		if args[2].IsNull() {
			return value.Value{}, nil
		}
		e := beforeNUL(args[2].AsText())
		if e == "" || skipChar(e) != len(e) {
			return value.Value{}, errEscape
		}
		escape, _ = readRune(e)
	}
	if args[0].IsNull() || args[1].IsNull() {
		return value.Value{}, nil
	}
	return boolOf(likeMatcher(c, escape, c.CaseSensitiveLike).match(beforeNUL(pattern), beforeNUL(args[1].AsText())))
}

// glob is glob(pattern, text): text GLOB pattern.
func glob(c *Context, args []value.Value) (value.Value, error) {
	pattern := args[0].AsText()
	if len(pattern) > patternMax {
		return value.Value{}, errPattern
	}
	if anyNull(args) {
		return value.Value{}, nil
	}
	return boolOf(globMatcher(c).match(beforeNUL(pattern), beforeNUL(args[1].AsText())))
}

func boolOf(b bool, err error) (value.Value, error) {
	if err != nil {
		return value.Value{}, err
	}
	return value.NewBool(b), nil
}

// likeMatcher matches as LIKE does. Case is that of ASCII letters alone.
func likeMatcher(c *Context, escape rune, caseSensitive bool) *matcher {
	m := &matcher{c: c, all: '%', one: '_', escape: escape, fold: !caseSensitive}
	switch escape {
	case '%':
		m.all = -1
	case '_':
		m.one = -1
	}
	return m
}

// globMatcher matches as GLOB does, with *, ? and [sets].
func globMatcher(c *Context) *matcher { return &matcher{c: c, all: '*', one: '?', sets: true} }

// matcher holds the special characters of a pattern, -1 for one that is not.
type matcher struct {
	c                *Context
	all, one, escape rune
	sets, fold       bool
}

// match compares from the left and, on a difference, tries again one character
// further right of what the last "all" began with: since that can take up
// whatever precedes, no earlier one needs another try. It takes at most time
// proportional to len(pattern)*len(s), and polls.
func (m *matcher) match(pattern, s string) (bool, error) {
	retryPattern, retry := "", ""
	starred := false
	for {
		var n, k int
		ok := false
		if pattern == "" {
			if s == "" {
				return true, nil
			}
		} else {
			c, size := m.read(pattern)
			if c == m.all {
				pattern = pattern[size:]
				if pattern == "" {
					return true, nil
				}
				retryPattern, retry, starred = pattern, s, true
				continue
			}
			n, k, ok = m.step(pattern, s)
		}
		if ok {
			pattern, s = pattern[n:], s[k:]
			continue
		}
		if !starred || retry == "" {
			return false, nil
		}
		if err := m.c.spent(16 + len(retryPattern) - len(pattern)); err != nil {
			return false, err
		}
		retry = m.skipTo(retryPattern, retry[skipChar(retry):])
		pattern, s = retryPattern, retry
	}
}

func (m *matcher) read(s string) (rune, int) {
	if s[0] < 0x80 {
		return rune(s[0]), 1
	}
	return readRune(s)
}

// skipTo returns s from where pattern could match, to save tries.
func (m *matcher) skipTo(pattern, s string) string {
	c := pattern[0]
	if c >= 0x80 || rune(c) == m.one || rune(c) == m.escape || m.sets && c == '[' {
		return s
	}
	i := strings.IndexByte(s, c)
	if m.fold && isLetter(c) {
		if j := strings.IndexByte(s, c^0x20); i < 0 || j >= 0 && j < i {
			i = j
		}
	}
	if i < 0 {
		return ""
	}
	return s[i:]
}

// step matches one character of s with the start of pattern and returns the
// sizes of both.
func (m *matcher) step(pattern, s string) (n, k int, ok bool) {
	c, n := m.read(pattern)
	if s == "" {
		return 0, 0, false
	}
	d, k := m.read(s)
	wild := c == m.one
	switch {
	case m.sets && c == '[':
		size, ok := matchSet(pattern[n:], d)
		m.c.work += size
		return n + size, k, ok
	case m.escape != NoEscape && c == m.escape:
		pattern = pattern[n:]
		if pattern == "" {
			return 0, 0, false
		}
		c2, size := m.read(pattern)
		c, n, wild = c2, n+size, false
	}
	switch {
	case c == d, wild:
		return n, k, true
	case m.fold && c < 0x80 && d < 0x80 && c^d == 0x20 && isLetter(byte(c)):
		return n, k, true
	}
	return 0, 0, false
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// matchSet matches c with a set whose "[" was read, and returns its size. A set
// without an end matches nothing.
func matchSet(set string, c rune) (size int, ok bool) {
	at := 0
	next := func() rune {
		if at >= len(set) {
			return 0
		}
		r, n := readRune(set[at:])
		at += n
		return r
	}
	var prior rune
	seen, invert := false, false
	d := next()
	if d == '^' {
		invert = true
		d = next()
	}
	if d == ']' {
		seen = c == ']'
		d = next()
	}
	for d != 0 && d != ']' {
		if d == '-' && prior > 0 && at < len(set) && set[at] != ']' {
			d = next()
			seen = seen || c >= prior && c <= d
			prior = 0
		} else {
			seen = seen || c == d
			prior = d
		}
		d = next()
	}
	return at, d != 0 && seen != invert
}
