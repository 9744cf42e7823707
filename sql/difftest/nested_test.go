package difftest

import (
	"fmt"
	"strings"
	"testing"
)

// nestGen makes triggers that set off each other and raise, and views over views
// with INSTEAD OF triggers, on generated tables that have i, n and s.
type nestGen struct {
	*shapeGen
	views []string        // each has the columns id, i, n and s
	takes map[string]bool // events that a view has a trigger for
}

func (g *nestGen) raise(row string) string {
	text := g.pick("'no'", "'it''s ' || "+row+".id", "printf('%s-%d', typeof("+row+".s), "+row+".id)", "NULL", row+".n")
	return g.pick("RAISE(IGNORE)", "RAISE(ABORT, "+text+")", "RAISE(FAIL, "+text+")", "RAISE(ROLLBACK, "+text+")", "RAISE(IGNORE)", "RAISE(ABORT, "+text+")")
}

// step is one statement of a trigger's body. What it does depends on the row and
// on tables that it does not change, so that the order of rows does not show.
func (g *nestGen) step(row string, depth string) string {
	switch g.r.IntN(9) {
	case 0:
		return "SELECT CASE WHEN " + row + ".i" + g.pick(" = 4", " > 5", " = 7") + " THEN " + g.raise(row) + " END;"
	case 1:
		return "SELECT " + g.raise(row) + " WHERE " + row + ".id" + g.pick(" = 11", " > 12", " = 5") + ";"
	case 2:
		return "INSERT INTO log1 VALUES (" + row + ".id, " + row + g.pick(".i", ".s", ".n") + ", " + depth + ");"
	case 3:
		return "INSERT OR " + g.pick("IGNORE", "REPLACE", "ABORT") + " INTO log2 VALUES (" + row + ".id % 5, 1);"
	case 4:
		return "UPDATE log2 SET n = n + 1 WHERE k = " + row + ".id % 5;"
	case 5:
		return "DELETE FROM log2 WHERE k = " + row + ".id - 3;"
	case 6:
		return "INSERT INTO log2 VALUES (" + row + ".id % 5, 1) ON CONFLICT(k) DO UPDATE SET n = n + excluded.n;"
	case 7:
		return "INSERT INTO log1 SELECT " + row + ".id, count(*), " + depth + " FROM still WHERE x < " + row + ".id;"
	default:
		return "UPDATE log3 SET n = n + " + g.pick("1", "coalesce("+row+".i, 0) * 0 + 1", "(SELECT count(*) FROM still)") + " WHERE k = " + row + ".id % 3;"
	}
}

// support are the tables that triggers write, with triggers of their own.
func (g *nestGen) support() []string {
	out := []string{
		"CREATE TABLE log1(id, what, depth)", "CREATE TABLE log2(k INTEGER PRIMARY KEY, n CHECK (n < 40))", "CREATE TABLE log3(k INTEGER PRIMARY KEY, n)",
		"CREATE TABLE still(x)", "INSERT INTO still VALUES (1), (4), (9)", "INSERT INTO log3 VALUES (0, 0), (1, 0), (2, 0)",
	}
	for i, text := range []string{
		"AFTER INSERT ON log2 BEGIN INSERT INTO log1 VALUES (NEW.k, 'log2', 1); END",
		"BEFORE INSERT ON log2 WHEN NEW.k = 3 BEGIN SELECT " + g.pick("RAISE(IGNORE)", "RAISE(ABORT, 'three')", "RAISE(FAIL, 'three' || NEW.k)") + "; END",
		"AFTER UPDATE OF n ON log2 WHEN NEW.n > 3 BEGIN UPDATE log3 SET n = n + 10 WHERE k = NEW.k % 3; END",
		"AFTER UPDATE ON log3 WHEN NEW.n " + g.pick("= 5", "> 30", "= 12") + " BEGIN SELECT " + g.pick("RAISE(IGNORE)", "RAISE(ABORT, 'log3 ' || OLD.n)", "RAISE(ROLLBACK, 'gone')") + "; END",
		"AFTER DELETE ON log2 BEGIN INSERT INTO log1 VALUES (OLD.k, OLD.n, 2); UPDATE log3 SET n = n - 1 WHERE k = OLD.k; END",
		"AFTER INSERT ON log1 WHEN NEW.depth = 2 BEGIN INSERT OR IGNORE INTO log2 VALUES (NEW.id + 10, 0); END",
	} {
		if g.chance(60) {
			out = append(out, fmt.Sprintf("CREATE TRIGGER l%d %s", i, text))
		}
	}
	return out
}

func (g *nestGen) body(row string) string {
	var steps []string
	for range 1 + g.r.IntN(3) {
		steps = append(steps, g.step(row, "0"))
	}
	return " BEGIN " + strings.Join(steps, " ") + " END"
}

func (g *nestGen) trigger() string {
	g.n++
	event := g.pick("INSERT", "UPDATE", "UPDATE OF i, s", "DELETE")
	row := "NEW"
	if event == "DELETE" || event != "INSERT" && g.chance(40) {
		row = "OLD"
	}
	return fmt.Sprintf("CREATE TRIGGER g%d %s %s ON %s%s%s", g.n, g.pick("BEFORE", "AFTER"), event, g.any().name, g.maybe(40, " WHEN "+row+g.pick(".i > 2", ".s IS NOT NULL", ".id % 2", ".n = "+row+".i")), g.body(row))
}

// view returns the statements that make a view of a table or of another view.
func (g *nestGen) view() []string {
	name := fmt.Sprintf("v%d", len(g.views)+1)
	base := g.any().name
	if len(g.views) > 0 && g.chance(60) {
		base = g.pick(g.views...)
	}
	other := g.any().name
	query := g.pick(
		"SELECT id, i, n, s FROM "+base,
		"SELECT id, i, n, s FROM "+base+" WHERE i"+g.pick(" > 1", " IS NOT NULL"),
		"SELECT id, i + 1 AS i, n, upper(s) AS s FROM "+base,
		"SELECT b.id, b.i, o.n, o.s FROM "+base+" AS b "+g.pick("JOIN ", "LEFT JOIN ")+other+" AS o USING (id)",
		"SELECT id, count(*) AS i, max(n) AS n, min(s COLLATE BINARY) AS s FROM "+base+" GROUP BY id",
		// Which select gives the affinity and the collation of a column is open.
		"SELECT CAST(id AS INTEGER) AS id, +i AS i, +n AS n, CAST(s AS TEXT) COLLATE BINARY AS s FROM "+base+" UNION ALL SELECT CAST(id + 100 AS INTEGER), +i, +n, CAST(s AS TEXT) COLLATE BINARY FROM "+other,
		"SELECT id, i, n, s COLLATE NOCASE AS s FROM "+base+" ORDER BY id, i, n, s LIMIT 6",
		"WITH w AS (SELECT id, n FROM "+other+") SELECT b.id, b.i, (SELECT w.n FROM w WHERE w.id = b.id) AS n, b.s FROM "+base+" AS b")
	out := []string{"CREATE VIEW " + name + g.pick("", "(id, i, n, s)") + " AS " + query}
	g.views = append(g.views, name)
	g.own[name] = []string{"id", "i", "n", "s"}
	for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
		if !g.chance(60) {
			continue
		}
		g.takes[name+event] = true
		row := map[string]string{"INSERT": "NEW", "UPDATE": g.pick("NEW", "OLD"), "DELETE": "OLD"}[event]
		g.n++
		write := ""
		if g.chance(50) {
			write = map[string]string{
				"INSERT": "INSERT OR IGNORE INTO " + base + "(id, i, n, s) VALUES (NEW.id, NEW.i, NEW.n, NEW.s);",
				"UPDATE": "UPDATE " + base + " SET i = NEW.i WHERE id = OLD.id;",
				"DELETE": "DELETE FROM " + base + " WHERE id = OLD.id;",
			}[event]
		}
		out = append(out, fmt.Sprintf("CREATE TRIGGER w%d INSTEAD OF %s ON %s BEGIN %s INSERT INTO log1 VALUES (%s.id, '%s', %s.s); END", g.n, event, name, write, row, name, row))
	}
	return out
}

func (g *nestGen) change() string {
	s := g.any()
	where := " WHERE id = " + g.id()
	if s.alias { // else the rows come in an order that follows from the plan
		where = " WHERE " + g.pick("id > ", "id <= ") + g.id()
	}
	if g.chance(35) {
		v := g.pick(g.views...)
		returning := func(event, text string) string { // to SQLite RETURNING is a trigger: with one for another event it takes the change
			if !g.takes[v+event] {
				return ""
			}
			return g.maybe(30, text)
		}
		return g.pick(
			"INSERT INTO "+v+"(id, i, n, s) VALUES ("+g.id()+", "+g.small()+", "+g.small()+", "+g.word()+")"+returning("INSERT", " RETURNING *"),
			"UPDATE "+v+" SET i = "+g.pick(g.small(), "i + 1")+" WHERE id = "+g.id()+returning("UPDATE", " RETURNING id, i"),
			"DELETE FROM "+v+" WHERE id = "+g.id()+returning("DELETE", " RETURNING s"))
	}
	or := g.pick("", "", "", "OR IGNORE ", "OR REPLACE ", "OR FAIL ", "OR ROLLBACK ")
	one := " WHERE id = " + g.id()
	switch g.r.IntN(8) {
	case 0, 1, 2:
		return "INSERT " + or + "INTO " + g.values(s, 1+g.r.IntN(2))
	case 3:
		return "INSERT INTO " + g.values(s, 1) + " ON CONFLICT(id) DO UPDATE SET i = excluded.i"
	case 4:
		return "UPDATE " + or + s.name + " SET i = " + g.value(s, "i") + one
	case 5:
		return "UPDATE " + s.name + " SET s = " + g.word() + g.pick(one, where)
	case 6:
		return g.pick("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a", "PRAGMA recursive_triggers = ON", "PRAGMA recursive_triggers = OFF", "DELETE FROM log1")
	default:
		return "DELETE FROM " + s.name + where
	}
}

// TestNestedTriggers compares what triggers leave that set off each other and
// raise, and what views over views show and pass on.
func TestNestedTriggers(t *testing.T) {
	var g *nestGen
	onShapes(t, 36, 5, []string{"i", "n", "s"}, func(sg *shapeGen, b *both) {
		g = &nestGen{shapeGen: sg, takes: map[string]bool{}}
		for _, q := range g.support() {
			b.change(q)
		}
		for range 1 + g.r.IntN(3) {
			for _, q := range g.view() {
				b.change(q)
			}
		}
		for range 2 + g.r.IntN(5) {
			b.change(g.trigger())
		}
	}, func(_ *shapeGen, b *both) {
		b.change(g.change())
		g.look(b)
		for _, name := range []string{"log1", "log2", "log3"} {
			b.compare("SELECT * FROM "+name, false)
		}
		b.compare("SELECT changes(), total_changes()", false)
		v := g.pick(g.views...)
		b.compare("SELECT * FROM "+v+g.maybe(60, " WHERE "+g.collated([]string{v})), false)
		if g.chance(30) {
			b.compare(g.finish("SELECT v.id, v.s, m1.i FROM "+v+" AS v "+g.pick("JOIN", "LEFT JOIN", "FULL JOIN")+" m1 ON m1."+g.pick("id = v.id", "i = v.n", "s = v.s")+" WHERE "+g.pick("v.i > 1", "v.s IS NOT NULL", "m1.n IS v.n")), false)
		}
	})
}
