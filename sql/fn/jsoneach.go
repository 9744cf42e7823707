package fn

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// JSONColumns are the columns of json_each() and json_tree(), in order. The last
// two are hidden: the arguments.
var JSONColumns = [...]string{"key", "value", "type", "atom", "id", "parent", "fullkey", "path", "json", "root"}

// JSONCursor goes through the rows of json_each(), json_tree(), jsonb_each() or
// jsonb_tree(). It is not safe for concurrent use.
type JSONCursor struct {
	tree    bool
	binary  bool // arrays and objects are JSONB in the column value
	json    value.Value
	root    string
	doc     jsonDoc
	path    []byte
	parents []jsonParent
	at      int      // of the current element, or of its label if it is in an object
	end     int      // of the rows
	in      jsonKind // what the current element is in: jsonArray, jsonObject, or jsonNull for nothing
	rowID   int64
	begun   bool
	err     error
}

// jsonParent is a container that the cursor is in.
type jsonParent struct {
	id    int   // of the container: where it, or its label, begins
	value int   // where it begins without the label
	end   int   // where it ends
	path  int   // size of the path outside
	key   int64 // index of the current element of an array
}

// NewJSONCursor returns a cursor over the elements of json, or of the element of
// it at the path root unless that is "$": those inside it, and with tree itself
// and all that is inside those. It has no rows if either is NULL or the path
// leads nowhere. With binary it is jsonb_each() or jsonb_tree().
func NewJSONCursor(json, root value.Value, tree, binary bool) (*JSONCursor, error) {
	c := &JSONCursor{tree: tree, binary: binary, json: json, rowID: -1}
	doc, ok, err := jsonArg(json)
	if !ok || root.IsNull() {
		return c, err
	}
	c.doc = doc
	c.root = beforeNUL(root.AsText())
	i, err := c.doc.find(c.root)
	if errors.Is(err, errJSONNotFound) {
		return c, nil
	}
	if err != nil {
		return nil, pathError(c.root, errJSONPath)
	}
	c.path = []byte(c.root)
	c.at = i
	if len(c.root) > 1 {
		c.in = jsonArray
		if c.doc.label > 0 {
			c.at, c.in = c.doc.label, jsonObject
		}
	}
	head, size := c.doc.header(i)
	c.end = i + head + size
	if k := c.doc.kind(i); k >= jsonArray && !tree {
		c.parents = []jsonParent{{id: c.at, value: i, end: c.end}}
		c.at, c.in = i+head, k
	}
	return c, nil
}

// Next goes to the next row and reports whether there is one.
func (c *JSONCursor) Next() bool {
	if c.err != nil || c.begun && c.at >= c.end {
		return false
	}
	if c.begun {
		if c.err = c.advance(); c.err != nil {
			return false
		}
	}
	c.begun = true
	c.rowID++
	return c.at < c.end
}

// Err returns the error that ended the rows: that of JSONB which is malformed or
// nested too deep.
func (c *JSONCursor) Err() error { return c.err }

// element returns where the current element begins, without its label.
func (c *JSONCursor) element() int {
	if c.in != jsonObject {
		return c.at
	}
	head, size := c.doc.header(c.at)
	if i := c.at + head + size; i < len(c.doc.b) {
		return i
	}
	return c.at
}

// advance goes to what follows the current element, or with tree to what is in
// it.
func (c *JSONCursor) advance() error {
	i := c.element()
	k := c.doc.kind(i)
	head, size := c.doc.header(i)
	if head == 0 {
		return errJSON
	}
	next := i + head + size
	inside := c.tree && (k == jsonArray || k == jsonObject)
	if inside {
		if len(c.parents) == jsonDepthMax { // SQLite goes on; text cannot be as deep
			return errJSONDeep
		}
		p := jsonParent{id: c.at, value: i, end: next, path: len(c.path), key: -1}
		if c.in != jsonNull && len(c.parents) > 0 {
			c.path = c.appendName(c.path)
		}
		c.parents = append(c.parents, p)
		next = i + head
	}
	c.at = next
	if c.tree {
		c.leave(inside)
	}
	if n := len(c.parents); n > 0 && c.in == jsonArray {
		c.parents[n-1].key++
	}
	return nil
}

// leave leaves the containers that have ended, and finds out what the current
// element is in if that has changed.
func (c *JSONCursor) leave(changed bool) {
	n := len(c.parents)
	for n > 0 && c.at >= c.parents[n-1].end {
		n--
		c.path = c.path[:c.parents[n].path]
		changed = true
	}
	c.parents = c.parents[:n]
	switch {
	case !changed:
	case n > 0:
		c.in = c.doc.kind(c.parents[n-1].value)
	default:
		c.in = jsonNull
	}
}

// appendName appends the last step of the path of the current element.
func (c *JSONCursor) appendName(dst []byte) []byte {
	if c.in == jsonArray {
		dst = strconv.AppendInt(append(dst, '['), c.parents[len(c.parents)-1].key, 10)
		return append(dst, ']')
	}
	head, size := c.doc.header(c.at)
	s := string(c.doc.content(c.at, head, size))
	quoted := s == "" || !isLetter(s[0])
	for i := 0; i < len(s) && !quoted; i++ {
		quoted = !isAlnum(s[i])
	}
	if quoted {
		return append(append(append(dst, '.', '"'), beforeNUL(s)...), '"')
	}
	return append(append(dst, '.'), s...)
}

// RowID returns the row id of the current row, from 0.
func (c *JSONCursor) RowID() int64 { return c.rowID }

// Column returns a column of the current row, by its index in JSONColumns.
func (c *JSONCursor) Column(i int) (value.Value, error) {
	switch JSONColumns[i] {
	case "key":
		return c.key()
	case "value":
		return marked(c.doc.sql(c.element(), c.binary))
	case "type":
		return value.NewText(c.doc.kind(c.element()).String()), nil
	case "atom":
		if k := c.element(); c.doc.kind(k) < jsonArray {
			return c.doc.sql(k, false)
		}
	case "id":
		return value.NewInt(int64(c.at)), nil
	case "parent":
		if n := len(c.parents); n > 0 && c.tree {
			return value.NewInt(int64(c.parents[n-1].id)), nil
		}
	case "fullkey":
		if len(c.parents) > 0 {
			return value.NewText(string(c.appendName(slices.Clip(c.path)))), nil
		}
		return value.NewText(string(c.path)), nil
	case "path":
		return value.NewText(string(c.path[:c.outer()])), nil
	case "json":
		return c.document(), nil
	default:
		return value.NewText(c.root), nil
	}
	return value.Value{}, nil
}

// document returns the column json: the argument, as text unless it is JSONB.
func (c *JSONCursor) document() value.Value {
	if _, ok := jsonbArg(c.json); ok {
		return value.NewBlob(c.json.Str())
	}
	return value.NewText(beforeNUL(c.json.AsText()))
}

func (c *JSONCursor) key() (value.Value, error) {
	switch {
	case len(c.parents) == 0:
		return c.rootKey(), nil
	case c.in == jsonObject:
		return c.doc.sql(c.at, false)
	}
	return value.NewInt(c.parents[len(c.parents)-1].key), nil
}

// rootKey returns the last step of the root as a key.
func (c *JSONCursor) rootKey() value.Value {
	step := string(c.path[c.outer():])
	switch {
	case len(c.root) == 1 || step == "":
		return value.Value{}
	case step[0] == '[':
		return value.NewInt(value.NewText(step[1:]).AsInt())
	case strings.HasPrefix(step, `."`):
		return value.NewText(step[2 : len(step)-1])
	}
	return value.NewText(step[1:])
}

// outer returns the size of the path of what the current element is in. For
// the root of a tree SQLite finds only a parent of which it is the first
// element, and takes the whole document else.
func (c *JSONCursor) outer() int {
	n := len(c.path)
	if c.rowID != 0 || !c.tree || n < 2 {
		return n
	}
	for n > 1 {
		n--
		if c.path[n] != '[' && c.path[n] != '.' {
			continue
		}
		i, err := c.doc.find(string(c.path[:n]))
		if err != nil {
			continue
		}
		if head, _ := c.doc.header(i); i+head == c.at {
			break
		}
	}
	return n
}
