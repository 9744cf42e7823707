package difftest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// jsonbGen makes JSONB, valid or not.
type jsonbGen struct {
	*rand.Rand
	broken int // how often, in percent, an element is not as it should be
}

func (g *jsonbGen) chance(percent int) bool { return g.IntN(100) < percent }

func (g *jsonbGen) pick(of ...string) string { return of[g.IntN(len(of))] }

// head returns the head of an element, not always the shortest.
func (g *jsonbGen) head(kind, size int) []byte {
	if g.chance(g.broken) {
		size += g.IntN(5) - 2
	}
	if g.chance(g.broken) {
		kind = g.IntN(16)
	}
	size = max(size, 0)
	b := byte(kind)
	shape := 0
	for _, most := range []int{11, 0xff, 0xffff} {
		if size > most {
			shape++
		}
	}
	if g.chance(15) {
		shape = max(shape, g.IntN(5))
	}
	switch shape {
	case 0:
		return []byte{b | byte(size)<<4}
	case 1:
		return []byte{b | 0xc0, byte(size)}
	case 2:
		return binary.BigEndian.AppendUint16([]byte{b | 0xd0}, uint16(size))
	case 3:
		return binary.BigEndian.AppendUint32([]byte{b | 0xe0}, uint32(size))
	}
	return binary.BigEndian.AppendUint64([]byte{b | 0xf0}, uint64(size))
}

// contents are texts of elements by kind: good ones first.
var contents = [][]string{
	3:  {"0", "1", "-1", "12", "-0", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "12345678901234567890123", "007", "", "-", "+1", "1.5", "x", "1x", " 1", "1 ", "--5", "--9223372036854775808", "1[", "1\x002", "\v5", "1 2", "0x10", "-x"},
	4:  {"0x0", "0x1F", "-0x10", "0xffffffffffffffff", "0x1ffffffffffffffff", "0x00000000000000001", "-0x8000000000000000", "", "-", "0x", "+0x1", "0xg", "1f", "0", "00", "-0x", "0x1 ", "0x1\x00z"},
	5:  {"1.5", "-0.0", "1e3", "1E-3", "9e999", "-9e999", "0.1", "123456789012345678.5", "", ".5", "5.", "1", "1.5.2", "1e", "1e+", "00.1", "e5", "-", "1.5x", " 1.5", "1.5 ", "1.e5", "1.5\x00z", "Inf", "-0", "-e5"},
	6:  {".5", "5.", "-.5", "1.e5", "-5.e-1", "1.5", "", "-", ".", "-.", "5..", "..", "e", "1", ".e5", "-.x", "5.x"},
	7:  {"a", "b", "c", "", "abc", "a.b", "x y", "é日本", "it's", "yyyyyyyyyyyyyyyyyyyy", "\"", "a\\b", "a\nb", "a\x00b", "\xff\xfe", "1"},
	8:  {`\n`, `a\"b`, `\u00e9`, `\ud83c\udf89`, `a\/b`, `d\u0065f`, `\\`, "plain", `\`, `\q`, `\u12`, `\uzzzz`, `a"b`, `\'`, `\x41`, "a\tb", "\\\x00", `a\u0000b`, `\ud83c`, `\udf89\ud83c`},
	9:  {`\'`, `\x41`, `\v`, "\\\n", "\\\r\n", `\0`, "a\tb", `a"b`, "\\\u2028x", `d\x65f`, "a\\\nb", `\`, `\x4`, `\xzz`, `\q`, `\01`, "\\\xe2\x80", "\\\xe2\x80\xaa", "\\\xe2", "\\\n\\\n", "\\\r", "\\\n\\x41", "\\\n\xed\xa0\x80", "\\\n\xf2\x99\xa6\x99", "\\\n\xc1\x81x", `\u00e9`, "'"},
	10: {"a", "a\"b", "a\\b", "\n\t\x01", "", "é", "a\x00b", "\xff", "def", "x y", "'", "a'b"},
}

// element appends one element.
func (g *jsonbGen) element(dst []byte, depth int) []byte {
	kind := g.IntN(13)
	if depth == 0 && g.chance(80) {
		kind = 11 + g.IntN(2)
	} else if depth > 3 {
		kind = g.IntN(11)
	}
	if kind < 3 {
		return append(dst, g.head(kind, 0)...)
	}
	if kind < 11 {
		return g.leaf(dst, kind)
	}
	n := g.IntN(5)
	var inside []byte
	for i := range n {
		if kind == 12 && !g.chance(g.broken) {
			inside = g.leaf(inside, 7+g.IntN(4))
		}
		if kind != 12 || i < n-1 || !g.chance(g.broken) {
			inside = g.element(inside, depth+1)
		}
	}
	return append(append(dst, g.head(kind, len(inside))...), inside...)
}

func (g *jsonbGen) leaf(dst []byte, kind int) []byte {
	list := contents[kind]
	s := list[g.IntN(min(8, len(list)))]
	if g.chance(2 * g.broken) {
		s = list[g.IntN(len(list))]
	}
	if kind >= 7 && g.chance(5) {
		s = strings.Repeat(s, 1+g.IntN(80))
	}
	return append(append(dst, g.head(kind, len(s))...), s...)
}

// blob makes a document, in one of four with bytes changed.
func (g *jsonbGen) blob() value.Value {
	g.broken = 0
	if g.chance(40) {
		g.broken = 1 + g.IntN(15)
	}
	b := g.element(nil, 0)
	for g.chance(25) && len(b) > 0 {
		i := g.IntN(len(b))
		switch g.IntN(5) {
		case 0:
			b = append(b[:i], b[i+1:]...)
		case 1:
			b = append(b[:i], append([]byte{byte(g.IntN(256))}, b[i:]...)...)
		case 2:
			b[i] = byte(g.IntN(256))
		case 3:
			b[i] ^= 1 << g.IntN(8)
		default:
			b[i] = b[i]&0xf0 | byte(g.IntN(16))
		}
		if len(b) > 0 && g.chance(60) { // with the size of the whole right, SQLite looks into it
			b = reseal(b)
		}
	}
	return value.NewBlob(string(b))
}

// reseal gives a document the head that fits its size.
func reseal(b []byte) []byte {
	skip := 1
	switch b[0] >> 4 {
	case 12:
		skip = 2
	case 13:
		skip = 3
	case 14:
		skip = 5
	case 15:
		skip = 9
	}
	inside := b[min(skip, len(b)):]
	return append(binary.BigEndian.AppendUint16([]byte{b[0]&15 | 0xd0}, uint16(len(inside))), inside...)
}

// document is JSONB, text, or a blob that is text.
func (g *jsonbGen) document() value.Value {
	switch g.IntN(12) {
	case 0:
		return text(randomJSON(g.Rand))
	case 1:
		return value.NewBlob(randomJSON(g.Rand))
	case 2:
		return value.NewBlob(g.pick("{}", "[]", "[1]", "123", "[1,2]", "\"a\"", "{a:1}", "[1,2,3]", "3", "33", "3abc", "[12345678", "71234567", "{1234567", "{1\"a\"23", "[1", "7abcdefg", "61.5e2", "4abc", "40x1", "null", " 1", "\x00", "\x01", "\x02", "\x03", "\x10", "\x0b", "\x0c", "\x0d", "", "\xcb\x00", "\xfb\x00\x00\x00\x00\x00\x00\x00\x00", "\xfb\x00\x00\x00\x01\x00\x00\x00\x00"))
	}
	return g.blob()
}

// argument is any value, often a document.
func (g *jsonbGen) argument(vs []value.Value) value.Value {
	switch g.IntN(4) {
	case 0:
		return random(g.Rand, vs)
	case 1:
		return value.NewInt(g.Int64N(2000) - 1000)
	}
	return g.document()
}

func (g *jsonbGen) path() value.Value {
	if g.chance(3) {
		return value.Value{}
	}
	if g.chance(30) {
		return text("$" + g.pick(`.a`, `.b`, `.c`, `[0]`, `[1]`, `[2]`, `[#-1]`, `[#]`, `."x y"`, `.abc`) + g.pick("", "", `.a`, `.b`, `[0]`, `[1]`, `[#-1]`, `[#]`, `."d\u0065f"`, `.def`, `."\x64ef"`) + g.pick("", "", "", `.a`, `[0]`, `[#]`))
	}
	return text(paths[g.IntN(len(paths))])
}

// Functions of JSONB: every function on every kind of document, malformed ones too.
func TestJSONB(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	g := &jsonbGen{Rand: rnd}
	vs := pool()
	one := []string{"json", "jsonb", "json_valid", "json_type", "json_array_length", "json_pretty", "json_error_position", "json_quote", "json_array", "jsonb_array", "json_remove", "jsonb_remove", "json_set", "jsonb_set"}
	for _, name := range one {
		t.Run(name, func(t *testing.T) {
			Exprs(t, judge, Direct{}, calls(name, 1, 6000, func(int) value.Value { return g.document() }))
		})
	}
	t.Run("flags", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("json_valid", 2, 8000, func(i int) value.Value {
			if i == 1 {
				return value.NewInt(1 + rnd.Int64N(15))
			}
			return g.document()
		}))
	})
	withPaths := func(i int) value.Value {
		if i == 0 {
			return g.document()
		}
		return g.path()
	}
	for _, name := range []string{"json_extract", "jsonb_extract", "json_type", "json_array_length", "json_remove", "jsonb_remove"} {
		for n := 2; n < 4; n++ {
			if n == 2 || strings.HasSuffix(name, "t") || strings.HasSuffix(name, "remove") {
				t.Run(fmt.Sprint(name, n), func(t *testing.T) { Exprs(t, judge, Direct{}, calls(name, n, 8000, withPaths)) })
			}
		}
	}
	for _, name := range []string{"set", "insert", "replace", "array_insert"} {
		for _, n := range []int{3, 5} {
			for _, prefix := range []string{"json_", "jsonb_"} {
				t.Run(fmt.Sprint(prefix, name, n), func(t *testing.T) {
					Exprs(t, judge, Direct{}, calls(prefix+name, n, 8000, func(i int) value.Value {
						if i > 0 && i%2 == 0 {
							return g.argument(vs)
						}
						return withPaths(i)
					}))
				})
			}
		}
	}
	for _, name := range []string{"json_patch", "jsonb_patch"} {
		t.Run(name, func(t *testing.T) {
			Exprs(t, judge, Direct{}, calls(name, 2, 12000, func(int) value.Value { return g.document() }))
		})
	}
	t.Run("pretty", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("json_pretty", 2, 3000, func(i int) value.Value {
			if i == 1 {
				return text(g.pick("", " ", "\t", "é", "ab\x00c"))
			}
			return g.document()
		}))
	})
}

// The operators, and functions that make JSONB of values.
func TestJSONBBuild(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	g := &jsonbGen{Rand: rnd}
	vs := pool()
	for _, op := range []string{"->", "->>"} {
		t.Run(op, func(t *testing.T) {
			e := call(op, 2)
			e.SQL = "?1 " + op + " ?2"
			Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
				for range 10000 {
					e.Args = []value.Value{g.document(), g.path()}
					if rnd.IntN(3) == 0 {
						e.Args[1] = value.NewInt(rnd.Int64N(12) - 5)
					}
					if !yield(e) {
						return
					}
				}
			})
		})
	}
	for _, name := range []string{"json_array", "jsonb_array", "json_object", "jsonb_object"} {
		for n := range 5 {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				list := calls(name, n, 4000, func(i int) value.Value {
					if strings.HasSuffix(name, "object") && i%2 == 0 && rnd.IntN(8) > 0 {
						return text(shortText(rnd, 3, "ab\"\\\t"))
					}
					return g.argument(vs)
				})
				Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
					list(func(e Expr) bool {
						e.AnyError = n > 1
						return yield(e)
					})
				})
			})
		}
	}
	t.Run("subtype", func(t *testing.T) {
		for _, name := range []string{"jsonb", "jsonb_array", "json_array", "jsonb_extract", "jsonb_set", "jsonb_remove"} {
			Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
				for range 300 {
					e := Expr{SQL: "subtype(" + name + "(?1))", Args: []value.Value{g.document()}, Eval: func(args []value.Value) (value.Value, error) {
						v, err := call(name, 1).Eval(args)
						if err != nil {
							return v, err
						}
						return call("subtype", 1).Eval([]value.Value{v})
					}}
					if !yield(e) {
						return
					}
				}
			})
		}
	})
}

func TestJSONBAggregates(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	g := &jsonbGen{Rand: rnd}
	vs := pool()
	for range 6000 {
		rows := make([]value.Value, rnd.IntN(6))
		for i := range rows {
			rows[i] = g.argument(vs)
		}
		for _, name := range []string{"json_group_array", "jsonb_group_array"} {
			checkAggregate(t, judge, name, rows, nil)
		}
		for _, name := range []string{"json_group_object", "jsonb_group_object"} {
			checkAggregate(t, judge, name, rows, []value.Value{g.argument(vs)})
		}
		if t.Failed() {
			return
		}
	}
}

func TestJSONBTables(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	g := &jsonbGen{Rand: rnd}
	columns := strings.Join(fn.JSONColumns[:], ", ")
	n := 0
	for range 6000 {
		doc, root := g.document(), text("$")
		if rnd.IntN(2) == 0 {
			root = g.path()
		}
		for _, name := range []string{"json_each", "json_tree", "jsonb_each", "jsonb_tree"} {
			want, wantErr := judge.Query("SELECT rowid, "+columns+" FROM "+name+"(?1, ?2)", doc, root)
			got, err := jsonRows(doc, root, name)
			if !sameError(err, wantErr) {
				t.Errorf("%s(%s, %s): %v, SQLite %v", name, Show(doc), Show(root), err, wantErr)
				continue
			}
			n += len(got)
			if a, b := showRows(got), showRows(want); err == nil && a != b {
				t.Errorf("%s(%s, %s):\n%sSQLite:\n%s", name, Show(doc), Show(root), a, b)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rows", n)
}
