package fn

import (
	"errors"
	"fmt"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// Why a path leads nowhere. errJSONNotFound never leaves this package.
var (
	errJSONNotFound = errors.New("no such element")
	errJSONPath     = errors.New("bad JSON path")
	errJSONNotArray = errors.New("not an array element")
)

// pathError returns the error of SQLite for a path, given what the search of it
// returned.
func pathError(path string, err error) error {
	quoted := string(AppendQuoted(nil, value.NewText(path)))
	switch {
	case errors.Is(err, errJSONPath):
		return fmt.Errorf("bad JSON path: %s", quoted)
	case errors.Is(err, errJSONNotArray):
		return fmt.Errorf("not an array element: %s", quoted)
	}
	return err
}

// pathStep is one step of a path: a label of an object or an index of an array.
type pathStep struct {
	label   string
	escaped bool // label is to be unescaped before it is compared
	isIndex bool
	index   int64
	fromEnd bool // index counts back from the length
}

// indexMax bounds an index in a path.
const indexMax = 0xffffffff

// nextStep reads the first step of a path after its "$". Elements that the step
// does not fit end the search before errors in it are found, as in SQLite.
func nextStep(n *jsonNode, path string) (s pathStep, rest string, err error) {
	switch path[0] {
	case '.':
		s, rest, err = labelStep(path[1:])
		if err == nil && n.kind != jsonObject {
			err = errJSONNotFound
		}
		return s, rest, err
	case '[':
		if n.kind != jsonArray {
			return s, "", errJSONNotFound
		}
		return indexStep(path[1:], int64(len(n.kids)))
	}
	return s, "", errJSONPath
}

func labelStep(path string) (s pathStep, rest string, err error) {
	if !strings.HasPrefix(path, `"`) {
		i := strings.IndexAny(path, ".[")
		if i < 0 {
			i = len(path)
		}
		if i == 0 {
			return s, "", errJSONPath
		}
		return pathStep{label: path[:i]}, path[i:], nil
	}
	i := 1
	for i < len(path) && path[i] != '"' {
		if path[i] == '\\' && i+1 < len(path) {
			i++
		}
		i++
	}
	if i >= len(path) {
		return s, "", errJSONPath
	}
	label := path[1:i]
	return pathStep{label: label, escaped: strings.Contains(label, `\`)}, path[i+1:], nil
}

// indexStep reads an index into an array of size elements.
func indexStep(path string, size int64) (s pathStep, rest string, err error) {
	s.isIndex = true
	n := 0
	if strings.HasPrefix(path, "#") {
		s.fromEnd = true
		path = path[1:]
		if len(path) > 1 && path[0] == '-' && isDigitByte(path[1]) {
			s.index, n = readIndex(path[1:])
			n++
			if s.index > size {
				return s, "", errJSONNotFound
			}
		}
	} else if s.index, n = readIndex(path); n == 0 {
		return s, "", errJSONPath
	}
	if n >= len(path) || path[n] != ']' {
		return s, "", errJSONPath
	}
	return s, path[n+1:], nil
}

// readIndex reads digits, of whatever number.
func readIndex(s string) (i int64, n int) {
	for n < len(s) && isDigitByte(s[n]) {
		if i < indexMax {
			i = i*10 + int64(s[n]-'0')
		}
		n++
	}
	return i, n
}

// at returns the index in n.kids of the value that the step leads to; n.kids'
// length if it could be added there. ok is false if it is neither.
func (s *pathStep) at(n *jsonNode) (i int, ok bool) {
	if !s.isIndex {
		for i := 0; i+1 < len(n.kids); i += 2 {
			if sameLabel(s.label, !s.escaped, &n.kids[i]) {
				return i + 1, true
			}
		}
		return len(n.kids), true
	}
	k := s.index
	if s.fromEnd {
		k = int64(len(n.kids)) - k
	}
	return int(k), k >= 0 && k <= int64(len(n.kids))
}

// sameLabel compares a label with that of an object.
func sameLabel(label string, raw bool, of *jsonNode) bool {
	if raw && of.kind.escapeFree() {
		return label == of.text
	}
	if !raw {
		label = unescapeJSON(label)
	}
	text := of.text
	if !of.kind.escapeFree() {
		text = unescapeJSON(text)
	}
	return beforeNUL(label) == beforeNUL(text)
}

// lookup returns the element that a path after its "$" leads to, and its label
// if it is in an object. The errors are errJSONNotFound and those of pathError.
func (n *jsonNode) lookup(path string) (elem, label *jsonNode, err error) {
	for depth := 1; path != ""; depth++ {
		s, rest, err := nextStep(n, path)
		if err != nil {
			return nil, nil, err
		}
		i, ok := s.at(n)
		if !ok || i >= len(n.kids) {
			return nil, nil, errJSONNotFound
		}
		if depth >= jsonDepthMax {
			return nil, nil, errJSONPathTop
		}
		label = nil
		if !s.isIndex {
			label = &n.kids[i-1]
		}
		n, path = &n.kids[i], rest
	}
	return n, label, nil
}

// jsonEdit is what to do with the element at a path.
type jsonEdit uint8

const (
	jsonRemove  jsonEdit = iota
	jsonReplace          // if it is there
	jsonInsert           // if it is not
	jsonSet
	jsonArrayInsert // before it
)

// edit changes the element that a path, after its "$", leads to. The errors
// are errJSONNotFound, of which callers make nothing, and those of pathError.
func (n *jsonNode) edit(path string, op jsonEdit, v *jsonNode, depth int) error {
	s, rest, err := nextStep(n, path)
	if err != nil {
		return err
	}
	i, ok := s.at(n)
	if !ok {
		return errJSONNotFound
	}
	if depth++; depth >= jsonDepthMax {
		return errJSONPathTop
	}
	if i == len(n.kids) {
		return n.add(&s, rest, op, v, depth)
	}
	if rest != "" {
		return n.kids[i].edit(rest, op, v, depth)
	}
	switch op {
	case jsonReplace, jsonSet:
		n.kids[i] = *v
	case jsonArrayInsert:
		if !s.isIndex {
			return errJSONNotArray
		}
		n.kids = append(n.kids[:i], append([]jsonNode{*v}, n.kids[i:]...)...)
	case jsonRemove:
		first := i
		if !s.isIndex {
			first--
		}
		n.kids = append(n.kids[:first], n.kids[i+1:]...)
	case jsonInsert:
	}
	return nil
}

// add adds an element at the end of n, with what the rest of the path needs in
// between.
func (n *jsonNode) add(s *pathStep, rest string, op jsonEdit, v *jsonNode, depth int) error {
	if op < jsonInsert {
		return errJSONNotFound
	}
	if op == jsonArrayInsert && !s.isIndex && !strings.HasSuffix(rest, "]") {
		return errJSONNotArray
	}
	if rest != "" {
		made := jsonNode{kind: jsonArray}
		if rest[0] == '.' {
			made.kind = jsonObject
		}
		if err := made.edit(rest, op, v, depth); err != nil {
			return err
		}
		v = &made
	}
	if !s.isIndex {
		kind := jsonTextRaw
		if s.escaped {
			kind = jsonText5
		}
		n.kids = append(n.kids, jsonNode{kind: kind, text: s.label})
	}
	n.kids = append(n.kids, *v)
	return nil
}

// mergePatch changes n as RFC 7396 says.
func (n *jsonNode) mergePatch(patch *jsonNode, depth int) error {
	if patch.kind != jsonObject {
		*n = *patch
		return nil
	}
	if depth > jsonDepthMax {
		return errJSONDeep
	}
	if n.kind != jsonObject {
		*n = jsonNode{kind: jsonObject}
	}
	for i := 0; i+1 < len(patch.kids); i += 2 {
		label, v := &patch.kids[i], &patch.kids[i+1]
		at := 0
		for at < len(n.kids) && !sameLabel(label.text, label.kind.escapeFree(), &n.kids[at]) {
			at += 2
		}
		switch {
		case at < len(n.kids) && v.kind == jsonNull:
			n.kids = append(n.kids[:at], n.kids[at+2:]...)
			continue
		case v.kind == jsonNull:
			continue
		case at == len(n.kids):
			n.kids = append(n.kids, *label, jsonNode{})
		}
		if err := n.kids[at+1].mergePatch(v, depth+1); err != nil {
			return err
		}
	}
	return nil
}
