package toolstest

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/sqlite3"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/pressly/goose/v3"

	"github.com/byokdb/byokdb/sql/migratedriver"
)

//go:embed testdata/goose testdata/migrate
var migrations embed.FS

func TestGoose(t *testing.T) {
	Both(t, func(l *Life) {
		ctx := context.Background()
		dir, err := fs.Sub(migrations, "testdata/goose")
		l.Must(err)
		p, err := goose.NewProvider(goose.DialectSQLite3, l.DB, dir)
		l.Must(err)
		results, err := p.UpTo(ctx, 2)
		l.Must(err)
		for _, r := range results {
			l.See("%s %d", r.Direction, r.Source.Version)
		}
		l.Query("SELECT * FROM post ORDER BY id")
		gooseVersion(ctx, l, p)
		_, err = p.Down(ctx)
		l.Must(err)
		gooseVersion(ctx, l, p)
		l.Query("SELECT * FROM post ORDER BY id")
		_, err = p.Up(ctx)
		l.See("the broken one fails: %v", err != nil)
		gooseVersion(ctx, l, p)
		l.Query("SELECT count(*) FROM sqlite_master WHERE name = 'half'")
		_, err = p.DownTo(ctx, 0)
		l.Must(err)
		gooseVersion(ctx, l, p)
		_, err = p.UpByOne(ctx)
		l.Must(err)
		status, err := p.Status(ctx)
		l.Must(err)
		for _, s := range status {
			l.See("%d %s", s.Source.Version, s.State)
		}
	})
}

func gooseVersion(ctx context.Context, l *Life, p *goose.Provider) {
	v, err := p.GetDBVersion(ctx)
	l.Must(err)
	l.See("version %d", v)
}

// TestMigrate has golang-migrate live with our driver on byokdb and with its own
// on SQLite. The table of the version is declared in other words there.
func TestMigrate(t *testing.T) {
	var ours, theirs *Life
	t.Run("byokdb", func(t *testing.T) {
		ours = open(t, "byokdb", byokdbDSN(t))
		d, err := migratedriver.WithInstance(ours.DB, migratedriver.Config{})
		ours.Must(err)
		migrateLife(ours, d)
	})
	t.Run("SQLite", func(t *testing.T) {
		theirs = open(t, "sqlite3", sqliteDSN(t))
		d, err := sqlite3.WithInstance(theirs.DB, &sqlite3.Config{})
		theirs.Must(err)
		migrateLife(theirs, d)
	})
	if !t.Failed() {
		compare(t, ours.seen, theirs.seen)
	}
}

func migrateLife(l *Life, d database.Driver) {
	src, err := iofs.New(migrations, "testdata/migrate")
	l.Must(err)
	m, err := migrate.NewWithInstance("iofs", src, "db", d)
	l.Must(err)
	migrateVersion(l, m)
	l.Must(m.Steps(2))
	migrateVersion(l, m)
	l.Query("SELECT * FROM reachable")
	l.Query("SELECT * FROM users ORDER BY id")
	l.Must(m.Steps(-1))
	migrateVersion(l, m)
	l.Query("SELECT * FROM users ORDER BY id")
	err = m.Up()
	l.See("the broken one fails: %v", err != nil)
	migrateVersion(l, m)
	l.Query("SELECT count(*) FROM sqlite_master WHERE name = 'half'")
	_, dirty := errors.AsType[migrate.ErrDirty](m.Up())
	l.See("dirty %v", dirty)
	l.Must(m.Force(2))
	l.Must(m.Migrate(1))
	migrateVersion(l, m)
	l.See("again: %v", m.Migrate(1))
	l.Must(m.Down())
	migrateVersion(l, m)
	l.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_migrations'")
}

func migrateVersion(l *Life, m *migrate.Migrate) {
	v, dirty, err := m.Version()
	if errors.Is(err, migrate.ErrNilVersion) {
		l.See("no version")
		return
	}
	l.Must(err)
	l.See("version %d %v", v, dirty)
}

// TestMigrateURL opens by URL, fails with the line of the fault, and drops
// everything.
func TestMigrateURL(t *testing.T) {
	url := "byokdb://" + byokdbDSN(t) + "&x-migrations-table=my+versions"
	src, err := iofs.New(migrations, "testdata/migrate")
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithSourceInstance("iofs", src, url)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Steps(2); err != nil {
		t.Fatal(err)
	}
	err = m.Steps(1)
	_, ok := errors.AsType[*database.Error](err)
	if !ok || !strings.Contains(err.Error(), "no such table: nowhere") {
		t.Errorf("error %v", err)
	}
	if err := m.Drop(); err != nil {
		t.Fatal(err)
	}
	if srcErr, dbErr := m.Close(); srcErr != nil || dbErr != nil {
		t.Fatal(srcErr, dbErr)
	}
	dsn, _, _ := strings.Cut(strings.TrimPrefix(url, "byokdb://"), "?")
	db, err := sql.Open("byokdb", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // read only
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d objects left, %v", n, err)
	}
	if _, err := migrate.NewWithSourceInstance("iofs", src, url+"&x-nope=1"); err == nil || !strings.Contains(err.Error(), "x-nope") {
		t.Errorf("an unknown parameter: %v", err)
	}
}
