package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/sqlerr"
)

// A Place is where a catalog is: what the names of its collections begin with.
// The catalog of the database is at Main; every connection with temporary
// objects has one more, of the same form.
type Place string

// The places.
const (
	Main     Place = "sql/"
	tempRoot Place = "sql/tmp/"
)

// firstTempID is below the ids in temporary catalogs, so that no root is one of
// main's. It is on disk.
const firstTempID = 1 << 32

// onMain is the root of a temporary trigger on a table or view of main, which is
// looked up by name. It is on disk.
const onMain = 1

// TempPlace returns the place of a connection's temporary objects. The opening
// says which process may use them: nobody else ever does.
func TempPlace(opening, connection uint64) Place {
	return openingPlace(opening) + Place(fmt.Sprintf("%016x/", connection))
}

func openingPlace(opening uint64) Place { return tempRoot + Place(fmt.Sprintf("%016x/", opening)) }

func (p Place) temp() bool { return p != Main && p != "" }

// name is the word for the place in SQL.
func (p Place) name() string {
	if p.temp() {
		return "temp"
	}
	return "main"
}

// catalog returns the name of the collection of objects.
func (p Place) catalog() string {
	if p.temp() {
		return string(p) + "schema"
	}
	return string(Main) + "schema"
}

// Holds reports whether a collection is one of the place.
func (p Place) Holds(collection string) bool { return strings.HasPrefix(collection, string(p)) }

// LeftBehind returns those of the names that are collections of temporary
// objects of another opening.
func LeftBehind(names []string, opening uint64) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !tempRoot.Holds(name) || openingPlace(opening).Holds(name)
	})
}

// TempVersion returns the version of a temporary catalog, 0 before the first
// object.
func TempVersion(tx *engine.Tx, p Place) (uint64, error) { return versionAt(tx, p) }

// LoadTemp is Load for a temporary catalog.
func LoadTemp(tx *engine.Tx, p Place) (*Schema, error) { return loadAt(tx, p) }

// Join returns the schema as a connection sees it: names are looked up in temp
// first. Tables and Objects are main's. Both stay as they are.
func Join(main, temp *Schema) *Schema {
	whole, inner, only := *main, *main, *temp
	j := &joined{main: main, temp: temp, whole: &whole, inner: &inner, only: &only}
	whole.joined, inner.joined, only.joined = j, j, j
	inner.hidesTemp = true
	return &whole
}

// joined is what the schemas have in common that Join makes of two.
type joined struct {
	main, temp *Schema // as they were loaded
	whole      *Schema // names are looked up in both
	inner      *Schema // names are those of main
	only       *Schema // names are those of temp
}

// Place returns the place of the schema; that of main for a joined one.
func (s *Schema) Place() Place {
	if s.place == "" {
		return Main
	}
	return s.place
}

// Name is the schema's name in SQL: main or temp.
func (s *Schema) Name() string { return s.Place().name() }

// Temp returns the schema of temporary objects that Join was given, nil for none.
func (s *Schema) Temp() *Schema {
	if s.joined == nil {
		return nil
	}
	return s.joined.temp
}

// HasTemp reports whether temporary objects are in sight, or may come to be.
func (s *Schema) HasTemp() bool { return s.joined != nil }

// Qualifier returns the name of the database that Catalog confined s to, with a
// dot; "" for a schema that names are looked up in without a qualifier.
func (s *Schema) Qualifier() string {
	switch {
	case s.Place().temp():
		return "temp."
	case s.hidesTemp:
		return "main."
	}
	return ""
}

// tempFirst returns where names are looked up before s; nil for nowhere.
func (s *Schema) tempFirst() *Schema {
	if s.joined == nil || s.hidesTemp {
		return nil
	}
	return s.joined.temp
}

// Catalog returns the schema in which names are those of one database; nil for a
// database that there is not.
func (s *Schema) Catalog(name string) *Schema {
	switch fold(name) {
	case "main":
		if s.joined != nil {
			return s.joined.inner
		}
		inner := *s
		inner.hidesTemp = true
		return &inner
	case "temp":
		if s.joined != nil {
			return s.joined.only
		}
		return &Schema{place: tempRoot}
	}
	return nil
}

// Databases returns the schemas of those that s looks names up in: main and
// temp, unless Catalog confined it to one.
func (s *Schema) Databases() []*Schema {
	if s.Qualifier() != "" {
		return []*Schema{s}
	}
	return []*Schema{s.Catalog("main"), s.Catalog("temp")}
}

func (s *Schema) mainOnly() *Schema {
	if s.joined != nil {
		return s.joined.main
	}
	return s
}

// Find returns the table or view of a name, which may be qualified; nil when
// there is none.
func (s *Schema) Find(q *ast.QualifiedName) *Table {
	if q.Schema == nil {
		return s.Table(q.Name.Name)
	}
	if c := s.Catalog(q.Schema.Name); c != nil {
		return c.Table(q.Name.Name)
	}
	return nil
}

// Of returns the schema that a table is in, without the other one: keys refer
// to tables of the same database alone.
func (s *Schema) Of(t *Table) *Schema {
	if s.joined != nil && t.IsTemp() {
		return s.joined.temp
	}
	return s.mainOnly()
}

// Within returns the schema as the texts of an object see it, a temporary one
// or one of main: those of main see main alone.
func (s *Schema) Within(temp bool) *Schema {
	switch {
	case s.joined == nil:
		return s
	case temp:
		return s.joined.whole
	}
	return s.joined.inner
}

// Fires returns the triggers of a table or view in the order in which they fire:
// temporary ones on a table of main, the oldest first, then the table's own, the
// newest first.
func (s *Schema) Fires(t *Table) []*Trigger {
	var list []*Trigger
	if s.joined != nil && !t.IsTemp() {
		list = slices.Clone(s.joined.temp.mainTriggers[fold(t.Name)])
	}
	for _, g := range slices.Backward(t.Triggers) {
		list = append(list, g)
	}
	return list
}

// IsTemp reports whether t is a temporary table or view.
func (t *Table) IsTemp() bool { return t.place.temp() }

// Database returns the name of the database that t is in: main or temp.
func (t *Table) Database() string { return t.place.name() }

// SequenceTable is how statements that change it see sqlite_sequence.
func (s *Schema) SequenceTable() *Table {
	return &Table{Name: "sqlite_sequence", RowID: -1, Columns: []Column{{Name: "name"}, {Name: "seq"}}, place: s.Place()}
}

// Collection returns the name of the collection of a table's rows.
func (t *Table) Collection() string {
	if t.IsTemp() {
		return fmt.Sprintf("%st/%08d", t.place, t.Root)
	}
	return TableCollection(t.Root)
}

// Collection returns the name of the collection of an index's records.
func (ix *Index) Collection() string {
	if ix.Table.IsTemp() {
		return fmt.Sprintf("%si/%08d", ix.Table.place, ix.Root)
	}
	return IndexCollection(ix.Root)
}

// IsTemp reports whether g is a temporary trigger, of whatever table.
func (g *Trigger) IsTemp() bool { return g.temp }

// NeedsTemp reports whether a statement makes a temporary object, which takes a
// joined schema.
func NeedsTemp(stmt ast.Stmt) bool {
	temp, q := false, (*ast.QualifiedName)(nil)
	switch n := stmt.(type) {
	case *ast.CreateTableStmt:
		temp, q = n.Temp, n.Name
	case *ast.CreateViewStmt:
		temp, q = n.Temp, n.Name
	case *ast.CreateTriggerStmt:
		temp, q = n.Temp, n.Name
	case *ast.CreateIndexStmt:
		q = n.Name
	case *ast.AnalyzeStmt:
		q = n.Name
		temp = q != nil && q.Schema == nil && fold(q.Name.Name) == "temp"
	}
	return temp || q != nil && q.Schema != nil && fold(q.Schema.Name) == "temp"
}

// creates returns the schema in which CREATE TABLE or CREATE VIEW makes an object.
func (s *Schema) creates(q *ast.QualifiedName, temp bool) (*Schema, error) {
	name := "main"
	switch {
	case q.Schema != nil:
		name = q.Schema.Name
	case temp:
		name = "temp"
	}
	in := s.Catalog(name)
	switch {
	case in == nil:
		return nil, sqlerr.Errorf("unknown database %s", name)
	case temp && !in.Place().temp():
		return nil, sqlerr.Errorf("temporary table name must be unqualified")
	}
	return in, nil
}

// Exists reports whether CREATE TABLE would find its table or view there.
func (s *Schema) Exists(n *ast.CreateTableStmt) bool {
	in, err := s.creates(n.Name, n.Temp)
	return err == nil && in.Table(n.Name.Name.Name) != nil
}

// checkForeign refuses names of other databases in a text that main keeps.
func checkForeign(what, name string, parts ...ast.Node) (err error) {
	for _, part := range parts {
		ast.Walk(part, func(n ast.Node) bool {
			if q, ok := n.(*ast.QualifiedName); ok && q.Schema != nil && fold(q.Schema.Name) != "main" {
				err = sqlerr.Errorf("%s %s cannot reference objects in database %s", what, name, q.Schema.Name)
			}
			return err == nil
		})
	}
	return err
}

// dropTempTriggers removes the temporary triggers on a table or view of main
// that is dropped. Those of other connections stay, and do nothing.
func (s *Schema) dropTempTriggers(tx *engine.Tx, t *Table) error {
	if t.IsTemp() || s.joined == nil {
		return nil
	}
	temp := s.joined.temp
	if len(temp.mainTriggers[fold(t.Name)]) == 0 {
		return nil
	}
	w, err := newWriter(tx, temp.place)
	if err != nil {
		return err
	}
	for _, g := range temp.mainTriggers[fold(t.Name)] {
		if err := w.remove(g.id); err != nil {
			return err
		}
	}
	return w.finish()
}

// DropTemp removes everything that is temporary at a place.
func DropTemp(tx *engine.Tx, names []string) error {
	for _, name := range names {
		if err := tx.DropCollection(name); err != nil && !errors.Is(err, engine.ErrNoCollection) {
			return fmt.Errorf("drop temporary objects: %w", err)
		}
	}
	return nil
}

// RootPage is the number that sqlite_schema shows for an object.
func (o *Object) RootPage() uint64 {
	if o.Type == "trigger" {
		return 0
	}
	return o.Root & (firstTempID - 1)
}
