package fn_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// What SQLite answers is compared in sql/difftest, over many more calls.

func in(i int64) value.Value   { return value.NewInt(i) }
func fl(r float64) value.Value { return value.NewFloat(r) }
func tx(s string) value.Value  { return value.NewText(s) }
func bl(s string) value.Value  { return value.NewBlob(s) }

var null value.Value

func args(vs ...value.Value) []value.Value { return vs }

var context = fn.Context{
	Now:     time.Date(2026, 11, 23, 10, 30, 0, 123_000_000, time.UTC),
	Changes: 3, TotalChanges: 9, LastInsertRowID: 42,
	Location: time.FixedZone("", 3600),
}

func call(tb testing.TB, name string, args []value.Value) (value.Value, error) {
	tb.Helper()
	f, err := fn.LookupScalar(name, len(args))
	if err != nil {
		tb.Fatal(err)
	}
	c := context
	return f.Call(&c, args)
}

func TestScalars(t *testing.T) {
	for _, c := range []struct {
		name string
		args []value.Value
		want value.Value
	}{
		{"abs", args(in(-5)), in(5)},
		{"Coalesce", args(null, null, in(3)), in(3)},
		{"ifnull", args(null, tx("x")), tx("x")},
		{"nullif", args(in(1), fl(1)), null},
		{"iif", args(tx("0"), in(1), in(2)), in(2)},
		{"min", args(tx("a"), in(5), bl("")), in(5)},
		{"max", args(tx("a"), in(5), null), null},
		{"length", args(tx("日本\x00x")), in(2)},
		{"length", args(bl("日本")), in(6)},
		{"octet_length", args(tx("日本")), in(6)},
		{"upper", args(tx("aé")), tx("Aé")},
		{"substr", args(tx("hello"), in(-3), in(2)), tx("ll")},
		{"substr", args(bl("hello"), in(2)), bl("ello")},
		{"instr", args(tx("日本語"), tx("語")), in(3)},
		{"replace", args(tx("aaa"), tx("a"), tx("bb")), tx("bbbbbb")},
		{"trim", args(tx("xxaxx"), tx("x")), tx("a")},
		{"hex", args(bl("\x01\xab")), tx("01AB")},
		{"unhex", args(tx("01 ab"), tx(" ")), bl("\x01\xab")},
		{"quote", args(tx("it's")), tx("'it''s'")},
		{"quote", args(fl(math.Inf(1))), tx("9.0e+999")},
		{"char", args(in(65), in(0x1f600)), tx("A😀")},
		{"unicode", args(tx("é")), in(233)},
		{"concat_ws", args(tx("-"), in(1), null, in(2)), tx("1-2")},
		{"round", args(fl(2.5)), fl(3)},
		{"round", args(fl(1.005), in(2)), fl(1)}, // it is a little less than it says
		{"printf", args(tx("%05.1f|%-4d|%,d|%Q|%x"), fl(3.14159), in(7), in(1234567), tx("o'k"), in(255)), tx("003.1|7   |1,234,567|'o''k'|ff")},
		{"typeof", args(bl("")), tx("blob")},
		{"zeroblob", args(in(3)), bl("\x00\x00\x00")},
		{"like", args(tx("a\\_%"), tx("A_b"), tx("\\")), in(1)},
		{"glob", args(tx("*.[ch]"), tx("main.c")), in(1)},
		{"changes", nil, in(3)},
		{"total_changes", nil, in(9)},
		{"last_insert_rowid", nil, in(42)},
		{"sqlite_version", nil, tx(fn.SQLiteVersion)},
		{"sign", args(tx("-2.5")), in(-1)},
		{"sign", args(tx("x")), null},
		{"log10", args(in(1000)), fl(3)},
		{"pow", args(in(10), in(-2)), fl(0.01)},
		{"sqrt", args(in(-1)), null},
		{"mod", args(fl(7.5), in(2)), fl(1.5)},
		{"date", args(tx("2024-02-30")), tx("2024-03-01")},
		{"date", args(tx("2024-01-31"), tx("+1 month")), tx("2024-03-02")},
		{"date", args(tx("2024-01-31"), tx("+1 month"), tx("floor")), tx("2024-02-29")},
		{"datetime", args(tx("now")), tx("2026-11-23 10:30:00")},
		{"datetime", args(tx("now"), tx("localtime")), tx("2026-11-23 11:30:00")},
		{"datetime", args(tx("2026-11-23 11:30:00"), tx("utc")), tx("2026-11-23 10:30:00")},
		{"datetime", args(tx("now"), tx("subsec")), tx("2026-11-23 10:30:00.123")},
		{"time", nil, tx("10:30:00")},
		{"unixepoch", args(tx("1970-01-02")), in(86400)},
		{"julianday", args(tx("2000-01-01 12:00")), fl(2451545)},
		{"strftime", args(tx("%Y %j %W"), tx("2024-12-31")), tx("2024 366 53")},
		{"timediff", args(tx("2024-03-01"), tx("2024-01-31")), tx("+0000-00-30 00:00:00.000")},
		{"json_extract", args(tx(`{"a":[1,{"b":null}]}`), tx("$.a[#-2]")), in(1)},
		{"->", args(tx(`{"a":[1,2]}`), tx("a")), value.NewJSON("[1,2]")},
		{"->>", args(tx(`["x"]`), in(-1)), tx("x")},
		{"json", args(tx(`{a:.5, 'b':[0x10,],}`)), value.NewJSON(`{"a":0.5,"b":[16]}`)},
		{"json_set", args(tx("{}"), tx("$.a.b[0]"), tx("v")), value.NewJSON(`{"a":{"b":["v"]}}`)},
		{"json_array", args(in(1), null, tx("[2]"), value.NewJSON("[3]")), value.NewJSON(`[1,null,"[2]",[3]]`)},
		{"json_patch", args(tx(`{"a":1,"b":2}`), tx(`{"a":null,"c":{"d":null}}`)), value.NewJSON(`{"b":2,"c":{}}`)},
		{"json_remove", args(tx(`[1,2,3]`), tx("$[1]")), value.NewJSON(`[1,3]`)},
		{"json_type", args(tx(`{"a":1.5}`), tx("$.a")), tx("real")},
		{"json_valid", args(tx(`{a:1}`)), in(0)},
	} {
		got, err := call(t, c.name, c.args)
		if err != nil || got != c.want {
			t.Errorf("%s of %d arguments is %v %q (%v), want %v %q", c.name, len(c.args), got.Kind(), got.AsText(), err, c.want.Kind(), c.want.AsText())
		}
	}
}

func TestScalarErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		args []value.Value
		want string
	}{
		{"abs", args(in(math.MinInt64)), "integer overflow"},
		{"zeroblob", args(in(fn.MaxLength + 1)), "string or blob too big"},
		{"printf", args(tx("%*d"), in(1<<30), in(1)), "string or blob too big"},
		{"replace", args(tx(strings.Repeat("a", 1<<16)), tx("a"), tx(strings.Repeat("b", 1<<16))), "string or blob too big"},
		{"like", args(tx("a"), tx("a"), tx("ab")), "ESCAPE expression must be a single character"},
		{"like", args(tx(strings.Repeat("%", 50001)), tx("a")), "LIKE or GLOB pattern too complex"},
		{"json", args(tx("{")), "malformed JSON"},
		{"json_extract", args(tx("{}"), tx("a'b")), "bad JSON path: 'a''b'"},
		{"json_array", args(bl("x")), "JSON cannot hold BLOB values"},
		{"unistr", args(tx(`\q`)), "invalid Unicode escape"},
	} {
		if got, err := call(t, c.name, c.args); err == nil || err.Error() != c.want {
			t.Errorf("%s is %q, %v; want %q", c.name, got.AsText(), err, c.want)
		}
	}
	for _, c := range []struct {
		name  string
		nArgs int
		want  string
	}{{"NoSuch", 1, "no such function: NoSuch"}, {"abs", 2, "wrong number of arguments to function abs()"}, {"sum", 2, "wrong number of arguments to function sum()"}} {
		if _, err := fn.LookupScalar(c.name, c.nArgs); err == nil || err.Error() != c.want {
			t.Errorf("%s of %d: %v, want %q", c.name, c.nArgs, err, c.want)
		}
	}
}

func TestRandom(t *testing.T) {
	seen := map[value.Value]bool{}
	for range 100 {
		v, err := call(t, "random", nil)
		if err != nil || v.Kind() != value.Int || v.Int() == math.MinInt64 || seen[v] {
			t.Fatal(v.Int(), err)
		}
		seen[v] = true
	}
	if v, err := call(t, "randomblob", args(in(16))); err != nil || len(v.Str()) != 16 {
		t.Fatal(v, err)
	}
}

func TestAggregates(t *testing.T) {
	for _, c := range []struct {
		name string
		rows []value.Value
		want value.Value
		err  string
	}{
		{"count", args(in(1), null), in(1), ""},
		{"sum", nil, null, ""},
		{"total", nil, fl(0), ""},
		{"sum", args(in(1), tx("2"), null), in(3), ""},
		{"sum", args(in(1), fl(0.5)), fl(1.5), ""},
		{"sum", args(in(math.MaxInt64), in(1)), null, "integer overflow"},
		{"total", args(in(math.MaxInt64), in(1)), fl(1 << 63), ""},
		{"sum", args(fl(1e100), fl(1), fl(-1e100)), fl(1), ""},
		{"avg", args(in(1), in(2)), fl(1.5), ""},
		{"min", args(tx("a"), null, in(2)), in(2), ""},
		{"max", args(tx("a"), null, in(2)), tx("a"), ""},
		{"group_concat", args(tx("a"), null, in(1)), tx("a,1"), ""},
		{"json_group_array", args(tx("a"), null, in(1)), value.NewJSON(`["a",null,1]`), ""},
		{"json_group_array", nil, value.NewJSON(`[]`), ""},
	} {
		d, ok := fn.LookupAggregate(strings.ToUpper(c.name), 1)
		if !ok {
			t.Fatal(c.name)
		}
		a := d.New()
		for _, v := range c.rows {
			if err := a.Step([]value.Value{v}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := a.Final()
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
		case err != nil || got != c.want:
			t.Errorf("%s of %d is %q (%v), want %q", c.name, len(c.rows), got.AsText(), err, c.want.AsText())
		}
	}
	d, _ := fn.LookupAggregate("max", 1)
	a := d.NewCollated(value.NoCase)
	for _, s := range []string{"B", "a", "b"} {
		if err := a.Step(args(tx(s))); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := a.Final(); err != nil || got != tx("B") {
		t.Errorf("max under NOCASE is %q, %v", got.AsText(), err)
	}
}

func TestJSONTree(t *testing.T) {
	c, err := fn.NewJSONCursor(tx(`{"a":[1,{"b":2}],"c d":null}`), tx("$"), true, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for c.Next() {
		var cells []string
		for _, column := range []int{0, 2, 6, 7} { // key, type, fullkey, path
			v, err := c.Column(column)
			if err != nil {
				t.Fatal(err)
			}
			cells = append(cells, v.AsText())
		}
		got = append(got, strings.Join(cells, " "))
	}
	want := []string{" object $ $", "a array $.a $", "0 integer $.a[0] $.a", "1 object $.a[1] $.a", "b integer $.a[1].b $.a[1]", `c d null $."c d" $`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows are\n%s", strings.Join(got, "\n"))
	}
}
