package toolstest

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
)

type track struct {
	ID      int64            `db:"id"`
	Title   string           `db:"title"`
	Album   sql.NullString   `db:"album"`
	Seconds int              `db:"seconds"`
	Rating  *float64         `db:"rating"`
	Live    bool             `db:"live"`
	Cut     time.Time        `db:"cut_on"`
	Raw     sql.Null[[]byte] `db:"raw"`
}

const trackSchema = `
CREATE TABLE track (
	id      INTEGER PRIMARY KEY,
	title   TEXT NOT NULL,
	album   TEXT,
	seconds INT NOT NULL,
	rating  REAL,
	live    BOOLEAN NOT NULL DEFAULT false,
	cut_on  DATETIME NOT NULL,
	raw     BLOB
);
CREATE INDEX track_album ON track (album, title);
-- the end
`

func TestSQLX(t *testing.T) {
	Both(t, func(l *Life) {
		db := sqlx.NewDb(l.DB, "byokdb")
		ctx := context.Background()
		db.MustExec(trackSchema)
		rating := 4.5
		cut := time.Date(1959, 3, 2, 0, 0, 0, 0, time.UTC)
		tracks := []track{
			{Title: "So What", Album: sql.NullString{String: "Kind of Blue", Valid: true}, Seconds: 562, Rating: &rating, Cut: cut},
			{Title: "Spain", Seconds: 590, Live: true, Cut: cut.AddDate(13, 0, 0), Raw: sql.Null[[]byte]{V: []byte{0, 9}, Valid: true}},
			{Title: "Peace Piece", Seconds: 399, Cut: cut},
		}
		res, err := db.NamedExecContext(ctx, `INSERT INTO track (title, album, seconds, rating, live, cut_on, raw)
			VALUES (:title, :album, :seconds, :rating, :live, :cut_on, :raw)`, tracks)
		l.Must(err)
		n, err := res.RowsAffected()
		l.Must(err)
		l.See("%d rows", n)
		sqlxQuery(ctx, l, db)
		sqlxChange(ctx, l, db)
	})
}

func sqlxQuery(ctx context.Context, l *Life, db *sqlx.DB) {
	var all []track
	l.Must(db.SelectContext(ctx, &all, "SELECT * FROM track ORDER BY id"))
	for _, t := range all {
		l.See("%d %s %v %d %v %v %v %x", t.ID, t.Title, t.Album, t.Seconds, t.Rating != nil, t.Live, t.Cut.UTC(), t.Raw.V)
	}
	var one track
	l.Must(db.GetContext(ctx, &one, db.Rebind("SELECT * FROM track WHERE title = ?"), "Spain"))
	l.See("%+v %v", one.Title, one.Live)
	l.Fails("nothing", db.Get(&one, "SELECT * FROM track WHERE id = ?", -1))
	query, args, err := sqlx.In("SELECT title FROM track WHERE id IN (?) AND seconds > ? ORDER BY title DESC", []int{1, 2, 3}, 400)
	l.Must(err)
	var titles []string
	l.Must(db.Select(&titles, db.Rebind(query), args...))
	l.See("%v", titles)
	rows, err := db.NamedQueryContext(ctx, "SELECT title, seconds FROM track WHERE live = :live ORDER BY id", map[string]any{"live": false})
	l.Must(err)
	for rows.Next() {
		m := map[string]any{}
		l.Must(rows.MapScan(m))
		l.See("%s %v", m["title"], m["seconds"])
	}
	l.Must(errors.Join(rows.Err(), rows.Close()))
	st, err := db.PrepareNamed("SELECT count(*) FROM track WHERE seconds BETWEEN :lo AND :hi")
	l.Must(err)
	for _, hi := range []int{400, 600} {
		var n int
		l.Must(st.Get(&n, map[string]any{"lo": 0, "hi": hi}))
		l.See("%d up to %d", n, hi)
	}
	l.Must(st.Close())
	plain, err := db.Queryx("SELECT id, title AS \"Title\", rating FROM track ORDER BY id LIMIT 1")
	l.Must(err)
	for plain.Next() {
		cells, err := plain.SliceScan()
		l.Must(err)
		l.See("%s", show(cells))
	}
	l.Must(errors.Join(plain.Err(), plain.Close()))
}

func sqlxChange(ctx context.Context, l *Life, db *sqlx.DB) {
	tx, err := db.BeginTxx(ctx, nil)
	l.Must(err)
	tx.MustExec("UPDATE track SET rating = coalesce(rating, 0) + ? WHERE live", 1)
	var r float64
	l.Must(tx.Get(&r, "SELECT rating FROM track WHERE live"))
	l.See("in the transaction %v", r)
	_, err = tx.Exec("INSERT INTO track (id, title, seconds, cut_on) VALUES (1, 'x', 1, 0)")
	l.Fails("a taken id", err)
	tx.MustExec("INSERT INTO track (title, seconds, cut_on) VALUES ('goes on', 1, '2026-01-01')")
	l.Must(tx.Commit())
	tx, err = db.BeginTxx(ctx, nil)
	l.Must(err)
	tx.MustExec("DELETE FROM track")
	l.Must(tx.Rollback())
	conn, err := db.Connx(ctx)
	l.Must(err)
	for _, text := range []string{
		"BEGIN", "SAVEPOINT a", "DELETE FROM track WHERE id = 1", "ROLLBACK TO a", "RELEASE a", "UPDATE track SET album = 'n' WHERE album IS NULL", "COMMIT",
		"ALTER TABLE track ADD COLUMN plays INTEGER NOT NULL DEFAULT 0", "ALTER TABLE track RENAME COLUMN seconds TO length", "ALTER TABLE track DROP COLUMN raw",
		"ALTER TABLE track RENAME TO tracks", "CREATE VIEW long AS SELECT title FROM tracks WHERE length > 500",
	} {
		_, err := conn.ExecContext(ctx, text)
		l.Must(err)
	}
	l.Must(conn.Close())
	var titles []string
	l.Must(db.Select(&titles, "SELECT title FROM long ORDER BY 1"))
	l.See("%v", titles)
}
