package fn_test

import (
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// slowLike is LIKE by trying everything.
func slowLike(pattern, s []rune) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	switch {
	case pattern[0] == '%':
		return slowLike(pattern[1:], s) || len(s) > 0 && slowLike(pattern, s[1:])
	case len(s) > 0 && (pattern[0] == '_' || pattern[0] == s[0]):
		return slowLike(pattern[1:], s[1:])
	}
	return false
}

// matches calls like, which distinguishes case, or glob.
func matches(tb testing.TB, name, pattern, s string) bool {
	tb.Helper()
	f, err := fn.LookupScalar(name, 2)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := f.Call(&fn.Context{CaseSensitiveLike: true}, args(tx(pattern), tx(s)))
	if err != nil {
		if len(pattern) <= 50000 {
			tb.Fatal(err)
		}
		return false
	}
	return v.Int() != 0
}

func FuzzLike(f *testing.F) {
	f.Add("%a_b%", "xxaybzz")
	f.Add("a%b%c", "abcabc")
	f.Add("%日_", "本日x")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := matches(t, "like", pattern, s)
		matches(t, "glob", pattern, s) // ends
		clean := func(s string) string {
			return strings.Map(func(r rune) rune {
				if r == 0 || r == 0xfffd || r >= 0xfffe && r&0xfffe == 0xfffe {
					return 'x'
				}
				return r
			}, s)
		}
		if pattern != clean(pattern) || s != clean(s) || len(pattern) > 12 || len(s) > 20 {
			return
		}
		if want := slowLike([]rune(pattern), []rune(s)); got != want {
			t.Errorf("%q LIKE %q is %v", s, pattern, got)
		}
	})
}

// FuzzCalls calls every function with hostile arguments: nothing may panic or
// give text beyond the limit.
func FuzzCalls(f *testing.F) {
	f.Add("%!,-20.5f%Q%r", "2024-02-30 12:00", "+1 month", int64(3))
	f.Add(`{"a":[1,2,{"b":"\u00e9"}]}`, "$.a[#-1].b", "x", int64(-1))
	f.Add("[[1],2]", "$[0][#]", "%Y%j", int64(1<<62))
	f.Fuzz(func(t *testing.T, a, b, c string, n int64) {
		n %= 1 << 20
		pool := []value.Value{tx(a), tx(b), tx(c), in(n), bl(a), fl(float64(n) / 7), null}
		fn.Scalars(func(s *fn.Scalar) bool {
			if s.Name == "randomblob" || s.Name == "zeroblob" {
				return true
			}
			for nArgs := s.MinArgs; nArgs <= 4 && (s.MaxArgs < 0 || nArgs <= s.MaxArgs); nArgs++ {
				for from := range pool {
					list := make([]value.Value, nArgs)
					for i := range list {
						list[i] = pool[(from+i)%len(pool)]
					}
					v, err := s.Call(&fn.Context{Now: context.Now, Location: context.Location}, list)
					if err == nil && len(v.Str()) > fn.MaxLength {
						t.Errorf("%s gives %d bytes", s.Name, len(v.Str()))
					}
				}
			}
			return true
		})
		for _, doc := range args(tx(a), bl(a)) {
			for _, root := range []string{"$", b} {
				walk(doc, tx(root))
			}
		}
	})
}

// walk reads all that a cursor over a document has, but for values that are
// documents by themselves, and returns the number of rows.
func walk(doc, root value.Value) (n int) {
	for _, binary := range []bool{false, true} {
		for _, tree := range []bool{false, true} {
			c, err := fn.NewJSONCursor(doc, root, tree, binary)
			for err == nil && c.Next() {
				n++
				for i := range fn.JSONColumns {
					if _, err := c.Column(i); err != nil {
						break
					}
				}
			}
		}
	}
	return n
}

// FuzzJSON checks that what is written is read again as the same.
func FuzzJSON(f *testing.F) {
	f.Add(`{"a":[1,2.5,{"b":"\u00e9\ud83c\udf89"}],'c':0x1f,d:.5,}`)
	f.Add(`[+Infinity,-inf,NaN,"a\x41\v"]`)
	f.Fuzz(func(t *testing.T, s string) {
		first, err := call(t, "json", args(tx(s)))
		if err != nil {
			return
		}
		again, err := call(t, "json", args(first))
		if err != nil || again != first {
			t.Fatalf("%q becomes %q, which becomes %q, %v", s, first.Str(), again.AsText(), err)
		}
		if v, err := call(t, "json_valid", args(first)); err != nil || v != in(1) {
			t.Fatalf("%q becomes %q, which is not plain JSON", s, first.Str())
		}
	})
}

// FuzzJSONB gives the JSON functions blobs that may be JSONB: nothing may panic,
// what is valid stays so, and text comes back as it was.
func FuzzJSONB(f *testing.F) {
	f.Add("\xbc\x17a\x13\x31\x17b\x2b\x00\x01\x17c\x17d", `{"a":[1,{b:'\x41'}],"c":0x1f,"d":.5}`, "$.a")
	f.Add("\xcb\x05\x440x1f", `["a\"b",null,-1e5]`, "$[0].b")
	f.Add("\xdb\x00\x04\x1aa\x0c\x00", `{}`, "$[#-1]")
	f.Add("\xcc\x0c\x99\\n\\u00e9\\\xe2\x80", `[1]`, "$.\"x y\"")
	f.Add("\xfb\x00\x00\x00\x00\xff\xff\xff\xff", `"x"`, "$")
	f.Fuzz(func(t *testing.T, blob, text, path string) {
		doc := bl(blob)
		is := func(v value.Value, flags int64) bool {
			ok, err := call(t, "json_valid", args(v, in(flags)))
			return err == nil && ok == in(1)
		}
		valid := is(doc, 8)
		if at, err := call(t, "json_error_position", args(doc)); err != nil || valid && at != in(0) {
			t.Fatalf("%x: json_error_position is %v, %v", blob, at, err)
		}
		if v, err := call(t, "jsonb", args(doc)); valid && (err != nil || v != doc) {
			t.Fatalf("%x becomes %x, %v", blob, v.Str(), err)
		}
		if _, err := call(t, "json", args(doc)); valid && err != nil {
			t.Fatalf("%x: %v", blob, err)
		}
		for _, c := range []struct {
			name string
			args []value.Value
			lax  bool // by way of text, for which 00 is valid in JSONB alone
		}{
			{"jsonb_set", args(doc, tx(path), in(7)), false},
			{"jsonb_insert", args(doc, tx(path), tx(text)), false},
			{"jsonb_replace", args(doc, tx(path), doc), false},
			{"jsonb_array_insert", args(doc, tx(path), null), false},
			{"jsonb_remove", args(doc, tx(path)), false},
			{"jsonb_patch", args(doc, doc), false},
			{"jsonb_patch", args(doc, tx(text)), false},
			{"jsonb_array", args(doc, tx(text)), true},
			{"jsonb_extract", args(doc, tx(path)), false},
			{"jsonb_extract", args(doc, tx(path), tx("$")), true},
			{"json_pretty", args(doc), true},
			{"json_array_length", args(doc, tx(path)), true},
			{"->", args(doc, tx(path)), true},
			{"->>", args(doc, in(int64(len(path))-2)), true},
		} {
			v, err := call(t, c.name, c.args)
			if err != nil || v.Kind() != value.Blob || !valid || c.lax || strings.Contains(path+text, `\`) || is(v, 8) {
				continue
			}
			if _, err := call(t, "json", args(v)); err == nil || err.Error() != "JSON nested too deep" {
				t.Errorf("%s of %x with %q, %q is malformed: %x", c.name, blob, path, text, v.Str())
			}
		}
		if n := walk(doc, tx(path)); n > 8*len(blob)+8 {
			t.Errorf("%x has %d rows", blob, n)
		}
		textual(t, text)
	})
}

// textual checks that text which is JSON is the same after it was JSONB.
func textual(t *testing.T, text string) {
	t.Helper()
	want, err := call(t, "json", args(tx(text)))
	if err != nil {
		return
	}
	binary, err := call(t, "jsonb", args(tx(text)))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := call(t, "json_error_position", args(binary)); err != nil || at != in(0) {
		t.Fatalf("%q becomes %x, with an error at %d, %v", text, binary.Str(), at.Int(), err)
	}
	if got, err := call(t, "json", args(binary)); err != nil || got != want {
		t.Fatalf("%q becomes %q, and %q by way of JSONB, %v", text, want.Str(), got.Str(), err)
	}
}

func BenchmarkJSONExtract(b *testing.B) {
	list := args(tx(`{"id":12345,"name":"some name","tags":["a","b","c"],"nested":{"x":1,"y":[1,2,3]}}`), tx("$.nested.y[1]"))
	f, err := fn.LookupScalar("json_extract", 2)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if v, err := f.Call(&fn.Context{}, list); err != nil || v.Int() != 2 {
			b.Fatal(v, err)
		}
	}
}

func BenchmarkLike(b *testing.B) {
	s := strings.Repeat("lorem ipsum dolor sit amet ", 8)
	for b.Loop() {
		if !matches(b, "like", "%dolor%consectetur%", s+"consectetur") {
			b.Fatal("no match")
		}
	}
}

func BenchmarkSum(b *testing.B) {
	d, _ := fn.LookupAggregate("sum", 1)
	a, list := d.New(), args(in(3))
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Step(list); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONBExtract(b *testing.B) {
	doc, err := call(b, "jsonb", args(tx(`{"id":12345,"name":"some name","tags":["a","b","c"],"nested":{"x":1,"y":[1,2,3]}}`)))
	if err != nil {
		b.Fatal(err)
	}
	list := args(doc, tx("$.nested.y[1]"))
	f, err := fn.LookupScalar("json_extract", 2)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if v, err := f.Call(&fn.Context{}, list); err != nil || v.Int() != 2 {
			b.Fatal(v, err)
		}
	}
}
