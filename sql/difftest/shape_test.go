package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// shapeGen makes tables of every kind, and statements on them.
type shapeGen struct {
	*gen
	shapes []*shape
	n      int // numbers what it makes
}

// shape is a generated table: STRICT or not, WITHOUT ROWID or not, with
// collations, checks, defaults, generated columns and several unique keys.
// Every one has the unique column id.
type shape struct {
	name    string
	strict  bool
	noRowID bool
	alias   bool // id is the row id
	cols    []shapeColumn
	keys    []string // unique keys as ON CONFLICT names them
	unique  []string // columns in them
	ddl     []string
}

type shapeColumn struct {
	name, decl string
	computed   bool
}

func (g *shapeGen) chance(percent int) bool { return g.r.IntN(100) < percent }

func (g *shapeGen) maybe(percent int, text string) string {
	if g.chance(percent) {
		return text
	}
	return ""
}

func (s *shape) names() (out []string) {
	for _, c := range s.cols {
		out = append(out, c.name)
	}
	return out
}

func (s *shape) has(name string) bool { return slices.Contains(s.names(), name) }

// stored are the columns that can be written, id apart.
func (s *shape) stored() (out []shapeColumn) {
	for _, c := range s.cols[1:] {
		if !c.computed {
			out = append(out, c)
		}
	}
	return out
}

// shapeTypes are the types that columns of one name may have; i for integers, r
// for reals, n for numbers, s and t for texts, x for anything, b for blobs, j
// for JSON, d for dates.
var shapeTypes = map[string][]string{
	"i": {"INTEGER", "INT", "BIGINT"}, "r": {"REAL", "DOUBLE"}, "n": {"NUMERIC", "DECIMAL(9, 2)"}, "s": {"TEXT", "VARCHAR(20)"},
	"t": {"TEXT", "CHAR"}, "x": {"", "ANY_THING BLOB"}, "b": {"BLOB"}, "j": {"TEXT", "TEXT", "BLOB", "JSON"}, "d": {"TEXT"},
}

var strictTypes = map[string]string{"i": "INTEGER", "r": "REAL", "n": "INT", "s": "TEXT", "t": "TEXT", "x": "ANY", "b": "BLOB", "j": "ANY", "d": "TEXT"}

// shape makes a table that has the columns with, and others.
func (g *shapeGen) shape(name string, with ...string) *shape {
	s := &shape{name: name, strict: g.chance(30), noRowID: g.chance(30), keys: []string{"id"}, unique: []string{"id"}}
	var defs, ends []string
	switch g.r.IntN(4) {
	case 0, 1:
		defs = append(defs, "id INTEGER PRIMARY KEY")
		s.alias = !s.noRowID
	case 2:
		defs = append(defs, "id INT NOT NULL PRIMARY KEY")
	default:
		defs = append(defs, "id INTEGER NOT NULL UNIQUE")
		ends = append(ends, "PRIMARY KEY ("+g.pick("i, id", "i, id DESC")+")")
		with = append(slices.Clone(with), "i")
	}
	s.cols = []shapeColumn{{name: "id", decl: "INTEGER"}}
	for _, c := range []string{"i", "r", "n", "s", "t", "x", "b", "j", "d"} {
		wanted := slices.Contains(with, c)
		if !wanted && (c == "j" || c == "d" || g.chance(40)) {
			continue
		}
		decl := g.pick(shapeTypes[c]...)
		if s.strict {
			decl = strictTypes[c]
		}
		s.cols = append(s.cols, shapeColumn{name: c, decl: decl})
		defs = append(defs, c+" "+decl+g.constraints(s, c))
	}
	if len(s.cols) == 1 {
		s.cols = append(s.cols, shapeColumn{name: "x"})
		defs = append(defs, "x "+map[bool]string{true: "ANY"}[s.strict])
	}
	defs = append(defs, g.computed(s)...)
	if two := g.two(s); two != "" && g.chance(20) {
		ends = append(ends, "UNIQUE ("+two+")")
		s.keys = append(s.keys, two)
		s.unique = append(s.unique, strings.Split(two, ", ")...)
	}
	if g.chance(15) {
		ends = append(ends, "CONSTRAINT some CHECK ("+g.pick("id <> 13", g.pick(s.names()...)+" IS NOT "+g.pick(s.names()...)+" OR id > 1")+")")
	}
	var options []string
	if s.strict {
		options = append(options, "STRICT")
	}
	if s.noRowID {
		options = append(options, "WITHOUT ROWID")
	}
	s.ddl = []string{strings.TrimSpace("CREATE TABLE " + name + "(" + strings.Join(append(defs, ends...), ", ") + ") " + strings.Join(options, ", "))}
	g.shapes = append(g.shapes, s)
	g.own[name] = s.names()
	g.bases = append(g.bases, name)
	for range g.r.IntN(4) {
		s.ddl = append(s.ddl, g.index(s))
	}
	return s
}

// two are two columns that are not computed.
func (g *shapeGen) two(s *shape) string {
	cols := s.stored()
	if len(cols) < 2 {
		return ""
	}
	i := g.r.IntN(len(cols) - 1)
	return cols[i].name + ", " + cols[i+1].name
}

func (g *shapeGen) collation() string { return g.pick("NOCASE", "RTRIM", "BINARY") }

func (g *shapeGen) constraints(s *shape, c string) string {
	out := ""
	if strings.Contains("s t x", c) {
		out += g.maybe(60, " COLLATE "+g.collation())
	}
	values := map[string]string{"i": "3", "r": "0.5", "n": "2", "s": "'a'", "t": "(lower('AB'))", "x": "1", "b": "x'61'", "j": `'{"a":1}'`, "d": "'2024-01-31'"}
	switch g.r.IntN(6) {
	case 0:
		out += " NOT NULL DEFAULT " + values[c]
	case 1:
		out += " DEFAULT " + values[c]
	case 2:
		out += g.maybe(30, " NOT NULL")
	}
	if g.chance(20) {
		out += " CHECK (" + map[string]string{
			"i": g.pick("i < 7", "i IS NOT 4", "i + id < 17"), "r": "r <> 2.5", "n": g.pick("n BETWEEN -1 AND 4", "typeof(n) <> 'text'"),
			"s": g.pick("length(s) < 4", "s <> 'abc'", "s NOT LIKE 'x%'"), "t": g.pick("t <> 'A'", "t IS NOT 'b'"), "x": "typeof(x) <> 'blob'",
			"b": "length(b) < 3", "j": "json_valid(j, 9)", "d": "date(d) IS NOT NULL OR d IS NULL",
		}[c] + ")"
	}
	if g.chance(10) && !strings.Contains("jdb", c) {
		out += " UNIQUE"
		s.keys = append(s.keys, c)
		s.unique = append(s.unique, c)
	}
	return out
}

// computed returns the definitions of generated columns.
func (g *shapeGen) computed(s *shape) (defs []string) {
	for _, name := range []string{"g", "h"} {
		if !g.chance(40) {
			break
		}
		c := g.pick(s.names()...)
		expr := g.pick(c+" || 'x'", "coalesce("+c+", id)", "typeof("+c+")", "length("+c+")", c+" + 1", "upper("+c+")", c+" > 2")
		if s.has("j") && g.chance(50) {
			expr = g.pick("j ->> '$.a'", "json_extract(j, '$.b[1]')", "j -> '$.b'", "json_array_length(j, '$.b')", "jsonb_extract(j, '$.b')", "jsonb(j)", "jsonb_set(j, '$.a', id)")
		}
		if s.has("d") && g.chance(50) {
			expr = g.pick("date(d, '+1 month')", "strftime('%Y-%m', d)", "julianday(d)", "unixepoch(d)")
		}
		decl := g.pick("", "INT", "TEXT", "TEXT COLLATE NOCASE", "REAL")
		if s.strict {
			decl = "ANY"
		}
		s.cols = append(s.cols, shapeColumn{name: name, decl: decl, computed: true})
		defs = append(defs, strings.TrimSpace(name+" "+decl)+" AS ("+expr+")"+g.pick("", " STORED", " VIRTUAL")+g.maybe(10, " CHECK ("+name+" IS NOT 4)"))
	}
	return defs
}

// index returns a CREATE INDEX.
func (g *shapeGen) index(s *shape) string {
	g.n++
	col := func() string { return g.pick(s.names()...) }
	key := func() string {
		c := col()
		return g.pick(c, c, c+" COLLATE "+g.collation(), c+" DESC", "lower("+c+")", c+" + id", "coalesce("+c+", 0) DESC")
	}
	keys := key()
	if g.chance(40) {
		keys += ", " + key()
	}
	unique := ""
	if c := col(); g.chance(10) {
		keys, unique = c+" COLLATE "+g.collation(), "UNIQUE "
		if c != "id" { // SQLite finds no index with a collation on the row id for ON CONFLICT
			s.keys = append(s.keys, keys)
		}
		s.unique = append(s.unique, c)
	}
	where := g.maybe(25, " WHERE "+g.pick(col()+" IS NOT NULL", col()+" > 2", "id < 9", col()+" = 'a'"))
	if unique != "" {
		where = ""
	}
	return fmt.Sprintf("CREATE %sINDEX %s_%d ON %s(%s)%s", unique, s.name, g.n, s.name, keys, where)
}

func (g *shapeGen) id() string { return strconv.Itoa(1 + g.r.IntN(14)) }

func (g *shapeGen) small() string { return g.pick("NULL", "0", "1", "2", "3", "4", "5", "7", "-1") }

func (g *shapeGen) word() string {
	return g.pick("NULL", "'a'", "'A'", "'a '", "'b'", "'B '", "'B'", "'ab'", "'AB'", "'abc'", "''", "' '", "'3'", "'z'", "'é'")
}

// value returns a value for a column; in STRICT tables one that fits it.
func (g *shapeGen) value(s *shape, c string) string {
	if !s.strict && g.chance(15) && c != "j" && c != "d" {
		return g.pick("NULL", "1", "2.5", "1.0", "'a'", "'3'", "'1.0'", "x'61'", "'x1'")
	}
	switch c {
	case "i":
		return g.pick(g.small(), g.small(), "'3'", "4.0")
	case "r":
		return g.pick(g.small(), "0.5", "2.5", "1e3", "-0.0", "'2.5'")
	case "n":
		return g.pick(g.small(), g.small(), "2.0", "'1'")
	case "s", "t":
		return g.pick(g.word(), g.word(), g.word(), "3")
	case "b":
		return g.pick("NULL", "x''", "x'61'", "x'6162'", "x'00ff'")
	case "j":
		return g.document()
	case "d":
		return g.date()
	}
	return g.pick(g.small(), g.word(), "1.0", "2.5", "'2'", "x'61'")
}

// values returns the columns and n rows, without the words INSERT INTO.
func (g *shapeGen) values(s *shape, n int) string {
	cols := []string{"id"}
	for _, c := range s.stored() {
		if g.chance(85) {
			cols = append(cols, c.name)
		}
	}
	g.r.Shuffle(len(cols), func(i, j int) { cols[i], cols[j] = cols[j], cols[i] })
	var rows []string
	for range n {
		var vals []string
		for _, c := range cols {
			switch {
			case c == "id" && s.alias:
				vals = append(vals, g.pick(g.id(), g.id(), "NULL"))
			case c == "id":
				vals = append(vals, g.id())
			default:
				vals = append(vals, g.value(s, c))
			}
		}
		rows = append(rows, "("+strings.Join(vals, ", ")+")")
	}
	return s.name + "(" + strings.Join(cols, ", ") + ") VALUES " + strings.Join(rows, ", ")
}

func (g *shapeGen) any() *shape { return g.shapes[g.r.IntN(len(g.shapes))] }

// look compares all tables.
func (g *shapeGen) look(b *both) {
	b.t.Helper()
	for _, s := range g.shapes {
		b.compare("SELECT * FROM "+s.name+" ORDER BY id", true)
	}
}

// onShapes runs steps on generated tables, m1, m2 and m3, until it has made
// its part of the statements. All have the columns with.
func onShapes(t *testing.T, stream uint64, part int, with []string, before func(g *shapeGen, b *both), step func(g *shapeGen, b *both)) {
	t.Helper()
	s := seeded(t)
	if testing.Short() {
		part *= 8
	}
	total, excused := 0, 0
	for n, i := 0, uint64(0); n < *statements/part; i++ {
		b := openBoth(t)
		if i%3 == 2 {
			b.spill()
		}
		g := &shapeGen{gen: &gen{r: rand.New(rand.NewPCG(s, stream<<32+i)), own: map[string][]string{}}}
		for _, name := range []string{"m1", "m2", "m3"} {
			for _, q := range g.shape(name, with...).ddl {
				b.change(q)
			}
		}
		for range 12 {
			for _, table := range g.shapes {
				b.change("INSERT OR IGNORE INTO " + g.values(table, 1))
			}
		}
		g.look(b)
		before(g, b)
		for range 60 {
			step(g, b)
			n++
			if t.Failed() {
				t.FailNow()
			}
		}
		total += b.rows
		excused += b.excused
	}
	if total == 0 {
		t.Error("no row was compared")
	}
	t.Logf("%d rows; SQLite had other answers %d times", total, excused)
}
