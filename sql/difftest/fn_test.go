package difftest

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/byokdb/byokdb/sql/fn"
	"github.com/byokdb/byokdb/sql/value"
)

// now is what "now" means to the code under test; SQLite's is not compared.
var now = time.Date(2026, 11, 23, 10, 30, 0, 0, time.UTC)

// call returns an expression that calls a scalar function.
func call(name string, nArgs int) Expr {
	params := make([]string, nArgs)
	for i := range params {
		params[i] = "?" + string(rune('1'+i))
	}
	return Expr{
		SQL: name + "(" + strings.Join(params, ",") + ")",
		Eval: func(args []value.Value) (value.Value, error) {
			f, err := fn.LookupScalar(name, len(args))
			if err != nil {
				return value.Value{}, err
			}
			return f.Call(&fn.Context{Now: now, Location: time.UTC}, args)
		},
	}
}

// calls yields calls of one function with arguments that pick makes.
func calls(name string, nArgs, n int, pick func(i int) value.Value) iter.Seq[Expr] {
	return func(yield func(Expr) bool) {
		e := call(name, nArgs)
		for range n {
			e.Args = make([]value.Value, nArgs)
			for i := range e.Args {
				e.Args[i] = pick(i)
			}
			if !yield(e) {
				return
			}
		}
	}
}

func TestScalarsOfOne(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for _, name := range []string{
		"abs", "hex", "length", "likely", "unlikely", "lower", "upper", "ltrim", "rtrim", "trim", "octet_length", "quote", "round", "sign", "typeof",
		"unhex", "unicode", "unistr", "unistr_quote", "char", "concat", "subtype", "printf", "format",
	} {
		t.Run(name, func(t *testing.T) { Exprs(t, judge, Direct{}, singles(rnd, 4000, call(name, 1))) })
	}
}

func TestScalarsOfTwo(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for _, name := range []string{
		"coalesce", "ifnull", "nullif", "instr", "min", "max", "ltrim", "rtrim", "trim", "round", "unhex", "concat", "concat_ws", "char", "iif", "if",
		"substr", "substring", "glob", "like",
	} {
		t.Run(name, func(t *testing.T) { Exprs(t, judge, Direct{}, pairs(rnd, 3000, call(name, 2))) })
	}
}

func TestScalarsOfThree(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	vs := pool()
	for _, name := range []string{"coalesce", "min", "max", "replace", "concat", "concat_ws", "iif", "if", "substr"} {
		t.Run(name, func(t *testing.T) {
			Exprs(t, judge, Direct{}, calls(name, 3, 20000, func(int) value.Value { return random(rnd, vs) }))
		})
	}
	t.Run("replace of short texts", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("replace", 3, 10000, func(i int) value.Value { return value.NewText(shortText(rnd, 12/(i+1), "ab")) }))
	})
	t.Run("iif of five", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("iif", 5, 2000, func(int) value.Value { return random(rnd, vs) }))
	})
	t.Run("substr around the ends", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("substr", 3, 20000, func(i int) value.Value {
			if i > 0 {
				return value.NewInt(rnd.Int64N(25) - 12)
			}
			if rnd.IntN(2) == 0 {
				return value.NewBlob(randomText(rnd, rnd.IntN(8)))
			}
			return value.NewText(randomText(rnd, rnd.IntN(8)))
		}))
	})
	t.Run("instr of short texts", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("instr", 2, 10000, func(i int) value.Value { return value.NewText(shortText(rnd, 10/(i*3+1), "aé")) }))
	})
}

// shortText returns up to n characters of a few.
func shortText(rnd *rand.Rand, n int, of string) string {
	letters := []rune(of)
	var b strings.Builder
	for range rnd.IntN(n + 1) {
		b.WriteRune(letters[rnd.IntN(len(letters))])
	}
	return b.String()
}

func TestCollatedScalars(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for _, name := range []string{"min", "max", "nullif"} {
		for _, c := range []value.Collation{value.NoCase, value.RTrim} {
			Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
				for e := range pairs(rnd, 0, Expr{SQL: name + "(?1 COLLATE " + c.String() + ", ?2)", Eval: func(args []value.Value) (value.Value, error) {
					f, err := fn.LookupScalar(name, 2)
					if err != nil {
						return value.Value{}, err
					}
					if !f.UsesCollation {
						t.Errorf("%s does not use its collation", name)
					}
					return f.Call(&fn.Context{Collation: c}, args)
				}}) {
					if hasNUL(e.Args) {
						continue
					}
					if !yield(e) {
						return
					}
				}
			})
		}
	}
}

func TestPatterns(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	t.Run("like", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("like", 2, 60000, func(int) value.Value { return value.NewText(shortText(rnd, 8, "aAb%_é")) }))
	})
	t.Run("like with escape", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("like", 3, 60000, func(i int) value.Value {
			if i == 2 {
				return value.NewText([]string{"\\", "%", "_", "a", "é", "", "ab"}[rnd.IntN(7)])
			}
			return value.NewText(shortText(rnd, 8, "aAb%_é\\"))
		}))
	})
	t.Run("glob", func(t *testing.T) {
		Exprs(t, judge, Direct{}, calls("glob", 2, 100000, func(i int) value.Value {
			if i == 0 {
				return value.NewText(shortText(rnd, 10, "abcé*?[]^-"))
			}
			return value.NewText(shortText(rnd, 6, "abcé]-^["))
		}))
	})
	t.Run("bytes that are no UTF-8", func(t *testing.T) {
		bytes := func(int) value.Value {
			b := make([]byte, rnd.IntN(6))
			for i := range b {
				b[i] = "\x80\xc3\xa9\xe6\x97\xf0\xff%_*?a"[rnd.IntN(12)]
			}
			return value.NewText(string(b))
		}
		for _, name := range []string{"like", "glob", "instr", "trim", "substr"} {
			Exprs(t, judge, Direct{}, calls(name, 2, 20000, bytes))
		}
		for _, name := range []string{"length", "unicode", "upper", "quote"} {
			Exprs(t, judge, Direct{}, calls(name, 1, 5000, bytes))
		}
	})
}

func TestMath(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	if _, err := judge.Query("SELECT sqrt(1)"); err != nil {
		t.Skip("SQLite was built without math functions: go test -tags sqlite_math_functions")
	}
	for name, ulp := range inOrder(map[string]uint64{
		"ceil": 0, "ceiling": 0, "floor": 0, "trunc": 0, "sqrt": 0, "degrees": 0, "radians": 0, "ln": 2, "log": 2, "log10": 2, "log2": 8, "exp": 2,
		"acos": 4, "asin": 4, "atan": 4, "acosh": 16, "asinh": 16, "atanh": 16, "cosh": 4, "sinh": 4, "tanh": 4,
	}) {
		t.Run(name, func(t *testing.T) {
			e := call(name, 1)
			e.ULP = ulp
			Exprs(t, judge, Direct{}, singles(rnd, 3000, e))
		})
	}
	for _, name := range []string{"sin", "cos", "tan"} {
		t.Run(name, func(t *testing.T) {
			e := calls(name, 1, 3000, func(int) value.Value { return value.NewFloat((rnd.Float64() - 0.5) * 1000) })
			Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
				for x := range e {
					x.ULP = 1 << 12 // near a zero of the function
					if !yield(x) {
						return
					}
				}
			})
		})
	}
	for name, ulp := range inOrder(map[string]uint64{"mod": 0, "pow": 16, "power": 16, "atan2": 4, "log": 4}) {
		t.Run(name+" of two", func(t *testing.T) {
			e := call(name, 2)
			e.ULP = ulp
			Exprs(t, judge, Direct{}, pairs(rnd, 2000, e))
		})
	}
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) { yield(call("pi", 0)) })
}

func TestRound(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	Exprs(t, judge, Direct{}, calls("round", 2, 50000, func(i int) value.Value {
		if i == 1 {
			return value.NewInt(rnd.Int64N(34) - 2)
		}
		return value.NewFloat(math.Round(rnd.NormFloat64()*1e7) / math.Pow(10, float64(rnd.IntN(9))))
	}))
}

func TestPrintf(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	vs := pool()
	pick := func(s string) string { return string(s[rnd.IntN(len(s))]) }
	format := func() string {
		var b strings.Builder
		b.WriteString([]string{"", "<", "%%", "a%"}[rnd.IntN(4)])
		b.WriteByte('%')
		for range rnd.IntN(3) {
			b.WriteString(pick("-+ #!0,"))
		}
		b.WriteString([]string{"", "", "5", "12", "*", "30"}[rnd.IntN(6)])
		b.WriteString([]string{"", "", ".", ".0", ".3", ".*", ".20", ".10", ".17"}[rnd.IntN(9)])
		b.WriteString([]string{"", "", "", "l", "ll"}[rnd.IntN(5)])
		b.WriteString(pick("diuoxXpeEfgGcsqQwzrjJn%dfgs"))
		b.WriteString([]string{"", ">", "%s", "%"}[rnd.IntN(4)])
		return b.String()
	}
	for _, n := range []int{2, 3, 4} {
		starred := false // a width that is an argument must not be huge
		Exprs(t, judge, Direct{}, calls("printf", n, 60000, func(i int) value.Value {
			if i == 0 {
				f := format()
				starred = strings.Contains(f, "*")
				return value.NewText(f)
			}
			v := random(rnd, vs)
			if v.AsInt() == math.MinInt64 {
				return value.Value{}
			}
			if n > 2 && i == 1 || starred && max(v.AsInt(), -v.AsInt()) > 100 {
				v = value.NewInt(rnd.Int64N(60) - 30)
			}
			return v
		}))
	}
}

func TestAggregates(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	vs, nums := pool(), numbers()
	for range 4000 {
		rows := make([]value.Value, rnd.IntN(7))
		for i := range rows {
			switch rnd.IntN(3) {
			case 0:
				rows[i] = random(rnd, vs)
			case 1:
				rows[i] = nums[rnd.IntN(len(nums))]
			default:
				rows[i] = value.NewInt(rnd.Int64N(100))
			}
		}
		for _, name := range []string{"count", "sum", "total", "avg", "min", "max", "group_concat"} {
			checkAggregate(t, judge, name, rows, nil)
		}
		checkAggregate(t, judge, "group_concat", rows, []value.Value{random(rnd, vs)})
		if t.Failed() {
			return
		}
	}
}

// aggregateQuery returns an aggregate over rows that are parameters.
func aggregateQuery(name string, n int, more string) string {
	if n == 0 {
		return "SELECT " + name + "(x" + more + ") FROM (SELECT 1 AS x WHERE 0)"
	}
	parts := make([]string, n)
	for i := range parts {
		parts[i] = "(?" + string(rune('1'+i)) + ")"
	}
	return "SELECT " + name + "(column1" + more + ") FROM (VALUES " + strings.Join(parts, ",") + ")"
}

func checkAggregate(t *testing.T, judge *Database, name string, rows, more []value.Value) {
	t.Helper()
	d, ok := fn.LookupAggregate(name, 1+len(more))
	if !ok {
		t.Fatalf("no aggregate %s", name)
	}
	a := d.New()
	var got value.Value
	var err error
	for i := 0; i < len(rows) && err == nil; i++ {
		err = a.Step(append([]value.Value{rows[i]}, more...))
	}
	if err == nil {
		got, err = a.Final()
	}
	params, sql := rows, ""
	if len(more) > 0 {
		if len(rows) == 0 {
			return
		}
		params, sql = append(append([]value.Value{}, rows...), more...), ", ?"+string(rune('1'+len(rows)))
	}
	want, wantErr := judge.Query(aggregateQuery(name, len(rows), sql), params...)
	switch {
	case !sameError(err, wantErr):
	case err != nil || Same(got, want[0][0], 0) || malformed(t, judge, params):
		return
	}
	t.Errorf("%s of %s and %s is %s; SQLite %v, %v", name, showAll(rows), showAll(more), result(got, err), want, wantErr)
}

// malformed reports whether there is a blob among the values that looks like JSONB and
// is not: of several rows SQLite may read memory behind it.
func malformed(t *testing.T, judge *Database, vs []value.Value) bool {
	t.Helper()
	return slices.ContainsFunc(vs, func(v value.Value) bool {
		if v.Kind() != value.Blob {
			return false
		}
		rows, err := judge.Query("SELECT json_valid(?1, 4) AND NOT json_valid(?1, 8)", v)
		if err != nil {
			t.Fatal(err)
		}
		return rows[0][0].Int() != 0
	})
}

func TestErrors(t *testing.T) {
	judge := OpenSQLite(t)
	for _, c := range []struct {
		name  string
		nArgs int
	}{{"nosuch", 1}, {"NoSuch", 0}, {"abs", 0}, {"ABS", 2}, {"coalesce", 1}, {"substr", 1}, {"count", 2}, {"Sum", 0}, {"nullif", 3}, {"like", 4}, {"group_concat", 3}} {
		_, err := fn.LookupScalar(c.name, c.nArgs)
		_, wantErr := judge.Query("SELECT " + c.name + "(" + strings.TrimPrefix(strings.Repeat(",1", c.nArgs), ",") + ")")
		if !sameError(err, wantErr) {
			t.Errorf("%s of %d arguments: %v, SQLite %v", c.name, c.nArgs, err, wantErr)
		}
	}
}

// The version that sqlite_version() claims is the one that judges here.
func TestVersion(t *testing.T) {
	judge := OpenSQLite(t)
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) { yield(call("sqlite_version", 0)) })
}

// Integral powers and logarithms of powers are exact where C libraries are.
func TestExactMath(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	if _, err := judge.Query("SELECT sqrt(1)"); err != nil {
		t.Skip("SQLite was built without math functions: go test -tags sqlite_math_functions")
	}
	e := calls("pow", 2, 20000, func(i int) value.Value {
		if i == 0 {
			return value.NewFloat(math.Round(rnd.Float64()*1e4) / 1e3)
		}
		return value.NewInt(rnd.Int64N(120) - 60)
	})
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		for x := range e {
			x.ULP = 1 // that of the C library, where it is just past half
			if !yield(x) {
				return
			}
		}
	})
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		for n := range 300 {
			for _, name := range []string{"log10", "log2", "log"} {
				x := call(name, 1)
				x.Args = []value.Value{value.NewFloat(math.Pow10(n))}
				if name == "log2" {
					x.Args = []value.Value{value.NewFloat(math.Ldexp(1, n))}
				}
				if !yield(x) {
					return
				}
			}
		}
	})
}
