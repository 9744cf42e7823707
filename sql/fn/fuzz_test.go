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

func FuzzLike(f *testing.F) {
	f.Add("%a_b%", "xxaybzz")
	f.Add("a%b%c", "abcabc")
	f.Add("%日_", "本日x")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := fn.Like(pattern, s, fn.NoEscape, true)
		fn.Glob(pattern, s) // ends
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
		for _, root := range []string{"$", b} {
			cursor, err := fn.NewJSONCursor(tx(a), tx(root), true, false)
			for err == nil && cursor.Next() {
				for i := range fn.JSONColumns {
					if _, err := cursor.Column(i); err != nil {
						break
					}
				}
			}
		}
	})
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
		if !fn.Like("%dolor%consectetur%", s+"consectetur", fn.NoEscape, false) {
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
