package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// jsonSource reads objects: one after another with or without white space
// between them, or the elements of one array.
type jsonSource struct {
	m      *meter
	dec    *json.Decoder
	array  bool
	opened bool
	raw    json.RawMessage
	line   int64
	offset int64
}

func newJSONSource(r io.Reader, array bool) *jsonSource {
	m := &meter{r: r}
	return &jsonSource{m: m, dec: json.NewDecoder(m), array: array, line: 1}
}

func (s *jsonSource) place() (line, offset int64) { return s.line, s.offset }

func (s *jsonSource) next() (record, error) {
	if s.array {
		if !s.opened {
			if _, err := s.dec.Token(); err != nil {
				return record{}, s.fail(err)
			}
			s.opened = true
		}
		if !s.dec.More() {
			return record{}, s.closeArray()
		}
	}
	s.raw = s.raw[:0]
	if err := s.dec.Decode(&s.raw); err != nil {
		if err == io.EOF && !s.array {
			return record{}, io.EOF
		}
		return record{}, s.fail(err)
	}
	s.offset = s.dec.InputOffset()
	s.line = s.m.mark(s.offset)
	fields, err := jsonFields(s.raw)
	if err != nil {
		return record{}, err
	}
	return record{fields: fields, size: len(s.raw), line: s.line, end: s.offset}, nil
}

// closeArray reads the end of the array and makes sure that nothing follows.
func (s *jsonSource) closeArray() error {
	if _, err := s.dec.Token(); err != nil {
		return s.fail(err)
	}
	if _, err := s.dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: something follows the JSON array", ErrFormat)
	}
	return io.EOF
}

// fail turns a decoder's error, which may quote the input, into one that does
// not.
func (s *jsonSource) fail(err error) error {
	s.offset = s.dec.InputOffset()
	se, isSyntax := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.offset = s.m.n
		s.line = s.m.mark(s.offset)
		return fmt.Errorf("%w: the input ends inside a JSON value: %w", ErrFormat, io.ErrUnexpectedEOF)
	case isSyntax:
		s.offset = max(s.offset, se.Offset-1)
		s.line = s.m.mark(s.offset)
		return fmt.Errorf("%w: not valid JSON", ErrFormat)
	default:
		return fmt.Errorf("read input: %w", err)
	}
}

// jsonFields returns the members of one object in the order in which they
// stand. The last of several members with one name counts.
func jsonFields(raw []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	t, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: not valid JSON", ErrFormat)
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("%w: a record must be a JSON object", ErrFormat)
	}
	var fields []field
	seen := make(map[string]int)
	for dec.More() {
		name, value, err := jsonMember(dec)
		if err != nil {
			return nil, fmt.Errorf("%w: not valid JSON", ErrFormat)
		}
		if i, ok := seen[name]; ok {
			fields[i].value = value
			continue
		}
		seen[name] = len(fields)
		fields = append(fields, field{name, value})
	}
	return fields, nil
}

func jsonMember(dec *json.Decoder) (string, any, error) {
	t, err := dec.Token()
	if err != nil {
		return "", nil, err
	}
	name, ok := t.(string)
	if !ok {
		return "", nil, ErrFormat
	}
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return "", nil, err
	}
	value, err := jsonValue(raw)
	return name, value, err
}

// jsonText is an array or object, kept as compact JSON text.
type jsonText string

// numberText is a number that neither int64 nor float64 holds, as it was written.
type numberText string

// jsonString returns a string as JSON text.
func jsonString(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be written
	return strings.TrimSuffix(b.String(), "\n")
}

// jsonValue returns nil, bool, int64, float64, string, numberText or jsonText. An
// integer beyond 64 bits stays what was written, so that no digit is lost.
func jsonValue(raw json.RawMessage) (any, error) {
	switch raw[0] {
	case 'n':
		return nil, nil //nolint:nilnil // NULL is a value here
	case 't':
		return true, nil
	case 'f':
		return false, nil
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case '{', '[':
		var b bytes.Buffer
		err := json.Compact(&b, raw)
		return jsonText(b.String()), err
	default:
		return number(string(raw)), nil
	}
}

// number returns the value of a JSON number: int64 if it is one, else
// float64, or the text itself where neither holds it.
func number(s string) any {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		return numberText(s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return numberText(s)
	}
	return f
}
