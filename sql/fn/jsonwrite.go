package fn

import (
	"strconv"

	"github.com/byokdb/byokdb/sql/value"
)

// jsonFault is what went wrong while JSON was written. The writer goes on, and
// the gravest fault is the error.
type jsonFault uint8

const (
	faultMalformed jsonFault = 1 << iota
	faultBlob                // a blob that is no JSONB
	faultDeep
	faultBig
)

// jsonWriter writes JSON as text.
type jsonWriter struct {
	b     []byte
	fault jsonFault
}

// jsonRoom is where text of usual size fits in.
const jsonRoom = 128

// raised returns the error that ends a function at once, even one that has
// another result by now.
func (w *jsonWriter) raised() error {
	switch {
	case w.fault&faultBig != 0:
		return ErrTooBig
	case w.fault&faultDeep != 0:
		return errJSONDeep
	case w.fault == faultBlob:
		return errJSONBlob
	}
	return nil
}

// err returns the error that the writer's text has.
func (w *jsonWriter) err() error {
	w.check()
	if err := w.raised(); err != nil {
		return err
	}
	if w.fault != 0 {
		return errJSON
	}
	return nil
}

// check notes that the text is too big.
func (w *jsonWriter) check() {
	if len(w.b) > MaxLength {
		w.fault |= faultBig
	}
}

// result returns what was written, as it is or as JSONB.
func (w *jsonWriter) result(binary bool) (value.Value, error) {
	if err := w.err(); err != nil {
		return value.Value{}, err
	}
	if binary {
		return jsonbOfText(w.b)
	}
	return value.NewJSON(string(w.b)), nil
}

// jsonbOfText returns JSON text as JSONB. Of text with an error in it, which
// malformed JSONB can have become, it is what was read so far.
func jsonbOfText(s []byte) (value.Value, error) {
	p := newJSONParser(viewString(s))
	p.element(0)
	return blob(p.b)
}

func (w *jsonWriter) raw(s string) { w.b = append(w.b, s...) }

// separate writes a comma, unless a bracket is the last that was written.
func (w *jsonWriter) separate() {
	if n := len(w.b); n > 0 && w.b[n-1] != '[' && w.b[n-1] != '{' {
		w.b = append(w.b, ',')
	}
}

// value writes an SQL value.
func (w *jsonWriter) value(v value.Value) {
	switch v.Kind() {
	case value.Null:
		w.raw("null")
	case value.Float:
		w.b = value.FormatQuote.Append(w.b, v.Float())
	case value.Int:
		w.b = v.AppendText(w.b)
	case value.Text:
		if v.IsJSON() {
			w.raw(v.Str())
		} else {
			w.string(viewBytes(v.Str()))
		}
	case value.Blob:
		d, ok := jsonbArg(v)
		switch {
		case ok:
			w.element(&d, 0)
		case w.fault == 0:
			w.fault = faultBlob
		}
	}
	w.check()
}

// element writes the element at i of d and returns the offset after it.
func (w *jsonWriter) element(d *jsonDoc, i int) int {
	head, size := d.header(i)
	if head == 0 {
		w.fault |= faultMalformed
		return len(d.b) + 1
	}
	s := d.content(i, head, size)
	switch k := d.kind(i); k {
	case jsonNull, jsonTrue, jsonFalse:
		w.raw(k.String())
		return i + 1
	case jsonInt, jsonReal, jsonInt5, jsonReal5:
		if size == 0 {
			w.fault |= faultMalformed
			break
		}
		w.number(k, s)
	case jsonText, jsonTextJ:
		w.b = append(append(append(w.b, '"'), s...), '"')
	case jsonText5:
		w.text5(s)
	case jsonTextRaw:
		w.string(s)
	case jsonArray, jsonObject:
		w.container(d, i, head, size)
	default:
		w.fault |= faultMalformed
	}
	return i + head + size
}

// container writes the array or object at i of d.
func (w *jsonWriter) container(d *jsonDoc, i, head, size int) {
	isObject := d.kind(i) == jsonObject
	open, shut := byte('['), byte(']')
	if isObject {
		open, shut = '{', '}'
	}
	w.b = append(w.b, open)
	d.depth++
	if d.depth > jsonDepthMax {
		w.fault |= faultDeep
	}
	j, end, n := i+head, i+head+size, 0
	for ; j < end && w.fault == 0; n++ {
		switch {
		case n == 0:
		case isObject && n%2 == 1:
			w.b = append(w.b, ':')
		default:
			w.b = append(w.b, ',')
		}
		j = w.element(d, j)
		w.check()
	}
	d.depth--
	if isObject && n%2 == 1 || j > end {
		w.fault |= faultMalformed
	}
	w.b = append(w.b, shut)
}

// number writes a number, which is not empty, as JSON has it.
func (w *jsonWriter) number(kind jsonKind, s []byte) {
	switch kind {
	case jsonInt5:
		w.hexInt(s)
	case jsonReal5:
		w.real5(s)
	default:
		w.b = append(w.b, s...)
	}
}

// hexInt writes a hexadecimal integer in decimal.
func (w *jsonWriter) hexInt(s []byte) {
	k := 2
	switch s[0] {
	case '-':
		w.b = append(w.b, '-')
		k++
	case '+':
		k++
	}
	var u uint64
	over := false
	for ; k < len(s); k++ {
		if !isHex(s[k]) {
			w.fault |= faultMalformed
			break
		}
		if u>>60 != 0 {
			over = true
		} else {
			u = u<<4 | uint64(hexVal(s[k]))
		}
	}
	if over {
		w.raw("9.0e999")
		return
	}
	w.b = strconv.AppendUint(w.b, u, 10)
}

// real5 writes a real with the digits that miss beside its point.
func (w *jsonWriter) real5(s []byte) {
	if s[0] == '-' {
		w.b = append(w.b, '-')
		s = s[1:]
		if len(s) == 0 {
			w.fault |= faultMalformed
			return
		}
	}
	if s[0] == '.' {
		w.b = append(w.b, '0')
	}
	for i, c := range s {
		w.b = append(w.b, c)
		if c == '.' && (i+1 == len(s) || !isDigitByte(s[i+1])) {
			w.b = append(w.b, '0')
		}
	}
}

// text5 writes a string of JSON5 as one of JSON.
func (w *jsonWriter) text5(s []byte) {
	w.b = append(w.b, '"')
	for len(s) > 0 && len(w.b) <= MaxLength {
		n := 0
		for n < len(s) && s[n] >= 0x20 && s[n] != '"' && s[n] != '\\' {
			n++
		}
		w.b = append(w.b, s[:n]...)
		s = s[n:]
		switch {
		case n > 0:
		case s[0] != '\\':
			w.b = appendJSONEscape(w.b, s[0])
			s = s[1:]
		case len(s) < 2:
			w.fault |= faultMalformed
			s = nil
		default:
			s = s[w.escape5(s):]
		}
	}
	w.b = append(w.b, '"')
}

// escape5 writes the escape of JSON5 that s begins with as JSON, and returns its
// size.
func (w *jsonWriter) escape5(s []byte) int {
	switch s[1] {
	case '\'':
		w.b = append(w.b, '\'')
	case 'v':
		w.raw(`\u000b`)
	case 'x':
		if len(s) < 4 {
			w.fault |= faultMalformed
			return len(s)
		}
		w.raw(`\u00`)
		w.b = append(w.b, s[2:4]...)
		return 4
	case '0':
		w.raw(`\u0000`)
	case '\r':
		if len(s) > 2 && s[2] == '\n' {
			return 3
		}
	case '\n':
	case 0xe2:
		if !isLineSeparator(s[1:]) {
			w.fault |= faultMalformed
			return len(s)
		}
		return 4
	default:
		w.b = append(w.b, s[:2]...)
	}
	return 2
}

// stringPart is how much of a string is written before its size is looked at.
const stringPart = 1 << 20

// string writes s as a JSON string.
func (w *jsonWriter) string(s []byte) {
	w.b = append(w.b, '"')
	for len(s) > stringPart && w.fault == 0 {
		w.b = appendEscaped(w.b, s[:stringPart])
		s = s[stringPart:]
		w.check()
	}
	if w.fault == 0 {
		w.b = appendEscaped(w.b, s)
	}
	w.b = append(w.b, '"')
}

// appendJSONString appends s as a JSON string.
func appendJSONString(dst, s []byte) []byte {
	return append(appendEscaped(append(dst, '"'), s), '"')
}

// appendEscaped appends s with the escapes of SQLite.
func appendEscaped(dst, s []byte) []byte {
	from := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = appendJSONEscape(dst, c)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// appendJSONEscape appends a quote, a backslash or a control character.
func appendJSONEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
}
