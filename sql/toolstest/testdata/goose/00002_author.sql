-- +goose Up
-- +goose StatementBegin
ALTER TABLE post ADD COLUMN author TEXT NOT NULL DEFAULT 'nobody';
-- +goose StatementEnd
CREATE INDEX post_author ON post (author);
UPDATE post SET author = 'ann' WHERE id = 1;

-- +goose Down
DROP INDEX post_author;
ALTER TABLE post DROP COLUMN author;
