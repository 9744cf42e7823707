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

// JSONCursor goes through the rows of json_each() or json_tree(). It is not safe
// for concurrent use.
type JSONCursor struct {
	tree    bool
	json    value.Value
	root    string
	doc     jsonNode
	path    []byte
	parents []jsonParent
	label   *jsonNode // of the current element, if it is in an object
	elem    *jsonNode // the current element; nil before the first
	id      int       // of the current element
	rowID   int64
	single  bool // one row and no more: json_each() of what is no container
	done    bool
}

// jsonParent is a container that the cursor is in.
type jsonParent struct {
	node *jsonNode
	next int   // index in node.kids of what comes next
	id   int   // of the container
	at   int   // offset of what comes next
	path int   // size of the path outside
	key  int64 // index of the current element of an array
}

// NewJSONCursor returns a cursor over the elements of json, or of the element of
// it at the path root unless that is "$": those inside it, and with tree itself
// and all that is inside those. It has no rows if either is NULL or the path
// leads nowhere.
func NewJSONCursor(json, root value.Value, tree bool) (*JSONCursor, error) {
	c := &JSONCursor{tree: tree, json: json, done: true}
	doc, ok, err := jsonArg(json)
	if !ok || root.IsNull() {
		return c, err
	}
	c.doc = doc
	c.root = beforeNUL(root.AsText())
	if !strings.HasPrefix(c.root, "$") {
		return nil, pathError(c.root, errJSONPath)
	}
	elem, label, err := c.doc.lookup(c.root[1:])
	if errors.Is(err, errJSONNotFound) {
		return c, nil
	}
	if err != nil {
		return nil, pathError(c.root, errJSONPath)
	}
	c.done = false
	c.path = []byte(c.root)
	c.id, _ = c.doc.offset(elem, label)
	c.rowID = -1
	c.elem, c.label = elem, label
	c.single = !tree && elem.kind < jsonArray
	if !tree && elem.kind >= jsonArray {
		_, size := elem.size()
		at := c.id
		if label != nil {
			at += label.total()
		}
		c.parents = []jsonParent{{node: elem, id: c.id, at: at + size, path: len(c.path), key: -1}}
	}
	return c, nil
}

// Next goes to the next row and reports whether there is one.
func (c *JSONCursor) Next() bool {
	if c.done {
		return false
	}
	c.rowID++
	switch {
	case c.rowID == 0 && (c.tree || c.single):
		return true
	case c.single:
		c.done = true
		return false
	case c.tree && c.elem.kind >= jsonArray:
		c.descend()
	}
	for len(c.parents) > 0 {
		p := &c.parents[len(c.parents)-1]
		if p.next < len(p.node.kids) {
			c.take(p)
			return true
		}
		c.path = c.path[:p.path]
		c.parents = c.parents[:len(c.parents)-1]
	}
	c.done = true
	return false
}

// descend goes into the current element.
func (c *JSONCursor) descend() {
	_, head := c.elem.size()
	p := jsonParent{node: c.elem, id: c.id, at: c.id + head, path: len(c.path), key: -1}
	if c.label != nil {
		p.at += c.label.total()
	}
	if len(c.parents) > 0 {
		c.path = c.appendName(c.path)
	}
	c.parents = append(c.parents, p)
}

// take makes the next element of p the current one.
func (c *JSONCursor) take(p *jsonParent) {
	c.id = p.at
	c.label = nil
	if p.node.kind == jsonObject {
		c.label = &p.node.kids[p.next]
		p.at += c.label.total()
		p.next++
	}
	c.elem = &p.node.kids[p.next]
	p.at += c.elem.total()
	p.next++
	p.key++
}

// appendName appends the last step of the path of the current element.
func (c *JSONCursor) appendName(dst []byte) []byte {
	if c.label == nil {
		dst = strconv.AppendInt(append(dst, '['), c.parents[len(c.parents)-1].key, 10)
		return append(dst, ']')
	}
	s := c.label.text
	quoted := s == "" || !isLetter(s[0])
	for i := 0; i < len(s) && !quoted; i++ {
		quoted = !isAlnum(s[i])
	}
	if quoted {
		return append(append(append(dst, '.', '"'), s...), '"')
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
		return c.elem.sql()
	case "type":
		return value.NewText(c.elem.kind.String()), nil
	case "atom":
		if c.elem.kind < jsonArray {
			return c.elem.sql()
		}
	case "id":
		return value.NewInt(int64(c.id)), nil
	case "parent":
		if len(c.parents) > 0 && c.tree {
			return value.NewInt(int64(c.parents[len(c.parents)-1].id)), nil
		}
	case "fullkey":
		if len(c.parents) > 0 {
			return value.NewText(string(c.appendName(slices.Clip(c.path)))), nil
		}
		return value.NewText(string(c.path)), nil
	case "path":
		return value.NewText(string(c.path[:c.outer()])), nil
	case "json":
		return c.json, nil
	default:
		return value.NewText(c.root), nil
	}
	return value.Value{}, nil
}

func (c *JSONCursor) key() (value.Value, error) {
	switch {
	case len(c.parents) == 0:
		return c.rootKey(), nil
	case c.label != nil:
		return c.label.sql()
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
		elem, label, err := c.doc.lookup(string(c.path[1:n]))
		if err != nil {
			continue
		}
		at, _ := c.doc.offset(elem, label)
		if label != nil {
			at += label.total()
		}
		if _, head := elem.size(); at+head == c.id {
			break
		}
	}
	return n
}

// size returns the sizes of the node's content and of its head in JSONB, where
// ids are offsets.
func (n *jsonNode) size() (content, head int) {
	switch {
	case n.kind <= jsonFalse:
		return 0, 1
	case n.kind < jsonArray:
		content = len(n.text)
	default:
		for i := range n.kids {
			content += n.kids[i].total()
		}
	}
	switch {
	case content <= 11:
		return content, 1
	case content <= 0xff:
		return content, 2
	case content <= 0xffff:
		return content, 3
	}
	return content, 5
}

// total returns the size of the node in JSONB.
func (n *jsonNode) total() int {
	content, head := n.size()
	return content + head
}

// offset returns the offset in JSONB, inside n, of an element: of its label if
// it has one.
func (n *jsonNode) offset(elem, label *jsonNode) (at int, ok bool) {
	if n == elem {
		return 0, true
	}
	_, at = n.size()
	for i := range n.kids {
		kid := &n.kids[i]
		if kid == label {
			return at, true
		}
		if k, ok := kid.offset(elem, label); ok {
			return at + k, true
		}
		at += kid.total()
	}
	return 0, false
}
