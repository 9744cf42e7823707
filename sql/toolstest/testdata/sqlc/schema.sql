CREATE TABLE authors (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT    NOT NULL UNIQUE,
  bio        TEXT,
  born       DATE,
  active     BOOLEAN NOT NULL DEFAULT true,
  created_at TIMESTAMP NOT NULL
);

CREATE TABLE books (
  id        INTEGER PRIMARY KEY,
  author_id INTEGER NOT NULL REFERENCES authors (id),
  title     TEXT    NOT NULL,
  price     REAL    NOT NULL DEFAULT 0,
  cover     BLOB
);

CREATE INDEX books_author ON books (author_id);
