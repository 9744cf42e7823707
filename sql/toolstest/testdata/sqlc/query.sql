-- name: CreateAuthor :one
INSERT INTO authors (name, bio, born, active, created_at)
VALUES (?, ?, ?, ?, ?)
RETURNING *;

-- name: GetAuthor :one
SELECT * FROM authors WHERE id = ? LIMIT 1;

-- name: ListAuthors :many
SELECT * FROM authors ORDER BY name;

-- name: AuthorsNamed :many
SELECT id, name FROM authors WHERE name IN (sqlc.slice('names')) ORDER BY id;

-- name: UpdateBio :execrows
UPDATE authors SET bio = coalesce(sqlc.narg('bio'), bio) WHERE id = sqlc.arg('id');

-- name: DeleteAuthor :exec
DELETE FROM authors WHERE id = ?;

-- name: CreateBook :execresult
INSERT INTO books (author_id, title, price, cover) VALUES (?, ?, ?, ?);

-- name: PutBook :execlastid
INSERT INTO books (id, author_id, title) VALUES (@id, @author_id, @title)
ON CONFLICT (id) DO UPDATE SET title = excluded.title;

-- name: BooksByAuthor :many
SELECT sqlc.embed(authors), sqlc.embed(books)
FROM books JOIN authors ON authors.id = books.author_id
WHERE books.price BETWEEN @low AND @high
ORDER BY authors.name, books.title;

-- name: Totals :many
SELECT authors.name, count(books.id) AS n, coalesce(sum(books.price), 0.0) AS total
FROM authors LEFT JOIN books ON books.author_id = authors.id
WHERE authors.id > @after
GROUP BY authors.id HAVING count(books.id) >= 0 ORDER BY n DESC, authors.name;
