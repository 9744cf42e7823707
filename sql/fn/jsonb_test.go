package fn_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// hx returns a blob given in hexadecimal, with spaces for the reader.
func hx(s string) value.Value {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return bl(string(b))
}

// The bytes of JSONB, as SQLite 3.54 gives them.
func TestJSONBBytes(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name string
		args []value.Value
		want value.Value
	}{
		{"jsonb", args(null), null},
		{"jsonb", args(tx("null")), hx("00")},
		{"jsonb", args(tx("true")), hx("01")},
		{"jsonb", args(tx("false")), hx("02")},
		{"jsonb", args(tx("-12")), hx("33 2d3132")},
		{"jsonb", args(tx("0x1F")), hx("44 30783146")},
		{"jsonb", args(tx("1.5e3")), hx("55 312e356533")},
		{"jsonb", args(tx("+.5")), hx("26 2e35")},
		{"jsonb", args(tx("Infinity")), hx("55 3965393939")},
		{"jsonb", args(tx(`"a'b"`)), hx("37 612762")},
		{"jsonb", args(tx(`"\n"`)), hx("28 5c6e")},
		{"jsonb", args(tx(`'\x41'`)), hx("49 5c783431")},
		{"jsonb", args(tx(`'a"b'`)), hx("39 612262")},
		{"jsonb", args(tx("[]")), hx("0b")},
		{"jsonb", args(tx(`{"a":[1,2]}`)), hx("7c 17 61 4b 13 31 13 32")},
		{"jsonb", args(tx(`"` + strings.Repeat("x", 12) + `"`)), hx("c7 0c" + strings.Repeat("78", 12))},
		{"jsonb", args(tx(`"` + long + `"`)), hx("d7 012c" + strings.Repeat("78", 300))},
		{"jsonb", args(tx(`"` + strings.Repeat("x", 1<<16) + `"`)), hx("e7 00010000" + strings.Repeat("78", 1<<16))},
		{"jsonb", args(hx("cb 02 13 31")), hx("cb 02 13 31")}, // as it was
		{"jsonb", args(hx("13 31")), hx("13 31")},
		{"jsonb", args(bl(`{"a":1}`)), hx("4c 17 61 13 31")}, // text in a blob
		{"jsonb_array", args(in(1), tx("a\"b"), hx("13 32"), null, fl(1.5)), value.NewJSONB(hx("cb 0e 13 31 48 615c2262 13 32 00 35 312e35").Str())},
		{"jsonb_object", args(tx("a"), value.NewJSON("[1]")), value.NewJSONB(hx("5c 17 61 2b 13 31").Str())},
		{"jsonb_extract", args(tx(`{"a":[1]}`), tx("$.a")), hx("2b 13 31")},
		{"jsonb_extract", args(tx(`{"a":"x"}`), tx("$.a")), tx("x")},
		{"jsonb_extract", args(tx(`[1,2]`), tx("$[0]"), tx("$[5]")), hx("3b 13 31 00")},
		{"jsonb_set", args(tx("{}"), tx("$.a"), tx("b")), hx("4c 1a 61 1a 62")},
		{"jsonb_set", args(tx("{}"), tx(`$."\u0061"`), in(1)), hx("9c 69 5c7530303631 13 31")},
		{"jsonb_set", args(tx("[12345]"), tx("$[0]"), in(1)), hx("6b e3 00000001 31")}, // in place, with a longer head
		{"jsonb_set", args(tx("[1]"), tx("$[1]"), hx("0b")), hx("3b 13 31 0b")},
		{"jsonb_insert", args(tx("[1]"), tx("$[0]"), in(2)), hx("2b 13 31")},
		{"jsonb_replace", args(tx("[1]"), tx("$[0]"), in(2)), hx("2b 13 32")},
		{"jsonb_array_insert", args(tx("[1]"), tx("$[0]"), in(2)), hx("4b 13 32 13 31")},
		{"jsonb_remove", args(tx("[1,2]"), tx("$[0]")), hx("2b 13 32")},
		{"jsonb_remove", args(tx("[1,2]"), tx("$")), null},
		{"jsonb_patch", args(tx(`{"a":1}`), tx(`{"a":null,"b":{"c":2}}`)), hx("7c 17 62 4c 17 63 13 32")},
		{"subtype", args(value.NewJSONB("\x0b")), in(74)},
	} {
		got, err := call(t, c.name, c.args)
		if err != nil || got != c.want {
			t.Errorf("%s of %d is %.40x %s (%v), want %.40x %s", c.name, len(c.args), got.Str(), got.Kind(), err, c.want.Str(), c.want.Kind())
		}
	}
}

// JSONB is taken for JSON wherever JSON is.
func TestJSONBIn(t *testing.T) {
	doc := hx("cc 0f 17 61 9b 13 31 26 2e35 39 612262 17 62 00")
	for _, c := range []struct {
		name string
		args []value.Value
		want value.Value
	}{
		{"json", args(doc), value.NewJSON(`{"a":[1,0.5,"a\"b"],"b":null}`)},
		{"json_quote", args(doc), value.NewJSON(`{"a":[1,0.5,"a\"b"],"b":null}`)},
		{"json_array", args(doc), value.NewJSON(`[{"a":[1,0.5,"a\"b"],"b":null}]`)},
		{"json_type", args(doc, tx("$.a[1]")), tx("real")},
		{"json_array_length", args(doc, tx("$.a")), in(3)},
		{"->", args(doc, tx("a")), value.NewJSON(`[1,0.5,"a\"b"]`)},
		{"->>", args(doc, tx("$.a[#-1]")), tx(`a"b`)},
		{"json_pretty", args(hx("4b 13 31 0b 0c"), tx("_")), tx("[\n_1,\n_[],\n_{}\n]")},
		{"json_set", args(tx("[1]"), tx("$[0]"), hx("2b 13 32")), value.NewJSON("[[2]]")},
		{"json_valid", args(doc), in(0)},
		{"json_valid", args(doc, in(4)), in(1)},
		{"json_valid", args(doc, in(8)), in(1)},
		{"json_valid", args(hx("cb 02 13 78"), in(4)), in(1)},
		{"json_valid", args(hx("cb 02 13 78"), in(8)), in(0)},
		{"json_valid", args(hx("cb 02 13 78"), in(3)), in(0)},
		{"json_valid", args(tx("[1]"), in(12)), in(0)},
		{"json_valid", args(bl("[1]"), in(9)), in(1)},
		{"json_error_position", args(doc), in(0)},
		{"json_error_position", args(hx("cb 04 13 31 13 78")), in(6)},
		{"json_valid", args(null, in(8)), null},
	} {
		got, err := call(t, c.name, c.args)
		if err != nil || got != c.want {
			t.Errorf("%s of %d is %q (%v), want %q", c.name, len(c.args), got.AsText(), err, c.want.AsText())
		}
	}
}

// nested returns JSONB of n arrays, one in another.
func nested(n int) string {
	s := "\x0b"
	for range n - 1 {
		s = "\xdb" + string([]byte{byte(len(s) >> 8), byte(len(s))}) + s
	}
	return s
}

// Malformed JSONB is found where it is looked at, and not before.
func TestJSONBErrors(t *testing.T) {
	deep := nested(1002)
	const malformed = "malformed JSON"
	for _, c := range []struct {
		name string
		args []value.Value
		want string // an error, or a result after "="
	}{
		{"json", args(hx("cb 02 13 31 00")), malformed}, // more bytes than the head says
		{"json", args(hx("cb 02 13")), malformed},
		{"json", args(hx("0d")), malformed}, // no kind
		{"json", args(hx("10")), malformed}, // null with a content
		{"json", args(hx("cb 02 93 31")), malformed},
		{"json", args(hx("cc 02 17 61")), malformed}, // a label without a value
		{"json", args(hx("03")), malformed},
		{"json", args(hx("cb 03 0b 0b 0d")), malformed},
		{"json", args(bl("{x")), malformed},
		{"jsonb", args(hx("cb 02 93 31")), "=\xcb\x02\x931"},
		{"json_extract", args(hx("cb 04 13 31 93 31"), tx("$[0]")), "=1"},
		{"json_extract", args(hx("cb 04 13 31 93 31"), tx("$[1]")), malformed},
		{"json_extract", args(hx("cb 04 93 31 13 31"), tx("$[1]")), malformed},
		{"json_extract", args(hx("cc 04 13 31 13 32"), tx("$.a")), malformed}, // the label is a number
		{"json_extract", args(hx("33 312e35"), tx("$")), "=31.5"},             // the text 31.5
		{"json_extract", args(hx("4b 33 312e35"), tx("$[0]")), malformed},     // 1.5 is no integer
		{"json_patch", args(hx("cc 02 17 61"), tx(`{"b":1}`)), malformed},
		{"json_patch", args(tx(`{"b":1}`), hx("cc 02 17 61")), malformed},
		{"json_array", args(hx("cb 02 93 31")), malformed},
		{"json_array", args(bl("\xff"), hx("03")), malformed},
		{"json_array", args(hx("03"), bl("\xff")), malformed},
		{"json_array", args(bl("\xff")), "JSON cannot hold BLOB values"},
		{"json_set", args(tx("[1]"), tx("$[0]"), bl("[1]")), "JSON cannot hold BLOB values"},
		{"json", args(bl(deep)), "JSON nested too deep"},
		{"json_pretty", args(bl(deep)), "JSON nested too deep"},
		{"json_valid", args(bl(deep), in(8)), "=0"},
		{"json_extract", args(bl(deep), tx("$"+strings.Repeat("[0]", 1001))), "JSON path too deep"},
		{"json_array_length", args(bl(deep)), "=1"},
		{"jsonb_set", args(tx("{}"), tx("$"+strings.Repeat(".a", 1001)), in(1)), "JSON path too deep"},
		{"json_pretty", args(bl("\x6b\x5b\x4b\x3b\x2b\x13\x31"), tx(strings.Repeat(" ", fn.MaxLength/2))), "string or blob too big"},
		{"jsonb_object", args(in(1), in(2)), "json_object() labels must be TEXT"},
		{"jsonb_set", args(in(1), in(2)), "json_set() needs an odd number of arguments"},
	} {
		got, err := call(t, c.name, c.args)
		result := "=" + got.AsText()
		if err != nil {
			result = err.Error()
		}
		if result != c.want {
			t.Errorf("%s of %.20x: %.80q, want %q", c.name, c.args[0].AsText(), result, c.want)
		}
	}
}

func TestJSONBGroups(t *testing.T) {
	for _, c := range []struct {
		name string
		rows [][]value.Value
		want value.Value
		err  string
	}{
		{"jsonb_group_array", nil, value.NewJSONB("\x0b"), ""},
		{"jsonb_group_object", nil, value.NewJSONB("\x0c"), ""},
		{"jsonb_group_array", [][]value.Value{args(in(1)), args(hx("2b 13 32")), args(tx("x"))}, hx("7b 13 31 2b 13 32 17 78"), ""},
		{"jsonb_group_object", [][]value.Value{args(tx("a"), in(1)), args(null, in(2)), args(tx("b"), hx("0b"))}, hx("7c 17 61 13 31 17 62 0b"), ""},
		{"json_group_array", [][]value.Value{args(hx("26 2e35")), args(hx("0c"))}, value.NewJSON("[0.5,{}]"), ""},
		{"json_group_array", [][]value.Value{args(hx("03")), args(in(1))}, null, "malformed JSON"},
		{"jsonb_group_array", [][]value.Value{args(bl("\xff"))}, null, "JSON cannot hold BLOB values"},
	} {
		d, ok := fn.LookupAggregate(c.name, 1+strings.Count(c.name, "object"))
		if !ok {
			t.Fatal(c.name)
		}
		a := d.New()
		var got value.Value
		var err error
		for i := 0; i < len(c.rows) && err == nil; i++ {
			err = a.Step(c.rows[i])
		}
		if err == nil {
			got, err = a.Final()
		}
		if got != c.want || err == nil && c.err != "" || err != nil && err.Error() != c.err {
			t.Errorf("%s of %d rows is %x, %v; want %x, %s", c.name, len(c.rows), got.AsText(), err, c.want.AsText(), c.err)
		}
	}
}

func TestJSONBTables(t *testing.T) {
	rows := func(doc value.Value, tree, binary bool) string {
		c, err := fn.NewJSONCursor(doc, tx("$"), tree, binary)
		if err != nil {
			return err.Error()
		}
		var b strings.Builder
		for c.Next() {
			for i := range 5 { // key, value, type, atom, id
				v, err := c.Column(i)
				if err != nil {
					return strings.TrimSpace(b.String() + err.Error())
				}
				if v.Kind() == value.Blob {
					v = tx("x" + hex.EncodeToString([]byte(v.Str())))
				}
				b.WriteString(v.AsText() + " ")
			}
			b.WriteString("| ")
		}
		if err := c.Err(); err != nil {
			b.WriteString(err.Error())
		}
		return strings.TrimSpace(b.String())
	}
	for _, c := range []struct {
		doc          value.Value
		tree, binary bool
		want         string
	}{
		{tx(`{"a":[1],"b":2}`), false, true, "a x2b1331 array  1 | b 2 integer 2 6 |"},
		{hx("cc 07 17 61 cb 01 00 17 62"), false, true, "a xcb0100 array  2 | b b text b 7 |"}, // without a value: SQLite takes the label
		{tx(`{"a":[1],"b":2}`), true, false, `{"a":[1],"b":2} object  0 | a [1] array  1 | 0 1 integer 1 4 | b 2 integer 2 6 |`},
		{hx("4b 13 31 93 32"), false, false, "0 1 integer 1 1 | 1 malformed JSON"},
		{hx("4b 13 31 93 32"), true, false, "malformed JSON"},
	} {
		if got := rows(c.doc, c.tree, c.binary); got != c.want {
			t.Errorf("rows of %.40q are\n%s, want\n%s", c.doc.AsText(), got, c.want)
		}
	}
}

// What is of no kind is looked into as if it had labels, as SQLite does.
func TestJSONBTableOfNoKind(t *testing.T) {
	c, err := fn.NewJSONCursor(hx("cb 03 2f 17 61"), tx("$[0]"), false, false)
	if err != nil || !c.Next() {
		t.Fatal(err)
	}
	if v, err := c.Column(6); err != nil || v != tx("$[0].a") {
		t.Errorf("fullkey is %q, %v", v.AsText(), err)
	}
}

// A cursor that nobody reads the values of goes on to where it must look.
func TestJSONBTreeEnds(t *testing.T) {
	for _, c := range []struct {
		doc  value.Value
		rows int
		err  string
	}{
		{hx("4b 13 31 93 32"), 3, "malformed JSON"},
		{bl(nested(1000)), 1000, ""},
		{bl(nested(1001)), 1001, "JSON nested too deep"},
	} {
		cursor, err := fn.NewJSONCursor(c.doc, tx("$"), true, false)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for cursor.Next() {
			n++
		}
		if err := cursor.Err(); n != c.rows || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%d rows, then %v; want %d, %q", n, err, c.rows, c.err)
		}
	}
}
