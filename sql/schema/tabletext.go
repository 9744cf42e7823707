package schema

import (
	"strings"

	"github.com/byokdb/byokdb/sql/parse"
)

// lineMax is how long the names in the text of a table may be for one line, with
// five bytes more for each column and two for the quotes around a name.
const lineMax = 50

// TableText returns the CREATE TABLE text of a table made from a query's
// columns, of which Name and DeclType count: that of SQLite.
func TableText(name string, columns []Column) string {
	before, between, after := "", ",", ")"
	size := len(quote(name))
	for _, c := range columns {
		size += len(quote(c.Name)) + 5
	}
	if size >= lineMax {
		before, between, after = "\n  ", ",\n  ", "\n)"
	}
	var b strings.Builder
	b.WriteString("CREATE TABLE " + plainName(name) + "(" + before)
	for i, c := range columns {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(plainName(c.Name))
		if c.DeclType != "" {
			b.WriteString(" " + c.DeclType)
		}
	}
	b.WriteString(after)
	return b.String()
}

// plainName returns a name as it stands in SQL, in quotes if it must.
func plainName(name string) string {
	plain := name != "" && (name[0] < '0' || name[0] > '9') && !parse.IsKeyword(name)
	for i := 0; i < len(name) && plain; i++ {
		c := name[i]
		plain = c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
	}
	if plain {
		return name
	}
	return quote(name)
}
