package difftest

import (
	"strings"
	"testing"
)

// document is JSON or JSONB for the column j of a generated table.
func (g *shapeGen) document() string {
	switch text := g.documentText(); {
	case text == "NULL" || g.chance(65):
		return text
	case g.chance(80):
		return "jsonb(" + text + ")"
	default: // heads that are longer than they must be
		return "jsonb_set(" + text + ", " + g.path() + ", " + g.pick("1", "'x'", "jsonb('[1]')", "x'cb021331'", "NULL") + ")"
	}
}

func (g *shapeGen) documentText() string {
	one := func() string {
		return g.pick("1", "2", "3", "2.5", "null", "true", `"a"`, `"A"`, `"3"`, `[1, 2]`, `{"c": 2}`, `""`, "1e2", `"é\n"`)
	}
	switch g.r.IntN(8) {
	case 0:
		return "NULL"
	case 1:
		return g.pick("'[]'", "'{}'", "'[1, 2, [3, {\"a\": 4}]]'", "'5'", "'\"a\"'", "'null'", "'[{\"a\":1,\"b\":[1,\"x\"]},{\"a\":2}]'")
	case 2:
		return "'{a: " + g.pick("1", "+2", "0x10", ".5", `"q"`) + ", // JSON5\n b: [1, 2,], }'"
	default:
		return `'{"a": ` + one() + `, "b": [` + one() + `, ` + one() + `, ` + one() + `], "k": "` + g.pick("a", "b", "A", "c") + `"` + g.maybe(30, `, "a": `+one()) + g.maybe(30, `, "o": {"p": `+one()+`, "q.r": `+one()+`}`) + `}'`
	}
}

func (g *shapeGen) path() string {
	return g.pick("'$.a'", "'$.b'", "'$.b[1]'", "'$.b[#-1]'", "'$.o.p'", "'$'", "'$[0]'", "'$[1].a'", "'$.k'", `'$.o."q.r"'`, "'$.none'")
}

// part is something taken out of a column with JSON.
func (g *shapeGen) part(j string) string {
	return g.pick(j+" ->> "+g.path(), j+" -> "+g.path(), "json_extract("+j+", "+g.path()+")", j+" ->> "+g.pick("'a'", "'k'", "0", "-1", "'b'"), "json_type("+j+", "+g.path()+")",
		"json_array_length("+j+g.pick("", ", '$.b'")+")", "json_extract("+j+", '$.a', "+g.path()+")", "json_valid("+j+g.pick("", ", 4", ", 6", ", 8", ", 9")+")", "jsonb_extract("+j+", "+g.path()+")", "jsonb("+j+")", "json(jsonb("+j+"))", "jsonb_extract("+j+", "+g.path()+", '$.a')", "json_error_position("+j+")", "json_quote("+j+" -> "+g.path()+")")
}

// made is JSON that is made of a table's columns.
func (g *shapeGen) made(t string) string {
	j := t + ".j"
	v := g.pick(t+".i", t+".s", "json("+j+")", j+" -> '$.b'", t+".id", "NULL", "2.5", "'x'", "json('[1]')", "jsonb("+j+")", "jsonb_extract("+j+", '$.b')", "jsonb_array("+t+".i, 'y')")
	if g.chance(40) {
		return g.pick("jsonb_set("+j+", "+g.path()+", "+v+")", "jsonb_insert("+j+", '$.new', "+v+", "+g.path()+", 1)", "jsonb_replace("+j+", "+g.path()+", "+v+")", "jsonb_remove("+j+", "+g.path()+")",
			"jsonb_patch("+j+", '{\"a\":null,\"z\":1}')", "jsonb_patch("+j+", "+j+")", "jsonb_array("+v+", "+t+".i, "+j+" ->> '$.a')", "jsonb_object('i', "+t+".i, 'j', "+v+")", "jsonb("+j+")", "jsonb_array_insert("+j+", '$.b[0]', "+v+")")
	}
	return g.pick("json_set("+j+", "+g.path()+", "+v+")", "json_insert("+j+", '$.new', "+v+", "+g.path()+", 1)", "json_replace("+j+", "+g.path()+", "+v+")", "json_remove("+j+", "+g.path()+")",
		"json_patch("+j+", '{\"a\":null,\"z\":1}')", "json_patch("+j+", "+j+")", "json_array("+v+", "+t+".i, "+j+" ->> '$.a')", "json_object('i', "+t+".i, 'j', "+v+")", "json("+j+")", "json_pretty("+j+")", "json_set("+j+", '$.b[#]', "+v+")")
}

// changed is made for a column that is changed. SQLite takes JSON text that an
// edit has just returned for the JSONB that it was, in indexes and generated
// columns too, which then differ from what their expressions give.
func (g *shapeGen) changed(t string) string {
	made := g.made(t)
	if strings.HasPrefix(made, "json_") {
		return "json_pretty(" + made + ")"
	}
	return made
}

// documentIndexes are on expressions that the queries have.
func (g *shapeGen) documentIndex(s *shape) string {
	g.n++
	key := g.pick("j ->> '$.a'", "json_extract(j, '$.a')", "j ->> 'k' COLLATE NOCASE, id", "json_extract(j, '$.k')", "json_array_length(j, '$.b')", "j -> '$.b'", "(j ->> '$.k') DESC, i", "json_type(j, '$.a')", "jsonb_extract(j, '$.a')", "jsonb_extract(j, '$.b')", "jsonb(j), id")
	return "CREATE INDEX " + s.name + "j" + string(rune('a'+g.n%26)) + " ON " + s.name + "(" + key + ")" + g.maybe(25, " WHERE "+g.pick("j IS NOT NULL", "json_valid(j)", "j ->> '$.a' > 1"))
}

func (g *shapeGen) documentCondition(t string) string {
	j := t + ".j"
	value := g.pick("1", "2", "3", "'a'", "'A'", "2.5", "NULL", "'3'", "100")
	return g.pick(j+" ->> '$.a'"+g.pick(" = ", " > ", " <= ", " IS ")+value, "json_extract("+j+", '$.a') = "+value, j+" ->> 'k'"+g.maybe(40, " COLLATE NOCASE")+" = "+value, "json_extract("+j+", '$.k') IN ('a', 'b', 2)",
		"json_array_length("+j+", '$.b') > 2", "json_type("+j+", '$.a') = 'integer'", j+" -> '$.b' = '[1,2,3]'", "jsonb_extract("+j+", '$.a') = "+value, "jsonb_extract("+j+", '$.b') = jsonb('[1,2,3]')", "jsonb("+j+") > jsonb_array("+value+")", g.part(j)+" = "+g.part(j), g.part(j)+g.pick(" IS NULL", " IS NOT NULL"),
		"EXISTS (SELECT 1 FROM json_each("+j+", '$.b') AS e WHERE e.value = "+value+")", value+" IN (SELECT value FROM json_each("+j+"))", "(SELECT count(*) FROM json_tree("+j+") WHERE type = 'integer') > 1",
		j+" ->> '$.k' LIKE 'a%'", "json_extract("+j+", '$.a') BETWEEN 1 AND 2")
}

func (g *shapeGen) documentQuery() (text string, sorted bool) {
	a, b := g.any().name, g.any().name
	where := g.maybe(60, " WHERE "+g.documentCondition("a"))
	switch g.r.IntN(13) {
	case 12:
		name := g.pick("json_group_array(", "jsonb_group_array(", "jsonb_group_object(a.s, ", "json_group_object(a.s, ")
		return "SELECT a.id, " + name + g.pick("a.i", "a.j", "a.j -> '$.b'", "jsonb_extract(a.j, '$.b')") + ") OVER (ORDER BY a.id" + g.pick("", " ROWS 2 PRECEDING", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING") + ") FROM " + a + " AS a" + where + " ORDER BY a.id", true
	case 0, 1:
		return "SELECT a.id, " + g.part("a.j") + ", " + g.part("a.j") + " FROM " + a + " AS a" + where + " ORDER BY " + g.maybe(50, g.part("a.j")+g.pick("", " DESC", " COLLATE NOCASE")+", ") + "a.id" + g.limit(), true
	case 2:
		return "SELECT a.id, " + g.made("a") + " FROM " + a + " AS a" + where + " ORDER BY a.id", true
	case 3:
		on := g.pick("a.j ->> '$.a' = b.j ->> '$.a'", "a.j ->> 'k' = b.s", "json_extract(b.j, '$.a') = a.i", "a.id = json_array_length(b.j, '$.b')", "b.i IN (SELECT value FROM json_each(a.j, '$.b'))")
		return "SELECT a.id, b.id, " + g.part("b.j") + " FROM " + a + " AS a" + g.pick(" JOIN ", " LEFT JOIN ", " FULL JOIN ") + b + " AS b ON " + on + where, false
	case 4:
		return "SELECT a.id, e.key, e.value, e.type, e.atom, e.fullkey, e.path FROM " + a + " AS a, " + g.pick("json_each", "json_tree", "jsonb_each", "jsonb_tree") + "(a.j" + g.maybe(50, ", "+g.path()) + ") AS e" + where + g.maybe(40, map[bool]string{true: " WHERE ", false: " AND "}[where == ""]+g.pick("e.type = 'integer'", "e.value > 1", "e.key = 'a'", "e.atom IS NOT NULL")), false
	case 5:
		key := g.pick("a.j ->> '$.k'", "json_type(a.j, '$.a')", "json_extract(a.j, '$.a')")
		return "SELECT " + key + ", count(*), " + g.pick("json_group_array(a.i ORDER BY a.id)", "json_group_array(a.j -> '$.a' ORDER BY a.id)", "json_group_object(a.id, a.s ORDER BY a.id)", "jsonb_group_array(a.i ORDER BY a.id)", "jsonb_group_array(jsonb(a.j) ORDER BY a.id)", "jsonb_group_object(a.id, a.j -> '$.b' ORDER BY a.id)", "json_group_array(jsonb_extract(a.j, '$.b') ORDER BY a.id)", "json_group_array(json(a.j) ORDER BY a.id)", "total(a.j ->> '$.a')", "max(a.j ->> '$.b[0]')") +
			" FROM " + a + " AS a" + where + " GROUP BY " + key + g.maybe(30, " HAVING count(*) > 1"), false
	case 6:
		return "SELECT a.id, (SELECT " + g.pick("json_group_array(e.value ORDER BY e.key)", "sum(e.value)", "count(*)", "group_concat(e.key ORDER BY e.key)", "json_group_object(e.key, e.type ORDER BY e.id)") + " FROM json_each(a.j" + g.pick("", ", '$.b'") + ") AS e" + g.maybe(40, " WHERE e.value IS NOT a.i") + ") FROM " + a + " AS a ORDER BY a.id", true
	case 7:
		return "SELECT DISTINCT " + g.part("a.j") + " FROM " + a + " AS a" + where, false
	case 8:
		return "SELECT a.id, b.key, " + g.pick("b.value", "b.value ->> 0", "typeof(b.value)", "json_quote(b.value)", "subtype(b.value)") + " FROM " + a + " AS a LEFT JOIN " + g.pick("json_each", "jsonb_each") + "(a.j) AS b ON " + g.pick("b.type <> 'array'", "b.value = a.i", "1") + where, false
	case 9:
		return "WITH e(id, v) AS (SELECT a.id, json_each.value FROM " + a + " AS a, json_each(a.j, '$.b')) SELECT e.v, count(*), min(e.id) FROM e JOIN " + b + " AS b ON b.id = e.id WHERE e.v IS NOT NULL GROUP BY 1", false
	case 10:
		return "SELECT a.id FROM " + a + " AS a WHERE " + g.documentCondition("a") + g.pick(" AND ", " OR ") + g.documentCondition("a") + " ORDER BY a.id", true
	default:
		return "SELECT json_group_array(json_object('id', a.id, 'v', " + g.part("a.j") + ") ORDER BY a.id), json_group_array(DISTINCT a.i ORDER BY a.i) FROM " + a + " AS a" + where, false
	}
}

// TestDocuments compares JSON functions over columns, with indexes on what they
// give, in joins, groups and changes.
func TestDocuments(t *testing.T) {
	before := func(g *shapeGen, b *both) {
		for _, s := range g.shapes {
			for range g.r.IntN(4) {
				b.change(g.documentIndex(s))
			}
		}
		if g.chance(40) {
			b.change("ANALYZE")
		}
	}
	onShapes(t, 34, 4, []string{"i", "s", "j"}, before, func(g *shapeGen, b *both) {
		if g.chance(15) {
			s := g.any()
			b.change(g.pick(
				"UPDATE "+s.name+" SET j = "+strings.ReplaceAll(g.changed("§"), "§.", "")+" WHERE id % 4 = "+g.pick("0", "1", "2"),
				"UPDATE "+s.name+" SET j = "+g.document()+" WHERE "+strings.ReplaceAll(g.documentCondition("§"), "§.", ""),
				"INSERT INTO "+g.values(s, 1),
				"INSERT INTO "+s.name+"(id, j) VALUES ("+g.id()+", "+g.document()+") ON CONFLICT(id) DO UPDATE SET j = json_pretty(json_patch(j, excluded.j))",
				"UPDATE "+s.name+" SET j = 'x{' WHERE id = "+g.id()+" RETURNING json_valid(j)",
				"UPDATE "+s.name+" SET i = e.n FROM (SELECT a.id, count(*) AS n FROM "+g.any().name+" AS a, json_each(a.j) GROUP BY a.id) AS e WHERE e.id = "+s.name+".id AND e.id = "+g.id()))
			b.change("UPDATE " + s.name + " SET j = '{\"a\":7}' WHERE NOT json_valid(j, 10)")
			g.look(b)
		}
		q, sorted := g.documentQuery()
		b.compare(q, sorted)
	})
}
