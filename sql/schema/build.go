package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// builder makes a Table of a CREATE TABLE statement.
type builder struct {
	t    *Table
	text string // the whole text that node spans count from is text at pos
	pos  int

	hasPK  bool
	pkAuto bool // AUTOINCREMENT was written
	pk     []IndexColumn
	pkDesc bool // INTEGER PRIMARY KEY DESC on the column: no alias of the rowid
	pkAt   int  // how many UNIQUE constraints were written before it
	unique []*Index
}

// buildTable checks a definition and makes the table without roots.
func buildTable(n *ast.CreateTableStmt, st parse.Stmt) (*Table, error) {
	b := &builder{t: &Table{Name: n.Name.Name.Name, RowID: -1}, text: st.Text, pos: st.Pos}
	if n.Select != nil {
		return nil, sqlerr.Errorf("CREATE TABLE AS SELECT has no column definitions")
	}
	if err := b.options(n.Options); err != nil {
		return nil, err
	}
	for _, c := range n.Columns {
		if err := b.column(c); err != nil {
			return nil, err
		}
	}
	for _, c := range n.Constraints {
		if err := b.constraint(c); err != nil {
			return nil, err
		}
	}
	for _, c := range b.t.Checks {
		if err := checkNames(c.Expr, b.t, inCheck); err != nil {
			return nil, err
		}
	}
	if err := checkGenerated(b.t); err != nil {
		return nil, err
	}
	if err := b.primaryKey(); err != nil {
		return nil, err
	}
	b.uniqueIndexes()
	return b.t, nil
}

func (b *builder) source(n ast.Node) string { return b.text[n.Pos()-b.pos : n.End()-b.pos] }

func (b *builder) options(list []*ast.TableOption) error {
	for _, o := range list {
		switch name := fold(o.Name.Name); {
		case o.Without && name == "rowid":
			b.t.WithoutRowID = true
		case !o.Without && name == "strict":
			b.t.Strict = true
		default:
			return sqlerr.Errorf("unknown table option: %s", o.Name.Name)
		}
	}
	return nil
}

func (b *builder) column(n *ast.ColumnDef) error {
	t := b.t
	if t.Column(n.Name.Name) >= 0 {
		return sqlerr.Errorf("duplicate column name: %s", n.Name.Name)
	}
	c := Column{Name: n.Name.Name}
	if n.Type != nil {
		c.DeclType = unquotedType(withoutGenerated(n.Type.Raw))
	}
	c.Affinity = value.AffinityOf(c.DeclType)
	if t.Strict {
		if err := strictType(t, &c); err != nil {
			return err
		}
	}
	t.Columns = append(t.Columns, c)
	for _, k := range n.Constraints { // a later COLLATE counts for an earlier UNIQUE
		if k.Kind == ast.ColumnCollate {
			coll, ok := value.CollationByName(k.Collation.Name)
			if !ok {
				return sqlerr.New(sqlerr.MissingCollation, "no such collation sequence: %s", k.Collation.Name)
			}
			t.Columns[len(t.Columns)-1].Collation = coll
		}
	}
	for _, k := range n.Constraints {
		if err := b.columnConstraint(len(t.Columns)-1, k); err != nil {
			return err
		}
	}
	return nil
}

// withoutGenerated drops the words GENERATED ALWAYS, which the grammar lets be
// the end of a type.
func withoutGenerated(declType string) string {
	words := strings.Fields(declType)
	n := len(words)
	if n >= 2 && ast.SameName(words[n-2], "generated") && ast.SameName(words[n-1], "always") {
		declType = declType[:len(declType)-len(words[n-1])]
		declType = strings.TrimRight(declType, " \t\r\n\f")
		declType = strings.TrimRight(declType[:len(declType)-len(words[n-2])], " \t\r\n\f")
	}
	return declType
}

func strictType(t *Table, c *Column) error {
	switch strings.ToUpper(c.DeclType) {
	case "INT", "INTEGER", "REAL", "TEXT", "BLOB":
		return nil
	case "ANY":
		c.Affinity = value.AffinityBlob
		return nil
	case "":
		return sqlerr.Errorf("missing datatype for %s.%s", t.Name, c.Name)
	}
	return sqlerr.Errorf("unknown datatype for %s.%s: \"%s\"", t.Name, c.Name, c.DeclType)
}

func (b *builder) columnConstraint(i int, k *ast.ColumnConstraint) error {
	c := &b.t.Columns[i]
	self := []IndexColumn{{Column: i, Collation: c.Collation}}
	switch k.Kind {
	case ast.ColumnNotNull:
		c.NotNull, c.NotNullConflict = true, k.OnConflict
	case ast.ColumnPrimaryKey:
		b.pkDesc = k.Order == ast.SortDesc
		return b.setPK(self, k.AutoIncrement, k.OnConflict)
	case ast.ColumnUnique:
		b.unique = append(b.unique, &Index{Unique: true, Origin: OriginUnique, Columns: self, OnConflict: k.OnConflict})
	case ast.ColumnCheck:
		b.check(k.Name, k.Expr)
	case ast.ColumnDefault:
		return b.setDefault(c, k.Expr)
	case ast.ColumnReferences:
		return b.references([]int{i}, k.References)
	case ast.ColumnGenerated:
		return b.generated(c, k)
	case ast.ColumnDeferrable:
		return b.deferrable(k.Deferrable)
	default: // NULL says nothing, COLLATE has been seen
	}
	return nil
}

func (b *builder) generated(c *Column, k *ast.ColumnConstraint) error {
	if c.Default != nil {
		return sqlerr.Errorf("error in generated column \"%s\"", c.Name)
	}
	c.Generated = k.Expr
	if k.GeneratedKind != nil {
		switch fold(k.GeneratedKind.Name) {
		case "stored":
			c.Stored = true
		case "virtual":
		default:
			return sqlerr.Errorf("error in generated column \"%s\"", c.Name)
		}
	}
	return nil
}

func (b *builder) setDefault(c *Column, e ast.Expr) error {
	if c.Generated != nil {
		return sqlerr.Errorf("cannot use DEFAULT on a generated column")
	}
	c.Default, c.DefaultText = e, b.source(e)
	switch n := e.(type) {
	case *ast.ParenExpr:
		c.DefaultText = strings.TrimSpace(c.DefaultText[1 : len(c.DefaultText)-1])
	case *ast.Ident: // a bare word is a text
		if name := fold(n.Name); n.Quote != ast.QuoteNone || (name != "true" && name != "false") {
			c.Default = &ast.Literal{Span: n.Span, Kind: ast.LitString, Value: n.Name, Raw: n.Raw}
		}
		return nil
	}
	if !constant(e) {
		return sqlerr.Errorf("default value of column [%s] is not constant", c.Name)
	}
	return nil
}

func (b *builder) check(name *ast.Ident, e ast.Expr) {
	k := Check{Expr: e, Text: b.source(e)}
	if name != nil {
		k.Name = name.Name
	}
	b.t.Checks = append(b.t.Checks, k)
}

func (b *builder) constraint(k *ast.TableConstraint) error {
	switch k.Kind {
	case ast.TablePrimaryKey, ast.TableUnique:
		cols, err := indexColumns(k.Columns, b.t)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(cols, func(c IndexColumn) bool { return c.Column == ExprColumn }) {
			return sqlerr.Errorf("expressions prohibited in PRIMARY KEY and UNIQUE constraints")
		}
		if k.Kind == ast.TablePrimaryKey {
			return b.setPK(cols, k.AutoIncrement, k.OnConflict)
		}
		b.unique = append(b.unique, &Index{Unique: true, Origin: OriginUnique, Columns: cols, OnConflict: k.OnConflict})
	case ast.TableCheck:
		b.check(k.Name, k.Expr)
	case ast.TableForeignKey:
		var cols []int
		for _, c := range k.FKColumns {
			i := b.t.Column(c.Name.Name)
			if i < 0 {
				return sqlerr.Errorf("unknown column \"%s\" in foreign key definition", c.Name.Name)
			}
			cols = append(cols, i)
		}
		if err := b.references(cols, k.References); err != nil {
			return err
		}
		return b.deferrable(k.Deferrable)
	}
	return nil
}

func (b *builder) setPK(cols []IndexColumn, auto bool, conflict ast.ConflictAction) error {
	if b.hasPK {
		return sqlerr.Errorf("table \"%s\" has more than one primary key", b.t.Name)
	}
	b.hasPK, b.pk, b.pkAuto, b.t.PKConflict, b.pkAt = true, cols, auto, conflict, len(b.unique)
	return nil
}

func (b *builder) references(cols []int, r *ast.ForeignKeyClause) error {
	f := ForeignKey{Columns: cols, Parent: r.Table.Name}
	for _, c := range r.Columns {
		f.ParentCols = append(f.ParentCols, c.Name.Name)
	}
	if f.ParentCols != nil && len(f.ParentCols) != len(cols) {
		if len(cols) == 1 {
			return sqlerr.Errorf("foreign key on %s should reference only one column of table %s", b.t.Columns[cols[0]].Name, f.Parent)
		}
		return sqlerr.Errorf("number of columns in foreign key does not match the number of columns in the referenced table")
	}
	for _, a := range r.Args {
		switch {
		case a.Match != nil:
			f.Match = a.Match.Name
		case ast.SameName(a.Event, "DELETE"):
			f.OnDelete = a.Action
		case ast.SameName(a.Event, "UPDATE"):
			f.OnUpdate = a.Action
		}
	}
	b.t.ForeignKeys = append(b.t.ForeignKeys, f)
	return nil
}

func (b *builder) deferrable(d *ast.DeferClause) error {
	if d != nil && len(b.t.ForeignKeys) > 0 {
		b.t.ForeignKeys[len(b.t.ForeignKeys)-1].Deferred = !d.Not && d.InitiallyDeferred
	}
	return nil
}

// primaryKey decides how rows are keyed: by the INTEGER PRIMARY KEY; by other
// key columns when none of them can be NULL; else by a hidden rowid, with a
// unique index for the key, because SQLite lets NULLs repeat in it.
func (b *builder) primaryKey() error {
	t := b.t
	for i, c := range dedupe(b.pk) {
		t.Columns[c.Column].PKIndex = i + 1
		if t.Columns[c.Column].Generated != nil {
			return sqlerr.Errorf("generated columns cannot be part of the PRIMARY KEY")
		}
	}
	integer := len(b.pk) == 1 && !b.pkDesc && ast.SameName(t.Columns[b.pk[0].Column].DeclType, "INTEGER")
	switch {
	case b.pkAuto && (!integer || t.WithoutRowID):
		if t.WithoutRowID {
			return sqlerr.Errorf("AUTOINCREMENT not allowed on WITHOUT ROWID tables")
		}
		return sqlerr.Errorf("AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY")
	case t.WithoutRowID && !b.hasPK:
		return sqlerr.Errorf("PRIMARY KEY missing on table %s", t.Name)
	case !b.hasPK:
		return nil
	case integer && !t.WithoutRowID:
		t.RowID, t.AutoIncrement = b.pk[0].Column, b.pkAuto
		return nil
	case integer:
		b.pkAt = len(b.unique)
	}
	notNull := true
	for _, c := range b.pk {
		col := &t.Columns[c.Column]
		col.NotNull = col.NotNull || t.WithoutRowID || t.Strict
		// NOT NULL ON CONFLICT IGNORE and the like still keep NULL out.
		notNull = notNull && col.NotNull
	}
	if !notNull {
		ix := &Index{Unique: true, Origin: OriginPrimaryKey, Columns: b.pk, OnConflict: t.PKConflict}
		b.unique = append([]*Index{ix}, b.unique...)
		t.PKConflict = ast.ConflictDefault // the hidden rowid has none
		return nil
	}
	for _, c := range dedupe(b.pk) {
		t.PrimaryKey = append(t.PrimaryKey, c.Column)
		t.PKCollations = append(t.PKCollations, c.Collation)
		t.PKDesc = append(t.PKDesc, c.Desc)
	}
	return nil
}

func sameColumn(a, b IndexColumn) bool { return a.Column == b.Column && a.Collation == b.Collation }

func dedupe(cols []IndexColumn) []IndexColumn {
	var out []IndexColumn
	for _, c := range cols {
		if !slices.ContainsFunc(out, func(o IndexColumn) bool { return o.Column == c.Column && o.Collation == c.Collation }) {
			out = append(out, c)
		}
	}
	return out
}

// uniqueIndexes names the indexes of constraints as SQLite does, which counts
// the primary key but not an INTEGER PRIMARY KEY, and drops those that repeat
// the primary key or each other.
func (b *builder) uniqueIndexes() {
	t := b.t
	n, at := 0, 0
	if t.PrimaryKey != nil {
		n = 1
	}
	for _, ix := range b.unique {
		if ix.Origin == OriginUnique {
			at++
		}
		if b.covered(ix) {
			if at <= b.pkAt && slices.EqualFunc(ix.Columns, b.pk, sameColumn) { // SQLite has one index for both
				b.pkAt = at - 1
			}
			continue
		}
		if n++; ix.Origin == OriginUnique && at <= b.pkAt {
			t.PKOrder++
		}
		ix.Table, ix.Name = t, fmt.Sprintf("sqlite_autoindex_%s_%d", t.Name, n)
		t.Indexes = append(t.Indexes, ix)
	}
}

// covered reports whether a constraint repeats the primary key or an index. What
// one of them says about conflicts goes for both.
func (b *builder) covered(ix *Index) bool {
	t := b.t
	if t.RowID >= 0 && len(ix.Columns) == 1 && ix.Columns[0].Column == t.RowID {
		return true
	}
	var said *ast.ConflictAction
	if t.PrimaryKey != nil && slices.EqualFunc(ix.Columns, b.pk, sameColumn) {
		said = &t.PKConflict
	}
	for _, o := range t.Indexes {
		if slices.EqualFunc(ix.Columns, o.Columns, sameColumn) {
			said = &o.OnConflict
		}
	}
	if said == nil {
		return false
	}
	switch {
	case *said == ast.ConflictDefault:
		*said = ix.OnConflict
	case ix.OnConflict != ast.ConflictDefault && ix.OnConflict != *said:
		t.contradicts = true
	}
	return true
}

// buildIndex makes an index without root of a CREATE INDEX statement. Of several
// faults SQLite reports that of the first column, else that of WHERE.
func buildIndex(n *ast.CreateIndexStmt, t *Table) (*Index, error) {
	if _, err := indexColumns(n.Columns[:1], t); err != nil && !isText(n.Columns[0].Expr, t) {
		return nil, err
	}
	cols, err := indexColumns(n.Columns, t)
	if n.Where != nil {
		if err := checkNames(n.Where, t, inPartialIndex); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return &Index{
		Name: n.Name.Name.Name, Unique: n.Unique, Origin: OriginCreate, Columns: cols, Where: n.Where, Table: t,
	}, nil
}

func indexColumns(list []*ast.OrderingTerm, t *Table) ([]IndexColumn, error) {
	var out []IndexColumn
	for _, o := range list {
		if o.Nulls != ast.NullsDefault {
			return nil, sqlerr.Errorf("unsupported use of NULLS %s", map[ast.NullsOrder]string{ast.NullsFirst: "FIRST", ast.NullsLast: "LAST"}[o.Nulls])
		}
		c, err := indexColumn(o.Expr, t)
		if err != nil {
			return nil, err
		}
		c.Desc = o.Order == ast.SortDesc
		out = append(out, c)
	}
	return out, nil
}

func indexColumn(e ast.Expr, t *Table) (IndexColumn, error) {
	var c IndexColumn
	collate, isCollate := e.(*ast.CollateExpr)
	if isCollate {
		var ok bool
		if c.Collation, ok = value.CollationByName(collate.Name.Name); !ok {
			return c, sqlerr.New(sqlerr.MissingCollation, "no such collation sequence: %s", collate.Name.Name)
		}
		e = collate.X
	}
	name, isName := columnName(e)
	if !isName {
		c.Column, c.Expr = ExprColumn, e
		if !isCollate {
			c.Collation = exprCollation(e, t)
		}
		return c, checkNames(e, t, inIndex)
	}
	if c.Column = t.Column(name); c.Column < 0 {
		if isText(e, t) {
			return c, notText(name)
		}
		return c, sqlerr.Errorf("no such column: %s", name)
	}
	if !isCollate {
		c.Collation = t.Columns[c.Column].Collation
	}
	return c, nil
}

// columnName returns the column that an index term names: a name, also in
// parentheses, or a string in the place of one.
func columnName(e ast.Expr) (string, bool) {
	switch n := e.(type) {
	case *ast.Ident:
		return n.Name, true
	case *ast.Literal:
		return n.Value, n.Kind == ast.LitString
	case *ast.ParenExpr:
		if id, ok := n.X.(*ast.Ident); ok {
			return id.Name, true
		}
	}
	return "", false
}

// isText reports whether the key of an index is a name in double quotes that no
// column has: to SQLite it is a text then, which is looked at last.
func isText(e ast.Expr, t *Table) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Quote == ast.QuoteDouble && t.Column(id.Name) < 0
}

func notText(name string) error {
	return sqlerr.Errorf("no such column: \"%s\" - should this be a string literal in single-quotes?", name)
}

// exprCollation is the collation that an expression has by itself: that of a
// COLLATE inside of it that counts for the whole, or of the column that it is.
func exprCollation(e ast.Expr, t *Table) value.Collation {
	for {
		switch n := e.(type) {
		case *ast.ParenExpr:
			e = n.X
		case *ast.CastExpr:
			e = n.X
		case *ast.UnaryExpr:
			if n.Op != ast.OpPlus {
				return value.Binary
			}
			e = n.X
		case *ast.CollateExpr:
			c, _ := value.CollationByName(n.Name.Name)
			return c
		case *ast.Ident:
			if i := t.Column(n.Name); i >= 0 {
				return t.Columns[i].Collation
			}
			return value.Binary
		default:
			return value.Binary
		}
	}
}

func buildView(n *ast.CreateViewStmt) *Table {
	t := &Table{Name: n.Name.Name.Name, RowID: -1, View: n.Select}
	for _, c := range n.Columns {
		t.ViewColumns = append(t.ViewColumns, c.Name.Name)
	}
	return t
}

// unquotedType takes off the quotes that a type begins with, and what is behind
// them, as SQLite does.
func unquotedType(decl string) string {
	if decl == "" || strings.IndexByte("\"'`[", decl[0]) < 0 {
		return decl
	}
	end := decl[0]
	if end == '[' {
		end = ']'
	}
	var b strings.Builder
	for i := 1; i < len(decl); i++ {
		if decl[i] == end {
			if i+1 >= len(decl) || decl[i+1] != end || end == ']' {
				break
			}
			i++
		}
		b.WriteByte(decl[i])
	}
	return b.String()
}
