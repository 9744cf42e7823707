package parse

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

// Limits on a text whose literals are taken out: beyond them it is hardly one
// of many that are alike.
const (
	liftLengthMax   = 4 << 10 // bytes
	liftLiteralsMax = 100
)

// Literals takes the literals out of statements, so that those which differ in
// nothing else become one text:
//
//	SELECT v FROM t WHERE id = 7 AND w = 'x'   →   SELECT v FROM t WHERE id = ?1 AND w = ?2
//
// Literals that name a column or choose one stay: those among result columns
// and behind BY, RETURNING, OVER and WINDOW. So do integers that are written in
// hexadecimal, with separators, or with more than 18 digits, and what stands in
// double quotes.
//
// It knows tokens, not the language: [Lifted] judges the text that it makes.
type Literals struct {
	Text   []byte        // the text with parameters
	Values []value.Value // of the parameters, by number; they alias the text that Take was given

	text  string
	from  int // text before it is in Text
	depth int // of parentheses
	keep  int // the depth at which literals began to stay; -1: they are taken
}

// Take splits text. It reports false for a text that has no literal to take, is
// not one SELECT, VALUES, INSERT, REPLACE, UPDATE or DELETE, or holds
// parameters or comments; Text and Values hold nothing of use then.
func (l *Literals) Take(text string) bool {
	if len(text) > liftLengthMax || !isLiftable(text) {
		return false
	}
	l.text, l.from, l.depth, l.keep = text, 0, 0, -1
	l.Text, l.Values = l.Text[:0], l.Values[:0]
	end := l.tokens()
	if end < 0 || len(l.Values) == 0 {
		l.Clear()
		return false
	}
	l.Text = append(l.Text, text[l.from:end]...)
	l.text = ""
	return true
}

// tokens passes all tokens of the statement and returns where it ends; -1: the
// text is left as it is.
func (l *Literals) tokens() int {
	i := 0
	for i < len(l.text) && i >= 0 {
		switch class[l.text[i]] {
		case other:
			i++
		case semicolon:
			if strings.Trim(l.text[i:], "; \t\r\n\f") != "" {
				return -1
			}
			return i
		default:
			i = l.token(i)
		}
	}
	return i
}

// Clear drops the values. The memory stays for the next text.
func (l *Literals) Clear() {
	clear(l.Values)
	l.text, l.Values = "", l.Values[:0]
}

// isLiftable reports whether the first word of a text is that of a statement
// which Take takes.
func isLiftable(text string) bool {
	if text != "" && class[text[0]] != inWord {
		text = strings.TrimLeft(text, " \t\r\n\f")
	}
	i := 0
	for i < len(text) && class[text[i]] == inWord {
		i++
	}
	return anyOf(text[:i], "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "REPLACE")
}

// Classes of bytes: how a token begins.
const (
	other     = iota // a token of its own, or a part of an operator
	inWord           // of names and keywords
	digit            // of numbers, and inside of words
	quote            // ' " ` [
	dot              // a number, if a digit follows
	hyphen           // a comment, if another one follows
	slash            // a comment, if a star follows
	paren            // ( )
	semicolon        // the end
	forWhole         // the text is left as it is: parameters, and what no statement has
)

var class = func() (c [256]uint8) {
	for i := range c {
		switch b := byte(i); {
		case b == '_', 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', b >= 0x80:
			c[i] = inWord
		case '0' <= b && b <= '9':
			c[i] = digit
		}
	}
	for _, b := range []byte("'\"`[") {
		c[b] = quote
	}
	for _, b := range []byte("?:@#$\x00\\{}]\v\xef") { // 0xef may begin a byte order mark, which is blank
		c[b] = forWhole
	}
	c['.'], c['-'], c['/'], c['('], c[')'], c[';'] = dot, hyphen, slash, paren, paren, semicolon
	return c
}()

// isWord has the bytes that continue a word or, behind a number, spoil it.
var isWord = func() (is [256]bool) {
	for i := range is {
		is[i] = class[i] == inWord || class[i] == digit || i == '$' || i == 0xef
	}
	return is
}()

// token passes the token that begins at i, or one byte of it, and returns where
// the next one begins; -1: the text is left as it is.
func (l *Literals) token(i int) int {
	text, next := l.text, byte(0)
	if i+1 < len(text) {
		next = text[i+1]
	}
	switch class[text[i]] {
	case inWord:
		if (text[i] == 'x' || text[i] == 'X') && next == '\'' {
			return l.blob(i)
		}
		return l.word(i)
	case digit:
		return l.number(i)
	case dot:
		if class[next] == digit {
			return l.number(i)
		}
		return i + 1
	case quote:
		if text[i] == '\'' {
			return l.string(i)
		}
		return l.quoted(i)
	case hyphen:
		if next == '-' {
			return -1
		}
		return i + 1
	case slash:
		if next == '*' {
			return -1
		}
		return i + 1
	case paren:
		if text[i] == '(' {
			l.depth++
		} else if l.depth--; l.depth < l.keep {
			l.keep = -1
		}
		return i + 1
	default:
		return -1
	}
}

func (l *Literals) word(i int) int {
	text, end := l.text, i+1
	for end < len(text) && isWord[text[end]] {
		end++
	}
	// The first letter spares most words the comparisons.
	switch word := text[i:end]; word[0] | 0x20 {
	case 'b', 'o', 's', 'r':
		l.begin(anyOf(word, "BY", "OVER", "SELECT", "RETURNING"))
	case 'f', 'l', 'u', 'h', 'e', 'i':
		l.end(anyOf(word, "FROM", "LIMIT", "UNION", "HAVING", "EXCEPT", "INTERSECT"))
	case 'w':
		l.begin(anyOf(word, "WINDOW"))
		l.end(anyOf(word, "WHERE"))
	}
	return end
}

func anyOf(word string, keywords ...string) bool {
	for _, k := range keywords {
		if len(k) == len(word) && strings.EqualFold(k, word) {
			return true
		}
	}
	return false
}

// begin has literals stay from here on.
func (l *Literals) begin(is bool) {
	if is && l.keep < 0 {
		l.keep = l.depth
	}
}

// end has them taken again, outside of the parentheses in which they stay.
func (l *Literals) end(is bool) {
	if is && l.keep == l.depth {
		l.keep = -1
	}
}

// quoted passes a quoted name.
func (l *Literals) quoted(i int) int {
	text, last := l.text, l.text[i]
	if last == '[' {
		last = ']'
	}
	for end := i + 1; end < len(text) && text[end] != 0; end++ {
		if text[end] != last {
			continue
		}
		if last != ']' && end+1 < len(text) && text[end+1] == last { // a doubled one
			end++
			continue
		}
		return end + 1
	}
	return -1
}

func (l *Literals) string(i int) int {
	text, doubled := l.text, false
	for end := i + 1; end < len(text) && text[end] != 0; end++ {
		if text[end] != '\'' {
			continue
		}
		if end+1 < len(text) && text[end+1] == '\'' {
			doubled = true
			end++
			continue
		}
		s := text[i+1 : end]
		if doubled && l.keep < 0 {
			s = strings.ReplaceAll(s, "''", "'")
		}
		return l.take(i, end+1, value.NewText(s))
	}
	return -1
}

func (l *Literals) blob(i int) int {
	n := strings.IndexByte(l.text[i+2:], '\'')
	if n < 0 {
		return -1
	}
	b, err := hex.DecodeString(l.text[i+2 : i+2+n])
	if err != nil {
		return -1
	}
	return l.take(i, i+2+n+1, value.NewBlob(string(b)))
}

func (l *Literals) number(i int) int {
	text, end, whole := l.text, i, true
	var u int64
	for ; end < len(text) && class[text[end]] == digit; end++ {
		u = u*10 + int64(text[end]-'0') // right for 18 digits, and not used for more
	}
	nDigits := end - i
	if end < len(text) && text[end] == '.' {
		whole = false
		for end++; end < len(text) && class[text[end]] == digit; end++ {
		}
	}
	if end < len(text) && (text[end] == 'e' || text[end] == 'E') {
		exp := end + 1
		if exp < len(text) && (text[exp] == '+' || text[exp] == '-') {
			exp++
		}
		if exp < len(text) && class[text[exp]] == digit {
			whole = false
			for end = exp; end < len(text) && class[text[end]] == digit; end++ {
			}
		}
	}
	const digitsMax = 18 // of an integer that is below 2^63, whatever its digits
	switch {
	case end < len(text) && isWord[text[end]]: // hexadecimal, with separators, or no number
		for end < len(text) && isWord[text[end]] {
			end++
		}
		return end
	case whole && nDigits > digitsMax:
		return end
	case whole:
		return l.take(i, end, value.NewInt(u))
	}
	x, _ := strconv.ParseFloat(text[i:end], 64) // an error is one of range: ±Inf, as it should be
	return l.take(i, end, value.NewFloat(x))
}

// take puts a parameter in the place of text[i:end], unless literals stay.
func (l *Literals) take(i, end int, v value.Value) int {
	if l.keep >= 0 {
		return end
	}
	if len(l.Values) == liftLiteralsMax || end < len(l.text) && class[l.text[end]] == digit { // which would belong to the parameter
		return -1
	}
	l.Values = append(l.Values, v)
	l.Text = append(append(l.Text, l.text[l.from:i]...), '?')
	l.Text = strconv.AppendInt(l.Text, int64(len(l.Values)), 10)
	l.from = end
	return end
}

// Lifted reports whether the parameters of a statement that [Literals] made mean
// what the literals in their place meant. A parameter can only stand where an
// expression can; these places are left where a literal means something else:
// the number of a column in ORDER BY and GROUP BY, the name of a result column,
// the target of ON CONFLICT, what a table-valued function is asked for, and what
// is compared as text.
func Lifted(st Stmt) bool {
	type place struct {
		node ast.Node
		not  bool // a parameter must not be here
	}
	stack := []place{{node: st.Stmt}}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		push := func(es ...ast.Expr) {
			for _, e := range es {
				if e != nil {
					stack = append(stack, place{e, true})
				}
			}
		}
		switch n := p.node.(type) {
		case *ast.BindParam:
			if p.not {
				return false
			}
		case *ast.ResultColumn, *ast.OrderingTerm, *ast.WindowDef, *ast.RaiseExpr:
			p.not = true
		case *ast.SelectQuery:
			push(n.GroupBy...)
		case *ast.SelectStmt:
			for _, core := range n.Cores { // the kinds of literals decide the affinity of a compound's columns
				if v, ok := core.(*ast.ValuesClause); ok && len(n.Cores) > 1 {
					for _, row := range v.Rows {
						push(row...)
					}
				}
			}
		case *ast.TableRef:
			push(n.Args...)
		case *ast.Upsert:
			push(n.TargetWhere)
		}
		for _, c := range p.node.Children() {
			stack = append(stack, place{c, p.not})
		}
	}
	return true
}
