package migratedriver_test

import (
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/byokdb/byokdb/sql/migratedriver"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("byokdb", filepath.Join(dir, "d.byok")+"?key="+url.QueryEscape("local:"+filepath.Join(dir, "dev.key")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func version(t *testing.T, d *migratedriver.Driver, want int, wantDirty bool) {
	t.Helper()
	v, dirty, err := d.Version()
	if err != nil || v != want || dirty != wantDirty {
		t.Errorf("version %d, dirty %v, %v; want %d, %v", v, dirty, err, want, wantDirty)
	}
}

func TestDriver(t *testing.T) {
	db := open(t)
	d, err := migratedriver.WithInstance(db, migratedriver.Config{Table: `odd "name"`})
	if err != nil {
		t.Fatal(err)
	}
	version(t, d, database.NilVersion, false)
	for _, v := range []struct {
		version int
		dirty   bool
	}{{7, true}, {7, false}, {database.NilVersion, true}, {0, false}, {database.NilVersion, false}} {
		if err := d.SetVersion(v.version, v.dirty); err != nil {
			t.Fatal(err)
		}
		version(t, d, v.version, v.dirty)
	}
	if err := d.Run(strings.NewReader("CREATE TABLE a (x); CREATE VIEW v AS SELECT x FROM a; -- end")); err != nil {
		t.Fatal(err)
	}
	err = d.Run(strings.NewReader("CREATE TABLE b (x);\n\nINSERT INTO b VALES (1);"))
	e, ok := errors.AsType[*database.Error](err)
	if !ok || e.Line != 3 {
		t.Errorf("error of a migration: %+v", err)
	}
	if _, err := db.ExecContext(t.Context(), "SELECT * FROM b"); err == nil {
		t.Error("a part of a migration that failed remains")
	}
	if err := d.Lock(); err != nil {
		t.Fatal(err)
	}
	if err := d.Lock(); !errors.Is(err, database.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if err := d.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := d.Unlock(); !errors.Is(err, database.ErrNotLocked) {
		t.Errorf("a second unlock: %v", err)
	}
	if err := d.Drop(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Version(); err == nil {
		t.Error("a database without the table of the version has a version")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("Close closed a database of the caller: %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	dsn := filepath.Join(dir, "d.byok") + "?key=" + url.QueryEscape("local:"+filepath.Join(dir, "dev.key"))
	for _, c := range []struct{ url, want string }{
		{"sqlite://x", "begins with byokdb://"},
		{"byokdb://" + dsn + "&x-nope=1", "x-nope"},
		{"byokdb://" + dsn + "&nope=1", "nope"},
	} {
		if _, err := database.Open(c.url); err == nil || !strings.Contains(err.Error(), c.want) {
			if c.want == "begins with byokdb://" && err != nil {
				continue // no driver is registered under that scheme
			}
			t.Errorf("%s: error %v", c.url, err)
		}
	}
	d, err := database.Open("byokdb://" + dsn + "&x-migrations-table=v")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetVersion(3, false); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
