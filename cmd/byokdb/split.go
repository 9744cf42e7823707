package main

import "strings"

// splitter cuts SQL text into statements as it arrives. A statement ends at a
// semicolon that stands outside quotes, comments and trigger bodies.
type splitter struct {
	pending string // text of the statement that is not complete yet
}

// add takes more text and returns the statements that it completes, each
// with its semicolon.
func (s *splitter) add(text string) []string {
	s.pending += text
	var out []string
	for {
		n := statementEnd(s.pending)
		if n < 0 {
			return out
		}
		if one := strings.TrimSpace(s.pending[:n]); !isBlank(one) {
			out = append(out, one)
		}
		s.pending = s.pending[n:]
	}
}

// rest returns what is left at the end of the input, "" if it is blank, and
// empties the splitter.
func (s *splitter) rest() string {
	text := strings.TrimSpace(s.pending)
	s.pending = ""
	if isBlank(text) {
		return ""
	}
	return text
}

// open reports whether a statement has begun.
func (s *splitter) open() bool { return !isBlank(s.pending) }

// splitAll cuts a whole text.
func splitAll(text string) []string {
	var s splitter
	out := s.add(text)
	if last := s.rest(); last != "" {
		out = append(out, last)
	}
	return out
}

// token is one piece of SQL text, as far as cutting needs to know it.
type token struct {
	text string // empty for quoted text and comments
	end  int    // offset behind it
	ok   bool   // false when it does not end within the text
	code bool   // anything but space and comments
}

// nextToken reads the token at s[i:]; i is within s.
func nextToken(s string, i int) token {
	until := func(from int, closing string, code, needed bool) token {
		n := strings.Index(s[from:], closing)
		if n < 0 {
			return token{end: len(s), ok: !needed, code: code}
		}
		return token{end: from + n + len(closing), ok: true, code: code}
	}
	switch c := s[i]; {
	case c == '\'' || c == '"' || c == '`':
		return until(i+1, string(c), true, true) // a doubled quote is two adjacent pieces
	case c == '[':
		return until(i+1, "]", true, true)
	case strings.HasPrefix(s[i:], "--"):
		return until(i+2, "\n", false, false)
	case strings.HasPrefix(s[i:], "/*"):
		return until(i+2, "*/", false, true)
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
		return token{end: i + 1, ok: true}
	case isWordByte(c):
		j := i + 1
		for j < len(s) && isWordByte(s[j]) {
			j++
		}
		return token{text: s[i:j], end: j, ok: true, code: true}
	default:
		return token{text: s[i : i+1], end: i + 1, ok: true, code: true}
	}
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// statementEnd returns the offset behind the first statement's semicolon, or
// -1 while it is not complete.
func statementEnd(s string) int {
	var first []string // the first words, to know a trigger
	trigger, depth := false, 0
	for i := 0; i < len(s); {
		t := nextToken(s, i)
		if !t.ok {
			return -1
		}
		i = t.end
		if !t.code {
			continue
		}
		word := strings.ToUpper(t.text)
		if len(first) < 3 {
			first = append(first, word)
			trigger = isTrigger(first)
		}
		switch {
		case trigger && (word == "BEGIN" || word == "CASE"):
			depth++
		case trigger && word == "END":
			depth--
		case word == ";" && depth <= 0:
			return i
		}
	}
	return -1
}

func isTrigger(words []string) bool {
	if len(words) < 2 || words[0] != "CREATE" {
		return false
	}
	return words[1] == "TRIGGER" || len(words) > 2 && words[2] == "TRIGGER"
}

// isBlank reports whether s has nothing but space, comments and semicolons.
func isBlank(s string) bool {
	for i := 0; i < len(s); {
		t := nextToken(s, i)
		if t.code && t.text != ";" {
			return false
		}
		i = t.end
	}
	return true
}

// firstWord returns the first word of a statement in upper case.
func firstWord(s string) string {
	for i := 0; i < len(s); {
		t := nextToken(s, i)
		if t.code {
			return strings.ToUpper(t.text)
		}
		i = t.end
	}
	return ""
}

// yieldsRows reports whether the statement has rows to show.
func yieldsRows(s string) bool {
	switch firstWord(s) {
	case "SELECT", "WITH", "VALUES", "PRAGMA", "EXPLAIN", "(":
		return true
	}
	for i := 0; i < len(s); {
		t := nextToken(s, i)
		if strings.EqualFold(t.text, "RETURNING") {
			return true
		}
		i = t.end
	}
	return false
}
