package resolve

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// result is one column of a SELECT, stars expanded.
type result struct {
	expr  ast.Expr
	name  string // that was given to it, or out of a star
	named bool   // it has one

	// Of a join in parentheses: where the column is from.
	from     bool
	database string
	table    string
	rowID    bool
	using    bool // it is the one that USING merged
	noExpand bool // a star leaves it out

	match *match // what expr is, if that is a column
}

// expandStars makes the columns of a SELECT.
func (r *resolver) expandStars(p *part) error {
	var fault error
	for _, rc := range p.core.Columns {
		star, ok := rc.Expr.(*ast.Star)
		if !ok {
			res := &result{expr: rc.Expr}
			if rc.Alias != nil {
				res.name, res.named = rc.Alias.Name, true
			}
			p.results = append(p.results, res)
			continue
		}
		if !r.expandStar(p, star) {
			fault = sqlerr.Errorf("no tables specified")
			if star.Table != nil {
				fault = sqlerr.Errorf("no such table: %s", star.Table.Name)
			}
		}
	}
	return fault
}

// expandStar adds the columns of one star; false: there are none.
func (r *resolver) expandStar(p *part, star *ast.Star) bool {
	seen := false
	table := star.Table // the name before the star, until it was used
	for i, it := range p.items {
		t, shown := it.table, it.shown()
		if star.Table != nil && !it.nested && !same(star.Table.Name, shown) {
			continue
		}
		var merged []string
		if p.nested && i+1 < len(p.items) {
			merged = p.items[i+1].using
		}
		for _, name := range merged {
			p.results = append(p.results, &result{expr: made(name), name: name, from: true, using: true})
		}
		for j, name := range t.Columns {
			if !it.inStar(p, star, j) {
				continue
			}
			seen = true
			if i > 0 && star.Table == nil && !p.nested && it.uses(name) {
				continue
			}
			res := &result{name: name, expr: it.qualified(name, table), named: !p.nested}
			table = nil
			if p.nested {
				res.setFrom(it, j)
				res.noExpand = it.uses(name) || contains(merged, name) || j < len(t.noExpand) && t.noExpand[j]
			}
			p.results = append(p.results, res)
		}
		if p.nested && t.HasRowID {
			res := &result{name: "rowid", expr: it.qualified("rowid", nil)}
			res.from, res.rowID, res.database, res.table = true, true, t.database(), shown
			p.results = append(p.results, res)
		}
	}
	return seen
}

// inStar reports whether a star has a column of an item.
func (it *item) inStar(p *part, star *ast.Star, j int) bool {
	t := it.table
	if it.nested {
		inner := it.sub.parts[0].results[j]
		if inner.rowID || star.Table != nil && (!inner.from || !same(inner.table, star.Table.Name)) {
			return false
		}
	}
	hidden := j < len(t.noExpand) && t.noExpand[j] && star.Table == nil && !p.nested
	return !t.hides(j) && !hidden
}

func (res *result) setFrom(it *item, j int) {
	if it.nested {
		inner := it.sub.parts[0].results[j]
		res.from, res.database, res.table = inner.from, inner.database, inner.table
		return
	}
	res.from, res.database, res.table = true, it.table.database(), it.shown()
}

// qualified is a column out of a star as it is looked up. The name before the
// star stands for the first one's.
func (it *item) qualified(name string, table *ast.Ident) ast.Expr {
	shown := made(it.shown())
	if table != nil && !it.nested {
		shown.Span = table.Span
	}
	if it.nested {
		return &ast.QualifiedRef{Parts: []*ast.Ident{shown, made(name)}}
	}
	return &ast.QualifiedRef{Parts: []*ast.Ident{made(it.table.database()), shown, made(name)}}
}

// made is a name that is not in the text.
func made(name string) *ast.Ident { return &ast.Ident{Name: name} }

// database is what stands for a table's database before its name.
func (t *Table) database() string {
	if t.Database == "" {
		return "*"
	}
	return t.Database
}

// shown is what an item is called.
func (it *item) shown() string {
	if it.alias != "" {
		return it.alias
	}
	return it.table.Name
}

func contains(list []string, name string) bool {
	for _, s := range list {
		if same(s, name) {
			return true
		}
	}
	return false
}

// columnNames are the names of the columns of a subquery, each once, and which
// of them a star leaves out.
func (r *resolver) columnNames(results []*result) (names []string, noExpand []bool) {
	seen := map[string]*result{}
	noExpand = make([]bool, len(results))
	for i, res := range results {
		name := r.columnName(res, i)
		noExpand[i] = res.noExpand
		for n := 1; seen[fold(name)] != nil; n++ {
			if seen[fold(name)].using {
				noExpand[i] = true
			}
			base := name
			if digits := strings.LastIndexByte(name, ':'); digits > 0 && isDigits(name[digits+1:]) {
				base = name[:digits]
			}
			name = base + ":" + strconv.Itoa(n)
		}
		seen[fold(name)] = res
		names = append(names, name)
	}
	return names, noExpand
}

func isDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// nameOf is the name of a column, and of the row id.
func (t *Table) nameOf(col int) string {
	if col < 0 {
		col = t.RowID
	}
	if col < 0 {
		return "rowid"
	}
	return t.Columns[col]
}

func (r *resolver) columnName(res *result, i int) string {
	name := res.name
	if !res.named && !res.from {
		switch n := plain(res.expr).(type) {
		case *ast.Ident:
			name = n.Name
		case *ast.QualifiedRef:
			name = n.Parts[len(n.Parts)-1].Name
		default:
			name = r.source(res.expr)
		}
		switch m := res.match; {
		case m == nil || m.table == nil:
		case m.mixed: // a call of coalesce
			name = r.source(res.expr)
		default: // resolved: its name as it was made
			name = m.table.nameOf(m.col)
		}
	}
	if name == "" || same(name, "true") || same(name, "false") {
		return fmt.Sprintf("column%d", i+1)
	}
	return name
}
