package fn

import (
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/sql/value"
)

// jsonFunctions returns the JSON functions; -> and ->> are among them by these
// names.
func jsonFunctions() []Scalar {
	return []Scalar{
		pure("->", 2, 2, arrow(true)),
		pure("->>", 2, 2, arrow(false)),
		pure("json", 1, 1, jsonText1),
		pure("json_array", 0, -1, jsonArrayOf),
		pure("json_array_insert", 0, -1, editor("array_insert", jsonArrayInsert)),
		pure("json_array_length", 1, 2, jsonArrayLength),
		pure("json_error_position", 1, 1, jsonErrorPosition),
		pure("json_extract", 0, -1, jsonExtract),
		pure("json_insert", 0, -1, editor("insert", jsonInsert)),
		pure("json_object", 0, -1, jsonObjectOf),
		pure("json_patch", 2, 2, jsonPatch),
		pure("json_pretty", 1, 2, jsonPretty),
		pure("json_quote", 1, 1, jsonQuote),
		pure("json_remove", 0, -1, jsonRemoveFrom),
		pure("json_replace", 0, -1, editor("replace", jsonReplace)),
		pure("json_set", 0, -1, editor("set", jsonSet)),
		pure("json_type", 1, 2, jsonType),
		pure("json_valid", 1, 2, jsonValid),
	}
}

func jsonText1(_ *Context, args []value.Value) (value.Value, error) {
	n, ok, err := jsonArg(args[0])
	if !ok {
		return value.Value{}, err
	}
	return jsonResult(&n)
}

func jsonQuote(_ *Context, args []value.Value) (value.Value, error) {
	b, err := appendJSON(nil, args[0])
	if err != nil {
		return value.Value{}, err
	}
	return jsonBytes(b)
}

// jsonBytes returns JSON text, or ErrTooBig.
func jsonBytes(b []byte) (value.Value, error) {
	if len(b) > MaxLength {
		return value.Value{}, ErrTooBig
	}
	return value.NewJSON(string(b)), nil
}

func jsonArrayOf(_ *Context, args []value.Value) (value.Value, error) {
	b := []byte{'['}
	for i := range args {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendJSON(b, args[i]); err != nil {
			return value.Value{}, err
		}
	}
	return jsonBytes(append(b, ']'))
}

var (
	errJSONObjectArgs   = errors.New("json_object() requires an even number of arguments")
	errJSONObjectLabels = errors.New("json_object() labels must be TEXT")
	errJSONValidFlags   = errors.New("FLAGS parameter to json_valid() must be between 1 and 15")
)

func jsonObjectOf(_ *Context, args []value.Value) (value.Value, error) {
	if len(args)%2 != 0 {
		return value.Value{}, errJSONObjectArgs
	}
	for i := 0; i < len(args); i += 2 {
		if args[i].Kind() != value.Text {
			return value.Value{}, errJSONObjectLabels
		}
	}
	b := []byte{'{'}
	for i := 0; i < len(args); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONString(b, args[i].Str()), ':')
		var err error
		if b, err = appendJSON(b, args[i+1]); err != nil {
			return value.Value{}, err
		}
	}
	return jsonBytes(append(b, '}'))
}

// jsonElement returns the element of an argument at a path; nil if either is
// NULL or there is none.
func jsonElement(doc *jsonNode, path value.Value) (*jsonNode, error) {
	if path.IsNull() {
		return nil, nil
	}
	p := beforeNUL(path.AsText())
	if p == "" || p[0] != '$' {
		return nil, pathError(p, errJSONPath)
	}
	n, _, err := doc.lookup(p[1:])
	if errors.Is(err, errJSONNotFound) {
		return nil, nil
	}
	return n, pathError(p, err)
}

// ofElement returns a function of JSON or, with a second argument, of the
// element at that path.
func ofElement(args []value.Value, f func(n *jsonNode) value.Value) (value.Value, error) {
	doc, ok, err := jsonArg(args[0])
	if !ok {
		return value.Value{}, err
	}
	n := &doc
	if len(args) == 2 {
		if n, err = jsonElement(&doc, args[1]); n == nil || err != nil {
			return value.Value{}, err
		}
	}
	return f(n), nil
}

func jsonType(_ *Context, args []value.Value) (value.Value, error) {
	return ofElement(args, func(n *jsonNode) value.Value { return value.NewText(n.kind.String()) })
}

func jsonArrayLength(_ *Context, args []value.Value) (value.Value, error) {
	return ofElement(args, func(n *jsonNode) value.Value {
		if n.kind != jsonArray {
			return value.NewInt(0)
		}
		return value.NewInt(int64(len(n.kids)))
	})
}

// jsonExtract is json_extract(json, path, …): an SQL value for one path, a JSON
// array for many.
func jsonExtract(_ *Context, args []value.Value) (value.Value, error) {
	if len(args) < 2 {
		return value.Value{}, nil
	}
	doc, ok, err := jsonArg(args[0])
	if !ok {
		return value.Value{}, err
	}
	if len(args) == 2 {
		n, err := jsonElement(&doc, args[1])
		if n == nil || err != nil {
			return value.Value{}, err
		}
		return n.sql()
	}
	b := []byte{'['}
	for i, path := range args[1:] {
		if path.IsNull() {
			return value.Value{}, nil
		}
		n, err := jsonElement(&doc, path)
		if err != nil {
			return value.Value{}, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		if n == nil {
			b = append(b, "null"...)
		} else if b, err = n.append(b, 0); err != nil {
			return value.Value{}, err
		}
	}
	return jsonBytes(append(b, ']'))
}

// arrow is the operators -> (JSON) and ->> (an SQL value), which take a label or
// an index for a path.
func arrow(asJSON bool) func(*Context, []value.Value) (value.Value, error) {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		doc, ok, err := jsonArg(args[0])
		if !ok || args[1].IsNull() {
			return value.Value{}, err
		}
		path := beforeNUL(args[1].AsText())
		n, _, err := doc.lookup(arrowPath(args[1].Kind(), path))
		switch {
		case errors.Is(err, errJSONNotFound):
			return value.Value{}, nil
		case err != nil:
			return value.Value{}, pathError(path, err)
		case asJSON:
			return jsonResult(n)
		}
		v, err := n.sql()
		if v.IsJSON() {
			v = value.NewText(v.Str())
		}
		return v, err
	}
}

// arrowPath returns what the right side of an arrow means, after the "$".
func arrowPath(kind value.Kind, s string) string {
	switch {
	case s != "" && s[0] == '$':
		return s[1:]
	case kind == value.Int && s[0] == '-':
		return "[#" + s + "]"
	case kind == value.Int:
		return "[" + s + "]"
	case isWord(s):
		return "." + s
	case len(s) >= 3 && s[0] == '[' && s[len(s)-1] == ']':
		return s
	}
	return `."` + s + `"`
}

// isWord reports whether s is letters, digits and underscores.
func isWord(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '_' {
			return false
		}
	}
	return true
}

// editor returns json_set() and its like.
func editor(name string, op jsonEdit) func(*Context, []value.Value) (value.Value, error) {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		if len(args) == 0 {
			return value.Value{}, nil
		}
		if len(args)%2 == 0 {
			return value.Value{}, fmt.Errorf("json_%s() needs an odd number of arguments", name)
		}
		doc, ok, err := jsonArg(args[0])
		if !ok {
			return value.Value{}, err
		}
		for i := 1; i < len(args); i += 2 {
			if args[i].IsNull() {
				continue
			}
			path := beforeNUL(args[i].AsText())
			if path == "" || path[0] != '$' {
				return value.Value{}, pathError(path, errJSONPath)
			}
			v, err := jsonOf(args[i+1])
			if err != nil {
				return value.Value{}, err
			}
			if path == "$" {
				if op == jsonReplace || op == jsonSet {
					doc = v
				}
				continue
			}
			if err := doc.edit(path[1:], op, &v, 0); err != nil && !errors.Is(err, errJSONNotFound) {
				return value.Value{}, pathError(path, err)
			}
		}
		return jsonResult(&doc)
	}
}

func jsonRemoveFrom(_ *Context, args []value.Value) (value.Value, error) {
	if len(args) == 0 {
		return value.Value{}, nil
	}
	doc, ok, err := jsonArg(args[0])
	if !ok {
		return value.Value{}, err
	}
	for _, arg := range args[1:] {
		if arg.IsNull() {
			return value.Value{}, nil
		}
		path := beforeNUL(arg.AsText())
		if path == "" || path[0] != '$' {
			return value.Value{}, pathError(path, errJSONPath)
		}
		if path == "$" {
			return value.Value{}, nil
		}
		if err := doc.edit(path[1:], jsonRemove, nil, 0); err != nil && !errors.Is(err, errJSONNotFound) {
			return value.Value{}, pathError(path, err)
		}
	}
	return jsonResult(&doc)
}

func jsonPatch(_ *Context, args []value.Value) (value.Value, error) {
	target, ok, err := jsonArg(args[0])
	if !ok {
		return value.Value{}, err
	}
	patch, ok, err := jsonArg(args[1])
	if !ok {
		return value.Value{}, err
	}
	if err := target.mergePatch(&patch, 0); err != nil {
		return value.Value{}, err
	}
	return jsonResult(&target)
}

func jsonPretty(_ *Context, args []value.Value) (value.Value, error) {
	doc, ok, err := jsonArg(args[0])
	if !ok {
		return value.Value{}, err
	}
	indent := "    "
	if len(args) == 2 && !args[1].IsNull() {
		indent = beforeNUL(args[1].AsText())
	}
	b, err := doc.pretty(nil, indent, 0)
	if err != nil {
		return value.Value{}, err
	}
	return text(string(b))
}

// jsonValid is json_valid(json[, flags]): 1 for JSON, 2 for JSON5 too. The flags
// for JSONB, 4 and 8, find none.
func jsonValid(_ *Context, args []value.Value) (value.Value, error) {
	flags := int64(1)
	if len(args) == 2 {
		if flags = args[1].AsInt(); flags < 1 || flags > 15 {
			return value.Value{}, errJSONValidFlags
		}
	}
	if args[0].IsNull() {
		return value.Value{}, nil
	}
	p := jsonParser{s: beforeNUL(args[0].AsText())}
	_, err := p.document()
	return value.NewBool(err == nil && (flags&2 != 0 || flags&1 != 0 && !p.nonStd)), nil
}

// jsonErrorPosition returns the character, from 1, at which text stops being
// JSON5; 0 if it is.
func jsonErrorPosition(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsNull() {
		return value.Value{}, nil
	}
	p := jsonParser{s: beforeNUL(args[0].AsText())}
	if _, err := p.document(); err == nil {
		return value.NewInt(0), nil
	}
	at := p.s[:min(p.at, len(p.s))]
	return value.NewInt(int64(len(at) - continuations(at) + 1)), nil
}

// jsonGroupArray is json_group_array().
type jsonGroupArray struct{ buf []byte }

func (g *jsonGroupArray) Step(args []value.Value) (err error) {
	g.buf = append(g.buf, ',')
	g.buf, err = appendJSON(g.buf, args[0])
	if len(g.buf) > MaxLength {
		err = ErrTooBig
	}
	return err
}

func (g *jsonGroupArray) Final() (value.Value, error) { return jsonGroup(g.buf, "[", "]") }

// jsonGroup returns elements, each after a comma, between brackets.
func jsonGroup(elements []byte, open, end string) (value.Value, error) {
	if len(elements) > 0 {
		elements = elements[1:]
	}
	return value.NewJSON(open + string(elements) + end), nil
}

// jsonGroupObject is json_group_object(). A label that is NULL adds nothing.
type jsonGroupObject struct{ buf []byte }

func (g *jsonGroupObject) Step(args []value.Value) (err error) {
	if args[0].IsNull() {
		return nil
	}
	g.buf = append(g.buf, ',')
	g.buf = append(appendJSONString(g.buf, beforeNUL(args[0].AsText())), ':')
	g.buf, err = appendJSON(g.buf, args[1])
	if len(g.buf) > MaxLength {
		err = ErrTooBig
	}
	return err
}

func (g *jsonGroupObject) Final() (value.Value, error) { return jsonGroup(g.buf, "{", "}") }
