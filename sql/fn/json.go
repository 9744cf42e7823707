package fn

import (
	"errors"
	"math"
	"unsafe"

	"github.com/byokdb/byokdb/sql/value"
)

// JSON is held as JSONB, the binary form of SQLite, in which numbers and strings
// keep the text that they were written with. Text, which may be JSON5, is parsed
// into it; a blob that is JSONB is used as it is. Paths are followed and edits
// are made in these bytes, as SQLite does it, so that results are the same
// to the byte, and so are the errors in a blob that is malformed.
//
// Source: https://sqlite.org/json1.html, https://sqlite.org/jsonb.html; SQLite
// src/json.c (public domain).

// jsonDepthMax is how deep arrays and objects may nest.
const jsonDepthMax = 1000

var (
	errJSON        = errors.New("malformed JSON")
	errJSONBlob    = errors.New("JSON cannot hold BLOB values")
	errJSONDeep    = errors.New("JSON nested too deep")
	errJSONPathTop = errors.New("JSON path too deep")
)

// jsonKind is the kind of an element. The numbers are those in JSONB; 13 to 15
// are none.
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
	return [16]string{"null", "true", "false", "integer", "integer", "real", "real", "text", "text", "text", "text", "array", "object"}[k&15]
}

func (k jsonKind) isText() bool { return k >= jsonText && k <= jsonTextRaw }

// escapeFree reports that the text of a label is what it says.
func (k jsonKind) escapeFree() bool { return k == jsonText || k == jsonTextRaw }

// jsonDoc is a whole element in JSONB: a document.
type jsonDoc struct {
	b     []byte
	own   bool   // b may be changed
	delta int    // by how many bytes the edit under way made b longer
	depth uint16 // how deep what walks through b is in it; it goes round below 0, as SQLite's does
	label int    // where the label of what lookup found is, 0 if it has none
	op    jsonEdit
	ins   []byte // the element that op puts in
}

// kind returns the kind of the element at i.
func (d *jsonDoc) kind(i int) jsonKind { return jsonKind(d.b[i] & 15) }

// jsonArg returns an argument that has to be JSON. ok is false for NULL.
func jsonArg(v value.Value) (d jsonDoc, ok bool, err error) {
	if v.IsNull() {
		return d, false, nil
	}
	if d, ok = jsonbArg(v); ok {
		return d, true, nil
	}
	p := newJSONParser(v.AsText())
	if !p.document() {
		return d, false, errJSON
	}
	return jsonDoc{b: p.b, own: true}, true, nil
}

// jsonbArg returns a blob that is JSONB as far as its size says. It is not
// copied. A small one, which may as well be JSON text, has to be valid.
func jsonbArg(v value.Value) (d jsonDoc, ok bool) {
	if v.Kind() != value.Blob || v.Str() == "" {
		return d, false
	}
	d.b = viewBytes(v.Str())
	head, size := d.header(0)
	if head == 0 || head+size != len(d.b) {
		return d, false
	}
	switch k := d.kind(0); {
	case k > jsonObject, k <= jsonFalse && size > 0:
		return d, false
	case size > 7:
		return d, true
	}
	c := d.b[0]
	return d, c != '{' && c != '[' && !isDigitByte(c) || d.check(0, 1) == 0
}

// jsonbOf returns the element that a value becomes inside other JSON. It may
// be the bytes of v.
func jsonbOf(v value.Value) ([]byte, error) {
	switch v.Kind() {
	case value.Null:
		return []byte{byte(jsonNull)}, nil
	case value.Int:
		return appendNode(nil, jsonInt, v.AsText()), nil
	case value.Float:
		switch r := v.Float(); {
		case math.IsInf(r, 1):
			return appendNode(nil, jsonReal, "9e999"), nil
		case math.IsInf(r, -1):
			return appendNode(nil, jsonReal, "-9e999"), nil
		}
		return appendNode(nil, jsonReal, v.AsText()), nil
	case value.Blob:
		d, ok := jsonbArg(v)
		if !ok {
			return nil, errJSONBlob
		}
		return d.b, nil
	case value.Text:
	}
	if v.IsJSON() {
		d, _, err := jsonArg(v)
		return d.b, err
	}
	return appendNode(nil, jsonTextRaw, v.Str()), nil
}

// result returns the document as JSON text or as JSONB.
func (d *jsonDoc) result(binary bool) (value.Value, error) {
	if binary {
		return blob(d.b)
	}
	d.delta = 0
	w := jsonWriter{b: make([]byte, 0, len(d.b)+jsonRoom)}
	w.element(d, 0)
	return w.result(false)
}

// blob returns a copy of b as a blob, or ErrTooBig.
func blob(b []byte) (value.Value, error) {
	if len(b) > MaxLength {
		return value.Value{}, ErrTooBig
	}
	return value.NewBlob(string(b)), nil
}

// viewBytes returns the bytes of s, which must not be changed.
func viewBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// viewString returns b as a string, while which lives b must not be changed.
func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
