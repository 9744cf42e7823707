package fn

import (
	"errors"
	"math"
	"strings"

	"github.com/byokdb/byokdb/sql/value"
)

// JSON is parsed into a tree whose nodes keep the text as it was written, so
// that numbers and strings come out as they went in. JSON5 is read too and
// written as JSON. There is no JSONB: a blob is taken for text.
//
// Source: https://sqlite.org/json1.html; SQLite src/json.c (public domain).

// jsonDepthMax is how deep arrays and objects may nest.
const jsonDepthMax = 1000

var (
	errJSON        = errors.New("malformed JSON")
	errJSONBlob    = errors.New("JSON cannot hold BLOB values")
	errJSONDeep    = errors.New("JSON nested too deep")
	errJSONPathTop = errors.New("JSON path too deep")
)

// jsonKind is the kind of a node; the order is that of SQLite.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonTrue
	jsonFalse
	jsonInt
	jsonInt5 // hexadecimal
	jsonReal
	jsonReal5 // digits missing beside the point
	jsonText  // no escapes
	jsonTextJ // escapes of JSON
	jsonText5 // escapes of JSON5
	jsonTextRaw
	jsonArray
	jsonObject
)

// String returns what json_type() does.
func (k jsonKind) String() string {
	return [...]string{"null", "true", "false", "integer", "integer", "real", "real", "text", "text", "text", "text", "array", "object"}[k]
}

func (k jsonKind) isText() bool { return k >= jsonText && k <= jsonTextRaw }

// escapeFree reports that the text of a label is what it says.
func (k jsonKind) escapeFree() bool { return k == jsonText || k == jsonTextRaw }

// jsonNode is a value with what is in it: the elements of an array, or label
// and value in turn of an object.
type jsonNode struct {
	kind jsonKind
	text string // a number or a string without its quotes, as written
	kids []jsonNode
}

// jsonArg parses an argument that has to be JSON. ok is false for NULL.
func jsonArg(v value.Value) (n jsonNode, ok bool, err error) {
	if v.IsNull() {
		return n, false, nil
	}
	p := jsonParser{s: beforeNUL(v.AsText())}
	n, err = p.document()
	return n, err == nil, err
}

// jsonOf returns the node that a value becomes inside other JSON.
func jsonOf(v value.Value) (jsonNode, error) {
	switch v.Kind() {
	case value.Null:
		return jsonNode{kind: jsonNull}, nil
	case value.Int:
		return jsonNode{kind: jsonInt, text: v.AsText()}, nil
	case value.Float:
		switch r := v.Float(); {
		case math.IsInf(r, 1):
			return jsonNode{kind: jsonReal, text: "9e999"}, nil
		case math.IsInf(r, -1):
			return jsonNode{kind: jsonReal, text: "-9e999"}, nil
		}
		return jsonNode{kind: jsonReal, text: v.AsText()}, nil
	case value.Blob:
		return jsonNode{}, errJSONBlob
	case value.Text:
	}
	if v.IsJSON() {
		n, _, err := jsonArg(v)
		return n, err
	}
	return jsonNode{kind: jsonTextRaw, text: v.Str()}, nil
}

// appendJSON appends a value as JSON.
func appendJSON(dst []byte, v value.Value) ([]byte, error) {
	switch v.Kind() {
	case value.Null:
		return append(dst, "null"...), nil
	case value.Float:
		return value.FormatQuote.Append(dst, v.Float()), nil
	case value.Blob:
		return dst, errJSONBlob
	case value.Text:
		if !v.IsJSON() {
			return appendJSONString(dst, v.Str()), nil
		}
	case value.Int:
	}
	return v.AppendText(dst), nil
}

// sql returns the node as a value of SQL; arrays and objects are JSON text.
func (n *jsonNode) sql() (value.Value, error) {
	switch n.kind {
	case jsonNull:
		return value.Value{}, nil
	case jsonTrue:
		return value.NewInt(1), nil
	case jsonFalse:
		return value.NewInt(0), nil
	case jsonInt, jsonInt5:
		return n.integer()
	case jsonReal, jsonReal5:
		return n.real()
	case jsonText, jsonTextRaw:
		return value.NewText(n.text), nil
	case jsonTextJ, jsonText5:
		return value.NewText(unescapeJSON(n.text)), nil
	case jsonArray, jsonObject:
	}
	return jsonResult(n)
}

// integer returns a number written without a point: a real if it is too large
// for an integer.
func (n *jsonNode) integer() (value.Value, error) {
	digits, neg := strings.CutPrefix(n.text, "-")
	v, ok := value.NumberLiteral(digits, false)
	if !ok {
		return n.real()
	}
	switch {
	case v.Kind() == value.Float && neg && v.Float() == 1<<63 && digits == "9223372036854775808":
		return value.NewInt(math.MinInt64), nil
	case v.Kind() == value.Float:
		return n.real()
	case v.Int() < 0: // hexadecimal, with the top bit
		r := float64(uint64(v.Int()))
		if neg {
			r = -r
		}
		return value.NewFloat(r), nil
	case neg:
		return value.NewInt(-v.Int()), nil
	}
	return v, nil
}

func (n *jsonNode) real() (value.Value, error) {
	r, ok := wholeNumber(n.text)
	if !ok {
		return value.Value{}, errJSON
	}
	return value.NewFloat(r), nil
}

// jsonResult returns a node as JSON text.
func jsonResult(n *jsonNode) (value.Value, error) {
	b, err := n.append(nil, 0)
	if err != nil {
		return value.Value{}, err
	}
	if len(b) > MaxLength {
		return value.Value{}, ErrTooBig
	}
	return value.NewJSON(string(b)), nil
}

// append appends the node as JSON text without white space.
func (n *jsonNode) append(dst []byte, depth int) ([]byte, error) {
	switch n.kind {
	case jsonNull, jsonTrue, jsonFalse:
		return append(dst, n.kind.String()...), nil
	case jsonInt, jsonReal:
		return append(dst, n.text...), nil
	case jsonInt5:
		return appendHexInt(dst, n.text), nil
	case jsonReal5:
		return appendReal5(dst, n.text), nil
	case jsonText, jsonTextJ:
		return append(append(append(dst, '"'), n.text...), '"'), nil
	case jsonText5:
		return appendText5(dst, n.text), nil
	case jsonTextRaw:
		return appendJSONString(dst, n.text), nil
	case jsonArray, jsonObject:
	}
	if depth++; depth > jsonDepthMax {
		return dst, errJSONDeep
	}
	open, end := byte('['), byte(']')
	if n.kind == jsonObject {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for i := range n.kids {
		switch {
		case n.kind == jsonObject && i%2 == 1:
			dst = append(dst, ':')
		case i > 0:
			dst = append(dst, ',')
		}
		var err error
		if dst, err = n.kids[i].append(dst, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, end), nil
}

// pretty appends the node over many lines, indented.
func (n *jsonNode) pretty(dst []byte, indent string, depth int) ([]byte, error) {
	if n.kind < jsonArray || len(n.kids) == 0 {
		return n.append(dst, depth)
	}
	if depth++; depth >= jsonDepthMax {
		return dst, errJSONDeep
	}
	open, end := byte('['), byte(']')
	if n.kind == jsonObject {
		open, end = '{', '}'
	}
	dst = append(dst, open, '\n')
	for i := 0; i < len(n.kids); i++ {
		if i > 0 {
			dst = append(dst, ',', '\n')
		}
		dst = append(dst, strings.Repeat(indent, depth)...)
		var err error
		if n.kind == jsonObject {
			if dst, err = n.kids[i].append(dst, depth); err != nil {
				return dst, err
			}
			dst = append(dst, ':', ' ')
			i++
		}
		if dst, err = n.kids[i].pretty(dst, indent, depth); err != nil {
			return dst, err
		}
		if len(dst) > MaxLength {
			return dst, ErrTooBig
		}
	}
	dst = append(dst, '\n')
	dst = append(dst, strings.Repeat(indent, depth-1)...)
	return append(dst, end), nil
}
