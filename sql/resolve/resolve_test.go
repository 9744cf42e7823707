package resolve

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
)

// tables is a catalog of a few tables and views of main, and one of temp.
type tables map[string]*Table

func (c tables) Find(database, name string) *Table {
	if t := c["temp."+fold(name)]; t != nil && database != "main" {
		return t
	}
	if database == "temp" {
		return nil
	}
	return c[fold(name)]
}

func someTables(t *testing.T) tables {
	t.Helper()
	c := tables{}
	add := func(database, name string, rowID int, columns ...string) {
		key := name
		if database == "temp" {
			key = "temp." + name
		}
		c[key] = &Table{Database: database, Name: name, Columns: columns, RowID: rowID, HasRowID: true, Indexes: []string{"ia"}}
	}
	add("main", "t", -1, "a", "b", "c")
	add("main", "u", 0, "id", "a", "d")
	add("temp", "u", -1, "a", "e")
	c["each"] = &Table{Name: "each", Columns: []string{"value", "json"}, Hidden: []bool{false, true}, RowID: -1, HasRowID: true, Function: true}
	for name, text := range map[string]string{"v": "SELECT a, b AS q, rowid FROM t", "loop": "SELECT * FROM loop", "lost": "SELECT x FROM t"} {
		q, ok := parsed(t, text).Stmt.(*ast.SelectStmt)
		if !ok {
			t.Fatal(text)
		}
		c[name] = &Table{Database: "main", Name: name, RowID: -1, View: q, Text: text}
	}
	return c
}

func parsed(t *testing.T, text string) parse.Stmt {
	t.Helper()
	st, err := parse.One(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return st
}

// marked writes a text with what its names stand for: columns of t as {a}, its
// name as <t>, texts in double quotes as ~"x"~.
func marked(text string, names *Names, of *Table) string {
	type mark struct {
		start, end int
		open, shut string
	}
	var marks []mark
	for _, c := range names.Columns {
		if c.Table == of {
			marks = append(marks, mark{c.Name.Pos(), c.Name.End(), "{", "}"})
		}
	}
	for _, n := range names.Tables {
		if n.Table == of {
			marks = append(marks, mark{n.Name.Pos(), n.Name.End(), "<", ">"})
		}
	}
	for _, id := range names.Strings {
		marks = append(marks, mark{id.Pos(), id.End(), "~", "~"})
	}
	slices.SortFunc(marks, func(a, b mark) int { return b.start - a.start })
	for _, m := range marks {
		text = text[:m.start] + m.open + text[m.start:m.end] + m.shut + text[m.end:]
	}
	return text
}

func TestView(t *testing.T) {
	for _, want := range []string{
		`SELECT <t>.{a}, {b}, main.<t>.{c}, u.a FROM <t>, u`,
		`SELECT x.{a}, "x".{b} FROM <t> AS x JOIN u ON u.a = x.{a}`,
		`SELECT <t>.*, * FROM <t>, u`,
		`SELECT t.* FROM <t> AS t`,
		`SELECT "{a}", ~"text"~, 'a' FROM <t>`,
		`SELECT t.a FROM u AS t`,
		`SELECT a FROM (SELECT {a} FROM <t>)`,
		`SELECT x AS a FROM (SELECT {b} AS x FROM <t>) ORDER BY a`,
		`SELECT {a} AS b FROM <t> WHERE {b} > 1 ORDER BY b, {c}`,
		`SELECT (SELECT a FROM u AS x WHERE x.d = {b} AND {c} = d) FROM <t>`,
		`SELECT (SELECT max(d + {b}) FROM u WHERE <t>.{c} = d) FROM <t>`,
		`SELECT {a} FROM <t> WHERE EXISTS (SELECT 1 FROM u WHERE u.a = <t>.{a}) AND {b} IN (SELECT {b} FROM <t> AS t)`,
		`WITH w AS (SELECT {a}, {b} FROM <t>) SELECT a, b FROM w`,
		`WITH w(p) AS (SELECT {a} FROM <t>), unused AS (SELECT {c}, nosuch FROM <t>), other AS (SELECT {b} FROM <t>) SELECT x.p FROM w, w AS x`,
		`WITH t AS (SELECT 1 AS a) SELECT a, t.a FROM t`,
		`WITH t AS (SELECT {a} FROM main.<t>) SELECT (WITH x AS (SELECT a FROM t) SELECT a FROM x) FROM t`,
		`WITH RECURSIVE r(a) AS (SELECT {b} FROM <t> UNION ALL SELECT r.a + <t>.{a} FROM r, <t>) SELECT a FROM r`,
		`SELECT {a} FROM <t> UNION SELECT d FROM u ORDER BY {a}`,
		`SELECT {a} AS x FROM <t> UNION SELECT d FROM u ORDER BY x`,
		`SELECT {a}, count(*) FROM <t> GROUP BY {a} HAVING max({b}) > {a}`,
		`SELECT sum({a}) FILTER (WHERE {b}) OVER (PARTITION BY {c} ORDER BY <t>.{a}) FROM <t>`,
		`SELECT sum({a}) OVER w FROM <t> WINDOW w AS (PARTITION BY {b} ORDER BY {c})`,
		`SELECT value, {a} FROM <t>, each(<t>.{b}) AS e WHERE e.json IS {c}`,
		`SELECT b, q.{c} FROM u JOIN (<t> AS q JOIN u AS y ON y.d = q.{a}) USING (a)`, // b of two
		`SELECT {a} FROM <t> WHERE {b} IN t AND c COLLATE nocase LIKE {a} ESCAPE {b}`,
		`SELECT CASE {a} WHEN {b} THEN {c} ELSE -{a} END, CAST({b} AS TEXT), ({a}, {b}) = ({b}, 1) FROM <t>`,
		`SELECT v.a, q, rowid FROM v`,
		`SELECT {a}, TRUE, {b} IS FALSE FROM <t> LIMIT 1 + (SELECT count({a}) FROM <t>)`,
		`VALUES (1, (SELECT {a} FROM <t>)), (2, 3)`,
	} {
		want = strings.NewReplacer(`"{a}"`, `{"a"}`, `SELECT b, q`, `SELECT {b}, q`, `IN t AND c`, `IN <t> AND {c}`).Replace(want)
		text := strings.NewReplacer("{", "", "}", "", "<t>", "t", "~", "").Replace(want)
		c := someTables(t)
		q, ok := parsed(t, text).Stmt.(*ast.SelectStmt)
		if !ok {
			t.Fatal(text)
		}
		names, err := View(c, Text{SQL: text}, q)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := marked(text, names, c["t"]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestViewFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"SELECT x FROM t", "no such column: x"},
		{"SELECT t.x FROM t", "no such column: t.x"},
		{"SELECT temp.t.a FROM t", "no such column: temp.t.a"},
		{"SELECT a FROM t, u", "ambiguous column name: a"},
		{"SELECT t.* FROM t, t", "ambiguous column name: main.t.a"},
		{"SELECT x.* FROM t", "no such table: x"},
		{"SELECT *", "no tables specified"},
		{"SELECT 1 FROM nosuch", "no such table: main.nosuch"},
		{"SELECT 1 FROM main.nosuch", "no such table: main.nosuch"},
		{"SELECT 1 FROM t(1)", "'t' is not a function"},
		{"SELECT 1 FROM t INDEXED BY ib", "no such index: ib"},
		{"SELECT 1 FROM t JOIN u USING (b)", "cannot join using column b - column not present in both tables"},
		{"SELECT 1 FROM t NATURAL JOIN u ON 1", "a NATURAL join may not have an ON or USING clause"},
		{"SELECT a FROM t UNION SELECT a, b FROM t", "SELECTs to the left and right of UNION do not have the same number of result columns"},
		{"SELECT a FROM t UNION ALL SELECT b FROM t ORDER BY c", "1st ORDER BY term does not match any column in the result set"},
		{"SELECT a FROM t UNION SELECT b FROM t ORDER BY 1, 2", "2nd ORDER BY term out of range - should be between 1 and 1"},
		{"SELECT a FROM t ORDER BY 0", "1st ORDER BY term out of range - should be between 1 and 1"},
		{"SELECT a FROM t LIMIT b", "no such column: b"},
		{"SELECT (a, b) = (1, 2, 3) FROM t", "row value misused"},
		{"WITH w(x) AS (SELECT a, b FROM t) SELECT * FROM w", "table w has 2 values for 1 columns"},
		{"WITH w AS (SELECT * FROM w) SELECT * FROM w", "circular reference: w"},
		{"WITH w AS (SELECT 1 UNION SELECT 2 FROM w, w AS x) SELECT * FROM w", "multiple references to recursive table: w"},
		{"SELECT * FROM loop", "view loop is circularly defined"},
		{"SELECT * FROM lost", "no such column: x"},
		{"SELECT coalesce(x, 1), y FROM t", "no such column: x"},
		{"SELECT coalesce(x, y), z FROM t", "no such column: x"},
		{"SELECT max(abs(x), y) FROM t", "no such column: y"}, // the last one, as in SQLite
	} {
		q, ok := parsed(t, c.text).Stmt.(*ast.SelectStmt)
		if !ok {
			t.Fatal(c.text)
		}
		if _, err := View(someTables(t), Text{SQL: c.text}, q); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestTrigger(t *testing.T) {
	for _, want := range []string{
		`CREATE TRIGGER g AFTER UPDATE OF {a}, "{b}" ON <t> WHEN NEW.{a} > old.{b} BEGIN SELECT {c}, new.{c} FROM <t>; END`,
		`CREATE TRIGGER g AFTER INSERT ON <t> BEGIN INSERT INTO <t>({a}, {b}) VALUES (NEW.{c}, ~"x"~); INSERT INTO u(a, d) SELECT {a}, {b} FROM <t>; END`,
		`CREATE TRIGGER g AFTER INSERT ON <t> BEGIN INSERT INTO <t>({a}) VALUES (1) ON CONFLICT ({a}) DO UPDATE SET {b} = excluded.{b}, {c} = <t>.{c} WHERE excluded.{a} > {b}; END`,
		`CREATE TRIGGER g AFTER DELETE ON <t> BEGIN UPDATE <t> SET {a} = {b}, ({b}, {c}) = ({a}, old.{b}) WHERE <t>.{c} = 1; UPDATE u SET a = d WHERE a = OLD.{a}; DELETE FROM <t> WHERE {a} IN (SELECT a FROM u WHERE d = {b}); END`,
		`CREATE TRIGGER g AFTER INSERT ON <t> BEGIN UPDATE u SET a = <t>.{a}, d = {b} FROM <t> JOIN u AS y ON y.a = {c} WHERE <t>.{b} = u.d; END`,
	} {
		want = strings.ReplaceAll(want, `"{b}"`, `{"b"}`)
		text := strings.NewReplacer("{", "", "}", "", "<t>", "t", "~", "").Replace(want)
		c := someTables(t)
		n, ok := parsed(t, text).Stmt.(*ast.CreateTriggerStmt)
		if !ok {
			t.Fatal(text)
		}
		names, err := Trigger(c, Text{SQL: text}, n, c["t"])
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := marked(text, names, c["t"]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestRowID shows that the key of a row has one place, whatever it is called.
func TestRowID(t *testing.T) {
	text := "SELECT id, rowid, oid, main.u.id, u.e FROM main.u, temp.u"
	c := someTables(t)
	q, ok := parsed(t, text).Stmt.(*ast.SelectStmt)
	if !ok {
		t.Fatal(text)
	}
	_, err := View(c, Text{SQL: text, Temp: true}, q)
	if err == nil || err.Error() != "ambiguous column name: rowid" {
		t.Error(err)
	}
	text = strings.ReplaceAll(text, ", temp.u", ", (SELECT e FROM u) AS u")
	if q, ok = parsed(t, text).Stmt.(*ast.SelectStmt); !ok {
		t.Fatal(text)
	}
	names, err := View(c, Text{SQL: text, Temp: true}, q)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, n := range names.Columns {
		got += fmt.Sprint(n.Table.Database, " ", n.Name.Name, n.Index, " ")
	}
	if got != "temp e1 main id-1 main rowid-1 main oid-1 main id-1 " {
		t.Error(got)
	}
}

// TestCorpus resolves all that the corpus of statements has.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("../exec/testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	resolved, failed := 0, 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for text := range strings.SplitSeq(string(b), "\n") {
			list, err := parse.Statements(text)
			if err != nil {
				continue
			}
			for _, st := range list {
				c := someTables(t)
				switch n := st.Stmt.(type) {
				case *ast.SelectStmt:
					_, err = View(c, Text{SQL: text}, n)
				case *ast.CreateViewStmt:
					_, err = View(c, Text{SQL: text, Temp: true}, n.Select)
				case *ast.CreateTriggerStmt:
					_, err = Trigger(c, Text{SQL: text}, n, c["u"])
				default:
					continue
				}
				if err != nil {
					failed++
				} else {
					resolved++
				}
			}
		}
	}
	if resolved == 0 || failed == 0 {
		t.Errorf("%d were resolved, %d were not", resolved, failed)
	}
	t.Logf("%d were resolved, %d were not", resolved, failed)
}
