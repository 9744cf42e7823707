package exec

import (
	"slices"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/schema"
	"github.com/byokdb/byokdb/sql/value"
)

// sourcesMax is the largest number of tables in one FROM clause, SQLite's own.
const sourcesMax = 64

// column is one column of a source as name resolution sees it.
type column struct {
	name     string
	aff      value.Affinity
	hasAff   bool
	coll     value.Collation
	declType string
	hidden   bool // left out of "*": the right half of a USING pair
	input    bool // left out of every star: see inputs

	numbered string // what a result column is called that it is, "" for name: in parentheses equal names get numbers
}

// label is what a result column is called that is c.
func (c *column) label() string {
	if c.numbered != "" {
		return c.numbered
	}
	return c.name
}

// source is one item of a FROM clause. Column i of its row lies in register
// slots[i], its row id (tables only) in rowID.
type source struct {
	name  string // alias or table name, as written
	db    string // main or temp, of a table, view or function; "" for others
	whole string // the name with the database that was written before it, for EXPLAIN QUERY PLAN
	cols  []column
	slots []int
	rowID int // register, -1 when the source has none
	index int // position in the FROM clause, the bit in source sets

	table *schema.Table // nil unless a stored table
	used  []bool        // columns that some expression reads (tables only)
	// generated are the columns that are computed, each after those it reads.
	generated []*generated
	query     *query  // that its rows come from, for EXPLAIN QUERY PLAN
	node      node    // how to produce the rows of anything but a table
	label     string  // for EXPLAIN QUERY PLAN
	rows      float64 // how many there are of anything but a table; 0: nobody knows
	ways      []*way  // see compiler.ways
	indexed   *indexHint
	flat      []*expr // it stands for these, and is no part of the join; or nil
	inner     bool    // part of what a flat source stands for: no name finds it

	qualifiedOnly bool // its columns are reached by their qualified names alone: OLD and NEW
	excluded      bool // the row that an ON CONFLICT clause is for

	nested *nestedJoin // a join in parentheses, which no name finds; else nil

	inputs  *inputs // of a table that is a function, else nil
	lateral bool    // its rows depend on those of other sources

	join  ast.JoinType
	using []string // names of USING or NATURAL
	on    []*expr  // conjuncts of ON, USING and NATURAL
	after []*expr  // conjuncts of the ON of parentheses that end with it
}

// mergedColumn is the one column that a USING pair shows under its name.
type mergedColumn struct {
	name string
	all  []sourceColumn
	// shown are those that the name stands for, the first one that is not NULL
	// counting: the leftmost, from a RIGHT join on its right one, and the right ones
	// of FULL joins besides.
	shown []sourceColumn

	covers    uint64  // sources in which the name is no other column
	before    *source // the last one on the left when it was merged
	grouped   bool    // of a join in parentheses
	numbered  string  // see column
	ambiguous bool
}

type sourceColumn struct {
	src *source
	col int
}

// match is what the name of the column stands for.
func (m *mergedColumn) match(sc *scope) *match {
	return &match{sc: sc, src: m.shown[0].src, col: m.shown[0].col, mrg: m}
}

// scope is what names mean inside one SELECT.
type scope struct {
	parent  *scope
	sources []*source
	ctes    map[string]*cte
	base    int // index of its first source
	flat    int // how deep it is among flattened queries from 1; 0: nothing is flattened
	merged  []*mergedColumn
	later   []func() error // compile what may read sources that are to come

	keepsRight bool // a join of the FROM clause is RIGHT or FULL

	aliases map[string]ast.Expr // result columns, for WHERE, GROUP BY, HAVING and ORDER BY
	inAlias map[string]bool     // aliases being expanded now

	touched    uint64 // sources that names were resolved to since it was cleared
	correlated bool   // some name was resolved in a parent

	windows  *windowing // not nil where window functions are allowed
	windowed bool       // window functions stand beside what is compiled

	aggregates bool         // the clause that is compiled may call aggregates
	aggs       *aggregation // collects those over the rows of the scope; nil where there can be none
	inAgg      bool         // compiling an aggregate's arguments
	inGroupBy  bool         // compiling GROUP BY
	inWhere    bool         // compiling WHERE
	misuse     error        // of aggregates in WHERE, if the query has none of its own
	returns    bool         // of RETURNING
}

// cte is one common table expression, compiled anew for each reference.
type cte struct {
	def    *ast.CTE
	outer  *scope // where its own names are looked up
	rec    *recursion
	active bool // being compiled: a reference to itself is a recursion
}

// notWindowed clears windowed in all scopes, until restore is called.
func (sc *scope) notWindowed() (restore func()) {
	var cleared []*scope
	for s := sc; s != nil; s = s.parent {
		if s.windowed {
			s.windowed, cleared = false, append(cleared, s)
		}
	}
	return func() {
		for _, s := range cleared {
			s.windowed = true
		}
	}
}

func fold(s string) string { return ast.Fold(s) }

// afterWith reports whether the scope is in a statement with WITH.
func (sc *scope) afterWith() bool {
	for s := sc; s != nil; s = s.parent {
		if s.ctes != nil {
			return true
		}
	}
	return false
}

func (sc *scope) findCTE(name string) *cte {
	for s := sc; s != nil; s = s.parent {
		if c := s.ctes[fold(name)]; c != nil {
			return c
		}
	}
	return nil
}

// match is a column that a name stands for.
type match struct {
	sc  *scope
	src *source
	col int // -1: the row id
	mrg *mergedColumn
}

// lookup finds a column in this scope alone. It reports ambiguous names as an
// error and an unknown one as a nil match.
func (sc *scope) lookup(table, name string) (*match, error) {
	return sc.lookupIn("", table, name)
}

// lookupIn is lookup with the name of a database in lower case, "" for any.
func (sc *scope) lookupIn(db, table, name string) (*match, error) {
	var found *match
	if table == "" {
		for _, m := range sc.merged {
			if ast.SameName(m.name, name) {
				if m.ambiguous || sc.besides(m) {
					return nil, errorf("ambiguous column name: %s", name)
				}
				return m.match(sc), nil
			}
		}
	}
	named := sc.named()
	for _, src := range named {
		if src.inner || !src.isNamed(db, table) {
			continue
		}
		for i := range src.cols {
			if !ast.SameName(src.cols[i].name, name) || (table == "" && src.cols[i].hidden) {
				continue
			}
			if found == nil {
				found = &match{sc: sc, src: src, col: i}
			} else if found = found.joinedWith(sourceColumn{src, i}, name); found == nil {
				return nil, errorf("ambiguous column name: %s", qualified(table, name))
			}
			break
		}
	}
	if found == nil && table != "" {
		found = sc.aliased(table, name)
	}
	if found != nil || !isRowIDName(name) {
		return found, nil
	}
	for _, src := range named {
		if src.inner || src.rowID < 0 || !src.isNamed(db, table) || (table == "" && src.qualifiedOnly) {
			continue
		}
		if found != nil {
			return nil, errorf("ambiguous column name: %s", qualified(table, name))
		}
		found = &match{sc: sc, src: src, col: -1}
	}
	return found, nil
}

// joinedWith is what a qualified name stands for that a further table of the same
// name has, nil if USING of that table does not join the column.
func (m *match) joinedWith(c sourceColumn, name string) *match {
	if !slices.ContainsFunc(c.src.using, func(s string) bool { return ast.SameName(s, name) }) {
		return nil
	}
	mrg := m.mrg
	if mrg == nil {
		first := []sourceColumn{{m.src, m.col}}
		mrg = &mergedColumn{name: name, all: first, shown: first}
	}
	mrg.add(c.src, []sourceColumn{c})
	return mrg.match(m.sc)
}

// qualify keeps the database that is written before a name.
func (s *source) qualify(q *ast.QualifiedName, alias *ast.Ident) {
	if q.Schema != nil && alias == nil {
		s.whole = q.Schema.Name + "." + s.name
	}
}

// shown is the source's name for EXPLAIN QUERY PLAN.
func (s *source) shown() string {
	if s.whole != "" {
		return s.whole
	}
	return s.name
}

// isNamed reports whether a qualifier stands for s; "" stands for all.
func (s *source) isNamed(db, table string) bool {
	return (table == "" || ast.SameName(s.name, table)) && (db == "" || s.db == db)
}

// besides reports whether some other column has the name of one that USING
// merged.
func (sc *scope) besides(m *mergedColumn) bool {
	for _, src := range sc.named() {
		if src.inner || m.covers&(1<<uint(src.index)) != 0 {
			continue
		}
		if i := src.column(m.name); i >= 0 && !src.cols[i].hidden {
			return true
		}
	}
	return false
}

func qualified(table, name string) string {
	if table == "" {
		return name
	}
	return table + "." + name
}

func isRowIDName(s string) bool {
	return ast.SameName(s, "rowid") || ast.SameName(s, "_rowid_") || ast.SameName(s, "oid")
}

// use marks the match as read and returns its register.
func (m *match) use() int {
	m.sc.touched |= 1 << uint(m.src.index)
	return m.src.use(m.col)
}

func (s *source) use(col int) int {
	if col < 0 {
		return s.rowID
	}
	if s.used != nil && !s.used[col] {
		s.used[col] = true
		s.useGenerated(col)
	}
	return s.slots[col]
}
