package ingest

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// dumpText is what sqlite3 writes for a database with a bit of everything.
const dumpText = `PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE people(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, "odd ""name" BLOB, at DATETIME);
INSERT INTO people VALUES(1,'it''s; -- no comment',X'00ff3b','2026-11-23 08:28:51');
INSERT INTO people VALUES(3,replace('two\nlines','\n',char(10)),NULL,1763886531);
INSERT INTO people VALUES(4,unistr('bell\u0007'),x'',-1);
CREATE TABLE pets(name TEXT, owner INTEGER REFERENCES people(id), weight REAL);
INSERT INTO pets VALUES('rex',1,12.5);
INSERT INTO pets VALUES('big',99,9.0e+999);
INSERT INTO pets VALUES('small',NULL,-9223372036854775808);
/* a comment; with a semicolon */
CREATE TABLE log(what TEXT);
INSERT INTO log(rowid,what) VALUES(7,'seven');
CREATE TABLE IF NOT EXISTS "order by"(x);
INSERT INTO "order by" VALUES('é ` + "\U0001F389" + `');
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 VALUES('pets','pets_owner','3 1');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('people',20);
CREATE INDEX pets_owner ON pets(owner) WHERE name <> ';';
CREATE TRIGGER born AFTER INSERT ON pets BEGIN
  INSERT INTO log VALUES(CASE WHEN new.weight > 10 THEN 'big; end' ELSE 'small' END);
  SELECT 1; -- END
END;
CREATE VIEW heavy AS SELECT name FROM pets WHERE weight > 10;
PRAGMA user_version=5;
COMMIT;
`

// dumpState is what must be there afterwards.
var dumpState = map[string][]string{
	"SELECT id, name, quote(\"odd \"\"name\"), at FROM people ORDER BY id": {
		"1|it's; -- no comment|X'00FF3B'|2026-11-23 08:28:51 +0000 UTC", "3|two\nlines|NULL|2025-11-23 08:28:51 +0000 UTC", "4|bell\a|X''|1969-12-31 23:59:59 +0000 UTC",
	},
	"SELECT name, owner, weight FROM pets ORDER BY rowid": {"rex|1|12.5", "big|99|+Inf", "small|∅|-9.223372036854776e+18"},
	"SELECT rowid, what FROM log":                         {"7|seven"},
	"SELECT * FROM \"order by\"":                          {"é \U0001F389"},
	"SELECT seq FROM sqlite_sequence":                     {"20"},
	"SELECT name FROM heavy ORDER BY 1":                   {"big", "rex"},
	"SELECT group_concat(name) FROM (SELECT name FROM sqlite_master WHERE type IN ('index', 'trigger', 'view') ORDER BY name)": {"born,heavy,pets_owner"},
	"PRAGMA user_version": {"5"},
}

func verifyDump(t *testing.T, db *stdsql.DB) {
	t.Helper()
	for query, want := range dumpState {
		if got := texts(t, db, query); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", query, got, want)
		}
	}
	if got := texts(t, db, "SELECT count(*) FROM sqlite_master WHERE name = ?", DumpTable); got[0] != "0" {
		t.Errorf("%s is still there", DumpTable)
	}
}

func TestDump(t *testing.T) {
	for _, batch := range []int64{0, 1, 150, 1000} {
		db := openDB(t)
		steps := 0
		res, err := Dump(t.Context(), db, iotest.OneByteReader(strings.NewReader(dumpText)), DumpOptions{BatchSize: batch, Progress: func(int64, int64) { steps++ }})
		if err != nil {
			t.Fatalf("batch %d: %v", batch, err)
		}
		want := DumpResult{Statements: int64(strings.Count(dumpStatements(t), "\x00")), Bytes: int64(len(dumpText))}
		if res.Statements != want.Statements || res.Resumed != 0 || res.Bytes < want.Bytes-1 {
			t.Errorf("batch %d: %+v, want %+v", batch, res, want)
		}
		if batch == 0 && steps != 1 || batch == 1 && steps < 20 {
			t.Errorf("batch %d: %d transactions", batch, steps)
		}
		verifyDump(t, db)
	}
}

// dumpStatements returns the statements of dumpText, each with a NUL behind it.
func dumpStatements(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	s := newStatementReader(strings.NewReader(dumpText))
	for {
		text, err := s.next()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		b.WriteByte(0)
	}
}

// TestDumpGoesOn is interrupted behind every transaction, and cut short at many
// places: nothing is there, or the same call with the whole text completes it.
func TestDumpGoesOn(t *testing.T) {
	for stop := range 5 {
		db := openDB(t)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		res, err := Dump(ctx, db, strings.NewReader(dumpText), DumpOptions{BatchSize: 200, Progress: func(int64, int64) {
			if n++; n > stop {
				cancel()
			}
		}})
		cancel()
		de, ok := errors.AsType[*DumpError](err)
		if !ok || !errors.Is(err, context.Canceled) || de.Durable != res.Statements || res.Statements == 0 {
			t.Fatalf("stop %d: %+v, %v", stop, res, err)
		}
		for _, other := range []string{strings.Replace(dumpText, "it''s", "it''z", 1), dumpText[:100]} {
			if _, err := Dump(t.Context(), db, strings.NewReader(other), DumpOptions{}); !errors.Is(err, ErrOtherDump) {
				t.Errorf("stop %d: another text: %v", stop, err)
			}
		}
		again, err := Dump(t.Context(), db, strings.NewReader(dumpText), DumpOptions{BatchSize: 300})
		if err != nil || again.Resumed != res.Statements {
			t.Fatalf("stop %d: %+v, %v", stop, again, err)
		}
		verifyDump(t, db)
	}
	whole := len(strings.TrimSpace(dumpText))
	db := openDB(t)
	for cut := 60; cut < whole; cut += 97 {
		res, err := Dump(t.Context(), db, strings.NewReader(dumpText[:cut]), DumpOptions{})
		if !errors.Is(err, ErrFormat) || res.Statements != 0 {
			t.Fatalf("cut at %d: %+v, %v", cut, res, err)
		}
		if got := texts(t, db, "SELECT count(*) FROM sqlite_master"); got[0] != "0" {
			t.Fatalf("cut at %d: %s objects are there", cut, got[0])
		}
	}
}

func TestDumpRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
		line       int64
	}{
		{"empty", " -- nothing\n", ErrEmpty, 0},
		{"taken back", "BEGIN;\nCREATE TABLE t(x);\nROLLBACK; -- due to errors\n", ErrFormat, 3},
		{"virtual tables", "BEGIN;\nPRAGMA writable_schema=ON;\nCOMMIT;", ErrFormat, 2},
		{"a savepoint", "SAVEPOINT a;", ErrFormat, 1},
		{"an open quote", "CREATE TABLE t(x);\nINSERT INTO t VALUES('abc", ErrFormat, 2},
		{"no SQL", "\x01garbage;", nil, 1},
		{"a zero byte", "CREATE TABLE t(x);\n\x00DROP TABLE t;", ErrFormat, 2},
		{"a constraint", "CREATE TABLE t(x UNIQUE);\nINSERT INTO t VALUES(1);\n\nINSERT INTO t VALUES(1);", nil, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := openDB(t)
			_, err := Dump(t.Context(), db, strings.NewReader(c.text), DumpOptions{})
			de, ok := errors.AsType[*DumpError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if c.want != nil && !errors.Is(err, c.want) || de.Line != c.line || strings.Contains(err.Error(), "abc") {
				t.Errorf("error %v, line %d", err, de.Line)
			}
			if got := texts(t, db, "SELECT count(*) FROM sqlite_master"); got[0] != "0" {
				t.Errorf("%s objects are there", got[0])
			}
		})
	}
}

// TestDumpRestoresForeignKeys leaves the connection as it was.
func TestDumpRestoresForeignKeys(t *testing.T) {
	db := openDB(t)
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "PRAGMA foreign_keys = ON"); err != nil {
		t.Fatal(err)
	}
	if _, err := Dump(t.Context(), db, strings.NewReader(dumpText), DumpOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, db, "PRAGMA foreign_keys"); got[0] != "1" {
		t.Error("foreign keys are not enforced any more")
	}
}

func TestParseInsert(t *testing.T) {
	for _, c := range []struct {
		text, prepared string
		args           []any
	}{
		{"INSERT INTO t VALUES(1)", "INSERT INTO t VALUES(?)", []any{int64(1)}},
		{"insert into \"a b\" ( x , [y z] ) values ( -1 , 'it''s' , NULL , null ) ;", "insert into \"a b\" ( x , [y z] ) values(?,?,?,?)", []any{int64(-1), "it's", nil, nil}},
		{"INSERT INTO t VALUES(1.5,-2e3,9.0e+999,-9.0e+999,.5)", "", nil},
		{"INSERT INTO t VALUES(1.5,-2e3,9.0e+999,-9.0e+999)", "INSERT INTO t VALUES(?,?,?,?)", []any{1.5, -2000.0, math.Inf(1), math.Inf(-1)}},
		{"INSERT INTO t VALUES(9223372036854775807,9223372036854775808,-9223372036854775808)", "INSERT INTO t VALUES(?,?,?)", []any{int64(math.MaxInt64), 9223372036854775808.0, int64(math.MinInt64)}},
		{"INSERT INTO t VALUES(X'00fF',x'')", "INSERT INTO t VALUES(?,?)", []any{[]byte{0, 255}, []byte{}}},
		{"INSERT INTO t VALUES('')", "INSERT INTO t VALUES(?)", []any{""}},
		{"INSERT INTO t VALUES(1),(2)", "", nil},
		{"INSERT INTO t VALUES(1) RETURNING x", "", nil},
		{"INSERT INTO t VALUES(replace('a','b','c'))", "", nil},
		{"INSERT INTO t VALUES(0x10)", "", nil},
		{"INSERT INTO t VALUES(1+1)", "", nil},
		{"INSERT INTO t VALUES(-'a')", "", nil},
		{"INSERT INTO t VALUES(x'0')", "", nil},
		{"INSERT INTO t VALUES(", "", nil},
		{"INSERT INTO t VALUES()", "", nil},
		{"INSERT INTO t VALUES(1,)", "", nil},
		{"INSERT INTO t VALUES('a", "", nil},
		{"INSERT OR IGNORE INTO t VALUES(1)", "", nil},
		{"INSERT INTO t SELECT 1", "", nil},
		{"INSERT INTO", "", nil},
		{"", "", nil},
	} {
		got, ok := parseInsert([]byte(c.text))
		prepared := ""
		if ok {
			prepared = got.text(1)
		}
		if prepared != c.prepared || !reflect.DeepEqual(got.args, c.args) {
			t.Errorf("%s: %v %q %v", c.text, ok, prepared, got.args)
		}
	}
}

// TestDumpOfManyRows inserts rows together, and names the one that fails all the
// same.
func TestDumpOfManyRows(t *testing.T) {
	for _, bad := range []int{0, 1, 99, 100, 101, 250, 1000} {
		var b strings.Builder
		b.WriteString("CREATE TABLE t(id INTEGER PRIMARY KEY, v UNIQUE);\nCREATE TABLE u(x);\n")
		for i := 1; i <= 1000; i++ {
			id := i
			if i == bad {
				id = 0 // taken
			}
			fmt.Fprintf(&b, "INSERT INTO t VALUES(%d,'%d');\n", i, id)
			if i%333 == 0 {
				fmt.Fprintf(&b, "INSERT INTO u VALUES(%d);\n", i)
			}
		}
		text := strings.Replace(b.String(), "CREATE TABLE u(x);", "CREATE TABLE u(x); INSERT INTO t VALUES(0,'0');", 1)
		db := openDB(t)
		_, err := Dump(t.Context(), db, strings.NewReader(text), DumpOptions{})
		if bad == 0 {
			if got := texts(t, db, "SELECT count(*), sum(id), (SELECT count(*) FROM u) FROM t"); err != nil || got[0] != "1001|500500|3" {
				t.Errorf("%q, %v", got, err)
			}
			continue
		}
		de, ok := errors.AsType[*DumpError](err)
		if want := int64(bad + 2 + (bad-1)/333); !ok || de.Line != want || de.Statement != want+1 {
			t.Errorf("row %d: %v", bad, err)
		}
	}
}

func TestLargeStatements(t *testing.T) {
	db := openDB(t)
	blob := strings.Repeat("ab", 9<<20) // a literal beyond what a text may hold otherwise
	text := "CREATE TABLE t(x);\nINSERT INTO t VALUES(X'" + blob + "');\n" + fmt.Sprintf("INSERT INTO t VALUES('%s');", strings.Repeat("z", 17<<20))
	if _, err := Dump(t.Context(), db, strings.NewReader(text), DumpOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, db, "SELECT length(x) FROM t"); !slices.Equal(got, []string{fmt.Sprint(9 << 20), fmt.Sprint(17 << 20)}) {
		t.Errorf("sizes %q", got)
	}
	s := newStatementReader(io.MultiReader(strings.NewReader("INSERT INTO t VALUES('"), endlessText{}))
	s.max = 1 << 20
	if _, err := s.next(); !errors.Is(err, ErrRecordTooLarge) {
		t.Errorf("an endless statement: %v", err)
	}
}

type endlessText struct{}

func (endlessText) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
