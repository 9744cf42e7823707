package main

import (
	"bufio"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// renderer writes the rows of one result.
type renderer interface {
	header(columns []string) error
	row(values []any) error
	finish() error
}

// formats are the values of --format.
const formats = "table, csv, json or ndjson"

// newRenderer makes a renderer; width is the terminal's, 0 for no limit.
func newRenderer(format string, w io.Writer, width int) (renderer, error) {
	switch format {
	case "table":
		return &tableRenderer{w: bufio.NewWriter(w), width: width}, nil
	case "csv":
		return &csvRenderer{w: csv.NewWriter(w)}, nil
	case "json":
		return &jsonRenderer{w: bufio.NewWriter(w), array: true}, nil
	case "ndjson":
		return &jsonRenderer{w: bufio.NewWriter(w)}, nil
	default:
		return nil, usagef("--format is %s, not %q", formats, format)
	}
}

// tableRows is how many rows a table measures before it fixes its widths;
// later, wider cells stand out. It bounds the memory of a large result.
const tableRows = 1000

// cellWidthMin is the least that a column is squeezed to.
const cellWidthMin = 6

// tableRenderer aligns columns, numbers to the right.
type tableRenderer struct {
	w      *bufio.Writer
	width  int
	names  []string
	rows   [][]string
	right  []bool // the column has nothing but numbers
	any    []bool // the column has a value
	widths []int  // nil until they are fixed
}

func (t *tableRenderer) header(columns []string) error {
	for _, c := range columns {
		t.names = append(t.names, printable(c))
	}
	t.right, t.any = make([]bool, len(columns)), make([]bool, len(columns))
	for i := range t.right {
		t.right[i] = true
	}
	return nil
}

func (t *tableRenderer) row(values []any) error {
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = printable(cellText(v))
		switch v.(type) {
		case nil:
		case int64, float64:
			t.any[i] = true
		default:
			t.right[i], t.any[i] = t.right[i] && t.widths != nil, true
		}
	}
	if t.widths != nil {
		return t.line(cells, false)
	}
	t.rows = append(t.rows, cells)
	if len(t.rows) >= tableRows {
		return t.fix()
	}
	return nil
}

// fix decides the widths and writes what was held back.
func (t *tableRenderer) fix() error {
	t.widths = make([]int, len(t.names))
	for i, n := range t.names {
		t.widths[i] = runewidth.StringWidth(n)
		t.right[i] = t.right[i] && t.any[i]
	}
	for _, r := range t.rows {
		for i, c := range r {
			t.widths[i] = max(t.widths[i], runewidth.StringWidth(c))
		}
	}
	if t.width > 0 {
		squeeze(t.widths, t.width)
	}
	if err := t.line(t.names, true); err != nil {
		return err
	}
	rule := make([]string, len(t.names))
	for i, w := range t.widths {
		rule[i] = strings.Repeat("─", w)
	}
	if err := t.line(rule, true); err != nil {
		return err
	}
	for _, r := range t.rows {
		if err := t.line(r, false); err != nil {
			return err
		}
	}
	t.rows = nil
	return nil
}

// squeeze cuts the widest columns until the line fits into width.
func squeeze(widths []int, width int) {
	for {
		total, widest := 2*(len(widths)-1), 0
		for i, w := range widths {
			total += w
			if w > widths[widest] {
				widest = i
			}
		}
		if total <= width || widths[widest] <= cellWidthMin {
			return
		}
		widths[widest] = max(cellWidthMin, widths[widest]-(total-width), secondWidest(widths, widest)-1)
	}
}

// secondWidest returns the largest width but that of column i.
func secondWidest(widths []int, i int) int {
	most := 0
	for j, w := range widths {
		if j != i {
			most = max(most, w)
		}
	}
	return most
}

func (t *tableRenderer) line(cells []string, head bool) error {
	var b strings.Builder
	for i, c := range cells {
		w := t.widths[i]
		if runewidth.StringWidth(c) > w && t.width > 0 && !t.right[i] { // a number is never cut
			c = runewidth.Truncate(c, w, "…")
		}
		pad := strings.Repeat(" ", max(0, w-runewidth.StringWidth(c)))
		if i > 0 {
			b.WriteString("  ")
		}
		if t.right[i] && (!head || !strings.HasPrefix(c, "─")) {
			b.WriteString(pad + c)
		} else {
			b.WriteString(c + pad)
		}
	}
	_, err := t.w.WriteString(strings.TrimRight(b.String(), " ") + "\n")
	return err
}

func (t *tableRenderer) finish() error {
	if t.widths == nil && t.names != nil {
		if err := t.fix(); err != nil {
			return err
		}
	}
	return t.w.Flush()
}

// csvRenderer writes RFC 4180; NULL and "" are both an empty field.
type csvRenderer struct{ w *csv.Writer }

func (c *csvRenderer) header(columns []string) error { return c.w.Write(columns) }

func (c *csvRenderer) row(values []any) error {
	fields := make([]string, len(values))
	for i, v := range values {
		if v != nil {
			fields[i] = valueText(v)
		}
	}
	return c.w.Write(fields)
}

func (c *csvRenderer) finish() error {
	c.w.Flush()
	return c.w.Error()
}

// jsonRenderer writes objects, one a line, in an array or without.
type jsonRenderer struct {
	w     *bufio.Writer
	array bool
	names [][]byte
	n     int
}

func (j *jsonRenderer) header(columns []string) error {
	for i, c := range uniqueNames(columns) {
		name, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("write name of column %d: %w", i+1, err)
		}
		j.names = append(j.names, name)
	}
	if j.array {
		return j.w.WriteByte('[')
	}
	return nil
}

func (j *jsonRenderer) row(values []any) error {
	if j.array {
		if j.n > 0 {
			_ = j.w.WriteByte(',') // bufio keeps the error for Flush
		}
		_ = j.w.WriteByte('\n') // as above
	}
	j.n++
	sep := byte('{')
	for i, v := range values {
		_ = j.w.WriteByte(sep) // as above
		sep = ','
		val, err := json.Marshal(jsonValue(v))
		if err != nil {
			return fmt.Errorf("write column %d as JSON: %w", i+1, err)
		}
		_, _ = j.w.Write(append(append(append([]byte{}, j.names[i]...), ':'), val...)) // as above
	}
	_ = j.w.WriteByte('}') // as above
	if !j.array {
		return j.w.WriteByte('\n')
	}
	return nil
}

func (j *jsonRenderer) finish() error {
	if j.array && j.names != nil {
		end := "]\n"
		if j.n > 0 {
			end = "\n]\n"
		}
		_, _ = j.w.WriteString(end) // bufio keeps the error for Flush
	}
	return j.w.Flush()
}

// uniqueNames makes the names of an object's members distinct.
func uniqueNames(columns []string) []string {
	seen := make(map[string]bool, len(columns))
	out := make([]string, len(columns))
	for i, c := range columns {
		name := c
		for n := 2; seen[name]; n++ {
			name = c + "_" + strconv.Itoa(n)
		}
		seen[name], out[i] = true, name
	}
	return out
}

// jsonValue returns what encoding/json writes for a value: blobs as base64,
// numbers that JSON lacks as text.
func jsonValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return valueText(v)
		}
	case time.Time:
		return valueText(v)
	}
	return v
}

// cellText is valueText with NULL shown as a word.
func cellText(v any) string {
	if v == nil {
		return "NULL"
	}
	return valueText(v)
}

// valueText returns a value as text, numbers as SQLite writes them.
func valueText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return fmt.Sprintf("x'%X'", v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return floatText(v)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

// floatText writes a real with up to 15 digits and always as a real.
func floatText(f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+")
	}
	s := strconv.FormatFloat(f, 'g', 15, 64)
	if g, err := strconv.ParseFloat(s, 64); err != nil || g != f {
		s = strconv.FormatFloat(f, 'g', -1, 64)
	}
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// wrap breaks text between words into lines of width columns; a word that is
// longer stands alone.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && runewidth.StringWidth(line)+1+runewidth.StringWidth(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// printable returns s without anything that a terminal would act on: control
// characters, among them the ones that begin escape sequences, characters
// that turn the direction of text, and bytes that are not UTF-8 are shown
// escaped.
func printable(s string) string {
	clean := true
	for _, r := range s {
		if !isPrintable(r) {
			clean = false
			break
		}
	}
	if clean && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case isPrintable(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// isPrintable reports whether r is shown as it is: no control character, none
// that formats text unseen, save the joiners that scripts and emoji need.
func isPrintable(r rune) bool {
	switch {
	case r == 0x200c || r == 0x200d:
		return true
	case unicode.Is(unicode.Cf, r), r == 0x2028, r == 0x2029:
		return false
	default:
		return !unicode.IsControl(r)
	}
}
