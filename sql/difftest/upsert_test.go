package difftest

import (
	"slices"
	"strings"
	"testing"
)

func (g *shapeGen) returning(s *shape) string {
	other := "id" // SQLite gives a whole number of a REAL column as an integer behind coalesce and +
	if c := s.cols[g.r.IntN(len(s.cols))]; c.decl != "REAL" && c.decl != "DOUBLE" {
		other = c.name
	}
	expr := g.pick(g.pick(s.names()...)+" || 'x'", "typeof("+g.pick(s.names()...)+")", "id + 1", "coalesce("+other+", 'none')", "1")
	return g.pick("", "", " RETURNING *", " RETURNING id, "+g.pick(s.names()...), " RETURNING "+expr+" AS e", " RETURNING *, "+expr)
}

// sets assigns to columns that are in no unique key; rows of the source may be used.
func (g *shapeGen) sets(s *shape, from []string) string {
	var out []string
	for _, c := range s.stored() {
		if slices.Contains(s.unique, c.name) || c.name == "j" || c.name == "d" || !g.chance(50) {
			continue
		}
		v := g.value(s, c.name)
		if len(from) > 0 && !s.strict && g.chance(60) {
			v = g.column(from)
			if g.chance(20) {
				v = "coalesce(" + v + ", " + g.value(s, c.name) + ")"
			}
		}
		out = append(out, c.name+" = "+v)
	}
	if len(out) == 0 {
		return "id = " + s.name + ".id"
	}
	g.r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return strings.Join(out[:min(len(out), 3)], ", ")
}

// conflict is an ON CONFLICT clause for one of the table's keys. Subqueries in it
// would see what the statement has changed so far.
func (g *shapeGen) conflict(s *shape) string {
	g.flat = true
	defer func() { g.flat = false }()
	key := "(" + g.pick(s.keys...) + ")"
	g.own["ex"] = g.own[s.name]
	rows := []string{s.name, "excluded", "excluded"}
	set := g.sets(s, rows)
	if g.chance(20) {
		c := s.stored()[g.r.IntN(len(s.stored()))].name
		set = c + " = " + g.pick("excluded."+c, g.value(s, c))
	}
	do := g.pick("NOTHING", "UPDATE SET "+set, "UPDATE SET "+set, "UPDATE SET "+set+" WHERE "+g.collated(rows[:1]), "UPDATE SET "+set+" WHERE "+g.collated(rows), "UPDATE SET "+set+" WHERE excluded.id > 3")
	return " ON CONFLICT " + key + " DO " + do
}

// upsert is a change of one table of which the rows are compared.
func (g *shapeGen) upsert() string {
	s, other := g.any(), g.any()
	or := g.pick("", "", "OR IGNORE ", "OR REPLACE ", "OR FAIL ", "OR ROLLBACK ", "OR ABORT ")
	switch g.r.IntN(12) {
	case 0:
		return "INSERT " + or + "INTO " + g.values(s, 1+g.r.IntN(3)) + g.returning(s)
	case 1, 2, 3:
		text := "INSERT INTO " + g.values(s, 1+g.r.IntN(3))
		for range 1 + g.r.IntN(2) {
			text += g.conflict(s)
		}
		return text + g.maybe(30, " ON CONFLICT DO "+g.pick("NOTHING", "UPDATE SET "+g.sets(s, nil))) + g.returning(s)
	case 4:
		c := s.stored()[g.r.IntN(len(s.stored()))].name
		into, from := "(id)", "id + "+g.small()
		if !s.strict && other.has(c) { // which fault of a row SQLite reports, of its type or another, depends on generated columns
			into, from = "(id, "+c+")", from+", "+c
		}
		return "INSERT INTO " + s.name + into + " SELECT " + from + " FROM " + other.name + " WHERE " + g.collated([]string{other.name}) + " ORDER BY id LIMIT 5" + g.conflict(s) + g.returning(s)
	case 5, 6:
		if s == other {
			return "UPDATE " + s.name + " SET " + g.sets(s, []string{s.name, s.name + "o"}) + " FROM " + s.name + " AS " + s.name + "o WHERE " + s.name + "o.id = " + s.name + ".id" + g.pick("", " + 1", " - 2") + g.returning(s)
		}
		return "UPDATE " + s.name + " SET " + g.sets(s, []string{s.name, other.name}) + " FROM " + other.name + " WHERE " + other.name + ".id = " + s.name + ".id" + g.maybe(40, " AND "+g.expr([]string{s.name, other.name}, 1)) + g.returning(s)
	case 7:
		if s == other {
			return "DELETE FROM " + s.name + " WHERE id = " + g.id() + g.returning(s)
		}
		g.own["ag"] = []string{"k", "c", "m"}
		return "UPDATE " + s.name + " SET " + g.sets(s, []string{s.name, "ag"}) + " FROM (SELECT id / 2 AS k, count(*) AS c, max(id) AS m FROM " + other.name + " GROUP BY 1) AS ag WHERE ag.k = " + s.name + ".id" + g.returning(s)
	case 8:
		c := s.stored()[g.r.IntN(len(s.stored()))].name
		return "UPDATE " + or + s.name + " SET " + c + " = " + g.value(s, c) + g.maybe(30, ", id = "+g.id()) + " WHERE id = " + g.id() + g.returning(s)
	case 9:
		return "UPDATE " + s.name + " SET " + g.sets(s, []string{s.name}) + " WHERE " + g.collated([]string{s.name}) + g.returning(s)
	case 10:
		return "DELETE FROM " + s.name + " WHERE " + g.collated([]string{s.name}) + " AND id % 4 = " + g.pick("0", "1", "2", "3") + g.returning(s)
	default:
		return "REPLACE INTO " + g.values(s, 1+g.r.IntN(2)) + g.returning(s)
	}
}

// TestUpserts compares changes of generated tables: ON CONFLICT with one and with
// several of their keys, UPDATE with FROM, and what RETURNING gives.
func TestUpserts(t *testing.T) {
	onShapes(t, 32, 4, nil, func(*shapeGen, *both) {}, func(g *shapeGen, b *both) {
		b.change(g.finish(g.upsert()))
		g.look(b)
		if g.chance(20) {
			b.compare("SELECT changes(), total_changes()", false)
		}
	})
}
