package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func renderAll(t *testing.T, format string, width int, columns []string, rows [][]any) string {
	t.Helper()
	var b bytes.Buffer
	r, err := newRenderer(format, &b, width)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.header(columns); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := r.row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRender(t *testing.T) {
	columns := []string{"name", "n", "real"}
	rows := [][]any{{"Zürich", int64(7), 1.0}, {"東京", int64(1234), nil}, {nil, nil, 0.1}}
	tests := []struct {
		format string
		rows   [][]any
		want   string
	}{
		{"table", rows, "name       n  real\n──────  ────  ────\nZürich     7   1.0\n東京    1234  NULL\nNULL    NULL   0.1\n"},
		{"csv", rows, "name,n,real\nZürich,7,1.0\n東京,1234,\n,,0.1\n"},
		{"ndjson", rows, `{"name":"Zürich","n":7,"real":1}` + "\n" + `{"name":"東京","n":1234,"real":null}` + "\n" + `{"name":null,"n":null,"real":0.1}` + "\n"},
		{"json", rows[:1], "[\n" + `{"name":"Zürich","n":7,"real":1}` + "\n]\n"},
		{"json", nil, "[]\n"},
		{"csv", nil, "name,n,real\n"},
		{"table", nil, "name  n  real\n────  ─  ────\n"},
	}
	for _, tt := range tests {
		if got := renderAll(t, tt.format, 0, columns, tt.rows); got != tt.want {
			t.Errorf("%s of %d rows:\n%s\nwant:\n%s", tt.format, len(tt.rows), got, tt.want)
		}
	}
}

func TestRenderUnknownFormat(t *testing.T) {
	if _, err := newRenderer("xml", &bytes.Buffer{}, 0); exitCode(err) != exitUsage {
		t.Errorf("error %v is not one of usage", err)
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	rows := [][]any{{strings.Repeat("long ", 40), "short", strings.Repeat("x", 90)}}
	for _, width := range []int{40, 80, 120} {
		for line := range strings.SplitSeq(renderAll(t, "table", width, []string{"a", "b", "c"}, rows), "\n") {
			if n := len([]rune(line)); n > width {
				t.Errorf("a line has %d columns of %d: %q", n, width, line)
			}
		}
	}
}

func TestTableOfManyRows(t *testing.T) {
	var rows [][]any
	for i := range tableRows + 5 {
		rows = append(rows, []any{int64(i), "x"})
	}
	got := renderAll(t, "table", 0, []string{"id", "v"}, rows)
	if n := strings.Count(got, "\n"); n != len(rows)+2 {
		t.Errorf("%d lines, want %d", n, len(rows)+2)
	}
	if !strings.Contains(got, "\n1003  x\n") {
		t.Error("row 1003 is missing")
	}
}

func TestJSONMembersAreDistinct(t *testing.T) {
	got := renderAll(t, "ndjson", 0, []string{"a", "a", "a_2"}, [][]any{{int64(1), int64(2), int64(3)}})
	var m map[string]int
	if err := json.Unmarshal([]byte(got), &m); err != nil || len(m) != 3 {
		t.Errorf("%s: %v", got, err)
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain Zürich 東京 👩‍💻", "plain Zürich 東京 👩‍💻"},
		{"a\x1b[31mred", `a\x1b[31mred`},
		{"bell\a del\x7f nul\x00", `bell\x07 del\x7f nul\x00`},
		{"c1 \u009b2J", `c1 \x9b2J`},
		{"lines\nand\ttabs\r", `lines\nand\ttabs\r`},
		{"not utf8 \xff\xfe", `not utf8 \xff\xfe`},
		{"turned \u202egnp.exe", `turned \u202egnp.exe`},
		{"\uFFFD stays", "\uFFFD stays"},
	}
	for _, tt := range tests {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestTableEscapesControlSequences(t *testing.T) {
	got := renderAll(t, "table", 0, []string{"a\x1b]0;title\a"}, [][]any{{"\x1b[2J"}, {[]byte{0x1b}}})
	if strings.ContainsAny(got, "\x1b\a") {
		t.Errorf("a control character passes: %q", got)
	}
}

func TestFloatText(t *testing.T) {
	tenth := 0.1 // a variable: constants are added exactly
	for f, want := range map[float64]string{
		1: "1.0", 0.1: "0.1", 1e300: "1e+300", -2.5: "-2.5", math.Inf(1): "Inf", math.Inf(-1): "-Inf",
		tenth + 0.2: "0.30000000000000004", 31.95376472: "31.95376472",
	} {
		if got := floatText(f); got != want {
			t.Errorf("floatText(%v) = %q, want %q", f, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[31m\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range printable(s) {
			if !isPrintable(r) {
				t.Errorf("%q passes", r)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"one":                     "one",
		"one two":                 "one two",
		"one two three":           "one two|three",
		"averylongword it is so":  "averylongword|it is so",
		"東京 東京 x":                 "東京|東京 x",
		" spaces   are  squeezed": "spaces|are|squeezed",
	} {
		if got := strings.Join(wrap(text, 8), "|"); got != want {
			t.Errorf("wrap(%q) = %q, want %q", text, got, want)
		}
	}
}
