package fn

import (
	"errors"
	"fmt"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// Why a path leads nowhere; errJSON and errJSONPathTop are among it.
// errJSONNotFound never leaves this package.
var (
	errJSONNotFound = errors.New("no such element")
	errJSONPath     = errors.New("bad JSON path")
	errJSONNotArray = errors.New("not an array element")
)

// pathError returns the error of SQLite for a path, given what the search of it
// returned.
func pathError(path string, err error) error {
	if !errors.Is(err, errJSONPath) && !errors.Is(err, errJSONNotArray) {
		return err
	}
	return fmt.Errorf("%w: %s", err, AppendQuoted(nil, value.NewText(path)))
}

// jsonEdit is what to do with the element at a path.
type jsonEdit uint8

const (
	jsonLook        jsonEdit = iota // nothing
	jsonRemove                      // if it is there
	jsonReplace                     // if it is there
	jsonInsert                      // if it is not
	jsonSet                         // in either case
	jsonArrayInsert                 // before it
)

// lookup follows the rest of a path, from its byte p on, from the element at i
// and does d.op with the element it leads to. label is where the label of the
// element at i is, 0 if it has none. It returns where the element is, which
// after a change has no meaning. The errors are those of pathError.
func (d *jsonDoc) lookup(i int, path string, p, label int) (int, error) {
	if p == len(path) {
		d.label = label
		return i, d.change(i, path, label)
	}
	switch path[p] {
	case '.':
		return d.member(i, path, p+1)
	case '[':
		return d.indexed(i, path, p+1)
	}
	return 0, errJSONPath
}

// find is lookup of a whole path, which begins with "$".
func (d *jsonDoc) find(path string) (int, error) {
	if path == "" || path[0] != '$' {
		return 0, errJSONPath
	}
	return d.lookup(0, path, 1, 0)
}

// change does d.op with the element at i, to which the whole path led.
func (d *jsonDoc) change(i int, path string, label int) error {
	if d.op == jsonLook || d.op == jsonInsert {
		return nil
	}
	d.editable()
	head, size := d.header(i)
	switch d.op {
	case jsonRemove:
		size += head
		if label > 0 {
			size += i - label
			i = label
		}
		d.replace(i, size, nil)
	case jsonArrayInsert:
		if path[len(path)-1] != ']' {
			return errJSONNotArray
		}
		d.replace(i, 0, d.ins)
	default:
		d.replace(i, head+size, d.ins)
	}
	return nil
}

// labelStep reads a label at the byte p of a path and returns where the path
// goes on. One that is not raw has escapes.
func labelStep(path string, p int) (label string, raw bool, next int, err error) {
	if p == len(path) || path[p] != '"' {
		n := strings.IndexAny(path[p:], ".[")
		if n < 0 {
			n = len(path) - p
		}
		if n == 0 {
			return "", false, 0, errJSONPath
		}
		return path[p : p+n], true, p + n, nil
	}
	p++
	for i := p; i < len(path); i++ {
		switch path[i] {
		case '"':
			label = path[p:i]
			return label, strings.IndexByte(label, '\\') < 0, i + 1, nil
		case '\\':
			i++
		}
	}
	return "", false, 0, errJSONPath
}

// member is lookup of a label in the object at i.
func (d *jsonDoc) member(i int, path string, p int) (int, error) {
	name, raw, next, err := labelStep(path, p)
	if err != nil {
		return 0, err
	}
	if d.kind(i) != jsonObject {
		return 0, errJSONNotFound
	}
	head, size := d.header(i)
	j, end := i+head, i+head+size
	for j < end {
		k := d.kind(j)
		head, size = d.header(j)
		if !k.isText() || head == 0 || j+head+size >= end {
			return 0, errJSON
		}
		label := d.content(j, head, size)
		v := j + head + size
		if d.kind(v) > jsonObject {
			return 0, errJSON
		}
		head, size = d.header(v)
		if sameLabel(viewBytes(name), raw, label, k.escapeFree()) {
			if head == 0 || v+head+size > end {
				return 0, errJSON
			}
			return d.enter(i, v, path, next, j)
		}
		if head == 0 {
			return 0, errJSON
		}
		j = v + head + size
	}
	switch {
	case j > end:
		return 0, errJSON
	case d.op < jsonInsert:
		return 0, errJSONNotFound
	case d.op == jsonArrayInsert && !strings.HasSuffix(path[next:], "]"):
		return 0, errJSONNotArray
	}
	kind := jsonTextRaw
	if !raw {
		kind = jsonText5
	}
	return d.insert(i, j, appendNode(nil, kind, name), path, next)
}

// enter goes on with lookup from the element at i to the one at j in it.
func (d *jsonDoc) enter(i, j int, path string, next, label int) (int, error) {
	d.depth++
	if d.depth >= jsonDepthMax {
		return 0, errJSONPathTop
	}
	found, err := d.lookup(j, path, next, label)
	d.depth--
	if d.delta != 0 {
		d.growAround(i)
	}
	return found, err
}

// indexed is lookup of an index in the array at i.
func (d *jsonDoc) indexed(i int, path string, p int) (int, error) {
	if d.kind(i) != jsonArray {
		return 0, errJSONNotFound
	}
	index, next, err := d.indexStep(i, path, p)
	if err != nil {
		return 0, err
	}
	head, size := d.header(i)
	j, end := i+head, i+head+size
	for ; j < end; index-- {
		if index == 0 {
			return d.enter(i, j, path, next, 0)
		}
		head, size = d.header(j)
		if head == 0 {
			return 0, errJSON
		}
		j += head + size
	}
	switch {
	case j > end:
		return 0, errJSON
	case index > 0 || d.op < jsonInsert:
		return 0, errJSONNotFound
	}
	return d.insert(i, j, nil, path, next)
}

// indexMax bounds an index in a path.
const indexMax = 0xffffffff

// indexStep reads an index into the array at i, at the byte p of a path, and
// returns where the path goes on.
func (d *jsonDoc) indexStep(i int, path string, p int) (index int64, next int, err error) {
	index, n := readIndex(path[p:])
	switch {
	case n > 0:
		p += n
	case !strings.HasPrefix(path[p:], "#"):
		return 0, 0, errJSONPath
	default:
		index = int64(d.count(i))
		p++
		if strings.HasPrefix(path[p:], "-") {
			back, n := readIndex(path[p+1:])
			if n == 0 {
				return 0, 0, errJSONPath
			}
			if back > index {
				return 0, 0, errJSONNotFound
			}
			index -= back
			p += 1 + n
		}
	}
	if p == len(path) || path[p] != ']' {
		return 0, 0, errJSONPath
	}
	return index, p + 1, nil
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

// insert puts label, the label of a new element of an object, and d.ins, with
// what the rest of the path needs around it, to j, the end of the element at i.
func (d *jsonDoc) insert(i, j int, label []byte, path string, next int) (int, error) {
	ins := d.ins
	if next < len(path) {
		made := jsonDoc{b: []byte{byte(jsonArray)}, own: true, depth: d.depth + 1, op: d.op, ins: d.ins}
		if path[next] == '.' {
			made.b[0] = byte(jsonObject)
		}
		if made.depth >= jsonDepthMax {
			return 0, errJSONPathTop
		}
		_, err := made.lookup(0, path, next, 0)
		d.depth--
		if err != nil {
			return 0, err
		}
		ins = made.b
	}
	d.editable()
	d.replace(j, 0, append(label, ins...))
	if d.delta != 0 {
		d.growAround(i)
	}
	return i, nil
}
