package parse

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/sqlerr"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		sql, message string
		offset       int
	}{
		{"SELEC 1", `near "SELEC": syntax error`, 0},
		{"SELECT 1 FROM", "incomplete input", 13},
		{"SELECT 1; SELECT FROM t", `near "FROM": syntax error`, 17},
		{"SELECT 'a", `unrecognized token: "'a"`, 7},
		{"SELECT ?0", "variable number must be between ?1 and ?32766", 7},
		{"SELECT ?32767", "variable number must be between ?1 and ?32766", 7},
		{"SELECT ?32766, ?", "too many SQL variables", 15},
		{"SELECT f(" + strings.Repeat("1,", 127) + "1)", "too many arguments on function f", 7},
		{"SELECT " + strings.Repeat("1,", 2000) + "1", "too many columns in result set", 0},
		{"SELECT 1" + strings.Repeat(" UNION SELECT 1", 500), "too many terms in compound SELECT", 0},
	} {
		_, err := Statements(c.sql)
		var e *sqlerr.Error
		if !errors.As(err, &e) {
			t.Fatalf("%.40q: error = %v, want *sqlerr.Error", c.sql, err)
		}
		if e.Message != c.message || e.Offset != c.offset || e.Code != sqlerr.Generic {
			t.Errorf("%.40q: %q at %d code %d, want %q at %d", c.sql, e.Message, e.Offset, e.Code, c.message, c.offset)
		}
	}
}

func TestDepth(t *testing.T) {
	chain := func(n int) string { return "SELECT 1" + strings.Repeat("+1", n-1) } // n levels
	for _, c := range []struct {
		sql string
		ok  bool
	}{
		{chain(999), true},
		{chain(1000), true},
		{chain(1001), false},
		{chain(2_000_000), false},
		{"SELECT " + strings.Repeat("NOT ", 999) + "1", true},
		{"SELECT " + strings.Repeat("NOT ", 1000) + "1", false},
		{"SELECT " + strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000), true},
		{"SELECT " + strings.Repeat("(", 1_000_000), false},
	} {
		_, err := Statements(c.sql)
		if (err == nil) != c.ok {
			t.Errorf("%d bytes of %.20q: %v, want ok = %v", len(c.sql), c.sql, err, c.ok)
		}
	}
}

func TestLength(t *testing.T) {
	text := "SELECT 1"
	if _, err := Statements(text + strings.Repeat(" ", lengthMax-len(text))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := Statements(text + strings.Repeat(" ", lengthMax-len(text)+1))
	var e *sqlerr.Error
	if !errors.As(err, &e) || e.Code != sqlerr.TooBig {
		t.Errorf("above the limit: %v", err)
	}
}

func TestStatements(t *testing.T) {
	list, err := Statements(" ;SELECT ?, :a, ?5, ? , :a ; -- done\n  INSERT INTO t VALUES (?, $b, @c);;")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 {
		t.Fatalf("%d statements, want 2", len(list))
	}
	if want := []string{"", ":a", "", "", "?5", ""}; !slices.Equal(list[0].Params, want) {
		t.Errorf("parameters %q, want %q", list[0].Params, want)
	}
	if want := []string{"", "$b", "@c"}; !slices.Equal(list[1].Params, want) {
		t.Errorf("parameters %q, want %q", list[1].Params, want)
	}
	if want := "SELECT ?, :a, ?5, ? , :a"; list[0].Text != want || list[0].Pos != 2 {
		t.Errorf("text %q at %d, want %q at 2", list[0].Text, list[0].Pos, want)
	}
	if list, err := Statements(" -- nothing"); err != nil || len(list) != 0 {
		t.Errorf("a comment: %d statements, %v", len(list), err)
	}
}

func TestExpr(t *testing.T) {
	if _, err := Expr("a + 1"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"1, 2", "1; SELECT 2", "1 FROM t", "1 AS x", ""} {
		if _, err := Expr(bad); err == nil {
			t.Errorf("%q parsed as one expression", bad)
		}
	}
}

// TestTools parses the statements that ORMs and migration tools were seen to
// issue.
func TestTools(t *testing.T) {
	b, err := os.ReadFile("testdata/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var list [][2]string
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 136 {
		t.Fatalf("%d statements, want 136", len(list))
	}
	for _, s := range list {
		if _, err := Statements(s[1]); err != nil {
			t.Errorf("%s: %q: %v", s[0], s[1], err)
		}
	}
}

func FuzzStatements(f *testing.F) {
	f.Add("SELECT a, :b FROM t WHERE x IN (1, 2) -- c")
	f.Add("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT DEFAULT 'x''y' CHECK (b <> ''))")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Statements(text)
		var e *sqlerr.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("error of type %T", err)
		}
		for _, s := range list {
			if !strings.Contains(text, s.Text) {
				t.Fatalf("text %q is not a part of %q", s.Text, text)
			}
		}
	})
}
