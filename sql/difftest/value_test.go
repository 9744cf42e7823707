package difftest

import (
	"iter"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

func ok1(f func(value.Value) value.Value) func([]value.Value) (value.Value, error) {
	return func(a []value.Value) (value.Value, error) { return f(a[0]), nil }
}

func ok2(f func(a, b value.Value) value.Value) func([]value.Value) (value.Value, error) {
	return func(a []value.Value) (value.Value, error) { return f(a[0], a[1]), nil }
}

// pairs yields an expression for all pairs of the pool and n random ones.
func pairs(rnd *rand.Rand, n int, e Expr) iter.Seq[Expr] {
	return func(yield func(Expr) bool) {
		vs := pool()
		for _, a := range vs {
			for _, b := range vs {
				e.Args = []value.Value{a, b}
				if !yield(e) {
					return
				}
			}
		}
		for range n {
			e.Args = []value.Value{random(rnd, vs), random(rnd, vs)}
			if !yield(e) {
				return
			}
		}
	}
}

// singles yields an expression for the pool and n random values.
func singles(rnd *rand.Rand, n int, e Expr) iter.Seq[Expr] {
	return func(yield func(Expr) bool) {
		vs := pool()
		for i := range len(vs) + n {
			if i < len(vs) {
				e.Args = []value.Value{vs[i]}
			} else {
				e.Args = []value.Value{random(rnd, vs)}
			}
			if !yield(e) {
				return
			}
		}
	}
}

func TestArithmetic(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for sql, f := range inOrder(map[string]func(a, b value.Value) value.Value{
		"?1 + ?2": value.Add, "?1 - ?2": value.Sub, "?1 * ?2": value.Mul, "?1 / ?2": value.Div, "?1 % ?2": value.Rem,
		"?1 & ?2": value.BitAnd, "?1 | ?2": value.BitOr, "?1 << ?2": value.ShiftLeft, "?1 >> ?2": value.ShiftRight, "?1 || ?2": value.Concat,
	}) {
		t.Run(sql, func(t *testing.T) {
			Exprs(t, judge, Direct{}, pairs(rnd, 3000, Expr{SQL: sql, Eval: ok2(f)}))
		})
	}
	for sql, f := range inOrder(map[string]func(value.Value) value.Value{"-?1": value.Neg, "~?1": value.BitNot}) {
		t.Run(sql, func(t *testing.T) {
			Exprs(t, judge, Direct{}, singles(rnd, 2000, Expr{SQL: sql, Eval: ok1(f)}))
		})
	}
}

func TestCast(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for _, name := range []string{"TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB", "VARCHAR(10)", "BIGINT", "DOUBLE PRECISION", "DECIMAL(10,2)", "BOOLEAN", "DATE", "FLOATING POINT", "CLOB", "STRING"} {
		t.Run(name, func(t *testing.T) {
			a := value.AffinityOf(name)
			Exprs(t, judge, Direct{}, singles(rnd, 20000, Expr{
				SQL: "CAST(?1 AS " + name + ")", Eval: ok1(func(v value.Value) value.Value { return value.Cast(v, a) }),
			}))
		})
	}
}

// Column affinity, as INSERT applies it.
func TestAffinity(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for i, name := range []string{
		"", "INT", "INTEGER", "TEXT", "BLOB", "REAL", "NUMERIC", "VARCHAR(255)", "CHARINT", "FLOATING POINT", "DOUBLE", "BOOLEAN", "DATETIME", "TIMESTAMP",
		"JSON", "BLOBFLOAT", "FLOATBLOB", "BLOBTEXT", "TEXTBLOB", "NCHAR(55)", "STRING", "UNSIGNED BIG INT", "decimal(10,5)", "ANY", "POINT", "REALTEXT",
	} {
		t.Run(name, func(t *testing.T) {
			table := "t_" + string(rune('a'+i))
			if _, err := judge.db.Exec("CREATE TABLE " + table + " (x " + name + ")"); err != nil {
				t.Fatal(err)
			}
			a := value.AffinityOf(name)
			vs := pool()
			for n := range len(vs) + 300 {
				v := random(rnd, vs)
				if n < len(vs) {
					v = vs[n]
				}
				if _, err := judge.db.Exec("INSERT INTO "+table+" VALUES (?1)", v.Go()); err != nil {
					t.Fatal(err)
				}
				// +x hides the declared type, of which the driver would make dates.
				rows, err := judge.Query("SELECT +x FROM " + table + " ORDER BY rowid DESC LIMIT 1")
				if err != nil {
					t.Fatal(err)
				}
				if got := value.Apply(v, a); !Same(got, rows[0][0], 0) {
					t.Errorf("%s in %q: %s, SQLite %s", Show(v), name, Show(got), Show(rows[0][0]))
				}
			}
		})
	}
}

func compare(op string, c value.Collation, left, right value.Affinity) func(a []value.Value) (value.Value, error) {
	return func(args []value.Value) (value.Value, error) {
		a, b := args[0], args[1]
		if a.IsNull() || b.IsNull() {
			return value.Value{}, nil
		}
		a, b = value.ForComparison(a, b, value.CompareAffinity(left, right))
		d := value.Compare(a, b, c)
		switch op {
		case "<":
			return value.NewBool(d < 0), nil
		case "<=":
			return value.NewBool(d <= 0), nil
		default:
			return value.NewBool(d == 0), nil
		}
	}
}

func TestComparison(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	for _, op := range []string{"<", "<=", "="} {
		for _, c := range []value.Collation{value.Binary, value.NoCase, value.RTrim} {
			sql := "?1 " + op + " ?2 COLLATE " + c.String()
			t.Run(sql, func(t *testing.T) {
				n, skip := 0, value.AffinityNone
				Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
					for e := range pairs(rnd, 3000, Expr{SQL: sql, Eval: compare(op, c, skip, skip)}) {
						if c == value.NoCase && hasNUL(e.Args) {
							continue // NOCASE of SQLite stops at a zero byte; docs/sql.md
						}
						n++
						if !yield(e) {
							return
						}
					}
				})
			})
		}
	}
}

func hasNUL(vs []value.Value) bool {
	for _, v := range vs {
		for i := range len(v.Str()) {
			if v.Kind() == value.Text && v.Str()[i] == 0 {
				return true
			}
		}
	}
	return false
}

// Comparison between columns of all affinities, and with none.
func TestComparisonAffinity(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	columns := []struct {
		name string
		a    value.Affinity
	}{{"b", value.AffinityBlob}, {"t", value.AffinityText}, {"n", value.AffinityNumeric}, {"i", value.AffinityInteger}, {"r", value.AffinityReal}}
	if _, err := judge.db.Exec("CREATE TABLE c (b BLOB, t TEXT, n NUMERIC, i INTEGER, r REAL)"); err != nil {
		t.Fatal(err)
	}
	vs := pool()
	for range 150 {
		x, y := random(rnd, vs), random(rnd, vs)
		if _, err := judge.db.Exec("DELETE FROM c; INSERT INTO c VALUES (?1, ?1, ?1, ?1, ?1); INSERT INTO c VALUES (?1, ?1, ?1, ?1, ?1)", x.Go(), y.Go()); err != nil {
			t.Fatal(err)
		}
		for _, op := range []string{"<", "<=", "="} {
			for _, l := range columns {
				left := value.Apply(x, l.a)
				Check(t, judge, "SELECT "+l.name+" "+op+" ?1 FROM c ORDER BY rowid LIMIT 1", compare(op, value.Binary, l.a, value.AffinityNone), []value.Value{left, y}, y)
				for _, r := range columns {
					right := value.Apply(y, r.a)
					Check(t, judge, "SELECT c1."+l.name+" "+op+" c2."+r.name+" FROM c c1, c c2 WHERE c1.rowid=1 AND c2.rowid=2", compare(op, value.Binary, l.a, r.a), []value.Value{left, right})
				}
			}
		}
	}
}

// Check compares one function of args with a query.
func Check(t *testing.T, judge *Database, query string, f func([]value.Value) (value.Value, error), args []value.Value, params ...value.Value) {
	t.Helper()
	rows, err := judge.Query(query, params...)
	if err != nil {
		t.Fatal(query, err)
	}
	got, err := f(args)
	if err != nil || len(rows) != 1 || !Same(got, rows[0][0], 0) {
		t.Errorf("%s of %s is %s, %v; SQLite %v", query, showAll(args), Show(got), err, rows)
	}
}

func TestTruth(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	Exprs(t, judge, Direct{}, singles(rnd, 5000, Expr{SQL: "NOT ?1", Eval: ok1(func(v value.Value) value.Value { return value.TruthOf(v).Not().Value() })}))
	Exprs(t, judge, Direct{}, pairs(rnd, 1000, Expr{SQL: "?1 AND ?2", Eval: ok2(func(a, b value.Value) value.Value { return value.TruthOf(a).And(value.TruthOf(b)).Value() })}))
	Exprs(t, judge, Direct{}, pairs(rnd, 1000, Expr{SQL: "?1 OR ?2", Eval: ok2(func(a, b value.Value) value.Value { return value.TruthOf(a).Or(value.TruthOf(b)).Value() })}))
}

// Numbers as text and text as numbers, over many random bit patterns.
func TestRealText(t *testing.T) {
	judge, rnd := OpenSQLite(t), newRand(t)
	reals := func(yield func(Expr) bool) {
		e := Expr{SQL: "CAST(?1 AS TEXT)", Eval: ok1(func(v value.Value) value.Value { return value.NewText(v.AsText()) })}
		for i := range 60000 {
			var r float64
			switch i % 4 {
			case 0:
				r = math.Float64frombits(rnd.Uint64())
				if math.IsNaN(r) {
					continue
				}
			case 1:
				r = float64(rnd.Int64N(1e9)) / 100
			case 2:
				r = rnd.NormFloat64() * math.Pow(10, float64(rnd.IntN(40)-20))
			default:
				r = math.Round(rnd.Float64()*1e6) / 1e3 * math.Pow(10, float64(rnd.IntN(30)-15))
			}
			e.Args = []value.Value{value.NewFloat(r)}
			if !yield(e) {
				return
			}
		}
	}
	Exprs(t, judge, Direct{}, reals)
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		e := Expr{SQL: "CAST(?1 AS REAL)", Eval: ok1(func(v value.Value) value.Value { return value.NewFloat(v.AsFloat()) })}
		for range 60000 {
			e.Args = []value.Value{value.NewText(randomNumeral(rnd))}
			if !yield(e) {
				return
			}
		}
	})
}

func TestLiterals(t *testing.T) {
	judge := OpenSQLite(t)
	Exprs(t, judge, Direct{}, func(yield func(Expr) bool) {
		for _, s := range []string{
			"0", "1", "007", "1.", ".5", "1e3", "1E-3", "0x0", "0xff", "0XFF", "0x7fffffffffffffff", "0x8000000000000000", "0xffffffffffffffff", "0x0000000000000000000000001",
			"9223372036854775807", "9223372036854775808", "18446744073709551616", "1_000", "1_0.5_0", "0x1_0", "1e1_0", "1e400", "99999999999999999999",
		} {
			for _, neg := range []bool{false, true} {
				sql := s
				if neg {
					sql = "-" + s
				}
				if sql == "-0x8000000000000000" {
					continue // below: an error when the statement is compiled
				}
				if !yield(Expr{SQL: sql, Eval: func([]value.Value) (value.Value, error) {
					v, ok := value.NumberLiteral(s, neg)
					if !ok {
						t.Errorf("%s is no literal", s)
					}
					return v, nil
				}}) {
					return
				}
			}
		}
	})
	if v, ok := value.BlobLiteral("0aFf"); !ok || v != value.NewBlob("\x0a\xff") {
		t.Errorf("x'0aFf' is %s, %v", Show(v), ok)
	}
	for _, bad := range []string{"0", "0g"} {
		if _, ok := value.BlobLiteral(bad); ok {
			t.Errorf("x'%s' is taken for a literal", bad)
		}
	}
	for s, neg := range inOrder(map[string]bool{"0x10000000000000000": false, "0x8000000000000000": true}) {
		if v, ok := value.NumberLiteral(s, neg); ok {
			t.Errorf("%s (negative: %v) is taken for %s", s, neg, Show(v))
		}
	}
}

// What GROUP BY holds equal.
func TestGroupKey(t *testing.T) {
	rnd := newRand(t)
	vs := pool()
	for _, c := range []value.Collation{value.Binary, value.NoCase, value.RTrim} {
		for range 200000 {
			a, b := random(rnd, vs), random(rnd, vs)
			equal := value.Compare(a, b, c) == 0
			same := string(value.AppendGroupKey(nil, a, c)) == string(value.AppendGroupKey(nil, b, c))
			if equal != same {
				t.Fatalf("%s and %s under %s: equal %v, same key %v", Show(a), Show(b), c, equal, same)
			}
		}
	}
}
