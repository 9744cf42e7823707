package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/sql/parse"
	"github.com/byokdb/byokdb/sql/sqlerr"
	"github.com/byokdb/byokdb/sql/value"
)

// once runs a text of one statement as database/sql runs one without arguments
// and returns all that is seen of it.
func once(s *Session, text string) (out string, lifted bool) {
	ctx := context.Background()
	st, tail, err := s.PrepareOnce(ctx, text)
	if err != nil || st == nil {
		return shown(err), false
	}
	rows, err := s.Query(ctx, st, nil)
	lifted = st.lifted != 0
	if err != nil {
		return shown(err), lifted
	}
	var b strings.Builder
	for _, c := range rows.Columns() {
		fmt.Fprintf(&b, "%s %s|", c.Name, c.DeclType)
	}
	dst := make([]value.Value, len(rows.Columns()))
	for len(dst) > 0 && err == nil {
		if err = rows.Next(dst); err == nil {
			b.WriteByte('\n')
			for _, v := range dst {
				fmt.Fprintf(&b, "%s %q|", v.Kind(), v.AsText())
			}
		}
	}
	fmt.Fprintf(&b, "\n%s, %d, %d, %d, %q", shown(err), rows.changes, s.lastInsertRowID, s.totalChanges, tail)
	if err := rows.Close(); err != nil {
		b.WriteString(shown(err))
	}
	return b.String(), lifted
}

// shown returns what a user sees of an error.
func shown(err error) string {
	if e, ok := errors.AsType[*sqlerr.Error](err); ok {
		return fmt.Sprintf("%s (%d, %d, at %d)", e.Message, e.Code, e.ExtendedCode, e.Offset)
	}
	return fmt.Sprint(err)
}

var liftSchema = []string{
	"CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c, r REAL, n TEXT COLLATE NOCASE, at DATETIME)",
	"CREATE INDEX ta ON t(a)",
	"CREATE INDEX tn ON t(n)",
	"CREATE TABLE k(id TEXT PRIMARY KEY NOT NULL, v UNIQUE) WITHOUT ROWID",
	"CREATE TABLE p(id INTEGER PRIMARY KEY, state TEXT, x INT)",
	"CREATE UNIQUE INDEX pp ON p(x) WHERE state = 'open'",
	"CREATE TABLE e(id INTEGER PRIMARY KEY, x INT, j TEXT)",
	"CREATE UNIQUE INDEX ee ON e(x + 1)",
	"CREATE TABLE soft(id INTEGER PRIMARY KEY, x INT, gone INT)",
	"CREATE INDEX sx ON soft(x) WHERE gone IS NULL",
	"CREATE VIEW low AS SELECT id, x FROM p WHERE state = 'open' AND x < 5",
	"CREATE TRIGGER tt AFTER UPDATE OF b ON t WHEN NEW.b = 'loud' BEGIN INSERT INTO k VALUES (NEW.id || 'x', 'trigger'); END",
	"INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 30)" +
		" SELECT i, i % 7, 'text ' || i, CASE i % 4 WHEN 0 THEN i WHEN 1 THEN i / 2.0 WHEN 2 THEN 'c' || i END, i * 0.5, CASE i % 2 WHEN 0 THEN 'Name' ELSE 'name' END || i % 5, '2026-01-0' || i % 9 FROM c",
	"INSERT INTO k SELECT 'k' || id, id FROM t",
	"INSERT INTO p SELECT id, CASE id % 3 WHEN 0 THEN 'open' ELSE 'shut' END, id FROM t",
	"INSERT INTO e SELECT id, id, json_object('a', id) FROM t",
	"INSERT INTO soft SELECT id, a, CASE id % 2 WHEN 0 THEN 1 END FROM t",
}

func liftSession(tb testing.TB, asWritten bool) *Session {
	tb.Helper()
	s := openSession(tb)
	s.d.asWritten = asWritten
	for _, text := range liftSchema {
		mustScript(tb, s, text)
	}
	return s
}

// TestLift runs statements with their literals taken out and as they are
// written. What a § stands for is replaced by several literals, so that all but
// the first find a plan.
func TestLift(t *testing.T) {
	numbers := []string{"3", "-3", "0", "2.5", "1e3", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "0x3", "1_0", "1e999", "'3'", "NULL", "true", "x'33'", "-'3'", "+3", "- -3", "(3)"}
	texts := []string{"'text 3'", "'Name3'", "''", "'it''s'", "\"text 3\"", "3", "3.0", "x'7465787420 33'", "x'746578742033'", "NULL", "'a' || 'b'"}
	as, plain := liftSession(t, false), liftSession(t, true)
	lifted, whole := true, false
	for _, c := range []struct {
		text   string
		values []string
		lifted bool // with the literals of the table, all of which can be taken
	}{
		{"SELECT * FROM t WHERE id = §", numbers, lifted},
		{"SELECT id FROM t WHERE a = § AND id > 2", numbers, lifted},
		{"SELECT id FROM t WHERE a >= § ORDER BY id DESC LIMIT 3", numbers, lifted},
		{"SELECT id FROM t WHERE a BETWEEN § AND 4 ORDER BY 1", numbers, lifted},
		{"SELECT id FROM t WHERE a IN (1, §, 5)", numbers, lifted},
		{"SELECT id FROM t WHERE a NOT IN (§)", numbers, lifted},
		{"SELECT id FROM t WHERE b = §", texts, lifted},
		{"SELECT id FROM t WHERE c = § OR c < §", numbers, lifted},
		{"SELECT id FROM t WHERE r = §", numbers, lifted},
		{"SELECT id FROM t WHERE n = §", texts, lifted},
		{"SELECT id FROM t WHERE b = § COLLATE NOCASE", texts, lifted},
		{"SELECT id FROM t WHERE § IS NOT c", numbers, lifted},
		{"SELECT id FROM t WHERE CAST(§ AS TEXT) = '3'", numbers, lifted},
		{"SELECT id, at FROM t WHERE at > § LIMIT 4", []string{"'2026-01-05'", "'2027'"}, lifted},
		{"SELECT id FROM t WHERE n LIKE §", []string{"'name1'", "'NAME%'", "'%1'", "''", "'n_me2'", "3"}, lifted},
		{"SELECT id FROM t WHERE b GLOB §", []string{"'text 1*'", "'*'", "'[t]ext 2'"}, lifted},
		{"SELECT id FROM t WHERE b LIKE § ESCAPE '!'", []string{"'text!%'", "'text%'"}, lifted},
		{"SELECT id FROM t WHERE b LIKE '%' ESCAPE §", []string{"'ab'", "'!'"}, lifted},
		{"SELECT id FROM t LIMIT §", append([]string{"'x'", "'2'", "2.5", "-1"}, numbers...), lifted},
		{"SELECT id FROM t LIMIT 3 OFFSET §", numbers, lifted},
		{"SELECT id FROM t LIMIT §, 2", numbers, lifted},
		{"SELECT typeof(id + 1), 'x' AS x FROM t WHERE id = §", numbers, lifted},
		{"SELECT a, count(*) FROM t WHERE id > § GROUP BY a HAVING count(*) > 2 ORDER BY 2, a", numbers, lifted},
		{"SELECT a + 1 FROM t WHERE id < § GROUP BY a + 1 HAVING a + 1 > 2", numbers, lifted},
		{"SELECT DISTINCT a FROM t WHERE id <> § ORDER BY a + 1", numbers, lifted},
		{"SELECT id FROM t WHERE id < § UNION SELECT a FROM t WHERE id = 5 ORDER BY id", numbers, lifted},
		{"SELECT id + 1 FROM t WHERE id < § UNION ALL SELECT 7 ORDER BY id + 1", numbers, lifted},
		{"SELECT id FROM t WHERE a = (SELECT max(x) FROM soft WHERE x < §)", numbers, lifted},
		{"SELECT id FROM t WHERE EXISTS (SELECT 1 FROM k WHERE v = t.id AND v > §)", numbers, lifted},
		{"SELECT (SELECT count(*) FROM k WHERE v < 5) FROM t WHERE id = §", numbers, lifted},
		{"SELECT x.id FROM (SELECT id, 1 AS one FROM t WHERE a = §) AS x WHERE x.one = 1", numbers, lifted},
		{"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4) SELECT n FROM c WHERE n <> §", numbers, lifted},
		{"SELECT t.id FROM t JOIN k ON k.v = t.id AND k.id <> 'k3' LEFT JOIN soft ON soft.id = § WHERE t.id < 6", numbers, lifted},
		{"SELECT sum(id) OVER (PARTITION BY a % 2), sum(id) OVER (PARTITION BY a % 3) FROM t WHERE id < §", []string{"5", "9"}, lifted},
		{"SELECT id, row_number() OVER w FROM t WHERE id < § WINDOW w AS (ORDER BY a % 3, id ROWS 2 PRECEDING)", []string{"5", "9"}, lifted},
		{"SELECT group_concat(b, '-') FILTER (WHERE id > 3) FROM t WHERE id < §", []string{"5", "9"}, lifted},
		{"SELECT id FROM t WHERE (a, id) = (3, §)", numbers, lifted},
		{"SELECT id FROM t WHERE (a, id) IN (VALUES (1, 1), (3, §))", numbers, lifted},
		{"SELECT id FROM t WHERE CASE WHEN a = § THEN 1 ELSE 0 END", numbers, lifted},
		{"SELECT id FROM t WHERE coalesce(NULL, a) = § AND iif(a > 2, 1, 0)", numbers, lifted},
		{"SELECT id FROM e WHERE id = §", numbers, whole}, // it has an index on x + 1
		{"SELECT id FROM t WHERE id IN (SELECT id FROM e WHERE x + 1 = §)", numbers, whole},
		{"SELECT id FROM p WHERE state = 'open' AND x = §", numbers, whole},
		{"SELECT id FROM low WHERE x = §", numbers, whole},
		{"SELECT id FROM soft WHERE gone IS NULL AND x = §", numbers, lifted},
		{"VALUES (§, 'x'), (1, 2)", numbers, lifted},
		{"SELECT § FROM t WHERE id = 1", []string{"3", "'x'", "x'00'", "1 + 1"}, lifted},
		{"SELECT id, § FROM t ORDER BY 2, 1 LIMIT 1", []string{"3", "'x'"}, lifted},
		{"SELECT id FROM t ORDER BY § LIMIT 2", []string{"1", "2", "'x'", "id + 1", "0"}, lifted},
		{"SELECT a IS NOT DISTINCT FROM § FROM t WHERE id = 1", []string{"1", "'x'"}, whole},
		{"SELECT name FROM pragma_table_info(§)", []string{"'t'", "'k'"}, whole},
		{"SELECT value FROM json_each(§)", []string{"'[1,2]'", "'[3]'"}, whole},
		{"SELECT id FROM t WHERE a IN 't'", []string{""}, whole},
		{"SELECT id FROM t WHERE 't'.a = §", []string{"1", "2"}, whole},
		{"SELECT 'id' FROM 't' WHERE a = §", []string{"1", "2"}, whole},
		{"SELECT no FROM t WHERE a = §", []string{"1", "2"}, whole},
		{"SELECT id FROM t WHERE a = no(§)", []string{"1", "2"}, whole},
		{"SELECT id FROM t WHERE a = § a", []string{"1", "'b'"}, whole},
		{"SELECT abs(§) AS x FROM t WHERE id = 1", []string{"-9223372036854775808", "3"}, lifted},
		{"SELECT id FROM t WHERE abs(§) = 3", []string{"-9223372036854775808", "3"}, lifted},
		{"SELECT id FROM t WHERE json_extract(c, §) = 1", []string{"'$.a'", "'$'", "'nopath'"}, lifted},
		{"SELECT id FROM t WHERE a = § AND likelihood(a, 0.5)", []string{"3", "4"}, whole},
		{"SELECT id FROM t WHERE a = §;", []string{"3", "4"}, lifted},
		{"SELECT id FROM t WHERE a = §; SELECT 2", []string{"3", "4"}, whole},
		{"EXPLAIN QUERY PLAN SELECT id FROM p WHERE state = § AND x = 3", []string{"'open'", "'shut'"}, whole},
		// Changes.
		{"INSERT INTO t(a, b, c) VALUES (§, 'x', 2.5)", numbers, lifted},
		{"INSERT INTO t(id, a) VALUES (§, 1)", numbers, lifted},
		{"INSERT INTO t(a, b) VALUES (1, 'x'), (§, 'y') RETURNING a, b || '!', typeof(a)", numbers, lifted},
		{"INSERT INTO t(id, r, n) VALUES (1, 2, 'n') ON CONFLICT (id) DO UPDATE SET r = § WHERE id < 2", numbers, lifted},
		{"INSERT INTO k VALUES ('k5', §) ON CONFLICT DO NOTHING", numbers, lifted},
		{"INSERT INTO k VALUES ('new', §)", numbers, lifted},
		{"INSERT OR REPLACE INTO k VALUES (§, 3)", texts, lifted},
		{"REPLACE INTO k VALUES ('k1', §)", texts, lifted},
		{"INSERT INTO p VALUES (99, 'open', §) ON CONFLICT (x) WHERE state = 'open' DO UPDATE SET id = 98", numbers, whole},
		{"INSERT INTO e VALUES (99, §, '{}') ON CONFLICT (x + 1) DO NOTHING", numbers, whole},
		{"UPDATE t SET a = §, b = 'loud' WHERE id = 4", numbers, lifted},
		{"UPDATE t SET (a, b) = (§, 'quiet') WHERE id < 3 RETURNING id, a", numbers, lifted},
		{"UPDATE t SET a = k.v FROM k WHERE k.id = 'k' || t.id AND k.v = §", numbers, lifted},
		{"UPDATE t SET id = § WHERE id = 5", numbers, lifted},
		{"DELETE FROM t WHERE a = § AND id <> 4", numbers, lifted},
		{"DELETE FROM k WHERE id = §", texts, lifted},
		{"DELETE FROM p WHERE state = 'open' AND x = §", numbers, whole},
	} {
		changes := strings.Contains("INSERT REPLACE UPDATE DELETE", strings.Fields(c.text)[0])
		all := false
		for _, v := range c.values {
			text := strings.ReplaceAll(c.text, "§", v)
			if changes {
				mustScript(t, as, "BEGIN")
				mustScript(t, plain, "BEGIN")
			}
			for range 2 {
				got, taken := once(as, text)
				want, no := once(plain, text)
				if got != want || no {
					t.Fatalf("%s\n got %s\nwant %s", text, got, want)
				}
				all = all || taken
			}
			if changes {
				if got, want := state(t, as), state(t, plain); got != want {
					t.Fatalf("%s: the databases differ:\n got %s\nwant %s", text, got, want)
				}
				mustScript(t, as, "ROLLBACK")
				mustScript(t, plain, "ROLLBACK")
			}
		}
		if all != c.lifted {
			t.Errorf("%s: literals were taken: %v, want %v", c.text, all, c.lifted)
		}
	}
}

// state returns what the tables hold.
func state(tb testing.TB, s *Session) string {
	tb.Helper()
	var b strings.Builder
	for _, table := range []string{"t", "k", "p", "e", "soft"} {
		out, err := script(s, "SELECT * FROM "+table)
		if err != nil {
			tb.Fatal(err)
		}
		b.WriteString(out)
	}
	return b.String()
}

// TestLiftOfCorpus runs the corpus as database/sql does.
func TestLiftOfCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	nTaken := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { nTaken += liftFile(t, file) })
	}
	if nTaken < 100 {
		t.Errorf("literals of %d statements were taken", nTaken)
	}
}

// liftFile runs a file of the corpus with texts that share plans and as they are
// written, and returns how many statements had literals taken out of them.
func liftFile(t *testing.T, file string) (nTaken int) {
	t.Helper()
	as, plain := openSession(t), openSession(t)
	plain.d.asWritten = true
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimLeft(strings.TrimSpace(line), "! "), "@index ")
		for line != "" {
			got, taken := once(as, line)
			want, _ := once(plain, line)
			if got != want {
				t.Fatalf("%s: %s\n got %s\nwant %s", file, line, got, want)
			}
			if taken {
				nTaken++
			}
			_, line = split(line)
		}
	}
	return nTaken
}

// TestShapesHoldNoLiterals fills the cache and looks for what was in the texts.
func TestShapesHoldNoLiterals(t *testing.T) {
	s := liftSession(t, false)
	before := len(s.d.plans[0])
	for i := range 3 * plansMax {
		text := fmt.Sprintf("SELECT id FROM t WHERE b = 'mark%d' AND a < %d", i, i)
		if i%3 == 0 { // another shape each
			text = fmt.Sprintf("SELECT id AS c%d FROM t WHERE b = 'mark%d'", i, i)
		}
		if out, taken := once(s, text); !taken || strings.Contains(out, "error") {
			t.Fatal(text, out, taken)
		}
	}
	if n := len(s.d.plans[0]); n != before {
		t.Errorf("%d plans of texts as they were written", n-before)
	}
	if n := len(s.d.shapes[0]); n > plansMax {
		t.Errorf("%d shapes", n)
	}
	for text, p := range s.d.shapes[0] {
		if strings.Contains(text+p.text, "mark") {
			t.Errorf("the cache holds %q", text)
		}
		if f := p.idle.Load(); f != nil {
			for _, v := range append(f.args[:cap(f.args)], f.regs...) {
				if !v.IsNull() {
					t.Errorf("%s: an idle frame holds a value", text)
				}
			}
		}
	}
	for _, v := range s.literals.Values[:cap(s.literals.Values)] {
		if !v.IsNull() {
			t.Error("the session holds a literal")
		}
	}
	// A wipe drops all of it.
	s.d.forget()
	if len(s.d.shapes[0]) > 0 || cap(s.literals.Text) > 0 {
		t.Error("shapes survive a wipe")
	}
}

// TestIdleFramesAreSmall runs statements whose frames are kept, and one that
// needed much scratch.
func TestIdleFramesAreSmall(t *testing.T) {
	s := liftSession(t, false)
	for text, kept := range map[string]bool{
		"SELECT DISTINCT b FROM t WHERE id < 5":                                         true,
		"SELECT DISTINCT printf('%.9000c', b) AS x FROM (SELECT b FROM t WHERE id = 5)": false,
	} {
		once(s, text)
		found := false
		for _, plans := range []map[string]*plan{s.d.shapes[0], s.d.plans[0]} {
			for key, p := range plans {
				found = found || strings.HasPrefix(key, text[:22]) && p.idle.Load() != nil
			}
		}
		if found != kept {
			t.Errorf("%s: the frame is kept: %v, want %v", text, found, kept)
		}
	}
}

// TestLiftFollowsSchema makes and drops an index that literals choose.
func TestLiftFollowsSchema(t *testing.T) {
	as, plain := liftSession(t, false), liftSession(t, true)
	for _, c := range []struct {
		text  string
		taken bool
	}{
		{"SELECT soft.id FROM k JOIN soft ON v = x WHERE x = 3 ORDER BY 1", true},
		{"INSERT INTO soft VALUES (50, 60, 1) ON CONFLICT (x) DO NOTHING", false}, // an error, until there is an index
		{"CREATE INDEX extra ON soft(id) WHERE x = 3", false},
		{"SELECT soft.id FROM k JOIN soft ON v = x WHERE x = 3 ORDER BY 1", false},
		{"SELECT soft.id FROM k JOIN soft ON v = x WHERE x = 4 ORDER BY 1", false},
		{"DROP INDEX extra", false},
		{"SELECT soft.id FROM k JOIN soft ON v = x WHERE x = 3 ORDER BY 1", true},
		{"DELETE FROM soft WHERE x <> 3", true},
		{"DELETE FROM soft WHERE id > 3", true},
		{"CREATE UNIQUE INDEX extra ON soft(x)", false},
		{"INSERT INTO soft VALUES (50, 60, 1) ON CONFLICT (x) DO NOTHING", true},
		{"DROP INDEX extra", false},
		{"INSERT INTO soft VALUES (51, 60, 1) ON CONFLICT (x) DO NOTHING", false}, // planned before, and not any more
		{"DROP TABLE k", false},
		{"SELECT soft.id FROM k JOIN soft ON v = x WHERE x = 3 ORDER BY 1", false},
		{"CREATE TABLE k(id, v)", false},
		{"SELECT soft.id, k.id FROM k JOIN soft ON v = x WHERE x = 3 ORDER BY 1", true},
		{"DROP TRIGGER tt", false},
		{"ALTER TABLE k RENAME COLUMN id TO other", false},
		{"SELECT soft.id, k.id FROM k JOIN soft ON v = x WHERE x = 3 ORDER BY 1", false}, // planned before, and not any more
		{"SELECT id FROM k JOIN soft ON v = x WHERE x = 3 ORDER BY 1", true},
	} {
		got, taken := once(as, c.text)
		want, _ := once(plain, c.text)
		if got != want {
			t.Fatalf("%s\n got %s\nwant %s", c.text, got, want)
		}
		if taken != c.taken {
			t.Errorf("%s: taken: %v, want %v", c.text, taken, c.taken)
		}
	}
}

// TestLiftedRunsItsOwn runs statements whose literals have gone: memory was
// wiped, or another statement was prepared.
func TestLiftedRunsItsOwn(t *testing.T) {
	s := liftSession(t, false)
	ctx := context.Background()
	for name, between := range map[string]func(){
		"nothing": func() {},
		"wipe":    func() { s.d.forget() },
		"another": func() {
			if _, _, err := s.PrepareOnce(ctx, "SELECT b FROM t WHERE id = 9"); err != nil {
				t.Fatal(err)
			}
		},
		"another one that runs": func() { once(s, "SELECT b FROM t WHERE id = 9") },
	} {
		st, _, err := s.PrepareOnce(ctx, "SELECT b FROM t WHERE id = 7")
		if err != nil || st.NumParams() != 0 {
			t.Fatal(err)
		}
		between()
		for range 2 { // PrepareOnce does not promise the second time, but a wrong row would be bad
			rows, err := s.Query(ctx, st, nil)
			if err != nil {
				t.Fatal(name, err)
			}
			dst := make([]value.Value, 1)
			if err := rows.Next(dst); err != nil || dst[0].Str() != "text 7" {
				t.Errorf("%s: %q, %v", name, dst[0].Str(), err)
			}
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// FuzzLift compares what statements do with their literals taken out and as
// they are written.
func FuzzLift(f *testing.F) {
	as, plain := liftSession(f, false), liftSession(f, true)
	n := 0
	for _, text := range liftSchema {
		f.Add(text)
	}
	files, err := filepath.Glob("testdata/corpus/*.sql")
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if n++; n%7 == 0 {
				f.Add(strings.TrimLeft(strings.TrimSpace(line), "! "))
			}
		}
	}
	for _, text := range []string{
		"SELECT id, 'x' FROM t WHERE a = 3 AND b LIKE 'text%' ORDER BY 2 LIMIT 4",
		"SELECT a, count(*) FROM t JOIN k ON v = t.id WHERE k.id > 'k2' GROUP BY 1 HAVING count(*) > 1",
		"INSERT INTO t(a, b) VALUES (1, 'it''s'), (-2, x'00') RETURNING id + 1",
		"UPDATE p SET state = 'open', x = x + 100 WHERE id IN (1, 2, 3.0, '4')",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l parse.Literals
		if lower := strings.ToLower(text); !l.Take(text) || strings.Contains(lower, "random") || strings.Contains(lower, "now") || strings.Contains(lower, "current") {
			t.Skip()
		}
		for _, s := range []*Session{as, plain} {
			mustScript(t, s, "BEGIN")
		}
		got, _ := once(as, text)
		want, _ := once(plain, text)
		if got != want {
			t.Errorf("%q\n got %s\nwant %s", text, got, want)
		}
		if got, want := state(t, as), state(t, plain); got != want {
			t.Errorf("%q: the databases differ:\n got %s\nwant %s", text, got, want)
		}
		for _, s := range []*Session{as, plain} {
			if s.InTx() {
				mustScript(t, s, "ROLLBACK")
			}
		}
	})
}

// TestCloseDropsTexts closes a session that somebody keeps: wipes to come do not
// reach it.
func TestCloseDropsTexts(t *testing.T) {
	s := liftSession(t, false)
	kept, _, err := s.Prepare(t.Context(), "SELECT b FROM t WHERE a = ?")
	if err != nil {
		t.Fatal(err)
	}
	kept.Keep()
	once(s, "SELECT 'secret', b FROM t WHERE id = 3")
	if !strings.Contains(string(s.literals.Text), "secret") || kept.plan == nil {
		t.Fatal("there is nothing to drop")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.literals.Text != nil || s.literals.Values != nil || kept.plan != nil || kept.idle != nil {
		t.Errorf("the session still has %q, %v and a plan %v", s.literals.Text, s.literals.Values, kept.plan)
	}
}
