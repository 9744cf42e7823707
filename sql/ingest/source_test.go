package ingest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll returns every record as text, and the error that ended the input.
func readAll(t *testing.T, r io.Reader, format Format) ([]string, source, error) {
	t.Helper()
	src, err := newSource(r, format)
	if err != nil {
		return nil, nil, err
	}
	var out []string
	for {
		rec, err := src.next()
		if errors.Is(err, io.EOF) {
			return out, src, nil
		}
		if err != nil {
			return out, src, err
		}
		var b strings.Builder
		for _, f := range rec.fields {
			fmt.Fprintf(&b, "%s=%#v ", f.name, f.value)
		}
		out = append(out, fmt.Sprintf("%s@%d:%d", b.String(), rec.line, rec.end))
	}
}

func TestSources(t *testing.T) {
	tests := []struct {
		name   string
		format Format
		in     string
		want   string
	}{
		{"lines", Auto, "{\"a\":1}\n{\"a\":2}\n", `a=1 @1:7|a=2 @2:15`},
		{"no newline at the end", NDJSON, "{\"a\":1}\n{\"a\":2}", `a=1 @1:7|a=2 @2:15`},
		{"blank lines", NDJSON, "\n\n{\"a\":1}\n\n\n{\"a\":2}\n\n", `a=1 @3:9|a=2 @6:19`},
		{"concatenated", Auto, `{"a":1}{"a":2}`, `a=1 @1:7|a=2 @1:14`},
		{"concatenated over lines", Auto, "{\n\t\"a\": 1\n}\n{\n\t\"a\": 2\n}\n", `a=1 @3:11|a=2 @6:23`},
		{"array", Auto, " [ {\"a\":1},\n {\"a\":2} ] \n", `a=1 @1:10|a=2 @2:20`},
		{"array of nothing", Auto, "[]", ``},
		{"byte order mark", Auto, "\xef\xbb\xbf[{\"a\":1}]", `a=1 @1:8`},
		{
			"types", JSON, `{"n":null,"t":true,"f":false,"i":-7,"r":1.5,"e":1e3,"s":"x\u0041\n"}`,
			`n=<nil> t=true f=false i=-7 r=1.5 e=1000 s="xA\n" @1:68`,
		},
		{
			"big integers", JSON, `{"a":9223372036854775807,"b":9223372036854775808,"c":-9223372036854775808,"d":1e999}`,
			`a=9223372036854775807 b="9223372036854775808" c=-9223372036854775808 d="1e999" @1:84`,
		},
		{"nested", JSON, `{"a":[1, {"b": [ ]}],"o":{ "x" : 1 }}`, `a="[1,{\"b\":[]}]" o="{\"x\":1}" @1:37`},
		{"a name twice: the last counts", JSON, `{"a":1,"b":2,"a":3}`, `a=3 b=2 @1:19`},
		{"empty object", JSON, `{}`, `@1:2`},
		{"csv", Auto, "a,b\n1,x\n2,\"y,\"\"\n\"\n", `a="1" b="x" @2:8|a="2" b="y,\"\n" @4:18`},
		{"csv without a newline at the end", CSV, "a,b\r\n1,", `a="1" b=<nil> @2:7`},
		{"csv with only a header", CSV, "a,b\n", ``},
		{"csv with an unnamed column", CSV, "a,,b\n1,2,3\n", `a="1" column_2="2" b="3" @2:11`},
		{"nothing", Auto, "", ``},
		{"space", Auto, " \n ", ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				got, _, err := readAll(t, r, tt.format)
				if err != nil {
					t.Fatal(err)
				}
				text := strings.ReplaceAll(strings.Join(got, "|"), "ingest.jsonText(", "")
				text = strings.ReplaceAll(text, ")", "")
				if want := strings.ReplaceAll(tt.want, ")", ""); text != want {
					t.Errorf("got  %s\nwant %s", text, want)
				}
			}
		})
	}
}

func TestMalformedInput(t *testing.T) {
	const secret = "geheim"
	tests := []struct {
		name    string
		format  Format
		in      string
		records int
		line    int64
		is      error
	}{
		{"cut in an object", NDJSON, "{\"a\":1}\n{\"a\":\"" + secret, 1, 2, io.ErrUnexpectedEOF},
		{"cut in an array", JSON, "[{\"a\":1},\n", 1, 2, io.ErrUnexpectedEOF},
		{"no JSON", NDJSON, "{\"a\":1}\n" + secret + "\n", 1, 2, ErrFormat},
		{"bad escape", JSON, "{\"a\":\"\\q" + secret + "\"}", 0, 1, ErrFormat},
		{"a bare value", NDJSON, "{\"a\":1}\n\"" + secret + "\"\n", 1, 2, ErrFormat},
		{"an array of values", JSON, "[1]", 0, 1, ErrFormat},
		{"something behind the array", JSON, "[{\"a\":1}] {\"a\":\"" + secret + "\"}", 1, 1, ErrFormat},
		{"csv: too few fields", CSV, "a,b\n1,2\n" + secret + "\n", 1, 3, ErrFormat},
		{"csv: too many fields", CSV, "a,b\n1,2\n1,2," + secret + "\n", 1, 3, ErrFormat},
		{"csv: bare quote", CSV, "a,b\n1,2\nx\"" + secret + ",2\n", 1, 3, ErrFormat},
		{"csv: open quote", CSV, "a,b\n1,2\n\"" + secret, 1, 3, ErrFormat},
		{"unknown format", "xml", "<a/>", 0, 0, ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, src, err := readAll(t, strings.NewReader(tt.in), tt.format)
			if !errors.Is(err, tt.is) || !errors.Is(err, ErrFormat) {
				t.Fatalf("error %v, want %v", err, tt.is)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error repeats the input: %v", err)
			}
			if len(got) != tt.records {
				t.Errorf("%d records before the error, want %d", len(got), tt.records)
			}
			if src != nil {
				if line, _ := src.place(); line != tt.line {
					t.Errorf("line %d, want %d", line, tt.line)
				}
			}
		})
	}
}

func TestReadErrorPasses(t *testing.T) {
	fault := errors.New("fault")
	for _, in := range []string{"{\"a\":1}\n{\"a\"", "a,b\n1,2\n3"} {
		_, _, err := readAll(t, io.MultiReader(strings.NewReader(in), iotest.ErrReader(fault)), Auto)
		if !errors.Is(err, fault) {
			t.Errorf("%q: error %v", in, err)
		}
	}
}

// endless yields one JSON string that never ends.
type endless struct{ begun bool }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	if !e.begun {
		e.begun = true
		copy(p, `{"a":"`)
	}
	return len(p), nil
}

func TestRecordTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 64 MiB")
	}
	_, _, err := readAll(t, &endless{}, JSON)
	if !errors.Is(err, ErrRecordTooLarge) {
		t.Fatalf("error %v, want ErrRecordTooLarge", err)
	}
}

func TestCSVKind(t *testing.T) {
	for in, want := range map[string]kind{
		"0": kindInt, "7": kindInt, "-7": kindInt, "9223372036854775807": kindInt,
		"007": kindText, "+7": kindText, "-0": kindText, "1_000": kindText, "0x10": kindText, "9223372036854775808": kindText,
		"1.5": kindReal, "0.5": kindReal, "-0.5": kindReal, "1e3": kindReal, "-89.23450472": kindReal,
		".5": kindText, "00.5": kindText, "1.": kindText, "NaN": kindText, "Inf": kindText, "-": kindText, "--1": kindText,
		"true": kindBool, "FALSE": kindBool, "yes": kindText, "t": kindText, "2026-11-23": kindText, "1e": kindText, "00M": kindText,
	} {
		if got, _ := csvKind(in); got != want {
			t.Errorf("csvKind(%q) = %v, want %v", in, got.declared(), want.declared())
		}
	}
}

func FuzzSources(f *testing.F) {
	f.Add("{\"a\":1}\n{\"b\":[1,{}]}")
	f.Add("[{\"a\":1e5}]")
	f.Add("a,b\n1,\"x\"\n")
	f.Fuzz(func(t *testing.T, in string) {
		src, err := newSource(strings.NewReader(in), Auto)
		if err != nil {
			t.Skip()
		}
		end := int64(0)
		for {
			rec, err := src.next()
			if err != nil {
				return
			}
			if rec.end < end || rec.end > int64(len(in)) {
				t.Fatalf("record ends at %d, the one before at %d, the input at %d", rec.end, end, len(in))
			}
			end = rec.end
		}
	})
}
