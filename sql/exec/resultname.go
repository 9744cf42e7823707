package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
)

// nameItem names a result column without an alias as SQLite does: a column by its
// own name, or as it is written where the query is one of a FROM clause, anything
// else by its text. COLLATE belongs to the name of the result alone.
func (c *compiler) nameItem(sc *scope, it *item) {
	inner, table := bare(it.e), ""
	var id *ast.Ident
	switch n := inner.(type) {
	case *ast.Ident:
		id = n
	case *ast.QualifiedRef:
		id = n.Parts[len(n.Parts)-1]
		table = n.Parts[len(n.Parts)-2].Name
	}
	if id == nil {
		it.name = c.textToToken(it.e)
		return
	}
	collated := inner != ast.Unparen(it.e)
	m, err := sc.lookup(table, id.Name)
	known := err == nil && m != nil
	switch {
	case !known && collated || known && m.mrg != nil && len(m.mrg.shown) > 1: // a text, and a call of coalesce
		it.stored = c.textToToken(it.e)
	case known:
		it.stored = m.label()
	default:
		it.stored = id.Name
	}
	it.name, it.written = it.stored, id.Name
	if collated {
		it.name = c.textToToken(it.e)
	}
}

// label is what a result column is called that is the match.
func (m *match) label() string {
	switch {
	case m.mrg != nil:
		return m.mrg.label()
	case m.col >= 0:
		return m.src.cols[m.col].label()
	case m.src.table != nil && m.src.table.RowID >= 0:
		return m.src.cols[m.src.table.RowID].name
	}
	return "rowid"
}

// sharesName reports whether another source has the name of src.
func (sc *scope) sharesName(src *source) bool {
	return src.name != "" && slices.ContainsFunc(sc.named(), func(s *source) bool { return s != src && !s.inner && ast.SameName(s.name, src.name) })
}

// starMatch looks a column up that a star stands for, where several sources have
// the name of its source. Those of another database are not meant.
func (sc *scope) starMatch(src *source, col int) (found *match, err error) {
	name := src.cols[col].name
	for _, s := range sc.named() {
		i := s.column(name)
		if s.inner || i < 0 || s.db != src.db || !ast.SameName(s.name, src.name) {
			continue
		}
		if found == nil {
			found = &match{sc: sc, src: s, col: i}
		} else if found = found.joinedWith(sourceColumn{s, i}, name); found == nil {
			db := src.db
			if db == "" {
				db = "*"
			}
			return nil, errorf("ambiguous column name: %s.%s.%s", db, src.name, name)
		}
	}
	return found, nil
}
