package exec

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/value"
)

func TestVacuumInto(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	key, err := keyuri.Open(ctx, "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string) *Session {
		db, err := engine.Open(ctx, name, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		s := NewDatabase(db).NewSession()
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open(filepath.Join(dir, "a.byok"))
	mustScript(t, s, `CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')`)
	first, second := filepath.Join(dir, "b.byok"), filepath.Join(dir, "c.byok")
	mustScript(t, s, `VACUUM INTO '`+first+`'`)
	mustScript(t, s, `DELETE FROM t WHERE id = 1; VACUUM`)
	if _, err := script(s, `VACUUM main INTO ?`, value.NewText(second)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`VACUUM INTO '` + first + `'`, "output file already exists"},
		{`VACUUM INTO 7`, "non-text filename"},
		{`VACUUM other`, "unknown database other"},
		{`BEGIN; VACUUM`, "cannot VACUUM from within a transaction"},
		{`VACUUM INTO 'never'`, "cannot VACUUM from within a transaction"},
		{`ROLLBACK; VACUUM INTO (SELECT 'never')`, "byokdb does not support VACUUM INTO with an expression of more than literals and parameters"},
	} {
		if _, err := script(s, c[0]); err == nil || !strings.HasPrefix(err.Error(), c[1]) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
	if _, err := script(s, `VACUUM INTO '`+filepath.Join(dir, "a.byok", "x")+`'`); !errors.Is(err, engine.ErrOwnDirectory) {
		t.Errorf("into the database's own directory: %v", err)
	}
	for name, want := range map[string]string{first: "one|two\n", second: "two\n"} {
		c := open(name)
		if got := mustScript(t, c, `SELECT group_concat(v, '|') FROM t`); got != want {
			t.Errorf("%s holds %q", filepath.Base(name), got)
		}
		mustScript(t, c, `INSERT INTO t(v) VALUES ('more'); PRAGMA integrity_check`)
	}
}

func TestVacuumEndsWithItsContext(t *testing.T) {
	s := openSession(t)
	ctx, cancel := context.WithCancel(context.Background())
	st, _, err := s.Prepare(ctx, `VACUUM INTO '`+filepath.Join(t.TempDir(), "x")+`'`)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.Exec(ctx, st, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
