package difftest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// alterGen makes ALTER TABLE on generated tables that indexes, views, triggers
// and foreign keys stand in the way of.
type alterGen struct {
	*shapeGen
}

// quoted writes a name in one of the ways there are.
func (g *alterGen) quoted(name string) string {
	return g.pick(name, name, name, `"`+name+`"`, "["+name+"]", "`"+name+"`", strings.ToUpper(name))
}

// surroundings are what may name a table and its columns.
func (g *alterGen) surroundings() (out []string) {
	a, b := g.shapes[0], g.shapes[1]
	ca, cb := func() string { return g.pick(a.names()...) }, func() string { return g.pick(b.names()...) }
	key := g.pick(a.keys...)
	if strings.Contains(key, "COLLATE") {
		key = "id"
	}
	cols := strings.Split(key, ", ")
	kid := "CREATE TABLE kid(k INTEGER PRIMARY KEY, p1, p2"
	switch {
	case len(cols) == 2:
		kid += ", FOREIGN KEY (p1, p2) REFERENCES " + g.quoted(a.name) + "(" + g.quoted(cols[0]) + ", " + g.quoted(cols[1]) + ") ON UPDATE CASCADE"
	default:
		kid += " REFERENCES " + g.quoted(a.name) + g.pick("", " ON DELETE SET NULL") + ", CHECK (p1 IS NOT 99), FOREIGN KEY (p1) REFERENCES " + a.name + "(" + g.quoted(key) + ")"
	}
	out = append(out, kid+")", "CREATE INDEX kid1 ON kid(p1, p2) WHERE p2 > 1")
	for i, q := range []string{
		"CREATE VIEW va AS SELECT * FROM " + g.quoted(a.name),
		"CREATE VIEW vb AS SELECT " + ca() + ", " + a.name + "." + ca() + " AS other FROM " + a.name + " WHERE " + ca() + " IS NOT NULL",
		"CREATE VIEW vc(one, two) AS SELECT x." + ca() + ", y." + cb() + " FROM " + a.name + " AS x JOIN " + b.name + " y ON x.id = y.id",
		"CREATE VIEW vd AS SELECT count(*) AS c FROM " + b.name + " WHERE id IN (SELECT id FROM " + a.name + ")",
		"CREATE TRIGGER ta AFTER INSERT ON " + g.quoted(a.name) + " BEGIN INSERT INTO kid(p2) VALUES (NEW." + ca() + "); END",
		"CREATE TRIGGER tb AFTER UPDATE OF " + a.stored()[0].name + " ON " + a.name + " WHEN OLD." + ca() + " IS NOT NEW." + ca() + " BEGIN UPDATE " + b.name + " SET " + b.stored()[0].name + " = NULL WHERE id = OLD.id; END",
		"CREATE TRIGGER tc BEFORE DELETE ON " + b.name + " BEGIN DELETE FROM kid WHERE p2 IN (SELECT " + ca() + " FROM " + a.name + "); END",
		"CREATE INDEX ia ON " + a.name + "(" + g.quoted(ca()) + " COLLATE NOCASE, lower(" + ca() + ")) WHERE " + a.name + "." + ca() + " IS NOT NULL",
	} {
		if g.chance(30) || i == 7 {
			out = append(out, q)
		}
	}
	return out
}

func (g *alterGen) newColumn() string {
	g.n++
	name := fmt.Sprintf("c%d", g.n)
	if g.chance(10) {
		name = g.any().names()[0]
	}
	checked := name
	if strings.Contains(name, " ") { // with a syntax error behind the name, SQLite says that the column is there
		checked = g.quoted(name)
	}
	id := "id"
	if name == id { // SQLite finds a column that is computed of itself when it is read
		id = "7"
	}
	return g.quoted(name) + g.pick("", " INT", " TEXT", " REAL", " VARCHAR(9)", " ANY") + g.pick("", "", " DEFAULT 5", " DEFAULT 'x'", " DEFAULT (1 + 1)", " DEFAULT NULL", " DEFAULT -2.5", " DEFAULT x'00'", " DEFAULT CURRENT_TIMESTAMP", " DEFAULT (-1)", " DEFAULT TRUE") +
		g.pick("", "", "", " NOT NULL", " UNIQUE", " PRIMARY KEY", " COLLATE NOCASE", " REFERENCES m2(id)", " REFERENCES m2", " CHECK ("+checked+" > 3)", " AS ("+id+" * 2)", " AS ("+id+" || 'x') STORED", " AS (coalesce(i, 0) + 1) NOT NULL", " GENERATED ALWAYS AS ("+id+") VIRTUAL")
}

func (g *alterGen) alter() string {
	s := g.any()
	col := g.pick(s.names()...)
	word := g.pick(" COLUMN", " COLUMN", "")
	table := "ALTER TABLE " + g.pick("", "", "", "main.") + g.quoted(s.name)
	g.n++
	switch g.r.IntN(10) {
	case 0, 1, 2:
		return table + " ADD" + word + " " + g.newColumn()
	case 3, 4, 5:
		to := fmt.Sprintf("c%d", g.n)
		if g.chance(15) {
			to = g.pick("i", "new name", "select", "ID", "é")
		}
		return table + " RENAME" + word + " " + g.quoted(col) + " TO " + g.pick(`"`+to+`"`, "["+to+"]", fmt.Sprintf("c%d", g.n))
	case 6, 7, 8:
		return table + " DROP" + word + " " + g.quoted(col)
	default:
		to := g.pick("m1", "m2", "m4", "m5", "va", "kid", "sqlite_x", "m6")
		if s.name == "m3" && g.chance(50) {
			to = "new m"
		}
		return table + " RENAME TO " + g.pick(`"`+to+`"`, "["+to+"]")
	}
}

// refresh reads the names of tables and their columns from byokdb.
func (g *alterGen) refresh(b *both) {
	b.t.Helper()
	for i, s := range g.shapes {
		rows, err := b.ours(fmt.Sprintf("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'kid' ORDER BY rootpage LIMIT 1 OFFSET %d", i))
		if err != nil || len(rows) != 1 {
			b.t.Fatal(rows, err)
		}
		s.name = strings.Trim(rows[0], `"`)
		cols, err := b.ours("SELECT name, hidden FROM pragma_table_xinfo('" + s.name + "')")
		if err != nil {
			b.t.Fatal(err)
		}
		s.cols = s.cols[:0]
		for _, row := range cols {
			name, hidden, _ := strings.Cut(row, "|")
			s.cols = append(s.cols, shapeColumn{name: strings.Trim(name, `"`), computed: hidden != "i0"})
		}
	}
}

// alteredLooks are what is compared after each ALTER TABLE. The numbers in the
// names of a constraint's index count the primary key first, unlike SQLite's.
var alteredLooks = []string{
	"SELECT type, name, lower(tbl_name), sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'",
	"SELECT count(*), tbl_name FROM sqlite_master WHERE name LIKE 'sqlite_autoindex\\_' || replace(tbl_name, '_', '\\_') || '\\__' ESCAPE '\\' GROUP BY tbl_name",
	"SELECT * FROM kid ORDER BY k", "PRAGMA foreign_key_list(kid)", "SELECT * FROM va", "SELECT * FROM vb", "SELECT * FROM vc", "SELECT * FROM vd",
	"SELECT m.name, l.origin, l.partial, l.'unique', group_concat(x.name || x.key || x.desc || x.coll ORDER BY x.seqno) FROM sqlite_master AS m, pragma_index_list(m.name) AS l, pragma_index_xinfo(l.name) AS x WHERE m.type = 'table' GROUP BY m.name, l.name",
	"SELECT m.name, l.* FROM sqlite_master AS m, pragma_table_xinfo(m.name) AS l WHERE m.type = 'table'", "PRAGMA integrity_check",
}

// altered runs an ALTER TABLE on both, which must agree in the gist of errors too.
func (g *alterGen) altered(b *both, text string) {
	b.t.Helper()
	b.exact = true
	b.change(text)
	b.exact = false
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// TestAlter compares tables, what is kept of the texts and all that names them
// after each ALTER TABLE.
func TestAlter(t *testing.T) {
	g := &alterGen{}
	onShapes(t, 37, 6, []string{"i"}, func(sg *shapeGen, b *both) {
		g.shapeGen = sg
		for _, s := range g.shapes { // texts that are not as a formatter would write them
			if g.chance(30) {
				b.change("CREATE TABLE odd_" + s.name + " ( a /* one */ , \"b b\" text -- two\n , [c] CHECK(\"b b\" <> 'c') , 'd' , FOREIGN KEY ( a ) REFERENCES " + s.name + " )")
			}
		}
		for _, q := range g.surroundings() {
			b.change(q)
		}
		b.change("INSERT INTO kid(p2) VALUES (1), (2)")
	}, func(_ *shapeGen, b *both) {
		if g.chance(30) {
			g.refresh(b)
		}
		if g.chance(10) {
			b.change("DROP " + g.pick("VIEW va", "VIEW vb", "VIEW vc", "VIEW vd", "TRIGGER ta", "TRIGGER tb", "TRIGGER tc", "INDEX ia"))
		}
		g.altered(b, g.alter())
		g.refresh(b)
		for _, q := range alteredLooks {
			b.compare(q, false)
		}
		for _, s := range g.shapes {
			b.compare("SELECT * FROM \""+s.name+"\" ORDER BY 1", false)
			if c := g.pick(s.names()...); g.chance(30) && slices.Contains(s.names(), "id") {
				b.change("UPDATE \"" + s.name + "\" SET \"" + c + "\" = \"" + c + "\" WHERE id > 3")
				b.change("INSERT INTO \"" + s.name + "\"(id) VALUES (" + g.id() + ")")
			}
		}
	})
}
