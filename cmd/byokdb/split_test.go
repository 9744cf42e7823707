package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitAll(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", " \n\t", nil},
		{"only comments", "-- a;\n/* b; */ ;;", nil},
		{"one without an end", "select 1", []string{"select 1"}},
		{"two", "select 1; select 2;", []string{"select 1;", "select 2;"}},
		{"semicolon in a string", "select ';', 'it''s;'; select 2", []string{"select ';', 'it''s;';", "select 2"}},
		{"semicolon in names", "select \"a;\", [b;], `c;`;", []string{"select \"a;\", [b;], `c;`;"}},
		{"semicolon in comments", "select 1 -- x;\n+ /* ; */ 2;", []string{"select 1 -- x;\n+ /* ; */ 2;"}},
		{
			"trigger", "create temp trigger t after insert on a begin update b set c = case when 1 then 2 end; delete from d; end; select 1;",
			[]string{"create temp trigger t after insert on a begin update b set c = case when 1 then 2 end; delete from d; end;", "select 1;"},
		},
		{"transaction is no trigger", "begin; select 1; end;", []string{"begin;", "select 1;", "end;"}},
		{"string that does not end", "select 'a; b", []string{"select 'a; b"}},
		{"division is no comment", "select 4/2-1;", []string{"select 4/2-1;"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := splitAll(tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("splitAll(%q)\n got %q\nwant %q", tt.text, got, tt.want)
			}
			var s splitter // the same, one byte at a time
			var got []string
			for _, c := range []byte(tt.text) {
				got = append(got, s.add(string([]byte{c}))...)
			}
			if last := s.rest(); last != "" {
				got = append(got, last)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("byte by byte: got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestYieldsRows(t *testing.T) {
	for text, want := range map[string]bool{
		"select 1":                              true,
		"/* x */ -- y\n SELECT 1":               true,
		"with a as (select 1) select * from a":  true,
		"values (1)":                            true,
		"explain query plan select 1":           true,
		"insert into t values (1)":              false,
		"insert into t values (1) returning id": true,
		"insert into t values ('returning')":    false,
		"create table select_ (a)":              false,
		"":                                      false,
	} {
		if got := yieldsRows(text); got != want {
			t.Errorf("yieldsRows(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestComplete(t *testing.T) {
	words := append([]string{"packages", "passengers", "ImportPath"}, keywords...)
	tests := []struct {
		line string
		pos  int
		want string
		ok   bool
	}{
		{"sel", 3, "select ", true},
		{"SEL", 3, "SELECT ", true},
		{"select * from pa", 16, "select * from pa", true},
		{"select * from pac", 17, "select * from packages ", true},
		{"select imp from x", 10, "select ImportPath  from x", true},
		{".st", 3, ".status ", true},
		{"", 0, "", false},
		{"zzz", 3, "", false},
	}
	for _, tt := range tests {
		got, pos, ok := complete(words, tt.line, tt.pos)
		if got != tt.want || ok != tt.ok {
			t.Errorf("complete(%q, %d) = %q, %v; want %q, %v", tt.line, tt.pos, got, ok, tt.want, tt.ok)
		}
		if ok && !strings.HasPrefix(got, got[:pos]) {
			t.Errorf("complete(%q): position %d is outside", tt.line, pos)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("select 1; select ';'; -- x\n")
	f.Add("create trigger t begin select case 1 end; end;")
	f.Fuzz(func(t *testing.T, text string) {
		var s splitter
		n := 0
		for _, one := range s.add(text) {
			n += len(one)
			if isBlank(one) {
				t.Errorf("a statement of nothing: %q", one)
			}
		}
		if n+len(s.rest()) > len(text) {
			t.Error("statements are longer than the text")
		}
	})
}
