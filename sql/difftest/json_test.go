package difftest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// documents are JSON, JSON5 and neither.
var documents = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `12.5`, `1e3`, `1E-3`, `-1.5e+10`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `-9223372036854775809`, `123456789012345678901234567890`,
	`""`, `"abc"`, `"é日本🎉"`, `"a\"b"`, `"\u00e9\u0041"`, `"\ud83c\udf89"`, `"\ud83c"`, `"tab\there"`, `"\/\b\f\n\r\t"`, `"a\\b"`, `"\u0000x"`, "\"raw\ttab\"",
	`{"a":1}`, `{"a":1,"b":[1,2,{"c":null}],"d":{"e":"f","g":[[]]}}`, `[1,2,3]`, `[[1],[2,[3]]]`, `[1,"two",3.5,null,true,{"x":[]}]`, ` { "a" : 1 , "b" : 2 } `, "\n[\t1 ,\r2 ]\n",
	`{"a":1,"a":2}`, `{"a.b":1,"c[0]":2,"":3,"x y":4,"\"q":5,"d\u0065f":6}`, `{"a":{"b":{"c":{"d":1}}}}`, `[0,1,2,3,4,5,6,7,8,9,10]`,
	`{a:1}`, `{'a':'b'}`, `{a:1,}`, `[1,]`, `[1,2,,3]`, `[,]`, `{,}`, `.5`, `5.`, `-.5`, `-5.`, `+5`, `+.5`, `0x1F`, `-0x10`, `0xffffffffffffffff`, `0x1ffffffffffffffff`, `Infinity`, `-Infinity`, `+inf`, `NaN`, `nan`, `qNaN`, `inf`, `{$x_1:1,_y:2,é:3}`, `{\u0061b:1}`,
	`'single'`, `'it''s'`, `'a"b'`, `"a'b"`, `'\x41\v\0'`, `'\'q'`, "'line\\\ncont'", "'line\\\r\ncont'", `"\x4"`, `"\q"`, `"\01"`, `/* c */ [1, // x` + "\n2]", `[1]/**/`, `[1]//end`, `[1]/*`, "\u00a0[1]\ufeff", "\v[1]",
	``, ` `, `{`, `[`, `}`, `]`, `{"a"}`, `{"a":}`, `{"a":1`, `[1`, `[1 2]`, `"abc`, `abc`, `tru`, `truex`, `true1`, `nul`, `01`, `-01`, `1.2.3`, `1e`, `1e+`, `--1`, `1a`, `{1:2}`, `{true:1}`, `{null:1}`, `{nullx:1}`, `{"a":1}}`, `[1]]`, `[1] x`, `{"a" 1}`, `{"a"::1}`, `"\u12"`, `.`, `-`, `+`, `0x`, `1.e5`, `1..2`,
	`{"k":"v","n":{"m":[10,20,30]}}`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000), strings.Repeat("[", 1001) + strings.Repeat("]", 1001), `{"long":"` + strings.Repeat("x", 300) + `"}`,
}

var paths = []string{
	`$`, `$.a`, `$.b`, `$.b[0]`, `$.b[2].c`, `$.d.e`, `$.d.g[0]`, `$.a.b.c.d`, `$[0]`, `$[1]`, `$[#]`, `$[#-1]`, `$[#-2]`, `$[#-99]`, `$[99]`, `$[10]`, `$[2][1]`, `$[1][1][0]`, `$."a.b"`, `$."c[0]"`, `$.""`, `$."x y"`, `$.def`, `$."d\u0065f"`, `$.n.m[1]`, `$.n.m[#]`,
	`$.z`, `$.z.y`, `$.z[0]`, `$.z[0].y`, `$.z[1]`, `$.a[0]`, `$.a.x`, `$.b[3]`, `$.b[#].q`, `$.k`, `$.é`,
	``, `a`, `.a`, `[0]`, `$.`, `$..a`, `$[`, `$[]`, `$[a]`, `$[-1]`, `$[0`, `$."a`, `$a`, `$ .a`, `$.a.`, `$.b[`, `$[#-]`, `$[#x]`, `$[#-1`, `@`, `0`, `2`, `-1`, `b`, `a b`, `x_1`, `[1]`, `[#-1]`,
}

func text(s string) value.Value { return value.NewText(s) }

// randomJSON returns a document, sometimes with a byte of it changed.
func randomJSON(rnd *rand.Rand) string {
	if rnd.IntN(3) == 0 {
		return documents[rnd.IntN(len(documents))]
	}
	var b strings.Builder
	writeJSON(rnd, &b, 0)
	s := b.String()
	if rnd.IntN(6) == 0 && s != "" {
		i := rnd.IntN(len(s))
		c := `{}[],:"'\/ 0a.-+enE*x`[rnd.IntN(21)]
		switch rnd.IntN(3) {
		case 0:
			s = s[:i] + string(c) + s[i:]
		case 1:
			s = s[:i] + s[i+1:]
		default:
			s = s[:i] + string(c) + s[i+1:]
		}
	}
	return s
}

func writeJSON(rnd *rand.Rand, b *strings.Builder, depth int) {
	space := func() { b.WriteString([]string{"", "", "", " ", "\n"}[rnd.IntN(5)]) }
	kind := rnd.IntN(8)
	if depth > 4 {
		kind = 3 + rnd.IntN(5)
	}
	switch kind {
	case 0, 1:
		b.WriteByte('{')
		for i := range rnd.IntN(4) {
			if i > 0 {
				b.WriteByte(',')
			}
			space()
			b.WriteString([]string{`"a"`, `"b"`, `"c"`, `"d\u0065f"`, `"x y"`, `k`, `'q'`}[rnd.IntN(7)])
			space()
			b.WriteByte(':')
			space()
			writeJSON(rnd, b, depth+1)
		}
		b.WriteByte('}')
	case 2:
		b.WriteByte('[')
		for i := range rnd.IntN(5) {
			if i > 0 {
				b.WriteByte(',')
			}
			space()
			writeJSON(rnd, b, depth+1)
		}
		space()
		b.WriteByte(']')
	case 3:
		fmt.Fprint(b, rnd.IntN(2000)-1000)
	case 4:
		fmt.Fprintf(b, "%g", rnd.NormFloat64()*100)
	default:
		b.WriteString([]string{`null`, `true`, `false`, `"s"`, `"\u00e9"`, `"é\n"`, `""`, `1e5`, `0x1f`, `.5`, `'x"y'`, `"` + strings.Repeat("y", 20) + `"`}[rnd.IntN(12)])
	}
}

func TestJSONOfOne(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for _, name := range []string{"json", "json_valid", "json_type", "json_array_length", "json_pretty", "json_error_position", "json_quote", "json_array", "json_remove"} {
		t.Run(name, func(t *testing.T) {
			i := 0
			Exprs(t, judge, Direct{}, calls(name, 1, 8000, func(int) value.Value {
				if i++; i <= len(documents) {
					return text(documents[i-1])
				}
				return text(randomJSON(rnd))
			}))
			if name != "json" && name != "json_valid" {
				return
			}
			vs := pool()
			Exprs(t, judge, Direct{}, calls(name, 1, 2000, func(int) value.Value {
				return random(rnd, vs)
			}))
		})
	}
	t.Run("json_valid with flags", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("json_valid", 2, 8000, func(i int) value.Value {
			if i == 1 {
				return value.NewInt(rnd.Int64N(18))
			}
			return text(randomJSON(rnd))
		}))
	})
}

func TestJSONPaths(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	pick := func(i int) value.Value {
		if i == 0 {
			return text(randomJSON(rnd))
		}
		if rnd.IntN(30) == 0 {
			return value.Value{}
		}
		return text(paths[rnd.IntN(len(paths))])
	}
	for _, name := range []string{"json_extract", "json_type", "json_array_length", "json_remove"} {
		t.Run(name, func(t *testing.T) { Exprs(t, judge, Direct{}, calls(name, 2, 30000, pick)) })
	}
	for _, name := range []string{"json_extract", "json_remove"} {
		t.Run(name+" of two", func(t *testing.T) { Exprs(t, judge, Direct{}, calls(name, 3, 20000, pick)) })
	}
	for _, op := range []string{"->", "->>"} {
		t.Run(op, func(t *testing.T) {
			e := call(op, 2)
			e.SQL = "?1 " + op + " ?2"
			Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
				for range 30000 {
					e.Args = []value.Value{pick(0), pick(1)}
					if rnd.IntN(4) == 0 {
						e.Args[1] = value.NewInt(rnd.Int64N(12) - 5)
					}
					if !yield(e) {
						return
					}
				}
			})
		})
	}
}

func TestJSONEdits(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	vs := pool()
	for _, name := range []string{"json_set", "json_insert", "json_replace", "json_array_insert"} {
		for _, n := range []int{3, 5} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				Exprs(t, judge, Direct{}, calls(name, n, 30000, func(i int) value.Value {
					switch {
					case i == 0:
						return text(randomJSON(rnd))
					case i%2 == 1:
						return text(paths[rnd.IntN(len(paths))])
					case rnd.IntN(2) == 0:
						return value.NewInt(rnd.Int64N(100))
					}
					return random(rnd, vs)
				}))
			})
		}
		t.Run(name+" of even", func(t *testing.T) {
			Exprs(t, judge, Direct{}, calls(name, 2, 10, func(int) value.Value { return text("{}") }))
		})
	}
	t.Run("json_patch", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("json_patch", 2, 40000, func(int) value.Value { return text(randomJSON(rnd)) }))
	})
}

func TestJSONBuild(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	vs := pool()
	pick := func(i int) value.Value {
		if rnd.IntN(2) == 0 {
			return text(shortText(rnd, 3, "ab\"\\\t"))
		}
		return random(rnd, vs)
	}
	for n := range 5 {
		Exprs(t, judge, Direct{}, calls("json_array", n, 5000, pick))
		Exprs(t, judge, Direct{}, calls("json_object", n, 5000, pick))
	}
	Exprs(t, judge, Direct{}, calls("json_quote", 1, 5000, pick))
	nested := func(args []value.Value) (value.Value, error) {
		inner, err := call("json", 1).Eval(args[:1])
		if err != nil {
			return inner, err
		}
		return call("json_array", 2).Eval([]value.Value{inner, args[1]})
	}
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		for range 5000 {
			if !yield(Expr{SQL: "json_array(json(?1), ?2)", Eval: nested, Args: []value.Value{text(randomJSON(rnd)), text(randomJSON(rnd))}}) {
				return
			}
		}
	})
	set := func(args []value.Value) (value.Value, error) {
		inner, err := call("json", 1).Eval(args[1:])
		if err != nil {
			return inner, err
		}
		return call("json_set", 3).Eval([]value.Value{args[0], text("$.new"), inner})
	}
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		for range 5000 {
			if !yield(Expr{SQL: "json_set(?1, '$.new', json(?2))", Eval: set, Args: []value.Value{text(documents[30+rnd.IntN(10)]), text(randomJSON(rnd))}}) {
				return
			}
		}
	})
}

func TestJSONAggregates(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	vs := pool()
	for range 3000 {
		rows := make([]value.Value, rnd.IntN(6))
		for i := range rows {
			rows[i] = random(rnd, vs)
		}
		checkAggregate(t, judge, "json_group_array", rows, nil)
		checkAggregate(t, judge, "json_group_object", rows, []value.Value{value.NewInt(rnd.Int64N(9))})
	}
}

func TestJSONTables(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	columns := strings.Join(fn.JSONColumns[:], ", ")
	n := 0
	for i := range 12000 {
		doc := randomJSON(rnd)
		if i < len(documents) {
			doc = documents[i]
		}
		root := "$"
		if rnd.IntN(2) == 0 {
			root = paths[rnd.IntN(len(paths))]
		}
		for _, name := range []string{"json_each", "json_tree"} {
			want, wantErr := judge.Query("SELECT rowid, "+columns+" FROM "+name+"(?1, ?2)", text(doc), text(root))
			got, err := jsonRows(text(doc), text(root), name)
			if !sameError(err, wantErr) {
				t.Errorf("%s(%q, %q): %v, SQLite %v", name, doc, root, err, wantErr)
				continue
			}
			n += len(got)
			if a, b := showRows(got), showRows(want); err == nil && a != b {
				t.Errorf("%s(%.200q, %q):\n%sSQLite:\n%s", name, doc, root, a, b)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rows", n)
}

func jsonRows(doc, root value.Value, name string) ([][]value.Value, error) {
	c, err := fn.NewJSONCursor(doc, root, strings.HasSuffix(name, "_tree"), strings.HasPrefix(name, "jsonb_"))
	if err != nil {
		return nil, err
	}
	var rows [][]value.Value
	for c.Next() {
		row := []value.Value{value.NewInt(c.RowID())}
		for i := range fn.JSONColumns {
			v, err := c.Column(i)
			if err != nil {
				return nil, err
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	return rows, c.Err()
}

func showRows(rows [][]value.Value) string {
	var b strings.Builder
	for _, row := range rows {
		b.WriteString("\t" + showAll(row) + "\n")
	}
	return b.String()
}
