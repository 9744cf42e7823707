package fn

import (
	"errors"
	"fmt"

	"github.com/byokdb/byokdb/sql/value"
)

// jsonFunctions returns the JSON functions; -> and ->> are among them by these
// names.
func jsonFunctions() []Scalar {
	list := []Scalar{
		pure("->", 2, 2, arrow(true)),
		pure("->>", 2, 2, arrow(false)),
		pure("json_array_length", 1, 2, jsonArrayLength),
		pure("json_error_position", 1, 1, jsonErrorPosition),
		pure("json_pretty", 1, 2, jsonPretty),
		pure("json_quote", 1, 1, jsonQuote),
		pure("json_type", 1, 2, jsonType),
		pure("json_valid", 1, 2, jsonValid),
	}
	for _, binary := range []bool{false, true} {
		prefix := "json"
		if binary {
			prefix = "jsonb"
		}
		list = append(list,
			pure(prefix, 1, 1, remover(binary)),
			pure(prefix+"_array", 0, -1, jsonArrayOf(binary)),
			pure(prefix+"_array_insert", 0, -1, editor("array_insert", jsonArrayInsert, binary)),
			pure(prefix+"_extract", 0, -1, jsonExtract(binary)),
			pure(prefix+"_insert", 0, -1, editor("insert", jsonInsert, binary)),
			pure(prefix+"_object", 0, -1, jsonObjectOf(binary)),
			pure(prefix+"_patch", 2, 2, jsonPatch(binary)),
			pure(prefix+"_remove", 0, -1, remover(binary)),
			pure(prefix+"_replace", 0, -1, editor("replace", jsonReplace, binary)),
			pure(prefix+"_set", 0, -1, editor("set", jsonSet, binary)),
		)
	}
	return list
}

// scalarCall is the Call of a Scalar.
type scalarCall = func(*Context, []value.Value) (value.Value, error)

func jsonQuote(_ *Context, args []value.Value) (value.Value, error) {
	var w jsonWriter
	w.value(args[0])
	return w.result(false)
}

func jsonArrayOf(binary bool) scalarCall {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		w := jsonWriter{b: make([]byte, 0, jsonRoom)}
		w.raw("[")
		for _, v := range args {
			w.separate()
			w.value(v)
		}
		w.raw("]")
		return marked(w.result(binary))
	}
}

// marked gives a blob the subtype of JSON.
func marked(v value.Value, err error) (value.Value, error) {
	if v.Kind() == value.Blob {
		v = value.NewJSONB(v.Str())
	}
	return v, err
}

var (
	errJSONObjectArgs   = errors.New("json_object() requires an even number of arguments")
	errJSONObjectLabels = errors.New("json_object() labels must be TEXT")
	errJSONValidFlags   = errors.New("FLAGS parameter to json_valid() must be between 1 and 15")
)

func jsonObjectOf(binary bool) scalarCall {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		if len(args)%2 != 0 {
			return value.Value{}, errJSONObjectArgs
		}
		w := jsonWriter{b: make([]byte, 0, jsonRoom)}
		w.raw("{")
		for i := 0; i < len(args); i += 2 {
			if args[i].Kind() != value.Text {
				return value.Value{}, errJSONObjectLabels
			}
			w.separate()
			w.string(viewBytes(args[i].Str()))
			w.raw(":")
			w.value(args[i+1])
		}
		w.raw("}")
		return marked(w.result(binary))
	}
}

// pathOf returns an argument as a path.
func pathOf(v value.Value) string { return beforeNUL(v.AsText()) }

// elementOf returns JSON and where in it the element is that a second argument,
// a path, leads to. ok is false if either is NULL or there is none.
func elementOf(args []value.Value) (d jsonDoc, i int, ok bool, err error) {
	d, ok, err = jsonArg(args[0])
	if !ok || len(args) == 1 {
		return d, 0, ok, err
	}
	if args[1].IsNull() {
		return d, 0, false, nil
	}
	path := pathOf(args[1])
	i, err = d.find(path)
	if errors.Is(err, errJSONNotFound) {
		return d, 0, false, nil
	}
	return d, i, err == nil, pathError(path, err)
}

func jsonType(_ *Context, args []value.Value) (value.Value, error) {
	d, i, ok, err := elementOf(args)
	if !ok {
		return value.Value{}, err
	}
	return value.NewText(d.kind(i).String()), nil
}

func jsonArrayLength(_ *Context, args []value.Value) (value.Value, error) {
	d, i, ok, err := elementOf(args)
	switch {
	case !ok:
		return value.Value{}, err
	case d.kind(i) != jsonArray:
		return value.NewInt(0), nil
	}
	return value.NewInt(int64(d.count(i))), nil
}

// jsonExtract is json_extract(json, path, …): an SQL value for one path, a JSON
// array for many.
func jsonExtract(binary bool) scalarCall {
	return func(c *Context, args []value.Value) (value.Value, error) {
		if len(args) < 2 {
			return value.Value{}, nil
		}
		d, ok, err := jsonArg(args[0])
		if !ok {
			return value.Value{}, err
		}
		var w jsonWriter
		w.raw("[")
		for _, arg := range args[1:] {
			if arg.IsNull() {
				return value.Value{}, w.raised()
			}
			path := pathOf(arg)
			i, err := d.find(path)
			found := !errors.Is(err, errJSONNotFound)
			switch {
			case err != nil && found:
				return value.Value{}, pathError(path, err)
			case len(args) == 2 && found:
				return d.sql(i, binary)
			case len(args) == 2:
				return value.Value{}, nil
			}
			w.separate()
			if found {
				w.element(&d, i)
			} else {
				w.raw("null")
			}
			w.check()
			if err := c.spent(len(d.b)); err != nil {
				return value.Value{}, err
			}
		}
		w.raw("]")
		return w.result(binary)
	}
}

// arrow is the operators -> (JSON) and ->> (an SQL value), which take a label or
// an index for a path.
func arrow(asJSON bool) scalarCall {
	return func(_ *Context, args []value.Value) (value.Value, error) {
		d, ok, err := jsonArg(args[0])
		if !ok || args[1].IsNull() {
			return value.Value{}, err
		}
		path := pathOf(args[1])
		i, err := d.lookup(0, arrowPath(args[1].Kind(), path), 0, 0)
		switch {
		case errors.Is(err, errJSONNotFound):
			return value.Value{}, nil
		case err != nil:
			return value.Value{}, pathError(path, err)
		case asJSON:
			var w jsonWriter
			w.element(&d, i)
			return w.result(false)
		}
		v, err := d.sql(i, false)
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
func editor(name string, op jsonEdit, binary bool) scalarCall {
	return func(c *Context, args []value.Value) (value.Value, error) {
		if len(args) == 0 {
			return value.Value{}, nil
		}
		if len(args)%2 == 0 {
			return value.Value{}, fmt.Errorf("json_%s() needs an odd number of arguments", name)
		}
		d, ok, err := jsonArg(args[0])
		if !ok {
			return value.Value{}, err
		}
		d.op = op
		for i := 1; i < len(args); i += 2 {
			if args[i].IsNull() {
				continue
			}
			path := pathOf(args[i])
			if path == "" || path[0] != '$' {
				return value.Value{}, pathError(path, errJSONPath)
			}
			if d.ins, err = jsonbOf(args[i+1]); err != nil {
				return value.Value{}, err
			}
			if path == "$" {
				if op == jsonReplace || op == jsonSet {
					d.editable()
					d.replace(0, len(d.b), d.ins)
				}
				continue
			}
			d.delta, d.depth = 0, 0
			if _, err = d.find(path); err != nil && !errors.Is(err, errJSONNotFound) {
				return value.Value{}, pathError(path, err)
			}
			if len(d.b) > MaxLength {
				return value.Value{}, ErrTooBig
			}
			if err := c.spent(len(d.b)); err != nil {
				return value.Value{}, err
			}
		}
		return d.result(binary)
	}
}

// remover returns json_remove(); json() is one that has no paths.
func remover(binary bool) scalarCall {
	return func(c *Context, args []value.Value) (value.Value, error) {
		if len(args) == 0 {
			return value.Value{}, nil
		}
		d, ok, err := jsonArg(args[0])
		if !ok {
			return value.Value{}, err
		}
		d.op = jsonRemove
		for _, arg := range args[1:] {
			if arg.IsNull() {
				return value.Value{}, nil
			}
			path := pathOf(arg)
			if path == "$" {
				return value.Value{}, nil
			}
			d.delta = 0
			if _, err = d.find(path); err != nil && !errors.Is(err, errJSONNotFound) {
				return value.Value{}, pathError(path, err)
			}
			if err := c.spent(len(d.b)); err != nil {
				return value.Value{}, err
			}
		}
		return d.result(binary)
	}
}

func jsonPatch(binary bool) scalarCall {
	return func(c *Context, args []value.Value) (value.Value, error) {
		d, ok, err := jsonArg(args[0])
		if !ok {
			return value.Value{}, err
		}
		patch, ok, err := jsonArg(args[1])
		if !ok {
			return value.Value{}, err
		}
		d.editable()
		if err := d.mergePatch(c, 0, &patch, 0, 0); err != nil {
			return value.Value{}, err
		}
		return d.result(binary)
	}
}

func jsonPretty(_ *Context, args []value.Value) (value.Value, error) {
	d, ok, err := jsonArg(args[0])
	if !ok {
		return value.Value{}, err
	}
	w := jsonPrettyWriter{indent: "    "}
	if len(args) == 2 && !args[1].IsNull() {
		w.indent = beforeNUL(args[1].AsText())
	}
	w.pretty(&d, 0)
	if err := w.err(); err != nil {
		return value.Value{}, err
	}
	return value.NewText(string(w.b)), nil
}

// jsonValid is json_valid(json[, flags]): 1 for JSON, 2 for JSON5 too, 4 for a
// blob that has the size that JSONB says, 8 for one that is JSONB all through.
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
	if d, ok := jsonbArg(args[0]); ok {
		return value.NewBool(flags&4 != 0 || flags&8 != 0 && d.check(0, 1) == 0), nil
	}
	if flags&3 == 0 {
		return value.NewBool(false), nil
	}
	p := newJSONParser(args[0].AsText())
	return value.NewBool(p.document() && (flags&2 != 0 || !p.nonStd)), nil
}

// jsonErrorPosition returns the character, from 1, at which text stops being
// JSON5, or the byte at which there is an error in JSONB; 0 if there is none.
func jsonErrorPosition(_ *Context, args []value.Value) (value.Value, error) {
	if args[0].IsNull() {
		return value.Value{}, nil
	}
	if d, ok := jsonbArg(args[0]); ok {
		return value.NewInt(int64(d.check(0, 1))), nil
	}
	p := newJSONParser(args[0].AsText())
	if p.document() {
		return value.NewInt(0), nil
	}
	at := p.s[:min(p.at, len(p.s))]
	return value.NewInt(int64(len(at) - continuations(at) + 1)), nil
}
