package ingest

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// csvSource reads RFC 4180 CSV whose first row names the columns.
type csvSource struct {
	m      *meter
	r      *csv.Reader
	names  []string
	line   int64
	offset int64
}

func newCSVSource(r io.Reader) *csvSource {
	m := &meter{r: r}
	cr := csv.NewReader(m)
	cr.ReuseRecord = true
	cr.FieldsPerRecord = -1
	return &csvSource{m: m, r: cr, line: 1}
}

func (s *csvSource) place() (line, offset int64) { return s.line, s.offset }

func (s *csvSource) next() (record, error) {
	if s.names == nil {
		head, err := s.read()
		if err != nil {
			return record{}, err
		}
		s.names = append([]string{}, head...)
		for i, n := range s.names {
			if strings.TrimSpace(n) == "" {
				s.names[i] = "column_" + strconv.Itoa(i+1)
			}
		}
	}
	row, err := s.read()
	if err != nil {
		return record{}, err
	}
	if len(row) != len(s.names) {
		return record{}, fmt.Errorf("%w: the row has %d fields, the header %d", ErrFormat, len(row), len(s.names))
	}
	rec := record{fields: make([]field, len(row)), line: s.line, end: s.offset}
	for i, v := range row {
		rec.fields[i] = field{name: s.names[i]}
		if v != "" { // an empty field is NULL
			rec.fields[i].value = strings.Clone(v)
		}
		rec.size += len(v) + 16
	}
	return rec, nil
}

// read returns the next row, valid until the next call, and moves the place.
func (s *csvSource) read() ([]string, error) {
	row, err := s.r.Read()
	if err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		if pe, ok := errors.AsType[*csv.ParseError](err); ok {
			s.line, s.offset = int64(pe.Line), s.r.InputOffset()
			return nil, fmt.Errorf("%w: not valid CSV: %w", ErrFormat, pe.Err)
		}
		return nil, fmt.Errorf("read input: %w", err)
	}
	s.offset = s.r.InputOffset()
	s.line = s.m.mark(s.offset)
	if s.m.lastEnd == s.offset { // the newline belongs to the row
		s.line--
	}
	return row, nil
}

// csvValue returns the typed value of a CSV field in a column of kind k:
// numbers and booleans only in the one spelling that gives the same text back.
func csvValue(s string, k kind) any {
	switch k {
	case kindInt, kindReal, kindBool:
		if got, v := csvKind(s); got == k || (got == kindInt && k == kindReal) {
			return v
		}
	default:
	}
	return s
}

// csvKind returns what a CSV field looks like, and its value.
func csvKind(s string) (kind, any) {
	switch s {
	case "true", "TRUE", "True":
		return kindBool, true
	case "false", "FALSE", "False":
		return kindBool, false
	}
	c := s[len(s)-1]
	if c < '0' || c > '9' {
		return kindText, s
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(i, 10) == s {
		return kindInt, i
	}
	digits := strings.TrimPrefix(s, "-")
	if digits[0] < '0' || digits[0] > '9' || strings.ContainsAny(s, "xXpP_") || !strings.ContainsAny(s, ".eE") {
		return kindText, s
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1] != '.' && digits[1] != 'e' && digits[1] != 'E' {
		return kindText, s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return kindText, s
	}
	return kindReal, f
}
