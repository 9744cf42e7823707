package exec

import (
	"errors"
	"fmt"
	"testing"

	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// entered puts records into an index that no row accounts for.
func entered(t *testing.T, s *Session, index string, entries map[string]string) {
	t.Helper()
	changeIndex(t, s, index, func(c *engine.Collection) (err error) {
		for k, v := range entries {
			err = errors.Join(err, c.Put([]byte(k), []byte(v)))
		}
		return err
	})
}

// TestReindex: indexes that lack records and have others are in order again.
func TestReindex(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE); CREATE UNIQUE INDEX ta ON t(a); CREATE INDEX tb ON t(b) WHERE b > ''; CREATE INDEX te ON t(a + 1)")
	mustScript(t, s, "CREATE TABLE w(k TEXT PRIMARY KEY, v INT UNIQUE, x) WITHOUT ROWID; CREATE INDEX wx ON w(x DESC); CREATE TEMP TABLE tt(a UNIQUE)")
	mustScript(t, s, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3000) INSERT INTO t SELECT n, nullif(n * 2, 6), 'b' || n FROM r")
	mustScript(t, s, "INSERT INTO w SELECT b, a, id FROM t; INSERT INTO tt SELECT a FROM t")
	indexes := []string{"ta", "tb", "te", "wx", "sqlite_autoindex_w_2"}
	sound := mustScript(t, s, "PRAGMA integrity_check")
	for i, text := range []string{"REINDEX", "REINDEX t; REINDEX main.w", "REINDEX sqlite_autoindex_w_1; REINDEX ta; REINDEX main.tb; REINDEX te; REINDEX wx; REINDEX sqlite_autoindex_w_2", "REINDEX binary; REINDEX NoCase"} {
		for _, index := range indexes {
			emptied(t, s, index)
		}
		for _, index := range indexes {
			stale := map[string]string{"short": "", "x": "y"}
			for j := range 2500 {
				stale[fmt.Sprintf("stale%08d", j)] = fmt.Sprint(j)
			}
			entered(t, s, index, stale)
		}
		if got := mustScript(t, s, "PRAGMA integrity_check"); got == sound {
			t.Fatal("the faults are not found")
		}
		mustScript(t, s, text)
		if got := mustScript(t, s, "PRAGMA integrity_check"); got != sound {
			t.Errorf("%d: %s", i, got)
		}
		if got, want := mustScript(t, s, "SELECT id FROM t WHERE a = 4; SELECT k FROM w WHERE x = 7"), "2\nb7\n"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestReindexOfRowsThatAreAlike fails, and changes nothing.
func TestReindexOfRowsThatAreAlike(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX ta ON t(a); INSERT INTO t VALUES (1, 'x'), (2, 'y')")
	emptied(t, s, "ta")
	mustScript(t, s, "INSERT INTO t VALUES (3, 'x')")
	code := func() sqlerr.Code {
		st, _, err := s.Prepare(t.Context(), "REINDEX")
		if err == nil {
			var rows *Rows
			if rows, err = s.Query(t.Context(), st, nil); err == nil {
				err = rows.Close()
			}
		}
		e, ok := errors.AsType[*sqlerr.Error](err)
		if !ok {
			t.Fatal(err)
		}
		return e.ExtendedCode
	}
	before := mustScript(t, s, "PRAGMA integrity_check")
	if got := code(); got != sqlerr.ConstraintUnique {
		t.Errorf("code %d", got)
	}
	if got := mustScript(t, s, "PRAGMA integrity_check"); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
	entry := appendRowID(appendKeyValue(nil, value.NewText("x"), keyColumn{col: 1}), 1)
	entered(t, s, "ta", map[string]string{string(entry): ""})
	if got := code(); got != sqlerr.ConstraintUnique {
		t.Errorf("both are in the index: code %d", got)
	}
	mustScript(t, s, "DELETE FROM t WHERE id = 3; REINDEX")
	if got := mustScript(t, s, "PRAGMA integrity_check"); got != "ok\n" {
		t.Error(got)
	}
}
