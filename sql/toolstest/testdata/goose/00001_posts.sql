-- +goose Up
CREATE TABLE post (
    id    INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    body  TEXT
);
INSERT INTO post (title, body) VALUES ('first', 'with; a semicolon'), ('second', NULL);

-- +goose Down
DROP TABLE post;
