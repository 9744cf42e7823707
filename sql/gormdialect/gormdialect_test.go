package gormdialect_test

import (
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/byokdb/byokdb/engine"
	bsql "github.com/byokdb/byokdb/sql"
	"github.com/byokdb/byokdb/sql/gormdialect"
)

func open(t *testing.T, params ...string) *gorm.DB {
	t.Helper()
	dir := t.TempDir()
	dsn := filepath.Join(dir, "d.byok") + "?key=" + url.QueryEscape("local:"+filepath.Join(dir, "dev.key")) + strings.Join(params, "")
	db, err := gorm.Open(gormdialect.Open(dsn), &gorm.Config{Logger: logger.Discard, TranslateError: true})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func scan[T any](t *testing.T, db *gorm.DB, query string, args ...any) T {
	t.Helper()
	var out T
	must(t, db.Raw(query, args...).Row().Scan(&out))
	return out
}

type thing struct {
	ID   uint
	Name string `gorm:"default:'what? it is @me'"`
	Size int    `gorm:"type:numeric(10);not null;default:5"`
}

// TestAlterKeepsTheRest changes the type of a column: what GORM does not know of
// stays in the table.
func TestAlterKeepsTheRest(t *testing.T) {
	db := open(t)
	for _, text := range []string{
		"CREATE TABLE things (id integer PRIMARY KEY AUTOINCREMENT, `name` text DEFAULT 'what? it is @me', " +
			"size INTEGER COLLATE NOCASE CHECK (size < 100), extra TEXT /* a comment? */ UNIQUE, CONSTRAINT few CHECK (id < 50))",
		"CREATE INDEX plain ON things (size) WHERE name <> '?'",
		"INSERT INTO things (size, extra) VALUES (7, 'e'), (8, 'f')",
		"DELETE FROM things WHERE id = 2",
	} {
		must(t, db.Exec(text).Error)
	}
	must(t, db.Migrator().AlterColumn(&thing{}, "Size"))
	text := scan[string](t, db, "SELECT sql FROM sqlite_master WHERE name = 'things'")
	want := "CREATE TABLE \"things\" (id integer PRIMARY KEY AUTOINCREMENT, `name` text DEFAULT 'what? it is @me', " +
		"size numeric(10) NOT NULL DEFAULT 5 COLLATE NOCASE CHECK (size < 100), extra TEXT /* a comment? */ UNIQUE, CONSTRAINT few CHECK (id < 50))"
	if text != want {
		t.Errorf("definition\n%s, want\n%s", text, want)
	}
	if got := scan[string](t, db, "SELECT sql FROM sqlite_master WHERE name = 'plain'"); got != "CREATE INDEX plain ON things (size) WHERE name <> '?'" {
		t.Errorf("index %s", got)
	}
	if got := scan[string](t, db, "SELECT group_concat(id || name || size || extra) FROM things"); got != "1what? it is @me7e" {
		t.Errorf("rows %s", got)
	}
	x := thing{}
	must(t, db.Create(&x).Error)
	if x.ID != 3 || x.Name != "what? it is @me" || x.Size != 5 {
		t.Errorf("after a rebuild %+v", x)
	}
}

func TestErrors(t *testing.T) {
	db := open(t)
	must(t, db.Exec("CREATE TABLE things (id integer PRIMARY KEY, name text UNIQUE, size int CHECK (size > 0))").Error)
	must(t, db.Create(&thing{ID: 1, Name: "a", Size: 1}).Error)
	for _, c := range []struct {
		row  thing
		want error
		code int
	}{
		{thing{ID: 1, Name: "b", Size: 1}, gorm.ErrDuplicatedKey, 1555},
		{thing{ID: 2, Name: "a", Size: 1}, gorm.ErrDuplicatedKey, 2067},
		{thing{ID: 3, Name: "c", Size: -1}, gorm.ErrCheckConstraintViolated, 275},
	} {
		err := db.Create(&c.row).Error
		e, ok := errors.AsType[*bsql.Error](err)
		if !errors.Is(err, c.want) || !ok || e.ExtendedCode != c.code {
			t.Errorf("%+v: error %v", c.row, err)
		}
	}
	m := db.Migrator()
	for name, err := range map[string]error{
		"alter":  m.AlterColumn(&thing{}, "nope"),
		"index":  m.CreateIndex(&thing{}, "nope"),
		"make":   m.CreateConstraint(&thing{}, "nope"),
		"drop":   m.DropConstraint(&thing{}, "nope"),
		"rename": m.RenameIndex(&thing{}, "nope", "other"),
		"string": m.AlterColumn("things", "size"),
	} {
		if err == nil || !strings.Contains(err.Error(), "nope") && name != "string" {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if m.HasTable("nope") || m.HasColumn("things", "nope") || m.HasConstraint(&thing{}, "nope") || m.HasIndex("things", "nope") {
		t.Error("something is there that is not")
	}
}

// TestAlterWithForeignKeys makes a table anew that others refer to: what refers to
// its rows stays, and inside of a transaction, where it could not, the change is
// refused.
func TestAlterWithForeignKeys(t *testing.T) {
	db := open(t, "&foreign_keys=on")
	for _, text := range []string{
		"CREATE TABLE things (id integer PRIMARY KEY, name text, size text)",
		"CREATE TABLE parts (thing integer REFERENCES things(id) ON DELETE CASCADE)",
		"INSERT INTO things VALUES (1, 'a', '7'), (2, 'b', '8')",
		"INSERT INTO parts VALUES (1), (1), (2)",
	} {
		must(t, db.Exec(text).Error)
	}
	must(t, db.Migrator().AlterColumn(&thing{}, "Size"))
	if n := scan[int](t, db, "SELECT count(*) FROM parts"); n != 3 {
		t.Errorf("%d rows refer to those of the table, want 3", n)
	}
	if on := scan[bool](t, db, "PRAGMA foreign_keys"); !on {
		t.Error("foreign keys are not enforced any more")
	}
	err := db.Transaction(func(tx *gorm.DB) error { return tx.Migrator().AlterColumn(&thing{}, "Name") })
	if err == nil || !strings.Contains(err.Error(), "inside of a transaction") {
		t.Errorf("inside of a transaction: %v", err)
	}
	if n := scan[int](t, db, "SELECT count(*) FROM parts"); n != 3 {
		t.Errorf("%d rows after the refusal, want 3", n)
	}
	err = db.Exec("INSERT INTO parts VALUES (99)").Error
	if !errors.Is(err, gorm.ErrForeignKeyViolated) {
		t.Errorf("a row that refers to nothing: %v", err)
	}
	must(t, db.Migrator().DropTable("things", "parts"))
}

// TestKeyError sees that the engine's errors pass through GORM.
func TestKeyError(t *testing.T) {
	db := open(t)
	pool, err := db.DB()
	must(t, err)
	must(t, pool.Close())
	if err := db.Exec("SELECT 1").Error; err == nil || errors.Is(err, engine.ErrKeyUnavailable) {
		t.Errorf("a closed database: %v", err)
	}
}

func TestQuote(t *testing.T) {
	db := open(t)
	for name, want := range map[string]string{
		"a":            "`a`",
		"a.b":          "`a`.`b`",
		"`a`.`b.c`":    "`a`.`b.c`",
		"a`b":          "`a``b`",
		"order by":     "`order by`",
		"main.t.c":     "`main`.`t`.`c`",
		"":             "``",
		"`already ok`": "`already ok`",
	} {
		if got := db.Statement.Quote(name); got != want {
			t.Errorf("%q is quoted %s, want %s", name, got, want)
		}
	}
}
