package parse

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/value"
)

func TestLiterals(t *testing.T) {
	i, f, s, b := value.NewInt, value.NewFloat, value.NewText, value.NewBlob
	for _, c := range []struct {
		text, shape string // "": it is left as it is
		values      []value.Value
	}{
		{"SELECT v FROM t WHERE id = 12345", "SELECT v FROM t WHERE id = ?1", []value.Value{i(12345)}},
		{" select v from t where id=-5 and s='it''s' ;\n", " select v from t where id=-?1 and s=?2 ", []value.Value{i(5), s("it's")}},
		{
			"INSERT INTO t VALUES (1, 'a', X'00ff', 1.5, .5, 2., 1e3, 1E-3, 1e999, NULL, true)",
			"INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, true)",
			[]value.Value{i(1), s("a"), b("\x00\xff"), f(1.5), f(.5), f(2), f(1000), f(.001), f(math.Inf(1))},
		},
		{"REPLACE INTO t(a) VALUES ('')", "REPLACE INTO t(a) VALUES (?1)", []value.Value{s("")}},
		{"UPDATE t SET a = a + 1 WHERE b LIKE 'x%' ESCAPE '!'", "UPDATE t SET a = a + ?1 WHERE b LIKE ?2 ESCAPE ?3", []value.Value{i(1), s("x%"), s("!")}},
		{"DELETE FROM t1 WHERE a2 IN (1, 2) RETURNING a + 1", "DELETE FROM t1 WHERE a2 IN (?1, ?2) RETURNING a + 1", []value.Value{i(1), i(2)}},
		{"VALUES (1, 2)", "VALUES (?1, ?2)", []value.Value{i(1), i(2)}},
		// What names or chooses a column stays.
		{
			"SELECT a + 1, 'x' FROM t WHERE a = 2 GROUP BY a % 3, 1 HAVING count(*) > 4 ORDER BY 1, a + 5 LIMIT 6 OFFSET 7",
			"SELECT a + 1, 'x' FROM t WHERE a = ?1 GROUP BY a % 3, 1 HAVING count(*) > ?2 ORDER BY 1, a + 5 LIMIT ?3 OFFSET ?4",
			[]value.Value{i(2), i(4), i(6), i(7)},
		},
		{
			"SELECT (SELECT 1 FROM t WHERE a = 2) FROM t WHERE a = (SELECT 3 FROM t WHERE b = 4) AND EXISTS (SELECT 5)",
			"SELECT (SELECT 1 FROM t WHERE a = 2) FROM t WHERE a = (SELECT 3 FROM t WHERE b = ?1) AND EXISTS (SELECT 5)",
			[]value.Value{i(4)},
		},
		{
			"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10) SELECT n FROM c WHERE n > 2 UNION SELECT 3 LIMIT 4",
			"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?1) SELECT n FROM c WHERE n > ?2 UNION SELECT 3 LIMIT ?3",
			[]value.Value{i(10), i(2), i(4)},
		},
		{
			"SELECT sum(a) OVER w FROM t WHERE a = 1 WINDOW w AS (PARTITION BY a % 2 ORDER BY a ROWS 3 PRECEDING) LIMIT 4",
			"SELECT sum(a) OVER w FROM t WHERE a = ?1 WINDOW w AS (PARTITION BY a % 2 ORDER BY a ROWS 3 PRECEDING) LIMIT ?2",
			[]value.Value{i(1), i(4)},
		},
		// So does what is written in an unusual way, and what is quoted otherwise.
		{
			"SELECT a FROM t WHERE a IN (999999999999999999, 1000000000000000000, 9223372036854775808, -9223372036854775808, 0x10, 1_000)",
			"SELECT a FROM t WHERE a IN (?1, 1000000000000000000, 9223372036854775808, -9223372036854775808, 0x10, 1_000)",
			[]value.Value{i(999999999999999999)},
		},
		{"SELECT a FROM \"t 1\" WHERE [a 2] = \"it\"\"s 3\" AND `b``4` = 5", "SELECT a FROM \"t 1\" WHERE [a 2] = \"it\"\"s 3\" AND `b``4` = ?1", []value.Value{i(5)}},
		{"SELECT a FROM t WHERE x1 = y2z AND é3 = 4 AND x = 'é'", "SELECT a FROM t WHERE x1 = y2z AND é3 = ?1 AND x = ?2", []value.Value{i(4), s("é")}},
		// Other statements, several statements, parameters, comments, faults.
		{"SELECT a FROM t", "", nil},
		{"SELECT 1", "", nil},
		{"CREATE TABLE t(a DEFAULT 1)", "", nil},
		{"PRAGMA busy_timeout = 1", "", nil},
		{"EXPLAIN QUERY PLAN SELECT a FROM t WHERE a = 1", "", nil},
		{"SELECT a FROM t WHERE a = 1; SELECT a FROM t WHERE a = 2", "", nil},
		{"SELECT a FROM t WHERE a = 1 AND b = ?", "", nil},
		{"SELECT a FROM t WHERE a = 1 AND b = :b", "", nil},
		{"SELECT a FROM t WHERE a = 1 AND b = @b", "", nil},
		{"SELECT a FROM t WHERE a = 1 AND b = $b", "", nil},
		{"SELECT a FROM t WHERE a = 1 -- 2", "", nil},
		{"SELECT a FROM t WHERE a = /* 2 */ 1", "", nil},
		{"SELECT a FROM t WHERE a = 1 \x00", "", nil},
		{"SELECT a FROM t WHERE a = 'x", "", nil},
		{"SELECT a FROM t WHERE a = \"x", "", nil},
		{"SELECT a FROM t WHERE a = x'0", "", nil},
		{"SELECT a FROM t WHERE a = x'0' AND b = 1", "", nil},
		{"SELECT a FROM t WHERE a = 'x'1", "", nil},
		{"SELECT a FROM t WHERE a = 1abc", "", nil},
		{"SELECT a FROM t WHERE a = '" + strings.Repeat("x", liftLengthMax) + "'", "", nil},
		{"VALUES (1" + strings.Repeat(",1", liftLiteralsMax) + ")", "", nil},
	} {
		var l Literals
		if !l.Take(c.text) {
			if c.shape != "" {
				t.Errorf("%.90q is left as it is", c.text)
			}
			for _, v := range l.Values[:cap(l.Values)] {
				if !v.IsNull() {
					t.Errorf("%.90q: a value is left", c.text)
				}
			}
			continue
		}
		if string(l.Text) != c.shape {
			t.Errorf("%.90q:\n got %q\nwant %q", c.text, l.Text, c.shape)
			continue
		}
		for i, v := range l.Values {
			if i >= len(c.values) || v != c.values[i] {
				t.Errorf("%.90q: value %d is %v", c.text, i+1, v.Go())
			}
		}
		if st, err := One(c.shape); err != nil || !Lifted(st) {
			t.Errorf("%.90q: refused: %v", c.shape, err)
		}
	}
}

// TestLifted has texts whose literals a scanner of tokens takes where they mean
// something else than a parameter.
func TestLifted(t *testing.T) {
	for _, text := range []string{
		"VALUES (1, 2) UNION SELECT a, b FROM t",
		"SELECT a FROM (SELECT b FROM t UNION ALL VALUES ('x'))",
		"SELECT a IS NOT DISTINCT FROM 1 FROM t",
		"SELECT a FROM t WHERE a = 1 ORDER BY a IS NOT DISTINCT FROM 1",
		"SELECT a FROM t WHERE a = 1 GROUP BY a IS DISTINCT FROM 1",
		"SELECT a FROM pragma_table_info('t')",
		"SELECT a FROM json_each('[1]')",
		"SELECT a FROM t WHERE a IN 't'",
		"SELECT a FROM t WHERE 't'.a",
		"SELECT a FROM 't'",
		"SELECT a FROM t 'u'",
		"SELECT a FROM t WHERE a COLLATE 'nocase'",
		"SELECT a FROM t WHERE CAST(a AS VARCHAR(10))",
		"INSERT INTO t('a') VALUES (1)",
		"INSERT INTO t VALUES (1) ON CONFLICT ('a') DO NOTHING",
		"INSERT INTO t VALUES (1) ON CONFLICT (a + 1) DO NOTHING",
		"INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE b = 1 DO NOTHING",
		"UPDATE t SET 'a' = 1",
		"SELECT a FROM t WHERE a = 1 'b'",
		"SELECT a FROM t WHERE a = (SELECT 2) AND b = c ->> 'x' AND group_concat(b ORDER BY b IS DISTINCT FROM 1)",
	} {
		var l Literals
		if !l.Take(text) {
			t.Errorf("%q: no literal was taken", text)
			continue
		}
		if st, err := One(string(l.Text)); err == nil && Lifted(st) {
			t.Errorf("%q became %q", text, l.Text)
		}
	}
}

// same fails if the statement that l made is not the one of the text with
// parameters for literals. It returns whether there is one.
func same(t *testing.T, text string, l *Literals) bool {
	t.Helper()
	shape, err := One(string(l.Text))
	if err != nil || !Lifted(shape) {
		return false
	}
	whole, err := One(text)
	if err != nil {
		t.Fatalf("%q became %q, and does not parse: %v", text, l.Text, err)
	}
	if len(shape.Params) != len(l.Values) {
		t.Fatalf("%q became %q: %d values, %d parameters", text, l.Text, len(l.Values), len(shape.Params))
	}
	literals := map[int]*ast.Literal{} // by position
	ast.Walk(whole.Stmt, func(n ast.Node) bool {
		if lit, ok := n.(*ast.Literal); ok {
			literals[lit.Pos()] = lit
		}
		return true
	})
	params := make([]*ast.BindParam, len(l.Values))
	ast.Walk(shape.Stmt, func(n ast.Node) bool {
		if p, ok := n.(*ast.BindParam); ok {
			params[p.Number-1] = p
		}
		return true
	})
	shift := 0 // from a position in the shape to one in the text
	for i, p := range params {
		lit := literals[p.Pos()+shift]
		if lit == nil || !means(lit, l.Values[i]) {
			t.Fatalf("%q became %q: no literal for %v", text, l.Text, l.Values[i].Go())
		}
		shift += len(lit.Raw) - len(p.Raw)
		p.Raw = lit.Raw
	}
	if got, want := ast.String(shape.Stmt), ast.String(whole.Stmt); got != want {
		t.Fatalf("%q became %q:\n got %s\nwant %s", text, l.Text, got, want)
	}
	return true
}

func means(lit *ast.Literal, v value.Value) bool {
	switch v.Kind() {
	case value.Int:
		i, err := strconv.ParseInt(lit.Value, 10, 64)
		return lit.Kind == ast.LitInteger && err == nil && i == v.Int()
	case value.Float:
		x, _ := strconv.ParseFloat(lit.Value, 64)
		return lit.Kind == ast.LitFloat && x == v.Float()
	case value.Text:
		return lit.Kind == ast.LitString && lit.Value == v.Str()
	default:
		return lit.Kind == ast.LitBlob && len(lit.Raw) == 2*len(v.Str())+3
	}
}

// TestLiteralsOfTools takes the literals out of what ORMs were seen to issue.
func TestLiteralsOfTools(t *testing.T) {
	b, err := os.ReadFile("testdata/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var list [][2]string
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range list {
		var l Literals
		if l.Take(s[1]) && same(t, s[1], &l) {
			n++
		}
	}
	if n < 10 {
		t.Errorf("literals of %d statements of %d were taken", n, len(list))
	}
}

func FuzzLiterals(f *testing.F) {
	for _, text := range []string{
		"SELECT a, 'x' FROM t WHERE b = 1 AND c = 'it''s' ORDER BY 1 LIMIT 2",
		"INSERT INTO t VALUES (1, -2, 3.5, .5e3, x'00', 0x10, 1_0, 'a', \"b\", [c], `d`) ON CONFLICT (a) DO UPDATE SET b = 1",
		"WITH c(n) AS (VALUES (1)) SELECT n FROM c WHERE n IN (SELECT 1 UNION SELECT n FROM c WHERE n = 2)",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l Literals
		if l.Take(text) {
			same(t, text, &l)
		}
	})
}

func BenchmarkLiterals(b *testing.B) {
	var l Literals
	for b.Loop() {
		if !l.Take("SELECT customer, amount, note FROM orders WHERE id = 12345") {
			b.Fatal("the literal stays")
		}
		l.Clear()
	}
}
