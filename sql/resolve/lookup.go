package resolve

import (
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// context is what names are looked up in: the tables of one SELECT, and what is
// around it.
type context struct {
	items   []*item
	outer   *context
	results []*result // whose aliases are names too
	upsert  bool      // the first item is what excluded stands for
}

// reference is a name as it is written: database.table.column.
type reference struct {
	database, table string // "": not written
	column          *ast.Ident
	qualifier       *ast.Ident // the table; or nil
}

func (q *reference) String() string {
	s := q.column.Name
	if q.table != "" {
		s = q.table + "." + s
	}
	if q.database != "" {
		s = q.database + "." + s
	}
	return s
}

// match is what a name stands for.
type match struct {
	item  *item
	table *Table // nil for an alias, a text, TRUE, FALSE
	col   int
	row   bool // it is a column of NEW or OLD
	mixed bool // of several that a FULL join merged
	alias *result
}

// search is one name being looked up.
type search struct {
	q       *reference
	last    *item // that may have the name
	count   int   // how many columns have the name
	rowIDs  int   // how many tables could have it for their row id
	merged  int   // of count, those that a FULL join merges with the first one
	aliased bool
	match
}

// name resolves a reference.
func (r *resolver) name(ctx *context, q *reference) (*match, error) {
	s := &search{q: q}
	for c := ctx; c != nil; c = c.outer {
		for _, it := range c.items {
			s.in(it)
		}
		if s.count == 0 && q.database == "" {
			r.inRows(c, s)
		}
		if s.count == 0 && s.rowIDs > 0 && s.last != nil && isRowID(q.column.Name) {
			s.count = s.rowIDs
			if !s.last.nested {
				s.col = -1
			}
		}
		if s.count == 0 && q.table == "" {
			if res := aliasIn(c.results, q.column.Name); res != nil {
				return &match{alias: res}, nil
			}
		}
		if s.count > 0 {
			break
		}
	}
	if s.count == 0 && q.table == "" {
		switch id := q.column; {
		case id.Quote == ast.QuoteDouble:
			r.foundString(id)
			return &match{}, nil
		case id.Quote == ast.QuoteNone && (same(id.Name, "true") || same(id.Name, "false")):
			return &match{}, nil
		}
	}
	switch {
	case s.count == 0:
		return nil, sqlerr.Errorf("no such column: %s", q)
	case s.count > 1 && (s.merged == 0 || s.merged != s.count-1):
		return nil, sqlerr.Errorf("ambiguous column name: %s", q)
	}
	s.mixed = s.count > 1
	r.noteMatch(s)
	return &s.match, nil
}

// noteMatch notes a name that was found.
func (r *resolver) noteMatch(s *search) {
	if s.table == nil || s.mixed || s.item != nil && s.item.sub != nil {
		return
	}
	r.found(s.table, s.col, s.q.column)
	if !s.row && !s.aliased && s.q.qualifier != nil {
		r.foundTable(s.table, s.q.qualifier)
	}
}

// in looks the name up in one item of a FROM clause.
func (s *search) in(it *item) {
	if it.nested && s.inNested(it) {
		return
	}
	t, q := it.table, s.q
	if q.table != "" {
		if q.database != "" && q.database != t.database() || !it.isNamed(q.table) {
			return
		}
		s.aliased = s.aliased || it.alias != ""
	}
	if j := t.column(q.column.Name); j >= 0 {
		if s.besides(it, false) {
			return
		}
		s.count++
		s.take(it, j)
	}
	if s.count == 0 && t.HasRowID {
		s.rowIDs++
		s.last, s.match = it, match{item: it, table: t}
	}
}

// isNamed reports whether a qualifier stands for an item.
func (it *item) isNamed(table string) bool {
	if it.alias != "" {
		return same(it.alias, table)
	}
	if same(it.table.Name, table) {
		return true
	}
	name := fold(table)
	switch it.table.Name {
	case "sqlite_master":
		return name == "sqlite_schema"
	case "sqlite_temp_master":
		return name == "sqlite_temp_schema"
	}
	return false
}

// take has the name stand for a column of an item; of a join in parentheses, for
// the one of the table in it.
func (s *search) take(it *item, j int) {
	s.last, s.match = it, match{item: it, table: it.table, col: it.table.index(j)}
	if !it.nested {
		return
	}
	if m := it.sub.parts[0].results[j].match; m != nil && m.item != nil {
		s.match = *m
		s.aliased = s.aliased || m.item.alias != ""
	}
}

// besides takes a column of a name that another one has. It reports whether the
// first one stays what the name stands for.
func (s *search) besides(it *item, again bool) bool {
	switch {
	case s.count == 0:
	case !it.uses(s.q.column.Name) || again:
		s.merged = 0 // ambiguous
	case !it.right:
		return true
	case !it.left:
		s.count, s.merged = 0, 0
	default:
		s.merged++
	}
	return false
}

// inNested looks the name up in a join in parentheses, whose tables keep their
// names. It reports whether that is all there is to look at.
func (s *search) inNested(it *item) bool {
	hit := false
	for j, res := range it.sub.parts[0].results {
		if !res.isNamed(s.q) {
			continue
		}
		if !res.rowID {
			if s.besides(it, s.last == it) {
				continue
			}
			s.count++
			hit = true
		} else if s.count > 0 {
			continue
		}
		s.rowIDs++
		s.take(it, j)
		if res.using {
			break
		}
	}
	return hit || s.q.table == ""
}

// isNamed reports whether a name stands for a column of a join in parentheses.
func (res *result) isNamed(q *reference) bool {
	if !res.from || q.database != "" && q.database != res.database || q.table != "" && !same(res.table, q.table) {
		return false
	}
	if res.rowID {
		return isRowID(q.column.Name)
	}
	return same(res.name, q.column.Name)
}

// inRows looks the name up in the rows of a trigger and of an upsert.
func (r *resolver) inRows(c *context, s *search) {
	var t *Table
	m := match{row: true}
	switch name := fold(s.q.table); {
	case c.upsert && name == "excluded":
		t = c.items[0].table
	case r.trigger != nil && (name == "new" && r.trigger.hasNew || name == "old" && r.trigger.hasOld):
		t = r.trigger.table
	default:
		return
	}
	i := t.column(s.q.column.Name)
	switch {
	case i >= 0:
		m.col = t.index(i)
	case isRowID(s.q.column.Name) && t.HasRowID:
		m.col = -1
	default:
		return
	}
	m.table = t
	s.last, s.match = nil, m
	s.count++
}

func aliasIn(results []*result, name string) *result {
	for _, res := range results {
		if res.named && same(res.name, name) {
			return res
		}
	}
	return nil
}
