package toolstest

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/byokdb/byokdb/sql/toolstest/sqlcgen"
)

//go:generate env CGO_ENABLED=0 go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.30.0 generate

// TestSQLC lives by the code that sqlc generated from testdata/sqlc.
func TestSQLC(t *testing.T) {
	schema, err := os.ReadFile("testdata/sqlc/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	Both(t, func(l *Life) {
		ctx := context.Background()
		_, err := l.DB.ExecContext(ctx, string(schema))
		l.Must(err)
		q, err := sqlcgen.Prepare(ctx, l.DB)
		l.Must(err)
		sqlcAuthors(ctx, l, q)
		sqlcBooks(ctx, l, q)
		tx, err := l.DB.BeginTx(ctx, nil)
		l.Must(err)
		in := q.WithTx(tx)
		l.Must(in.DeleteAuthor(ctx, 3))
		_, err = in.GetAuthor(ctx, 3)
		l.Fails("deleted in the transaction", err)
		l.Must(tx.Rollback())
		a, err := q.GetAuthor(ctx, 3)
		l.Must(err)
		l.See("still there: %s", a.Name)
		l.Must(q.DeleteAuthor(ctx, 3))
		l.Must(q.Close())
	})
}

func sqlcAuthors(ctx context.Context, l *Life, q *sqlcgen.Queries) {
	born := time.Date(1929, 10, 21, 0, 0, 0, 0, time.UTC)
	at := time.Date(2026, 11, 23, 8, 30, 15, 123456789, time.FixedZone("", 3600))
	for _, p := range []sqlcgen.CreateAuthorParams{
		{Name: "Ursula", Bio: sql.NullString{String: "wrote", Valid: true}, Born: sql.NullTime{Time: born, Valid: true}, Active: true, CreatedAt: at},
		{Name: "Stanisław", CreatedAt: at},
		{Name: "Octavia", Active: true, CreatedAt: at},
	} {
		a, err := q.CreateAuthor(ctx, p)
		l.Must(err)
		l.See("%d %s %v %v %v %v", a.ID, a.Name, a.Bio, a.Born.Time.UTC(), a.Active, a.CreatedAt.UTC())
	}
	_, err := q.CreateAuthor(ctx, sqlcgen.CreateAuthorParams{Name: "Ursula", CreatedAt: at})
	l.Fails("a second Ursula", err)
	list, err := q.ListAuthors(ctx)
	l.Must(err)
	for _, a := range list {
		l.See("%d %s %v", a.ID, a.Name, a.CreatedAt.Equal(at))
	}
	for _, names := range [][]string{{"Octavia", "Ursula"}, {}} {
		named, err := q.AuthorsNamed(ctx, names)
		l.Must(err)
		l.See("%v", named)
	}
	for _, bio := range []sql.NullString{{}, {String: "writes", Valid: true}} {
		n, err := q.UpdateBio(ctx, sqlcgen.UpdateBioParams{Bio: bio, ID: 1})
		l.Must(err)
		a, err := q.GetAuthor(ctx, 1)
		l.Must(err)
		l.See("%d %v", n, a.Bio)
	}
	_, err = q.GetAuthor(ctx, 77)
	l.Fails("nobody", err)
}

func sqlcBooks(ctx context.Context, l *Life, q *sqlcgen.Queries) {
	for i, title := range []string{"Solaris", "Kindred", "Lavinia"} {
		res, err := q.CreateBook(ctx, sqlcgen.CreateBookParams{AuthorID: int64(i%2) + 1, Title: title, Price: 9.5 + float64(i), Cover: []byte(title)})
		l.Must(err)
		id, err := res.LastInsertId()
		l.Must(err)
		n, err := res.RowsAffected()
		l.Must(err)
		l.See("book %d, %d", id, n)
	}
	id, err := q.PutBook(ctx, sqlcgen.PutBookParams{ID: 2, AuthorID: 1, Title: "Malafrena"})
	l.Must(err)
	l.See("put %d", id)
	rows, err := q.BooksByAuthor(ctx, sqlcgen.BooksByAuthorParams{Low: 9, High: 11})
	l.Must(err)
	for _, r := range rows {
		l.See("%s: %s %v %q", r.Author.Name, r.Book.Title, r.Book.Price, r.Book.Cover)
	}
	totals, err := q.Totals(ctx, 0)
	l.Must(err)
	l.See("%v", totals)
}
