package exec

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/value"
)

// TestTempPlansAreTheSessions has a session with temporary objects, and one
// without, run the same texts.
func TestTempPlansAreTheSessions(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'main')")
	other := s.d.NewSession()
	defer func() { _ = other.Close() }()
	const text = "SELECT b FROM t WHERE a = 1"
	for _, s := range []*Session{s, other} {
		if out, lifted := once(s, text); !strings.Contains(out, `"main"`) || !lifted {
			t.Fatalf("%q, %v", out, lifted)
		}
	}
	shared := len(s.d.shapes[0])
	mustScript(t, s, "CREATE TEMP TABLE t(b, a, c); INSERT INTO t VALUES ('temp', 1, 'secret')")
	for range 2 {
		if out, lifted := once(s, text); !strings.Contains(out, `"temp"`) || !lifted {
			t.Errorf("%q, %v", out, lifted)
		}
		if out, lifted := once(other, text); !strings.Contains(out, `"main"`) || !lifted {
			t.Errorf("another session: %q, %v", out, lifted)
		}
	}
	if n := len(s.d.shapes[0]); n != shared || other.temp != nil {
		t.Errorf("%d shared plans became %d", shared, n)
	}
	for text, p := range s.d.plans[0] {
		if p.temp != nil {
			t.Errorf("a shared plan is of temporary objects: %s", text)
		}
	}
	if len(s.temp.shapes[0]) != 1 || s.cached("COMMIT") != s.d.cached("COMMIT", false) {
		t.Errorf("%d plans of the session's own", len(s.temp.shapes[0]))
	}
	for text := range s.temp.shapes[0] {
		if strings.Contains(text, "= 1") {
			t.Errorf("the session keeps the literal of %q", text)
		}
	}

	// A statement that both kinds of plan were made for.
	st, _, err := s.Prepare(context.Background(), "SELECT b FROM t WHERE a = ?")
	if err != nil {
		t.Fatal(err)
	}
	run := func() string {
		t.Helper()
		r, err := s.Query(context.Background(), st, []value.Value{integer(1)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		dst := make([]value.Value, 1)
		if err := r.Next(dst); err != nil {
			t.Fatal(err)
		}
		return dst[0].AsText()
	}
	if got := run(); got != "temp" {
		t.Error(got)
	}
	s.Reset()
	if got := run(); got != "temp" {
		t.Errorf("%s after a reset", got)
	}
	mustScript(t, s, "DROP TABLE t")
	if got := run(); got != "main" {
		t.Errorf("%s after DROP", got)
	}
	mustScript(t, s, "CREATE TEMP TABLE t(a, b); INSERT INTO t VALUES (1, 'again')")
	if got := run(); got != "again" {
		t.Error(got)
	}
	mustScript(t, s, "BEGIN; DROP TABLE t")
	if got := run(); got != "main" {
		t.Errorf("%s after DROP", got)
	}
	mustScript(t, s, "ROLLBACK")
	if got := run(); got != "again" {
		t.Errorf("%s after ROLLBACK", got)
	}
}

// TestTempWiped wipes the memory of a session with temporary objects.
func TestTempWiped(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TEMP TABLE t(a DEFAULT 'secret'); CREATE TEMP VIEW v AS SELECT a, 'literal' AS b FROM t; INSERT INTO t DEFAULT VALUES")
	const want = "secret|literal\n"
	if got := mustScript(t, s, "SELECT * FROM v"); got != want {
		t.Fatal(got)
	}
	s.d.forget()
	temp := s.temp
	if len(temp.plans[0])+len(temp.shapes[0]) > 0 || temp.schema != nil || temp.loaded != nil || temp.inTx != nil || temp.seen != nil || temp.main != nil || temp.joined != nil {
		t.Errorf("left: %+v", temp)
	}
	if got := mustScript(t, s, "SELECT * FROM v"); got != want {
		t.Error(got)
	}
}

// TestTempSnapshots reads on in a result while temporary objects change: the
// rows of a function are those of the result's snapshot.
func TestTempSnapshots(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, "CREATE TABLE names(n); INSERT INTO names VALUES ('t'), ('u'), ('t'); CREATE TEMP TABLE t(a, b); CREATE TEMP TABLE u(c)")
	st, _, err := s.Prepare(context.Background(), "SELECT n, group_concat(i.name) FROM names, pragma_table_info(n, 'temp') AS i GROUP BY names.rowid ORDER BY names.rowid")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Query(context.Background(), st, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	dst := make([]value.Value, 2)
	for i, want := range []string{"a,b", "c", "a,b"} {
		if err := r.Next(dst); err != nil || dst[1].AsText() != want {
			t.Errorf("%v, %v, want %s", dst, err, want)
		}
		if i == 0 {
			mustScript(t, s, "ALTER TABLE t RENAME COLUMN b TO z; DROP TABLE u")
		}
		if got := mustScript(t, s, "SELECT group_concat(name) FROM pragma_table_info('t')"); got != "a,z\n" {
			t.Errorf("meanwhile: %s", got)
		}
	}
}

// TestTempRename renames tables of one name in main and in temp, which SQLite
// confuses in the bodies of triggers.
func TestTempRename(t *testing.T) {
	s := openSession(t)
	mustScript(t, s, `CREATE TABLE s(a); CREATE TEMP TABLE s(b);
		CREATE TEMP TRIGGER onmain AFTER INSERT ON main.s BEGIN INSERT INTO s VALUES ('main ' || new.a); END;
		CREATE TEMP TRIGGER ontemp AFTER INSERT ON s WHEN new.b = 'x' BEGIN INSERT INTO s VALUES ('temp'); END;
		ALTER TABLE main.s RENAME TO s2; INSERT INTO s2 VALUES (1); INSERT INTO s VALUES ('x')`)
	const want = "main 1\nx\ntemp\n"
	if got := mustScript(t, s, "SELECT * FROM s"); got != want {
		t.Errorf("%q", got)
	}
	if got := mustScript(t, s, "SELECT name, tbl_name FROM sqlite_temp_master WHERE type = 'trigger'"); got != "onmain|s2\nontemp|s\n" {
		t.Errorf("%q", got)
	}
	mustScript(t, s, "CREATE TABLE main.s(a); ALTER TABLE s RENAME TO s3; INSERT INTO s2 VALUES (2)")
	if got := mustScript(t, s, "SELECT * FROM s3"); got != want+"main 2\n" {
		t.Errorf("%q", got)
	}
	if got := mustScript(t, s, "SELECT count(*) FROM s; SELECT name, tbl_name FROM sqlite_temp_master WHERE type = 'trigger'"); got != "0\nonmain|s2\nontemp|s3\n" {
		t.Errorf("%q", got)
	}
	mustScript(t, s, `CREATE TEMP TABLE s(q); CREATE TEMP VIEW v AS SELECT s.q, main.s.a FROM main.s, temp.s;
		ALTER TABLE s RENAME TO r; ALTER TABLE s RENAME TO p; ALTER TABLE r RENAME COLUMN q TO z; ALTER TABLE s2 RENAME COLUMN a TO "one"`)
	if got := mustScript(t, s, "SELECT sql FROM sqlite_temp_master WHERE name IN ('v', 'onmain') ORDER BY name"); got !=
		"CREATE TRIGGER onmain AFTER INSERT ON main.\"s2\" BEGIN INSERT INTO \"s3\" VALUES ('main ' || new.\"one\"); END\n"+
			"CREATE VIEW v AS SELECT \"r\".z, main.\"p\".a FROM main.\"p\", temp.\"r\"\n" {
		t.Errorf("%q", got)
	}
	for _, undone := range []string{"BEGIN; %s; ROLLBACK", "SAVEPOINT one; %s; ROLLBACK TO one; RELEASE one"} {
		text := "ALTER TABLE p RENAME TO later; ALTER TABLE later RENAME COLUMN a TO b; SELECT q.a FROM (SELECT b AS a FROM later) AS q; SELECT count(*) FROM v"
		mustScript(t, s, fmt.Sprintf(undone, text))
		if got := mustScript(t, s, "SELECT sql FROM sqlite_temp_master WHERE name = 'v'; SELECT count(*) FROM v"); got != "CREATE VIEW v AS SELECT \"r\".z, main.\"p\".a FROM main.\"p\", temp.\"r\"\n0\n" {
			t.Errorf("undone: %q", got)
		}
	}
	if _, err := script(s, "ALTER TABLE s2 ADD COLUMN more DEFAULT 1; ALTER TABLE s2 DROP COLUMN one"); err == nil || err.Error() != "error in trigger onmain after drop column: no such column: new.one" {
		t.Error(err)
	}
}
