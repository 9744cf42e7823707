package exec

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/byokdb/byokdb/crypt/keyuri"
	"github.com/byokdb/byokdb/engine"
	"github.com/byokdb/byokdb/sql/value"
)

func openSession(t testing.TB) *Session {
	t.Helper()
	dir := t.TempDir()
	key, err := keyuri.Open(context.Background(), "local:"+filepath.Join(dir, "dev.key"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := engine.Open(context.Background(), filepath.Join(dir, "t.byok"), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := NewDatabase(db).NewSession()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// script runs statements and returns the rows, one per line.
func script(s *Session, text string, args ...value.Value) (string, error) {
	var b strings.Builder
	for text != "" {
		st, tail, err := s.Prepare(context.Background(), text)
		if err != nil {
			return b.String(), err
		}
		text = tail
		if st == nil {
			continue
		}
		rows, err := s.Query(context.Background(), st, args)
		if err != nil {
			return b.String(), err
		}
		dst := make([]value.Value, len(st.Columns()))
		for len(dst) > 0 {
			err := rows.Next(dst)
			if err != nil {
				if err.Error() == "EOF" {
					break
				}
				rows.Close()
				return b.String(), err
			}
			for i, v := range dst {
				if i > 0 {
					b.WriteByte('|')
				}
				if v.IsNull() {
					b.WriteString("NULL")
				} else {
					b.WriteString(v.AsText())
				}
			}
			b.WriteByte('\n')
		}
		if err := rows.Close(); err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}

func TestSmoke(t *testing.T) {
	s := openSession(t)
	for _, q := range []string{
		"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL); CREATE INDEX ta ON t(a)",
		"INSERT INTO t(a,b) VALUES ('x',1),('y',2),(NULL,3.5)",
		"SELECT * FROM t",
		"SELECT id, a FROM t WHERE id=2", "SELECT id FROM t WHERE a='y'", "SELECT count(*), sum(b), max(id) FROM t",
		"UPDATE t SET b=b*2 WHERE a='x'", "DELETE FROM t WHERE id=2", "SELECT * FROM t ORDER BY id DESC",
		"SELECT name, type FROM sqlite_master", "EXPLAIN QUERY PLAN SELECT * FROM t WHERE a='x' ORDER BY b",
		"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n<5) SELECT sum(n) FROM c",
		"SELECT t1.id, t2.id FROM t t1 LEFT JOIN t t2 ON t2.id>t1.id", "SELECT a, (SELECT count(*) FROM t t2 WHERE t2.id<=t.id) FROM t",
		"INSERT INTO t(id,a) VALUES (1,'zz') ON CONFLICT(id) DO UPDATE SET a=excluded.a||t.a RETURNING *",
		"INSERT INTO t(id,a) VALUES (1,'zz')", "SELECT 1 UNION SELECT 2 UNION SELECT 1 ORDER BY 1 DESC",
		"BEGIN; INSERT INTO t(a) VALUES('tx'); ROLLBACK; SELECT count(*) FROM t", "PRAGMA table_info(t)",
		"SELECT m.name, p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type='table'",
		"ALTER TABLE t ADD COLUMN c INT DEFAULT 7; SELECT * FROM t; ALTER TABLE t DROP COLUMN b; SELECT * FROM t",
		"SELECT max(a) OVER () FROM t", "CREATE TABLE u AS SELECT a, count(*) n FROM t GROUP BY a; SELECT * FROM u; SELECT sql FROM sqlite_master WHERE name='u'",
	} {
		out, err := script(s, q)
		fmt.Printf("> %s\n%s", q, out)
		if err != nil {
			fmt.Println("ERR", err)
		}
	}
}
