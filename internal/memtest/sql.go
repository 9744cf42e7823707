package memtest

import (
	"bytes"
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/byokdb/byokdb/sql/ingest"
)

// Sizes of what is written.
const (
	nRows     = 15_000 // by parameter
	nLiterals = 1000   // statements with literals
	nIngested = 7000   // in each format
	nQueries  = 300    // ad-hoc texts
)

// Rows writes and reads rows in SQL, with several goroutines.
func (p *Program) Rows(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		p.create, p.insert, p.insertLiterals, p.ingest, p.questions, p.change, p.failures,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) exec(ctx context.Context, text string, args ...any) error {
	_, err := p.SQL.ExecContext(ctx, text, args...)
	return err
}

func (p *Program) create(ctx context.Context) error {
	return p.exec(ctx, `CREATE TABLE t (id INTEGER PRIMARY KEY, txt TEXT, n INT, j TEXT, b BLOB, s TEXT);
		CREATE INDEX t_txt ON t (txt);
		CREATE TABLE lit (txt TEXT PRIMARY KEY, n INT UNIQUE);
		CREATE TABLE `+p.Marks.Text(Table, 1)+` (a TEXT, b INT)`)
}

func (p *Program) insert(ctx context.Context) error {
	for from := 0; from < nRows; from += 1000 {
		tx, err := p.SQL.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		st, err := tx.PrepareContext(ctx, "INSERT INTO t (id, txt, n, j, b, s) VALUES (?, ?, ?, ?, ?, ?)")
		for n := from; n < from+1000 && err == nil; n++ {
			j := fmt.Sprintf(`{"name": %q, "list": [1, %q], "n": %d}`, p.Marks.Text(JSONText, n), p.Marks.Text(JSONText, n), n)
			_, err = st.ExecContext(ctx, n, p.Marks.Text(SQLText, n), n%100, j, p.Marks.Bytes(SQLBlob, n), p.Marks.Text(ShortText, n))
		}
		if err = errors.Join(err, st.Close()); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) insertLiterals(ctx context.Context) error {
	tx, err := p.SQL.BeginTx(ctx, nil)
	for n := 0; n < nLiterals && err == nil; n++ {
		_, err = tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO lit VALUES ('%s', %d)", p.Marks.Text(SQLLiteral, n), n))
	}
	if err != nil {
		return err
	}
	return tx.Commit()
}

func (p *Program) ingest(ctx context.Context) error {
	var nd, csv bytes.Buffer
	csv.WriteString("name,n\n")
	for n := range nIngested {
		fmt.Fprintf(&nd, `{"name": "%s", "n": %d, "o": {"x": "%s"}}`+"\n", p.Marks.Text(NDJSONField, n), n, p.Marks.Text(NDJSONField, n))
		fmt.Fprintf(&csv, "%s,%d\n", p.Marks.Text(CSVField, n), n)
	}
	_, err := ingest.Ingest(ctx, p.SQL, "nd", &nd, ingest.Options{})
	if err != nil {
		return err
	}
	_, err = ingest.Ingest(ctx, p.SQL, "csv", &csv, ingest.Options{Format: ingest.CSV})
	return err
}

// all runs a query and returns how many rows it has.
func (p *Program) all(ctx context.Context, text string, args ...any) (n int, err error) {
	rows, err := p.SQL.QueryContext(ctx, text, args...)
	if err != nil {
		return 0, fmt.Errorf("query: %w", err)
	}
	cols, err := rows.Columns()
	if err != nil {
		return 0, errors.Join(err, rows.Close())
	}
	vals := make([]any, len(cols))
	for i := range vals {
		switch i % 3 {
		case 0:
			vals[i] = new(any)
		case 1:
			vals[i] = new(stdsql.NullString)
		default:
			vals[i] = new([]byte)
		}
	}
	for rows.Next() {
		n++
		if err := rows.Scan(vals...); err != nil {
			return n, errors.Join(err, rows.Close())
		}
	}
	return n, errors.Join(rows.Err(), rows.Close())
}

// queries are asked by several goroutines; an @ is a literal with a mark.
var queries = []string{
	"SELECT * FROM t WHERE id < 3000",
	"SELECT txt, id FROM t ORDER BY txt DESC",
	"SELECT upper(txt), txt || '-' || n, substr(txt, 3, 20), hex(b), length(txt) FROM t WHERE n < 20",
	"SELECT replace(txt, 'a', 'b'), trim(txt), printf('%s/%d', txt, n), quote(txt), lower(upper(txt)) FROM t WHERE n = 7",
	"SELECT n, count(*), max(txt), min(b), group_concat(txt, ',') FROM t GROUP BY n ORDER BY max(txt)",
	"SELECT DISTINCT txt FROM t",
	"SELECT s, max(s), s || '', lower(s) FROM t GROUP BY s ORDER BY s DESC",
	"SELECT count(DISTINCT txt) FROM t",
	"SELECT a.txt, b.txt FROM t a JOIN t b ON b.id = a.id + 1 WHERE a.n < 10",
	"SELECT t.txt, lit.txt FROM t LEFT JOIN lit ON lit.n = t.id AND lit.txt <> @ WHERE t.n < 20",
	"SELECT a.txt, b.name FROM lit a JOIN nd b ON b.n = a.n ORDER BY b.name",
	"SELECT txt FROM t WHERE txt LIKE '%99' OR txt = @",
	"SELECT txt FROM t WHERE txt > @ LIMIT 100",
	"SELECT id FROM t WHERE txt IN (SELECT txt FROM t WHERE n = 3) OR txt = @",
	"SELECT json_extract(j, '$.name'), j ->> '$.list[1]', json_set(j, '$.x', txt) FROM t WHERE n < 30",
	"SELECT t.id, j -> '$.list' FROM t WHERE t.n = 5 ORDER BY j",
	"SELECT json_group_array(txt), json_object('k', max(txt)) FROM t WHERE n = 9",
	"WITH c AS (SELECT txt, n FROM t WHERE n < 5), d AS (SELECT txt FROM c UNION SELECT txt FROM lit) SELECT * FROM d ORDER BY 1",
	"WITH RECURSIVE r(i, s) AS (SELECT 1, @ UNION ALL SELECT i + 1, s || i FROM r WHERE i < 50) SELECT * FROM r",
	"SELECT txt FROM lit EXCEPT SELECT txt FROM t INTERSECT SELECT name FROM csv",
	"SELECT CASE WHEN txt = @ THEN txt ELSE name END FROM t JOIN csv ON csv.n = t.id",
	"SELECT (SELECT max(name) FROM nd WHERE nd.n = t.id + 0 AND nd.n < 100), cast(b AS TEXT), coalesce(NULL, txt) FROM t WHERE n = 1 AND id < 1000",
	"SELECT name, o FROM nd ORDER BY o",
	"SELECT sql FROM sqlite_master",
}

func (p *Program) questions(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for g := range errs {
		wg.Go(func() {
			for i := g; i < len(queries) && errs[g] == nil; i += len(errs) {
				text := strings.ReplaceAll(queries[i], "@", "'"+p.Marks.Text(SQLQuery, i)+"'")
				if _, errs[g] = p.all(ctx, text); errs[g] != nil {
					errs[g] = fmt.Errorf("question %d: %w", i, errs[g])
				}
			}
			for i := g; i < nQueries && errs[g] == nil; i += len(errs) {
				_, errs[g] = p.all(ctx, fmt.Sprintf("SELECT id, txt FROM t WHERE id = %d OR txt = '%s'", i, p.Marks.Text(SQLQuery, i)))
				if errs[g] == nil {
					_, errs[g] = p.all(ctx, "SELECT txt, j, b FROM t WHERE txt = ?", p.Marks.Text(SQLText, i))
				}
			}
			if errs[g] == nil {
				errs[g] = p.cancelled(ctx)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// cancelled asks a question that takes long, and gives up soon.
func (p *Program) cancelled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := p.all(ctx, "SELECT a.txt, b.txt FROM t a, t b WHERE a.txt <> b.txt ORDER BY b.txt")
	if err == nil {
		return errors.New("a question over 225 million rows is answered at once")
	}
	return nil
}

func (p *Program) change(ctx context.Context) error {
	for _, c := range []struct {
		text string
		args []any
	}{
		{"UPDATE t SET txt = txt || '+', n = n + 1 WHERE n < 10 RETURNING txt, id", nil},
		{"INSERT INTO lit VALUES (?, 3) ON CONFLICT (n) DO UPDATE SET txt = excluded.txt || n RETURNING txt", []any{p.Marks.Text(SQLText, -1)}},
		{"INSERT INTO lit SELECT name, n + 100000 FROM nd", nil},
		{"DELETE FROM lit WHERE n > 103000 RETURNING *", nil},
		{"UPDATE t SET j = json_set(j, '$.name', ?) WHERE id = 7 RETURNING j", []any{p.Marks.Text(JSONText, -1)}},
	} {
		if _, err := p.all(ctx, c.text, c.args...); err != nil {
			return fmt.Errorf("%s: %w", c.text, err)
		}
	}
	return errors.Join(p.exec(ctx, "ALTER TABLE csv ADD COLUMN more TEXT DEFAULT 'x'"), p.exec(ctx, "CREATE VIEW v AS SELECT txt FROM t"))
}

// failures runs statements that fail with a value in hand. Each must.
func (p *Program) failures(ctx context.Context) error {
	v := p.Marks.Text(SQLError, 1)
	for _, text := range []string{
		"INSERT INTO lit VALUES ('" + v + "', 2)",
		"INSERT INTO t (id, txt) VALUES ('" + v + "', 1)",
		"SELECT " + v + " FROM t",
		"SELECT '" + v + "' FROM",
		"SELECT json_extract('{" + v + "', '$.a')",
		"SELECT abs(-9223372036854775808), '" + v + "'",
	} {
		if _, err := p.all(ctx, text); err == nil {
			return errors.New("a statement that is wrong succeeds")
		}
	}
	return nil
}
