package exec

import "strings"

// split cuts text behind its first statement. It knows strings, quoted names
// and comments; the parser judges the rest. A trigger, which holds semicolons,
// takes the whole text.
func split(text string) (first, tail string) {
	text = skipBlank(text)
	for text != "" && text[0] == ';' {
		text = skipBlank(text[1:])
	}
	if isTrigger(text) {
		return text, ""
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ';':
			return text[:i], text[i+1:]
		case c == '\'' || c == '"' || c == '`':
			i = skipTo(text, i+1, string(c))
		case c == '[':
			i = skipTo(text, i+1, "]")
		case c == '-' && strings.HasPrefix(text[i:], "--"):
			i = skipTo(text, i, "\n")
		case c == '/' && strings.HasPrefix(text[i:], "/*"):
			i = skipTo(text, i+2, "*/")
		default:
			i++
		}
	}
	return text, ""
}

func skipTo(text string, from int, end string) int {
	i := strings.Index(text[min(from, len(text)):], end)
	if i < 0 {
		return len(text)
	}
	return from + i + len(end)
}

// Blank reports whether text holds no statement: white space, comments and
// semicolons alone.
func Blank(text string) bool {
	for text = skipBlank(text); text != ""; text = skipBlank(text[1:]) {
		if text[0] != ';' {
			return false
		}
	}
	return true
}

// skipBlank drops white space and comments in front.
func skipBlank(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n\f\ufeff")
		switch {
		case strings.HasPrefix(text, "--"):
			text = text[skipTo(text, 0, "\n"):]
		case strings.HasPrefix(text, "/*"):
			text = text[skipTo(text, 2, "*/"):]
		default:
			return text
		}
	}
}

func isTrigger(text string) bool {
	const keywords = 3 // CREATE TEMP TRIGGER

	// Most texts are told by their first letter.
	if text == "" || text[0]|0x20 != 'c' && text[0] < 0x80 && text[0] > ' ' {
		return false
	}
	words := strings.Fields(text[:min(len(text), 200)])
	if len(words) == 0 || !strings.EqualFold(words[0], "create") {
		return false
	}
	for _, w := range words[1:min(len(words), keywords)] {
		if strings.EqualFold(w, "trigger") {
			return true
		}
	}
	return false
}
