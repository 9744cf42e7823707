package schema

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/ast"
	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

func begin(t *testing.T) *engine.Tx {
	t.Helper()
	dir := t.TempDir()
	key, err := keyuri.Open(t.Context(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := engine.Open(t.Context(), filepath.Join(dir, "t.byok"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return tx
}

// run executes DDL and returns the schema after it.
func run(t *testing.T, tx *engine.Tx, text string) *Schema {
	t.Helper()
	if err := try(tx, text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return load(t, tx)
}

func load(t *testing.T, tx *engine.Tx) *Schema {
	t.Helper()
	s, err := Load(tx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func try(tx *engine.Tx, text string) error {
	list, err := parse.Statements(text)
	if err != nil {
		return err
	}
	for _, st := range list {
		s, err := Load(tx)
		if err != nil {
			return err
		}
		before := tx.Savepoint()
		switch n := st.Stmt.(type) {
		case *ast.CreateTableStmt:
			_, err = CreateTable(tx, s, st)
		case *ast.CreateIndexStmt:
			_, err = CreateIndex(tx, s, st)
		case *ast.CreateViewStmt:
			err = CreateView(tx, s, st)
		case *ast.CreateTriggerStmt:
			err = CreateTrigger(tx, s, st)
		case *ast.DropTriggerStmt:
			_, err = DropTrigger(tx, s, n)
		case *ast.DropTableStmt:
			_, err = DropTable(tx, s, n)
		case *ast.DropIndexStmt:
			_, err = DropIndex(tx, s, n)
		case *ast.DropViewStmt:
			_, err = DropView(tx, s, n)
		case *ast.AlterTableStmt:
			_, err = AlterTable(tx, s, st, AlterOptions{})
		default:
			err = fmt.Errorf("no DDL: %T", n)
		}
		if err != nil {
			return errors.Join(err, tx.RollbackTo(before))
		}
	}
	return nil
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		def     string
		rowID   int
		pk      []int
		indexes string // name:origin:columns
	}{
		{"(a)", -1, nil, ""},
		{"(a INTEGER PRIMARY KEY)", 0, nil, ""},
		{"(a, b integer primary key autoincrement)", 1, nil, ""},
		{"(a INTEGER, PRIMARY KEY(a DESC))", 0, nil, ""},
		{"(a INTEGER PRIMARY KEY DESC)", -1, nil, "sqlite_autoindex_t_1:pk:[0]"},
		{"(a INT PRIMARY KEY)", -1, nil, "sqlite_autoindex_t_1:pk:[0]"},
		{"(a TEXT PRIMARY KEY)", -1, nil, "sqlite_autoindex_t_1:pk:[0]"},
		{"(a TEXT NOT NULL PRIMARY KEY)", -1, []int{0}, ""},
		{"(a, b, PRIMARY KEY(b, a)) WITHOUT ROWID", -1, []int{1, 0}, ""},
		{"(a INTEGER PRIMARY KEY) WITHOUT ROWID", -1, []int{0}, ""},
		{"(a NOT NULL, b, PRIMARY KEY(a, b))", -1, nil, "sqlite_autoindex_t_1:pk:[0 1]"},
		{"(a NOT NULL, b NOT NULL UNIQUE, PRIMARY KEY(a, b), UNIQUE(a, b))", -1, []int{0, 1}, "sqlite_autoindex_t_2:u:[1]"},
		{"(a INTEGER PRIMARY KEY UNIQUE, b UNIQUE, UNIQUE(b), UNIQUE(a, b))", 0, nil, "sqlite_autoindex_t_1:u:[1] sqlite_autoindex_t_2:u:[0 1]"},
	} {
		tx := begin(t)
		tab := run(t, tx, "CREATE TABLE t"+c.def).Table("T")
		var indexes []string
		for _, ix := range tab.Indexes {
			var cols []int
			for _, k := range ix.Columns {
				cols = append(cols, k.Column)
			}
			indexes = append(indexes, fmt.Sprintf("%s:%s:%v", ix.Name, ix.Origin, cols))
			if _, err := tx.Collection(IndexCollection(ix.Root)); err != nil {
				t.Errorf("%s: %v", c.def, err)
			}
		}
		if got := strings.Join(indexes, " "); tab.RowID != c.rowID || !slices.Equal(tab.PrimaryKey, c.pk) || got != c.indexes {
			t.Errorf("%s: rowid %d, key %v, indexes %q; want %d, %v, %q", c.def, tab.RowID, tab.PrimaryKey, got, c.rowID, c.pk, c.indexes)
		}
		if _, err := tx.Collection(TableCollection(tab.Root)); err != nil {
			t.Errorf("%s: %v", c.def, err)
		}
	}
}

func TestColumns(t *testing.T) {
	tx := begin(t)
	tab := run(t, tx, `CREATE TABLE IF NOT EXISTS main.t (
		a VARCHAR(10) NOT NULL DEFAULT 'x''y' COLLATE NOCASE, -- first
		"b c" DATETIME DEFAULT (1 + 2), d DEFAULT -5, e DEFAULT word, f DEFAULT true,
		g INT REFERENCES p(x) ON DELETE CASCADE, CONSTRAINT pos CHECK (d > 0), CHECK (e <> 'q'),
		FOREIGN KEY (d, e) REFERENCES q ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED
	);`).Table("t")
	want := []Column{
		{Name: "a", DeclType: "VARCHAR(10)", Affinity: value.AffinityText, Collation: value.NoCase, NotNull: true, DefaultText: "'x''y'"},
		{Name: "b c", DeclType: "DATETIME", Affinity: value.AffinityNumeric, DefaultText: "1 + 2"},
		{Name: "d", Affinity: value.AffinityBlob, DefaultText: "-5"},
		{Name: "e", Affinity: value.AffinityBlob, DefaultText: "word"},
		{Name: "f", Affinity: value.AffinityBlob, DefaultText: "true"},
		{Name: "g", DeclType: "INT", Affinity: value.AffinityInteger},
	}
	for i, c := range tab.Columns {
		if (c.Default == nil) != (c.DefaultText == "") {
			t.Errorf("column %s: default %v, text %q", c.Name, c.Default, c.DefaultText)
		}
		c.Default = nil
		if c != want[i] {
			t.Errorf("column %+v, want %+v", c, want[i])
		}
	}
	if lit, ok := tab.Columns[3].Default.(*ast.Literal); !ok || lit.Kind != ast.LitString || lit.Value != "word" {
		t.Errorf("a bare word as default is %v", tab.Columns[3].Default)
	}
	if len(tab.Checks) != 2 || tab.Checks[0].Name != "pos" || tab.Checks[1].Text != "e <> 'q'" {
		t.Errorf("checks %+v", tab.Checks)
	}
	fk := tab.ForeignKeys
	if len(fk) != 2 || fk[0].Parent != "p" || fk[0].OnDelete != ast.FKCascade || !fk[1].Deferred ||
		fk[1].OnUpdate != ast.FKSetNull || !slices.Equal(fk[1].Columns, []int{2, 3}) {
		t.Errorf("foreign keys %+v", fk)
	}
	if !strings.HasPrefix(tab.SQL, "CREATE TABLE t (\n\t\ta VARCHAR(10)") || !strings.HasSuffix(tab.SQL, "DEFERRED\n\t)") {
		t.Errorf("text %q", tab.SQL)
	}
}

func TestRefused(t *testing.T) {
	const setup = `CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE, c, d CHECK (d > c), e); CREATE INDEX i ON t(c);
		CREATE INDEX ie ON t(lower(e)); CREATE VIEW v AS SELECT a FROM t; CREATE VIEW vd AS SELECT b FROM t WHERE d; CREATE TABLE lone(x)`
	for _, c := range []struct{ sql, want string }{
		{"CREATE TABLE T(a)", "table T already exists"},
		{"CREATE TABLE i(a)", "there is already an index named i"},
		{"CREATE VIEW v AS SELECT 1", "view v already exists"},
		{"CREATE INDEX t ON t(a)", "there is already a table named t"},
		{"CREATE INDEX i ON t(a)", "index i already exists"},
		{"CREATE INDEX j ON none(a)", "no such table: main.none"},
		{"CREATE INDEX j ON t(z)", "no such column: z"},
		{"CREATE INDEX j ON t(a + t.a)", `the "." operator prohibited in index expressions`},
		{"CREATE INDEX j ON v(a)", "views may not be indexed"},
		{"CREATE INDEX j ON t(a) WHERE z > 1", "no such column: z"},
		{"CREATE INDEX j ON t(b COLLATE klingon)", "no such collation sequence: klingon"},
		{"CREATE TABLE sqlite_x(a)", "object name reserved for internal use: sqlite_x"},
		{"CREATE TABLE other.x(a)", "unknown database other"},
		{"CREATE TEMP TABLE main.x(a)", "temporary table name must be unqualified"},
		{"CREATE TEMP TABLE x(a)", "temporary objects of nobody"}, // the schema is not joined
		{"CREATE TABLE x(a, A)", "duplicate column name: A"},
		{"CREATE TABLE x(a PRIMARY KEY, b PRIMARY KEY)", `table "x" has more than one primary key`},
		{"CREATE TABLE x(a TEXT PRIMARY KEY AUTOINCREMENT)", "AUTOINCREMENT is only allowed on an INTEGER PRIMARY KEY"},
		{"CREATE TABLE x(a) WITHOUT ROWID", "PRIMARY KEY missing on table x"},
		{"CREATE TABLE x(a) FAST", "unknown table option: FAST"},
		{"CREATE TABLE x(a VARCHAR) STRICT", `unknown datatype for x.a: "VARCHAR"`},
		{"CREATE TABLE x(a) STRICT", "missing datatype for x.a"},
		{"CREATE TABLE x(a DEFAULT (b))", "default value of column [a] is not constant"},
		{"CREATE TABLE x(a CHECK (z > 1))", "no such column: z"},
		{"CREATE TABLE x(a CHECK (a IN (SELECT 1)))", "subqueries prohibited in CHECK constraints"},
		{"CREATE TABLE x(a AS (1))", "must have at least one non-generated column"},
		{"CREATE TABLE x(z, a AS (b), b AS (a))", `generated column loop on "b"`},
		{"CREATE VIEW x AS SELECT ?", "parameters are not allowed in views"},
		{"DROP TABLE none", "no such table: none"},
		{"DROP TABLE v", "use DROP VIEW to delete view v"},
		{"DROP VIEW t", "use DROP TABLE to delete table t"},
		{"DROP INDEX none", "no such index: none"},
		{"DROP INDEX sqlite_autoindex_t_1", "index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped"},
		{"ALTER TABLE t RENAME TO lone", "there is already another table or index with this name: lone"},
		{"ALTER TABLE lone RENAME z TO y", `no such column: "z"`},
		{"ALTER TABLE t RENAME a TO b", "error in table t after rename: duplicate column name: b"},
		{"ALTER TABLE t ADD a", "duplicate column name: a"},
		{"ALTER TABLE t ADD f PRIMARY KEY", "Cannot add a PRIMARY KEY column"},
		{"ALTER TABLE t ADD f UNIQUE", "Cannot add a UNIQUE column"},
		{"ALTER TABLE t DROP a", `cannot drop PRIMARY KEY column: "a"`},
		{"ALTER TABLE t DROP b", `cannot drop UNIQUE column: "b"`},
		{"ALTER TABLE t DROP c", "error in table t after drop column: no such column: c"},
		{"ALTER TABLE t DROP d", "error in view vd after drop column: no such column: d"},
		{"ALTER TABLE t RENAME c TO oid", "cannot rename to rowid alias: oid"},
		{"ALTER TABLE t ADD rowid", "cannot add rowid alias: rowid"},
		{"ALTER TABLE t DROP e", "error in index ie after drop column: no such column: e"},
		{"ALTER TABLE lone DROP x", `cannot drop column "x": no other columns exist`},
		{"ALTER TABLE v RENAME TO w", "view v may not be altered"},
		{"ALTER TABLE v RENAME a TO b", `cannot rename columns of view "v"`},
		{"ALTER TABLE v DROP a", `cannot drop column from view "v"`},
		{"ALTER TABLE v ADD b", "Cannot add a column to a view"},
		{"ALTER TABLE sqlite_master DROP sql", "table sqlite_master may not be altered"},
		{"ALTER TABLE none RENAME TO w", "no such table: none"},
	} {
		tx := begin(t)
		before := run(t, tx, setup)
		err := try(tx, c.sql)
		var e *sqlerr.Error
		if !errors.As(err, &e) || e.Message != c.want {
			t.Errorf("%s: %v, want %q", c.sql, err, c.want)
		}
		if after := load(t, tx); after.Version != before.Version || !slices.Equal(after.Objects, before.Objects) {
			t.Errorf("%s: the schema changed", c.sql)
		}
	}
}

func TestDrop(t *testing.T) {
	tx := begin(t)
	s := run(t, tx, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT, b UNIQUE); CREATE INDEX i ON t(b DESC) WHERE b > 1; CREATE VIEW v AS SELECT 1")
	if ix := s.Index("I"); ix == nil || !ix.Columns[0].Desc || ix.Where == nil || ix.Table != s.Table("t") {
		t.Fatalf("index %+v", ix)
	}
	if err := SetSequence(tx, s.Table("t"), 41); err != nil {
		t.Fatal(err)
	}
	if n, known, err := Sequence(tx, s.Table("t")); n != 41 || !known || err != nil {
		t.Errorf("sequence %d %v, %v", n, known, err)
	}
	s = run(t, tx, "DROP INDEX i; DROP INDEX IF EXISTS i; DROP VIEW v; DROP VIEW IF EXISTS v; DROP TABLE t; DROP TABLE IF EXISTS t")
	if len(s.Objects) != 0 || len(s.Tables) != 0 {
		t.Errorf("left: %+v", s.Objects)
	}
	names, err := tx.Collections()
	if err != nil || !slices.Equal(names, []string{Main.catalog()}) {
		t.Errorf("collections %q, %v", names, err)
	}
	old := s
	s = run(t, tx, "CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)")
	if n, found, err := Sequence(tx, s.Table("t")); n != 0 || found || err != nil {
		t.Errorf("sequence of a new table %d, %v", n, err)
	}
	if s.Version == old.Version {
		t.Error("the version did not change")
	}
}

func TestAlter(t *testing.T) {
	const setup = "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT CHECK (length(t.b) > 0), /* keep */ c UNIQUE, d, UNIQUE (b, c)); " +
		"CREATE INDEX i ON t(b COLLATE NOCASE) WHERE b <> 'b'; CREATE TABLE kid(p REFERENCES t(b))"
	for _, c := range []struct{ sql, table, want, index, kid string }{
		{
			"ALTER TABLE t RENAME TO [u v]", "u v",
			`CREATE TABLE "u v"(a INTEGER PRIMARY KEY, b TEXT CHECK (length("u v".b) > 0), /* keep */ c UNIQUE, d, UNIQUE (b, c))`,
			`CREATE INDEX i ON "u v"(b COLLATE NOCASE) WHERE b <> 'b'`, `CREATE TABLE kid(p REFERENCES "u v"(b))`,
		},
		{
			"ALTER TABLE t RENAME COLUMN b TO z", "t",
			`CREATE TABLE t(a INTEGER PRIMARY KEY, z TEXT CHECK (length(t.z) > 0), /* keep */ c UNIQUE, d, UNIQUE (z, c))`,
			`CREATE INDEX i ON t(z COLLATE NOCASE) WHERE z <> 'b'`, `CREATE TABLE kid(p REFERENCES t(z))`,
		},
		{
			"ALTER TABLE t ADD COLUMN e INT NOT NULL DEFAULT 7", "t",
			`CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT CHECK (length(t.b) > 0), /* keep */ c UNIQUE, d, e INT NOT NULL DEFAULT 7, UNIQUE (b, c))`,
			"", "",
		},
		{
			"ALTER TABLE t DROP COLUMN d", "t",
			`CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT CHECK (length(t.b) > 0), /* keep */ c UNIQUE, UNIQUE (b, c))`,
			"", "",
		},
	} {
		tx := begin(t)
		before := run(t, tx, setup)
		after := run(t, tx, c.sql)
		tab := after.Table(c.table)
		if tab == nil || tab.SQL != c.want || tab.Root != before.Table("t").Root {
			t.Errorf("%s: %+v, want %s", c.sql, tab, c.want)
			continue
		}
		if ix := after.Index("i"); c.index != "" && ix.SQL != c.index {
			t.Errorf("%s: index %s, want %s", c.sql, ix.SQL, c.index)
		}
		if kid := after.Table("kid"); c.kid != "" && kid.SQL != c.kid {
			t.Errorf("%s: child %s, want %s", c.sql, kid.SQL, c.kid)
		}
		if auto := after.Index("sqlite_autoindex_" + c.table + "_1"); auto == nil || auto.Root != before.Index("sqlite_autoindex_t_1").Root {
			t.Errorf("%s: the constraint's index is %+v", c.sql, auto)
		}
	}
}

func TestAddColumnToRows(t *testing.T) {
	for _, c := range []struct{ def, want string }{
		{"e NOT NULL", "Cannot add a NOT NULL column with default value NULL"},
		{"e DEFAULT CURRENT_TIMESTAMP", "Cannot add a column with non-constant default"},
		{"e DEFAULT (1)", ""},
		{"e DEFAULT (1 + 1)", "Cannot add a column with non-constant default"},
		{"e CHECK (e > 1)", ""},
		{"e NOT NULL DEFAULT 0", ""},
		{"e", ""},
	} {
		for _, rows := range []int{0, 1} {
			tx := begin(t)
			tab := run(t, tx, "CREATE TABLE t(a)").Table("t")
			coll, err := tx.Collection(TableCollection(tab.Root))
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				if err := coll.Put([]byte{byte(i)}, []byte("row")); err != nil {
					t.Fatal(err)
				}
			}
			err = try(tx, "ALTER TABLE t ADD "+c.def)
			if rows == 0 || c.want == "" {
				if err != nil {
					t.Errorf("%s with %d rows: %v", c.def, rows, err)
				}
			} else if err == nil || err.Error() != c.want {
				t.Errorf("%s with %d rows: %v, want %q", c.def, rows, err, c.want)
			}
		}
	}
}

func TestTableText(t *testing.T) {
	text := TableText("a b", []Column{{Name: `x"y`, DeclType: "INT"}, {Name: "z"}})
	if want := `CREATE TABLE "a b"("x""y" INT,z)`; text != want {
		t.Errorf("%s, want %s", text, want)
	}
	tx := begin(t)
	if tab := run(t, tx, text).Table("a b"); tab.Column(`X"Y`) != 0 || tab.Column("z") != 1 {
		t.Errorf("columns %+v", tab.Columns)
	}
}

func TestRecord(t *testing.T) {
	o := Object{Type: "table", Name: "n", Table: "t", Root: 300, SQL: "CREATE", id: 7}
	key, b := numberKey(prefixObject, o.id), encodeObject(o)
	if got, err := decodeObject(key, b); err != nil || got != o {
		t.Errorf("%+v, %v", got, err)
	}
	bad := [][]byte{append(slices.Clone(b), 0), append([]byte{0}, b[1:]...)}
	for i := range b {
		bad = append(bad, b[:i])
	}
	for _, b := range bad {
		var e *sqlerr.Error
		if _, err := decodeObject(key, b); !errors.As(err, &e) || e.Code != sqlerr.Corrupt {
			t.Errorf("%x: %v, want code %d", b, err, sqlerr.Corrupt)
		}
	}
	if _, err := decodeObject(key, []byte{layout + 1}); !errors.Is(err, engine.ErrTooNew) {
		t.Errorf("a newer layout: %v", err)
	}
	if _, err := decodeObject([]byte("o"), b); err == nil {
		t.Error("a short key was taken")
	}
}

func TestTriggersInSchema(t *testing.T) {
	tx := begin(t)
	s := run(t, tx, `CREATE TABLE t(a, b); CREATE VIEW v AS SELECT a FROM t;
		CREATE TRIGGER One AFTER UPDATE OF a, b ON t WHEN NEW.a > 1 BEGIN DELETE FROM t; END;
		CREATE TRIGGER two INSTEAD OF DELETE ON v BEGIN SELECT 1; END`)
	one := s.Trigger("oNE")
	if one == nil || one.Event != Update || one.Table != s.Table("t") || len(one.UpdateOf) != 2 || one.When == nil || len(one.Body) != 1 {
		t.Fatalf("trigger %+v", one)
	}
	if two := s.Trigger("two"); two == nil || two.Event != Delete || two.Table != s.Table("v") {
		t.Fatalf("trigger %+v", two)
	}
	for _, c := range []struct{ sql, want string }{
		{"ALTER TABLE t DROP a", "error in view v after drop column: no such column: a"},
		{"CREATE TRIGGER ONE AFTER DELETE ON t BEGIN SELECT 1; END", "trigger ONE already exists"},
	} {
		if err := try(tx, c.sql); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %q", c.sql, err, c.want)
		}
	}
	s = run(t, tx, "ALTER TABLE t RENAME a TO c")
	if got := s.Trigger("one").SQL; got != "CREATE TRIGGER One AFTER UPDATE OF c, b ON t WHEN NEW.c > 1 BEGIN DELETE FROM t; END" {
		t.Errorf("trigger %s", got)
	}
	s = run(t, tx, "DROP TRIGGER one; ALTER TABLE t RENAME b TO d; DROP VIEW v; DROP TABLE t")
	if len(s.Objects) != 0 || s.Trigger("two") != nil {
		t.Errorf("left: %+v", s.Objects)
	}
}

func TestReferences(t *testing.T) {
	tx := begin(t)
	s := run(t, tx, "CREATE TABLE p(a PRIMARY KEY); CREATE TABLE c(x REFERENCES P, y REFERENCES p(a)); CREATE TABLE d(z REFERENCES c)")
	refs := s.References("p")
	if len(refs) != 2 || refs[0].Child != s.Table("c") || refs[0].Key != &s.Table("c").ForeignKeys[0] || refs[1].Key.ParentCols[0] != "a" {
		t.Errorf("references %+v", refs)
	}
	if len(s.References("d")) != 0 {
		t.Error("d is nobody's parent")
	}
}
