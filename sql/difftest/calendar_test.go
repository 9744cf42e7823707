package difftest

import "testing"

// date is a value for the column d of a generated table.
func (g *shapeGen) date() string {
	return g.pick("NULL", "'2024-02-29'", "'2024-01-31 12:30:45'", "'2023-12-31T23:59:59.999'", "'2024-03-01 00:00:00+02:00'", "'12:34'", "'2000-01-01'", "'1969-12-31 23:59:59'", "'2460000.5'", "'1700000000'", "'not a date'", "''",
		"'2024-02-30'", "'2024-12-30'", "'9999-12-31'", "'0001-01-01'", "2460310.25", "1700000000", "'2024-06-15 08:00:00Z'")
}

func (g *shapeGen) modifier() string {
	return g.pick("'+1 day'", "'-1 month'", "'+1 year'", "'start of month'", "'start of year'", "'start of day'", "'weekday 1'", "'+30 minutes'", "'-0.5 seconds'", "'unixepoch'", "'auto'", "'julianday'", "'utc'", "'ceiling'", "'floor'",
		"'subsec'", "'+0001-02-03'", "'-00:30'", "a.i || ' days'", "'+' || a.i || ' months'", "'nonsense'", "a.s", "NULL")
}

// moment is a call of a date function on a column.
func (g *shapeGen) moment() string {
	arg := g.pick("a.d", "a.d", "a.d", "a.i", "a.r", "a.d, 'subsec'")
	mods := ""
	for range g.r.IntN(3) {
		mods += ", " + g.modifier()
	}
	return g.pick("date("+arg+mods+")", "time("+arg+mods+")", "datetime("+arg+mods+")", "julianday("+arg+mods+")", "unixepoch("+arg+mods+")",
		"strftime("+g.pick("'%Y-%m'", "'%j %W %w'", "'%s'", "'%H:%M:%f'", "'%J'", "'%G-W%V-%u'", "'%d/%m/%Y'", "'%p %I %l'", "'%e %k %R %T %F'", "a.s")+", "+arg+mods+")", "timediff(a.d, "+g.pick("'2024-01-01'", "a.i", "a.r", "b.d")+")")
}

func (g *shapeGen) calendarQuery() (text string, sorted bool) {
	from := g.any().name + " AS a JOIN " + g.any().name + " AS b ON b.id = a.id"
	cond := g.pick("date(a.d)"+g.pick(" = ", " > ", " <= ")+g.pick("'2024-02-29'", "'2024-01-31'", "date('2024-01-01', '+1 month')", "b.d"), "strftime('%Y', a.d) = '2024'", "a.d BETWEEN '2024-01-01' AND '2024-12-31'", "julianday(a.d) > 2460000",
		g.moment()+" = "+g.moment(), g.moment()+g.pick(" IS NULL", " IS NOT NULL"), "unixepoch(a.d) % 2 = 0", "date(a.d) IN (SELECT date(b.d) FROM "+g.any().name+" AS b)", "datetime(a.d) < datetime(b.d)")
	where := g.maybe(60, " WHERE "+cond)
	switch g.r.IntN(6) {
	case 0, 1:
		return "SELECT a.id, " + g.moment() + ", " + g.moment() + " FROM " + from + where + " ORDER BY a.id", true
	case 2:
		return "SELECT a.id FROM " + from + where + " ORDER BY " + g.moment() + g.pick("", " DESC") + ", a.id" + g.limit(), true
	case 3:
		key := g.pick("strftime('%Y-%m', a.d)", "date(a.d, 'start of month')", "date(a.d)", "strftime('%w', a.d)")
		return "SELECT " + key + ", count(*), min(datetime(a.d)), max(julianday(b.d)) FROM " + from + where + " GROUP BY 1" + g.pick("", " ORDER BY 1"), false
	case 4:
		return "SELECT a.id, (SELECT count(*) FROM " + g.any().name + " AS c WHERE date(c.d)" + g.pick(" = ", " < ") + "date(a.d)), typeof(" + g.moment() + ") FROM " + from + where + " ORDER BY a.id", true
	default:
		return "SELECT a.id, b.id FROM m1 AS a " + g.pick("JOIN", "LEFT JOIN") + " m2 AS b ON " + g.pick("date(a.d) = date(b.d)", "strftime('%m', a.d) = strftime('%m', b.d)", "julianday(a.d) - julianday(b.d) BETWEEN 0 AND 40", "unixepoch(b.d) = a.i") + where, false
	}
}

// TestCalendar compares date functions over columns, with indexes on what they give.
func TestCalendar(t *testing.T) {
	t.Setenv("TZ", "UTC")
	before := func(g *shapeGen, b *both) {
		for _, s := range g.shapes {
			for _, key := range []string{"date(d)", "strftime('%Y', d)", "julianday(d) DESC", "unixepoch(d), id", "d"} {
				if g.n++; g.chance(25) {
					b.change("CREATE INDEX " + s.name + "d" + string(rune('a'+g.n%26)) + " ON " + s.name + "(" + key + ")" + g.maybe(25, " WHERE "+g.pick("date(d) IS NOT NULL", "d > '2024'")))
				}
			}
		}
	}
	onShapes(t, 35, 5, []string{"i", "r", "s", "d"}, before, func(g *shapeGen, b *both) {
		if g.chance(15) {
			s := g.any()
			b.change(g.pick(
				"UPDATE "+s.name+" SET d = "+g.pick("date(d, '+1 month')", "datetime(d, '-1 day', 'start of month')", "strftime('%Y', d) || '-06-15'")+" WHERE id % 3 = "+g.pick("0", "1", "2"),
				"UPDATE "+s.name+" SET d = "+g.date()+" WHERE date(d)"+g.pick(" = '2024-02-29'", " > '2024'", " IS NULL"),
				"INSERT OR REPLACE INTO "+g.values(s, 2),
				"DELETE FROM "+s.name+" WHERE strftime('%Y', d) = '2023'"))
			g.look(b)
		}
		q, sorted := g.calendarQuery()
		b.compare(q, sorted)
	})
}
