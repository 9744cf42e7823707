package difftest

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// nested returns JSONB of n arrays or objects around a number, one in another.
func nested(n int, kind byte) value.Value {
	b := []byte("\x131")
	for range n {
		if kind == 12 {
			b = append([]byte("\x17a"), b...)
		}
		b = append(binary.BigEndian.AppendUint16([]byte{kind | 0xd0}, uint16(len(b))), b...)
	}
	return value.NewBlob(string(b))
}

// Nesting near the limit, in documents and in what paths make.
func TestJSONBDepth(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	names := []string{
		"json", "jsonb", "json_valid", "json_type", "json_array_length", "json_pretty", "json_error_position", "json_quote", "json_array", "jsonb_array", "json_extract", "jsonb_extract", "json_remove", "json_set", "jsonb_set", "json_insert", "jsonb_patch", "json_patch", "json_array_insert",
	}
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		for _, n := range []int{1, 499, 998, 999, 1000, 1001, 1500} {
			docs := []value.Value{nested(n, 11), nested(n, 12), text(strings.Repeat("[", n) + strings.Repeat("]", n)), text(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)), text("{}"), text("[]"), text(`{"b":{"c":[]}}`)}
			for _, doc := range docs {
				for _, name := range names {
					for _, step := range []string{"[0]", ".a", ".b.c[0]", ".x"} {
						path := text("$" + strings.Repeat(step, n))
						lists := [][]value.Value{{doc}, {doc, path}, {doc, text("$"), path}, {doc, value.NewInt(8)}, {doc, path, doc}, {doc, path, value.NewInt(1)}, {doc, text("$.x.y"), doc}, {doc, text("$[0]"), doc}, {doc, path, value.NewInt(1), text("$"), doc}, {doc, doc}}
						for _, list := range lists {
							e := call(name, len(list))
							e.Args = list
							if rnd.IntN(4) > 0 || name == "json_pretty" && len(list) > 1 {
								continue // megabytes of indentation
							}
							if !yield(e) {
								return
							}
						}
					}
				}
			}
		}
	})
}

// Tables of documents that nest as deep as they may.
func TestJSONBDepthOfTables(t *testing.T) {
	judge := OpenSQLite(t)
	for _, n := range []int{1, 2, 300, 1000} {
		for _, doc := range []value.Value{nested(n, 11), nested(n, 12), text(strings.Repeat("[", n) + strings.Repeat("]", n))} {
			for _, name := range []string{"json_each", "json_tree", "jsonb_each", "jsonb_tree"} {
				rows, err := jsonRows(doc, text("$"), name)
				want, wantErr := judge.Query("SELECT rowid, "+strings.Join(fn.JSONColumns[:], ", ")+" FROM "+name+"(?1)", doc)
				if !sameError(err, wantErr) || err == nil && showRows(rows) != showRows(want) {
					t.Errorf("%s of %d levels: %d rows, %v; SQLite %d, %v", name, n, len(rows), err, len(want), wantErr)
				}
			}
		}
	}
}

// Sizes at which heads change, put in one another's place.
func TestJSONBSizes(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	sizes := []int{0, 1, 3, 9, 10, 11, 12, 13, 14, 18, 19, 20, 253, 254, 255, 256, 257, 260, 264, 65533, 65534, 65535, 65536, 65537, 65540}
	pick := func() value.Value {
		switch n := rnd.IntN(len(sizes) + 4); {
		case n < len(sizes):
			return text(strings.Repeat("x", sizes[n]))
		case n == len(sizes):
			return value.NewInt(1)
		case n == len(sizes)+1:
			return value.NewBlob([]string{"\x0b", "\xcb\x00", "\x01", "\xfb\x00\x00\x00\x00\x00\x00\x00\x00"}[rnd.IntN(4)])
		}
		return value.Value{}
	}
	eval := func(name string, args ...value.Value) value.Value {
		v, err := call(name, len(args)).Eval(args)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		for range 6000 {
			first, second := pick(), pick()
			var name string
			var args []value.Value
			switch rnd.IntN(6) {
			case 0:
				name = []string{"jsonb_patch", "json_patch"}[rnd.IntN(2)]
				args = []value.Value{eval("jsonb_object", text("a"), first, text("b"), second), eval("jsonb_object", text("b"), first, text("c"), second)}
			case 1:
				name = "jsonb_remove"
				args = []value.Value{eval("jsonb_array", first, eval("jsonb_array", second, first), second), text([]string{"$[0]", "$[1]", "$[1][0]", "$[#-1]"}[rnd.IntN(4)])}
			default:
				name = []string{"jsonb_set", "jsonb_replace", "json_set", "jsonb_insert", "jsonb_array_insert"}[rnd.IntN(5)]
				doc := eval("jsonb_set", text(`[{"b":1},2]`), text("$[1]"), first, text("$[0].a"), first)
				args = []value.Value{doc, text([]string{"$[1]", "$[0].a", "$[0]", "$[#]", "$"}[rnd.IntN(5)]), second}
			}
			e := call(name, len(args))
			e.Args = args
			if !yield(e) {
				return
			}
		}
	})
}
